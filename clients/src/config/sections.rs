//! Sections of the configuration that are not a client's own.

use std::path::PathBuf;

use domain::input::{InvalidInput, Problem};
use serde::Deserialize;

use crate::{
    address::{is_public_address, is_safe_address},
    bedrock::{BedrockConfig, ModelProfile, embeddings::EmbeddingsConfig},
    breaker::BreakerConfig,
    memory::OpenSearchConfig,
    objects::{Encryption, S3Config},
    secret::Secret,
    store::DynamoConfig,
};

/// What kind of environment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum EnvironmentName {
    /// One machine, simulators.
    Development,
    /// Like production, with devices that may break.
    Staging,
    /// Real devices.
    Production,
}

impl EnvironmentName {
    /// Returns the word used in the configuration and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

impl TryFrom<String> for EnvironmentName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        [Self::Development, Self::Staging, Self::Production]
            .into_iter()
            .find(|known| known.as_str() == name)
            .ok_or_else(|| format!("`{name}` is not allowed: development, staging or production"))
    }
}

/// Section `environment`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentSection {
    /// What kind it is.
    pub name: EnvironmentName,
    #[serde(default)]
    accept_claimed_identity: Option<bool>,
}

impl EnvironmentSection {
    /// Returns whether a name in a signal sent by hand counts as that person: what is set, else
    /// only in development.
    #[must_use]
    pub fn accepts_claimed_identity(&self) -> bool {
        self.accept_claimed_identity
            .unwrap_or(self.name == EnvironmentName::Development)
    }
}

/// Section `nvd`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NvdSection {
    pub(super) base_url: String,
    pub(super) timeout_secs: u64,
    pub(super) breaker: BreakerConfig,
    #[serde(default)]
    requests_per_30s: Option<u32>,
}

impl NvdSection {
    /// Budget for 30 seconds.
    pub(super) fn requests(&self, with_key: bool) -> Result<u32, InvalidInput> {
        let default = if with_key { 50 } else { 5 };
        let requests = self.requests_per_30s.unwrap_or(default);
        at_least_one("nvd.requests_per_30s", requests)
    }
}

/// Section `bedrock`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BedrockSection {
    pub(super) enabled: bool,
    region: String,
    #[serde(default)]
    endpoint_url: Option<String>,
    timeout_secs: u64,
    breaker: BreakerConfig,
    model: ModelProfile,
}

impl BedrockSection {
    /// What embeddings need; none when vectors are made by rule.
    pub(super) fn embeddings(
        &self,
        section: &EmbeddingsSection,
    ) -> Result<Option<EmbeddingsConfig>, InvalidInput> {
        if section.kind == EmbeddingsKind::Rules {
            return Ok(None);
        }
        if !self.enabled {
            let allowed = "rules, while bedrock.enabled is false";
            return Err(not_allowed("memory.embeddings.kind", "bedrock", allowed));
        }
        let config = EmbeddingsConfig {
            region: self.region.clone(),
            endpoint_url: self.endpoint_url.clone(),
            model: section.model.clone(),
            timeout_secs: section.timeout_secs,
            alike_permille: section.alike_permille,
            cents_per_mtok: section.cents_per_mtok,
            breaker: section.breaker,
            credentials: None,
        };
        config.validate()?;
        Ok(Some(config))
    }

    /// Credentials come from the AWS chain.
    pub(super) fn client(&self) -> BedrockConfig {
        BedrockConfig {
            region: self.region.clone(),
            endpoint_url: self.endpoint_url.clone(),
            model: self.model.clone(),
            timeout_secs: self.timeout_secs,
            breaker: self.breaker,
            credentials: None,
        }
    }
}

/// Where records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// In one file on this machine.
    Embedded,
    /// In tables of DynamoDB.
    Dynamodb,
}

/// Section `store`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSection {
    /// Which of the two below counts.
    pub kind: StoreKind,
    /// The database file.
    pub path: PathBuf,
    /// The tables.
    pub dynamodb: DynamoConfig,
}

impl StoreSection {
    /// Names it for people.
    #[must_use]
    pub fn name(&self) -> String {
        let tables = &self.dynamodb;
        match self.kind {
            StoreKind::Embedded => self.path.display().to_string(),
            StoreKind::Dynamodb => format!("{}-* in {}", tables.prefix, tables.region),
        }
    }
}

/// Where objects are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectsKind {
    /// In a folder of this machine.
    Folder,
    /// In buckets of S3.
    S3,
}

/// Section `objects`: playbooks, logs, reports.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectsSection {
    /// Which of the two below counts.
    pub kind: ObjectsKind,
    /// The folder.
    pub path: PathBuf,
    /// The buckets.
    pub s3: S3Config,
}

impl ObjectsSection {
    /// Names it for people.
    #[must_use]
    pub fn name(&self) -> String {
        match self.kind {
            ObjectsKind::Folder => self.path.display().to_string(),
            ObjectsKind::S3 => format!("buckets in {}", self.s3.region),
        }
    }

    /// Buckets belong to somebody: there is no default for their names.
    pub(super) fn checked(&self) -> Result<&Self, InvalidInput> {
        let s3 = &self.s3;
        let buckets = [
            ("objects.s3.playbooks_bucket", &s3.playbooks_bucket),
            ("objects.s3.logs_bucket", &s3.logs_bucket),
            ("objects.s3.reports_bucket", &s3.reports_bucket),
        ];
        if self.kind == ObjectsKind::S3 {
            for (field, bucket) in buckets {
                if bucket.is_empty() {
                    let allowed =
                        "the name of a bucket (an output of deploy/cloudformation/storage.yaml)";
                    return Err(not_allowed(field, bucket, allowed));
                }
            }
            if s3.encryption == Encryption::Kms && s3.kms_key.is_none() {
                let allowed = "the ARN of a key, when objects.s3.encryption is kms";
                return Err(not_allowed("objects.s3.kms_key", "", allowed));
            }
        }
        Ok(self)
    }
}

/// Where past incidents are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryKind {
    /// In one file on this machine.
    Embedded,
    /// In indexes of OpenSearch.
    Opensearch,
}

/// What makes the vectors by which past incidents are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddingsKind {
    /// Rules alone.
    Rules,
    /// Rules, and a model on Bedrock.
    Bedrock,
}

/// Section `memory.embeddings`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingsSection {
    pub(super) kind: EmbeddingsKind,
    model: String,
    timeout_secs: u64,
    requests_per_minute: u32,
    alike_permille: u16,
    #[serde(default)]
    cents_per_mtok: Option<u32>,
    breaker: BreakerConfig,
}

impl EmbeddingsSection {
    /// Budget for a minute.
    pub(super) fn requests(&self) -> Result<u32, InvalidInput> {
        at_least_one(
            "memory.embeddings.requests_per_minute",
            self.requests_per_minute,
        )
    }

    /// By rule alone.
    fn rules() -> Self {
        Self {
            kind: EmbeddingsKind::Rules,
            model: String::new(),
            timeout_secs: 0,
            requests_per_minute: 0,
            alike_permille: 0,
            cents_per_mtok: None,
            breaker: BreakerConfig {
                failures: 0,
                first_pause_secs: 0,
                longest_pause_secs: 0,
            },
        }
    }
}

/// Section `memory`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemorySection {
    /// Which of the two below counts.
    pub kind: MemoryKind,
    /// The database file.
    pub path: PathBuf,
    /// The indexes.
    pub opensearch: OpenSearchConfig,
    /// What makes vectors.
    pub embeddings: EmbeddingsSection,
}

impl MemorySection {
    /// Names a memory in a file.
    #[must_use]
    pub fn in_file(path: PathBuf) -> Self {
        Self {
            kind: MemoryKind::Embedded,
            path,
            opensearch: OpenSearchConfig {
                url: String::new(),
                prefix: String::new(),
                region: None,
                credentials: None,
            },
            embeddings: EmbeddingsSection::rules(),
        }
    }

    /// Names it for people.
    #[must_use]
    pub fn name(&self) -> String {
        let indexes = &self.opensearch;
        match self.kind {
            MemoryKind::Embedded => self.path.display().to_string(),
            MemoryKind::Opensearch => format!("{}-* at {}", indexes.prefix, indexes.url),
        }
    }
}

/// Section `callback`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallbackSection {
    public_url: String,
}

/// Where device scripts report.
#[derive(Debug, Clone)]
pub struct CallbackConfig {
    /// Address under which devices reach us, without a slash at the end.
    pub public_url: String,
    /// Master key of the tokens of script runs.
    pub key: Secret,
}

impl CallbackSection {
    /// Devices of people report over a network: only in development are they on this machine.
    pub(super) fn checked(
        &self,
        key: Secret,
        environment: EnvironmentName,
    ) -> Result<CallbackConfig, InvalidInput> {
        let (fits, allowed) = match environment {
            EnvironmentName::Development => (
                is_safe_address(&self.public_url),
                "an https address that devices can reach; http only for this machine",
            ),
            EnvironmentName::Staging | EnvironmentName::Production => (
                is_public_address(&self.public_url),
                "outside development, an https address that devices can reach, not this machine's own",
            ),
        };
        if !fits {
            return Err(not_allowed(
                "callback.public_url",
                &self.public_url,
                allowed,
            ));
        }
        Ok(CallbackConfig {
            public_url: self.public_url.trim_end_matches('/').to_owned(),
            key,
        })
    }
}

pub(super) fn at_least_one(field: &str, requests: u32) -> Result<u32, InvalidInput> {
    match requests {
        0 => Err(not_allowed(field, "0", "1 or more")),
        requests => Ok(requests),
    }
}

fn not_allowed(field: &str, value: &str, allowed: &str) -> InvalidInput {
    InvalidInput::one(Problem::new(field, value, allowed))
}
