//! Workflow `DevicePatch`: input, result, signal and status.

use domain::{
    evidence::{StoredEvidence, Waiver},
    guardrail::Verdict,
    ids::{ClientId, DeviceId, JobId, KbId, PlanId},
    outcome::DeviceResult,
    plan::{BlackoutSpec, HealthSpec, RebootPolicy, Waits, WindowSpec},
    script::ScriptReport,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::activities::policy::Figures;

/// Why a device run is told to stop: decides what a run that has not begun reports, and whether one
/// that has begun cuts its waits short. The strictest that was said holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The deployment is halted or its plan changes: finish in peace; what has not begun is put off.
    StandDown,
    /// A gate has stopped the deployment: finish in peace; what has not begun is aborted.
    Stopped,
    /// The deployment was aborted: hurry; what has not begun is aborted.
    Aborted,
}

/// Signal `stop`: the deployment tells a device run to stop where that is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopInput {
    /// Why.
    pub why: Stop,
}

/// Signal `waive_evidence`: the deployment passes on who lets the device be patched without evidence.
/// Whoever sends it is looked up again: an order by hand is no more here than it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaiverInput {
    /// Who waives it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The device that the order named; absent when it was for all.
    #[serde(default)]
    pub device: Option<DeviceId>,
    /// Signature of the API; absent when sent by hand.
    #[serde(default)]
    pub proof: Option<String>,
}

/// Evidence before an installation, as the plan and people ask for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceNeed {
    /// Nobody asks for it.
    #[default]
    NotNeeded,
    /// It is taken first.
    First,
    /// It should be, and somebody lets the device be patched without it.
    Waived(Waiver),
    /// An earlier attempt of this plan has it.
    Stored(StoredEvidence),
}

/// What a run does to the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Install the patches.
    #[default]
    Install,
    /// Remove patches this plan installed.
    RollBack,
}

/// Input of `DevicePatch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevicePatchInput {
    /// Plan.
    pub plan: PlanId,
    /// Revision that is run.
    pub revision: u32,
    /// Its hash.
    pub plan_hash: String,
    /// Client.
    pub client: ClientId,
    /// Device.
    pub device: DeviceId,
    /// Ring index.
    pub ring: u32,
    /// From 1; more than 1 from the stragglers lane.
    pub attempt: u32,
    /// Install or roll back.
    #[serde(default)]
    pub intent: Intent,
    /// KBs in order.
    pub kbs: Vec<KbId>,
    /// Of these, the ones that an earlier attempt of this plan has put on the device.
    #[serde(default)]
    pub installed_before: Vec<KbId>,
    /// Whether and when to restart.
    pub reboot: RebootPolicy,
    /// Undo after a failure.
    pub roll_back_failures: bool,
    /// What healthy means.
    pub health: HealthSpec,
    /// Maintenance windows.
    pub windows: Vec<WindowSpec>,
    /// Blackouts.
    pub blackouts: Vec<BlackoutSpec>,
    /// Zone the plan names, if it does.
    pub time_zone: Option<String>,
    /// By when it should be done.
    pub deadline: Option<Timestamp>,
    /// Figures guardrails are asked with.
    pub figures: Figures,
    /// What the plan was cleared for; anything stricter needs a new approval.
    pub cleared: Verdict,
    /// Waits.
    pub waits: Waits,
    /// Evidence before the installation.
    #[serde(default)]
    pub evidence: EvidenceNeed,
}

/// Result of `DevicePatch`; the same goes to the store, and its outcome to the deployment.
pub type DevicePatchResult = DeviceResult;

/// Signal `script_finished`: the device script's report, passed on by the callback receiver.
pub type ScriptFinished = ScriptReport;

/// What a device run is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceStage {
    /// Waits for another workflow to let go of the device.
    #[default]
    WaitingForLease,
    /// Waits for its maintenance window.
    WaitingForWindow,
    /// Waits for the device to come online.
    WaitingForDevice,
    /// Asks guardrails and reads the patch list.
    Preflight,
    /// Takes evidence, or waits for a person because it could not be taken.
    CollectingEvidence,
    /// Runs the installation.
    Installing,
    /// Restarts.
    Rebooting,
    /// Waits for the scan that confirms it.
    Verifying,
    /// Watches services and alerts.
    WatchingHealth,
    /// Undoes.
    RollingBack,
    /// Over.
    Done,
}

impl DeviceStage {
    /// Returns the word used in search attributes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WaitingForLease => "waiting_for_lease",
            Self::WaitingForWindow => "waiting_for_window",
            Self::WaitingForDevice => "waiting_for_device",
            Self::Preflight => "preflight",
            Self::CollectingEvidence => "collecting_evidence",
            Self::Installing => "installing",
            Self::Rebooting => "rebooting",
            Self::Verifying => "verifying",
            Self::WatchingHealth => "watching_health",
            Self::RollingBack => "rolling_back",
            Self::Done => "done",
        }
    }
}

/// Answer of query `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePatchStatus {
    /// What it is doing.
    pub stage: DeviceStage,
    /// A few words.
    pub note: String,
    /// Why something is not written down yet, or never will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Entries that the audit trail of this run lacks, because they were refused for good.
    #[serde(default)]
    pub audit_gaps: u32,
    /// Script runs started so far.
    pub jobs: Vec<JobId>,
}
