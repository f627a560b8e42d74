//! AWS Bedrock: asks a language model for one JSON object of a given schema.
//!
//! The real AWS SDK, one attempt per call: only Temporal retries. How a model is made to answer in
//! JSON differs by model and is configuration ([`ModelProfile`]). Whatever the way, the reply is
//! checked against the schema here, and its text stays untrusted input for the caller.

mod config;
mod document;
mod error;
mod reply;
mod request;
mod schema;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use aws_sdk_bedrockruntime::{
    Client,
    config::{
        BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig,
        retry::RetryConfig, timeout::TimeoutConfig,
    },
};
use secrecy::ExposeSecret;

pub use config::{BedrockConfig, ModelProfile, OutputMode, Price, StaticCredentials};
pub use error::{BedrockError, Misfit};
pub use reply::{StructuredReply, Usage};
pub use request::{PreviousReply, StructuredRequest};

use crate::{breaker::Breaker, store::Counters};

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
        let version = BehaviorVersion::v2026_01_12();
        let region = Region::new(config.region.clone());
        let builder = match &config.credentials {
            Some(keys) => Builder::new()
                .behavior_version(version)
                .region(region)
                .credentials_provider(Credentials::new(
                    keys.access_key.expose_secret(),
                    keys.secret_key.expose_secret(),
                    None,
                    None,
                    "autoops-static",
                )),
            None => Builder::from(&aws_config::defaults(version).region(region).load().await),
        };
        let whole = Duration::from_secs(config.timeout_secs);
        let mut builder = builder
            .retry_config(RetryConfig::standard().with_max_attempts(1))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(whole.min(Duration::from_secs(10)))
                    .read_timeout(whole)
                    .operation_attempt_timeout(whole)
                    .operation_timeout(whole)
                    .build(),
            )
            // A model thinks for a long time before its first byte.
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled()
                    .grace_period(whole)
                    .build(),
            );
        if let Some(url) = config.endpoint_url {
            builder = builder.endpoint_url(url);
        }
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
