//! Buckets of S3.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use object_store::{
    ClientOptions, CredentialProvider, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AwsCredential, Checksum, S3ConditionalPut},
};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::Shelf;
use crate::aws::{self, StaticCredentials};

/// Longest time one request may take: objects are some megabytes.
const REQUEST: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);
/// Credentials are renewed this long before they end.
const MARGIN: Duration = Duration::from_secs(60);

/// How objects are encrypted at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// As the bucket says by default.
    #[default]
    Bucket,
    /// With a key of KMS that is named beside it.
    Kms,
}

/// Which buckets. Credentials are never read from a file with the rest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    /// AWS region, such as `eu-central-1`.
    pub region: String,
    /// Another address than the region's own.
    #[serde(default)]
    pub endpoint_url: Option<String>,
    /// Bucket of playbooks.
    pub playbooks_bucket: String,
    /// Bucket of logs.
    pub logs_bucket: String,
    /// Bucket of reports.
    pub reports_bucket: String,
    /// How objects are encrypted.
    #[serde(default)]
    pub encryption: Encryption,
    /// ARN of the key, for [`Encryption::Kms`].
    #[serde(default)]
    pub kms_key: Option<String>,
    /// A fixed key pair instead of the AWS credential chain.
    #[serde(skip)]
    pub credentials: Option<StaticCredentials>,
}

impl S3Config {
    /// For an S3 server on this machine, with the buckets `autoops-playbooks` and so on.
    #[must_use]
    pub fn of_this_machine(url: &str) -> Self {
        let bucket = |shelf: Shelf| format!("autoops-{}", shelf.as_str());
        Self {
            region: "eu-central-1".to_owned(),
            endpoint_url: Some(url.to_owned()),
            playbooks_bucket: bucket(Shelf::Playbooks),
            logs_bucket: bucket(Shelf::Logs),
            reports_bucket: bucket(Shelf::Reports),
            encryption: Encryption::Bucket,
            kms_key: None,
            credentials: Some(StaticCredentials::of_this_machine()),
        }
    }
}

/// Opens buckets of one account with one set of credentials.
pub(super) struct Buckets<'a> {
    config: &'a S3Config,
    credentials: Option<Arc<Chain>>,
}

impl<'a> Buckets<'a> {
    pub(super) async fn new(config: &'a S3Config) -> Self {
        let (url, keys) = (config.endpoint_url.as_deref(), config.credentials.as_ref());
        let settings = aws::settings(&config.region, url, keys, REQUEST).await;
        let credentials = settings.credentials_provider().map(|provider| {
            Arc::new(Chain {
                provider,
                last: Mutex::default(),
            })
        });
        Self {
            config,
            credentials,
        }
    }

    pub(super) fn open(&self, bucket: &str) -> object_store::Result<AmazonS3> {
        let config = self.config;
        let client = ClientOptions::new()
            .with_timeout(REQUEST)
            .with_connect_timeout(CONNECT)
            .with_allow_http(config.endpoint_url.is_some());
        // Only Temporal tries again. Buckets with object lock want a checksum.
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&config.region)
            .with_client_options(client)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            });
        if let Some(url) = &config.endpoint_url {
            builder = builder.with_endpoint(url);
        }
        if let (Encryption::Kms, Some(key)) = (config.encryption, &config.kms_key) {
            builder = builder.with_sse_kms_encryption(key).with_bucket_key(true);
        }
        if let Some(credentials) = &self.credentials {
            builder = builder.with_credentials(credentials.clone());
        }
        builder.build()
    }
}

/// The credential chain of the AWS SDK, which knows more places than that of `object_store`.
#[derive(Debug)]
struct Chain {
    provider: SharedCredentialsProvider,
    last: Mutex<Option<Credentials>>,
}

impl Chain {
    async fn current(
        &self,
    ) -> Result<Credentials, aws_credential_types::provider::error::CredentialsError> {
        let mut last = self.last.lock().await;
        let good = last.as_ref().filter(|last| !ends_soon(last));
        if let Some(good) = good {
            return Ok(good.clone());
        }
        let new = self.provider.provide_credentials().await?;
        *last = Some(new.clone());
        Ok(new)
    }
}

fn ends_soon(credentials: &Credentials) -> bool {
    let end = credentials.expiry();
    end.is_some_and(|end| end < std::time::SystemTime::now() + MARGIN)
}

#[async_trait]
impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let credentials =
            self.current()
                .await
                .map_err(|error| object_store::Error::Unauthenticated {
                    path: "AWS credentials".to_owned(),
                    source: error.into(),
                })?;
        Ok(Arc::new(AwsCredential {
            key_id: credentials.access_key_id().to_owned(),
            secret_key: credentials.secret_access_key().to_owned(),
            token: credentials.session_token().map(ToOwned::to_owned),
        }))
    }
}
