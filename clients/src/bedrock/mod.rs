//! AWS Bedrock: asks a language model for one JSON object of a given schema.
//!
//! The real AWS SDK, one attempt per call: only Temporal retries. How a model is made to answer in
//! JSON differs by model and is configuration ([`ModelProfile`]). Whatever the way, the reply is
//! checked against the schema here, and its text stays untrusted input for the caller.

mod config;
mod document;
pub mod embeddings;
mod error;
mod reply;
mod request;
mod schema;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use aws_sdk_bedrockruntime::{
    Client,
    config::{Builder, StalledStreamProtectionConfig},
};

pub use crate::aws::StaticCredentials;
pub use config::{BedrockConfig, ModelProfile, OutputMode, Price};
pub use error::{BedrockError, Misfit};
pub use reply::{StructuredReply, Usage};
pub use request::{PreviousReply, StructuredRequest};

use crate::{aws, breaker::Breaker, store::Counters};

/// Name of its breaker.
const UPSTREAM: &str = "bedrock";

/// A model on Bedrock.
#[derive(Debug)]
pub struct Bedrock {
    client: Client,
    model: ModelProfile,
    breaker: Breaker,
}

impl Bedrock {
    /// Checks the configuration and finds the credentials; asks the model nothing.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub async fn new(config: BedrockConfig) -> Result<Self, BedrockError> {
        config.validate().map_err(BedrockError::Config)?;
        let whole = Duration::from_secs(config.timeout_secs);
        let settings = aws::settings(
            &config.region,
            config.endpoint_url.as_deref(),
            config.credentials.as_ref(),
            whole,
        )
        .await;
        // A model thinks for a long time before its first byte.
        let patience = StalledStreamProtectionConfig::enabled()
            .grace_period(whole)
            .build();
        let builder = Builder::from(&settings).stalled_stream_protection(patience);
        Ok(Self {
            client: Client::from_conf(builder.build()),
            model: config.model,
            breaker: Breaker::new(UPSTREAM, config.breaker),
        })
    }

    /// Lets other processes see when it does not answer.
    #[must_use]
    pub fn sharing(mut self, counters: Arc<dyn Counters>) -> Self {
        self.breaker.share(counters);
        self
    }

    /// Returns the profile of the model that is asked.
    #[must_use]
    pub fn model(&self) -> &ModelProfile {
        &self.model
    }

    /// Asks once for one JSON object that fits the schema.
    ///
    /// A reply that does not fit is [`BedrockError::Malformed`]; the caller may ask once more with
    /// [`BedrockError::repair`]. There is no idempotency token: each call is paid.
    ///
    /// # Errors
    /// See [`BedrockError`]; [`BedrockError::usage`] says what a failed call has cost.
    pub async fn converse(
        &self,
        request: StructuredRequest,
    ) -> Result<StructuredReply, BedrockError> {
        let question = request::build(&self.client, &self.model, &request)?;
        let permit = self.breaker.ask().await?;
        let answer = match question.send().await {
            Ok(output) => reply::read(output, &self.model, &request),
            Err(error) => Err(error::classify(error, &self.model.id)),
        };
        permit.ended(answer.as_ref().err()).await;
        answer
    }
}
