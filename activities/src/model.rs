//! Risk refined by a model. Whatever the model does, there is an assessment: by rule, marked
//! degraded, when its answer cannot be used.

use std::{sync::Arc, time::Duration};

use agents::{check::ReplyProblem, risk};
use clients::bedrock::{Bedrock, BedrockError, StructuredReply, StructuredRequest};
use contracts::activities::risk::{RefineInput, RefineResult};
use domain::{
    failure::{Classify, FailureKind},
    risk::RiskAssessment,
};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::{
    Clock, Deps,
    failure::{Outcome, is_left_alone},
    risk::risk_input,
};

/// Time for the call and its one repair, below the 300 seconds that the activity has: what Temporal
/// cuts off is paid again, and nobody learns what it has cost.
const BUDGET: Duration = Duration::from_secs(285);

/// Risk refined by a model.
#[derive(Debug)]
pub struct ModelActivities {
    model: Option<Arc<Bedrock>>,
    clock: Arc<dyn Clock>,
    budget: Duration,
}

impl ModelActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            model: deps.model.clone(),
            clock: Arc::clone(&deps.clock),
            budget: BUDGET,
        }
    }
}

#[activities]
impl ModelActivities {
    /// Asks a model to explain and, within bounds, refine.
    #[activity(definition = contracts::activities::risk::Refine)]
    pub async fn refine(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: RefineInput,
    ) -> Result<RefineResult, ActivityError> {
        Ok(self.ask(input).await?)
    }
}

/// What an answer comes to.
enum Step {
    /// Use it.
    Done(RiskAssessment),
    /// Ask once more, with what was wrong.
    Again(StructuredRequest),
    /// The rule-based assessment stands.
    GiveUp,
}

impl ModelActivities {
    async fn ask(&self, input: RefineInput) -> Outcome<RefineResult> {
        let rule = input.risk;
        let mut result = RefineResult {
            risk: risk::combine(&rule, None),
            tokens: 0,
            dropped: Vec::new(),
        };
        let Some(model) = &self.model else {
            return Ok(result);
        };
        let question = risk::request(&risk_input(input.assessed, self.clock.as_ref()), &rule);
        let mut request = StructuredRequest {
            system: question.system.to_string(),
            user: question.user.to_string(),
            schema_name: question.schema_name.to_owned(),
            schema: question.schema,
            previous: None,
        };
        let deadline = Instant::now() + self.budget;
        loop {
            let reply = timeout_at(deadline, model.converse(request.clone())).await;
            let reply = reply.unwrap_or_else(|elapsed| {
                Err(BedrockError::Unavailable {
                    detail: "no answer in the time for the call and its repair".to_owned(),
                    retry_after: None,
                    source: Some(Box::new(elapsed)),
                })
            });
            let step = match reply {
                Ok(reply) => judge(&rule, &request, reply, &mut result),
                Err(error) => recover(error, &request, &mut result)?,
            };
            match step {
                Step::Done(risk) => return Ok(RefineResult { risk, ..result }),
                Step::Again(next) => request = next,
                Step::GiveUp => return Ok(result),
            }
        }
    }
}

fn judge(
    rule: &RiskAssessment,
    request: &StructuredRequest,
    reply: StructuredReply,
    result: &mut RefineResult,
) -> Step {
    result.tokens += reply.usage.total();
    match risk::parse_reply(&reply.json, rule) {
        Ok(mut found) => {
            result.dropped.append(&mut found.dropped);
            Step::Done(risk::combine(rule, Some(found.by(reply.model))))
        }
        Err(ReplyProblem {
            problem,
            mut dropped,
        }) => {
            result.dropped.append(&mut dropped);
            // A reply is repaired once.
            if request.previous.is_some() {
                return Step::GiveUp;
            }
            Step::Again(request.clone().repair(reply.json.to_string(), problem))
        }
    }
}

fn recover(
    error: BedrockError,
    request: &StructuredRequest,
    result: &mut RefineResult,
) -> Outcome<Step> {
    result.tokens += error.usage().total();
    if let Some(next) = error.repair(request) {
        return Ok(Step::Again(next));
    }
    // A failure would carry no tokens, and the tries after it would pay for the first reply again.
    let is_repair = request.previous.is_some();
    let is_unusable =
        error.kind() == FailureKind::Malformed || matches!(error, BedrockError::Blocked { .. });
    // One that is left alone is not waited for: the assessment by rule is there now.
    if !is_repair && !is_unusable && !is_left_alone(&error) {
        return Err(error.into());
    }
    warn!(
        error = &error as &dyn std::error::Error,
        tokens = result.tokens,
        "the model could not be used, the assessment by rule stands"
    );
    Ok(Step::GiveUp)
}

#[cfg(test)]
mod tests;
