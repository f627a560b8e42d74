//! Stragglers: devices that were offline in their turn. How long they are waited for, and what their lane
//! does next.

use jiff::{SignedDuration, Timestamp};

/// How long stragglers are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StragglerWait {
    /// When the last ring, or the ring that needs them, is done; absent while a ring is at work.
    pub since: Option<Timestamp>,
    /// How long they are waited for after that.
    pub max_wait_secs: u64,
    /// By when the plan should be done.
    pub deadline: Option<Timestamp>,
}

impl StragglerWait {
    /// Returns when the wait is over: at the deadline, or after the longest wait, whichever comes first.
    /// As long as a ring is at work only the deadline ends it.
    #[must_use]
    pub fn last_call(&self) -> Timestamp {
        let secs = i64::try_from(self.max_wait_secs).unwrap_or(i64::MAX);
        let after = |since: Timestamp| since.checked_add(SignedDuration::from_secs(secs)).ok();
        let longest = self.since.and_then(after).unwrap_or(Timestamp::MAX);
        self.deadline
            .map_or(longest, |deadline| deadline.min(longest))
    }

    /// Returns true when no straggler is started any more.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.last_call()
    }
}

/// What the lane does next, once all rings are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneTurn {
    /// Nobody seems to be left: the store has the last word.
    AskStore,
    /// Those who are left are written down as unreached.
    GiveUp,
    /// Somebody is at work, or may still come back.
    Wait,
}

/// Decides what the lane does next. Nobody is given up while a device is at work: it may turn out to be
/// one of them.
#[must_use]
pub fn lane_turn(waiting: u32, idle: bool, is_over: bool) -> LaneTurn {
    match (idle, waiting, is_over) {
        (true, 0, _) => LaneTurn::AskStore,
        (true, _, true) => LaneTurn::GiveUp,
        (true, _, false) | (false, ..) => LaneTurn::Wait,
    }
}

/// Counts who is left to wait for. The store counts those who are on their way, too, until they have ended.
#[must_use]
pub fn still_waiting(in_store: u32, on_their_way: u32, started: u32) -> u32 {
    in_store.saturating_sub(on_their_way.saturating_add(started))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + i64::try_from(secs).unwrap()).unwrap()
    }

    fn wait() -> impl Strategy<Value = StragglerWait> {
        let since = prop::option::weighted(0.8, 0_u64..60);
        let deadline = prop::option::of(0_u64..90);
        (since, 0_u64..60, deadline).prop_map(|(since, max_wait_secs, deadline)| StragglerWait {
            since: since.map(at),
            max_wait_secs,
            deadline: deadline.map(at),
        })
    }

    /// A device that comes back, goes away again so often, and needs its time.
    #[derive(Debug, Clone, Copy)]
    struct Straggler {
        back_at: u64,
        put_off: u32,
        takes: u64,
    }

    fn straggler() -> impl Strategy<Value = Straggler> {
        let back_at = prop_oneof![3 => 0_u64..80, 1 => Just(u64::MAX)];
        (back_at, 0_u32..3, 1_u64..9).prop_map(|(back_at, put_off, takes)| Straggler {
            back_at,
            put_off,
            takes,
        })
    }

    /// How a lane came out.
    #[derive(Debug)]
    struct End {
        at: u64,
        ended: usize,
        /// Those the store knew in the end, and those people were shown.
        given_up: usize,
        shown: u32,
    }

    /// Runs a lane as the deployment does, a turn each second: the store knows who has not ended, the
    /// deployment only counts.
    fn play(wait: &StragglerWait, lane: &[Straggler], room: usize, longest: u64) -> Option<End> {
        let count = |n: usize| u32::try_from(n).unwrap();
        let mut store: BTreeMap<usize, Straggler> = lane.iter().copied().enumerate().collect();
        let mut flights: BTreeMap<usize, u64> = BTreeMap::new();
        let mut shown = count(store.len());
        for now in 0..=longest {
            let landed: Vec<_> = flights.extract_if(.., |_, ends| *ends <= now).collect();
            for (id, _) in landed {
                match store.get_mut(&id) {
                    Some(again) if again.put_off > 0 => {
                        again.put_off -= 1;
                        shown += 1;
                    }
                    _ => {
                        store.remove(&id);
                    }
                }
            }
            let free = room - flights.len();
            if shown > 0 && free > 0 && !wait.is_over(at(now)) {
                let is_ready =
                    |id: &usize, s: &Straggler| s.back_at <= now && !flights.contains_key(id);
                let ready = store.iter().filter(|(id, s)| is_ready(id, s));
                let starts: Vec<_> = ready
                    .take(free)
                    .map(|(id, s)| (*id, now + s.takes))
                    .collect();
                shown = still_waiting(
                    count(store.len()),
                    count(flights.len()),
                    count(starts.len()),
                );
                flights.extend(starts);
            }
            let end = End {
                at: now,
                ended: lane.len() - store.len(),
                given_up: store.len(),
                shown,
            };
            match lane_turn(shown, flights.is_empty(), wait.is_over(at(now))) {
                LaneTurn::AskStore if store.is_empty() => return Some(end),
                LaneTurn::AskStore => shown = count(store.len()),
                LaneTurn::GiveUp => return Some(end),
                LaneTurn::Wait => {}
            }
        }
        None
    }

    proptest! {
        #[test]
        fn what_is_over_stays_over_and_was_not_over_before_it_was_asked_for(
            wait in wait(), now in 0_u64..200, later in 0_u64..200,
        ) {
            let asked = [
                wait.deadline,
                wait.since.map(|since| since + SignedDuration::from_secs(wait.max_wait_secs.cast_signed())),
            ];
            let is_asked = asked.into_iter().flatten().any(|end| at(now) >= end);
            prop_assert_eq!(wait.is_over(at(now)), is_asked);
            prop_assert!(!wait.is_over(at(now)) || wait.is_over(at(now + later)));
        }

        #[test]
        fn more_time_never_ends_it_sooner(wait in wait(), more in 0_u64..100) {
            let last = wait.last_call();
            let more_time = SignedDuration::from_secs(more.cast_signed());
            let changes = [
                StragglerWait { max_wait_secs: wait.max_wait_secs + more, ..wait },
                StragglerWait { since: wait.since.map(|since| since + more_time), ..wait },
                StragglerWait { deadline: wait.deadline.map(|deadline| deadline + more_time), ..wait },
                StragglerWait { since: None, ..wait },
                StragglerWait { deadline: None, ..wait },
            ];
            for changed in changes {
                prop_assert!(changed.last_call() >= last, "{changed:?}");
            }
        }

        #[test]
        fn a_lane_always_ends_and_drops_nobody(
            wait in wait(), lane in prop::collection::vec(straggler(), 0..12), room in 1_usize..5,
        ) {
            // Without an end of its own it is the lane of rings that are still at work.
            let wait = StragglerWait { since: wait.since.or(Some(at(0))), ..wait };
            let last_call = wait.last_call().duration_since(at(0)).as_secs().cast_unsigned();
            // Who was started at the last moment still has the time it takes.
            let end = play(&wait, &lane, room, last_call + 10);
            prop_assert!(end.is_some(), "it does not end");
            let end = end.unwrap();
            prop_assert_eq!(end.ended + end.given_up, lane.len());
            prop_assert_eq!(usize::try_from(end.shown).unwrap(), end.given_up, "people are told the truth");
            let early = end.at < last_call;
            prop_assert!(!early || end.given_up == 0, "given up too early: {end:?}");
        }
    }

    #[test]
    fn without_a_deadline_a_ring_at_work_lets_stragglers_come_at_any_time() {
        let wait = StragglerWait {
            since: None,
            max_wait_secs: 0,
            deadline: None,
        };
        assert!(!wait.is_over(at(u64::from(u32::MAX))));
    }

    #[test]
    fn a_wait_beyond_all_time_does_not_end() {
        let wait = StragglerWait {
            since: Some(at(0)),
            max_wait_secs: u64::MAX,
            deadline: None,
        };
        assert_eq!(wait.last_call(), Timestamp::MAX);
    }
}
