//! What people know better: two incidents are one, or one is two. Both are learnt for later.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    QUIET,
    correlator::{Correlator, Due},
    live::KindOn,
    names::OTHER,
    record::{IncidentId, KEPT, KindIn, Record, State},
};

/// Pairs of kinds that are remembered.
const LESSONS: usize = 10_000;

/// Why machines cannot be taken out of an incident.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotSplit {
    /// It is over.
    #[error("is over")]
    Over,
    /// No alert of them was ever counted in it.
    #[error("has no alert of these machines")]
    NothingOfThem,
    /// Alerts of them stand in it, and none of them counts.
    #[error("only shows alerts of {machine} as hidden: {why}; they are told when that is over")]
    OnlyHidden {
        /// One of them.
        machine: String,
        /// Behind what its alerts are hidden.
        why: String,
    },
    /// Nothing would be left.
    #[error("has no alert of other machines")]
    NothingElse,
}

impl Correlator {
    /// Makes one incident of two: `into` has the alerts of both. Kinds of alerts of both belong together from
    /// now on. `false` when one of them is over and forgotten, or both are the same.
    pub fn merge(&mut self, from: IncidentId, into: IncidentId) -> bool {
        let known = self.records.contains_key(&from) && self.records.contains_key(&into);
        if from == into || !known {
            return false;
        }
        if let (Some(one), Some(other)) = (self.records.get(&from), self.records.get(&into)) {
            let pairs = all_pairs(one, other);
            self.learn(pairs, true);
        }
        let Some(gone) = self.records.remove(&from) else {
            return false;
        };
        self.habits.move_all(from, |_| Some(into));
        for record in self.records.values_mut() {
            if record.goes_on_in == Some(from) {
                record.goes_on_in = Some(into).filter(|into| *into != record.id);
            }
        }
        if self.digest == Some(from) || self.digest == Some(into) {
            self.digest = None;
        }
        self.anchors.retain(|anchor| anchor.id != from);
        if let Some(record) = self.records.get_mut(&into) {
            record.take_in(gone);
        }
        // One that was over goes on, and has to end anew.
        self.due.push(Reverse((self.now + QUIET, into, Due::End)));
        self.weigh(into);
        true
    }

    /// Takes machines out of an incident into one of their own, which it returns. Kinds of alerts that stand on
    /// one side only are kept apart from those of the other from now on.
    ///
    /// # Errors
    /// Says why not.
    pub fn split(&mut self, id: IncidentId, machines: &[&str]) -> Result<IncidentId, CannotSplit> {
        let devices = machines.iter().map(|name| self.names.device(name));
        let devices: BTreeSet<u32> = devices.filter(|device| *device != OTHER).collect();
        let leaves = |device: u32| devices.contains(&device);
        let record = self.records.get(&id).filter(|record| !record.ended);
        let record = record.ok_or(CannotSplit::Over)?;
        let (left, kept): (BTreeSet<KindOn>, BTreeSet<KindOn>) = self
            .pairs_of(record)
            .into_iter()
            .partition(|(_, device)| leaves(*device));
        if left.is_empty() {
            return Err(CannotSplit::NothingOfThem);
        }
        if kept.is_empty() {
            return Err(CannotSplit::NothingElse);
        }
        let (window, lasting, change) = (record.window, record.lasting, record.change);
        let [left_kinds, kept_kinds] = [&left, &kept].map(|pairs| {
            let kinds = pairs.iter().map(|pair| self.kind_in(record, *pair));
            kinds.collect::<Vec<KindIn>>()
        });
        self.learn(only_apart(&left, &kept), false);
        let mut made = self.open(self.now, window);
        let new = made.id;
        self.habits
            .move_all(id, |device| leaves(device).then_some(new));
        (made.lasting, made.change, made.parted_from) = (lasting, change, Some(id));
        left_kinds.into_iter().for_each(|kind| made.add_kind(kind));
        if let Some(record) = self.records.get_mut(&id) {
            record.kinds.retain(|kind| !leaves(kind.device));
            record.devices.retain(|device| !leaves(*device));
            kept_kinds
                .into_iter()
                .for_each(|kind| record.add_kind(kind));
            made.live = record.live.leave(leaves);
            // Each pair has had an alert, and each that is live was one.
            let pairs = u64::try_from(left.len()).unwrap_or(u64::MAX);
            made.alerts = pairs.max(made.live.count().into());
            record.alerts = record.alerts.saturating_sub(made.alerts).max(1);
            if record.lasting && record.live.is_empty() && record.state == State::Open {
                record.state = State::Cleared;
                self.due.push(Reverse((self.now, id, Due::End)));
            }
        }
        self.records.insert(new, made);
        self.weigh(id);
        self.weigh(new);
        Ok(new)
    }

    /// Lists kinds and devices of an incident. The kinds that it shows have one device each, and many machines
    /// may have shown the same.
    fn pairs_of(&self, record: &Record) -> BTreeSet<KindOn> {
        let shown = record.kinds.iter().map(|kind| (kind.kind, kind.device));
        let all = self.habits.pairs_of(record.id).chain(record.live.kinds());
        all.chain(shown).collect()
    }

    /// Says of a kind on a device what is known of it in an incident.
    fn kind_in(&self, record: &Record, (kind, device): KindOn) -> KindIn {
        let shown = record.kinds.iter().find(|shown| shown.kind == kind);
        match shown {
            Some(shown) if shown.device == device => *shown,
            _ => KindIn {
                kind,
                device,
                surprise: shown.map_or(0.0, |shown| shown.surprise),
                before_here: self.habits.before(kind, device),
                before: shown.map_or(0, |shown| shown.before),
            },
        }
    }

    /// What people said of two kinds of alerts.
    pub(super) fn lesson(&self, one: u32, other: u32) -> Option<bool> {
        self.lessons.get(&in_order(one, other)).copied()
    }

    fn learn(&mut self, pairs: Vec<(u32, u32)>, together: bool) {
        for (one, other) in pairs {
            let pair = in_order(one, other);
            if one != other && (self.lessons.len() < LESSONS || self.lessons.contains_key(&pair)) {
                self.lessons.insert(pair, together);
            }
        }
    }

    /// An incident that is ranked keeps its rank.
    fn weigh(&mut self, id: IncidentId) {
        let Some(record) = self.records.get_mut(&id) else {
            return;
        };
        let anchor = record.weigh();
        self.set_anchor(anchor);
    }
}

impl Record {
    fn take_in(&mut self, other: Self) {
        self.opened = self.opened.min(other.opened);
        self.last = self.last.max(other.last);
        self.alerts += other.alerts;
        self.lasting |= other.lasting;
        // A digest that people look at is no routine.
        self.routine = false;
        (self.ended, self.closed) = (false, false);
        if !other.live.is_empty() {
            self.state = State::Open;
        }
        self.live.take_in(other.live);
        other.kinds.into_iter().for_each(|kind| self.add_kind(kind));
        let room = KEPT.saturating_sub(self.links.len());
        self.links.extend(other.links.into_iter().take(room));
        let room = KEPT.saturating_sub(self.addresses.len());
        self.addresses
            .extend(other.addresses.into_iter().take(room));
        self.change = self.change.or(other.change);
    }
}

fn all_pairs(one: &Record, other: &Record) -> Vec<(u32, u32)> {
    let kinds = one.kinds.iter();
    let pairs = kinds.flat_map(|a| other.kinds.iter().map(|b| (a.kind, b.kind)));
    pairs.collect()
}

/// Pairs kinds of two sides that do not stand on both.
fn only_apart(left: &BTreeSet<KindOn>, kept: &BTreeSet<KindOn>) -> Vec<(u32, u32)> {
    let [left, kept] = [left, kept].map(|pairs| -> BTreeSet<u32> {
        let kinds = pairs.iter().map(|(kind, _)| *kind);
        kinds.collect()
    });
    let pairs = left
        .difference(&kept)
        .flat_map(|one| kept.difference(&left).map(|other| (*one, *other)));
    pairs.collect()
}

fn in_order(one: u32, other: u32) -> (u32, u32) {
    (one.min(other), one.max(other))
}
