//! How the tenant's account is reached.

use domain::input::{InvalidInput, Problem};
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::{address::is_safe_address, breaker::BreakerConfig, secret::Secret};

/// Longest a request may take: the activities around it have 60 seconds (`workflows::options`), and
/// one that Temporal ends before its answer comes would leave a write in doubt.
const MAX_TIMEOUT_SECS: u64 = 50;

/// Address, account and limits of one tenant. The token is never read from a file with the rest:
/// whoever builds the configuration fills it in.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SuperOpsConfig {
    /// Address of the GraphQL endpoint; `https://euapi.superops.ai/msp` for European tenants.
    pub base_url: String,
    /// Sub-domain of the tenant, sent as `CustomerSubDomain`.
    pub subdomain: String,
    /// API token. It belongs to one user and has that user's role.
    #[serde(skip)]
    pub token: Secret,
    /// Budget of the shared bucket; the published limit is 100 (older texts say 800).
    pub requests_per_minute: u32,
    /// Seconds one request may take, 1 to 50.
    pub timeout_secs: u64,
    /// Column of the custom field that holds a device's tags, separated by commas.
    pub tags_field: String,
    /// When it is left alone.
    pub breaker: BreakerConfig,
}

impl Default for SuperOpsConfig {
    fn default() -> Self {
        Self {
            base_url: "https://api.superops.ai/msp".to_owned(),
            subdomain: String::new(),
            token: Secret::default(),
            requests_per_minute: 100,
            timeout_secs: 30,
            tags_field: "udf1text".to_owned(),
            breaker: BreakerConfig {
                failures: 5,
                first_pause_secs: 10,
                longest_pause_secs: 120,
            },
        }
    }
}

impl SuperOpsConfig {
    /// Checks every field. Never repeats the token.
    ///
    /// # Errors
    /// With all findings, when there is one.
    pub fn validate(&self) -> Result<(), InvalidInput> {
        let mut problems = Vec::new();
        let mut refuse = |field: &str, value: &str, allowed: &str| {
            problems.push(Problem::new(format!("superops.{field}"), value, allowed));
        };
        let header = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        if !is_safe_address(&self.base_url) {
            refuse(
                "base_url",
                &self.base_url,
                "an https address such as https://api.superops.ai/msp; http only for this machine",
            );
        }
        if self.subdomain.trim().is_empty() {
            refuse(
                "subdomain",
                "",
                "the sub-domain of your SuperOps account, the first part of its web address",
            );
        } else if !header(&self.subdomain) {
            refuse("subdomain", &self.subdomain, "letters, digits and - only");
        }
        let token = self.token.last_read();
        let token = token.expose_secret();
        if token.trim().is_empty() {
            refuse(
                "token",
                "",
                "an API token; create one in SuperOps under My Profile, API token",
            );
        } else if !header(token) {
            refuse(
                "token",
                "(not shown)",
                "the token exactly as SuperOps shows it, without spaces or line ends",
            );
        }
        if self.requests_per_minute == 0 {
            refuse(
                "requests_per_minute",
                "0",
                "1 or more; the published limit is 100",
            );
        }
        if !(1..=MAX_TIMEOUT_SECS).contains(&self.timeout_secs) {
            refuse(
                "timeout_secs",
                &self.timeout_secs.to_string(),
                &format!("1 to {MAX_TIMEOUT_SECS}: the activity around a request has 60 seconds"),
            );
        }
        if self.tags_field.is_empty()
            || !self
                .tags_field
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            refuse(
                "tags_field",
                &self.tags_field,
                "the column name of a custom field, such as udf1text",
            );
        }
        problems.extend(self.breaker.problems("superops"));
        InvalidInput::when(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> SuperOpsConfig {
        SuperOpsConfig {
            subdomain: "acme".to_owned(),
            token: "s3cret".into(),
            ..SuperOpsConfig::default()
        }
    }

    fn problem_of(config: &SuperOpsConfig) -> String {
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_missing_token_or_subdomain_is_named() {
        assert!(good().validate().is_ok());
        let text = problem_of(&SuperOpsConfig::default());
        assert!(
            text.contains("superops.token") && text.contains("superops.subdomain"),
            "{text}"
        );
    }

    #[test]
    fn the_token_is_neither_shown_nor_sent_in_the_clear() {
        assert!(!format!("{:?}", good()).contains("s3cret"));
        let broken = SuperOpsConfig {
            token: "s3cret\n".into(),
            ..good()
        };
        assert!(!problem_of(&broken).contains("s3cret"));
        let clear = SuperOpsConfig {
            base_url: "http://api.superops.ai/msp".to_owned(),
            ..good()
        };
        assert!(problem_of(&clear).contains("superops.base_url"));
        let local = SuperOpsConfig {
            base_url: "http://127.0.0.1:4010/msp".to_owned(),
            ..good()
        };
        assert!(local.validate().is_ok());
    }

    #[test]
    fn a_file_may_not_hold_the_token() {
        let read =
            serde_json::from_str::<SuperOpsConfig>(r#"{"subdomain":"acme","token":"s3cret"}"#);
        assert!(read.is_err());
        let read: SuperOpsConfig = serde_json::from_str(r#"{"subdomain":"acme"}"#).unwrap();
        assert_eq!(read.requests_per_minute, 100);
    }
}
