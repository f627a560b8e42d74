//! Where secrets are: in a variable, in the file that a variable with `_FILE` after its name names, or
//! in the secret of AWS Secrets Manager that a variable with `_SECRET` after its name names.

use std::{collections::BTreeMap, env, fmt, time::Duration};

use domain::input::{InvalidInput, Problem};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::ConfigError;
use crate::{
    address::is_safe_address,
    aws::StaticCredentials,
    secret::{Manager, Secret, SecretError, Source, Use},
};

/// Variable of the API token of SuperOps.
pub const SUPEROPS_TOKEN: &str = "AUTOOPS_SUPEROPS_TOKEN";
/// Variable of the API key of NVD.
pub const NVD_API_KEY: &str = "AUTOOPS_NVD_API_KEY";
/// Variable of the master key of device callbacks.
pub const CALLBACK_KEY: &str = "AUTOOPS_CALLBACK_KEY";
/// Variable of the key that signs decisions.
pub const DECISION_KEY: &str = "AUTOOPS_DECISION_KEY";

/// Variable of the token of Prometheus.
pub const PROMETHEUS_TOKEN: &str = "AUTOOPS_PROMETHEUS_TOKEN";

/// Behind the name of a variable: the path of a file.
const FILE: &str = "_FILE";
/// Behind the name of a variable: the name or ARN of a secret of AWS Secrets Manager.
const MANAGED: &str = "_SECRET";
/// How long a value may be used without asking again, in seconds.
const REFRESH_SECS: std::ops::RangeInclusive<u64> = 1..=86_400;

/// Section `secrets`: how AWS Secrets Manager is reached. Holds no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsSection {
    /// Region of the secrets.
    pub region: String,
    /// Another address than the region's own.
    #[serde(default)]
    pub endpoint_url: Option<String>,
    /// Seconds a value is used without asking again.
    pub refresh_secs: u64,
    /// A fixed key pair instead of the AWS credential chain.
    #[serde(skip)]
    pub credentials: Option<StaticCredentials>,
}

impl SecretsSection {
    fn validate(&self) -> Result<(), InvalidInput> {
        let mut problems = Vec::new();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.region.is_empty() || !self.region.chars().all(plain) {
            problems.push(Problem::new(
                "secrets.region",
                &self.region,
                "an AWS region such as eu-central-1",
            ));
        }
        if let Some(url) = &self.endpoint_url
            && !is_safe_address(url)
        {
            problems.push(Problem::new(
                "secrets.endpoint_url",
                url,
                "an https address; http only for this machine",
            ));
        }
        if !REFRESH_SECS.contains(&self.refresh_secs) {
            problems.push(Problem::new(
                "secrets.refresh_secs",
                self.refresh_secs,
                "1 to 86400",
            ));
        }
        InvalidInput::when(problems)
    }
}

/// The variables that hold or name secrets. Shows none of them.
pub struct Secrets {
    variables: BTreeMap<String, SecretString>,
    /// Made when the first secret is asked for that needs it.
    manager: OnceCell<Manager>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("set", &self.variables.keys())
            .finish_non_exhaustive()
    }
}

impl Secrets {
    /// Takes them from the environment of this process. Files and Secrets Manager are read when they
    /// are asked for.
    #[must_use]
    pub fn from_env() -> Self {
        let names = [
            SUPEROPS_TOKEN,
            NVD_API_KEY,
            CALLBACK_KEY,
            DECISION_KEY,
            PROMETHEUS_TOKEN,
        ]
        .into_iter()
        .flat_map(|name| ["", FILE, MANAGED].map(|form| format!("{name}{form}")));
        Self::of(names.filter_map(|name| env::var(&name).ok().map(|value| (name, value))))
    }

    /// Takes them from pairs, for tests and for programs that start others.
    #[must_use]
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            variables: variables
                .into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect(),
            manager: OnceCell::new(),
        }
    }

    /// Returns true when a secret is set, without reading it; an empty variable counts as absent.
    ///
    /// # Errors
    /// When two of its variables are set.
    pub fn is_set(&self, variable: &'static str) -> Result<bool, ConfigError> {
        Ok(self.named(variable)?.is_some())
    }

    /// The one form in which it is set, with the variable and its text.
    fn named(
        &self,
        variable: &'static str,
    ) -> Result<Option<(&'static str, String, SecretString)>, SecretError> {
        let mut found: Vec<_> = ["", FILE, MANAGED]
            .into_iter()
            .filter_map(|form| {
                let name = format!("{variable}{form}");
                let text = self.variables.get(&name)?.expose_secret().trim();
                (!text.is_empty()).then(|| (form, name, SecretString::from(text)))
            })
            .collect();
        let last = found.pop();
        match (&last, found.is_empty()) {
            (Some((_, name, _)), false) => Err(SecretError::unusable(
                name.clone(),
                "is set beside another form of the same secret: keep one of the three, \
                 the variable itself, _FILE or _SECRET",
            )),
            _ => Ok(last),
        }
    }

    /// Opens a secret that may be absent.
    ///
    /// # Errors
    /// When two of its variables are set, or it cannot be read or used.
    pub(super) async fn optional(
        &self,
        variable: &'static str,
        used_for: Use,
        section: &SecretsSection,
    ) -> Result<Option<Secret>, ConfigError> {
        let Some((form, name, text)) = self.named(variable)? else {
            return Ok(None);
        };
        let source = match form {
            FILE => Source::File(text),
            MANAGED => {
                section.validate()?;
                let manager = self.manager.get_or_init(|| {
                    let url = section.endpoint_url.as_deref();
                    Manager::new(&section.region, url, section.credentials.as_ref())
                });
                let manager = manager.await.clone();
                manager.check(&text, &name)?;
                Source::Manager {
                    manager,
                    id: text,
                    refresh: Duration::from_secs(section.refresh_secs),
                }
            }
            _ => Source::Fixed(text),
        };
        Ok(Some(Secret::open(name, used_for, source).await?))
    }

    /// Opens a secret that has to be there.
    ///
    /// # Errors
    /// As [`Self::optional`], and when it is absent.
    pub(super) async fn required(
        &self,
        what: &'static str,
        variable: &'static str,
        used_for: Use,
        section: &SecretsSection,
    ) -> Result<Secret, ConfigError> {
        self.optional(variable, used_for, section)
            .await?
            .ok_or(ConfigError::MissingSecret { what, variable })
    }
}
