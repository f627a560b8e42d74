//! What can go wrong with the store, by what the caller may do about it.

use std::path::Path;

use domain::failure::{Classify, FailureKind};
use rusqlite::ErrorCode;

/// Why a call to the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else changed the record, or it was written before with other content.
    #[error("{what}")]
    Conflict {
        /// Which record, and what is different.
        what: String,
    },
    /// The record does not exist.
    #[error("{what} is not in the store")]
    NotFound {
        /// Which record.
        what: String,
    },
    /// The store cannot be used now; the same call may succeed later.
    #[error("the store cannot be used now: {advice}")]
    Unavailable {
        /// What is wrong, and what to do about it.
        advice: String,
        /// What the database said, if it was asked.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The store takes no more for a moment.
    #[error("the store is throttled: more is asked of {what} than it was given capacity for")]
    Throttled {
        /// Which table.
        what: String,
    },
    /// The store refuses us, or is not set up; a person has to act.
    #[error("the store refuses: {advice}")]
    Refused {
        /// What is wrong, and what to do about it.
        advice: String,
        /// What the database said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The data was written by a newer AutoOps.
    #[error(
        "the data was written by a newer AutoOps (data version {found}, this program knows up to {supported}): \
         update this program or choose another data directory"
    )]
    NewerVersion {
        /// Version of the data.
        found: i64,
        /// Newest version this program knows.
        supported: i64,
    },
    /// A record cannot be read; somebody or something changed it behind our back.
    #[error("{what} is damaged: restore the data directory from a backup")]
    Corrupt {
        /// Which record, by its key.
        what: String,
        /// Why it cannot be read, if something said so.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The input can never be written.
    #[error("{what}")]
    Invalid {
        /// What was refused and what is allowed.
        what: String,
    },
}

impl StoreError {
    pub(super) fn unavailable(advice: impl Into<String>) -> Self {
        Self::Unavailable {
            advice: advice.into(),
            source: None,
        }
    }

    pub(super) fn throttled(what: impl Into<String>) -> Self {
        Self::Throttled { what: what.into() }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt {
            what: what.into(),
            source: None,
        }
    }

    /// Says what an error of SQLite means.
    pub(super) fn of_sqlite(error: rusqlite::Error) -> Self {
        let advice = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                return Self::Corrupt {
                    what: "the database file".to_owned(),
                    source: Some(error.into()),
                };
            }
            Some(ErrorCode::TypeMismatch | ErrorCode::ConstraintViolation | ErrorCode::TooBig) => {
                return Self::Invalid {
                    what: format!("the database refused a record: {error}"),
                };
            }
            Some(ErrorCode::DiskFull) => "the disk is full: free space where the data directory is",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "another process holds the database file for long: find and end it if this stays so"
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                "the database file cannot be opened for writing: check the data directory and its permissions"
            }
            Some(ErrorCode::SystemIoFailure) => {
                "the disk failed to read or write: check it and its free space"
            }
            _ => "the database refused a statement",
        };
        Self::Unavailable {
            advice: advice.to_owned(),
            source: Some(error.into()),
        }
    }

    /// Names the file in an error of opening it.
    pub(super) fn at(self, path: &Path) -> Self {
        match self {
            Self::Unavailable { advice, source } => Self::Unavailable {
                advice: format!("{advice} ({})", path.display()),
                source,
            },
            Self::Corrupt { what, source } => Self::Corrupt {
                what: format!("{what} {}", path.display()),
                source,
            },
            other => other,
        }
    }
}

impl Classify for StoreError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Conflict { .. } => FailureKind::Conflict,
            Self::NotFound { .. } => FailureKind::NotFound,
            Self::Unavailable { .. } => FailureKind::Unavailable,
            Self::Throttled { .. } => FailureKind::Throttled,
            Self::Refused { .. } => FailureKind::Unauthorized,
            Self::NewerVersion { .. } | Self::Invalid { .. } => FailureKind::InvalidInput,
            Self::Corrupt { .. } => FailureKind::Malformed,
        }
    }

    fn may_pass(&self) -> bool {
        // Credentials are renewed, tables made and programs updated, and what was to be written is
        // still to be written then.
        self.kind().is_retryable()
            || matches!(self, Self::Refused { .. } | Self::NewerVersion { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(code: i32) -> StoreError {
        StoreError::of_sqlite(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(code),
            Some("inner".into()),
        ))
    }

    #[test]
    fn a_full_disk_may_be_tried_again_and_says_what_to_do() {
        let error = sqlite(rusqlite::ffi::SQLITE_FULL);
        assert_eq!(error.kind(), FailureKind::Unavailable);
        let text = error.to_string();
        assert!(
            text.contains("free space") && !text.contains("inner"),
            "{text}"
        );
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn a_damaged_file_is_never_tried_again() {
        assert!(!sqlite(rusqlite::ffi::SQLITE_NOTADB).kind().is_retryable());
        assert!(sqlite(rusqlite::ffi::SQLITE_BUSY).kind().is_retryable());
        assert!(
            !StoreError::NewerVersion {
                found: 9,
                supported: 1
            }
            .kind()
            .is_retryable()
        );
    }
}
