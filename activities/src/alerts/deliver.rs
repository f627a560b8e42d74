//! Telling the workflow of an incident. A signal with a start: it is told whether it runs already or not.

use clients::store::IncidentChange;
use contracts::{
    activities::alerts::DeliverInput,
    alerts::{IncidentResponseInput, NewsInput},
    ids, search,
};
use temporalio_client::{
    Client, UntypedSignal, UntypedWorkflow, WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_common::search_attributes::SearchAttributes;
use temporalio_sdk::activities::ActivityContext;

use super::Alerting;
use crate::{
    failure::{Outcome, TemporalError},
    wire::encode,
};

/// Wire name of the workflow.
const WORKFLOW_TYPE: &str = "IncidentResponse";
/// Wire name of its signal.
const SIGNAL: &str = "news";

/// A server, and the task queue of workflows.
#[derive(Debug)]
pub struct Server {
    client: Client,
    queue: String,
}

impl Server {
    /// Returns the one that an activity runs on: incidents are answered where their alerts are processed.
    #[must_use]
    pub fn of(ctx: &ActivityContext) -> Self {
        Self {
            client: ctx.client(),
            queue: ctx.info().task_queue.clone(),
        }
    }
}

/// Who can tell workflows of incidents.
pub trait Responses: Sync {
    /// Tells one; starts it when it does not run.
    fn news(
        &self,
        input: IncidentResponseInput,
        news: NewsInput,
        summary: String,
    ) -> impl Future<Output = Outcome<()>> + Send;
}

impl Alerting {
    /// Tells the workflow of an incident, which starts when it does not run.
    ///
    /// # Errors
    /// When there is no such incident, or the store or Temporal do not answer.
    pub async fn tell(&self, input: &DeliverInput, responses: &impl Responses) -> Outcome<()> {
        let record = self.load(&input.incident).await?;
        if record.delivered >= input.version || !record.is_answered() {
            return Ok(());
        }
        let response = IncidentResponseInput {
            incident: input.incident.clone(),
            waits: input.waits,
            carry: None,
        };
        let version = record.version;
        // No words of alerts: a summary is kept where nothing is encrypted.
        let summary = format!(
            "incident {}, {}",
            input.incident,
            record.severity().as_str()
        );
        responses
            .news(response, NewsInput { version }, summary)
            .await?;
        let told = IncidentChange::Delivered(version);
        self.store
            .alerts
            .change_incident(&input.incident, told)
            .await?;
        Ok(())
    }
}

impl Responses for Server {
    async fn news(
        &self,
        input: IncidentResponseInput,
        news: NewsInput,
        summary: String,
    ) -> Outcome<()> {
        let client = search::CLIENT.value_set(input.incident.client().to_string());
        let options = WorkflowStartOptions::new(self.queue.clone(), ids::incident(&input.incident))
            // One that came back after it was closed has a workflow again.
            .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
            .search_attributes(SearchAttributes::new([client]))
            .static_summary(summary)
            .build();
        let started = self
            .client
            .signal_with_start_workflow(
                UntypedWorkflow::new(WORKFLOW_TYPE),
                encode(&input)?,
                UntypedSignal::new(SIGNAL),
                encode(&news)?,
                options,
            )
            .await;
        started
            .map(drop)
            .map_err(|error| TemporalError::new(error).into())
    }
}
