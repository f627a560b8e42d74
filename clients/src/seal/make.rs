//! Making a seal. Everything is written once and may be done again: what an earlier try has left is
//! read, held against the store, and taken as it is.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    audit::AuditEntry,
    canonical,
    ids::ClientId,
    seal::{Seal, SealedPart, to_lines},
};
use jiff::{Timestamp, ToSpan, civil::Date};

use super::{SealError, damaged, key_of, place, read_part, read_seal, sequences};
use crate::{
    objects::{ObjectKey, Objects, ObjectsError},
    store::Actions,
};

/// Days before the newest seal that are looked at again: an entry may be written after its day.
const LOOK_BACK_DAYS: i32 = 7;
/// Most entries of a part; an entry is about a kilobyte.
const PART: usize = 20_000;
/// Entries, and days of clients, read at once.
const PAGE: usize = 500;
/// How often somebody else may be faster.
const TRIES: u32 = 5;

/// What sealing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The newest seal.
    pub seal: Seal,
    /// False when it was there before: nothing was left to seal.
    pub is_new: bool,
}

/// Seals all entries of days up to `through` (UTC) that no seal names yet. `alive` is called between
/// steps of seconds.
///
/// # Errors
/// When store or storage fail, or do not agree with each other.
pub async fn seal(
    actions: &dyn Actions,
    objects: &Objects,
    (through, now): (Date, Timestamp),
    alive: &(dyn Fn() + Sync),
) -> Result<Sealed, SealError> {
    for _ in 0..TRIES {
        let known = Known::read(objects).await?;
        let parts = match missing(actions, objects, &known, through, alive).await {
            Ok(parts) => parts,
            Err(SealError::Objects(ObjectsError::Conflict { .. })) => continue,
            Err(error) => return Err(error),
        };
        if let Some(newest) = &known.newest
            && parts.is_empty()
            && newest.through >= through
        {
            return Ok(Sealed {
                seal: newest.clone(),
                is_new: false,
            });
        }
        let through = known
            .newest
            .as_ref()
            .map_or(through, |newest| newest.through.max(through));
        let key = ObjectKey::seal(known.newest.as_ref().map_or(1, |seal| seal.sequence + 1))?;
        let json = |error: serde_json::Error| damaged(&key, &error);
        let seal = Seal::after(known.newest.as_ref(), now, through, parts).map_err(json)?;
        let body = serde_json::to_vec(&seal).map_err(json)?;
        match objects.create(&key, body).await {
            Ok(_) => return Ok(Sealed { seal, is_new: true }),
            // Somebody else was faster: what is left of it follows theirs.
            Err(ObjectsError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(SealError::Busy)
}

/// What seals name already, as far back as anybody looks.
struct Known {
    newest: Option<Seal>,
    /// First day that is looked at; `None` for all.
    since: Option<Date>,
    parts: BTreeSet<(ClientId, Date, u32)>,
}

impl Known {
    async fn read(objects: &Objects) -> Result<Self, SealError> {
        let sequences = sequences(objects).await?;
        let mut known = Self {
            newest: None,
            since: None,
            parts: BTreeSet::new(),
        };
        for sequence in sequences.into_iter().rev() {
            let seal = read_seal(objects, sequence).await?;
            // A part of a day is never in a seal that ends before that day.
            if known.since.is_some_and(|since| seal.through < since) {
                break;
            }
            let names = seal.parts.iter();
            known
                .parts
                .extend(names.map(|part| (part.client.clone(), part.day, part.number)));
            if known.newest.is_none() {
                known.since = Some(seal.through.saturating_sub(LOOK_BACK_DAYS.days()));
                known.newest = Some(seal);
            }
        }
        Ok(known)
    }
}

async fn missing(
    actions: &dyn Actions,
    objects: &Objects,
    known: &Known,
    through: Date,
    alive: &(dyn Fn() + Sync),
) -> Result<Vec<SealedPart>, SealError> {
    let mut parts = Vec::new();
    let mut cursor = None;
    loop {
        let page = actions
            .audited_days(known.since, cursor.as_deref(), PAGE)
            .await?;
        for (day, client) in page.items {
            if day > through {
                return Ok(parts);
            }
            let of_day = Day {
                actions,
                objects,
                alive,
                client,
                day,
            };
            parts.extend(of_day.parts(known).await?);
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(parts),
        }
    }
}

/// A day of a client.
struct Day<'a> {
    actions: &'a dyn Actions,
    objects: &'a Objects,
    alive: &'a (dyn Fn() + Sync),
    client: ClientId,
    day: Date,
}

impl Day<'_> {
    /// Returns the parts that no seal names; those that are missing are written.
    async fn parts(&self, known: &Known) -> Result<Vec<SealedPart>, SealError> {
        let below = ObjectKey::audit_day(&self.client, self.day)?;
        let mut parts = Vec::new();
        let mut copied = BTreeMap::new();
        let mut last = 0;
        for key in self.objects.list(&below).await? {
            (self.alive)();
            let number = key.number().and_then(|number| u32::try_from(number).ok());
            let number = number.ok_or_else(|| damaged(&key, &"its name is not ours"))?;
            let part = read_part(self.objects, &key, (&self.client, self.day)).await?;
            last = last.max(number);
            let name = (self.client.clone(), self.day, number);
            if !known.parts.contains(&name) {
                parts.push(self.part(number, &part.bytes, part.entries.len()));
            }
            let hashes = part.entries.into_iter();
            copied.extend(hashes.map(|entry| (place(&entry), (entry.hash, key.clone()))));
        }
        let fresh = self.uncopied(copied).await?;
        for (entries, number) in fresh.chunks(PART).zip(last + 1..) {
            let lines = to_lines(entries).map_err(|error| damaged(&below, &error))?;
            let part = self.part(number, lines.as_bytes(), entries.len());
            self.objects.create(&key_of(&part)?, lines).await?;
            parts.push(part);
        }
        Ok(parts)
    }

    fn part(&self, number: u32, bytes: &[u8], entries: usize) -> SealedPart {
        SealedPart {
            client: self.client.clone(),
            day: self.day,
            number,
            entries: entries as u64,
            sha256: canonical::sha256(bytes),
        }
    }

    /// Reads the entries that are in no copy, in the order of writing.
    async fn uncopied(
        &self,
        mut copied: BTreeMap<(String, u64), (String, ObjectKey)>,
    ) -> Result<Vec<AuditEntry>, SealError> {
        let mut fresh = Vec::new();
        let mut cursor = None;
        loop {
            (self.alive)();
            let page = self
                .actions
                .audit_of_day(&self.client, self.day, cursor.as_deref(), PAGE)
                .await?;
            for entry in page.items {
                let (chain, sequence) = place(&entry);
                match copied.remove(&(chain.clone(), sequence)) {
                    None => fresh.push(entry),
                    Some((hash, _)) if hash == entry.hash => {}
                    Some((_, key)) => {
                        let why = format!("entry {sequence} of chain {chain} was another then");
                        return Err(disagrees(&key, why));
                    }
                }
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        match copied.into_iter().next() {
            None => Ok(fresh),
            Some(((chain, sequence), (_, key))) => {
                let why = format!("entry {sequence} of chain {chain} is gone");
                Err(disagrees(&key, why))
            }
        }
    }
}

fn disagrees(key: &ObjectKey, why: String) -> SealError {
    SealError::Disagrees {
        key: key.to_string(),
        why,
    }
}
