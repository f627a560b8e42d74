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
use secrecy::{ExposeSecret, SecretString};

pub use config::NvdConfig;
pub use error::NvdError;

use crate::{
    breaker::Breaker,
    rate_limit::{Permit, RateLimiter},
    secret::Secret,
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
        let mut permit = self.breaker.ask().await?;
        self.take().await?;
        permit.begins();
        let answer = match &self.key {
            Some(key) => self.get_with(key, cve).await,
            None => self.get(cve, None).await,
        };
        permit.ended(answer.as_ref().err()).await;
        answer
    }

    async fn get_with(&self, key: &Secret, cve: &CveId) -> Result<CveFacts, NvdError> {
        let value = key.current().await;
        let answer = self.get(cve, Some(&value)).await;
        match answer {
            Err(NvdError::Unauthorized { .. }) if key.refused(&value).await => {
                Err(NvdError::Rotated)
            }
            answer => answer,
        }
    }

    async fn get(&self, cve: &CveId, key: Option<&SecretString>) -> Result<CveFacts, NvdError> {
        let mut request = self.http.get(&self.url).query(&[("cveId", cve.as_str())]);
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
