//! The audit trail: who or what decided what on which evidence, chained by hashes so that a change
//! is found. One chain per workflow; the entry's own hash covers the hash of the one before it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{canonical, ids::ClientId, people::Identity};

/// Hash before the first entry of a chain.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

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

    fn expected_hash(&self) -> Option<String> {
        let hashed = Hashed {
            record: &self.record,
            sequence: self.sequence,
            previous: &self.previous,
        };
        canonical::content_hash(&hashed).ok()
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
            return Err(broken("it is missing"));
        }
        if entry.previous != previous {
            return Err(broken("it does not follow the entry before it"));
        }
        if entry.expected_hash().as_deref() != Some(entry.hash.as_str()) {
            return Err(broken("its content does not match its hash"));
        }
        sequence = entry.sequence;
        previous = &entry.hash;
    }
    Ok(())
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
}
