//! Risk refined by a model. Whatever the model does, there is an assessment: by rule, marked
//! degraded, when its answer cannot be used.

mod asking;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use agents::risk;
use contracts::activities::risk::{RefineInput, RefineResult};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

pub(crate) use self::asking::Asker;
use crate::{Clock, Deps, failure::Outcome, risk::risk_input};

/// Risk refined by a model.
#[derive(Debug)]
pub struct ModelActivities {
    asker: Asker,
    clock: Arc<dyn Clock>,
}

impl ModelActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            asker: Asker::new(deps.model.clone()),
            clock: Arc::clone(&deps.clock),
        }
    }

    async fn ask(&self, input: RefineInput) -> Outcome<RefineResult> {
        let rule = input.risk;
        let question = risk::request(&risk_input(input.assessed, self.clock.as_ref()), &rule);
        let asked = self
            .asker
            .ask(question, |json| risk::parse_reply(json, &rule))
            .await?;
        let mut dropped = asked.dropped;
        let found = asked.answer.ok().map(|(mut found, model)| {
            dropped.append(&mut found.dropped);
            found.by(model)
        });
        Ok(RefineResult {
            risk: risk::combine(&rule, found),
            tokens: asked.tokens,
            dropped,
        })
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
