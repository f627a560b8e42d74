//! `SuperOps` calls about one device; one HTTP request each.

use std::convert::Infallible;

use domain::{
    ids::{DeviceId, JobId, KbId},
    patch::{PatchFacts, PatchState},
    script::ScriptMode,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// Asks what a device's patch list says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPatchesInput {
    /// Device.
    pub device: DeviceId,
    /// Only these KBs are returned.
    pub kbs: Vec<KbId>,
    /// From 1.
    pub page: u32,
}

/// What a page of the patch list says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPatchesResult {
    /// Rows of the asked KBs.
    pub rows: Vec<PatchRow>,
    /// Go on with the next page.
    pub has_more: bool,
}

/// What the patch list says of one KB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchRow {
    /// Details.
    pub facts: PatchFacts,
    /// State.
    pub state: PatchState,
    /// Failure text of the vendor, shortened; untrusted.
    #[serde(default)]
    pub failed_message: Option<String>,
}

/// Asks to run the device script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunScriptInput {
    /// Device.
    pub device: DeviceId,
    /// Job; the script is idempotent by it.
    pub job: JobId,
    /// What it is to do.
    pub mode: ScriptMode,
    /// With which KB.
    #[serde(default)]
    pub kb: Option<KbId>,
    /// The device refuses to start it before then.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// The device refuses to start it after then.
    pub not_after: Timestamp,
    /// Services to look at.
    #[serde(default)]
    pub services: Vec<String>,
}

/// A script run that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunScriptResult {
    /// `SuperOps` `actionConfigId`; no query accepts it, it is kept for support cases.
    pub action_config_id: String,
}

/// Asks for the activity row of a script run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindRunInput {
    /// Device.
    pub device: DeviceId,
    /// Rows made before then belong to an earlier run.
    pub since: Timestamp,
}

/// What the activity rows say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// No row: it was not started, or not yet listed.
    NotFound,
    /// Started, not finished.
    Running,
    /// Finished; the row does not say what came of it.
    Completed,
    /// Failed.
    Failed,
    /// A status we do not know.
    Unknown,
}

/// What the activity rows say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindRunResult {
    /// State of the newest row of our script since then.
    pub state: RunState,
}

/// Asks for critical alerts of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriticalAlertsInput {
    /// Device.
    pub device: DeviceId,
    /// Only alerts created after then.
    pub since: Timestamp,
}

/// Critical alerts of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriticalAlertsResult {
    /// Ids of new critical alerts, at most 20.
    pub alerts: Vec<String>,
}

/// `SuperOps`.
#[derive(Debug)]
pub struct SuperOpsActivities;

#[activity_definitions]
impl SuperOpsActivities {
    /// Reads a page of a device's patch list.
    #[activity(name = "superops.list_patches")]
    pub fn list_patches(_: ListPatchesInput) -> Result<ListPatchesResult, Infallible> {
        unimplemented!()
    }

    /// Starts the device script. Ambiguous failures must be read back before another try.
    #[activity(name = "superops.run_script")]
    pub fn run_script(_: RunScriptInput) -> Result<RunScriptResult, Infallible> {
        unimplemented!()
    }

    /// Reads the device's activity rows.
    #[activity(name = "superops.find_run")]
    pub fn find_run(_: FindRunInput) -> Result<FindRunResult, Infallible> {
        unimplemented!()
    }

    /// Reads the device's newest alerts.
    #[activity(name = "superops.critical_alerts")]
    pub fn critical_alerts(_: CriticalAlertsInput) -> Result<CriticalAlertsResult, Infallible> {
        unimplemented!()
    }
}

pub use super_ops_activities::{CriticalAlerts, FindRun, ListPatches, RunScript};
