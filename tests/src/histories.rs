//! Histories: fetched from the server, and kept as JSON for replay.

use std::path::PathBuf;

use serde_json::Value;
use temporalio_client::{
    Client, UntypedWorkflow, UntypedWorkflowHandle, WorkflowExecutionInfo,
    WorkflowFetchHistoryOptions,
};
use temporalio_common::protos::temporal::api::history::v1::{
    History, HistoryEvent, history_event::Attributes,
};

/// Set to write the histories of the recorded stories anew.
pub const RECORD: &str = "AUTOOPS_RECORD_HISTORIES";

/// Stands for every client and worker in recorded histories.
pub const IDENTITY: &str = "autoops";

/// Folder of the recorded histories.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("histories")
}

/// Fetches the history of every run of a workflow, the first one first.
pub async fn runs_of(client: &Client, workflow_id: &str) -> Vec<Vec<HistoryEvent>> {
    let newest = client.get_workflow_handle::<UntypedWorkflow>(workflow_id);
    let mut runs = vec![events(&newest).await];
    while let Some(before) = run_before(&runs[0]) {
        let info = WorkflowExecutionInfo::builder()
            .namespace("default")
            .workflow_id(workflow_id)
            .run_id(before)
            .build();
        runs.insert(0, events(&info.bind_untyped(client.clone())).await);
    }
    runs
}

async fn events(handle: &UntypedWorkflowHandle<Client>) -> Vec<HistoryEvent> {
    let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
    history.into_events().await.unwrap()
}

fn run_before(events: &[HistoryEvent]) -> Option<String> {
    match events.first()?.attributes.as_ref()? {
        Attributes::WorkflowExecutionStartedEventAttributes(started) => {
            let run = &started.continued_execution_run_id;
            (!run.is_empty()).then(|| run.clone())
        }
        _ => None,
    }
}

/// Returns the input a run was started with.
#[must_use]
pub fn input_of(events: &[HistoryEvent]) -> Option<serde_json::Value> {
    match events.first()?.attributes.as_ref()? {
        Attributes::WorkflowExecutionStartedEventAttributes(started) => {
            let payload = started.input.as_ref()?.payloads.first()?;
            serde_json::from_slice(&payload.data).ok()
        }
        _ => None,
    }
}

/// Writes the runs of a workflow as `{name}.json`, `{name}_2.json` and so on.
pub async fn record(client: &Client, workflow_id: &str, name: &str) {
    for (index, events) in runs_of(client, workflow_id).await.into_iter().enumerate() {
        let file = match index {
            0 => format!("{name}.json"),
            index => format!("{name}_{}.json", index + 1),
        };
        let mut history = serde_json::to_value(History { events }).unwrap();
        forget_machine(&mut history);
        std::fs::write(folder().join(file), history.to_string() + "\n").unwrap();
    }
}

/// Takes out on which machine it was recorded: process and host of clients and workers.
fn forget_machine(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == "identity" {
                    *field = IDENTITY.into();
                } else {
                    forget_machine(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forget_machine),
        _ => {}
    }
}

/// Reads the recorded histories, by file name.
#[must_use]
pub fn recorded() -> Vec<(String, History)> {
    let files = std::fs::read_dir(folder()).unwrap();
    let mut found: Vec<_> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read(&path).unwrap();
            let history = serde_json::from_slice(&text).unwrap();
            (name, history)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
