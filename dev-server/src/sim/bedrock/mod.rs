//! A simulated Bedrock on the real wire: `POST /model/{id}/converse`, and `/invoke` for embeddings, so
//! that the real AWS SDK talks to it. It refuses what the real models refuse, answers from the evidence it is shown, and
//! makes trouble on demand.

mod answer;
mod embeddings;
mod rules;

#[cfg(test)]
mod cause_tests;
#[cfg(test)]
mod correlation_tests;
#[cfg(test)]
mod prioritisation_tests;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Desk, RunningSim, serve, take};
use answer::Manner;

/// How to start a simulated Bedrock.
#[derive(Debug, Clone, Copy, Default)]
pub struct BedrockSimOptions {
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Every nth answer shows its thinking first; 0 never, 1 always.
    pub reasoning_every: u32,
}

/// Trouble on demand. Counts go down as they are used, one kind for each request, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every answer comes this late.
    pub slow_ms: u64,
    /// The next so many requests are throttled (429).
    pub throttle: u32,
    /// The next so many requests find the service unavailable (503).
    pub unavailable: u32,
    /// The next so many answers are stopped by a guardrail.
    pub guardrail: u32,
    /// The next so many answers are cut off.
    pub truncate: u32,
    /// The next so many answers are not JSON.
    pub nonsense: u32,
    /// The next so many answers cite evidence that does not exist and try to lower the score to 0.
    pub hostile: u32,
}

/// One request as the simulator saw it. Never with its credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Model id, decoded.
    pub model: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// Error code, or how it answered: `normal`, `guardrail`, `truncate`, `nonsense`, `hostile`, `embedded`.
    pub outcome: String,
    /// Body of the request.
    pub body: Value,
}

#[derive(Debug, Default)]
struct World {
    reasoning_every: u32,
    desk: Arc<Desk<Faults, LogEntry>>,
    answered: AtomicU32,
}

/// An error as the service sends it.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn validation(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "ValidationException",
            message,
        }
    }
}

/// Starts the simulator.
///
/// # Errors
/// When no port can be opened.
pub async fn start(options: BedrockSimOptions) -> anyhow::Result<RunningSim> {
    let world = Arc::new(World {
        reasoning_every: options.reasoning_every,
        ..World::default()
    });
    let router = Router::new()
        .route("/model/{id}/converse", post(converse))
        .route("/model/{id}/invoke", post(invoke))
        .with_state(world.clone())
        .merge(world.desk.clone().router());
    serve(router, options.port).await
}

async fn converse(
    State(world): State<Arc<World>>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let slow = world.desk.faults().slow_ms;
    tokio::time::sleep(Duration::from_millis(slow)).await;
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let (response, outcome) = match answer(&world, &model, &headers, &body) {
        Ok((answer, manner)) => (Json(answer).into_response(), manner.as_str()),
        Err(refusal) => (refused(&refusal), refusal.code),
    };
    world.desk.record(LogEntry {
        model,
        status: response.status().as_u16(),
        outcome: outcome.to_owned(),
        body,
    });
    response
}

async fn invoke(
    State(world): State<Arc<World>>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let slow = world.desk.faults().slow_ms;
    tokio::time::sleep(Duration::from_millis(slow)).await;
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let answered = rules::authorise(&headers)
        .and_then(|()| refuse_if_due(&mut world.desk.faults()))
        .and_then(|()| embeddings::answer(&model, &body));
    let (response, outcome) = match answered {
        Ok((answer, tokens)) => {
            let tokens = [("x-amzn-bedrock-input-token-count", tokens.to_string())];
            ((tokens, Json(answer)).into_response(), "embedded")
        }
        Err(refusal) => (refused(&refusal), refusal.code),
    };
    world.desk.record(LogEntry {
        model,
        status: response.status().as_u16(),
        outcome: outcome.to_owned(),
        body,
    });
    response
}

fn answer(
    world: &World,
    model: &str,
    headers: &HeaderMap,
    body: &Value,
) -> Result<(Value, Manner), Refusal> {
    rules::authorise(headers)?;
    rules::check(model, body)?;
    let manner = next(&mut world.desk.faults())?;
    let answered = world.answered.fetch_add(1, Ordering::Relaxed) + 1;
    let every = world.reasoning_every;
    let thinks = every > 0 && answered.is_multiple_of(every);
    Ok((answer::to(body, manner, thinks), manner))
}

/// Takes a refusal that is due, whatever was asked.
fn refuse_if_due(faults: &mut Faults) -> Result<(), Refusal> {
    if take(&mut faults.throttle) {
        return Err(Refusal {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: "ThrottlingException",
            message: "Too many requests, please wait before trying again.".to_owned(),
        });
    }
    if take(&mut faults.unavailable) {
        return Err(Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "ServiceUnavailableException",
            message: "Bedrock is unable to process your request.".to_owned(),
        });
    }
    Ok(())
}

/// Takes the first kind of trouble that is due.
fn next(faults: &mut Faults) -> Result<Manner, Refusal> {
    refuse_if_due(faults)?;
    for (count, manner) in [
        (&mut faults.guardrail, Manner::Guardrail),
        (&mut faults.truncate, Manner::Truncate),
        (&mut faults.nonsense, Manner::Nonsense),
        (&mut faults.hostile, Manner::Hostile),
    ] {
        if take(count) {
            return Ok(manner);
        }
    }
    Ok(Manner::Normal)
}

fn refused(refusal: &Refusal) -> Response {
    let mut response =
        (refusal.status, Json(json!({ "message": refusal.message }))).into_response();
    // The real service appends an address to the code.
    let code = format!(
        "{}:http://internal.amazon.com/coral/com.amazon.bedrock/",
        refusal.code
    );
    if let Ok(code) = HeaderValue::from_str(&code) {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}
