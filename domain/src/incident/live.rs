//! Alerts of an incident that were raised and have not cleared, by kind and device.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{names::Hasher, state};

/// A kind of alert and a device.
pub(super) type KindOn = (u32, u32);

/// How many alerts of each kind and device are live. Two of one kind on one device are two: when one
/// clears, the other is still there.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Live {
    #[serde(with = "state::pairs")]
    alerts: HashMap<KindOn, u32, Hasher>,
}

impl Live {
    pub(super) fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// Returns how many alerts are live.
    pub(super) fn count(&self) -> u32 {
        self.alerts.values().sum()
    }

    pub(super) fn has(&self, one: KindOn) -> bool {
        self.alerts.contains_key(&one)
    }

    pub(super) fn add(&mut self, one: KindOn) {
        *self.alerts.entry(one).or_default() += 1;
    }

    /// Takes one alert out; `false` when there is none.
    pub(super) fn remove(&mut self, one: KindOn) -> bool {
        let Some(count) = self.alerts.get_mut(&one) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.alerts.remove(&one);
        }
        true
    }

    pub(super) fn clear(&mut self) {
        self.alerts.clear();
    }

    /// Takes in those of another incident.
    pub(super) fn take_in(&mut self, other: Self) {
        for (one, count) in other.alerts {
            *self.alerts.entry(one).or_default() += count;
        }
    }

    /// Takes out those on devices that leave.
    pub(super) fn leave(&mut self, leaves: impl Fn(u32) -> bool) -> Self {
        let mut left = Self::default();
        self.alerts.retain(|one, count| {
            let stays = !leaves(one.1);
            if !stays {
                left.alerts.insert(*one, *count);
            }
            stays
        });
        left
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = KindOn> {
        self.alerts.keys().copied()
    }
}
