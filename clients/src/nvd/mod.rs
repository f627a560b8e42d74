//! NVD, the vulnerability database of NIST: one CVE per call, or a page of what was
//! modified, over its CVE API 2.0.
//!
//! Each call is one HTTP request and first takes from the shared bucket [`BUCKET`]; nothing is
//! tried twice. A wrong key and a wrong parameter are both a 404, an unknown CVE is a 200 without
//! rows, and a request above the limit is a 403, after which nobody who shares the bucket asks for
//! a while: see [`NvdError`].
//!
//! This product uses data from the NVD API but is not endorsed or certified by the NVD.

mod answer;
mod config;
mod error;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::{
    ids::CveId,
    patch::CveFacts,
    vulnerability::nvd_json::{self, Page},
};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

pub use config::NvdConfig;
pub use error::NvdError;

use crate::{
    breaker::Breaker,
    http::{self, NoBody},
    rate_limit::{Permit, RateLimiter, let_all_wait},
    secret::Secret,
    store::Counters,
};

/// Name of the shared bucket that every request takes from.
pub const BUCKET: &str = "nvd";
/// The most we read of one answer: a full page has about 10 megabytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The vulnerability database.
#[derive(Debug)]
pub struct Nvd {
    http: reqwest::Client,
    url: String,
    key: Option<Secret>,
    limiter: Arc<dyn RateLimiter>,
    breaker: Breaker,
}

impl Nvd {
    /// Checks the configuration and builds the client; sends nothing.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(config: NvdConfig, limiter: Arc<dyn RateLimiter>) -> Result<Self, NvdError> {
        config.validate().map_err(NvdError::Config)?;
        let http = crate::http::client(HeaderMap::new(), config.timeout_secs).map_err(|error| {
            NvdError::Unavailable {
                detail: "the HTTP client could not be built".to_owned(),
                retry_after: None,
                source: Some(Box::new(error)),
            }
        })?;
        let url = format!(
            "{}/rest/json/cves/2.0",
            config.base_url.trim_end_matches('/')
        );
        Ok(Self {
            http,
            url,
            key: config.api_key,
            limiter,
            breaker: Breaker::new(BUCKET, config.breaker),
        })
    }

    /// Lets other processes see when it does not answer.
    #[must_use]
    pub fn sharing(mut self, counters: Arc<dyn Counters>) -> Self {
        self.breaker.share(counters);
        self
    }

    /// Looks up one CVE.
    ///
    /// A CVE that nobody scored comes back without a score; a rejected one with its status.
    ///
    /// # Errors
    /// See [`NvdError`]; [`NvdError::NotFound`] only when NVD answered that it has no such CVE.
    pub async fn lookup_cve(&self, cve: &CveId) -> Result<CveFacts, NvdError> {
        let body = self.ask(&[("cveId", cve.as_str())]).await?;
        answer::read(&body, cve)
    }

    /// Reads a page of what was modified within a window of at most 120 days, from row `start`.
    ///
    /// # Errors
    /// See [`NvdError`].
    pub async fn modified(
        &self,
        window: (Timestamp, Timestamp),
        start: u64,
        now: Timestamp,
    ) -> Result<Page, NvdError> {
        // Times without a zone are UTC.
        let time = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S.000").to_string();
        let (from, to, start) = (time(window.0), time(window.1), start.to_string());
        let query = [
            ("lastModStartDate", from.as_str()),
            ("lastModEndDate", to.as_str()),
            ("startIndex", start.as_str()),
        ];
        let body = self.ask(&query).await?;
        nvd_json::read(&body, now).map_err(|error| NvdError::Malformed {
            detail: error.to_string(),
        })
    }

    async fn ask(&self, query: &[(&str, &str)]) -> Result<Vec<u8>, NvdError> {
        let mut permit = self.breaker.ask().await?;
        self.take().await?;
        permit.begins();
        let answer = match &self.key {
            Some(key) => self.get_with(key, query).await,
            None => self.get(query, None).await,
        };
        permit.ended(answer.as_ref().err()).await;
        answer
    }

    async fn get_with(&self, key: &Secret, query: &[(&str, &str)]) -> Result<Vec<u8>, NvdError> {
        let value = key.current().await;
        let answer = self.get(query, Some(&value)).await;
        match answer {
            Err(NvdError::Unauthorized { .. }) if key.refused(&value).await => {
                Err(NvdError::Rotated)
            }
            answer => answer,
        }
    }

    async fn get(
        &self,
        query: &[(&str, &str)],
        key: Option<&SecretString>,
    ) -> Result<Vec<u8>, NvdError> {
        let mut request = self.http.get(&self.url).query(query);
        if let Some(key) = key {
            let mut key = HeaderValue::from_str(key.expose_secret())
                .map_err(|_| error::refused("the API key cannot be a header"))?;
            key.set_sensitive(true);
            request = request.header(HeaderName::from_static("apikey"), key);
        }
        let response = request.send().await.map_err(error::transport)?;
        let status = response.status().as_u16();
        if status != 200 {
            let error = error::status(status, response.headers());
            // It keeps on refusing an address that goes on asking.
            if let NvdError::Throttled { retry_after } = error {
                let_all_wait(self.limiter.as_ref(), BUCKET, retry_after).await;
            }
            return Err(error);
        }
        http::body(response, MAX_ANSWER_BYTES)
            .await
            .map_err(|error| match error {
                NoBody::TooLarge => NvdError::Malformed {
                    detail: "the answer is too large".to_owned(),
                },
                NoBody::Lost(error) => error::transport(error),
            })
    }

    async fn take(&self) -> Result<(), NvdError> {
        match self.limiter.take(BUCKET).await {
            Ok(Permit::Granted) => Ok(()),
            Ok(Permit::Wait(retry_after)) => Err(NvdError::Throttled { retry_after }),
            Err(source) => Err(NvdError::Unavailable {
                detail: "the shared budget could not be asked".to_owned(),
                retry_after: None,
                source: Some(source),
            }),
        }
    }
}
