//! Schedules as the server shows them.

use contracts::{converter, queues};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use temporalio_common::protos::temporal::api::{
    common::v1::{Memo, Payload},
    enums::v1::{ScheduleOverlapPolicy, WorkflowExecutionStatus},
    schedule::v1::{ScheduleActionResult, ScheduleState, schedule_action::Action},
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::DescribeScheduleResponse,
};

use super::written::{CATCH_UP, ENTRY, HALF_MADE, MARK, context};
use crate::schedules::entries::Entry;

/// A schedule as the server has it.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Whether it was made here.
    pub ours: bool,
    /// The entry it was made from, if it can be read.
    pub entry: Option<Entry>,
    /// Whether what can be compared on the server is as an apply writes it.
    pub as_applied: bool,
    /// Whether an apply was broken off before it let the schedule go.
    pub half_made: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Why, or what else was noted.
    pub note: String,
    /// Next runs.
    pub next: Vec<Timestamp>,
    /// Runs so far, the newest last; the server keeps some.
    pub recent: Vec<Run>,
    /// Workflow ids of what runs now.
    pub running: Vec<String>,
    /// Runs ever.
    pub runs: i64,
    /// Runs left out because the one before still ran.
    pub skipped: i64,
    /// Runs left out because the server was away for too long.
    pub missed: i64,
    pub(crate) state: ScheduleState,
    pub(crate) conflict_token: Vec<u8>,
}

/// A run of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Workflow id, with the time that the server has appended.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
    /// When it was started.
    pub at: Option<Timestamp>,
    /// How the workflow is, as far as the schedule has heard.
    pub status: Option<String>,
}

#[cfg(test)]
impl Standing {
    /// A schedule that goes on, without an entry.
    pub(crate) fn example() -> Self {
        Self {
            ours: true,
            entry: None,
            as_applied: true,
            half_made: false,
            paused: false,
            note: String::new(),
            next: vec![],
            recent: vec![],
            running: vec![],
            runs: 0,
            skipped: 0,
            missed: 0,
            state: ScheduleState::default(),
            conflict_token: vec![],
        }
    }
}

pub(super) fn is_ours(memo: Option<&Memo>) -> bool {
    memo.is_some_and(|memo| memo.fields.contains_key(MARK))
}

/// Reads an answer; what it lacks is as if nothing were there.
pub(super) async fn standing(answer: DescribeScheduleResponse) -> Standing {
    let schedule = answer.schedule.unwrap_or_default();
    let state = schedule.state.unwrap_or_default();
    let info = answer.info.unwrap_or_default();
    let start = match schedule.action.and_then(|action| action.action) {
        Some(Action::StartWorkflow(start)) => start,
        None => NewWorkflowExecutionInfo::default(),
    };
    let zone = schedule.spec.unwrap_or_default().timezone_name;
    let entry = entry_of(&start).await;
    let policies = schedule.policies.unwrap_or_default();
    let as_applied = entry.as_ref().is_some_and(|entry| {
        let workflow_type = start.workflow_type.as_ref().map(|kind| kind.name.as_str());
        let queue = start.task_queue.as_ref().map(|queue| queue.name.as_str());
        Some(&start.workflow_id) == entry.workflow_id().as_ref()
            && workflow_type == Some(entry.kind.workflow_type())
            && queue == Some(queues::MAIN)
            && zone == entry.time_zone
            && policies.overlap_policy == ScheduleOverlapPolicy::Skip as i32
            && policies
                .catchup_window
                .is_some_and(|window| window.seconds == CATCH_UP)
    });
    Standing {
        ours: is_ours(answer.memo.as_ref()),
        entry,
        as_applied,
        half_made: state.paused && state.notes == HALF_MADE,
        paused: state.paused,
        note: state.notes.clone(),
        next: info
            .future_action_times
            .iter()
            .filter_map(|at| time(at.seconds, at.nanos))
            .collect(),
        recent: info.recent_actions.iter().filter_map(run).collect(),
        running: info
            .running_workflows
            .into_iter()
            .map(|one| one.workflow_id)
            .collect(),
        runs: info.action_count,
        skipped: info.overlap_skipped,
        missed: info.missed_catchup_window,
        state,
        conflict_token: answer.conflict_token,
    }
}

async fn entry_of(start: &NewWorkflowExecutionInfo) -> Option<Entry> {
    let kept = start.memo.as_ref()?.fields.get(ENTRY)?;
    let mut entry: Entry = value(vec![kept.clone()]).await?;
    let input = start.input.as_ref()?.payloads.clone();
    entry.input = value::<Map<String, Value>>(input).await?;
    Some(entry)
}

fn run(action: &ScheduleActionResult) -> Option<Run> {
    let started = action.start_workflow_result.as_ref()?;
    let status = WorkflowExecutionStatus::try_from(action.start_workflow_status).ok();
    Some(Run {
        workflow_id: started.workflow_id.clone(),
        run_id: started.run_id.clone(),
        at: action.actual_time.and_then(|at| time(at.seconds, at.nanos)),
        status: status
            .filter(|status| *status != WorkflowExecutionStatus::Unspecified)
            .map(|status| {
                let name = status
                    .as_str_name()
                    .trim_start_matches("WORKFLOW_EXECUTION_STATUS_");
                name.to_ascii_lowercase()
            }),
    })
}

fn time(seconds: i64, nanos: i32) -> Option<Timestamp> {
    Timestamp::new(seconds, nanos).ok()
}

/// Reads what another version may have written.
async fn value<T: DeserializeOwned + 'static>(payloads: Vec<Payload>) -> Option<T> {
    let converter = converter::data_converter();
    converter.from_payloads(&context(), payloads).await.ok()
}
