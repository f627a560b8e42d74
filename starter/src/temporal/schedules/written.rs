//! Schedules as they are written to the server.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, anyhow, bail};
use contracts::{converter, queues, search};
use serde::Serialize;
use serde_json::Value;
use temporalio_common::{
    data_converters::{SerializationContextData, WorkflowSerializationContext},
    protos::temporal::api::{
        common::v1::{Memo, Payload, Payloads, SearchAttributes as ProtoAttributes, WorkflowType},
        enums::v1::ScheduleOverlapPolicy,
        schedule::v1::{
            IntervalSpec, Schedule, ScheduleAction, SchedulePolicies, ScheduleSpec, ScheduleState,
            schedule_action::Action,
        },
        sdk::v1::UserMetadata,
        taskqueue::v1::TaskQueue,
        workflow::v1::NewWorkflowExecutionInfo,
    },
    search_attributes::SearchAttributes,
};

use crate::schedules::{entries::Entry, times::When};

/// Memo of a schedule that was made here.
pub(super) const MARK: &str = "autoops";
/// Memo of the workflows of a schedule: the entry it was made from. A schedule's own memo cannot be
/// changed, that of its workflows can.
pub(super) const ENTRY: &str = "autoops_schedule";
/// A tick that is later than this has lost its sense, in seconds; the server would catch up a year.
pub(super) const CATCH_UP: i64 = 120;
/// Note of a schedule that was made and is not let go yet.
pub(super) const HALF_MADE: &str = "autoops schedules apply is not through yet";
/// Note of a schedule that goes on.
const GOES: &str = "applied by autoops";
/// Note of a schedule that its file wants paused.
const PAUSED: &str = "paused by its file";

/// What the note of a schedule that goes on says.
pub(super) fn going(entry: &Entry) -> String {
    entry.note.clone().unwrap_or_else(|| GOES.to_owned())
}

/// What the note of a schedule that its file wants paused says.
pub(super) fn waiting(entry: &Entry) -> String {
    entry.note.clone().unwrap_or_else(|| PAUSED.to_owned())
}

pub(super) fn attributes(entry: &Entry) -> Option<ProtoAttributes> {
    let client = entry.client.as_ref()?;
    let client = search::CLIENT.value_set(client.to_string());
    Some(SearchAttributes::new([client]).into_proto())
}

pub(super) async fn schedule(entry: &Entry, state: ScheduleState) -> anyhow::Result<Schedule> {
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

pub(super) fn context() -> SerializationContextData {
    SerializationContextData::Workflow(WorkflowSerializationContext::new())
}

async fn payloads<T: Serialize + 'static>(value: &T) -> anyhow::Result<Vec<Payload>> {
    let converter = converter::data_converter();
    let made = converter.to_payloads(&context(), value).await;
    made.map_err(|error| anyhow!("what is sent cannot be written: {error}"))
}

pub(super) async fn memo<T: Serialize + 'static>(key: &str, value: &T) -> anyhow::Result<Memo> {
    let payload = payloads(value).await?.pop().context("nothing to keep")?;
    Ok(Memo {
        fields: HashMap::from([(key.to_owned(), payload)]),
    })
}
