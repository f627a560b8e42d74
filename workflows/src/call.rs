//! Calling activities: the plan may shorten how long one call takes, failures are read by type, and
//! what may be retried for hours is let go when nobody wants it any more.

use std::time::Duration;

use domain::plan::Waits;
use temporalio_common::{ActivityDefinition, data_converters::TemporalDeserializable};
use temporalio_workflow::{
    ActivityCloseTimeouts, ActivityOptions, WaitConditionOptions, WorkflowCancellationToken,
    WorkflowContext, select,
};

use crate::{failure::Failed, options};

/// A write that is not done after so long is in trouble; a busy store is not.
const LEAST_STEP_SECS: u64 = 10;
/// Trouble is looked at so often, at least.
const MOST_STEP_SECS: u64 = 3600;

/// Runs an activity. One call ends after `longest_secs`, or sooner if its kind says so.
pub(crate) async fn activity<W: 'static, A>(
    ctx: &WorkflowContext<W>,
    longest_secs: u64,
    activity: A,
    input: impl Into<A::Input>,
    options: ActivityOptions,
) -> Result<A::Output, Failed>
where
    A: ActivityDefinition,
    A::Output: TemporalDeserializable,
{
    ctx.execute_activity(activity, input, within(options, longest_secs))
        .await
        .map_err(|error| Failed::of(&error))
}

/// Runs an activity that changes nothing. On `news`, and when the workflow is cancelled,
/// `still_wanted` is asked; a "no" cancels the activity and answers `None`. It has to see to it that
/// the news is none any more.
pub(crate) async fn while_wanted<W: 'static, A>(
    ctx: &WorkflowContext<W>,
    longest_secs: u64,
    (activity, input): (A, impl Into<A::Input>),
    options: ActivityOptions,
    news: impl Fn(&W) -> bool,
    still_wanted: impl AsyncFn() -> bool,
) -> Option<Result<A::Output, Failed>>
where
    A: ActivityDefinition,
    A::Output: TemporalDeserializable,
{
    let token = WorkflowCancellationToken::new();
    let mut options = within(options, longest_secs);
    options.cancellation_token = Some(token.clone());
    let mut running = Box::pin(ctx.execute_activity(activity, input, options));
    loop {
        let root = ctx.cancellation_token();
        // One that has been heard must not wake us again.
        let heeded = if root.is_cancelled() {
            WorkflowCancellationToken::new()
        } else {
            root
        };
        let told = WaitConditionOptions::builder()
            .cancellation_token(heeded)
            .build();
        select! {
            done = running => return Some(done.map_err(|error| Failed::of(&error))),
            _ = ctx.wait_condition_with_options(|state| news(state), told) => {}
        }
        if !still_wanted().await {
            token.cancel();
            let _ = running.await;
            return None;
        }
    }
}

/// Writes what must not be lost. A store that is away or refuses us is waited for, however long: somebody
/// mends it. Meanwhile `trouble` hears why, and `None` when it is over. Answers what fails for good.
pub(crate) async fn writing<W: 'static, A>(
    ctx: &WorkflowContext<W>,
    waits: &Waits,
    (name, input): (impl Fn() -> A, A::Input),
    summary: &str,
    trouble: impl Fn(Option<&str>),
) -> Result<A::Output, Failed>
where
    A: ActivityDefinition,
    A::Input: Clone,
    A::Output: TemporalDeserializable,
{
    let mut step = waits.pause_poll_secs.max(LEAST_STEP_SECS);
    let mut in_trouble = false;
    loop {
        // Temporal tries again by itself, and comes back now and then to say why.
        let how = options::in_steps(options::store(summary), step);
        match activity(ctx, waits.call_secs, name(), input.clone(), how).await {
            Err(failed) if failed.passes() => {
                in_trouble = true;
                trouble(Some(&format!("{summary}: {}", failed.message)));
                // Of days of waiting little is left in the history.
                step = (step * 2).min(MOST_STEP_SECS);
            }
            end => {
                if in_trouble {
                    trouble(None);
                }
                return end;
            }
        }
    }
}

fn within(mut options: ActivityOptions, longest_secs: u64) -> ActivityOptions {
    if let ActivityCloseTimeouts::StartToClose(limit)
    | ActivityCloseTimeouts::ScheduleAndStartToClose {
        start_to_close: limit,
        ..
    } = &mut options.close_timeouts
    {
        *limit = (*limit).min(Duration::from_secs(longest_secs));
    }
    options
}
