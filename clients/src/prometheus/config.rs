//! How Prometheus is reached, which series belong to whom, and what is asked.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    cause::Measure,
    ids::ClientId,
    input::{InvalidInput, Problem},
};
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::{address::is_safe_address, breaker::BreakerConfig, secret::Secret};

/// What stands in a query for the matchers of one machine of one client.
pub const PLACE: &str = "$series";
/// Longest a request may take: an activity asks all queries within its 120 seconds.
const MAX_TIMEOUT_SECS: u64 = 12;
/// Queries about one device.
const MOST_QUERIES: usize = 8;
/// Points of one series.
const MOST_POINTS: u64 = 500;
/// Minutes after the first alert that are looked at, as points are counted.
const AFTER_SECS: u64 = 15 * 60;
/// Characters of a query or a name.
const LONG: usize = 2_000;
const SHORT: usize = 40;

/// A query about a device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// What people call it.
    pub name: String,
    /// Which side is the worse one.
    pub measure: Measure,
    /// `PromQL`, with [`PLACE`] within the braces of every selector.
    pub query: String,
}

/// Address, labels, queries and limits. The token is never read from a file with the rest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrometheusConfig {
    /// Address without `/api/v1`; empty: not used.
    pub url: String,
    /// Token that is sent with each request.
    #[serde(skip)]
    pub token: Option<Secret>,
    /// Seconds one request may take, 1 to 12.
    pub timeout_secs: u64,
    /// Budget that all processes share.
    pub requests_per_minute: u32,
    /// Label that names the machine: its name, whatever follows behind a point or colon.
    pub machine_label: String,
    /// Label that holds the id of the client; empty: only clients that are listed below.
    pub client_label: String,
    /// Labels and values of all series of a client, by its id.
    #[serde(default)]
    pub clients: BTreeMap<String, BTreeMap<String, String>>,
    /// Minutes before the first alert that are taken as normal.
    pub before_mins: u64,
    /// Seconds between two points.
    pub step_secs: u64,
    /// What is asked about a device.
    pub queries: Vec<Query>,
    /// When it is left alone.
    pub breaker: BreakerConfig,
}

impl PrometheusConfig {
    pub(super) fn before_secs(&self) -> i64 {
        i64::try_from(self.before_mins.saturating_mul(60)).unwrap_or(i64::MAX)
    }

    /// Returns what all series of a client have; none when that is not known, so that nobody reads
    /// those of another one.
    pub(super) fn labels_of(&self, client: &ClientId) -> Option<Vec<(String, String)>> {
        if let Some(labels) = self.clients.get(client.as_str()) {
            return Some(labels.clone().into_iter().collect());
        }
        let label = &self.client_label;
        (!label.is_empty()).then(|| vec![(label.clone(), client.to_string())])
    }

    /// Checks every field. Never repeats the token.
    ///
    /// # Errors
    /// With all findings, when there is one.
    pub fn validate(&self) -> Result<(), InvalidInput> {
        let mut problems = Vec::new();
        let mut refuse = |field: &str, value: &str, allowed: &str| {
            problems.push(Problem::new(format!("prometheus.{field}"), value, allowed));
        };
        if !is_safe_address(&self.url) {
            refuse(
                "url",
                &self.url,
                "an https address; http only for this machine",
            );
        }
        if let Some(token) = &self.token
            && !token
                .last_read()
                .expose_secret()
                .chars()
                .all(|c| c.is_ascii_graphic())
        {
            refuse(
                "token",
                "(not shown)",
                "the token as it was given, without spaces",
            );
        }
        for (field, value, most) in [
            ("timeout_secs", self.timeout_secs, MAX_TIMEOUT_SECS),
            (
                "requests_per_minute",
                self.requests_per_minute.into(),
                6_000,
            ),
            ("before_mins", self.before_mins, 24 * 60),
            ("step_secs", self.step_secs, 3_600),
        ] {
            if !(1..=most).contains(&value) {
                refuse(field, &value.to_string(), &format!("1 to {most}"));
            }
        }
        let secs = self
            .before_mins
            .saturating_mul(60)
            .saturating_add(AFTER_SECS);
        if self.step_secs > 0 && secs / self.step_secs > MOST_POINTS {
            let allowed = format!("so many that a query has no more than {MOST_POINTS} points");
            refuse("step_secs", &self.step_secs.to_string(), &allowed);
        }
        let is_optional = |field: &str, label: &str| field == "client_label" && label.is_empty();
        for (field, label) in [
            ("machine_label", &self.machine_label),
            ("client_label", &self.client_label),
        ] {
            if !is_label(label) && !is_optional(field, label) {
                refuse(field, label, "a label name: letters, digits and _");
            }
        }
        for (client, labels) in &self.clients {
            let field = format!("clients.{client}");
            if client.parse::<ClientId>().is_err() || labels.is_empty() {
                refuse(
                    &field,
                    client,
                    "the id of a client, with at least one label",
                );
            }
            for (label, value) in labels {
                if !is_label(label) || value.is_empty() || *label == self.machine_label {
                    let allowed = "a label other than machine_label, with a value";
                    refuse(&format!("{field}.{label}"), value, allowed);
                }
            }
        }
        problems.extend(self.query_problems());
        problems.extend(self.breaker.problems("prometheus"));
        InvalidInput::when(problems)
    }

    fn query_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(1..=MOST_QUERIES).contains(&self.queries.len()) {
            problems.push(Problem::new(
                "prometheus.queries",
                self.queries.len(),
                format!("1 to {MOST_QUERIES} of them"),
            ));
        }
        let mut names = BTreeSet::new();
        for (place, query) in self.queries.iter().enumerate() {
            let field = format!("prometheus.queries[{place}]");
            let length = query.name.chars().count();
            let is_named =
                (1..=SHORT).contains(&length) && !query.name.chars().any(char::is_control);
            if !is_named || !names.insert(&query.name) {
                let allowed = format!("1 to {SHORT} characters, each name once");
                problems.push(Problem::new(format!("{field}.name"), &query.name, allowed));
            }
            let (places, braces) = (
                query.query.matches(PLACE).count(),
                query.query.matches('{').count(),
            );
            if places == 0 || places != braces || query.query.chars().count() > LONG {
                let allowed = format!(
                    "PromQL of up to {LONG} characters with {PLACE} within the braces of every selector, so that only series of one machine are read"
                );
                problems.push(Problem::new(
                    format!("{field}.query"),
                    &query.query,
                    allowed,
                ));
            }
        }
        problems
    }
}

/// As the data model of Prometheus has it.
fn is_label(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
