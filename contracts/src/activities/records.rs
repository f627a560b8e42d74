//! What is written down: audit, states, results.

use std::convert::Infallible;

use domain::{
    audit::AuditRecord,
    dead_letter::{DeadLetter, LetterKind},
    deployment::DeploymentStatus,
    ids::{ClientId, JobId, KbId, PlanId},
    outcome::{DeviceOutcome, DeviceResult},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// Where an audit entry stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// Position in the chain.
    pub sequence: u64,
    /// Its hash.
    pub hash: String,
}

/// Where a deployment stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaveStatusInput {
    /// Status.
    pub status: DeploymentStatus,
}

/// How a device ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaveDeviceInput {
    /// Plan.
    pub plan: PlanId,
    /// Client.
    pub client: ClientId,
    /// Workflow id of the device run.
    pub workflow_id: String,
    /// Ring index.
    pub ring: u32,
    /// Attempt; a rollback counts as one after the attempt it undoes.
    pub attempt: u32,
    /// Result; `NeedsHuman` is listed as a dead letter too.
    pub result: DeviceResult,
    /// Patches the run was about.
    #[serde(default)]
    pub kbs: Vec<KbId>,
    /// Its script runs.
    #[serde(default)]
    pub jobs: Vec<JobId>,
    /// It could not undo what it, or a run before it, had installed.
    #[serde(default)]
    pub rollback_failed: bool,
}

impl SaveDeviceInput {
    /// Makes the letter that is to be kept, when the device needs a human.
    #[must_use]
    pub fn dead_letter(&self, at: Timestamp) -> Option<DeadLetter> {
        let result = &self.result;
        if result.outcome != DeviceOutcome::NeedsHuman {
            return None;
        }
        let kind = if self.rollback_failed {
            LetterKind::DeviceRollbackFailed
        } else {
            LetterKind::DeviceNeedsHuman
        };
        let finished = |kb: &KbId| {
            let mut of_kb = result.patches.iter().filter(|patch| patch.kb == *kb);
            of_kb.any(|patch| patch.outcome.is_final_good())
        };
        let letter = DeadLetter::new(
            kind,
            self.client.clone(),
            (&self.workflow_id, "result"),
            &result.detail,
            at,
        );
        Some(DeadLetter {
            plan: Some(self.plan.clone()),
            device: Some(result.device.clone()),
            kbs: self
                .kbs
                .iter()
                .filter(|kb| !finished(kb))
                .cloned()
                .collect(),
            ..letter.with_jobs(&self.jobs)
        })
    }
}

/// Records.
#[derive(Debug)]
pub struct RecordActivities;

#[activity_definitions]
impl RecordActivities {
    /// Appends to the audit trail; a repeat with the same key finds its own entry.
    #[activity(name = "store.append_audit")]
    pub fn append_audit(_: AuditRecord) -> Result<Audited, Infallible> {
        unimplemented!()
    }

    /// Writes where a deployment stands, for lists.
    #[activity(name = "store.save_status")]
    pub fn save_status(_: SaveStatusInput) -> Result<(), Infallible> {
        unimplemented!()
    }

    /// Writes how a device ended.
    #[activity(name = "store.save_device")]
    pub fn save_device(_: SaveDeviceInput) -> Result<(), Infallible> {
        unimplemented!()
    }

    /// Leaves to a person what no workflow can bring to an end.
    #[activity(name = "store.save_letter")]
    pub fn save_letter(_: DeadLetter) -> Result<(), Infallible> {
        unimplemented!()
    }
}

pub use record_activities::{AppendAudit, SaveDevice, SaveLetter, SaveStatus};
