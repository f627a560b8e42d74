//! What can go wrong, by what the caller can do about it.

use std::{error::Error as StdError, time::Duration};

use domain::{
    failure::{Classify, FailureKind},
    input::InvalidInput,
};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use crate::{
    breaker::{Outage, Refused},
    http,
};

/// When a server that throttles does not say how long.
const PAUSE: Duration = Duration::from_secs(10);
/// How much of the service's own words an error repeats.
const MAX_MESSAGE: usize = 200;

/// A failed query. Display holds neither its source nor a secret.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// The budget is used up, ours or theirs.
    #[error("prometheus asks us to slow down")]
    Throttled {
        /// When to come back.
        retry_after: Duration,
    },
    /// Not reached, failed inside, or the query took too long.
    #[error("prometheus is unavailable: {detail}")]
    Unavailable {
        /// What was seen.
        detail: String,
        /// When to come back: it is left alone until then.
        retry_after: Option<Duration>,
        /// The cause, if there is one.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The token is missing, wrong, or may not read.
    #[error("prometheus refuses the token: HTTP {status}")]
    Unauthorized {
        /// The status.
        status: u16,
    },
    /// The token was refused, and there is another one now: the next call carries it.
    #[error("prometheus refused a token that has been replaced meanwhile")]
    Rotated,
    /// There is no such API at the address.
    #[error("there is no Prometheus API at prometheus.url")]
    NotFound,
    /// The query was refused.
    #[error("prometheus refuses the query: {message}")]
    InvalidInput {
        /// The service's words, shortened.
        message: String,
    },
    /// The configuration cannot work.
    #[error("the prometheus configuration is not usable")]
    Config(#[source] InvalidInput),
    /// The answer does not fit its schema, or is more than is read.
    #[error("the answer of prometheus cannot be used: {detail}")]
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
}

impl Classify for PrometheusError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Throttled { .. } => FailureKind::Throttled,
            Self::Unavailable { .. } | Self::Rotated => FailureKind::Unavailable,
            Self::Unauthorized { .. } => FailureKind::Unauthorized,
            Self::NotFound => FailureKind::NotFound,
            Self::InvalidInput { .. } | Self::Config(_) => FailureKind::InvalidInput,
            Self::Malformed { .. } => FailureKind::Malformed,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } => Some(*retry_after),
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl Outage for PrometheusError {
    fn outage(&self) -> Option<&str> {
        match self {
            Self::Unavailable { detail, .. } => Some(detail),
            _ => None,
        }
    }
}

impl From<Refused> for PrometheusError {
    fn from(refused: Refused) -> Self {
        Self::Unavailable {
            detail: refused.to_string(),
            retry_after: Some(refused.retry_after),
            source: None,
        }
    }
}

pub(super) fn refused(message: impl Into<String>) -> PrometheusError {
    PrometheusError::InvalidInput {
        message: message.into(),
    }
}

pub(super) fn transport(error: reqwest::Error) -> PrometheusError {
    PrometheusError::Unavailable {
        detail: http::lost(&error).to_owned(),
        retry_after: None,
        source: Some(Box::new(error.without_url())),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    error_type: String,
    error: String,
}

/// Reads an HTTP status other than 200; the body says more where the API itself answered.
pub(super) fn status(status: u16, headers: &HeaderMap, body: &[u8]) -> PrometheusError {
    let said = serde_json::from_slice::<Said>(body).ok();
    let words = said.map_or_else(
        || format!("HTTP {status}"),
        |said| {
            let words = format!("{}: {}", said.error_type, said.error);
            let plain = words.chars().filter(|c| !c.is_control());
            plain.take(MAX_MESSAGE).collect()
        },
    );
    let asked = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let asked = asked
        .and_then(|text| text.parse().ok())
        .map(Duration::from_secs);
    match status {
        429 => PrometheusError::Throttled {
            retry_after: asked.unwrap_or(PAUSE),
        },
        401 | 403 => PrometheusError::Unauthorized { status },
        404 | 405 => PrometheusError::NotFound,
        408 | 500.. => PrometheusError::Unavailable {
            detail: words,
            retry_after: None,
            source: None,
        },
        _ => refused(words),
    }
}
