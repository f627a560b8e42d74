//! What can go wrong, by what the caller can do about it.

use std::{error::Error as StdError, time::Duration};

use domain::{
    failure::{Classify, FailureKind},
    input::InvalidInput,
};
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::Upstream;
use crate::breaker::{Outage, Refused};

/// Pause after "too many requests" without a time.
const PAUSE: Duration = Duration::from_secs(60);

/// A failed request to a source.
#[derive(Debug, thiserror::Error)]
#[error("{upstream}: {what}")]
pub struct IntelError {
    /// Which source.
    pub upstream: Upstream,
    /// What went wrong.
    pub what: IntelFailure,
    /// The cause, if there is one.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum IntelFailure {
    /// The budget is used up, ours or theirs.
    #[error("asks us to slow down")]
    Throttled(Duration),
    /// Not reached, failed inside, or left alone for a while.
    #[error("is unavailable: {detail}")]
    Unavailable {
        /// What was seen.
        detail: String,
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// It refuses us, as sites do that do not like programs.
    #[error("refuses us: HTTP {0}")]
    Refused(u16),
    /// It has nothing under this name.
    #[error("has no such document")]
    NotFound,
    /// The request was refused.
    #[error("refuses the request: HTTP {0}; is the address right?")]
    InvalidInput(u16),
    /// The configuration cannot work.
    #[error("the configuration is not usable: {0}")]
    Config(InvalidInput),
    /// The answer does not fit its schema.
    #[error("the answer does not fit its schema: {0}")]
    Malformed(String),
}

impl IntelError {
    pub(super) fn new(upstream: Upstream, what: IntelFailure) -> Self {
        Self {
            upstream,
            what,
            source: None,
        }
    }

    pub(super) fn malformed(upstream: Upstream, error: &impl ToString) -> Self {
        Self::new(upstream, IntelFailure::Malformed(error.to_string()))
    }

    pub(super) fn unavailable(
        upstream: Upstream,
        detail: &str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            upstream,
            what: IntelFailure::Unavailable {
                detail: detail.to_owned(),
                retry_after: None,
            },
            source: Some(source.into()),
        }
    }

    pub(super) fn left_alone(upstream: Upstream, refused: &Refused) -> Self {
        Self::new(
            upstream,
            IntelFailure::Unavailable {
                detail: refused.to_string(),
                retry_after: Some(refused.retry_after),
            },
        )
    }

    /// Reads an HTTP status other than 200 and 304.
    pub(super) fn status(upstream: Upstream, status: u16, headers: &HeaderMap) -> Self {
        let asked = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let what = match status {
            429 => IntelFailure::Throttled(asked.unwrap_or(PAUSE)),
            408 | 500.. => IntelFailure::Unavailable {
                detail: format!("HTTP {status}"),
                retry_after: asked,
            },
            401 | 403 => IntelFailure::Refused(status),
            404 => IntelFailure::NotFound,
            _ => IntelFailure::InvalidInput(status),
        };
        Self::new(upstream, what)
    }
}

impl Classify for IntelError {
    fn kind(&self) -> FailureKind {
        match &self.what {
            IntelFailure::Throttled(_) => FailureKind::Throttled,
            IntelFailure::Unavailable { .. } => FailureKind::Unavailable,
            IntelFailure::Refused(_) => FailureKind::Unauthorized,
            IntelFailure::NotFound => FailureKind::NotFound,
            IntelFailure::InvalidInput(_) | IntelFailure::Config(_) => FailureKind::InvalidInput,
            IntelFailure::Malformed(_) => FailureKind::Malformed,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match &self.what {
            IntelFailure::Throttled(pause) => Some(*pause),
            IntelFailure::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl Outage for IntelError {
    fn outage(&self) -> Option<&str> {
        match &self.what {
            IntelFailure::Unavailable { detail, .. } => Some(detail),
            _ => None,
        }
    }
}
