//! What happens to incidents as time goes on: clearing, ranks, ends.

use std::cmp::Reverse;

use super::{
    Millis, QUIET, REOPEN,
    correlator::{Correlator, Due},
    live::KindOn,
    ranking,
    record::{Incident, IncidentId, State},
};

/// Times are taken as not later than the year 9999.
const LATEST: Millis = 253_402_300_799_999;

impl Correlator {
    /// Takes note that an alert cleared, which counts in this incident: wherever others of its kind and device
    /// went meanwhile.
    pub fn clear(&mut self, at_ms: i64, id: IncidentId, title: &str, device: &str) {
        self.advance(at_ms);
        let one = (self.names.kind(title), self.names.device(device));
        self.lower(one, id);
    }

    /// Counts one alert less in an incident.
    pub(super) fn lower(&mut self, one: KindOn, id: IncidentId) {
        let Some(record) = self.records.get_mut(&id) else {
            return;
        };
        if !record.live.remove(one) {
            return;
        }
        record.last = self.now;
        if record.live.is_empty() {
            record.state = State::Cleared;
            self.due.push(Reverse((self.now + REOPEN, id, Due::End)));
        }
        let others = record.live.has(one);
        if let Some(pair) = self.habits.pair(one.0, one.1)
            && pair.incident == Some(id)
        {
            pair.live = others;
        }
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
            self.changed.push(id);
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
        if !record.live.is_empty() {
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
        self.changed.push(id);
        if record.priority.is_some() {
            self.finish_one(id);
        }
    }

    /// Ends an incident whatever is left of it; `false` when it is over already. Its rank still comes.
    pub fn close(&mut self, id: IncidentId) -> bool {
        let Some(record) = self.records.get_mut(&id).filter(|record| !record.ended) else {
            return false;
        };
        record.live.clear();
        if record.state == State::Open {
            record.state = State::Quiet;
        }
        (record.ended, record.closed) = (true, true);
        self.habits.let_go(id);
        self.changed.push(id);
        if self
            .records
            .get(&id)
            .is_some_and(|record| record.priority.is_some())
        {
            self.finish_one(id);
        }
        true
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
            if !record.live.is_empty() {
                record.live.clear();
                self.due
                    .push(Reverse((record.last + QUIET, record.id, Due::End)));
            }
        }
        // Nothing is due later than what the last moment made due.
        self.now = Millis::MAX;
        self.settle();
        self.take_finished()
    }
}
