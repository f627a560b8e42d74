//! What can go wrong with the memory, by what the caller may do about it.

use std::time::Duration;

use domain::{
    failure::{Classify, FailureKind},
    input::InvalidInput,
};

use crate::store::StoreError;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call to the memory failed.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The file of the embedded adapter.
    #[error(transparent)]
    File(#[from] StoreError),
    /// It cannot be used now; the same call may succeed later.
    #[error("the memory cannot be used now: {advice}")]
    Unavailable {
        /// What is wrong, and what to do about it.
        advice: String,
        /// What was said.
        #[source]
        source: Option<Source>,
    },
    /// It takes no more for a moment.
    #[error("the memory is throttled: {advice}")]
    Throttled {
        /// What to do if this stays so.
        advice: String,
        /// How long it asked us to wait, if it did.
        retry_after: Option<Duration>,
    },
    /// It refuses us, or is not set up; a person has to act.
    #[error("the memory refuses: {advice}")]
    Refused {
        /// What is wrong, and what to do about it.
        advice: String,
        /// What was said.
        #[source]
        source: Option<Source>,
    },
    /// What is asked for is not there.
    #[error("{what}")]
    NotFound {
        /// What is missing, and what to do about it.
        what: String,
    },
    /// It is in use.
    #[error("{what}")]
    Conflict {
        /// What is in use, and by whom.
        what: String,
    },
    /// What is there does not fit.
    #[error("{what}")]
    Corrupt {
        /// What was read, and what to do about it.
        what: String,
        /// Why it does not fit, if something said so.
        #[source]
        source: Option<Source>,
    },
    /// The input can never be used.
    #[error("{what}")]
    Invalid {
        /// What was refused and what is allowed.
        what: String,
    },
}

impl MemoryError {
    /// No vectors of a model are kept.
    pub(super) fn no_model(model: &super::ModelName) -> Self {
        Self::NotFound {
            what: format!(
                "no vectors of embedding model {model} are kept: run the re-embedding for it, or ask with the current model"
            ),
        }
    }

    /// A model is still used.
    pub(super) fn still_used(model: &super::ModelName) -> Self {
        Self::Conflict {
            what: format!(
                "embedding model {model} is the current one: switch to another one first"
            ),
        }
    }
}

impl From<InvalidInput> for MemoryError {
    fn from(input: InvalidInput) -> Self {
        Self::Invalid {
            what: input.to_string(),
        }
    }
}

impl Classify for MemoryError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::File(error) => error.kind(),
            Self::Unavailable { .. } => FailureKind::Unavailable,
            Self::Throttled { .. } => FailureKind::Throttled,
            Self::Refused { .. } => FailureKind::Unauthorized,
            Self::NotFound { .. } => FailureKind::NotFound,
            Self::Conflict { .. } => FailureKind::Conflict,
            Self::Corrupt { .. } => FailureKind::Malformed,
            Self::Invalid { .. } => FailureKind::InvalidInput,
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::File(error) => error.may_pass(),
            other => other.kind().is_retryable(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            Self::File(error) => error.retry_after(),
            _ => None,
        }
    }
}
