//! A secret in a file, read again when the file is another one or was written to.

use std::{
    fs::Metadata,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

use super::SecretError;

/// Tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    written: (i64, i64),
    bytes: u64,
}

impl From<Metadata> for Stamp {
    fn from(found: Metadata) -> Self {
        Self {
            inode: found.ino(),
            written: (found.mtime(), found.mtime_nsec()),
            bytes: found.len(),
        }
    }
}

/// Looks at the file; nothing when it is not there.
pub(super) async fn stamp(path: &Path) -> Option<Stamp> {
    tokio::fs::metadata(path).await.ok().map(Stamp::from)
}

/// The path as it was given.
pub(super) fn path(given: &SecretString) -> PathBuf {
    PathBuf::from(given.expose_secret())
}

/// Reads the file. `variable` names it.
pub(super) async fn read(path: &Path, variable: &str) -> Result<SecretString, SecretError> {
    let text = tokio::fs::read_to_string(path).await.map_err(|error| {
        let why = match error.kind() {
            ErrorKind::NotFound => "names a file that does not exist",
            ErrorKind::PermissionDenied => "names a file that may not be read",
            ErrorKind::InvalidData => "names a file that is not text",
            _ => "names a file that cannot be read",
        };
        SecretError::unusable(variable, why)
    })?;
    match text.trim() {
        "" => Err(SecretError::unusable(variable, "names an empty file")),
        secret => Ok(secret.into()),
    }
}
