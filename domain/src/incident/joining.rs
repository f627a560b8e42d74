//! Which open incident an alert belongs to.

use super::{
    Millis, SECOND, WINDOW,
    correlator::Correlator,
    link::{DEPENDS, ENOUGH, Link, SAME_ADDRESS, SAME_DEVICE, SAME_SITE},
    names::OTHER,
    record::{IncidentId, Record},
};

/// Devices behind one that failed, devices of one change, and what lasts are noticed within this time: tools
/// that watch for what lasts look every few minutes.
const SLOW_WINDOW: Millis = 600 * SECOND;
/// How long a change is suspected.
const SUSPECTED: Millis = 3_600 * SECOND;
/// Incidents that an alert is compared with, newest first.
const COMPARED: usize = 64;

/// An alert in numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) kind: u32,
    pub(super) device: u32,
    pub(super) address: u32,
    pub(super) change: Option<(u32, Millis)>,
    /// Whether its source will tell when it clears.
    pub(super) lasting: bool,
    pub(super) routine_from: Option<u32>,
}

impl Seen {
    /// Returns the time within which others of its incident begin.
    fn window(self) -> Millis {
        if self.lasting { SLOW_WINDOW } else { WINDOW }
    }
}

impl Correlator {
    /// Returns the change that a device is suspected to suffer from, and when it was made.
    pub(super) fn change_of(&self, device: u32) -> Option<(u32, Millis)> {
        let recent = self
            .changes
            .iter()
            .rev()
            .filter(|(at, _, _)| (0..=SUSPECTED).contains(&(self.now - at)));
        recent
            .filter(|(_, _, devices)| devices.contains(&device))
            .map(|(at, change, _)| (*change, *at))
            .next()
    }

    /// Returns the incident that an alert belongs to most, if it belongs to any.
    pub(super) fn best(&mut self, seen: Seen) -> Option<(IncidentId, Link)> {
        while let Some(id) = self.recent.front() {
            let opened = self.records.get(id).map(|record| record.opened);
            if opened.is_some_and(|opened| self.now - opened < SLOW_WINDOW) {
                break;
            }
            self.recent.pop_front();
        }
        let newest = self.recent.iter().rev().take(COMPARED);
        let apart = |record: &Record| {
            let mut kinds = record.kinds.iter();
            kinds.any(|kind| self.lesson(kind.kind, seen.kind) == Some(false))
        };
        let records = newest.filter_map(|id| self.records.get(id));
        // What lasts would be lost in one that is over, and anything in one that people have closed.
        let over = |record: &Record| record.closed || record.ended && seen.lasting;
        let records = records.filter(|record| !over(record) && !apart(record));
        let links = records.map(|record| (record.id, self.link(record, seen)));
        links
            .filter(|(_, link)| link.score() >= ENOUGH)
            .max_by_key(|(id, link)| (link.score(), link.topology, *id))
    }

    fn link(&self, record: &Record, seen: Seen) -> Link {
        let topology = self.topology(record, seen);
        let likeness = record.kinds.iter().map(|kind| {
            if self.lesson(kind.kind, seen.kind) == Some(true) {
                return 1_000;
            }
            self.names.likeness(kind.kind, seen.kind)
        });
        let likeness = likeness.max().unwrap_or(0);
        let change = match (record.change, seen.change) {
            (Some(one), Some((other, _))) if one == other => 1_000,
            _ => 0,
        };
        let slow = topology == DEPENDS || change > 0;
        let window = if slow { SLOW_WINDOW } else { seen.window() };
        let age = self.now - record.opened;
        Link {
            time: Link::time_of(age, window),
            topology,
            text: Link::text_of(likeness),
            change,
        }
    }

    fn topology(&self, record: &Record, seen: Seen) -> u16 {
        if seen.device == OTHER {
            return 0;
        }
        let upstream = |device: &u32| self.depends_on.get(device).into_iter().flatten();
        let below = |one: &u32, other: u32| upstream(one).any(|device| *device == other);
        if record.has_device(seen.device) && self.now - record.opened < seen.window() {
            SAME_DEVICE
        } else if upstream(&seen.device).any(|device| record.has_device(*device))
            || record
                .devices
                .iter()
                .any(|device| below(device, seen.device))
        {
            DEPENDS
        } else if seen.address != 0 && record.addresses.contains(&seen.address) {
            SAME_ADDRESS
        } else if let Some(site) = self.sites.get(&seen.device)
            && record
                .devices
                .iter()
                .any(|device| self.sites.get(device) == Some(site))
        {
            SAME_SITE
        } else {
            0
        }
    }
}
