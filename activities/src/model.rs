//! Risk refined by a model. Whatever the model does, there is an assessment: by rule, marked
//! degraded, when its answer cannot be used.

use std::sync::Arc;

use agents::{check::ReplyProblem, risk};
use clients::bedrock::{Bedrock, BedrockError, StructuredReply, StructuredRequest};
use contracts::activities::risk::{RefineInput, RefineResult};
use domain::{
    failure::{Classify, FailureKind},
    risk::RiskAssessment,
};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{Clock, Deps, failure::Outcome, risk::risk_input};

/// Risk refined by a model.
#[derive(Debug)]
pub struct ModelActivities {
    model: Option<Arc<Bedrock>>,
    clock: Arc<dyn Clock>,
}

impl ModelActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            model: deps.model.clone(),
            clock: Arc::clone(&deps.clock),
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
        loop {
            let step = match model.converse(request.clone()).await {
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
    let is_unusable =
        error.kind() == FailureKind::Malformed || matches!(error, BedrockError::Blocked { .. });
    if is_unusable {
        Ok(Step::GiveUp)
    } else {
        Err(error.into())
    }
}

#[cfg(test)]
mod tests;
