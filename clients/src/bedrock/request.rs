//! One question for one JSON object, in the way the model's profile asks for.

use aws_sdk_bedrockruntime::{
    Client,
    operation::converse::builders::ConverseFluentBuilder,
    types::{
        AutoToolChoice, ContentBlock, ConversationRole, InferenceConfiguration,
        JsonSchemaDefinition, Message, OutputConfig, OutputFormat, OutputFormatStructure,
        OutputFormatType, SpecificToolChoice, SystemContentBlock, Tool, ToolChoice,
        ToolConfiguration, ToolInputSchema, ToolSpecification,
    },
};
use aws_smithy_types::error::operation::BuildError;
use serde_json::Value;

use super::{BedrockError, ModelProfile, OutputMode, document::to_document};

/// What the tool is for, as the model reads it.
const TOOL_DESCRIPTION: &str = "Return the answer.";
/// How much of an unusable reply is shown to the model again.
const MAX_PREVIOUS_CHARS: usize = 8_000;

/// A reply that could not be used, so that the model is asked once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousReply {
    /// Its text.
    pub text: String,
    /// What was wrong with it, in our words.
    pub problem: String,
}

/// One question for one JSON object.
#[derive(Debug, Clone, PartialEq)]
pub struct StructuredRequest {
    /// What the model is to do.
    pub system: String,
    /// What it is to look at.
    pub user: String,
    /// Name of the schema: 1 to 64 of letters, digits, - and _.
    pub schema_name: String,
    /// JSON Schema of the answer: flat, everything required, no bounds.
    pub schema: Value,
    /// Set when an earlier reply could not be used.
    pub previous: Option<PreviousReply>,
}

impl StructuredRequest {
    /// Returns the same question with an unusable reply and what was wrong with it.
    #[must_use]
    pub fn repair(mut self, text: impl Into<String>, problem: impl Into<String>) -> Self {
        self.previous = Some(PreviousReply {
            text: text.into(),
            problem: problem.into(),
        });
        self
    }
}

pub(super) fn build(
    client: &Client,
    model: &ModelProfile,
    request: &StructuredRequest,
) -> Result<ConverseFluentBuilder, BedrockError> {
    let name = &request.schema_name;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
        return Err(BedrockError::refused(
            "the name of the schema is not a tool name",
        ));
    }
    if request.system.trim().is_empty() || request.user.trim().is_empty() {
        return Err(BedrockError::refused(
            "system and user text may not be empty",
        ));
    }
    with_output(client.converse(), model, request)
        .map_err(|_| BedrockError::refused("the request could not be built"))
}

fn with_output(
    call: ConverseFluentBuilder,
    model: &ModelProfile,
    request: &StructuredRequest,
) -> Result<ConverseFluentBuilder, BuildError> {
    let max_tokens = i32::try_from(model.max_tokens).unwrap_or(i32::MAX);
    let mut limits = InferenceConfiguration::builder().max_tokens(max_tokens);
    if model.allows_sampling {
        limits = limits.temperature(0.0);
    }
    let mut system = request.system.clone();
    if model.output == OutputMode::AutoTool {
        system.push_str(&format!(
            "\n\nAnswer by calling the tool `{}` exactly once. Write no other text.",
            request.schema_name
        ));
    }
    let call = call
        .model_id(&model.id)
        .system(SystemContentBlock::Text(system))
        .set_messages(Some(messages(request)?))
        .inference_config(limits.build());
    Ok(match model.output {
        OutputMode::JsonSchema => call.output_config(output_config(request)?),
        OutputMode::ForcedTool => {
            let name = SpecificToolChoice::builder()
                .name(&request.schema_name)
                .build()?;
            call.tool_config(tool_config(request, ToolChoice::Tool(name))?)
        }
        OutputMode::AutoTool => {
            let auto = ToolChoice::Auto(AutoToolChoice::builder().build());
            call.tool_config(tool_config(request, auto)?)
        }
    })
}

/// The last message is always the user's: newer models refuse a prefilled answer.
fn messages(request: &StructuredRequest) -> Result<Vec<Message>, BuildError> {
    let say = |role: ConversationRole, text: String| {
        Message::builder()
            .role(role)
            .content(ContentBlock::Text(text))
            .build()
    };
    let mut messages = vec![say(ConversationRole::User, request.user.clone())?];
    if let Some(previous) = &request.previous {
        let mut text: String = previous
            .text
            .trim()
            .chars()
            .take(MAX_PREVIOUS_CHARS)
            .collect();
        if text.is_empty() {
            // The service refuses an empty block.
            text.push_str("(nothing)");
        }
        messages.push(say(ConversationRole::Assistant, text)?);
        let again = format!(
            "That answer could not be used: {}. Answer the same question again, in the form asked for.",
            previous.problem
        );
        messages.push(say(ConversationRole::User, again)?);
    }
    Ok(messages)
}

fn output_config(request: &StructuredRequest) -> Result<OutputConfig, BuildError> {
    let schema = JsonSchemaDefinition::builder()
        .name(&request.schema_name)
        .schema(sorted(&request.schema).to_string())
        .build()?;
    let format = OutputFormat::builder()
        .r#type(OutputFormatType::JsonSchema)
        .structure(OutputFormatStructure::JsonSchema(schema))
        .build()?;
    Ok(OutputConfig::builder().text_format(format).build())
}

fn tool_config(
    request: &StructuredRequest,
    choice: ToolChoice,
) -> Result<ToolConfiguration, BuildError> {
    let tool = ToolSpecification::builder()
        .name(&request.schema_name)
        .description(TOOL_DESCRIPTION)
        .input_schema(ToolInputSchema::Json(to_document(&request.schema)))
        .build()?;
    ToolConfiguration::builder()
        .tools(Tool::ToolSpec(tool))
        .tool_choice(choice)
        .build()
}

/// Sorts keys, whatever map `serde_json` was built with: equal schemas give equal bytes, and the
/// service compiles each schema only once.
pub(super) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut pairs: Vec<_> = fields.iter().collect();
            pairs.sort_by_key(|(key, _)| key.as_str());
            pairs
                .into_iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
