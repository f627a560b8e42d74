//! NVD, the vulnerability database of NIST: one CVE per call over its CVE API 2.0.
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

use std::{sync::Arc, time::Duration};

use domain::{ids::CveId, patch::CveFacts};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

pub use config::NvdConfig;
pub use error::NvdError;

use crate::{
    breaker::Breaker,
    rate_limit::{Permit, RateLimiter},
    store::Counters,
};

/// Name of the shared bucket that every request takes from.
pub const BUCKET: &str = "nvd";
/// The most we read of one answer: the largest known entries have a few megabytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// The vulnerability database.
#[derive(Debug)]
pub struct Nvd {
    http: reqwest::Client,
    url: String,
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
        let mut headers = HeaderMap::new();
        if let Some(key) = &config.api_key {
            let mut key = HeaderValue::from_str(key.expose_secret())
                .map_err(|_| error::refused("the API key cannot be a header"))?;
            key.set_sensitive(true);
            headers.insert(HeaderName::from_static("apikey"), key);
        }
        let http = crate::http::client(headers, config.timeout_secs).map_err(|error| {
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
        let mut permit = self.breaker.ask().await?;
        self.take().await?;
        permit.begins();
        let answer = self.get(cve).await;
        permit.ended(answer.as_ref().err()).await;
        answer
    }

    async fn get(&self, cve: &CveId) -> Result<CveFacts, NvdError> {
        let response = self
            .http
            .get(&self.url)
            .query(&[("cveId", cve.as_str())])
            .send()
            .await
            .map_err(error::transport)?;
        let status = response.status().as_u16();
        if status != 200 {
            let error = error::status(status, response.headers());
            if let NvdError::Throttled { retry_after } = error {
                self.let_all_wait(retry_after).await;
            }
            return Err(error);
        }
        answer::read(&body_of(response).await?, cve)
    }

    /// NVD keeps on refusing an address that goes on asking.
    async fn let_all_wait(&self, pause: Duration) {
        if let Err(error) = self.limiter.block(BUCKET, pause).await {
            tracing::warn!(
                error = error.as_ref() as &dyn std::error::Error,
                "the budget of nvd could not be blocked, others may go on asking"
            );
        }
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

async fn body_of(mut response: reqwest::Response) -> Result<Vec<u8>, NvdError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(error::transport)? {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(NvdError::Malformed {
                detail: "the answer is too large".to_owned(),
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
