//! Checking what was sealed: the seals, the copies they name, and the store against the copies.

use std::collections::BTreeMap;

use domain::{
    audit::{self, AuditEntry},
    canonical,
    seal::{Seal, SealedPart},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::{SealError, key_of, read_part, read_seal, sequences};
use crate::{
    objects::{Objects, ObjectsError},
    store::{Actions, StoreError},
};

const MISSING: &str = "it is missing";
/// Entries read at once.
const PAGE: usize = 200;
/// Chains read at the same time.
const AT_ONCE: usize = 8;

/// What a check of the seals found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct SealCheck {
    /// Seals checked.
    pub seals: u64,
    /// Copies checked.
    pub parts: u64,
    /// Entries of these copies found in the store as they were.
    pub entries: u64,
    /// What does not hold.
    pub broken: Vec<Trouble>,
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Trouble {
    /// Which seal, object, or entry of a chain.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
}

/// Checks every seal that is still kept, and the store against it. What does not hold is a finding;
/// only a store or storage that does not answer is an error.
///
/// # Errors
/// When store or storage cannot be read.
pub async fn check(actions: &dyn Actions, objects: &Objects) -> Result<SealCheck, SealError> {
    let sequences = sequences(objects).await?;
    let mut found = SealCheck::default();
    let mut previous: Option<Seal> = None;
    let mut expected = sequences.first().copied().unwrap_or(1);
    for sequence in sequences {
        for gone in expected..sequence {
            found.add(format!("seal {gone}"), MISSING);
            previous = None;
        }
        expected = sequence + 1;
        let seal = match read_seal(objects, sequence).await {
            Ok(seal) => seal,
            Err(error) => {
                found.add(format!("seal {sequence}"), finding(error)?);
                previous = None;
                continue;
            }
        };
        found.seals += 1;
        if let Err(broken) = seal.check(previous.as_ref()) {
            found.add(format!("seal {sequence}"), broken);
        }
        // What the first seal names may be past its retention a little earlier.
        let may_be_gone = previous.is_none() && sequence > 1;
        for part in &seal.parts {
            check_part(actions, objects, part, may_be_gone, &mut found).await?;
        }
        previous = Some(seal);
    }
    Ok(found)
}

impl SealCheck {
    fn add(&mut self, what: String, why: impl ToString) {
        self.broken.push(Trouble {
            what,
            why: why.to_string(),
        });
    }
}

/// Tells a finding from a failure.
fn finding(error: SealError) -> Result<String, SealError> {
    match error {
        SealError::Damaged { why, .. } | SealError::Disagrees { why, .. } => Ok(why),
        SealError::Objects(ObjectsError::NotFound { .. }) => Ok(MISSING.to_owned()),
        error => Err(error),
    }
}

async fn check_part(
    actions: &dyn Actions,
    objects: &Objects,
    part: &SealedPart,
    may_be_gone: bool,
    found: &mut SealCheck,
) -> Result<(), SealError> {
    let key = key_of(part)?;
    let there = match read_part(objects, &key, (&part.client, part.day)).await {
        Ok(there) => there,
        Err(SealError::Objects(ObjectsError::NotFound { .. })) if may_be_gone => return Ok(()),
        Err(error) => {
            found.add(format!("object {key}"), finding(error)?);
            return Ok(());
        }
    };
    found.parts += 1;
    if canonical::sha256(&there.bytes) != part.sha256 {
        found.add(format!("object {key}"), "it is not what was sealed");
        return Ok(());
    }
    let mut chains: BTreeMap<String, Vec<AuditEntry>> = BTreeMap::new();
    for entry in there.entries {
        let chain = chains.entry(entry.record.chain.clone()).or_default();
        chain.push(entry);
    }
    let checked = stream::iter(chains).map(|(chain, sealed)| still_there(actions, chain, sealed));
    let mut checked = checked.buffered(AT_ONCE);
    while let Some((entries, trouble)) = checked.try_next().await? {
        found.entries += entries;
        found.broken.extend(trouble);
    }
    Ok(())
}

/// Counts the entries of a chain that the store has as they were, up to the first it has not.
async fn still_there(
    actions: &dyn Actions,
    chain: String,
    mut sealed: Vec<AuditEntry>,
) -> Result<(u64, Option<Trouble>), SealError> {
    sealed.sort_unstable_by_key(|entry| entry.sequence);
    let mut stored: BTreeMap<u64, String> = BTreeMap::new();
    let mut same = 0;
    for entry in &sealed {
        let trouble = |why: &str| {
            let what = format!("sealed entry {} of chain {chain}", entry.sequence);
            Some(Trouble {
                what,
                why: why.to_owned(),
            })
        };
        if !stored.contains_key(&entry.sequence) {
            stored.clear();
            let before = entry.sequence.saturating_sub(1);
            match actions.read_chain(&chain, before, PAGE).await {
                Ok(page) => stored.extend(page.into_iter().map(|e| (e.sequence, e.hash))),
                Err(StoreError::Corrupt { .. }) => return Ok((same, trouble(audit::UNREADABLE))),
                Err(error) => return Err(error.into()),
            }
        }
        match stored.get(&entry.sequence) {
            Some(hash) if *hash == entry.hash => same += 1,
            Some(_) => return Ok((same, trouble("the store has another one"))),
            None => return Ok((same, trouble("it is gone from the store"))),
        }
    }
    Ok((same, None))
}
