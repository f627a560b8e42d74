//! Puts alerts into incidents as they come.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
};

use serde::{Deserialize, Serialize};

use crate::form::Form;

use super::{
    DIGEST, Millis, QUIET, RANKED_AFTER_SECS, SECOND, WINDOW,
    habits::{Habit, Habits},
    input::{Alert, Counts, Stakes},
    joining::Seen,
    live::KindOn,
    names::{Hasher, Names, OTHER},
    ranking::{self, Anchor, NOTEWORTHY},
    record::{Incident, IncidentId, KEPT, KindIn, Record},
    state,
};

/// What goes on is cut into incidents that each are so much longer than the one before.
const GROWTH: i64 = 2;
pub(super) const LONGEST: Millis = 3_600 * SECOND;
const ANCHORS: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Due {
    Rank,
    End,
}

/// Makes incidents of the alerts of one client. Its memory grows with kinds, devices and open
/// incidents, up to limits. Serialised, it can be stored and goes on later.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Correlator {
    version: Form<2>,
    pub(super) names: Names,
    pub(super) habits: Habits,
    pub(super) now: Millis,
    pub(super) counts: Counts,
    pub(super) records: HashMap<IncidentId, Record, Hasher>,
    pub(super) recent: VecDeque<IncidentId>,
    pub(super) digest: Option<IncidentId>,
    pub(super) due: BinaryHeap<Reverse<(Millis, IncidentId, Due)>>,
    pub(super) anchors: Vec<Anchor>,
    pub(super) sites: HashMap<u32, u32, Hasher>,
    pub(super) depends_on: HashMap<u32, Vec<u32>, Hasher>,
    pub(super) changes: VecDeque<(Millis, u32, Vec<u32>)>,
    pub(super) changes_seen: u32,
    pub(super) finished: Vec<Incident>,
    #[serde(skip)]
    pub(super) changed: Vec<IncidentId>,
    /// Pairs of kinds, and whether people have put them together or apart.
    #[serde(with = "state::pairs", default)]
    pub(super) lessons: HashMap<(u32, u32), bool, Hasher>,
}

impl Correlator {
    /// Makes a correlator that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in an alert that is new. Returns the incident it is in. If it lasts, it counts there until it is
    /// [cleared](Self::clear).
    pub fn observe(&mut self, alert: &Alert<'_>) -> IncidentId {
        self.take(alert, None)
    }

    /// Takes in an alert that happens again without having cleared, and counts in an incident. Returns the one
    /// in which it counts now.
    pub fn repeat(&mut self, alert: &Alert<'_>, counts_in: IncidentId) -> IncidentId {
        self.take(alert, Some(counts_in))
    }

    fn take(&mut self, alert: &Alert<'_>, counts_in: Option<IncidentId>) -> IncidentId {
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
            lasting: alert.lasting,
            routine_from: alert.routine_from,
        };
        self.counts.without_device += u64::from(seen.device == OTHER);
        let (habit, pair) = self.habits.note(seen.kind, seen.device, now);
        let known = pair.incident;
        let id = self.place(seen, habit, known);
        if let Some(pair) = self.habits.pair(seen.kind, seen.device) {
            pair.incident = Some(id);
            pair.live |= alert.lasting;
        }
        if let Some(record) = self.records.get_mut(&id) {
            record.alerts += 1;
            record.last = now;
            record.lasting |= alert.lasting;
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
                let anchor = record.weigh();
                self.set_anchor(anchor);
            }
        }
        if alert.lasting {
            self.count((seen.kind, seen.device), counts_in, id);
        }
        id
    }

    /// Counts a live alert in one incident, and in no other.
    fn count(&mut self, one: KindOn, before: Option<IncidentId>, now: IncidentId) {
        let is_live = |record: &Record| record.live.has(one);
        if before == Some(now) && self.records.get(&now).is_some_and(is_live) {
            return;
        }
        if let Some(before) = before {
            self.lower(one, before);
        }
        if let Some(record) = self.records.get_mut(&now) {
            record.live.add(one);
        }
    }

    fn place(&mut self, seen: Seen, habit: Habit, known: Option<IncidentId>) -> IncidentId {
        let now = self.now;
        if let Some(record) = known.and_then(|id| self.records.get_mut(&id)) {
            let stays = !record.live.is_empty() || seen.lasting && record.lasting;
            if stays && !record.routine && !record.ended {
                record.open_again();
                return record.id;
            }
            if !habit.starts && !record.routine {
                let id = record.id;
                return self.follow(id);
            }
        }
        let routine_from = seen.routine_from.map(f64::from);
        if routine_from.is_some_and(|least| habit.per_day_here >= least) {
            return self.gather();
        }
        let seen = Seen {
            change: self.change_of(seen.device),
            ..seen
        };
        if let Some((id, link)) = self.best(seen) {
            if let Some(record) = self.records.get_mut(&id) {
                if seen.lasting {
                    record.open_again();
                }
                if record.links.len() < KEPT {
                    record.links.push(link);
                }
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
        loop {
            let Some(record) = self.records.get(&id) else {
                return id;
            };
            if record.takes(self.now) && !record.ended {
                return id;
            }
            let next = record
                .goes_on_in
                .filter(|next| self.records.contains_key(next));
            id = match next {
                Some(next) => next,
                None => return self.go_on(id),
            };
        }
    }

    /// Opens the incident in which one goes on.
    fn go_on(&mut self, from: IncidentId) -> IncidentId {
        let Some(record) = self.records.get(&from) else {
            return from;
        };
        let window = (record.window * GROWTH).min(LONGEST);
        let (generation, change) = (record.generation + 1, record.change);
        let mut next = self.open(self.now, window);
        (next.goes_on_from, next.generation, next.change) = (Some(from), generation, change);
        let id = next.id;
        if let Some(record) = self.records.get_mut(&from) {
            record.goes_on_in = Some(id);
        }
        self.records.insert(id, next);
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

    pub(super) fn open(&mut self, now: Millis, window: Millis) -> Record {
        self.counts.incidents += 1;
        let id = IncidentId(self.counts.incidents);
        self.due
            .push(Reverse((now + RANKED_AFTER_SECS * SECOND, id, Due::Rank)));
        self.due
            .push(Reverse((now + QUIET.max(window), id, Due::End)));
        Record::new(id, now, window)
    }

    pub(super) fn set_anchor(&mut self, anchor: Anchor) {
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

    /// Says what makes an incident matter. A rank that was given does not change any more.
    pub fn set_stakes(&mut self, id: IncidentId, stakes: Stakes) {
        if let Some(record) = self.records.get_mut(&id) {
            record.stakes = stakes;
        }
    }

    /// Whether an incident is not finished.
    #[must_use]
    pub fn has(&self, id: IncidentId) -> bool {
        self.records.contains_key(&id)
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

    /// Returns the incident in which a kind of alert was last on a device, unless it is over or routine.
    pub fn last_of(&mut self, title: &str, device: &str) -> Option<IncidentId> {
        let (kind, device) = (self.names.kind(title), self.names.device(device));
        let id = self.habits.pair(kind, device)?.incident?;
        let record = self.records.get(&id)?;
        (!record.routine && !record.ended).then_some(id)
    }

    /// Whether an incident only gathers what is usual.
    #[must_use]
    pub fn is_routine(&self, id: IncidentId) -> bool {
        self.records.get(&id).is_some_and(|record| record.routine)
    }

    /// Returns about how often a day a kind of alert comes on a device.
    pub fn per_day(&mut self, title: &str, device: &str) -> u32 {
        let (kind, device) = (self.names.kind(title), self.names.device(device));
        self.habits.per_day(kind, device, self.now)
    }

    /// Returns when an incident is ranked or ends next, Unix milliseconds, if nothing comes.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<i64> {
        self.due.peek().map(|Reverse((at, ..))| *at)
    }

    /// Returns the incidents that were ranked, cleared or fell quiet since this was asked last.
    pub fn take_changed(&mut self) -> Vec<IncidentId> {
        std::mem::take(&mut self.changed)
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

    pub(super) fn view(&self, record: &Record) -> Incident {
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
            live: record.live.count(),
            reopened: record.reopened,
            routine: record.routine,
            goes_on_from: record.goes_on_from,
            parted_from: record.parted_from,
            titles: titles.collect(),
            devices: devices.collect(),
            links: record.links.clone(),
            priority: record.priority.clone(),
        }
    }
}

/// Returns a number for a text that is only compared.
pub(super) fn hash(text: &str) -> u32 {
    use std::hash::BuildHasher;
    let wide = Hasher::default().hash_one(text);
    u32::try_from(wide >> 32).unwrap_or(0).max(1)
}
