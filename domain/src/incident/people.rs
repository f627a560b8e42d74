//! What people know better: two incidents are one, or one is two. Both are learnt for later.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    QUIET,
    correlator::{Correlator, Due},
    names::OTHER,
    record::{IncidentId, KEPT, Record, State},
};

/// Pairs of kinds that are remembered.
const LESSONS: usize = 10_000;

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
        if self.digest == Some(from) {
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

    /// Takes machines out of an incident into one of their own, which it returns. Kinds of alerts that were
    /// parted are kept apart from now on. `None` when the incident is over and forgotten, or has nothing of
    /// these machines, or nothing else.
    pub fn split(&mut self, id: IncidentId, machines: &[&str]) -> Option<IncidentId> {
        let devices = machines.iter().map(|name| self.names.device(name));
        let devices: BTreeSet<u32> = devices.filter(|device| *device != OTHER).collect();
        let record = self.records.get(&id)?;
        let leaves = |device: &u32| devices.contains(device);
        let (left, kept): (Vec<_>, Vec<_>) = record
            .kinds
            .iter()
            .copied()
            .partition(|kind| leaves(&kind.device));
        if left.is_empty() || kept.is_empty() {
            return None;
        }
        let pairs = left
            .iter()
            .flat_map(|one| kept.iter().map(|other| (one.kind, other.kind)));
        let pairs: Vec<(u32, u32)> = pairs.collect();
        let (window, lasting, change) = (record.window, record.lasting, record.change);
        self.learn(pairs, false);
        let mut made = self.open(self.now, window);
        let new = made.id;
        let moved = self
            .habits
            .move_all(id, |device| leaves(&device).then_some(new));
        (made.lasting, made.change) = (lasting, change);
        made.alerts = u64::from(moved);
        left.into_iter().for_each(|kind| made.add_kind(kind));
        if let Some(record) = self.records.get_mut(&id) {
            record.kinds.retain(|kind| !leaves(&kind.device));
            record.devices.retain(|device| !leaves(device));
            made.live = record.live.leave(|device| leaves(&device));
            record.alerts = record.alerts.saturating_sub(made.alerts).max(1);
            if record.lasting && record.live.is_empty() && record.state == State::Open {
                record.state = State::Cleared;
                self.due.push(Reverse((self.now, id, Due::End)));
            }
        }
        self.records.insert(new, made);
        self.weigh(id);
        self.weigh(new);
        Some(new)
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
        self.routine &= other.routine;
        self.ended = false;
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

fn in_order(one: u32, other: u32) -> (u32, u32) {
    (one.min(other), one.max(other))
}
