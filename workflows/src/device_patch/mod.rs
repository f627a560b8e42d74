//! Workflow `DevicePatch`: one device, from lease to verified, rolled back, or "needs a human".
//!
//! Started by `PatchDeployment` for each device of a ring. The script on the device reports by
//! signal `script_finished`; the result goes to the store and, as `device_finished`, to the parent.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

mod announce;
mod attempt;
mod calls;
mod evidence;
mod ledger;
mod script;
mod snapshot;
mod start;
mod undo;
mod verify;
mod waits;
mod writing;

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    deployment::DeviceFinished,
    device::{
        DevicePatchInput, DevicePatchStatus, DeviceStage, ScriptFinished, Stop, StopInput,
        WaiverInput,
    },
    ids::{self, DeviceRun},
    message::Message,
    search,
};
use domain::{
    evidence::StoredEvidence,
    ids::{JobId, KbId},
    outcome::DeviceResult,
    script::ScriptReport,
    triage::Expectation,
    unwritten::Unwritten,
};
use jiff::Timestamp;
use temporalio_workflow::{
    SignalWorkflowOptions, SyncWorkflowContext, WorkflowCancellationToken, WorkflowContext,
    WorkflowContextView, WorkflowResult, workflow, workflow_methods,
};

use crate::{failure, patch_deployment};
use attempt::Attempt;

/// Waivers that may wait at once; more are of a broken script.
const MAX_WAIVERS: usize = 20;

pub(crate) use attempt::asks_for_more;
pub(crate) use evidence::needed_reason;

/// State of one device run.
#[workflow]
#[derive(Debug, Default)]
pub struct DevicePatch {
    stage: DeviceStage,
    note: String,
    jobs: Vec<JobId>,
    reports: BTreeMap<JobId, ScriptReport>,
    /// The lease is ours until then.
    leased_until: Option<Timestamp>,
    /// When guardrails allowed the installation last.
    allowed_at: Option<Timestamp>,
    /// They ask for more than was approved.
    asks_for_more: bool,
    /// A start that changes the device was accepted, or may have been.
    touched: bool,
    /// Their installation failed, or the device was not healthy after it.
    in_trouble: BTreeSet<KbId>,
    /// What was installed should be undone, and is not.
    rollback_failed: bool,
    /// The strictest that the deployment has said.
    stop: Option<Stop>,
    /// What triage was told last.
    announced: Option<Expectation>,
    /// What cannot be written down now, or never could.
    trouble: Option<String>,
    unwritten: Unwritten,
    /// Taken by this attempt.
    evidence: Option<StoredEvidence>,
    /// Who lets it be patched without evidence; not looked up yet.
    waivers: Vec<WaiverInput>,
    waivers_refused: u32,
}

#[workflow_methods]
impl DevicePatch {
    /// Patches one device, or undoes that.
    #[run(name = "DevicePatch")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: Message<DevicePatchInput>,
    ) -> WorkflowResult<DeviceResult> {
        let input = input.into_result().map_err(failure::invalid_input)?;
        check_id(ctx.workflow_id(), &input)?;
        ctx.upsert_search_attributes([
            search::CLIENT.value_set(input.client.to_string()),
            search::STAGE.value_set(DeviceStage::default().as_str().to_owned()),
        ]);
        let attempt = Attempt::new(ctx.clone(), input);
        let (result, needs_new_approval) = attempt.run().await;
        report(ctx, &attempt.input, &result, needs_new_approval).await;
        Ok(result)
    }

    /// The device script has finished.
    #[signal(name = "script_finished")]
    pub fn script_finished(
        &mut self,
        _: &mut SyncWorkflowContext<Self>,
        report: Message<ScriptFinished>,
    ) {
        // A report that cannot be read, or of no job of ours, is as good as none.
        if let Ok(report) = report.into_result()
            && self.jobs.contains(&report.job_id)
        {
            self.reports.entry(report.job_id.clone()).or_insert(report);
        }
    }

    /// The deployment stops: end where that is safe.
    #[signal(name = "stop")]
    pub fn stop(&mut self, _: &mut SyncWorkflowContext<Self>, input: Message<StopInput>) {
        if let Ok(input) = input.into_result() {
            self.stop = self.stop.max(Some(input.why));
        }
    }

    /// Somebody lets the device be patched without evidence.
    #[signal(name = "waive_evidence")]
    pub fn waive_evidence(
        &mut self,
        _: &mut SyncWorkflowContext<Self>,
        input: Message<WaiverInput>,
    ) {
        // The deployment refuses what cannot be read; nothing else sends it.
        if let Ok(input) = input.into_result()
            && self.waivers.len() < MAX_WAIVERS
        {
            self.waivers.push(input);
        }
    }

    /// What it is doing.
    #[query(name = "status")]
    pub fn status(&self, _: &WorkflowContextView) -> DevicePatchStatus {
        DevicePatchStatus {
            stage: self.stage,
            note: self.note.clone(),
            trouble: self.trouble.clone(),
            audit_gaps: self.unwritten.audit_gaps,
            jobs: self.jobs.clone(),
        }
    }
}

/// Somebody may start this workflow by hand: its id must be the one its callbacks are sent to.
fn check_id(
    workflow_id: &str,
    input: &DevicePatchInput,
) -> Result<(), temporalio_workflow::WorkflowTermination> {
    let expected = run_of(input).workflow_id();
    if workflow_id == expected {
        return Ok(());
    }
    Err(failure::invalid_input(format!(
        "workflow id: `{workflow_id}` is not allowed: {expected}"
    )))
}

fn run_of(input: &DevicePatchInput) -> DeviceRun {
    DeviceRun {
        plan: input.plan.clone(),
        device: input.device.clone(),
        attempt: input.attempt,
        intent: input.intent,
    }
}

/// Tells the deployment; one that is over already reads the store instead.
async fn report(
    ctx: &WorkflowContext<DevicePatch>,
    input: &DevicePatchInput,
    result: &DeviceResult,
    needs_new_approval: bool,
) {
    let finished = DeviceFinished {
        device: input.device.clone(),
        attempt: input.attempt,
        outcome: result.outcome,
        needs_new_approval,
    };
    let parent = ctx.external_workflow(ids::patch_deployment(&input.plan), None);
    let options = SignalWorkflowOptions::builder()
        .cancellation_token(WorkflowCancellationToken::new())
        .summary(format!("{} {}", input.device, result.outcome.as_str()))
        .build();
    let sent = parent
        .signal(
            patch_deployment::PatchDeployment::device_finished,
            finished.into(),
            options,
        )
        .await;
    if sent.is_err() {
        ctx.state_mut(|s| {
            "the deployment is over; the result is in the store".clone_into(&mut s.note)
        });
    }
}
