//! Which embedding model is asked, and how it is reached.

use domain::input::{InvalidInput, Problem};

use super::wire::Family;
use crate::{address::is_safe_address, aws::StaticCredentials, breaker::BreakerConfig};

/// Longest a request may take: it is part of an activity that has 30 seconds.
const MAX_TIMEOUT_SECS: u64 = 20;

/// Model, region and limits.
#[derive(Debug, Clone)]
pub struct EmbeddingsConfig {
    /// AWS region.
    pub region: String,
    /// Another address than the region's own.
    pub endpoint_url: Option<String>,
    /// Model id or inference profile.
    pub model: String,
    /// Seconds one request may take, 1 to 20.
    pub timeout_secs: u64,
    /// From this cosine on two incidents are alike, in per mille.
    pub alike_permille: u16,
    /// Price in US cents for a million tokens, if known.
    pub cents_per_mtok: Option<u32>,
    /// When it is left alone.
    pub breaker: BreakerConfig,
    /// A fixed key pair instead of the AWS credential chain.
    pub credentials: Option<StaticCredentials>,
}

impl EmbeddingsConfig {
    /// Checks every field and says which kind of model it is.
    pub(crate) fn validate(&self) -> Result<Family, InvalidInput> {
        let mut problems = Vec::new();
        let mut refuse = |field: &str, value: String, allowed: &str| {
            problems.push(Problem::new(field, value, allowed));
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.region.is_empty() || !self.region.chars().all(plain) {
            let allowed = "an AWS region such as eu-central-1";
            refuse("bedrock.region", self.region.clone(), allowed);
        }
        if let Some(url) = self
            .endpoint_url
            .as_ref()
            .filter(|url| !is_safe_address(url))
        {
            let allowed = "an https address; http only for this machine";
            refuse("bedrock.endpoint_url", url.clone(), allowed);
        }
        let family = Family::of(&self.model);
        if family.is_none() {
            refuse(
                "memory.embeddings.model",
                self.model.clone(),
                "amazon.titan-embed-text-v2:0, or cohere.embed-v4:0 also as an inference profile \
                 such as eu.cohere.embed-v4:0: models that make 256 dimensions",
            );
        }
        if !(1..=MAX_TIMEOUT_SECS).contains(&self.timeout_secs) {
            let secs = self.timeout_secs.to_string();
            refuse("memory.embeddings.timeout_secs", secs, "1 to 20");
        }
        if !(1..=1000).contains(&self.alike_permille) {
            let alike = self.alike_permille.to_string();
            refuse("memory.embeddings.alike_permille", alike, "1 to 1000");
        }
        problems.extend(self.breaker.problems("memory.embeddings"));
        match family {
            Some(family) if problems.is_empty() => Ok(family),
            _ => Err(InvalidInput { problems }),
        }
    }
}
