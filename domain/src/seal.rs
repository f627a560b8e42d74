//! Seals of the audit trail. What was written down on a day is copied, client by client, into
//! write-once storage; a seal names these copies by their hashes and the seal before it. Whoever
//! then changes the store, even a whole chain with its end, no longer agrees with what was sealed.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    audit::{AuditEntry, GENESIS},
    canonical,
    ids::ClientId,
};

/// A copy of audit entries of a client on a UTC day. A day has several when entries came after it
/// was sealed, or when it has many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPart {
    /// Client.
    pub client: ClientId,
    /// Day, in UTC.
    pub day: Date,
    /// 1, 2, 3 … within client and day.
    pub number: u32,
    /// Entries in it.
    pub entries: u64,
    /// SHA-256 of the copy, byte by byte.
    pub sha256: String,
}

/// What was sealed at one time. Its hash is the daily root of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// 1, 2, 3 …
    pub sequence: u64,
    /// Hash of the seal before; 64 zeros for the first.
    pub previous: String,
    /// When it was made.
    pub at: Timestamp,
    /// Last day it looked at, in UTC.
    pub through: Date,
    /// Copies that no seal before it names.
    pub parts: Vec<SealedPart>,
    /// SHA-256 over the canonical JSON (RFC 8785) of everything above.
    pub hash: String,
}

#[derive(Serialize)]
struct Hashed<'a> {
    sequence: u64,
    previous: &'a str,
    at: Timestamp,
    through: Date,
    parts: &'a [SealedPart],
}

/// What is wrong with a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenSeal {
    /// It was changed.
    #[error("its content does not match its hash")]
    Changed,
    /// One before it was changed, or it was put there past us.
    #[error("it does not follow the seal before it")]
    Unfollowed,
}

impl Seal {
    /// Makes the seal that follows `previous`.
    ///
    /// # Errors
    /// When it cannot be JSON.
    pub fn after(
        previous: Option<&Self>,
        at: Timestamp,
        through: Date,
        parts: Vec<SealedPart>,
    ) -> Result<Self, serde_json::Error> {
        let mut seal = Self {
            sequence: previous.map_or(1, |seal| seal.sequence + 1),
            previous: previous.map_or(GENESIS.to_owned(), |seal| seal.hash.clone()),
            at,
            through,
            parts,
            hash: String::new(),
        };
        seal.hash = seal.expected_hash()?;
        Ok(seal)
    }

    fn expected_hash(&self) -> Result<String, serde_json::Error> {
        canonical::content_hash(&Hashed {
            sequence: self.sequence,
            previous: &self.previous,
            at: self.at,
            through: self.through,
            parts: &self.parts,
        })
    }

    /// Checks the seal against the one before it; `None` when that is past its retention, which the
    /// first of all cannot be.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn check(&self, previous: Option<&Self>) -> Result<(), BrokenSeal> {
        if self.expected_hash().ok().as_deref() != Some(self.hash.as_str()) {
            return Err(BrokenSeal::Changed);
        }
        let follows = match previous {
            Some(previous) => {
                previous.sequence.checked_add(1) == Some(self.sequence)
                    && self.previous == previous.hash
            }
            None => self.sequence > 1 || self.previous == GENESIS,
        };
        follows.then_some(()).ok_or(BrokenSeal::Unfollowed)
    }
}

/// Writes entries as JSON lines, each with a line feed at its end.
///
/// # Errors
/// When one cannot be JSON.
pub fn to_lines(entries: &[AuditEntry]) -> Result<String, serde_json::Error> {
    let mut lines = String::new();
    for entry in entries {
        lines += &serde_json::to_string(entry)?;
        lines.push('\n');
    }
    Ok(lines)
}

/// Reads what [`to_lines`] has written.
///
/// # Errors
/// When a line is not an entry; says which, from 1.
pub fn from_lines(bytes: &[u8]) -> Result<Vec<AuditEntry>, BadLine> {
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let entries = lines.zip(1..).map(|(line, number)| {
        serde_json::from_slice(line).map_err(|source| BadLine { number, source })
    });
    entries.collect()
}

/// A line that is not an entry.
#[derive(Debug, thiserror::Error)]
#[error("line {number} is not an audit entry")]
pub struct BadLine {
    /// From 1.
    pub number: usize,
    /// Why.
    #[source]
    pub source: serde_json::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u32) -> SealedPart {
        SealedPart {
            client: "7".parse().unwrap(),
            day: "2026-11-27".parse().unwrap(),
            number,
            entries: 2,
            sha256: canonical::sha256(b"two"),
        }
    }

    fn seals() -> [Seal; 3] {
        let at = Timestamp::UNIX_EPOCH;
        let day = |day: &str| day.parse().unwrap();
        let one = Seal::after(None, at, day("2026-11-27"), vec![part(1)]).unwrap();
        let two = Seal::after(Some(&one), at, day("2026-11-28"), vec![]).unwrap();
        let three = Seal::after(Some(&two), at, day("2026-11-28"), vec![part(2)]).unwrap();
        [one, two, three]
    }

    #[test]
    fn seals_follow_one_another_also_after_the_first_are_forgotten() {
        let [one, two, three] = seals();
        let text = serde_json::to_string(&three).unwrap();
        assert_eq!(serde_json::from_str::<Seal>(&text).unwrap(), three);
        for (seal, previous) in [
            (&one, None),
            (&two, Some(&one)),
            (&three, Some(&two)),
            (&three, None),
        ] {
            assert_eq!(seal.check(previous), Ok(()));
        }
    }

    #[test]
    fn a_changed_seal_and_one_that_is_left_out_are_found() {
        let [one, two, three] = seals();
        assert_eq!(three.check(Some(&one)), Err(BrokenSeal::Unfollowed));
        let mut fewer = two.clone();
        fewer.through = one.through;
        assert_eq!(fewer.check(Some(&one)), Err(BrokenSeal::Changed));
        let other = Seal::after(None, one.at, one.through, vec![]).unwrap();
        assert_eq!(two.check(Some(&other)), Err(BrokenSeal::Unfollowed));
        let mut first = one;
        first.previous = two.hash;
        first.hash = first.expected_hash().unwrap();
        assert_eq!(first.check(None), Err(BrokenSeal::Unfollowed));
    }

    #[test]
    fn a_line_that_is_not_an_entry_is_named() {
        assert!(from_lines(b"").unwrap().is_empty());
        let error = from_lines(b"\n{\"chain\":\"w\"}\n").unwrap_err();
        assert_eq!(error.to_string(), "line 1 is not an audit entry");
    }
}
