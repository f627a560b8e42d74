//! Puts alerts into incidents as they come.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
};

use super::{
    DIGEST, Millis, QUIET, RANKED_AFTER_SECS, REOPEN, SECOND, WINDOW,
    habits::{Habit, Habits},
    input::{Alert, Change, Counts, Topology},
    joining::Seen,
    names::{Hasher, Names, OTHER},
    ranking::{self, Anchor, NOTEWORTHY},
    record::{Incident, IncidentId, KEPT, KindIn, Record, State},
};

/// A kind of alert with this many episodes a day on a device, or more, is routine there.
const ROUTINE_PER_DAY: f64 = 8.0;
/// What goes on is cut into incidents that each are so much longer than the one before.
const GROWTH: i64 = 2;
const LONGEST: Millis = 3_600 * SECOND;
const CHANGES: usize = 256;
/// Times are taken as not later than the year 9999.
const LATEST: Millis = 253_402_300_799_999;
const ANCHORS: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Rank,
    End,
}

/// Makes incidents of the alerts of one client. Its memory grows with kinds, devices and open
/// incidents, up to limits.
#[derive(Debug, Default)]
pub struct Correlator {
    pub(super) names: Names,
    habits: Habits,
    pub(super) now: Millis,
    counts: Counts,
    pub(super) records: HashMap<IncidentId, Record, Hasher>,
    pub(super) recent: VecDeque<IncidentId>,
    digest: Option<IncidentId>,
    due: BinaryHeap<Reverse<(Millis, IncidentId, Due)>>,
    anchors: Vec<Anchor>,
    pub(super) sites: HashMap<u32, u32, Hasher>,
    pub(super) depends_on: HashMap<u32, Vec<u32>, Hasher>,
    pub(super) changes: VecDeque<(Millis, u32, Vec<u32>)>,
    changes_seen: u32,
    finished: Vec<Incident>,
}

impl Correlator {
    /// Makes a correlator that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces what is known of the network.
    pub fn set_topology(&mut self, topology: &Topology) {
        self.sites.clear();
        self.depends_on.clear();
        for (device, site) in &topology.sites {
            let device = self.names.device(device);
            let site = hash(site);
            self.sites.insert(device, site);
        }
        for (device, upstream) in &topology.depends_on {
            let (device, upstream) = (self.names.device(device), self.names.device(upstream));
            self.depends_on.entry(device).or_default().push(upstream);
        }
    }

    /// Takes note of a change.
    pub fn note_change(&mut self, change: &Change) {
        let devices = change.devices.iter().map(|name| self.names.device(name));
        let devices = devices.filter(|device| *device != OTHER).collect();
        self.changes_seen += 1;
        self.changes
            .push_back((change.at_ms, self.changes_seen, devices));
        if self.changes.len() > CHANGES {
            self.changes.pop_front();
        }
    }

    /// Takes in an alert. Returns the incident it is in, for good.
    pub fn observe(&mut self, alert: &Alert<'_>) -> IncidentId {
        self.counts.alerts += 1;
        self.counts.late += u64::from(alert.at_ms < self.now);
        self.advance(alert.at_ms);
        let now = self.now;
        let seen = Seen {
            kind: self.names.kind(alert.title),
            device: self.names.device(alert.device),
            address: if alert.address.is_empty() {
                0
            } else {
                hash(alert.address)
            },
            change: None,
        };
        self.counts.without_device += u64::from(seen.device == OTHER);
        let (habit, pair) = self.habits.note(seen.kind, seen.device, now);
        let (known, was_live) = (pair.incident, pair.live);
        let id = self.place(seen, habit, known, alert.lasting);
        if let Some(pair) = self.habits.pair(seen.kind, seen.device) {
            pair.incident = Some(id);
            pair.live |= alert.lasting;
        }
        if let Some(record) = self.records.get_mut(&id) {
            record.alerts += 1;
            record.last = now;
            record.lasting |= alert.lasting;
            record.live += u32::from(alert.lasting && !was_live);
            if known != Some(id) && !record.routine {
                if seen.address != 0 && record.addresses.len() < KEPT {
                    record.addresses.push(seen.address);
                }
                record.add_kind(KindIn {
                    kind: seen.kind,
                    device: seen.device,
                    surprise: habit.surprise(),
                    before_here: habit.before_here,
                    before: habit.before,
                });
                record.surprise = ranking::surprise(record);
                let anchor = Anchor {
                    id,
                    opened: record.opened,
                    surprise: record.surprise,
                };
                self.set_anchor(anchor);
            }
        }
        id
    }

    /// Takes note that an alert cleared.
    pub fn clear(&mut self, at_ms: i64, title: &str, device: &str) {
        self.advance(at_ms);
        let (kind, device) = (self.names.kind(title), self.names.device(device));
        let Some(pair) = self.habits.pair(kind, device).filter(|pair| pair.live) else {
            return;
        };
        pair.live = false;
        let record = pair.incident.and_then(|id| self.records.get_mut(&id));
        if let Some(record) = record {
            record.live = record.live.saturating_sub(1);
            record.last = self.now;
            if record.live == 0 {
                record.state = State::Cleared;
                self.due
                    .push(Reverse((self.now + REOPEN, record.id, Due::End)));
            }
        }
    }

    fn place(
        &mut self,
        seen: Seen,
        habit: Habit,
        known: Option<IncidentId>,
        lasting: bool,
    ) -> IncidentId {
        let now = self.now;
        if let Some(record) = known.and_then(|id| self.records.get_mut(&id)) {
            if lasting && record.lasting && !record.routine {
                if record.state == State::Cleared {
                    record.state = State::Open;
                    record.reopened += 1;
                }
                return record.id;
            }
            if !habit.starts && !record.routine {
                let id = record.id;
                return self.follow(id);
            }
        }
        if habit.per_day_here >= ROUTINE_PER_DAY {
            return self.gather();
        }
        let seen = Seen {
            change: self.change_of(seen.device),
            ..seen
        };
        if let Some((id, link)) = self.best(seen) {
            if let Some(record) = self.records.get_mut(&id)
                && record.links.len() < KEPT
            {
                record.links.push(link);
            }
            return id;
        }
        let mut record = self.open(now, WINDOW);
        record.change = seen.change.map(|(change, _)| change);
        let id = record.id;
        self.recent.push_back(id);
        self.records.insert(id, record);
        id
    }

    /// Returns the incident in which one goes on.
    fn follow(&mut self, mut id: IncidentId) -> IncidentId {
        while let Some(record) = self.records.get(&id) {
            if record.takes(self.now) {
                break;
            }
            if let Some(next) = record.goes_on_in {
                id = next;
                continue;
            }
            let window = (record.window * GROWTH).min(LONGEST);
            let (from, generation, change) = (record.id, record.generation + 1, record.change);
            let mut next = self.open(self.now, window);
            (next.goes_on_from, next.generation, next.change) = (Some(from), generation, change);
            if let Some(record) = self.records.get_mut(&from) {
                record.goes_on_in = Some(next.id);
            }
            id = next.id;
            self.records.insert(id, next);
        }
        id
    }

    /// Returns the digest of the moment.
    fn gather(&mut self) -> IncidentId {
        let current = self.digest.and_then(|id| self.records.get(&id));
        if let Some(record) = current.filter(|record| record.takes(self.now)) {
            return record.id;
        }
        let mut record = self.open(self.now, DIGEST);
        record.routine = true;
        let id = record.id;
        self.digest = Some(id);
        self.records.insert(id, record);
        id
    }

    fn open(&mut self, now: Millis, window: Millis) -> Record {
        self.counts.incidents += 1;
        let id = IncidentId(self.counts.incidents);
        self.due
            .push(Reverse((now + RANKED_AFTER_SECS * SECOND, id, Due::Rank)));
        self.due
            .push(Reverse((now + QUIET.max(window), id, Due::End)));
        Record::new(id, now, window)
    }

    fn set_anchor(&mut self, anchor: Anchor) {
        if anchor.surprise <= NOTEWORTHY {
            return;
        }
        if let Some(known) = self
            .anchors
            .iter_mut()
            .rev()
            .find(|known| known.id == anchor.id)
        {
            *known = anchor;
            return;
        }
        if self.anchors.len() >= ANCHORS {
            self.anchors.remove(0);
        }
        self.anchors.push(anchor);
    }

    /// Moves time on: ranks and ends what is due.
    pub fn advance(&mut self, at_ms: i64) {
        self.now = self.now.max(at_ms.clamp(0, LATEST));
        self.settle();
    }

    /// Ranks and ends what was due before now.
    fn settle(&mut self) {
        while let Some(Reverse((at, id, what))) = self.due.peek().copied() {
            if at >= self.now {
                break;
            }
            self.due.pop();
            match what {
                Due::Rank => self.rank(id, at),
                Due::End => self.end(id, at),
            }
        }
    }

    fn rank(&mut self, id: IncidentId, at: Millis) {
        self.anchors.retain(|anchor| ranking::matters(anchor, at));
        if let Some(record) = self.records.get_mut(&id) {
            record.priority = Some(ranking::rank(record, &self.anchors, &self.names, at));
            if record.ended {
                self.finish_one(id);
            }
        }
    }

    /// Ends an incident if nothing came since it was planned.
    fn end(&mut self, id: IncidentId, at: Millis) {
        let Some(record) = self.records.get_mut(&id) else {
            return;
        };
        if record.live > 0 {
            // It ends when its alerts clear.
            return;
        }
        let patience = if record.state == State::Cleared {
            REOPEN
        } else {
            QUIET
        };
        if record.last + patience > at {
            let next = record.last + patience;
            self.due.push(Reverse((next, id, Due::End)));
            return;
        }
        if record.state == State::Open {
            record.state = State::Quiet;
        }
        record.ended = true;
        if record.priority.is_some() {
            self.finish_one(id);
        }
    }

    fn finish_one(&mut self, id: IncidentId) {
        if let Some(record) = self.records.remove(&id) {
            let incident = self.view(&record);
            self.finished.push(incident);
        }
    }

    /// Returns the incidents that are ranked and over, and forgets them.
    pub fn take_finished(&mut self) -> Vec<Incident> {
        std::mem::take(&mut self.finished)
    }

    /// Ranks and ends everything, as if nothing came any more, and returns what was left.
    pub fn finish(&mut self) -> Vec<Incident> {
        for record in self.records.values_mut() {
            if record.live > 0 {
                record.live = 0;
                self.due
                    .push(Reverse((record.last + QUIET, record.id, Due::End)));
            }
        }
        // Nothing is due later than what the last moment made due.
        self.now = Millis::MAX;
        self.settle();
        self.take_finished()
    }

    /// Returns an incident that is not finished.
    #[must_use]
    pub fn incident(&self, id: IncidentId) -> Option<Incident> {
        self.records.get(&id).map(|record| self.view(record))
    }

    /// Returns the rank that an incident would get now; for those who cannot wait.
    #[must_use]
    pub fn rank_so_far(&self, id: IncidentId) -> Option<ranking::Priority> {
        let record = self.records.get(&id)?;
        Some(ranking::rank(record, &self.anchors, &self.names, self.now))
    }

    /// Returns what was seen.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            crowded: self.names.crowded,
            forgotten: self.habits.forgotten,
            ..self.counts
        }
    }

    fn view(&self, record: &Record) -> Incident {
        let titles = record
            .kinds
            .iter()
            .map(|kind| self.names.title(kind.kind).to_owned());
        let devices = record
            .devices
            .iter()
            .map(|device| self.names.device_name(*device).to_owned());
        Incident {
            id: record.id,
            state: record.state,
            opened_ms: record.opened,
            last_ms: record.last,
            alerts: record.alerts,
            live: record.live,
            reopened: record.reopened,
            routine: record.routine,
            goes_on_from: record.goes_on_from,
            titles: titles.collect(),
            devices: devices.collect(),
            links: record.links.clone(),
            priority: record.priority.clone(),
        }
    }
}

/// Returns a number for a text that is only compared.
fn hash(text: &str) -> u32 {
    use std::hash::BuildHasher;
    let wide = Hasher::default().hash_one(text);
    u32::try_from(wide >> 32).unwrap_or(0).max(1)
}
