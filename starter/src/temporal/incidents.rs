//! Triage of a client and the answer to an incident.

use std::time::Duration;

use anyhow::Context;
use contracts::{
    alerts::{
        AlertIngestInput, AlertProcessingInput, IncidentResponseStatus, NewsInput, ProcessingWaits,
    },
    ids, queues,
    schedule::ScheduleKind,
    search,
};
use domain::{ids::ClientId, input, triage::IncidentKey};
use serde_json::Value;
use temporalio_client::{
    UntypedSignal, UntypedWorkflow, WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_common::search_attributes::SearchAttributes;

use super::{
    Temporal, Trouble,
    deployment::{encode, status},
};
use crate::schedules::entries::Entry;

/// Wire name of the workflow that does the triage of a client.
const TRIAGE: &str = "AlertProcessing";

impl Temporal {
    /// Lets the triage of clients look at once at what is new; starts it where it does not run, as the reading
    /// of alerts would.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn wake_triage(
        &self,
        clients: impl IntoIterator<Item = &ClientId>,
    ) -> anyhow::Result<()> {
        let readings = self.schedules_of(ScheduleKind::AlertIngest).await?;
        let waits = waits_of(readings.iter().filter_map(|one| one.entry.as_ref()))?;
        for client in clients {
            self.wake(client, waits).await?;
        }
        Ok(())
    }

    async fn wake(&self, client: &ClientId, waits: ProcessingWaits) -> anyhow::Result<()> {
        let id = ids::alert_processing(client);
        let attribute = search::CLIENT.value_set(client.to_string());
        let options = WorkflowStartOptions::new(queues::MAIN, id.clone())
            .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
            .search_attributes(SearchAttributes::new([attribute]))
            .static_summary("triage of alerts".to_owned())
            .build();
        let input = AlertProcessingInput {
            client: client.clone(),
            waits,
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

/// Returns the times of triage that the first schedule of readings says; the usual ones where there is none.
fn waits_of<'a>(readings: impl IntoIterator<Item = &'a Entry>) -> anyhow::Result<ProcessingWaits> {
    let Some(entry) = readings.into_iter().next() else {
        return Ok(ProcessingWaits::default());
    };
    let said: AlertIngestInput = input::from_json(&Value::Object(entry.input.clone()))
        .with_context(|| format!("the input of schedule {}", entry.name))?;
    Ok(said.processing)
}
