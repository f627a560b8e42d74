//! Starting a workflow that gave up again, as its dead letter says.

use anyhow::{Context, bail};
use contracts::queues;
use domain::dead_letter::Rerun;
use jiff::Timestamp;
use temporalio_client::{
    UntypedWorkflow, WorkflowDescribeOptions, WorkflowIdReusePolicy, WorkflowStartOptions,
    errors::{WorkflowInteractionError, WorkflowStartError},
};

use super::{Started, Temporal, deployment::encode};

impl Temporal {
    /// Says when the last run of a workflow began; nothing when the server knows of none, or of none
    /// any more.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn last_began(&self, workflow_id: &str) -> anyhow::Result<Option<Timestamp>> {
        let handle = self
            .client
            .get_workflow_handle::<UntypedWorkflow>(workflow_id);
        match handle.describe(WorkflowDescribeOptions::default()).await {
            Ok(last) => {
                let began = last.start_time().map(Timestamp::try_from).transpose()?;
                Ok(began.or(Some(Timestamp::UNIX_EPOCH)))
            }
            Err(WorkflowInteractionError::NotFound(_)) => Ok(None),
            Err(error) => bail!("{workflow_id} cannot be looked up: {error}"),
        }
    }

    /// Starts a workflow that gave up again, under its own id. One that is at work, or has ended well, is
    /// left alone.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses it.
    pub async fn start_again(&self, workflow_id: &str, again: &Rerun) -> anyhow::Result<Started> {
        let options = WorkflowStartOptions::new(queues::MAIN, workflow_id.to_owned())
            .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicateFailedOnly)
            .static_summary("started again because of a dead letter".to_owned())
            .build();
        let input = encode(&again.input)?;
        let started = self
            .client
            .start_workflow(UntypedWorkflow::new(&again.workflow), input, options)
            .await;
        match started {
            Ok(handle) => Ok(Started::Yes {
                run_id: handle.run_id().map(str::to_owned),
            }),
            Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(Started::Before),
            Err(error) => {
                Err(error).with_context(|| format!("{workflow_id} cannot be started again"))
            }
        }
    }
}
