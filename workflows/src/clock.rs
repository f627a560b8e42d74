//! Time as history knows it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use temporalio_workflow::{
    TimerOptions, TimerResult, WaitConditionOptions, WorkflowCancellationToken, WorkflowContext,
    select,
};

/// Returns the time of the current workflow task.
pub(crate) fn of(time: Option<std::time::SystemTime>) -> Timestamp {
    time.and_then(|t| Timestamp::try_from(t).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Returns the time of the current workflow task.
pub(crate) fn now<W>(ctx: &WorkflowContext<W>) -> Timestamp {
    of(ctx.workflow_time())
}

/// Adds seconds, staying inside what a timestamp can hold.
pub(crate) fn after(from: Timestamp, secs: u64) -> Timestamp {
    let secs = i64::try_from(secs).unwrap_or(i64::MAX);
    from.checked_add(SignedDuration::from_secs(secs))
        .unwrap_or(Timestamp::MAX)
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The time came.
    Time,
    /// The condition holds.
    News,
    /// The workflow was cancelled.
    Cancelled,
}

/// Waits until a condition holds, a time comes, or (when `heed_cancel`) the workflow is cancelled.
/// The timer is a durable one; it is cancelled when something else came first.
pub(crate) async fn wait<W: 'static>(
    ctx: &WorkflowContext<W>,
    until: Timestamp,
    summary: &str,
    heed_cancel: bool,
    condition: impl Fn(&W) -> bool,
) -> Woken {
    if ctx.state(&condition) {
        return Woken::News;
    }
    if heed_cancel && ctx.cancellation_token().is_cancelled() {
        return Woken::Cancelled;
    }
    let span = until.duration_since(now(ctx));
    let Ok(span) = Duration::try_from(span) else {
        return Woken::Time;
    };
    if span.is_zero() {
        return Woken::Time;
    }
    let timer_token = WorkflowCancellationToken::new();
    let options = TimerOptions::builder(span)
        .cancellation_token(timer_token.clone())
        .summary(summary.to_owned())
        .build();
    let root = if heed_cancel {
        ctx.cancellation_token()
    } else {
        WorkflowCancellationToken::new()
    };
    let news = WaitConditionOptions::builder()
        .cancellation_token(root)
        .build();
    let woken = select! {
        outcome = ctx.wait_condition_with_options(|state| condition(state), news) => match outcome {
            Ok(()) => Woken::News,
            Err(_) => Woken::Cancelled,
        },
        fired = ctx.timer(options) => match fired {
            TimerResult::Fired => Woken::Time,
            TimerResult::Cancelled => Woken::Cancelled,
        },
    };
    if woken != Woken::Time {
        timer_token.cancel();
    }
    woken
}
