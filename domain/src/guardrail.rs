//! What guardrails are asked and what they answer. The engine is in `policy`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    device::{Criticality, Exposure},
    ids::{ClientId, DeviceId, KbId},
    people::Role,
};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionType {
    /// Install a patch.
    InstallPatch,
    /// Restart a device.
    RebootDevice,
    /// Remove a patch.
    RollBackPatch,
}

impl ActionType {
    /// Returns the name of the Cedar action.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InstallPatch => "install_patch",
            Self::RebootDevice => "reboot_device",
            Self::RollBackPatch => "roll_back_patch",
        }
    }
}

/// A device as guardrails see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardedDevice {
    /// The device.
    pub id: DeviceId,
    /// Its labels.
    pub tags: BTreeSet<String>,
    /// How much it matters.
    pub criticality: Criticality,
    /// How reachable it is.
    pub exposure: Exposure,
}

/// The facts of one question, all integers: scores are in per mille.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardrailFacts {
    /// What is to be done.
    pub action: ActionType,
    /// For whom.
    pub client: ClientId,
    /// With which patches.
    pub kbs: BTreeSet<KbId>,
    /// Risk of doing it, 0 to 1000.
    pub risk_permille: u16,
    /// Risk of leaving it, 0 to 1000.
    pub urgency_permille: u16,
    /// How much of the evidence was known, 0 to 1000.
    pub confidence_permille: u16,
    /// No model was available.
    pub degraded: bool,
    /// Devices touched in all.
    pub blast_radius: u32,
    /// The action stays inside a maintenance window.
    pub inside_window: bool,
    /// A restart may happen.
    pub may_reboot: bool,
    /// A vulnerability it closes is known to be exploited.
    pub known_exploited: bool,
    /// How much runs unattended, 0 (nothing) to 3; earned, see the learning agent.
    pub autonomy_level: u8,
}

/// What happens when nobody answers in time. Silence never approves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// The request counts as rejected.
    #[default]
    Reject,
    /// Ask again when the next maintenance window comes.
    Hold,
}

/// Whose approval is needed, and by when. Durations in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalNeed {
    /// Least role that may decide.
    pub role: Role,
    /// How many different people have to approve.
    pub quorum: u32,
    /// How long to wait for them.
    pub timeout_secs: u64,
    /// Whom to ask as well, and when.
    #[serde(default)]
    pub escalation: Option<Escalation>,
    /// What silence means.
    #[serde(default)]
    pub on_timeout: OnTimeout,
    /// The requester may not approve.
    #[serde(default)]
    pub four_eyes: bool,
}

/// Who is asked as well when nobody answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// Seconds after the request.
    pub after_secs: u64,
    /// Role asked as well.
    pub role: Role,
}

/// The answer of the guardrails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Verdict {
    /// Must not run at all.
    Forbidden,
    /// May run when people agree.
    NeedsApproval(ApprovalNeed),
    /// May run unattended.
    Auto,
}

impl Verdict {
    /// Orders verdicts: 0 auto, 1 needs approval, 2 forbidden.
    #[must_use]
    pub fn strictness(&self) -> u8 {
        match self {
            Self::Auto => 0,
            Self::NeedsApproval(_) => 1,
            Self::Forbidden => 2,
        }
    }
}

/// A device that must not be touched, and which policies say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForbiddenDevice {
    /// The device.
    pub device: DeviceId,
    /// Ids of the policies that forbid it.
    pub policies: Vec<String>,
}

/// A verdict with what caused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardrailDecision {
    /// The strictest answer over the devices that are left.
    pub verdict: Verdict,
    /// Policies that determined it, sorted.
    pub policies: Vec<String>,
    /// Version of the policy set.
    pub policy_version: String,
    /// Devices taken out.
    pub forbidden: Vec<ForbiddenDevice>,
    /// Evaluation errors; any of them makes the verdict `Forbidden`.
    #[serde(default)]
    pub errors: Vec<String>,
}
