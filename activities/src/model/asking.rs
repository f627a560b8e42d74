//! Asking a model: the call and its one repair, within a budget of time; what it costs; and why it could
//! not be used. Every agent asks by this.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agents::{check::ReplyProblem, question::Question};
use clients::bedrock::{Bedrock, BedrockError, StructuredReply, StructuredRequest};
use domain::{
    campaign::Degraded,
    canonical,
    failure::{Classify, FailureKind},
};
use lru::LruCache;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::failure::{Outcome, bug_because, is_left_alone};

/// Time for the call and its one repair, below the 300 seconds that an activity has: what Temporal
/// cuts off is paid again, and nobody learns what it has cost.
const BUDGET: Duration = Duration::from_secs(285);
/// Usable answers that are kept in memory.
const KNOWN: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// A model, with the answers it gave before.
#[derive(Debug)]
pub(crate) struct Asker {
    model: Option<Arc<Bedrock>>,
    budget: Duration,
    /// Answer and model, by the hash of the question.
    known: Mutex<LruCache<String, (Value, String)>>,
}

/// What asking came to.
#[derive(Debug)]
pub(crate) struct Asked<T> {
    /// The checked answer and who gave it, or why there is none.
    pub(crate) answer: Result<(T, String), Degraded>,
    /// Tokens spent, in and out; none for an answer that was known.
    pub(crate) tokens: u64,
    /// What unusable replies named that does not exist.
    pub(crate) dropped: Vec<String>,
}

/// What one reply comes to.
enum Step<T> {
    Done(T, String),
    /// Ask once more, with what was wrong.
    Again(StructuredRequest),
    GiveUp(Degraded),
}

impl Asker {
    pub(crate) fn new(model: Option<Arc<Bedrock>>) -> Self {
        Self {
            model,
            budget: BUDGET,
            known: Mutex::new(LruCache::new(KNOWN)),
        }
    }

    #[cfg(test)]
    pub(crate) fn within(self, budget: Duration) -> Self {
        Self { budget, ..self }
    }

    /// Asks once, and once more when the reply cannot be used. A question that was answered before is
    /// not asked again.
    ///
    /// # Errors
    /// When the first call fails in a way that Temporal should try again.
    pub(crate) async fn ask<T>(
        &self,
        question: Question,
        parse: impl Fn(&Value) -> Result<T, ReplyProblem>,
    ) -> Outcome<Asked<T>> {
        let mut asked = Asked {
            answer: Err(Degraded::NoModel),
            tokens: 0,
            dropped: Vec::new(),
        };
        let Some(model) = &self.model else {
            return Ok(asked);
        };
        let mut request = StructuredRequest {
            system: question.system.to_string(),
            user: question.user.to_string(),
            schema_name: question.schema_name.to_owned(),
            schema: question.schema,
            previous: None,
        };
        let name = name_of(&model.model().id, &request)?;
        if let Some((json, model)) = self.known().get(&name).cloned()
            && let Ok(answer) = parse(&json)
        {
            asked.answer = Ok((answer, model));
            return Ok(asked);
        }
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
            let json = reply.as_ref().ok().map(|reply| reply.json.clone());
            let step = match reply {
                Ok(reply) => judge(&parse, &request, reply, &mut asked),
                Err(error) => recover(error, &request, &mut asked)?,
            };
            match step {
                Step::Done(answer, model) => {
                    if let Some(json) = json {
                        self.known().put(name, (json, model.clone()));
                    }
                    asked.answer = Ok((answer, model));
                    return Ok(asked);
                }
                Step::Again(next) => request = next,
                Step::GiveUp(why) => {
                    asked.answer = Err(why);
                    return Ok(asked);
                }
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, LruCache<String, (Value, String)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Identical questions to a model have the same name.
fn name_of(model: &str, request: &StructuredRequest) -> Outcome<String> {
    let StructuredRequest {
        system,
        user,
        schema_name,
        schema,
        previous: _,
    } = request;
    let all = json!([model, system, user, schema_name, schema]);
    canonical::content_hash(&all)
        .map_err(|error| bug_because("a question cannot be written as JSON", error))
}

fn judge<T>(
    parse: impl Fn(&Value) -> Result<T, ReplyProblem>,
    request: &StructuredRequest,
    reply: StructuredReply,
    asked: &mut Asked<T>,
) -> Step<T> {
    asked.tokens += reply.usage.total();
    match parse(&reply.json) {
        Ok(found) => Step::Done(found, reply.model),
        Err(ReplyProblem {
            problem,
            mut dropped,
        }) => {
            asked.dropped.append(&mut dropped);
            // A reply is repaired once.
            if request.previous.is_some() {
                return Step::GiveUp(Degraded::Unusable);
            }
            Step::Again(request.clone().repair(reply.json.to_string(), problem))
        }
    }
}

fn recover<T>(
    error: BedrockError,
    request: &StructuredRequest,
    asked: &mut Asked<T>,
) -> Outcome<Step<T>> {
    asked.tokens += error.usage().total();
    if let Some(next) = error.repair(request) {
        return Ok(Step::Again(next));
    }
    // A failure would carry no tokens, and the tries after it would pay for the first reply again.
    let is_repair = request.previous.is_some();
    let is_unusable =
        error.kind() == FailureKind::Malformed || matches!(error, BedrockError::Blocked { .. });
    // One that is left alone is not waited for: the answer by rule is there now.
    if !is_repair && !is_unusable && !is_left_alone(&error) {
        return Err(error.into());
    }
    warn!(
        error = &error as &dyn std::error::Error,
        tokens = asked.tokens,
        "the model could not be used, the rules stand"
    );
    Ok(Step::GiveUp(match is_unusable {
        true => Degraded::Unusable,
        false => Degraded::Unavailable,
    }))
}
