//! How alerts of an incident have ended: what nobody spoke of any more has not cleared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Unheard;
use crate::alert::{AlertId, Event};

/// Alerts of an incident whose end is remembered.
const REMEMBERED: usize = 1_000;

/// Alerts that were in an incident and are over, of those that last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ended {
    alerts: BTreeMap<AlertId, End>,
    /// Whether more cleared than are remembered.
    more_cleared: bool,
    /// Whether more were not heard of.
    more_unheard: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct End {
    machine: String,
    unheard: bool,
}

impl Ended {
    /// Notes how an alert has ended.
    pub(super) fn note(&mut self, raised: &Event, unheard: bool) {
        let machine = raised.machine.clone();
        self.put(raised.alert.clone(), End { machine, unheard });
    }

    /// Forgets the end of one that is back.
    pub(super) fn forget(&mut self, alert: &AlertId) {
        self.alerts.remove(alert);
    }

    /// Takes in those of another incident.
    pub(super) fn take_in(&mut self, other: Self) {
        self.more_cleared |= other.more_cleared;
        self.more_unheard |= other.more_unheard;
        for (alert, end) in other.alerts {
            self.put(alert, end);
        }
    }

    /// Takes those of some machines out.
    pub(super) fn leave(&mut self, machines: &[&str]) -> Self {
        let alerts = std::mem::take(&mut self.alerts).into_iter();
        let (leave, stay) = alerts.partition(|(_, end)| machines.contains(&end.machine.as_str()));
        self.alerts = stay;
        Self {
            alerts: leave,
            ..Self::default()
        }
    }

    /// Says which were only not heard of any more, if any.
    pub(super) fn unheard(&self) -> Option<Unheard> {
        let any = |unheard| self.alerts.values().any(|end| end.unheard == unheard);
        let cleared = self.more_cleared || any(false);
        let which = if cleared { Unheard::Some } else { Unheard::All };
        (self.more_unheard || any(true)).then_some(which)
    }

    fn put(&mut self, alert: AlertId, end: End) {
        if self.alerts.len() < REMEMBERED || self.alerts.contains_key(&alert) {
            self.alerts.insert(alert, end);
        } else if end.unheard {
            self.more_unheard = true;
        } else {
            self.more_cleared = true;
        }
    }
}
