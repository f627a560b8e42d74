//! The audit trail: who or what decided what on which evidence, chained by hashes so that a change
//! is found. One chain per workflow; the entry's own hash covers the hash of the one before it.

use std::cmp::Ordering;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{canonical, ids::ClientId, people::Identity};

/// Hash before the first entry of a chain.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Said of an entry that should be there.
const MISSING: &str = "it is missing";
/// Said of an entry that the store has and cannot read.
pub const UNREADABLE: &str = "it cannot be read";

/// Who or what decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Actor {
    /// A person.
    Person {
        /// Name as given.
        name: String,
        /// Claimed or proven.
        identity: Identity,
    },
    /// Guardrail policies.
    Policy {
        /// Policies that determined it.
        ids: Vec<String>,
    },
    /// An agent, with its model if it used one.
    Agent {
        /// Name of the agent, such as `risk_assessment`.
        name: String,
        /// Model id.
        #[serde(default)]
        model: Option<String>,
    },
    /// The workflow itself, by its rules.
    Workflow,
}

/// What is written down; sequence and hashes are added by the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Chain: the workflow id.
    pub chain: String,
    /// Names this entry within its chain, so that a retried write finds its own entry.
    pub key: String,
    /// When it was decided, by the workflow's clock.
    pub at: Timestamp,
    /// For which client.
    pub client: ClientId,
    /// By whom or what.
    pub actor: Actor,
    /// What, such as `plan_sealed` or `decision_counted`.
    pub what: String,
    /// On which evidence: ids, not bodies.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// Details for people and reports, small.
    #[serde(default)]
    pub detail: serde_json::Value,
    /// Hash of the plan it was about.
    #[serde(default)]
    pub plan_hash: Option<String>,
    /// Version of the policy set that applied.
    #[serde(default)]
    pub policy_version: Option<String>,
    /// Model tokens spent.
    #[serde(default)]
    pub tokens: Option<u64>,
}

impl AuditRecord {
    /// Returns the day in UTC on which it was decided.
    #[must_use]
    pub fn utc_day(&self) -> Date {
        TimeZone::UTC.to_datetime(self.at).date()
    }

    /// Returns the key under which this record is kept when its own names another one already.
    ///
    /// # Errors
    /// When the record cannot be JSON.
    pub fn key_of_another(&self) -> Result<String, serde_json::Error> {
        let hash = canonical::content_hash(self)?;
        Ok(format!("{}~{}", self.key, &hash[..16]))
    }
}

/// An entry of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// What was written down.
    #[serde(flatten)]
    pub record: AuditRecord,
    /// Position in the chain, from 1.
    pub sequence: u64,
    /// Hash of the entry before.
    pub previous: String,
    /// SHA-256 over the canonical JSON of everything above.
    pub hash: String,
}

#[derive(Serialize)]
struct Hashed<'a> {
    #[serde(flatten)]
    record: &'a AuditRecord,
    sequence: u64,
    previous: &'a str,
}

impl AuditEntry {
    /// Puts a record at its place in the chain.
    ///
    /// # Errors
    /// When the record cannot be JSON.
    pub fn seal(
        record: AuditRecord,
        sequence: u64,
        previous: &str,
    ) -> Result<Self, serde_json::Error> {
        let hash = canonical::content_hash(&Hashed {
            record: &record,
            sequence,
            previous,
        })?;
        Ok(Self {
            record,
            sequence,
            previous: previous.to_owned(),
            hash,
        })
    }

    /// Says whether the entry's own hash is that of its content.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.expected_hash().as_deref() == Some(self.hash.as_str())
    }

    fn expected_hash(&self) -> Option<String> {
        let hashed = Hashed {
            record: &self.record,
            sequence: self.sequence,
            previous: &self.previous,
        };
        canonical::content_hash(&hashed).ok()
    }
}

/// Where a chain ends. The store keeps it beside the entries and writes it together with each of
/// them: entries that are cut off the end are missed by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Sequence of the last entry.
    pub sequence: u64,
    /// Hash of the last entry.
    pub hash: String,
}

impl ChainHead {
    /// Returns the head of a chain that ends with this entry.
    #[must_use]
    pub fn of(last: &AuditEntry) -> Self {
        Self {
            sequence: last.sequence,
            hash: last.hash.clone(),
        }
    }
}

/// The first place where a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("chain {chain} is broken at entry {sequence}: {why}")]
pub struct BrokenChain {
    /// Chain.
    pub chain: String,
    /// Sequence of the first broken entry.
    pub sequence: u64,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Checks a run of entries that follow one another; `before` is the entry in front of them.
///
/// # Errors
/// Names the first entry that is missing, moved or changed.
pub fn verify(
    chain: &str,
    before: Option<&AuditEntry>,
    entries: &[AuditEntry],
) -> Result<(), BrokenChain> {
    let mut sequence = before.map_or(0, |e| e.sequence);
    let mut previous = before.map_or(GENESIS, |e| e.hash.as_str());
    for entry in entries {
        let broken = |why| BrokenChain {
            chain: chain.to_owned(),
            sequence: sequence + 1,
            why,
        };
        if entry.record.chain != chain {
            return Err(broken("it belongs to another chain"));
        }
        if entry.sequence != sequence + 1 {
            return Err(broken(MISSING));
        }
        if entry.previous != previous {
            return Err(broken("it does not follow the entry before it"));
        }
        if !entry.is_true() {
            return Err(broken("its content does not match its hash"));
        }
        sequence = entry.sequence;
        previous = &entry.hash;
    }
    Ok(())
}

/// Checks that a chain ends where the store says: `last` is its last entry, `head` was read after
/// it.
///
/// # Errors
/// Names the first entry that was cut off or put behind the end, or the last one when it is another
/// than the store remembers.
pub fn verify_end(
    chain: &str,
    last: Option<&AuditEntry>,
    head: Option<&ChainHead>,
) -> Result<(), BrokenChain> {
    let (found, expected) = (
        last.map_or(0, |entry| entry.sequence),
        head.map_or(0, |head| head.sequence),
    );
    let (sequence, why) = match found.cmp(&expected) {
        Ordering::Less => (found + 1, MISSING),
        Ordering::Greater => (expected + 1, "it stands behind the end of the chain"),
        Ordering::Equal if last.map(|entry| &entry.hash) != head.map(|head| &head.hash) => {
            (found, "it is not the entry the chain ended with")
        }
        Ordering::Equal => return Ok(()),
    };
    Err(BrokenChain {
        chain: chain.to_owned(),
        sequence,
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: u64) -> Vec<AuditEntry> {
        let mut entries: Vec<AuditEntry> = Vec::new();
        for i in 1..=length {
            let record = AuditRecord {
                chain: "c".into(),
                key: format!("k{i}"),
                at: Timestamp::UNIX_EPOCH,
                client: "7".parse().unwrap(),
                actor: Actor::Workflow,
                what: "step".into(),
                evidence: vec![],
                detail: serde_json::json!({ "i": i }),
                plan_hash: None,
                policy_version: None,
                tokens: None,
            };
            let previous = entries
                .last()
                .map_or(GENESIS.to_owned(), |e| e.hash.clone());
            entries.push(AuditEntry::seal(record, i, &previous).unwrap());
        }
        entries
    }

    #[test]
    fn a_whole_chain_holds_also_in_parts_and_after_a_round_trip() {
        let entries = chain(5);
        let text = serde_json::to_string(&entries).unwrap();
        let read: Vec<AuditEntry> = serde_json::from_str(&text).unwrap();
        assert_eq!(verify("c", None, &read), Ok(()));
        assert_eq!(verify("c", Some(&read[1]), &read[2..]), Ok(()));
    }

    #[test]
    fn the_first_changed_or_missing_entry_is_named() {
        let mut changed = chain(5);
        changed[2].record.what = "nothing".into();
        assert_eq!(verify("c", None, &changed).unwrap_err().sequence, 3);
        let mut missing = chain(5);
        missing.remove(1);
        assert_eq!(verify("c", None, &missing).unwrap_err().sequence, 2);
    }

    #[test]
    fn a_cut_tail_a_longer_one_and_another_end_are_found_by_the_head() {
        let entries = chain(5);
        let head = |n: usize| ChainHead::of(&entries[n - 1]);
        let end = |n: usize| entries[..n].last();
        let found = |last, head: Option<ChainHead>| {
            let broken = verify_end("c", last, head.as_ref()).err();
            broken.map(|broken| (broken.sequence, broken.why))
        };
        assert_eq!(found(end(5), Some(head(5))), None);
        assert_eq!(found(None, None), None);
        assert_eq!(found(end(3), Some(head(5))), Some((4, MISSING)));
        assert_eq!(found(None, Some(head(5))), Some((1, MISSING)));
        let behind = "it stands behind the end of the chain";
        assert_eq!(found(end(5), Some(head(3))), Some((4, behind)));
        assert_eq!(found(end(5), None), Some((1, behind)));
        let other = ChainHead {
            hash: GENESIS.to_owned(),
            ..head(5)
        };
        let another = "it is not the entry the chain ended with";
        assert_eq!(found(end(5), Some(other)), Some((5, another)));
    }
}
