//! `POST /msp`: headers, limits and errors as the real service has them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_graphql::parser::{
    parse_query,
    types::{OperationType, Selection},
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{faults::FailWith, lists::INTERNAL, schema::SuperOpsSchema, world::World};

pub(super) struct Endpoint {
    pub(super) world: Arc<World>,
    pub(super) schema: SuperOpsSchema,
    pub(super) token: String,
    pub(super) subdomain: String,
    pub(super) requests_per_minute: Option<u32>,
}

pub(super) fn router(endpoint: Endpoint) -> Router {
    Router::new()
        .route("/msp", post(handle))
        .with_state(Arc::new(endpoint))
}

async fn handle(
    State(endpoint): State<Arc<Endpoint>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let latency = endpoint.world.lock().faults.latency_ms;
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    if let Some(refusal) = endpoint.refusal(&headers) {
        return refusal;
    }
    let failure = endpoint.world.change(|inner| inner.faults.take_failure());
    let Some(failure) = failure else {
        return endpoint.answer(&body).await;
    };
    if failure.applied {
        endpoint.answer(&body).await;
    }
    match failure.with {
        FailWith::Http500 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        FailWith::RateLimit => ok(&rate_limited()),
        FailWith::Drop => {
            let broken = futures::stream::once(async {
                Err::<Bytes, _>(std::io::Error::other("dropped on demand"))
            });
            Response::new(Body::from_stream(broken))
        }
    }
}

impl Endpoint {
    /// What a request gets that may not come in.
    fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let refuse = |status: StatusCode, message: &str| {
            Some((status, json_body(&json!({ "message": message }))).into_response())
        };
        if text("authorization") != Some(format!("Bearer {}", self.token).as_str()) {
            return refuse(StatusCode::UNAUTHORIZED, "Unauthorized");
        }
        match text("customersubdomain") {
            None => Some(StatusCode::BAD_REQUEST.into_response()),
            Some(name) if name != self.subdomain => {
                refuse(StatusCode::BAD_REQUEST, "Invalid sub-domain")
            }
            Some(_) => None,
        }
    }

    /// A sliding minute of real time.
    fn within_limit(&self) -> bool {
        let Some(limit) = self.requests_per_minute else {
            return true;
        };
        let mut inner = self.world.lock();
        let calls: &mut VecDeque<Instant> = &mut inner.calls;
        let now = Instant::now();
        while calls
            .front()
            .is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(60))
        {
            calls.pop_front();
        }
        if calls.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            return false;
        }
        calls.push_back(now);
        true
    }

    async fn answer(&self, body: &[u8]) -> Response {
        if !self.within_limit() {
            return ok(&rate_limited());
        }
        let Ok(sent) = serde_json::from_slice::<Value>(body) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let Some(query) = sent["query"].as_str() else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let (writes, field) = operation(query);
        let ambiguous = if writes {
            self.world.change(|inner| inner.faults.take_ambiguous())
        } else {
            None
        };
        let lost =
            || ok(&json!({ "errors": [{ "message": INTERNAL }], "data": { field.clone(): null } }));
        if ambiguous.as_ref().is_some_and(|fault| !fault.applied) {
            return lost();
        }
        let variables = async_graphql::Variables::from_json(sent["variables"].clone());
        let response = self
            .schema
            .execute(async_graphql::Request::new(query).variables(variables))
            .await;
        if writes {
            self.world.save().await;
        }
        if ambiguous.is_some() {
            return lost();
        }
        ok(&dressed(
            serde_json::to_value(&response).unwrap_or_default(),
            &field,
        ))
    }
}

/// Whether it is a mutation, and its first field.
fn operation(query: &str) -> (bool, String) {
    let Ok(document) = parse_query(query) else {
        return (false, String::new());
    };
    let Some((_, operation)) = document.operations.iter().next() else {
        return (false, String::new());
    };
    let field = operation
        .node
        .selection_set
        .node
        .items
        .iter()
        .find_map(|item| match &item.node {
            Selection::Field(field) => Some(field.node.response_key().node.to_string()),
            _ => None,
        });
    (
        operation.node.ty == OperationType::Mutation,
        field.unwrap_or_default(),
    )
}

/// Business errors have a null message and empty data; internal ones a null field.
fn dressed(mut answer: Value, field: &str) -> Value {
    let Some(errors) = answer["errors"]
        .as_array_mut()
        .filter(|errors| !errors.is_empty())
    else {
        return answer;
    };
    let mut business = false;
    for error in errors
        .iter_mut()
        .filter(|error| error["extensions"]["clientError"].is_array())
    {
        business = true;
        error["message"] = Value::Null;
    }
    if answer["data"].is_null() {
        answer["data"] = if business {
            json!({})
        } else {
            json!({ field: null })
        };
    }
    answer
}

fn rate_limited() -> Value {
    json!({ "errors": [{ "message": null, "extensions": { "clientError": [{ "code": "rate_limit_exceeded", "param": {} }] } }], "data": {} })
}

fn json_body(value: &Value) -> ([(header::HeaderName, &'static str); 1], String) {
    (
        [(header::CONTENT_TYPE, "application/json")],
        value.to_string(),
    )
}

fn ok(value: &Value) -> Response {
    json_body(value).into_response()
}
