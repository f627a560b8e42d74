//! Device runs that have been silent for long: over, or still at work?

use clients::store::{DeviceRow, SealedPlan};
use contracts::{
    activities::{
        plans::{CheckChildrenInput, CheckChildrenResult, ChildRun, EndedChild},
        records::SaveDeviceInput,
    },
    device::Intent,
    ids::DeviceRun,
};
use domain::{
    ids::PlanId,
    outcome::{DeviceOutcome, DeviceResult},
};
use temporalio_client::{
    Client, UntypedWorkflow, WorkflowDescribeOptions, WorkflowExecutionStatus,
    errors::WorkflowInteractionError,
};

use super::PlanActivities;
use crate::failure::{Failed, Outcome, TemporalError};

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
                let outcome = self.outcome_of(&input.plan, run).await?;
                ended.push(EndedChild {
                    device: run.device.clone(),
                    attempt: run.attempt,
                    outcome,
                });
            }
        }
        Ok(CheckChildrenResult { ended })
    }

    async fn outcome_of(&self, plan: &PlanId, run: &ChildRun) -> Outcome<DeviceOutcome> {
        let row = self
            .store
            .executions
            .get_device_row(plan, &run.device)
            .await?;
        match row {
            Some(row) if row.attempt >= run.attempt => Ok(row.result.outcome),
            row => self.needs_human(plan, run, row).await,
        }
    }

    async fn needs_human(
        &self,
        plan: &PlanId,
        run: &ChildRun,
        before: Option<DeviceRow>,
    ) -> Outcome<DeviceOutcome> {
        let executions = &self.store.executions;
        let sealed = self.newest(plan).await?;
        let mut planned = sealed.iter().flat_map(|sealed| &sealed.document.devices);
        let planned = planned.find(|device| device.id == run.device);
        let at = self.clock.now();
        let row = DeviceRow {
            plan: plan.clone(),
            ring: before.map_or(planned.map_or(0, |device| device.ring), |row| row.ring),
            attempt: run.attempt,
            result: DeviceResult {
                device: run.device.clone(),
                outcome: DeviceOutcome::NeedsHuman,
                detail: NO_RESULT.to_owned(),
                patches: Vec::new(),
                evidence: None,
            },
            at,
        };
        executions.put_device_row(row.clone()).await?;
        let Some(sealed) = sealed else {
            return Ok(DeviceOutcome::NeedsHuman);
        };
        let undoes = DeviceRun::of_workflow(&run.workflow_id)
            .is_some_and(|run| run.intent == Intent::RollBack);
        let saved = SaveDeviceInput {
            plan: row.plan,
            client: sealed.request.client,
            workflow_id: run.workflow_id.clone(),
            ring: row.ring,
            attempt: row.attempt,
            result: row.result,
            kbs: sealed.document.actions.install,
            jobs: Vec::new(),
            rollback_failed: undoes,
        };
        if let Some(letter) = saved.dead_letter(at) {
            executions.put_dead_letter(letter).await?;
        }
        Ok(DeviceOutcome::NeedsHuman)
    }

    /// Reads the newest revision of a plan.
    async fn newest(&self, plan: &PlanId) -> Outcome<Option<SealedPlan>> {
        let executions = &self.store.executions;
        match executions.get_status(plan).await? {
            Some(status) => Ok(executions.get_plan(plan, status.revision).await?),
            None => Ok(None),
        }
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
