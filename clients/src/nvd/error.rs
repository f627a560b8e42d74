//! What can go wrong, by what the caller can do about it.

use std::{error::Error as StdError, time::Duration};

use domain::{
    failure::{Classify, FailureKind},
    ids::CveId,
    input::InvalidInput,
};
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::breaker::{Outage, Refused};

/// NVD asks for a pause of this length after a request above the limit, in its documentation only.
const PAUSE: Duration = Duration::from_secs(30);
/// How much of the service's own words an error repeats.
const MAX_MESSAGE: usize = 160;

/// A failed lookup. Display holds neither its source nor a secret.
#[derive(Debug, thiserror::Error)]
pub enum NvdError {
    /// The budget is used up, ours or theirs.
    #[error("nvd asks us to slow down")]
    Throttled {
        /// When to come back.
        retry_after: Duration,
    },
    /// Not reached, or failed inside.
    #[error("nvd is unavailable: {detail}")]
    Unavailable {
        /// What was seen.
        detail: String,
        /// When to come back: it is left alone until then.
        retry_after: Option<Duration>,
        /// The cause, if there is one.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The key is wrong, was replaced, or is so new that NVD does not know it yet.
    #[error("nvd refuses the API key: {message}")]
    Unauthorized {
        /// The service's words, shortened.
        message: String,
    },
    /// The key was refused, and there is another one now: the next call carries it.
    #[error("nvd refused a key that has been replaced meanwhile")]
    Rotated,
    /// NVD answered that it has no such CVE.
    #[error("nvd has no {0}")]
    NotFound(CveId),
    /// The request was refused; says nothing about the CVE.
    #[error("nvd refuses the request: {message}")]
    InvalidInput {
        /// The service's words, shortened.
        message: String,
    },
    /// The configuration cannot work.
    #[error("the nvd configuration is not usable")]
    Config(#[source] InvalidInput),
    /// The answer does not fit its schema.
    #[error("the answer of nvd does not fit its schema: {detail}")]
    Malformed {
        /// Where it does not fit.
        detail: String,
    },
}

impl Classify for NvdError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Throttled { .. } => FailureKind::Throttled,
            Self::Unavailable { .. } | Self::Rotated => FailureKind::Unavailable,
            Self::Unauthorized { .. } => FailureKind::Unauthorized,
            Self::NotFound(_) => FailureKind::NotFound,
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

impl Outage for NvdError {
    fn outage(&self) -> Option<&str> {
        match self {
            Self::Unavailable { detail, .. } => Some(detail),
            _ => None,
        }
    }
}

impl From<Refused> for NvdError {
    fn from(refused: Refused) -> Self {
        Self::Unavailable {
            detail: refused.to_string(),
            retry_after: Some(refused.retry_after),
            source: None,
        }
    }
}

pub(super) fn refused(message: impl Into<String>) -> NvdError {
    NvdError::InvalidInput {
        message: message.into(),
    }
}

/// Reads a request that got no answer. Without its URL: an error text goes into logs.
pub(super) fn transport(error: reqwest::Error) -> NvdError {
    let detail = crate::http::lost(&error);
    NvdError::Unavailable {
        detail: detail.to_owned(),
        retry_after: None,
        source: Some(Box::new(error.without_url())),
    }
}

/// Reads an HTTP status other than 200.
pub(super) fn status(status: u16, headers: &HeaderMap) -> NvdError {
    let message = message_of(headers);
    let asked = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    match status {
        403 => NvdError::Throttled {
            retry_after: asked.unwrap_or(PAUSE).max(PAUSE),
        },
        429 => NvdError::Throttled {
            retry_after: asked.unwrap_or(PAUSE),
        },
        408 | 500.. => NvdError::Unavailable {
            detail: format!("HTTP {status}"),
            retry_after: None,
            source: None,
        },
        401 => NvdError::Unauthorized {
            message: message.unwrap_or_else(|| "HTTP 401".to_owned()),
        },
        404 => match message {
            Some(message) if message.to_ascii_lowercase().contains("apikey") => {
                NvdError::Unauthorized { message }
            }
            Some(message) => refused(message),
            None => refused("HTTP 404 without a reason; is the address right?"),
        },
        _ => refused(message.unwrap_or_else(|| format!("HTTP {status}; is the address right?"))),
    }
}

fn message_of(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("message")?.to_str().ok()?.trim();
    (!text.is_empty()).then(|| text.chars().take(MAX_MESSAGE).collect())
}
