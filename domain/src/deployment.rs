//! Where a deployment stands: what lists, status queries and reports show.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    approval::Request,
    evidence::PlanWaiver,
    guardrail::ForbiddenDevice,
    ids::{ClientId, KbId, PersonId, PlanId},
    outcome::{DeploymentOutcome, OutcomeCounts},
    risk::{RiskAssessment, RiskLevel},
};

/// Stage of a deployment; also search attribute `AutoOpsStage`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading devices and patch details.
    #[default]
    Planning,
    /// Assessing risk.
    Assessing,
    /// Waiting for people.
    AwaitingApproval,
    /// Patching a ring.
    Deploying,
    /// Watching a ring before the next one.
    Soaking,
    /// Stopped by a person or the store's pause flag; may go on.
    Paused,
    /// Stopped because something is wrong; a person has to look.
    Halted,
    /// Rings are done; waiting for devices that were offline.
    Stragglers,
    /// Undoing.
    RollingBack,
    /// Over.
    Done,
}

impl Stage {
    /// Returns the word used in search attributes and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Assessing => "assessing",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Deploying => "deploying",
            Self::Soaking => "soaking",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Stragglers => "stragglers",
            Self::RollingBack => "rolling_back",
            Self::Done => "done",
        }
    }
}

/// A ring of a sealed plan and how far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingStatus {
    /// Name.
    pub name: String,
    /// Devices in it.
    pub devices: u32,
    /// Devices that are being worked on.
    pub in_flight: u32,
    /// Devices that ended, by outcome.
    pub counts: OutcomeCounts,
    /// Its gate opened, or it was the last ring and is done.
    pub passed: bool,
    /// Its gate did not open, and it was left to a person to go on.
    #[serde(default)]
    pub waived: bool,
}

/// Where a deployment stands: answer of query `status`, and the row that lists read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentStatus {
    /// Plan.
    pub plan: PlanId,
    /// Its workflow id.
    pub workflow_id: String,
    /// Client.
    pub client: ClientId,
    /// Patches.
    pub kbs: Vec<KbId>,
    /// Stage.
    pub stage: Stage,
    /// A few words about what is waited for.
    pub note: String,
    /// Why something is not written down yet, or never will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Entries that the audit trail of the deployment lacks, because they were refused for good.
    #[serde(default)]
    pub audit_gaps: u32,
    /// Hash of the sealed plan.
    pub plan_hash: Option<String>,
    /// Revision of the plan, from 1; 0 before it is sealed.
    pub revision: u32,
    /// Risk.
    pub risk: Option<RiskAssessment>,
    /// The open approval request, or the last one.
    pub approval: Option<Request>,
    /// True while people are asked.
    pub needs_approval: bool,
    /// Who approved.
    pub approved_by: Vec<PersonId>,
    /// Devices taken out by guardrails (first 50).
    pub forbidden: Vec<ForbiddenDevice>,
    /// Devices that evidence is taken of first.
    #[serde(default)]
    pub evidence_first: u32,
    /// Who does without that evidence, and why, as the plan says.
    #[serde(default)]
    pub evidence_waived: Option<PlanWaiver>,
    /// Rings.
    pub rings: Vec<RingStatus>,
    /// Devices that were offline and are waited for.
    pub stragglers: u32,
    /// Devices that ended, by outcome, in all.
    pub counts: OutcomeCounts,
    /// By when it should be done.
    pub deadline: Option<Timestamp>,
    /// When the workflow started.
    pub started_at: Timestamp,
    /// When this was written.
    pub updated_at: Timestamp,
    /// How it ended.
    pub outcome: Option<DeploymentOutcome>,
}

impl DeploymentStatus {
    /// Returns the level of the risk, when it is known.
    #[must_use]
    pub fn risk_level(&self) -> Option<RiskLevel> {
        self.risk.as_ref().map(|risk| risk.level)
    }
}

/// Step 8: what a finished deployment is measured by. Durations in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentMetrics {
    /// From start to end.
    pub total_secs: i64,
    /// From the opening of the approval request to its end; 0 without one.
    pub approval_secs: i64,
    /// From approval to end.
    pub deploy_secs: i64,
    /// Verified share of attempted devices, per mille; 1000 when none was attempted.
    pub success_permille: u16,
}

impl DeploymentMetrics {
    /// Computes the verified share of attempted devices in per mille.
    #[must_use]
    pub fn success_permille(counts: &OutcomeCounts) -> u16 {
        let attempted = u64::from(counts.matching(|o| o.was_attempted()));
        let good = u64::from(counts.matching(|o| o.is_success()));
        if attempted == 0 {
            return 1000;
        }
        u16::try_from(good * 1000 / attempted).unwrap_or(1000)
    }
}
