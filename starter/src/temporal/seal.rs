//! Sealing the audit trail, asked for by a person.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use contracts::{
    ids, queues,
    seal::{DailySealInput, DailySealResult},
};
use jiff::civil::Date;
use temporalio_client::{
    UntypedWorkflow, WorkflowGetResultOptions, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
    WorkflowStartOptions, errors::WorkflowGetResultError,
};
use tokio::time::timeout;

use super::{
    Temporal,
    deployment::{decode, encode, root_cause},
};

/// Wire name of the workflow.
const WORKFLOW_TYPE: &str = "DailySeal";

impl Temporal {
    /// Starts the sealing of everything until a day (UTC), or joins one that runs, and waits for it.
    ///
    /// # Errors
    /// When the server refuses it, it fails, or it is not over in time.
    pub async fn seal(&self, through: Date, within: Duration) -> anyhow::Result<DailySealResult> {
        let id = ids::daily_seal(through);
        let options = WorkflowStartOptions::new(queues::MAIN, id.clone())
            .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .static_summary(format!("seal the audit trail until {through}"))
            .build();
        let input = encode(&DailySealInput {
            through: Some(through),
            ..DailySealInput::default()
        })?;
        let started = self
            .client
            .start_workflow(UntypedWorkflow::new(WORKFLOW_TYPE), input, options)
            .await
            .with_context(|| format!("{id} cannot be started"))?;
        let result = started.get_result(WorkflowGetResultOptions::default());
        match timeout(within, result).await {
            Err(_) => bail!(
                "{id} is not over after {} s; it goes on, and `autoops audit seal` joins it (does a worker run? `autoops health`)",
                within.as_secs()
            ),
            Ok(Ok(raw)) => Ok(decode(raw)?),
            Ok(Err(WorkflowGetResultError::Failed(failure))) => {
                Err(anyhow!("{id} failed: {}", root_cause(&failure)))
            }
            Ok(Err(error)) => Err(anyhow!("{id} did not end well: {error}")),
        }
    }
}
