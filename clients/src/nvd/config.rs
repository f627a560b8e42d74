//! How NVD is reached.

use domain::input::{InvalidInput, Problem};
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::{address::is_safe_address, breaker::BreakerConfig, secret::Secret};

/// Longest a request may take: the activity around it has 100 seconds (`workflows::options`).
const MAX_TIMEOUT_SECS: u64 = 90;

/// Address and key. The key is never read from a file with the rest: whoever builds the
/// configuration fills it in.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NvdConfig {
    /// Address of the service, without a path.
    pub base_url: String,
    /// API key; without one NVD allows 5 requests in 30 seconds, with one 50.
    #[serde(skip)]
    pub api_key: Option<Secret>,
    /// Seconds one request may take, 1 to 90; NVD is slow under load.
    pub timeout_secs: u64,
    /// When it is left alone.
    pub breaker: BreakerConfig,
}

impl Default for NvdConfig {
    fn default() -> Self {
        Self {
            base_url: "https://services.nvd.nist.gov".to_owned(),
            api_key: None,
            timeout_secs: 90,
            breaker: BreakerConfig {
                failures: 3,
                first_pause_secs: 60,
                longest_pause_secs: 600,
            },
        }
    }
}

impl NvdConfig {
    /// Checks every field. Never repeats the key.
    ///
    /// # Errors
    /// With all findings, when there is one.
    pub fn validate(&self) -> Result<(), InvalidInput> {
        let mut problems = Vec::new();
        if !is_safe_address(&self.base_url) {
            problems.push(Problem::new(
                "nvd.base_url",
                &self.base_url,
                "an https address such as https://services.nvd.nist.gov; http only for this machine",
            ));
        }
        let key = self.api_key.as_ref().map(Secret::last_read);
        if let Some(key) = key.as_ref().map(ExposeSecret::expose_secret)
            && (key.is_empty() || !key.chars().all(|c| c.is_ascii_graphic()))
        {
            problems.push(Problem::new(
                "nvd.api_key",
                "(not shown)",
                "the key exactly as NVD sent it, or none at all",
            ));
        }
        if !(1..=MAX_TIMEOUT_SECS).contains(&self.timeout_secs) {
            problems.push(Problem::new(
                "nvd.timeout_secs",
                self.timeout_secs,
                format!("1 to {MAX_TIMEOUT_SECS}: the activity around a request has 100 seconds"),
            ));
        }
        problems.extend(self.breaker.problems("nvd"));
        InvalidInput::when(problems)
    }
}
