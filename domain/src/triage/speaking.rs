//! Which alert speaks for its kind on a machine, and how often that kind was raised there lately.
//!
//! A kind is the shape of a title here, as incidents count it. It is not the template that was mined from many
//! titles: when those of two services become one template, their alerts are still about two services.

use std::collections::{BTreeMap, VecDeque};

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
            self.raised
                .retain(|_, times| times.back().is_some_and(|last| now - last < within));
        }
        let times = self.raised.entry(pair.to_owned()).or_default();
        times.push_back(now);
        while times.len() > RAISES || times.front().is_some_and(|first| now - first > within) {
            times.pop_front();
        }
        u32::try_from(times.len()).unwrap_or(u32::MAX)
    }
}
