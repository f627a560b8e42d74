//! What a failure means to its caller. One small kind for every system; `activities` maps it to a
//! Temporal retry decision, `api` to an HTTP status (docs/architecture.md, "Errors").

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Says what a caller can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Too many requests; the system may say when to come back.
    Throttled,
    /// Connect error, time-out, 5xx: worth another try.
    Unavailable,
    /// The write may or may not have happened: read back before trying again.
    Ambiguous,
    /// Wrong or expired credentials: a person has to act.
    Unauthorized,
    /// The thing asked for does not exist.
    NotFound,
    /// Our own input was refused.
    InvalidInput,
    /// The answer does not fit its schema.
    Malformed,
    /// Somebody else holds or changed the record.
    Conflict,
    /// A broken invariant of ours.
    Bug,
}

impl FailureKind {
    /// Those that pass by themselves.
    pub const RETRYABLE: [Self; 3] = [Self::Throttled, Self::Unavailable, Self::Bug];

    /// Returns true when the same call may succeed later without a change.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        Self::RETRYABLE.contains(&self)
    }

    /// Returns the second half of a failure type, such as `throttled` in `superops.throttled`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Ambiguous => "ambiguous",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::InvalidInput => "invalid_input",
            Self::Malformed => "malformed",
            Self::Conflict => "conflict",
            Self::Bug => "bug",
        }
    }
}

/// Implemented by every client error.
pub trait Classify {
    /// Says what the caller can do about this error.
    fn kind(&self) -> FailureKind;

    /// Returns true when the same call may succeed later without a change of it: by itself, or once a
    /// person has mended what refuses us.
    fn may_pass(&self) -> bool {
        self.kind().is_retryable()
    }

    /// Says how long the system asked us to wait, if it did.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}
