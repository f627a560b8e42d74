//! How a source is reached.

use domain::input::{InvalidInput, Problem};
use serde::Deserialize;

use super::Upstream;
use crate::{address::is_safe_address, breaker::BreakerConfig};

/// Longest a request may take: the activity around it has 100 seconds (`workflows::options`).
const MAX_TIMEOUT_SECS: u64 = 90;

/// Address and limits of a source that needs no key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    /// Address of the service, without a path.
    pub base_url: String,
    /// Seconds one request may take, 1 to 90.
    pub timeout_secs: u64,
    /// Budget that all processes share.
    pub requests_per_minute: u32,
    /// When it is left alone.
    pub breaker: BreakerConfig,
}

/// The four of them.
#[derive(Debug, Clone)]
pub struct IntelConfig {
    /// CISA's catalogue of known exploited vulnerabilities.
    pub kev: FeedConfig,
    /// FIRST's predictions.
    pub epss: FeedConfig,
    /// Microsoft's security updates.
    pub msrc: FeedConfig,
    /// Records of publishers and analysts.
    pub cve_services: FeedConfig,
}

impl IntelConfig {
    /// Returns the part of a source.
    #[must_use]
    pub fn of(&self, upstream: Upstream) -> &FeedConfig {
        match upstream {
            Upstream::Kev => &self.kev,
            Upstream::Epss => &self.epss,
            Upstream::Msrc => &self.msrc,
            Upstream::CveServices => &self.cve_services,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// With all findings, when there is one.
    pub fn validate(&self) -> Result<(), InvalidInput> {
        let all = Upstream::ALL.into_iter();
        InvalidInput::when(
            all.flat_map(|upstream| self.of(upstream).problems(upstream))
                .collect(),
        )
    }
}

impl FeedConfig {
    fn problems(&self, upstream: Upstream) -> Vec<Problem> {
        let section = upstream.as_str();
        let mut problems = self.breaker.problems(section);
        if !is_safe_address(&self.base_url) {
            problems.push(Problem::new(
                format!("{section}.base_url"),
                &self.base_url,
                "an https address without a path; http only for this machine",
            ));
        }
        if !(1..=MAX_TIMEOUT_SECS).contains(&self.timeout_secs) {
            problems.push(Problem::new(
                format!("{section}.timeout_secs"),
                self.timeout_secs,
                format!("1 to {MAX_TIMEOUT_SECS}: the activity around a request has 100 seconds"),
            ));
        }
        if self.requests_per_minute == 0 {
            problems.push(Problem::new(
                format!("{section}.requests_per_minute"),
                self.requests_per_minute,
                "1 or more",
            ));
        }
        problems
    }
}
