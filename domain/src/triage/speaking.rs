//! Which alert speaks for its kind on a machine, and how often that kind was raised there lately.
//!
//! A kind is the shape of a title here, as incidents count it. It is not the template that was mined from many
//! titles: when those of two services become one template, their alerts are still about two services.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{alert::AlertId, fingerprint::Shape};

/// Raises of one kind on one machine that are remembered.
const RAISES: usize = 64;
/// Kinds on machines whose raises are remembered.
const REMEMBERED: usize = 50_000;

/// Who speaks for what.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Speaking {
    speakers: BTreeMap<String, AlertId>,
    /// Times at which a kind was raised on a machine, within the last hours, in seconds.
    raised: BTreeMap<String, VecDeque<i64>>,
    #[serde(skip)]
    shape: Shape,
}

impl Speaking {
    /// Names a kind on a machine.
    pub(super) fn pair(&mut self, title: &str, machine: &str) -> String {
        self.shape.read(title);
        format!("{} {machine}", self.shape.fingerprint())
    }

    /// Returns the alert that speaks for a pair.
    pub(super) fn speaker(&self, pair: &str) -> Option<&AlertId> {
        self.speakers.get(pair)
    }

    /// Lets an alert speak for a pair.
    pub(super) fn speak(&mut self, pair: String, alert: AlertId) {
        self.speakers.insert(pair, alert);
    }

    /// Lets an alert speak no more; tells whether it did.
    pub(super) fn fall_silent(&mut self, pair: &str, alert: &AlertId) -> bool {
        let speaks = self.speaker(pair) == Some(alert);
        if speaks {
            self.speakers.remove(pair);
        }
        speaks
    }

    /// Notes that a pair was raised; says how often that was within so many seconds.
    pub(super) fn note_raise(&mut self, pair: &str, at: Timestamp, within_secs: u32) -> u32 {
        let (within, now) = (i64::from(within_secs), at.as_second());
        if self.raised.len() >= REMEMBERED && !self.raised.contains_key(pair) {
            self.forget_older_half();
        }
        let times = self.raised.entry(pair.to_owned()).or_default();
        times.push_back(now);
        while times.len() > RAISES || times.front().is_some_and(|first| now - first > within) {
            times.pop_front();
        }
        u32::try_from(times.len()).unwrap_or(u32::MAX)
    }

    /// Forgets the raises of those pairs that were raised longest ago, half of them at once: so it is seldom
    /// done, however many come within an hour.
    fn forget_older_half(&mut self) {
        let mut pairs: Vec<_> = std::mem::take(&mut self.raised).into_iter().collect();
        pairs.sort_by_key(|(_, times)| Reverse(times.back().copied()));
        pairs.truncate(REMEMBERED / 2);
        self.raised = pairs.into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_many_kinds_forgets_those_that_were_raised_longest_ago() {
        const HOUR: u32 = 3_600;
        let mut speaking = Speaking::default();
        let mut raise = |pair: &str, second: usize| {
            let at = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
            let times = speaking.note_raise(pair, at, HOUR);
            assert!(speaking.raised.len() <= REMEMBERED, "{pair}");
            times
        };
        // All within one hour, so that none of them is too old to matter.
        let pairs = 2 * REMEMBERED;
        let flaps = |number: usize| number.is_multiple_of(REMEMBERED / 8);
        for number in 0..pairs {
            let second = number * 3_000 / pairs;
            assert_eq!(raise(&format!("kind{number} 81"), second), 1);
            if flaps(number) {
                raise("flapping 82", second);
            }
        }
        let flapped = (0..pairs).filter(|number| flaps(*number)).count();
        let again = raise("flapping 82", 3_001);
        assert_eq!(usize::try_from(again).unwrap(), flapped + 1);
        assert_eq!(raise("kind0 81", 3_001), 1, "it was forgotten");
        assert_eq!(raise(&format!("kind{} 81", pairs - 1), 3_001), 2);
    }
}
