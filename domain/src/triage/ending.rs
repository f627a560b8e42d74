//! What is done when an alert clears: it is over, or another one goes on for it.

use jiff::Timestamp;

use super::{Active, Triage, blackout::GRACE};
use crate::alert::{AlertId, Event, Placement, Treatment};

/// What flaps and then stays for so long counts again.
const CALM: jiff::SignedDuration = jiff::SignedDuration::from_mins(15);

impl Triage {
    pub(super) fn clear(&mut self, event: &Event) {
        self.sleep(&event.alert);
        let Some(active) = self.active.remove(&event.alert) else {
            return;
        };
        self.note_up(&event.alert, &active.event.machine, event.at);
        let lasting = active.event.lasting;
        if lasting {
            let lasted = event.at.duration_since(active.since).as_secs();
            self.durations.learn(&active.kind, lasted);
            self.note_end(&active, event);
        }
        match &active.treatment {
            Treatment::Held { .. } | Treatment::Expected { .. } => {
                self.passed(&active, event.at);
            }
            Treatment::Duplicate { of } => {
                if let Some(speaker) = self.active.get_mut(of) {
                    speaker.same.remove(&event.alert);
                }
                self.unhide(active.incident);
            }
            Treatment::Inhibited { .. } | Treatment::Flapping { .. } => {
                self.unhide(active.incident)
            }
            Treatment::Silenced { .. } | Treatment::Passed => {}
            Treatment::Incident | Treatment::Routine { .. } => {
                // Another one that says the same goes on for it: then it counts on.
                if !self.hand_over(&active, event.at)
                    && lasting
                    && let Some(incident) = active.incident
                {
                    let event_ms = event.at.as_millisecond();
                    let (title, machine) = (&active.event.title, &active.event.machine);
                    self.correlator.clear(event_ms, incident, title, machine);
                }
                self.touched.extend(active.incident);
                return;
            }
        }
        self.hand_over(&active, event.at);
    }

    /// Notes in an incident how an alert of it has ended: what nobody spoke of any more has not cleared.
    fn note_end(&mut self, over: &Active, event: &Event) {
        let aside = over.incident.and_then(|id| self.asides.get_mut(&id));
        if let Some(aside) = aside {
            aside.ended.note(&over.event, event.unheard);
            self.touched.extend(over.incident);
        }
    }

    /// Lets one of those that say the same go on for one that is over, and speak if that did.
    fn hand_over(&mut self, over: &Active, at: Timestamp) -> bool {
        let pair = self.speaking.pair(&over.event.title, &over.event.machine);
        let speaks = self.speaking.fall_silent(&pair, &over.event.alert);
        let mut same = over.same.clone();
        same.retain(|other| self.active.contains_key(other));
        let Some(next) = same.pop_first() else {
            return false;
        };
        if speaks {
            self.speaking.speak(pair, next.clone());
        }
        for other in &same {
            if let Some(active) = self.active.get_mut(other) {
                active.treatment = Treatment::Duplicate { of: next.clone() };
            }
        }
        if let Some(active) = self.active.get_mut(&next) {
            active.same = same;
            active.incident = over.incident;
            active.treatment = over.treatment.clone();
            let raised_at = active.event.at;
            match &over.treatment {
                Treatment::Held { until, .. } => self.wake_at(&next, *until),
                Treatment::Flapping { .. } => self.calm_down(&next, at),
                // That is up again: who was to be looked at soon has cleared before.
                Treatment::Inhibited { by } if !self.down.contains_key(by) => {
                    self.wake_at(&next, at.checked_add(GRACE).unwrap_or(at));
                }
                _ => {}
            }
            // One that is hidden itself stays hidden, for another reason.
            if !over.treatment.is_hidden() {
                self.unhide(over.incident);
            }
            self.place(&next, raised_at);
        }
        true
    }

    /// Lets one that flaps count again when it stays.
    pub(super) fn calm_down(&mut self, alert: &AlertId, at: Timestamp) {
        let calm = at.checked_add(CALM).unwrap_or(at);
        self.wake_at(alert, calm);
    }

    /// An alert that nobody had to know was over in time.
    fn passed(&mut self, active: &Active, at: Timestamp) {
        let placement = Placement {
            treatment: Treatment::Passed,
            ..active.placement(at)
        };
        self.placed.insert(active.event.alert.clone(), placement);
    }
}
