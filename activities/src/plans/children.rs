//! Device runs that have been silent for long: over, or still at work?

use contracts::{
    activities::{
        plans::{CheckChildrenInput, CheckChildrenResult, ChildRun, EndedChild},
        records::SaveDeviceInput,
    },
    device::Intent,
    ids::DeviceRun,
};
use domain::outcome::{DeviceOutcome, DeviceResult};
use temporalio_client::{
    Client, UntypedWorkflow, WorkflowDescribeOptions, WorkflowExecutionStatus,
    errors::WorkflowInteractionError,
};

use super::PlanActivities;
use crate::{
    failure::{Failed, Outcome, TemporalError},
    records::row_of,
};

const NO_RESULT: &str =
    "its workflow ended without a result; look at the device before doing anything";

impl PlanActivities {
    /// Lists the runs that are over. One that left no result needs a human.
    pub(super) async fn ended_children(
        &self,
        input: &CheckChildrenInput,
        runs: &impl Runs,
    ) -> Outcome<CheckChildrenResult> {
        let mut ended = Vec::new();
        for run in &input.runs {
            if runs.is_over(&run.workflow_id).await? {
                let outcome = self.outcome_of(input, run).await?;
                ended.push(EndedChild {
                    device: run.device.clone(),
                    attempt: run.attempt,
                    outcome,
                });
            }
        }
        Ok(CheckChildrenResult { ended })
    }

    async fn outcome_of(
        &self,
        input: &CheckChildrenInput,
        run: &ChildRun,
    ) -> Outcome<DeviceOutcome> {
        let row = self
            .store
            .executions
            .get_device_row(&input.plan, &run.device)
            .await?;
        match row {
            Some(row) if row.attempt >= run.attempt => Ok(row.result.outcome),
            _ => self.needs_human(input, run).await,
        }
    }

    async fn needs_human(
        &self,
        input: &CheckChildrenInput,
        run: &ChildRun,
    ) -> Outcome<DeviceOutcome> {
        let executions = &self.store.executions;
        let at = self.clock.now();
        let undoes = DeviceRun::of_workflow(&run.workflow_id)
            .is_some_and(|run| run.intent == Intent::RollBack);
        let saved = SaveDeviceInput {
            plan: input.plan.clone(),
            client: input.client.clone(),
            workflow_id: run.workflow_id.clone(),
            ring: run.ring,
            attempt: run.attempt,
            result: DeviceResult {
                device: run.device.clone(),
                outcome: DeviceOutcome::NeedsHuman,
                detail: NO_RESULT.to_owned(),
                patches: Vec::new(),
                evidence: None,
            },
            kbs: input.kbs.clone(),
            jobs: Vec::new(),
            rollback_failed: undoes,
        };
        // The row is taken for the end of the run, so the letter has to be there before it.
        if let Some(letter) = saved.dead_letter(at) {
            executions.put_dead_letter(letter).await?;
        }
        executions.put_device_row(row_of(saved, at)).await?;
        Ok(DeviceOutcome::NeedsHuman)
    }
}

/// Who knows whether a workflow is over.
pub(super) trait Runs: Sync {
    /// One that is not known is over too.
    fn is_over(&self, workflow_id: &str) -> impl Future<Output = Outcome<bool>> + Send;
}

impl Runs for Client {
    async fn is_over(&self, workflow_id: &str) -> Outcome<bool> {
        let handle = self.get_workflow_handle::<UntypedWorkflow>(workflow_id);
        match handle.describe(WorkflowDescribeOptions::default()).await {
            Ok(described) => Ok(matches!(
                described.status(),
                WorkflowExecutionStatus::Completed
                    | WorkflowExecutionStatus::Failed
                    | WorkflowExecutionStatus::Canceled
                    | WorkflowExecutionStatus::Terminated
                    | WorkflowExecutionStatus::TimedOut
            )),
            Err(WorkflowInteractionError::NotFound(_)) => Ok(true),
            Err(error) => Err(Failed::from(TemporalError::new(error))),
        }
    }
}
