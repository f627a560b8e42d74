//! How activities are run: queue, time-outs, retries, priority. Only Temporal retries. And how
//! children are started.
//!
//! All run on a detached token: a cancelled workflow still has to write down what it did, and
//! cancellation is heeded where the workflow waits.

use std::time::Duration;

use contracts::{queues, search};
use domain::ids::ClientId;
use temporalio_common::{Priority, RetryPolicy, search_attributes::SearchAttributes};
use temporalio_workflow::{
    ActivityCloseTimeouts, ActivityOptions, ChildWorkflowOptions, ParentClosePolicy,
    WorkflowCancellationToken, WorkflowContext, WorkflowIdReusePolicy,
};

fn options(
    queue: &str,
    start_to_close: u64,
    retry: RetryPolicy,
    priority: Option<u32>,
    summary: String,
) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(Duration::from_secs(start_to_close))
        .task_queue(queue)
        .retry_policy(retry)
        .maybe_priority(priority.map(|key| Priority::builder().priority_key(key).build()))
        .cancellation_token(WorkflowCancellationToken::new())
        .summary(summary)
        .build()
}

fn retry(first: u64, most: u64, attempts: u32) -> RetryPolicy {
    RetryPolicy::builder()
        .initial_interval(Duration::from_secs(first))
        .backoff_coefficient(2.0)
        .maximum_interval(Duration::from_secs(most))
        .maximum_attempts(attempts)
        .build()
}

/// Lets a read that is retried without limit come back after so long with its last failure.
pub(crate) fn in_steps(mut options: ActivityOptions, step_secs: u64) -> ActivityOptions {
    if let ActivityCloseTimeouts::StartToClose(limit) = options.close_timeouts {
        options.close_timeouts = ActivityCloseTimeouts::ScheduleAndStartToClose {
            schedule_to_close: Duration::from_secs(step_secs),
            start_to_close: limit,
        };
    }
    options
}

/// Lets an activity be tried once.
pub(crate) fn once(mut options: ActivityOptions) -> ActivityOptions {
    options.retry_policy = Some(retry(1, 1, 1));
    options
}

/// The store: retried without limit, because what was decided must be written down.
pub(crate) fn store(summary: impl Into<String>) -> ActivityOptions {
    options(queues::MAIN, 30, retry(1, 60, 0), None, summary.into())
}

/// The letter of a workflow that gives up: its schedule does not start it again meanwhile, so not for ever.
pub(crate) fn last_letter() -> ActivityOptions {
    in_steps(store("leave a dead letter"), 24 * 3600)
}

/// Reading from `SuperOps`: retried without limit, a dead `SuperOps` pauses and does not fail.
pub(crate) fn superops_read(summary: impl Into<String>) -> ActivityOptions {
    options(
        queues::SUPEROPS,
        60,
        retry(2, 300, 0),
        Some(queues::PRIORITY_POLL),
        summary.into(),
    )
}

/// Walking over the `SuperOps` inventory.
pub(crate) fn inventory(summary: impl Into<String>) -> ActivityOptions {
    options(
        queues::INVENTORY,
        60,
        retry(2, 300, 0),
        Some(queues::PRIORITY_INVENTORY),
        summary.into(),
    )
}

/// Refreshing the online snapshot: a miss is made good by the next round.
pub(crate) fn inventory_refresh(summary: impl Into<String>) -> ActivityOptions {
    options(
        queues::INVENTORY,
        60,
        retry(2, 10, 2),
        Some(queues::PRIORITY_INVENTORY),
        summary.into(),
    )
}

/// Starting a script: never repeated by Temporal, because the first try may have reached the device.
pub(crate) fn script_start(summary: impl Into<String>) -> ActivityOptions {
    options(
        queues::SUPEROPS,
        60,
        retry(1, 1, 1),
        Some(queues::PRIORITY_SCRIPT),
        summary.into(),
    )
}

/// Reading a script's activity row back.
pub(crate) fn script_read(summary: impl Into<String>) -> ActivityOptions {
    options(
        queues::SUPEROPS,
        60,
        retry(2, 60, 0),
        Some(queues::PRIORITY_SCRIPT),
        summary.into(),
    )
}

/// NVD: slow and often unwell; given up after a while, the score is then marked unavailable.
pub(crate) fn nvd(summary: impl Into<String>) -> ActivityOptions {
    options(queues::NVD, 100, retry(6, 60, 4), None, summary.into())
}

/// The model: given up soon, the assessment is then marked degraded. The first use of a schema may
/// take minutes.
pub(crate) fn model(summary: impl Into<String>) -> ActivityOptions {
    options(queues::MAIN, 300, retry(2, 20, 3), None, summary.into())
}

/// Noting in the store what nothing waits for: given up after a while.
pub(crate) fn noting(summary: impl Into<String>) -> ActivityOptions {
    options(queues::MAIN, 30, retry(1, 20, 5), None, summary.into())
}

/// Telling triage what is going to happen to a device: given up very soon, the device does not wait for it.
pub(crate) fn announcing(summary: impl Into<String>) -> ActivityOptions {
    let options = options(queues::MAIN, 10, retry(1, 5, 5), None, summary.into());
    in_steps(options, 30)
}

/// Telling people: bounded, a dead chat must not hold a deployment up.
pub(crate) fn notify(summary: impl Into<String>) -> ActivityOptions {
    options(queues::MAIN, 30, retry(1, 30, 5), None, summary.into())
}

/// Sealing the audit trail: repeated for hours, because what one try has done the next one finds.
pub(crate) fn sealing(
    summary: impl Into<String>,
    try_secs: u64,
    give_up_secs: u64,
) -> ActivityOptions {
    let mut options = options(
        queues::MAIN,
        try_secs,
        retry(5, 600, 0),
        None,
        summary.into(),
    );
    options.heartbeat_timeout = Some(Duration::from_secs(120));
    in_steps(options, give_up_secs)
}

/// Writing the report of a campaign: what one try has written the next one finds.
pub(crate) fn reporting(
    summary: impl Into<String>,
    try_secs: u64,
    give_up_secs: u64,
) -> ActivityOptions {
    sealing(summary, try_secs, give_up_secs)
}

/// Reading a source of vulnerability facts: given up after a while, the next run goes on.
pub(crate) fn reading(
    queue: &'static str,
    summary: impl Into<String>,
    give_up_secs: u64,
) -> ActivityOptions {
    let options = options(queue, 120, retry(5, 300, 0), None, summary.into());
    in_steps(options, give_up_secs)
}

/// Reading a patch list for a campaign: one that cannot be read for a while is left to the next one.
pub(crate) fn patch_list(summary: impl Into<String>) -> ActivityOptions {
    let options = inventory(summary);
    in_steps(options, 3600)
}

/// Reading a page of alerts: given up soon, the next reading begins in a minute.
pub(crate) fn alerts(summary: impl Into<String>) -> ActivityOptions {
    in_steps(superops_read(summary), 300)
}

/// Asking a suspect device for evidence: what the small budget for it does not allow within two minutes is
/// left out.
pub(crate) fn evidence(summary: impl Into<String>) -> ActivityOptions {
    let options = options(
        queues::SUPEROPS,
        60,
        retry(2, 30, 5),
        Some(queues::PRIORITY_INVENTORY),
        summary.into(),
    );
    in_steps(options, 120)
}

/// Measuring a suspect device: what is not answered within two minutes is left out.
pub(crate) fn measuring(summary: impl Into<String>) -> ActivityOptions {
    let options = options(queues::MAIN, 110, retry(2, 30, 3), None, summary.into());
    in_steps(options, 120)
}

/// Looking for the cause of an incident: reads its alerts and the network of the client.
pub(crate) fn cause(summary: impl Into<String>) -> ActivityOptions {
    options(queues::MAIN, 120, retry(1, 60, 0), None, summary.into())
}

/// A turn of triage: reads and writes the whole state of a client, step by step.
pub(crate) fn triage(summary: impl Into<String>) -> ActivityOptions {
    let mut options = options(queues::MAIN, 300, retry(1, 60, 0), None, summary.into());
    options.heartbeat_timeout = Some(Duration::from_secs(30));
    options
}

/// Reading a software list for a campaign: what it says is for people and waits for nobody, so it is given
/// up soon.
pub(crate) fn software_list(summary: impl Into<String>) -> ActivityOptions {
    let options = inventory(summary);
    in_steps(options, 900)
}

/// Ranking what a client misses: reads all of it from the store.
pub(crate) fn drafting(summary: impl Into<String>) -> ActivityOptions {
    options(queues::MAIN, 600, retry(1, 60, 0), None, summary.into())
}

/// A child that outlives its parent and is started once: it reports by itself.
pub(crate) fn child(
    workflow_id: String,
    summary: String,
    client: &ClientId,
) -> ChildWorkflowOptions {
    let client = search::CLIENT.value_set(client.to_string());
    ChildWorkflowOptions::builder()
        .workflow_id(workflow_id)
        .parent_close_policy(ParentClosePolicy::Abandon)
        .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
        .cancellation_token(WorkflowCancellationToken::new())
        .static_summary(summary)
        .search_attributes(SearchAttributes::new([client]))
        .build()
}

/// Returns true when a new run has to begin: after so many events, or when the server asks for it.
pub(crate) fn is_long<W>(ctx: &WorkflowContext<W>, events: u32) -> bool {
    ctx.continue_as_new_suggested() || ctx.history_length() >= events
}
