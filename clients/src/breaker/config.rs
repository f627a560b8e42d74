//! When a breaker opens, and for how long.

use domain::input::Problem;
use serde::Deserialize;

/// Longest pause that can be set: nobody learns during it that the system is back.
const MAX_PAUSE_SECS: u64 = 3600;

/// Numbers of one breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerConfig {
    /// Failures in a row until it opens.
    pub failures: u32,
    /// Seconds of the first pause; each one after it is twice as long.
    pub first_pause_secs: u64,
    /// Seconds of the longest pause.
    pub longest_pause_secs: u64,
}

impl BreakerConfig {
    /// Checks every field of the breaker of a section.
    pub(crate) fn problems(&self, section: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |field: &str, value: u64, from: u64, to: u64| {
            if !(from..=to).contains(&value) {
                problems.push(Problem::new(
                    format!("{section}.breaker.{field}"),
                    value,
                    format!("{from} to {to}"),
                ));
            }
        };
        check("failures", self.failures.into(), 1, 1000);
        check("first_pause_secs", self.first_pause_secs, 1, MAX_PAUSE_SECS);
        let from = self.first_pause_secs.clamp(1, MAX_PAUSE_SECS);
        check(
            "longest_pause_secs",
            self.longest_pause_secs,
            from,
            MAX_PAUSE_SECS,
        );
        problems
    }
}
