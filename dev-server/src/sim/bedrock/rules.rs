//! What the real service and its models refuse.

use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use serde_json::Value;

use super::Refusal;

/// Models that refuse to be forced to call a tool.
const NO_FORCED_TOOL: [&str; 3] = ["opus-5-5", "sonnet-5-5", "fable-5-1"];
/// Schema keywords outside the supported subset.
const NO_BOUNDS: [&str; 9] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
];

/// A signature of service `bedrock`, or an API key. The signature itself is not recomputed.
pub(super) fn authorise(headers: &HeaderMap) -> Result<(), Refusal> {
    let sent = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let refuse = |code, message: &str| {
        Err(Refusal {
            status: StatusCode::FORBIDDEN,
            code,
            message: message.to_owned(),
        })
    };
    if sent.is_empty() {
        return refuse(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        );
    }
    let signed = sent.starts_with("AWS4-HMAC-SHA256 ")
        && sent.contains("Credential=")
        && sent.contains("/bedrock/aws4_request")
        && sent.contains("Signature=");
    let key = sent
        .strip_prefix("Bearer ")
        .is_some_and(|key| !key.trim().is_empty());
    if signed || key {
        return Ok(());
    }
    refuse(
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )
}

pub(super) fn check(model: &str, body: &Value) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(Refusal::validation(message));
    let messages = body["messages"].as_array().filter(|list| !list.is_empty());
    let Some(messages) = messages else {
        return invalid("A conversation must have at least one message.");
    };
    if messages[0]["role"] != "user" {
        return invalid("A conversation must start with a user message.");
    }
    let last_is_user = messages
        .last()
        .is_some_and(|message| message["role"] == "user");
    if is_5x(model) && !last_is_user {
        return invalid("This model does not support assistant message prefill.");
    }
    let blocks = messages
        .iter()
        .flat_map(|m| m["content"].as_array().into_iter().flatten());
    if blocks.clone().next().is_none()
        || blocks
            .filter_map(|b| b["text"].as_str())
            .any(|text| text.trim().is_empty())
    {
        return invalid("The text field in the ContentBlock object is blank.");
    }
    let choice = &body["toolConfig"]["toolChoice"];
    let forced = !choice["tool"].is_null() || !choice["any"].is_null();
    if forced && NO_FORCED_TOOL.iter().any(|name| model.contains(name)) {
        return invalid("tool_choice: this model supports only auto.");
    }
    let limits = &body["inferenceConfig"];
    let more = &body["additionalModelRequestFields"];
    let samples = !limits["temperature"].is_null()
        || !limits["topP"].is_null()
        || ["temperature", "top_p", "top_k"]
            .iter()
            .any(|name| !more[name].is_null());
    if samples && is_5x(model) {
        return invalid("temperature, top_p and top_k are not supported for this model.");
    }
    if let Some(max) = limits["maxTokens"].as_i64()
        && max < 1
    {
        return invalid("maxTokens must be 1 or more.");
    }
    check_schema(&body["outputConfig"]["textFormat"])
}

/// Claude 5 and later.
fn is_5x(model: &str) -> bool {
    ["sonnet-5", "opus-5", "haiku-5", "fable-5"]
        .iter()
        .any(|name| model.contains(name))
}

fn check_schema(format: &Value) -> Result<(), Refusal> {
    if format.is_null() {
        return Ok(());
    }
    let text = format["structure"]["jsonSchema"]["schema"].as_str();
    let schema: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
    let Some(schema) = schema.filter(Value::is_object) else {
        return Err(Refusal::validation(
            "outputConfig: schema is not the text of a JSON Schema.",
        ));
    };
    check_part(&schema)
}

fn check_part(schema: &Value) -> Result<(), Refusal> {
    let Some(fields) = schema.as_object() else {
        return Ok(());
    };
    if let Some(bound) = NO_BOUNDS.iter().find(|name| fields.contains_key(**name)) {
        return Err(Refusal::validation(format!(
            "outputConfig: `{bound}` is not supported."
        )));
    }
    if schema["type"] == "object" && schema["additionalProperties"] != Value::Bool(false) {
        return Err(Refusal::validation(
            "outputConfig: additionalProperties must be false.",
        ));
    }
    check_part(&schema["items"])?;
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .try_for_each(|(_, inner)| check_part(inner))
}
