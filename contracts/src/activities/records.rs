//! What is written down: audit, states, results.

use std::convert::Infallible;

use domain::{
    audit::AuditRecord,
    deployment::DeploymentStatus,
    ids::{ClientId, PlanId},
    outcome::DeviceResult,
};
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
}

pub use record_activities::{AppendAudit, SaveDevice, SaveStatus};
