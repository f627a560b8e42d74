//! Guardrails, asked again and again: they go stale.

use std::convert::Infallible;

use domain::{
    guardrail::{ActionType, GuardrailDecision},
    ids::{ClientId, DeviceId, KbId, PlanId},
    risk::RiskAssessment,
};
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// Figures of the risk assessment that guardrails look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Risk of deploying, per mille.
    pub risk_permille: u16,
    /// Risk of leaving it, per mille.
    pub urgency_permille: u16,
    /// How much of the evidence was known, per mille.
    pub confidence_permille: u16,
    /// No model was available.
    pub degraded: bool,
    /// A vulnerability is known to be exploited.
    pub known_exploited: bool,
    /// Devices of the plan.
    pub blast_radius: u32,
}

impl Figures {
    /// Takes the figures of an assessment.
    #[must_use]
    pub fn of(risk: &RiskAssessment, known_exploited: bool, blast_radius: u32) -> Self {
        Self {
            risk_permille: risk.guarded_permille(),
            urgency_permille: risk.urgency_permille,
            confidence_permille: risk.confidence_permille,
            degraded: risk.degraded,
            known_exploited,
            blast_radius,
        }
    }
}

/// Asks guardrails about a sealed plan, a ring or a device of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluateInput {
    /// Client.
    pub client: ClientId,
    /// Plan.
    pub plan: PlanId,
    /// Revision.
    pub revision: u32,
    /// What is to be done.
    pub action: ActionType,
    /// With which KBs.
    pub kbs: Vec<KbId>,
    /// Only this device; all of the ring, or of the plan, when absent.
    #[serde(default)]
    pub device: Option<DeviceId>,
    /// Only this ring.
    #[serde(default)]
    pub ring: Option<u32>,
    /// Figures.
    pub figures: Figures,
    /// A restart may happen.
    pub may_reboot: bool,
    /// The action stays inside a maintenance window.
    pub inside_window: bool,
}

/// What guardrails, the pause flags and the ledger of bad patches say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluateResult {
    /// The decision; its list of forbidden devices is cut to 50.
    pub decision: GuardrailDecision,
    /// Why everything, or this client, is paused.
    #[serde(default)]
    pub paused: Option<String>,
    /// KBs that must not be installed any more, with why.
    #[serde(default)]
    pub stopped: Vec<StoppedKb>,
}

/// A KB that must not be installed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedKb {
    /// KB.
    pub kb: KbId,
    /// Why.
    pub reason: String,
}

/// Guardrails.
#[derive(Debug)]
pub struct PolicyActivities;

#[activity_definitions]
impl PolicyActivities {
    /// Asks guardrails, pause flags and the ledger with today's policies.
    #[activity(name = "policy.evaluate")]
    pub fn evaluate(_: EvaluateInput) -> Result<EvaluateResult, Infallible> {
        unimplemented!()
    }
}

pub use policy_activities::Evaluate;
