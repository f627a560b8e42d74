//! Which model is asked, and how it is reached.

use domain::input::{InvalidInput, Problem};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::Usage;
use crate::{address::is_safe_address, aws::StaticCredentials, breaker::BreakerConfig};

/// Longest a call may take: the activity around it has 300 seconds (`workflows::options`), in which
/// an unusable reply is repaired by a second call.
const MAX_TIMEOUT_SECS: u64 = 140;

/// How a model is made to answer in JSON. Models differ: a wrong mode is a validation error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputMode {
    /// The service holds the model to a schema; the reply is text. Claude 4.5 and later.
    JsonSchema,
    /// The model has to call a tool. Not on Claude Opus 5.5, Sonnet 5.5 and Fable 5.1.
    ForcedTool,
    /// The model may call a tool and is told to; its text is the fallback. All models with tools.
    AutoTool,
}

/// Price in US cents for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// Input that was not cached.
    pub input_cents_per_mtok: u32,
    /// Output.
    pub output_cents_per_mtok: u32,
    /// Input read from the cache.
    pub cache_read_cents_per_mtok: u32,
    /// Input written to the cache.
    pub cache_write_cents_per_mtok: u32,
}

impl Price {
    /// Returns what a call cost, in millionths of a US dollar, rounded down.
    #[must_use]
    pub fn micro_usd(&self, usage: &Usage) -> u64 {
        let part = |tokens: u64, cents: u32| tokens.saturating_mul(u64::from(cents));
        part(usage.input, self.input_cents_per_mtok)
            .saturating_add(part(usage.output, self.output_cents_per_mtok))
            .saturating_add(part(usage.cache_read, self.cache_read_cents_per_mtok))
            .saturating_add(part(usage.cache_write, self.cache_write_cents_per_mtok))
            / 100
    }
}

/// What has to be known of a model to ask it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelProfile {
    /// Model id or inference profile, such as `eu.anthropic.claude-haiku-4-5-20251001-v1:0`.
    pub id: String,
    /// How it is made to answer in JSON.
    pub output: OutputMode,
    /// Whether it accepts sampling parameters; models of the 5.x line refuse them.
    #[serde(default)]
    pub allows_sampling: bool,
    /// Most tokens of one answer, with room for thinking.
    pub max_tokens: u32,
    /// Size of the context in tokens, if known.
    #[serde(default)]
    pub context_tokens: Option<u32>,
    /// Price, if known.
    #[serde(default)]
    pub price: Option<Price>,
}

impl Default for ModelProfile {
    fn default() -> Self {
        Self {
            id: "eu.anthropic.claude-haiku-4-5-20251001-v1:0".to_owned(),
            output: OutputMode::JsonSchema,
            allows_sampling: true,
            max_tokens: 2048,
            context_tokens: Some(200_000),
            price: None,
        }
    }
}

/// Region, model and limits. Credentials are never read from a file with the rest.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BedrockConfig {
    /// AWS region, such as `eu-central-1`.
    pub region: String,
    /// Another address than the region's own: a simulator or a private endpoint.
    pub endpoint_url: Option<String>,
    /// The model.
    pub model: ModelProfile,
    /// Seconds one call may take, 1 to 140. The first use of a schema can take minutes; the call
    /// after one that was given up finds it ready.
    pub timeout_secs: u64,
    /// When it is left alone.
    pub breaker: BreakerConfig,
    /// A fixed key pair instead of the AWS credential chain.
    #[serde(skip)]
    pub credentials: Option<StaticCredentials>,
}

impl Default for BedrockConfig {
    fn default() -> Self {
        Self {
            region: "eu-central-1".to_owned(),
            endpoint_url: None,
            model: ModelProfile::default(),
            timeout_secs: MAX_TIMEOUT_SECS,
            breaker: BreakerConfig {
                failures: 3,
                first_pause_secs: 30,
                longest_pause_secs: 300,
            },
            credentials: None,
        }
    }
}

impl BedrockConfig {
    /// Checks every field. Never repeats a credential.
    ///
    /// # Errors
    /// With all findings, when there is one.
    pub fn validate(&self) -> Result<(), InvalidInput> {
        let mut problems = Vec::new();
        let mut refuse = |field: &str, value: &str, allowed: &str| {
            problems.push(Problem::new(format!("bedrock.{field}"), value, allowed));
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.region.is_empty() || !self.region.chars().all(plain) {
            refuse("region", &self.region, "an AWS region such as eu-central-1");
        }
        if let Some(url) = &self.endpoint_url
            && !is_safe_address(url)
        {
            refuse(
                "endpoint_url",
                url,
                "an https address; http only for this machine",
            );
        }
        if self.model.id.is_empty() || !self.model.id.chars().all(|c| c.is_ascii_graphic()) {
            refuse(
                "model.id",
                &self.model.id,
                "a model id, an inference profile or an ARN",
            );
        }
        if !(64..=1_000_000).contains(&self.model.max_tokens) {
            refuse(
                "model.max_tokens",
                &self.model.max_tokens.to_string(),
                "64 to 1000000",
            );
        }
        if self
            .model
            .context_tokens
            .is_some_and(|size| size <= self.model.max_tokens)
        {
            refuse(
                "model.context_tokens",
                &self.model.context_tokens.unwrap_or_default().to_string(),
                "more than model.max_tokens",
            );
        }
        if !(1..=MAX_TIMEOUT_SECS).contains(&self.timeout_secs) {
            refuse(
                "timeout_secs",
                &self.timeout_secs.to_string(),
                &format!(
                    "1 to {MAX_TIMEOUT_SECS}: the activity around a call and its one repair has 300 seconds"
                ),
            );
        }
        if let Some(keys) = &self.credentials {
            for (field, key) in [
                ("access_key", &keys.access_key),
                ("secret_key", &keys.secret_key),
            ] {
                let text = key.expose_secret();
                if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
                    let field = format!("credentials.{field}");
                    refuse(
                        &field,
                        "(not shown)",
                        "the key as it was given, without spaces",
                    );
                }
            }
        }
        problems.extend(self.breaker.problems("bedrock"));
        InvalidInput::when(problems)
    }
}
