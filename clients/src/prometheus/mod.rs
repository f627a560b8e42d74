//! Prometheus: what is measured on a device over a while, over its HTTP API (`query_range`).
//!
//! Used only where it is set up. Each call is one HTTP request, takes from the shared bucket
//! [`BUCKET`], and is bounded in series, points, bytes and time; nothing is tried twice. What is asked
//! are the queries of the configuration; in place of [`PLACE`] come matchers that keep to one machine
//! of one client, escaped.

mod config;
mod error;
mod matchers;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use domain::ids::ClientId;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

pub use self::{
    config::{PLACE, PrometheusConfig, Query},
    error::PrometheusError,
    wire::Samples,
};
use crate::{
    breaker::Breaker,
    http::{self, NoBody},
    rate_limit::{Permit, RateLimiter},
    store::Counters,
};

/// Name of the shared bucket that every request takes from, and of the breaker.
pub const BUCKET: &str = "prometheus";
/// The most we read of one answer: 20 series of 500 points have about 400 KB.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// Series of one answer.
const MOST_SERIES: usize = 20;
/// How long after the first alert is looked at.
const AFTER: SignedDuration = SignedDuration::from_mins(15);

/// A Prometheus, or what speaks like one.
#[derive(Debug)]
pub struct Prometheus {
    http: reqwest::Client,
    url: String,
    config: PrometheusConfig,
    limiter: Arc<dyn RateLimiter>,
    breaker: Breaker,
}

impl Prometheus {
    /// Checks the configuration and builds the client; sends nothing.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(
        config: PrometheusConfig,
        limiter: Arc<dyn RateLimiter>,
    ) -> Result<Self, PrometheusError> {
        config.validate().map_err(PrometheusError::Config)?;
        let http = http::client(HeaderMap::new(), config.timeout_secs);
        let http = http.map_err(|error| PrometheusError::Unavailable {
            detail: "the HTTP client could not be built".to_owned(),
            retry_after: None,
            source: Some(Box::new(error)),
        })?;
        Ok(Self {
            http,
            url: format!("{}/api/v1/query_range", config.url.trim_end_matches('/')),
            breaker: Breaker::new(BUCKET, config.breaker),
            config,
            limiter,
        })
    }

    /// Lets other processes see when it does not answer.
    #[must_use]
    pub fn sharing(mut self, counters: Arc<dyn Counters>) -> Self {
        self.breaker.share(counters);
        self
    }

    /// Tells whether devices of a client may be measured: it is known which series are theirs.
    #[must_use]
    pub fn knows(&self, client: &ClientId) -> bool {
        self.config.labels_of(client).is_some()
    }

    /// Returns what is asked about a device.
    #[must_use]
    pub fn queries(&self) -> &[Query] {
        &self.config.queries
    }

    /// Asks one query about a machine, from some time before trouble began until shortly after;
    /// nothing when it is not known which series are the machine's, or there are none.
    ///
    /// # Errors
    /// See [`PrometheusError`].
    pub async fn read(
        &self,
        query: &Query,
        client: &ClientId,
        machine: &str,
        begun: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Samples>, PrometheusError> {
        let Some(labels) = self.config.labels_of(client) else {
            return Ok(None);
        };
        let Some(matchers) = matchers::of(&self.config.machine_label, machine, &labels) else {
            return Ok(None);
        };
        let before = SignedDuration::from_secs(self.config.before_secs());
        let from = begun.checked_sub(before).unwrap_or(Timestamp::MIN);
        let to = begun.checked_add(AFTER).unwrap_or(Timestamp::MAX).min(now);
        let query_text = query.query.replace(PLACE, &matchers);
        let asked = [
            ("query", query_text),
            ("start", from.as_second().to_string()),
            ("end", to.as_second().max(from.as_second()).to_string()),
            ("step", self.config.step_secs.to_string()),
            ("timeout", format!("{}s", self.config.timeout_secs)),
            ("limit", MOST_SERIES.to_string()),
        ];
        let body = self.ask(&asked).await?;
        wire::read(&body, query.measure, MOST_SERIES)
    }

    async fn ask(&self, query: &[(&str, String)]) -> Result<Vec<u8>, PrometheusError> {
        let mut permit = self.breaker.ask().await?;
        self.take().await?;
        permit.begins();
        let answer = match &self.config.token {
            None => self.get(query, None).await,
            Some(token) => {
                let value = token.current().await;
                match self.get(query, Some(&value)).await {
                    Err(PrometheusError::Unauthorized { .. }) if token.refused(&value).await => {
                        Err(PrometheusError::Rotated)
                    }
                    answer => answer,
                }
            }
        };
        permit.ended(answer.as_ref().err()).await;
        answer
    }

    async fn get(
        &self,
        query: &[(&str, String)],
        token: Option<&SecretString>,
    ) -> Result<Vec<u8>, PrometheusError> {
        let mut request = self.http.get(&self.url).query(query);
        if let Some(token) = token {
            let bearer = format!("Bearer {}", token.expose_secret());
            let mut bearer = HeaderValue::from_str(&bearer)
                .map_err(|_| error::refused("the token cannot be a header"))?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        let response = request.send().await.map_err(error::transport)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = http::body(response, MAX_ANSWER_BYTES).await;
        if status != 200 {
            return Err(error::status(status, &headers, &body.unwrap_or_default()));
        }
        body.map_err(|error| match error {
            NoBody::TooLarge => PrometheusError::Malformed {
                detail: "the answer is too large".to_owned(),
            },
            NoBody::Lost(error) => error::transport(error),
        })
    }

    async fn take(&self) -> Result<(), PrometheusError> {
        match self.limiter.take(BUCKET).await {
            Ok(Permit::Granted) => Ok(()),
            Ok(Permit::Wait(retry_after)) => Err(PrometheusError::Throttled { retry_after }),
            Err(source) => Err(PrometheusError::Unavailable {
                detail: "the shared budget could not be asked".to_owned(),
                retry_after: None,
                source: Some(source),
            }),
        }
    }
}
