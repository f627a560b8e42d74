//! Triage of a client and the answer to an incident.

use std::time::Duration;

use anyhow::Context;
use contracts::{
    alerts::{AlertProcessingInput, IncidentResponseStatus, NewsInput, ProcessingWaits},
    ids, queues, search,
};
use domain::{ids::ClientId, triage::IncidentKey};
use temporalio_client::{
    UntypedSignal, UntypedWorkflow, WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_common::search_attributes::SearchAttributes;

use super::{
    Temporal, Trouble,
    deployment::{encode, status},
};

/// Wire name of the workflow that does the triage of a client.
const TRIAGE: &str = "AlertProcessing";

impl Temporal {
    /// Lets the triage of a client look at once at what is new; starts it when it does not run.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn wake_triage(&self, client: &ClientId) -> anyhow::Result<()> {
        let id = ids::alert_processing(client);
        let attribute = search::CLIENT.value_set(client.to_string());
        let options = WorkflowStartOptions::new(queues::MAIN, id.clone())
            .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
            .search_attributes(SearchAttributes::new([attribute]))
            .static_summary("triage of alerts".to_owned())
            .build();
        let input = AlertProcessingInput {
            client: client.clone(),
            waits: ProcessingWaits::default(),
            carry: None,
        };
        let (workflow, signal) = (UntypedWorkflow::new(TRIAGE), UntypedSignal::new("news"));
        let news = encode(&NewsInput::default())?;
        let woken = self.client.signal_with_start_workflow(
            workflow,
            encode(&input)?,
            signal,
            news,
            options,
        );
        woken
            .await
            .map(drop)
            .with_context(|| format!("{id} cannot be told"))
    }

    /// Asks the workflow that answers an incident where it stands.
    ///
    /// # Errors
    /// When there is none, no worker answers in time or the server cannot be reached.
    pub async fn incident(
        &self,
        key: &IncidentKey,
        within: Duration,
    ) -> Result<IncidentResponseStatus, Trouble> {
        let handle = self
            .client
            .get_workflow_handle::<UntypedWorkflow>(ids::incident(key));
        status(&handle, within).await
    }
}
