//! Schedules, by the calls of the server itself: those of the SDK's client know neither memo nor
//! search attributes nor a catch-up window.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, anyhow, bail};
use contracts::{converter, queues, search};
use domain::ids::ScheduleName;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use temporalio_client::{
    NamespacedClient,
    tonic::{Code, IntoRequest, Response, Status},
};
use temporalio_common::{
    data_converters::{SerializationContextData, WorkflowSerializationContext},
    protos::temporal::api::{
        common::v1::{Memo, Payload, Payloads, SearchAttributes as ProtoAttributes, WorkflowType},
        enums::v1::{ScheduleOverlapPolicy, WorkflowExecutionStatus},
        schedule::v1::{
            IntervalSpec, Schedule, ScheduleAction, ScheduleActionResult, SchedulePatch,
            SchedulePolicies, ScheduleSpec, ScheduleState, TriggerImmediatelyRequest,
            schedule_action::Action,
        },
        sdk::v1::UserMetadata,
        taskqueue::v1::TaskQueue,
        workflow::v1::NewWorkflowExecutionInfo,
        workflowservice::v1::{
            CreateScheduleRequest, DeleteScheduleRequest, DescribeScheduleRequest,
            DescribeScheduleResponse, ListSchedulesRequest, PatchScheduleRequest,
            UpdateScheduleRequest,
        },
    },
    search_attributes::SearchAttributes,
};
use uuid::Uuid;

use super::Temporal;
use crate::schedules::{entries::Entry, times::When};

/// Memo of a schedule that was made here.
const MARK: &str = "autoops";
/// Memo of the workflows of a schedule: the entry it was made from. A schedule's own memo cannot be
/// changed, that of its workflows can.
const ENTRY: &str = "autoops_schedule";
/// A tick that is later than this has lost its sense, in seconds; the server would catch up a year.
const CATCH_UP: i64 = 120;
/// Note of a schedule that was made and is not let go yet.
const HALF_MADE: &str = "autoops schedules apply is not through yet";
/// Note of a schedule that goes on.
const GOES: &str = "applied by autoops";
/// Note of a schedule that its file wants paused.
const PAUSED: &str = "paused by its file";
/// How long a call may take; a person waits for it.
const CALL: Duration = Duration::from_secs(15);
/// Schedules listed at once.
const PAGE: i32 = 100;

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

impl Temporal {
    /// Lists the schedules that were made here, by name. A new one may take a moment to appear.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn schedules(&self) -> anyhow::Result<Vec<ScheduleName>> {
        let (mut names, mut next_page_token) = (vec![], vec![]);
        loop {
            let request = ListSchedulesRequest {
                namespace: self.client.namespace(),
                maximum_page_size: PAGE,
                next_page_token,
                ..ListSchedulesRequest::default()
            };
            let mut service = self.client.connection().workflow_service();
            let page = within(service.list_schedules(request.into_request())).await;
            let page = page.map_err(|status| refused("does not list schedules", &status))?;
            let ours = page
                .schedules
                .into_iter()
                .filter(|one| is_ours(one.memo.as_ref()));
            names.extend(ours.filter_map(|one| one.schedule_id.parse().ok()));
            next_page_token = page.next_page_token;
            if next_page_token.is_empty() {
                names.sort_unstable();
                return Ok(names);
            }
        }
    }

    /// Asks for a schedule; `None` when there is none.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn schedule(&self, name: &ScheduleName) -> anyhow::Result<Option<Standing>> {
        let request = DescribeScheduleRequest {
            namespace: self.client.namespace(),
            schedule_id: name.to_string(),
        };
        let mut service = self.client.connection().workflow_service();
        match within(service.describe_schedule(request.into_request())).await {
            Ok(answer) => Ok(Some(standing(answer).await)),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(refused(&format!("does not show schedule {name}"), &status)),
        }
    }

    /// Makes a schedule: paused first, then let go unless the entry wants it paused.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn create_schedule(&self, entry: &Entry) -> anyhow::Result<()> {
        let state = ScheduleState {
            paused: true,
            notes: match entry.paused {
                true => entry.note.clone().unwrap_or_else(|| PAUSED.to_owned()),
                false => HALF_MADE.to_owned(),
            },
            ..ScheduleState::default()
        };
        let request = CreateScheduleRequest {
            namespace: self.client.namespace(),
            schedule_id: entry.name.to_string(),
            schedule: Some(schedule(entry, state).await?),
            identity: self.client.identity(),
            request_id: Uuid::now_v7().to_string(),
            memo: Some(memo(MARK, &"schedule").await?),
            search_attributes: attributes(entry),
            ..CreateScheduleRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        let created = within(service.create_schedule(request.into_request())).await;
        created.map_err(|status| refused("does not create it", &status))?;
        if entry.paused {
            return Ok(());
        }
        self.unpause_schedule(&entry.name, &going(entry)).await
    }

    /// Changes a schedule to what an entry says. It stays paused or going as it is, unless the
    /// entry changes just that.
    ///
    /// # Errors
    /// When the server refuses it, or somebody else has changed it meanwhile.
    pub async fn update_schedule(&self, entry: &Entry, was: &Standing) -> anyhow::Result<()> {
        let mut state = was.state.clone();
        let before = was.entry.as_ref();
        let is_asked = before.is_some_and(|old| old.paused != entry.paused) || was.half_made;
        if is_asked {
            state.paused = entry.paused;
        }
        if is_asked || !state.paused {
            state.notes = match entry.paused {
                true => entry.note.clone().unwrap_or_else(|| PAUSED.to_owned()),
                false => going(entry),
            };
        }
        let request = UpdateScheduleRequest {
            namespace: self.client.namespace(),
            schedule_id: entry.name.to_string(),
            schedule: Some(schedule(entry, state).await?),
            conflict_token: was.conflict_token.clone(),
            identity: self.client.identity(),
            request_id: Uuid::now_v7().to_string(),
            search_attributes: Some(attributes(entry).unwrap_or_default()),
            ..UpdateScheduleRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        let updated = within(service.update_schedule(request.into_request())).await;
        updated.map_err(|status| refused("does not change it", &status))?;
        Ok(())
    }

    /// Pauses a schedule.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn pause_schedule(&self, name: &ScheduleName, note: &str) -> anyhow::Result<()> {
        let patch = SchedulePatch {
            pause: note.to_owned(),
            ..SchedulePatch::default()
        };
        self.patch(name, patch).await
    }

    /// Lets a paused schedule go on; what it missed is not caught up.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn unpause_schedule(&self, name: &ScheduleName, note: &str) -> anyhow::Result<()> {
        let patch = SchedulePatch {
            unpause: note.to_owned(),
            ..SchedulePatch::default()
        };
        self.patch(name, patch).await
    }

    /// Starts one run now, unless one still runs.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn trigger_schedule(&self, name: &ScheduleName) -> anyhow::Result<()> {
        let patch = SchedulePatch {
            trigger_immediately: Some(TriggerImmediatelyRequest {
                overlap_policy: ScheduleOverlapPolicy::Skip as i32,
                ..TriggerImmediatelyRequest::default()
            }),
            ..SchedulePatch::default()
        };
        self.patch(name, patch).await
    }

    /// Deletes a schedule; its workflows are left alone.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn delete_schedule(&self, name: &ScheduleName) -> anyhow::Result<()> {
        let request = DeleteScheduleRequest {
            namespace: self.client.namespace(),
            schedule_id: name.to_string(),
            identity: self.client.identity(),
        };
        let mut service = self.client.connection().workflow_service();
        let deleted = within(service.delete_schedule(request.into_request())).await;
        deleted.map_err(|status| refused(&format!("does not delete schedule {name}"), &status))?;
        Ok(())
    }

    async fn patch(&self, name: &ScheduleName, patch: SchedulePatch) -> anyhow::Result<()> {
        let request = PatchScheduleRequest {
            namespace: self.client.namespace(),
            schedule_id: name.to_string(),
            patch: Some(patch),
            identity: self.client.identity(),
            request_id: Uuid::now_v7().to_string(),
        };
        let mut service = self.client.connection().workflow_service();
        let patched = within(service.patch_schedule(request.into_request())).await;
        patched.map_err(|status| refused(&format!("does not change schedule {name}"), &status))?;
        Ok(())
    }
}

async fn within<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(CALL, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!(
            "no answer within {} s",
            CALL.as_secs()
        ))),
    }
}

fn refused(what: &str, status: &Status) -> anyhow::Error {
    anyhow!("the Temporal server {what}: {}", status.message())
}

/// What the note of a schedule that goes on says.
fn going(entry: &Entry) -> String {
    entry.note.clone().unwrap_or_else(|| GOES.to_owned())
}

fn is_ours(memo: Option<&Memo>) -> bool {
    memo.is_some_and(|memo| memo.fields.contains_key(MARK))
}

fn attributes(entry: &Entry) -> Option<ProtoAttributes> {
    let client = entry.client.as_ref()?;
    let client = search::CLIENT.value_set(client.to_string());
    Some(SearchAttributes::new([client]).into_proto())
}

async fn schedule(entry: &Entry, state: ScheduleState) -> anyhow::Result<Schedule> {
    let mut spec = ScheduleSpec {
        timezone_name: entry.time_zone.clone(),
        ..ScheduleSpec::default()
    };
    match &entry.when {
        When::Cron(line) => spec.cron_string = vec![line.clone()],
        When::EverySecs(secs) => {
            spec.interval = vec![IntervalSpec {
                interval: Some(Duration::from_secs(*secs).try_into()?),
                phase: None,
            }];
        }
    }
    let Some(workflow_id) = entry.workflow_id() else {
        bail!("{} and its client do not go together", entry.kind)
    };
    let summary = match &entry.client {
        Some(client) => format!("{} {} for client {client}", entry.kind, entry.name),
        None => format!("{} {}", entry.kind, entry.name),
    };
    let start = NewWorkflowExecutionInfo {
        workflow_id,
        workflow_type: Some(WorkflowType {
            name: entry.kind.workflow_type().to_owned(),
        }),
        task_queue: Some(TaskQueue {
            name: queues::MAIN.to_owned(),
            ..TaskQueue::default()
        }),
        input: Some(Payloads {
            payloads: payloads(&Value::Object(entry.input.clone())).await?,
        }),
        memo: Some(memo(ENTRY, entry).await?),
        search_attributes: attributes(entry),
        user_metadata: Some(UserMetadata {
            summary: payloads(&summary).await?.pop(),
            details: None,
        }),
        ..NewWorkflowExecutionInfo::default()
    };
    Ok(Schedule {
        spec: Some(spec),
        action: Some(ScheduleAction {
            action: Some(Action::StartWorkflow(start)),
        }),
        policies: Some(policies()?),
        state: Some(state),
    })
}

fn policies() -> anyhow::Result<SchedulePolicies> {
    Ok(SchedulePolicies {
        overlap_policy: ScheduleOverlapPolicy::Skip as i32,
        catchup_window: Some(Duration::from_secs(CATCH_UP.unsigned_abs()).try_into()?),
        ..SchedulePolicies::default()
    })
}

/// Reads an answer; what it lacks is as if nothing were there.
async fn standing(answer: DescribeScheduleResponse) -> Standing {
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

fn context() -> SerializationContextData {
    SerializationContextData::Workflow(WorkflowSerializationContext::new())
}

async fn payloads<T: Serialize + 'static>(value: &T) -> anyhow::Result<Vec<Payload>> {
    let converter = converter::data_converter();
    let made = converter.to_payloads(&context(), value).await;
    made.map_err(|error| anyhow!("what is sent cannot be written: {error}"))
}

async fn memo<T: Serialize + 'static>(key: &str, value: &T) -> anyhow::Result<Memo> {
    let payload = payloads(value).await?.pop().context("nothing to keep")?;
    Ok(Memo {
        fields: HashMap::from([(key.to_owned(), payload)]),
    })
}

/// Reads what another version may have written.
async fn value<T: DeserializeOwned + 'static>(payloads: Vec<Payload>) -> Option<T> {
    let converter = converter::data_converter();
    converter.from_payloads(&context(), payloads).await.ok()
}
