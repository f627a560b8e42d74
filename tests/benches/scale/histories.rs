//! How long histories are, and who has worked on them.

use std::collections::BTreeMap;

use autoops_tests::scale::PerDevice;
use temporalio_client::{Client, NamespacedClient, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::WorkflowExecutionStatus,
    history::v1::{HistoryEvent, history_event::Attributes},
    workflow::v1::WorkflowExecutionInfo,
    workflowservice::v1::{GetWorkflowExecutionHistoryRequest, ListWorkflowExecutionsRequest},
};

const PAGE: i32 = 1000;

/// All runs of a type that are over.
pub(crate) async fn over(client: &Client, kind: &str) -> Vec<WorkflowExecutionInfo> {
    let mut request = ListWorkflowExecutionsRequest {
        namespace: client.namespace(),
        page_size: PAGE,
        query: format!("WorkflowType = '{kind}' AND ExecutionStatus != 'Running'"),
        ..ListWorkflowExecutionsRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let mut service = client.connection().workflow_service();
        let page = service.list_workflow_executions(request.clone().into_request());
        let page = page.await.unwrap().into_inner();
        found.extend(page.executions);
        if page.next_page_token.is_empty() {
            return found;
        }
        request.next_page_token = page.next_page_token;
    }
}

pub(crate) fn longest(runs: &[WorkflowExecutionInfo]) -> i64 {
    let lengths = runs.iter().map(|run| run.history_length);
    lengths.max().unwrap_or_default()
}

/// True for a run that made way for the next.
pub(crate) fn made_way(run: &WorkflowExecutionInfo) -> bool {
    run.status() == WorkflowExecutionStatus::ContinuedAsNew
}

/// What was counted in histories.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    histories: u32,
    events: u32,
    /// By activity.
    pub(crate) activities: BTreeMap<String, u32>,
    /// Workflow tasks done, by who did them.
    pub(crate) tasks: BTreeMap<String, u32>,
}

impl Counts {
    pub(crate) async fn add(&mut self, client: &Client, run: &WorkflowExecutionInfo) {
        self.histories += 1;
        for event in history(client, run.execution.clone()).await {
            self.events += 1;
            match event.attributes {
                Some(Attributes::WorkflowTaskCompletedEventAttributes(done)) => {
                    *self.tasks.entry(done.identity).or_default() += 1;
                }
                Some(Attributes::ActivityTaskScheduledEventAttributes(asked)) => {
                    let name = asked.activity_type.unwrap_or_default().name;
                    *self.activities.entry(name).or_default() += 1;
                }
                _ => {}
            }
        }
    }

    pub(crate) fn means(&self) -> PerDevice {
        let mean = |sum: u32| f64::from(sum) / f64::from(self.histories.max(1));
        PerDevice {
            events: mean(self.events),
            workflow_tasks: mean(self.tasks.values().sum()),
            activities: mean(self.activities.values().sum()),
        }
    }
}

pub(crate) async fn history(client: &Client, run: Option<WorkflowExecution>) -> Vec<HistoryEvent> {
    let mut request = GetWorkflowExecutionHistoryRequest {
        namespace: client.namespace(),
        execution: run,
        maximum_page_size: PAGE,
        ..GetWorkflowExecutionHistoryRequest::default()
    };
    let mut events = Vec::new();
    loop {
        let mut service = client.connection().workflow_service();
        let page = service.get_workflow_execution_history(request.clone().into_request());
        let page = page.await.unwrap().into_inner();
        events.extend(page.history.unwrap_or_default().events);
        if page.next_page_token.is_empty() {
            return events;
        }
        request.next_page_token = page.next_page_token;
    }
}
