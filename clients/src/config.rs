//! Configuration: embedded defaults (`config.default.toml`), then a file, then variables.
//!
//! Secrets are never part of it: each section that needs one is asked for with [`Secrets`], so that
//! a program needs no secret that it does not use.

mod secrets;
mod sections;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::input::InvalidInput;
use serde::Deserialize;

pub use self::{
    secrets::{
        CALLBACK_KEY, DECISION_KEY, NVD_API_KEY, PROMETHEUS_TOKEN, SUPEROPS_TOKEN, Secrets,
        SecretsSection,
    },
    sections::{
        BedrockSection, CallbackConfig, CallbackSection, EmbeddingsKind, EmbeddingsSection,
        EnvironmentName, EnvironmentSection, MemoryKind, MemorySection, NvdSection, ObjectsKind,
        ObjectsSection, StoreKind, StoreSection,
    },
};
use crate::{
    bedrock::{
        BedrockConfig,
        embeddings::{self, EmbeddingsConfig},
    },
    intel::{FeedConfig, IntelConfig, Upstream},
    nvd::{self, NvdConfig},
    prometheus::{self, PrometheusConfig},
    secret::{Secret, SecretError, Use},
    store::Bucket,
    superops::{self, SuperOpsConfig},
};

const DEFAULTS: &str = include_str!("../config.default.toml");
/// NVD counts the requests of 30 seconds as they arrive; one that was slow on its way must not fall
/// together with one that is sent when its token has come back.
const NVD_WINDOW_SECS: u64 = 35;
const PREFIX: &str = "AUTOOPS_";
const SEPARATOR: &str = "__";
/// Variable that names the configuration file when no argument does.
pub const FILE_VARIABLE: &str = "AUTOOPS_CONFIG";

/// Why the configuration cannot be used; one line, names the key or variable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{} (named by {by}) cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Who named it.
        by: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not TOML, or a key is unknown or has the wrong kind of value.
    #[error("{what}")]
    Malformed {
        /// Which key, and what is allowed.
        what: String,
    },
    /// A value is not allowed.
    #[error(transparent)]
    NotAllowed(#[from] InvalidInput),
    /// A secret is not set.
    #[error("no {what}: set {variable}, {variable}_FILE or {variable}_SECRET")]
    MissingSecret {
        /// What it is for.
        what: &'static str,
        /// Variable that holds it.
        variable: &'static str,
    },
    /// A secret cannot be read or used. Never repeats it.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// All that can be set, without secrets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where we run.
    pub environment: EnvironmentSection,
    superops: SuperOpsConfig,
    nvd: NvdSection,
    kev: FeedConfig,
    epss: FeedConfig,
    msrc: FeedConfig,
    cve_services: FeedConfig,
    bedrock: BedrockSection,
    /// Where records are kept.
    pub store: StoreSection,
    objects: ObjectsSection,
    /// Where past incidents are remembered.
    pub memory: MemorySection,
    prometheus: PrometheusConfig,
    callback: CallbackSection,
    /// How AWS Secrets Manager is reached.
    pub secrets: SecretsSection,
}

/// Requests a minute for evidence of incidents; part of those of `SuperOps`.
const EVIDENCE_PER_MINUTE: u32 = 5;

impl Config {
    /// Reads the defaults, the file (the argument, else `AUTOOPS_CONFIG`, else none) and variables.
    ///
    /// # Errors
    /// When the file cannot be read, or a key is unknown or has the wrong kind of value.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        // Variables that are not text cannot be ours.
        let variables = env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::from_parts(file, variables)
    }

    fn from_parts(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let ours: BTreeMap<String, String> = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        let named = ours.get(FILE_VARIABLE).filter(|path| !path.is_empty());
        let (file, by) = match (file, named) {
            (Some(path), _) => (Some(path), "--config"),
            (None, named) => (named.map(Path::new), FILE_VARIABLE),
        };
        let mut layers = config::Config::builder().add_source(toml(DEFAULTS));
        if let Some(path) = file {
            let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
                path: path.to_owned(),
                by: by.to_owned(),
                source,
            })?;
            // Checked alone first, so that the file is blamed for its own mistakes only.
            config::Config::builder()
                .add_source(toml(&text))
                .build()
                .map_err(|error| malformed(&path.display().to_string(), &error))?;
            layers = layers.add_source(toml(&text));
        }
        // One underscore: secrets and names of programs; two: keys of sections.
        let keys = ours
            .into_iter()
            .filter(|(name, _)| name.contains(SEPARATOR))
            .collect();
        let variables = config::Environment::with_prefix(PREFIX.trim_end_matches('_'))
            .prefix_separator("_")
            .separator(SEPARATOR)
            .source(Some(keys));
        let merged = layers
            .add_source(variables)
            .build()
            .map_err(|error| malformed("the configuration", &error))?;
        serde_path_to_error::deserialize(merged).map_err(|error| {
            let path = error.path().to_string();
            malformed(
                if path == "." {
                    "the configuration"
                } else {
                    &path
                },
                error.inner(),
            )
        })
    }

    /// Returns what the SuperOps client needs, with its token.
    ///
    /// # Errors
    /// When the token is missing or a value is not allowed.
    pub async fn superops(&self, secrets: &Secrets) -> Result<SuperOpsConfig, ConfigError> {
        let token = secrets
            .required("SuperOps token", SUPEROPS_TOKEN, Use::Header, &self.secrets)
            .await?;
        let config = SuperOpsConfig {
            token,
            ..self.superops.clone()
        };
        config.validate()?;
        Ok(config)
    }

    /// Returns what the NVD client needs, with its key if there is one.
    ///
    /// # Errors
    /// When the key cannot be read or a value is not allowed.
    pub async fn nvd(&self, secrets: &Secrets) -> Result<NvdConfig, ConfigError> {
        let config = NvdConfig {
            base_url: self.nvd.base_url.clone(),
            api_key: secrets
                .optional(NVD_API_KEY, Use::Header, &self.secrets)
                .await?,
            timeout_secs: self.nvd.timeout_secs,
            breaker: self.nvd.breaker,
        };
        config.validate()?;
        Ok(config)
    }

    /// Returns what the sources need that have no key.
    ///
    /// # Errors
    /// When a value is not allowed.
    pub fn intel(&self) -> Result<IntelConfig, ConfigError> {
        let config = IntelConfig {
            kev: self.kev.clone(),
            epss: self.epss.clone(),
            msrc: self.msrc.clone(),
            cve_services: self.cve_services.clone(),
        };
        config.validate()?;
        Ok(config)
    }

    /// Returns what the Bedrock client needs; `None` when the model is turned off.
    ///
    /// # Errors
    /// When a value is not allowed.
    pub fn bedrock(&self) -> Result<Option<BedrockConfig>, ConfigError> {
        if !self.bedrock.enabled {
            return Ok(None);
        }
        let config = self.bedrock.client();
        config.validate()?;
        Ok(Some(config))
    }

    /// Returns what the embedding model needs; `None` when vectors are made by rule alone.
    ///
    /// # Errors
    /// When a value is not allowed.
    pub fn embeddings(&self) -> Result<Option<EmbeddingsConfig>, ConfigError> {
        Ok(self.bedrock.embeddings(&self.memory.embeddings)?)
    }

    /// Returns what the Prometheus client needs, with its token if there is one; `None` when no
    /// address is set.
    ///
    /// # Errors
    /// When the token cannot be read or a value is not allowed.
    pub async fn prometheus(
        &self,
        secrets: &Secrets,
    ) -> Result<Option<PrometheusConfig>, ConfigError> {
        if self.prometheus.url.is_empty() {
            return Ok(None);
        }
        let config = PrometheusConfig {
            token: secrets
                .optional(PROMETHEUS_TOKEN, Use::Header, &self.secrets)
                .await?,
            ..self.prometheus.clone()
        };
        config.validate()?;
        Ok(Some(config))
    }

    /// Returns where objects are kept.
    ///
    /// # Errors
    /// When a value is missing or not allowed.
    pub fn objects(&self) -> Result<&ObjectsSection, ConfigError> {
        Ok(self.objects.checked()?)
    }

    /// Returns where device scripts report, with the master key of their tokens.
    ///
    /// # Errors
    /// When the key is missing or short, or a value is not allowed.
    pub async fn callback(&self, secrets: &Secrets) -> Result<CallbackConfig, ConfigError> {
        let what = "master key of device callbacks";
        let key = secrets
            .required(what, CALLBACK_KEY, Use::Signing, &self.secrets)
            .await?;
        Ok(self.callback.checked(key, self.environment.name)?)
    }

    /// Returns the key that signs decisions, if one is set.
    ///
    /// # Errors
    /// When it cannot be read or is short.
    pub async fn decision_key(&self, secrets: &Secrets) -> Result<Option<Secret>, ConfigError> {
        secrets
            .optional(DECISION_KEY, Use::Signing, &self.secrets)
            .await
    }

    /// Returns the shared budgets by the name of their bucket.
    ///
    /// # Errors
    /// When the secret that decides about a budget is set twice, or a budget is 0.
    pub fn buckets(&self, secrets: &Secrets) -> Result<BTreeMap<String, Bucket>, ConfigError> {
        let for_nvd = self.nvd.requests(secrets.is_set(NVD_API_KEY)?)?;
        let for_superops = sections::at_least_one(
            "superops.requests_per_minute",
            self.superops.requests_per_minute,
        )?;
        let bucket = |capacity, secs| Bucket {
            capacity,
            per: Duration::from_secs(secs),
        };
        let intel = self.intel()?;
        let feeds = Upstream::ALL.into_iter().map(|upstream| {
            let requests = intel.of(upstream).requests_per_minute;
            (upstream.as_str().to_owned(), bucket(requests, 60))
        });
        let others = [
            (superops::BUCKET.to_owned(), bucket(for_superops, 60)),
            // So that incidents never take what patching needs.
            (
                superops::EVIDENCE_BUCKET.to_owned(),
                bucket(EVIDENCE_PER_MINUTE, 60),
            ),
            (nvd::BUCKET.to_owned(), bucket(for_nvd, NVD_WINDOW_SECS)),
            (
                embeddings::BUCKET.to_owned(),
                bucket(self.memory.embeddings.requests()?, 60),
            ),
            (
                prometheus::BUCKET.to_owned(),
                bucket(
                    sections::at_least_one(
                        "prometheus.requests_per_minute",
                        self.prometheus.requests_per_minute,
                    )?,
                    60,
                ),
            ),
        ];
        Ok(others.into_iter().chain(feeds).collect())
    }
}

fn toml(text: &str) -> config::File<config::FileSourceString, config::FileFormat> {
    config::File::from_str(text, config::FileFormat::Toml)
}

/// TOML errors come with a picture of the place.
fn to_one_line(error: &config::ConfigError) -> String {
    let text = error.to_string();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // The library does not say which words there are.
    match line.contains("variant constructor") {
        true => format!("{line}: config.default.toml lists what is allowed"),
        false => line,
    }
}

fn malformed(at: &str, error: &config::ConfigError) -> ConfigError {
    ConfigError::Malformed {
        what: format!("{at}: {}", to_one_line(error)),
    }
}
