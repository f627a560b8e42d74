//! Risk by rule.

use std::sync::Arc;

use contracts::activities::risk::AssessInput;
use domain::risk::{self, RiskAssessment, RiskInput};
use jiff::tz::TimeZone;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{Clock, Deps};

/// Risk by rule; asks nobody.
#[derive(Debug)]
pub struct RiskActivities {
    clock: Arc<dyn Clock>,
}

impl RiskActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            clock: Arc::clone(&deps.clock),
        }
    }
}

#[activities]
impl RiskActivities {
    /// Assesses by rule; no request.
    #[activity(definition = contracts::activities::risk::Assess)]
    pub async fn assess(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: AssessInput,
    ) -> Result<RiskAssessment, ActivityError> {
        Ok(risk::assess(&risk_input(input, self.clock.as_ref())))
    }
}

/// Adds the day of the assessment.
pub(crate) fn risk_input(input: AssessInput, clock: &dyn Clock) -> RiskInput {
    RiskInput {
        patches: input.patches,
        devices: input.devices,
        may_reboot: input.may_reboot,
        rollback: input.rollback,
        today: TimeZone::UTC.to_datetime(clock.now()).date(),
    }
}
