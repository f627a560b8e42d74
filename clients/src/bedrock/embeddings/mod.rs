//! Embedding models on Bedrock: where a text lies in the space of a model. The real AWS SDK and
//! `InvokeModel`, one attempt per call, within a budget and behind a breaker of its own.
//!
//! A vector means something only beside those of the same model, number of dimensions and form of
//! text: all of that is in the name that it is kept under ([`Embeddings::name`]).

mod config;
#[cfg(test)]
mod tests;
mod wire;

use std::{sync::Arc, time::Duration};

use aws_sdk_bedrockruntime::{Client, primitives::Blob};

use self::wire::Family;
pub use self::{config::EmbeddingsConfig, wire::Purpose};
use super::{BedrockError, error};
use crate::{
    aws,
    breaker::Breaker,
    memory::{ModelName, Vector},
    rate_limit::{Permit, RateLimiter},
    store::Counters,
};

/// Name of the shared bucket that every request takes from, and of the breaker.
pub const BUCKET: &str = "embeddings";
/// Most characters of one text: what Titan takes.
const MOST_CHARS: usize = 50_000;

/// An embedding model.
#[derive(Debug)]
pub struct Embeddings {
    client: Client,
    family: Family,
    id: String,
    name: ModelName,
    alike_permille: u16,
    cents_per_mtok: Option<u32>,
    limiter: Arc<dyn RateLimiter>,
    breaker: Breaker,
}

/// What a model made of texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// A vector of each text, in order.
    pub vectors: Vec<Vector>,
    /// Tokens it cost; 0 when the service does not say.
    pub tokens: u64,
}

impl Embeddings {
    /// Checks the configuration and finds the credentials; asks the model nothing.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub async fn new(
        config: EmbeddingsConfig,
        limiter: Arc<dyn RateLimiter>,
    ) -> Result<Self, BedrockError> {
        let family = config.validate().map_err(BedrockError::Config)?;
        let name = family.name(&config.model).map_err(BedrockError::Config)?;
        let settings = aws::settings(
            &config.region,
            config.endpoint_url.as_deref(),
            config.credentials.as_ref(),
            Duration::from_secs(config.timeout_secs),
        )
        .await;
        Ok(Self {
            client: Client::new(&settings),
            family,
            id: config.model,
            name,
            alike_permille: config.alike_permille,
            cents_per_mtok: config.cents_per_mtok,
            limiter,
            breaker: Breaker::new(BUCKET, config.breaker),
        })
    }

    /// Lets other processes see when it does not answer.
    #[must_use]
    pub fn sharing(mut self, counters: Arc<dyn Counters>) -> Self {
        self.breaker.share(counters);
        self
    }

    /// Returns the name that its vectors are kept under.
    #[must_use]
    pub fn name(&self) -> &ModelName {
        &self.name
    }

    /// Returns the cosine from which two texts are alike, in per mille.
    #[must_use]
    pub fn alike_permille(&self) -> u16 {
        self.alike_permille
    }

    /// Returns how many texts one request may hold.
    #[must_use]
    pub fn at_once(&self) -> usize {
        self.family.at_once()
    }

    /// Makes a vector of each text; one request, of at most [`Embeddings::at_once`] texts.
    ///
    /// # Errors
    /// See [`BedrockError`]; `Throttled` also when our own budget is used up.
    pub async fn embed(
        &self,
        texts: &[String],
        purpose: Purpose,
    ) -> Result<Embedded, BedrockError> {
        if !(1..=self.at_once()).contains(&texts.len()) {
            let allowed = format!("1 to {} texts at once are allowed", self.at_once());
            return Err(BedrockError::refused(&allowed));
        }
        let fits = |text: &String| !text.trim().is_empty() && text.chars().count() <= MOST_CHARS;
        if !texts.iter().all(fits) {
            let allowed = format!("a text has 1 to {MOST_CHARS} characters");
            return Err(BedrockError::refused(&allowed));
        }
        let body = self.family.request(texts, purpose).to_string();
        let mut permit = self.breaker.ask().await?;
        self.take().await?;
        permit.begins();
        let answer = self.send(body, texts.len()).await;
        permit.ended(answer.as_ref().err()).await;
        let embedded = answer?;
        self.count(embedded.tokens);
        Ok(embedded)
    }

    async fn send(&self, body: String, texts: usize) -> Result<Embedded, BedrockError> {
        let call = self.client.invoke_model().model_id(&self.id);
        // The SDK would call it a stream of bytes.
        let call = call
            .content_type("application/json")
            .accept("application/json")
            .body(Blob::new(body));
        match call.send().await {
            Ok(output) => self.family.read(output.body().as_ref(), texts),
            Err(error) => Err(error::classify(error, &self.id)),
        }
    }

    async fn take(&self) -> Result<(), BedrockError> {
        match self.limiter.take(BUCKET).await {
            Ok(Permit::Granted) => Ok(()),
            Ok(Permit::Wait(retry_after)) => Err(BedrockError::Throttled {
                code: "the budget of memory.embeddings is used up".to_owned(),
                retry_after: Some(retry_after),
            }),
            Err(source) => Err(BedrockError::Unavailable {
                detail: "the shared budget could not be asked".to_owned(),
                retry_after: None,
                source: Some(source),
            }),
        }
    }

    fn count(&self, tokens: u64) {
        metrics::counter!("autoops_embedding_tokens_total").increment(tokens);
        if let Some(cents) = self.cents_per_mtok {
            let micro_usd = tokens.saturating_mul(u64::from(cents)) / 100;
            metrics::counter!("autoops_embedding_micro_usd_total").increment(micro_usd);
        }
    }
}
