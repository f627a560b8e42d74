//! Risk by the real rule, a model that agrees with it, and a vulnerability source.

use std::sync::Arc;

use contracts::activities::{
    risk::{AssessInput, RefineInput, RefineResult},
    vulnerabilities::LookupCveInput,
};
use domain::{
    patch::CveFacts,
    risk::{RiskAssessment, RiskInput, assess},
};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::world::Worlds;

/// Risk.
#[derive(Debug)]
pub struct FakeRisk(Arc<Worlds>);

impl FakeRisk {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakeRisk {
    /// Assesses by rule.
    #[activity(definition = contracts::activities::risk::Assess)]
    pub async fn assess(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: AssessInput,
    ) -> Result<RiskAssessment, ActivityError> {
        Ok(assess(&RiskInput {
            patches: input.patches,
            devices: input.devices,
            may_reboot: input.may_reboot,
            rollback: input.rollback,
            today: jiff::civil::date(2026, 11, 2),
        }))
    }

    /// Agrees, when it answers.
    #[activity(definition = contracts::activities::risk::Refine)]
    pub async fn refine(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: RefineInput,
    ) -> Result<RefineResult, ActivityError> {
        if self.0.of(&ctx)?.read(|m| m.model_away) {
            let mut risk = input.risk;
            risk.degraded = true;
            return Ok(RefineResult {
                risk,
                tokens: 0,
                dropped: Vec::new(),
            });
        }
        let risk = RiskAssessment {
            explanation: Some("as the rules say".to_owned()),
            model: Some("fake-model".to_owned()),
            ..input.risk
        };
        Ok(RefineResult {
            risk,
            tokens: 42,
            dropped: Vec::new(),
        })
    }
}

/// Vulnerability sources.
#[derive(Debug)]
pub struct FakeNvd(#[expect(dead_code, reason = "as all fakes")] Arc<Worlds>);

impl FakeNvd {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakeNvd {
    /// Scores everything alike.
    #[activity(definition = contracts::activities::vulnerabilities::LookupCve)]
    pub async fn lookup_cve(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: LookupCveInput,
    ) -> Result<CveFacts, ActivityError> {
        Ok(CveFacts {
            id: input.cve,
            base_score_tenths: Some(78),
            cvss_version: Some("3.1".to_owned()),
            vector: None,
            score_source: Some("nvd".to_owned()),
            known_exploited: false,
            status: Some("Analyzed".to_owned()),
            unavailable: false,
        })
    }
}
