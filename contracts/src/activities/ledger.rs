//! The ledger of bad patches: what a device says of an update, counted over all clients.

use std::convert::Infallible;

use domain::{
    ids::{DeviceId, KbId, PlanId},
    ledger::{Evidence, Verdict},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// What a device says of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountInput {
    /// Plan; the ledger keeps a hash of it only.
    pub plan: PlanId,
    /// Device; the ledger keeps a hash of it only.
    pub device: DeviceId,
    /// Update.
    pub kb: KbId,
    /// Good or bad.
    pub evidence: Evidence,
    /// When it was known, by the workflow's clock.
    pub at: Timestamp,
}

/// What the ledger says now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountResult {
    /// Whether the update may go on.
    pub verdict: Verdict,
    /// Open deployments of the update that were told to halt, now or before.
    pub halted: u32,
}

/// The ledger.
#[derive(Debug)]
pub struct LedgerActivities;

#[activity_definitions]
impl LedgerActivities {
    /// Counts a device; when that stops the update, halts its open deployments.
    #[activity(name = "ledger.count")]
    pub fn count(_: CountInput) -> Result<CountResult, Infallible> {
        unimplemented!()
    }
}

pub use ledger_activities::Count;
