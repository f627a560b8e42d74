//! What is done with an alert that is raised or repeats.

use jiff::Timestamp;

use super::{
    Active, Facts, Suspect, Triage,
    routine::{counted_in, must_tell, routine_from},
};
use crate::{
    alert::{AlertId, AlertSeverity, Event, Treatment},
    incident::{Alert, IncidentId},
};

/// An alert as the correlator sees it.
fn as_seen(event: &Event, at: Timestamp, routine_from: Option<u32>) -> Alert<'_> {
    Alert {
        at_ms: at.as_millisecond(),
        title: &event.title,
        device: &event.machine,
        address: &event.address,
        lasting: event.lasting,
        routine_from,
    }
}

impl Triage {
    pub(super) fn raise(&mut self, event: &Event, facts: &Facts<'_>) {
        if self.active.contains_key(&event.alert) {
            return self.repeat(event, facts);
        }
        let handle = self.miner.observe(event.title.as_bytes());
        let kind = self.miner.fingerprint(handle);
        let kind = kind.map(|kind| kind.to_string()).unwrap_or_default();
        let pair = self.speaking.pair(&event.title, &event.machine);
        let within = facts.rules.rules().flapping.within_secs;
        let times = self.speaking.note_raise(&pair, event.at, within);
        let mut active = Active {
            event: event.clone(),
            since: event.at,
            kind,
            treatment: Treatment::Incident,
            incident: None,
            wakes: None,
            same: std::collections::BTreeSet::new(),
        };
        if let Some(expected) = facts
            .expectations
            .iter()
            .find(|one| one.explains(&event.machine, &event.title, event.at))
        {
            active.treatment = Treatment::Expected {
                plan: expected.plan.clone(),
                until: expected.until,
            };
            return self.wait(active, Some(expected.until));
        }
        if let Some(silenced) = facts.rules.silenced(event, event.at) {
            let until = silenced.until;
            active.treatment = Treatment::Silenced {
                rule: silenced.rule,
                until,
            };
            return self.wait(active, until);
        }
        let speaker = self.speaking.speaker(&pair);
        // What people are to be told of hides behind nothing that is kept from them.
        let speaker = speaker.filter(|speaker| {
            let speaker = self.active.get(*speaker);
            let speaks = speaker.is_some_and(|one| !must_tell(&one.treatment, &active, facts));
            speaks && !event.machine.is_empty()
        });
        if let Some(speaker) = speaker.cloned()
            && let Some(known) = self.active.get_mut(&speaker)
        {
            // What is of the moment goes on for nobody.
            if event.lasting {
                known.same.insert(event.alert.clone());
            }
            active.incident = known.incident;
            active.treatment = Treatment::Duplicate { of: speaker };
            if let Some(incident) = active.incident {
                self.heed(incident, event.severity);
            }
            return self.hide(active);
        }
        if event.lasting {
            self.speaking.speak(pair, event.alert.clone());
        }
        if let Some((incident, by)) = self.behind(event, facts) {
            active.incident = Some(incident);
            active.treatment = Treatment::Inhibited { by };
            return self.hide(active);
        }
        let flapping = facts.rules.rules().flapping;
        if times >= flapping.times
            && let Some(incident) = self.correlator.last_of(&event.title, &event.machine)
        {
            active.incident = Some(incident);
            active.treatment = Treatment::Flapping { times };
            self.hide(active);
            return self.calm_down(&event.alert, event.at);
        }
        let hold = &facts.rules.rules().hold;
        if event.lasting
            && event.severity < hold.never_from
            && let Some((secs, why)) = self.durations.wait(&active.kind, hold)
        {
            let until = event
                .at
                .checked_add(jiff::SignedDuration::from_secs(secs.into()));
            let until = until.unwrap_or(event.at);
            active.treatment = Treatment::Held { until, why };
            return self.wait(active, Some(until));
        }
        self.join(active, facts);
    }

    /// Puts an alert into the incident it belongs to, or a new one.
    pub(super) fn join(&mut self, mut active: Active, facts: &Facts<'_>) {
        self.note_changes(&active.event, facts);
        let event = &active.event;
        let seen = as_seen(event, event.at, routine_from(&active, facts));
        let id = self.correlator.observe(&seen);
        active.incident = Some(id);
        let aside = self.asides.entry(id).or_default();
        aside.severity = aside.severity.max(Some(event.severity));
        for wave in facts.expectations {
            if wave.is_suspect(&event.machine, event.at) {
                let left_over = matches!(&active.treatment, Treatment::Expected { plan, .. } if *plan == wave.plan);
                aside.suspects.retain(|known| {
                    known.plan != wave.plan || known.device != wave.device || known.left_over
                });
                let suspect = Suspect {
                    plan: wave.plan.clone(),
                    ring: wave.ring,
                    kbs: wave.kbs.clone(),
                    device: wave.device.clone(),
                    left_over,
                    since: wave.from,
                };
                let known = aside.suspects.iter();
                let known = known.filter(|one| one.plan == wave.plan && one.device == wave.device);
                if known.count() == 0 {
                    aside.suspects.insert(suspect);
                }
            }
        }
        active.treatment = counted_in(id, &active.event, &mut self.correlator);
        self.weigh(id);
        self.touched.insert(id);
        let event = active.event.clone();
        // What a wave has announced speaks for nobody until it is left over.
        let pair = self.speaking.pair(&event.title, &event.machine);
        let speaker = self.speaking.speaker(&pair);
        if event.lasting && speaker.is_none_or(|speaker| !self.active.contains_key(speaker)) {
            self.speaking.speak(pair, event.alert.clone());
        }
        self.keep(active);
        self.take_along(&event.alert, event.at);
        self.look_for_blackout(&event, facts);
    }

    /// Moves those that say the same to the incident of an alert.
    pub(super) fn take_along(&mut self, alert: &AlertId, at: Timestamp) {
        let Some(speaker) = self.active.get(alert) else {
            return;
        };
        let (incident, same) = (speaker.incident, speaker.same.clone());
        for other in &same {
            let Some(active) = self.active.get_mut(other) else {
                continue;
            };
            if active.incident == incident {
                continue;
            }
            let before = std::mem::replace(&mut active.incident, incident);
            self.unhide(before);
            self.hide_in(incident);
            self.place(other, at);
        }
    }

    pub(super) fn repeat(&mut self, event: &Event, facts: &Facts<'_>) {
        let Some(active) = self.active.get_mut(&event.alert) else {
            return self.raise(event, facts);
        };
        let severity = active.event.severity.max(event.severity);
        let worse = severity > active.event.severity;
        active.event.severity = severity;
        let Some(active) = self.active.get(&event.alert) else {
            return;
        };
        // What is kept from people may have become too bad for that.
        if worse && must_tell(self.kept_as(active), active, facts) {
            return self.tell(&event.alert, facts);
        }
        let Some(id) = active.incident else {
            return;
        };
        if !active.treatment.counts() {
            let Treatment::Duplicate { of } = &active.treatment else {
                return;
            };
            if self.active.contains_key(of) {
                return self.heed(id, severity);
            }
            // It was no more than the moment of one that has cleared since: now it speaks for itself.
            self.active.remove(&event.alert);
            self.unhide(Some(id));
            return self.raise(event, facts);
        }
        // It counts as what it was raised as, and clears as that, whatever its source calls it now.
        let again = as_seen(&active.event, event.at, routine_from(active, facts));
        let seen = self.correlator.repeat(&again, id);
        let treatment = counted_in(seen, &active.event, &mut self.correlator);
        if let Some(active) = self.active.get_mut(&event.alert) {
            (active.incident, active.treatment) = (Some(seen), treatment);
        }
        self.heed(seen, severity);
        self.touched.extend([id, seen]);
        if seen != id {
            self.place(&event.alert, facts.now);
            self.take_along(&event.alert, facts.now);
        }
    }

    /// Patch waves are changes that may cause alerts.
    fn note_changes(&mut self, event: &Event, facts: &Facts<'_>) {
        for wave in facts.expectations {
            if wave.is_suspect(&event.machine, event.at) {
                let name = format!("{}/{}", wave.plan, wave.ring);
                let device = wave.device.as_str();
                self.correlator
                    .note_wave(&name, wave.from.as_millisecond(), device);
            }
        }
    }

    fn wait(&mut self, active: Active, until: Option<Timestamp>) {
        let alert = active.event.alert.clone();
        self.keep(active);
        if let Some(until) = until {
            self.wake_at(&alert, until);
        }
    }

    /// Keeps an alert in its incident without counting it.
    pub(super) fn hide(&mut self, active: Active) {
        self.hide_in(active.incident);
        self.keep(active);
    }

    /// An alert of an incident, or one that says the same, is so bad.
    fn heed(&mut self, id: IncidentId, severity: AlertSeverity) {
        let aside = self.asides.entry(id).or_default();
        aside.severity = aside.severity.max(Some(severity));
        self.weigh(id);
        self.touched.insert(id);
    }

    fn hide_in(&mut self, incident: Option<IncidentId>) {
        if let Some(incident) = incident {
            self.asides.entry(incident).or_default().hidden += 1;
            self.touched.insert(incident);
        }
    }

    pub(super) fn unhide(&mut self, incident: Option<IncidentId>) {
        if let Some(incident) = incident
            && let Some(aside) = self.asides.get_mut(&incident)
        {
            aside.hidden = aside.hidden.saturating_sub(1);
            self.touched.insert(incident);
        }
    }

    fn keep(&mut self, active: Active) {
        let (alert, at) = (active.event.alert.clone(), active.event.at);
        let incident = active.incident;
        if let Some(aside) = incident.and_then(|id| self.asides.get_mut(&id)) {
            aside.ended.forget(&alert);
        }
        self.active.insert(alert.clone(), active);
        self.note_down(&alert);
        self.place(&alert, at);
    }

    pub(super) fn place(&mut self, alert: &AlertId, at: Timestamp) {
        if let Some(active) = self.active.get(alert) {
            let placement = active.placement(at);
            self.placed.insert(alert.clone(), placement);
        }
    }
}

impl Active {
    pub(super) fn placement(&self, at: Timestamp) -> crate::alert::Placement {
        crate::alert::Placement {
            incident: self.incident.map(|id| id.0),
            treatment: self.treatment.clone(),
            kind: self.kind.clone(),
            at,
        }
    }
}
