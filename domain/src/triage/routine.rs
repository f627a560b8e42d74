//! What is usual on a machine is gathered in digests that nobody is told of; what may not be usual, ever.

use super::{Active, Facts, Triage};
use crate::{
    alert::{AlertId, Event, Treatment},
    incident::{Correlator, IncidentId},
};

/// Returns from how many times a day an alert like this is only gathered; `None`: never. One that is too bad,
/// was left over of a patch wave or may come from one is told, however usual its kind is.
pub(super) fn routine_from(active: &Active, facts: &Facts<'_>) -> Option<u32> {
    let (rule, event) = (facts.rules.rules().routine, &active.event);
    let mut waves = facts.expectations.iter();
    let never = event.severity >= rule.never_from
        || matches!(active.treatment, Treatment::Expected { .. })
        || waves.any(|wave| wave.is_suspect(&event.machine, event.at));
    (rule.enabled && !never).then_some(rule.per_day)
}

/// Says what is done with an alert that counts in an incident.
pub(super) fn counted_in(
    incident: IncidentId,
    event: &Event,
    correlator: &mut Correlator,
) -> Treatment {
    if !correlator.is_routine(incident) {
        return Treatment::Incident;
    }
    let per_day = correlator.per_day(&event.title, &event.machine);
    Treatment::Routine { per_day }
}

/// Whether people are to be told of an alert that would be treated so.
pub(super) fn must_tell(kept_as: &Treatment, alert: &Active, facts: &Facts<'_>) -> bool {
    match kept_as {
        Treatment::Held { .. } => alert.event.severity >= facts.rules.rules().hold.never_from,
        Treatment::Routine { .. } => routine_from(alert, facts).is_none(),
        _ => false,
    }
}

impl Triage {
    /// Returns what is done with an alert, or with the one that it says the same as.
    pub(super) fn kept_as<'a>(&'a self, alert: &'a Active) -> &'a Treatment {
        let speaker = match &alert.treatment {
            Treatment::Duplicate { of } => self.active.get(of),
            _ => None,
        };
        &speaker.unwrap_or(alert).treatment
    }

    /// Takes an alert out of what keeps it from people, and puts it into an incident.
    pub(super) fn tell(&mut self, alert: &AlertId, facts: &Facts<'_>) {
        self.sleep(alert);
        let Some(active) = self.active.get(alert).cloned() else {
            return;
        };
        let (title, machine) = (&active.event.title, &active.event.machine);
        match &active.treatment {
            Treatment::Duplicate { of } => {
                if let Some(speaker) = self.active.get_mut(of) {
                    speaker.same.remove(alert);
                }
                self.unhide(active.incident);
            }
            Treatment::Routine { .. } => {
                if let Some(digest) = active.incident
                    && active.event.lasting
                {
                    let at_ms = active.event.at.as_millisecond();
                    self.correlator.clear(at_ms, digest, title, machine);
                    self.touched.insert(digest);
                }
            }
            _ => {}
        }
        if active.event.lasting {
            let pair = self.speaking.pair(title, machine);
            self.speaking.speak(pair, alert.clone());
        }
        self.join(active, facts);
    }
}
