//! Risk: by rule, then refined by a model.

use std::convert::Infallible;

use domain::{
    patch::PatchFacts,
    risk::{DeviceSummary, RiskAssessment},
};
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// What is assessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssessInput {
    /// Patches.
    pub patches: Vec<PatchFacts>,
    /// Devices, counted.
    pub devices: DeviceSummary,
    /// The plan may restart devices.
    pub may_reboot: bool,
    /// A failed installation is rolled back.
    pub rollback: bool,
}

/// Asks a model to refine an assessment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefineInput {
    /// What was assessed.
    pub assessed: AssessInput,
    /// The assessment by rule.
    pub risk: RiskAssessment,
}

/// A refined assessment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefineResult {
    /// The assessment; `degraded` when the model could not be used.
    pub risk: RiskAssessment,
    /// Tokens spent, in and out.
    pub tokens: u64,
    /// Evidence the model named that does not exist; dropped.
    #[serde(default)]
    pub dropped: Vec<String>,
}

/// Risk.
#[derive(Debug)]
pub struct RiskActivities;

#[activity_definitions]
impl RiskActivities {
    /// Assesses by rule; no request.
    #[activity(name = "risk.assess")]
    pub fn assess(_: AssessInput) -> Result<RiskAssessment, Infallible> {
        unimplemented!()
    }

    /// Asks a model to explain and, within bounds, refine.
    #[activity(name = "bedrock.refine_risk")]
    pub fn refine(_: RefineInput) -> Result<RefineResult, Infallible> {
        unimplemented!()
    }
}

pub use risk_activities::{Assess, Refine};
