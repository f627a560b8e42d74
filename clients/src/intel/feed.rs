//! One source: a GET of JSON, with the shared budget, the breaker, and "only if it changed".

use std::sync::Arc;

use reqwest::header::{
    ACCEPT, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    USER_AGENT,
};
use serde::{Deserialize, Serialize};

use super::{IntelError, IntelFailure, Upstream, config::FeedConfig};
use crate::{
    breaker::Breaker,
    http::{self, NoBody},
    rate_limit::{Permit, RateLimiter, let_all_wait},
    store::Counters,
};

/// The most we read of one answer: the largest documents have some 20 megabytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Which state of a document we have seen, in the words of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its `ETag`.
    #[serde(default)]
    pub etag: Option<String>,
    /// Its `Last-Modified`.
    #[serde(default)]
    pub modified: Option<String>,
}

/// What came back.
pub(super) enum Fetched {
    /// It is as we know it.
    Unchanged,
    /// It is new to us.
    Body(Vec<u8>, Mark),
}

#[derive(Debug)]
pub(super) struct Feed {
    upstream: Upstream,
    http: reqwest::Client,
    base: String,
    limiter: Arc<dyn RateLimiter>,
    breaker: Breaker,
}

impl Feed {
    pub(super) fn new(
        upstream: Upstream,
        config: &FeedConfig,
        limiter: Arc<dyn RateLimiter>,
    ) -> Result<Self, IntelError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let name = HeaderValue::from_static(concat!("autoops/", env!("CARGO_PKG_VERSION")));
        headers.insert(USER_AGENT, name);
        let http = http::client(headers, config.timeout_secs).map_err(|error| {
            IntelError::unavailable(upstream, "the HTTP client could not be built", error)
        })?;
        Ok(Self {
            upstream,
            http,
            base: config.base_url.trim_end_matches('/').to_owned(),
            limiter,
            breaker: Breaker::new(upstream.as_str(), config.breaker),
        })
    }

    pub(super) fn share(&mut self, counters: Arc<dyn Counters>) {
        self.breaker.share(counters);
    }

    /// Reads a document.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<u8>, IntelError> {
        match self.get_if_changed(path, query, &Mark::default()).await? {
            Fetched::Body(body, _) => Ok(body),
            Fetched::Unchanged => Err(IntelError::malformed(
                self.upstream,
                &"HTTP 304 without having been asked for it",
            )),
        }
    }

    /// Reads a document, unless it is in the state that we know.
    pub(super) async fn get_if_changed(
        &self,
        path: &str,
        query: &[(&str, &str)],
        known: &Mark,
    ) -> Result<Fetched, IntelError> {
        let asked = self.breaker.ask().await;
        let mut permit =
            asked.map_err(|refused| IntelError::left_alone(self.upstream, &refused))?;
        self.take().await?;
        permit.begins();
        let answer = self.request(path, query, known).await;
        permit.ended(answer.as_ref().err()).await;
        answer
    }

    async fn request(
        &self,
        path: &str,
        query: &[(&str, &str)],
        known: &Mark,
    ) -> Result<Fetched, IntelError> {
        let mut request = self.http.get(format!("{}{path}", self.base)).query(query);
        for (name, value) in [
            (IF_NONE_MATCH, &known.etag),
            (IF_MODIFIED_SINCE, &known.modified),
        ] {
            if let Some(value) = value.as_deref().and_then(|v| HeaderValue::from_str(v).ok()) {
                request = request.header(name, value);
            }
        }
        let response = request.send().await.map_err(|error| self.lost(error))?;
        let status = response.status().as_u16();
        if status == 304 {
            return Ok(Fetched::Unchanged);
        }
        if status != 200 {
            let error = IntelError::status(self.upstream, status, response.headers());
            if let IntelFailure::Throttled(pause) = error.what {
                let_all_wait(self.limiter.as_ref(), self.upstream.as_str(), pause).await;
            }
            return Err(error);
        }
        let header = |name| {
            let value: Option<&HeaderValue> = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let mark = Mark {
            etag: header(ETAG),
            modified: header(LAST_MODIFIED),
        };
        let body = http::body(response, MAX_ANSWER_BYTES).await;
        let body = body.map_err(|error| match error {
            NoBody::TooLarge => IntelError::malformed(self.upstream, &"it is too large"),
            NoBody::Lost(error) => self.lost(error),
        })?;
        Ok(Fetched::Body(body, mark))
    }

    async fn take(&self) -> Result<(), IntelError> {
        match self.limiter.take(self.upstream.as_str()).await {
            Ok(Permit::Granted) => Ok(()),
            Ok(Permit::Wait(pause)) => Err(IntelError::new(
                self.upstream,
                IntelFailure::Throttled(pause),
            )),
            Err(source) => Err(IntelError::unavailable(
                self.upstream,
                "the shared budget could not be asked",
                source,
            )),
        }
    }

    fn lost(&self, error: reqwest::Error) -> IntelError {
        let detail = http::lost(&error);
        IntelError::unavailable(self.upstream, detail, error.without_url())
    }
}
