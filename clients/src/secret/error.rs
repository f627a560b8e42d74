//! Why a secret cannot be had. Never repeats its value, nor what names it: somebody may have put
//! the secret itself there.

use std::error::Error as StdError;

use domain::failure::{Classify, FailureKind};

/// A secret that could not be read. Display is one line and starts with the variable.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// What was found, or what names it, is of no use.
    #[error("{variable} {why}")]
    Unusable {
        /// Variable that holds or names it.
        variable: String,
        /// What is wrong, and what is allowed.
        why: &'static str,
    },
    /// Secrets Manager has no such secret, or no value in it.
    #[error(
        "{variable} names a secret that {why}: check the name and `secrets.region` ({region}), and put a value \
         into it with `aws secretsmanager put-secret-value`"
    )]
    Missing {
        /// Variable that names it.
        variable: String,
        /// Region that was asked.
        region: String,
        /// What is missing.
        why: &'static str,
    },
    /// We may not read it.
    #[error("{variable} names a secret that cannot be read: {advice}")]
    Refused {
        /// Variable that names it.
        variable: String,
        /// What to do.
        advice: String,
    },
    /// Too many requests.
    #[error(
        "{variable} names a secret that cannot be read now: AWS Secrets Manager asks us to slow down"
    )]
    Throttled {
        /// Variable that names it.
        variable: String,
    },
    /// Not reached, or failed inside.
    #[error("{variable} names a secret that cannot be read now: {advice}")]
    Unavailable {
        /// Variable that names it.
        variable: String,
        /// What was seen, and what to check.
        advice: String,
        /// The cause, if there is one.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
}

impl Classify for SecretError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Unusable { .. } => FailureKind::InvalidInput,
            Self::Missing { .. } => FailureKind::NotFound,
            Self::Refused { .. } => FailureKind::Unauthorized,
            Self::Throttled { .. } => FailureKind::Throttled,
            Self::Unavailable { .. } => FailureKind::Unavailable,
        }
    }
}

impl SecretError {
    pub(crate) fn unusable(variable: impl Into<String>, why: &'static str) -> Self {
        Self::Unusable {
            variable: variable.into(),
            why,
        }
    }
}
