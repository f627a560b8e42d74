//! What our clients of AWS have in common: the SDK's own chain of credentials, and one attempt a
//! call, because only Temporal retries.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_bedrockruntime::config::Credentials;
use secrecy::{ExposeSecret, SecretString};

/// Longest time in which a connection has to stand.
const CONNECT: Duration = Duration::from_secs(10);

/// Both halves of the key pair that engines on this machine know.
pub const LOCAL_KEY: &str = "local";

/// A fixed key pair, for simulators: real accounts use the AWS credential chain.
#[derive(Debug, Clone)]
pub struct StaticCredentials {
    /// Access key id.
    pub access_key: SecretString,
    /// Secret access key.
    pub secret_key: SecretString,
}

impl StaticCredentials {
    /// For an engine on this machine: some want just this one, others take any.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self {
            access_key: LOCAL_KEY.into(),
            secret_key: LOCAL_KEY.into(),
        }
    }
}

/// Returns the settings of a client whose calls may take `whole`.
pub async fn settings(
    region: &str,
    endpoint_url: Option<&str>,
    credentials: Option<&StaticCredentials>,
    whole: Duration,
) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .retry_config(RetryConfig::standard().with_max_attempts(1))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(whole.min(CONNECT))
                .read_timeout(whole)
                .operation_attempt_timeout(whole)
                .operation_timeout(whole)
                .build(),
        );
    if let Some(url) = endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(keys) = credentials {
        loader = loader.credentials_provider(Credentials::new(
            keys.access_key.expose_secret(),
            keys.secret_key.expose_secret(),
            None,
            None,
            "autoops-static",
        ));
    }
    loader.load().await
}
