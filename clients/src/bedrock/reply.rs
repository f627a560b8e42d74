//! Reads a reply: block by block, and only when the model ended as it should.

use aws_sdk_bedrockruntime::{
    operation::converse::ConverseOutput,
    types::{ContentBlock, StopReason, TokenUsage},
};
use serde_json::Value;

use super::{
    BedrockError, Misfit, ModelProfile, OutputMode, StructuredRequest, document::from_document,
    schema::misfit,
};

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Input that was not cached.
    pub input: u64,
    /// Output, thinking included.
    pub output: u64,
    /// Input read from the cache.
    pub cache_read: u64,
    /// Input written to the cache.
    pub cache_write: u64,
}

impl Usage {
    /// Returns all tokens together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input + self.output + self.cache_read + self.cache_write
    }

    /// Returns the sum of two calls.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            input: self.input + other.input,
            output: self.output + other.output,
            cache_read: self.cache_read + other.cache_read,
            cache_write: self.cache_write + other.cache_write,
        }
    }
}

/// An answer that fits the schema. Its text is untrusted all the same.
#[derive(Debug, Clone, PartialEq)]
pub struct StructuredReply {
    /// The answer.
    pub json: Value,
    /// Tokens it cost.
    pub usage: Usage,
    /// Model that answered.
    pub model: String,
    /// Why the model stopped, as the service says it.
    pub stop_reason: String,
}

pub(super) fn read(
    output: ConverseOutput,
    model: &ModelProfile,
    request: &StructuredRequest,
) -> Result<StructuredReply, BedrockError> {
    let usage = output.usage().map(count).unwrap_or_default();
    let stop = output.stop_reason().clone();
    let blocks = match output.output() {
        Some(aws_sdk_bedrockruntime::types::ConverseOutput::Message(message)) => message.content(),
        _ => &[],
    };
    let found = Found::of(blocks, &request.schema_name);
    let unusable = |why: Misfit| BedrockError::Malformed {
        why,
        reply: found.shown(),
        usage,
    };

    match &stop {
        StopReason::GuardrailIntervened | StopReason::ContentFiltered => {
            return Err(BedrockError::Blocked {
                stop_reason: stop.as_str().to_owned(),
                usage,
            });
        }
        StopReason::MaxTokens | StopReason::ModelContextWindowExceeded => {
            return Err(unusable(Misfit::Truncated));
        }
        StopReason::EndTurn if model.output != OutputMode::ForcedTool => {}
        StopReason::ToolUse if model.output != OutputMode::JsonSchema => {}
        other => return Err(unusable(Misfit::Stopped(word(other.as_str())))),
    }
    let json = match (model.output, &found.tool) {
        (OutputMode::JsonSchema, _) => parse(&found.text),
        (OutputMode::ForcedTool | OutputMode::AutoTool, Some(input)) => Some(input.clone()),
        (OutputMode::ForcedTool, None) => None,
        (OutputMode::AutoTool, None) => parse(&found.text),
    };
    let json = json.ok_or_else(|| unusable(Misfit::NotJson))?;
    if let Some(detail) = misfit(&json, &request.schema) {
        return Err(unusable(Misfit::Schema(detail)));
    }
    Ok(StructuredReply {
        json,
        usage,
        model: model.id.clone(),
        stop_reason: stop.as_str().to_owned(),
    })
}

/// What is of use in a reply; thinking and unknown blocks are passed over.
struct Found {
    tool: Option<Value>,
    text: String,
}

impl Found {
    fn of(blocks: &[ContentBlock], tool_name: &str) -> Self {
        let mut found = Self {
            tool: None,
            text: String::new(),
        };
        for block in blocks {
            match block {
                ContentBlock::ToolUse(tool) if tool.name() == tool_name && found.tool.is_none() => {
                    found.tool = Some(from_document(tool.input()));
                }
                ContentBlock::Text(text) => found.text.push_str(text),
                _ => {}
            }
        }
        found
    }

    /// The reply as it is shown to the model again.
    fn shown(&self) -> String {
        match &self.tool {
            Some(input) => super::request::sorted(input).to_string(),
            None => self.text.clone(),
        }
    }
}

/// Reads an object out of text, with or without a code fence around it.
fn parse(text: &str) -> Option<Value> {
    let text = text.trim();
    let object = |text: &str| {
        serde_json::from_str::<Value>(text)
            .ok()
            .filter(Value::is_object)
    };
    object(text).or_else(|| {
        let inner = text
            .strip_prefix("```json")
            .or_else(|| text.strip_prefix("```"))?;
        object(inner.strip_suffix("```")?.trim())
    })
}

fn count(usage: &TokenUsage) -> Usage {
    let tokens = |n: i32| u64::try_from(n).unwrap_or(0);
    Usage {
        input: tokens(usage.input_tokens()),
        output: tokens(usage.output_tokens()),
        cache_read: tokens(usage.cache_read_input_tokens().unwrap_or(0)),
        cache_write: tokens(usage.cache_write_input_tokens().unwrap_or(0)),
    }
}

/// Keeps identifier characters only, and few of them.
pub(super) fn word(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(60)
        .collect()
}
