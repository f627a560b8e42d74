//! Which updates a cumulative one brings with it.
//!
//! A patch list often names only the newest of a chain, so what it closes is found along the chain of
//! replaced updates, down to the first one that is installed. When none of the chain is installed,
//! nobody knows how old the device is: then only what the list itself calls missing counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::{ids::KbId, vulnerability::cvrf::Update};

/// Longest chain that is followed; also ends circles.
const LONGEST: usize = 200;

/// Chains of updates.
pub(super) struct Chains<'a> {
    updates: &'a BTreeMap<KbId, Update>,
}

impl<'a> Chains<'a> {
    pub(super) fn new(updates: &'a BTreeMap<KbId, Update>) -> Self {
        Self { updates }
    }

    /// Lists what comes with an update on a device, without the update itself.
    pub(super) fn covered(
        &self,
        kb: &KbId,
        missing: &BTreeSet<&KbId>,
        installed: &BTreeSet<KbId>,
    ) -> BTreeSet<KbId> {
        let (mut open, mut hit) = (BTreeSet::new(), false);
        self.walk(kb, |older| {
            let stops = installed.contains(older);
            hit |= stops;
            if !stops {
                open.insert(older.clone());
            }
            !stops
        });
        if !hit {
            open.retain(|older| missing.contains(older));
        }
        open
    }

    /// Lists all that an update replaces, far down: what may come with it on a device nobody knows.
    pub(super) fn below(&self, kb: &KbId) -> BTreeSet<KbId> {
        let mut all = BTreeSet::new();
        self.walk(kb, |older| all.insert(older.clone()));
        all
    }

    /// Lists missing updates that come with another missing one.
    pub(super) fn collapsed<'b>(&self, missing: &BTreeSet<&'b KbId>) -> BTreeSet<&'b KbId> {
        let mut collapsed = BTreeSet::new();
        for kb in missing {
            self.walk(kb, |older| {
                if let Some(known) = missing.get(older) {
                    collapsed.insert(*known);
                }
                true
            });
        }
        // In a circle the highest number stays.
        if collapsed.len() == missing.len() {
            collapsed.pop_last();
        }
        collapsed
    }

    /// Walks down; goes on below an update when `visit` says so.
    fn walk(&self, from: &KbId, mut visit: impl FnMut(&'a KbId) -> bool) {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&KbId> = vec![from];
        while let Some(kb) = next.pop().filter(|_| seen.len() < LONGEST) {
            let older = self.updates.get(kb).into_iter();
            for older in older.flat_map(|update| &update.supersedes) {
                if older != from && seen.insert(older) && visit(older) {
                    next.push(older);
                }
            }
        }
    }
}
