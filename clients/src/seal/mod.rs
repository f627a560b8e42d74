//! Seals of the audit trail in write-once storage: how they are made and how they are checked.
//! What a seal is, `domain::seal` says.
//!
//! | Object | What it is |
//! | --- | --- |
//! | `logs/clients/{client}/{day}/audit/{number}.jsonl` | entries of a client on a UTC day, one a line |
//! | `logs/seals/{sequence}.json` | a seal |

mod check;
mod make;
#[cfg(test)]
mod tests;

use domain::{
    audit::AuditEntry,
    failure::{Classify, FailureKind},
    ids::ClientId,
    input::InvalidInput,
    seal::{BadLine, Seal, SealedPart, from_lines},
};
use jiff::civil::Date;

pub use self::{
    check::{SealCheck, Trouble, check},
    make::{Sealed, seal},
};
use crate::{
    objects::{ObjectKey, Objects, ObjectsError},
    store::StoreError,
};

/// Why the audit trail could not be sealed or checked.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The storage of objects failed.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// Somebody has changed the past: the store does not agree with what was sealed.
    #[error(
        "the audit trail does not agree with {key}: {why}; find out who changed it, `autoops audit verify` shows more"
    )]
    Disagrees {
        /// Object that holds what was written then.
        key: String,
        /// What is different.
        why: String,
    },
    /// An object is not what we write there.
    #[error("object {key} is damaged: {why}")]
    Damaged {
        /// Which.
        key: String,
        /// Why.
        why: String,
    },
    /// Others sealed at the same time, again and again.
    #[error("others seal the audit trail at the same time")]
    Busy,
}

impl From<InvalidInput> for SealError {
    fn from(error: InvalidInput) -> Self {
        Self::Objects(error.into())
    }
}

impl Classify for SealError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Objects(error) => error.kind(),
            Self::Disagrees { .. } | Self::Damaged { .. } => FailureKind::Malformed,
            Self::Busy => FailureKind::Unavailable,
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => error.may_pass(),
            other => other.kind().is_retryable(),
        }
    }
}

/// Names the entry for people and for comparing: there is one of each.
fn place(entry: &AuditEntry) -> (String, u64) {
    (entry.record.chain.clone(), entry.sequence)
}

fn key_of(part: &SealedPart) -> Result<ObjectKey, InvalidInput> {
    ObjectKey::audit_part(&part.client, part.day, part.number)
}

/// Lists the sequences of the seals that are there.
async fn sequences(objects: &Objects) -> Result<Vec<u64>, SealError> {
    let keys = objects.list(&ObjectKey::seals()?).await?;
    Ok(keys.iter().filter_map(ObjectKey::number).collect())
}

async fn read_seal(objects: &Objects, sequence: u64) -> Result<Seal, SealError> {
    let key = ObjectKey::seal(sequence)?;
    let bytes = objects.read(&key).await?;
    let seal: Seal = serde_json::from_slice(&bytes).map_err(|error| damaged(&key, &error))?;
    match seal.sequence == sequence {
        true => Ok(seal),
        false => Err(damaged(&key, &format!("it is seal {}", seal.sequence))),
    }
}

/// What a part holds: the bytes, and the entries in them.
struct Part {
    bytes: bytes::Bytes,
    entries: Vec<AuditEntry>,
}

/// Reads a part; its entries are those of a client and a day, each true to its own hash.
async fn read_part(
    objects: &Objects,
    key: &ObjectKey,
    (client, day): (&ClientId, Date),
) -> Result<Part, SealError> {
    let bytes = objects.read(key).await?;
    let entries = from_lines(&bytes).map_err(|error: BadLine| damaged(key, &error))?;
    let belongs = |entry: &AuditEntry| {
        entry.is_true() && entry.record.client == *client && entry.record.utc_day() == day
    };
    match entries.iter().position(|entry| !belongs(entry)) {
        None => Ok(Part { bytes, entries }),
        Some(at) => Err(damaged(
            key,
            &format!("line {} was changed or moved", at + 1),
        )),
    }
}

fn damaged(key: &ObjectKey, why: &impl ToString) -> SealError {
    SealError::Damaged {
        key: key.to_string(),
        why: why.to_string(),
    }
}
