//! What waited is looked at again when its time is over.

use jiff::Timestamp;

use super::{Active, Facts, Triage};
use crate::alert::{AlertId, Event, Treatment};

impl Triage {
    /// Looks at all that waited until then.
    pub(super) fn settle_until(&mut self, until: Timestamp, facts: &Facts<'_>) {
        while let Some((at, _)) = self.waiting.first() {
            if *at > until {
                break;
            }
            let Some((at, alert)) = self.waiting.pop_first() else {
                break;
            };
            let Some(active) = self.active.get_mut(&alert) else {
                continue;
            };
            active.wakes = None;
            let active = active.clone();
            self.look_again(active, at, facts);
        }
    }

    /// Lets an alert that is active be looked at again then, and not before.
    pub(super) fn wake_at(&mut self, alert: &AlertId, at: Timestamp) {
        self.sleep(alert);
        if let Some(active) = self.active.get_mut(alert) {
            active.wakes = Some(at);
            self.waiting.insert((at, alert.clone()));
        }
    }

    /// Lets an alert wait no more.
    pub(super) fn sleep(&mut self, alert: &AlertId) {
        let wakes = self
            .active
            .get_mut(alert)
            .and_then(|active| active.wakes.take());
        if let Some(at) = wakes {
            self.waiting.remove(&(at, alert.clone()));
        }
    }

    /// A wave that is done sooner than announced is waited for no longer.
    pub(super) fn heed_early_ends(&mut self, facts: &Facts<'_>) {
        let mut moved = Vec::new();
        for (_, alert) in &self.waiting {
            let Some(active) = self.active.get(alert) else {
                continue;
            };
            let Treatment::Expected { plan, until } = &active.treatment else {
                continue;
            };
            let event = &active.event;
            let waves = facts.expectations.iter().filter(|wave| wave.plan == *plan);
            let ends = waves
                .filter(|wave| wave.explains(&event.machine, &event.title, wave.until))
                .map(|wave| wave.until)
                .max();
            if let Some(end) = ends.filter(|end| end < until) {
                moved.push((alert.clone(), plan.clone(), end));
            }
        }
        for (alert, plan, until) in moved {
            self.wake_at(&alert, until);
            if let Some(active) = self.active.get_mut(&alert) {
                active.treatment = Treatment::Expected { plan, until };
                let since = active.event.at;
                self.place(&alert, since);
            }
        }
    }

    fn look_again(&mut self, active: Active, at: Timestamp, facts: &Facts<'_>) {
        let event = Event {
            at,
            ..active.event.clone()
        };
        match active.treatment {
            // The wave may have been given more time meanwhile, or the device another attempt.
            Treatment::Expected { ref plan, until } => {
                let waves = facts.expectations.iter();
                let waves = waves.filter(|wave| wave.plan == *plan && wave.until > until);
                let longer = waves
                    .filter(|wave| wave.explains(&event.machine, &event.title, at.max(wave.from)))
                    .map(|wave| wave.until)
                    .max();
                match longer {
                    Some(until) if until > at => {
                        let plan = plan.clone();
                        self.again(active, Treatment::Expected { plan, until }, at);
                        self.wake_at(&event.alert, until);
                    }
                    _ => {
                        if event.lasting {
                            self.durations.learn(&active.kind, i64::from(u32::MAX));
                        }
                        self.join(Active { event, ..active }, facts);
                    }
                }
            }
            Treatment::Silenced { .. } => match facts.rules.silenced(&event, at) {
                Some(silenced) => {
                    let until = silenced.until.filter(|until| *until > at);
                    let rule = silenced.rule;
                    self.again(active, Treatment::Silenced { rule, until }, at);
                    if let Some(until) = until {
                        self.wake_at(&event.alert, until);
                    }
                }
                // It has not cleared while it was silent: now it is news.
                None => {
                    self.active.remove(&event.alert);
                    self.raise(&event, facts);
                    if let Some(raised) = self.active.get_mut(&event.alert) {
                        raised.since = active.since;
                    }
                }
            },
            Treatment::Held { .. } => self.join(Active { event, ..active }, facts),
            // It stays: then it counts again.
            Treatment::Flapping { .. } => {
                self.unhide(active.incident);
                self.join(Active { event, ..active }, facts);
            }
            Treatment::Inhibited { .. } => match self.behind(&event, facts) {
                Some((incident, by)) => {
                    self.unhide(active.incident);
                    let treatment = Treatment::Inhibited { by };
                    let incident = Some(incident);
                    let alert = event.alert.clone();
                    self.hide(Active {
                        event,
                        treatment,
                        incident,
                        ..active
                    });
                    self.take_along(&alert, at);
                }
                None => {
                    self.unhide(active.incident);
                    self.join(Active { event, ..active }, facts);
                }
            },
            Treatment::Incident
            | Treatment::Routine { .. }
            | Treatment::Duplicate { .. }
            | Treatment::Passed => {}
        }
    }

    fn again(&mut self, active: Active, treatment: Treatment, at: Timestamp) {
        let alert = active.event.alert.clone();
        let active = Active {
            treatment,
            ..active
        };
        self.active.insert(alert.clone(), active);
        self.place(&alert, at);
    }
}
