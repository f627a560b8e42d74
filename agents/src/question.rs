//! A question for a model, whichever agent asks it.

use serde_json::Value;

use crate::prompt::PromptText;

/// A question for a model. Equal input gives equal bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// What the model is to do.
    pub system: PromptText,
    /// The facts.
    pub user: PromptText,
    /// Name of the schema, and of the tool where a model answers by tool.
    pub schema_name: &'static str,
    /// JSON Schema of the answer; the same for every question of an agent.
    pub schema: Value,
}
