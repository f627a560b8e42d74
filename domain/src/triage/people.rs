//! What people change by hand: two incidents are one, one is two, or one is over.

use super::{Active, Suspect, Triage};
use crate::{
    alert::Treatment,
    incident::{CannotSplit, IncidentId},
};

impl Active {
    /// People look at incidents that they arrange: what is in them is not routine any more.
    fn move_to(&mut self, incident: IncidentId) {
        self.incident = Some(incident);
        if self.treatment.counts() {
            self.treatment = Treatment::Incident;
        }
    }
}

impl Triage {
    /// Makes one incident of two, because a person says so; it is learnt. `false` when one of them is over.
    pub fn merge(&mut self, from: IncidentId, into: IncidentId) -> bool {
        self.join_incidents(from, into)
    }

    /// Takes machines out of an incident, because a person says so; it is learnt. Returns the new incident. What
    /// is hidden behind alerts of these machines goes with them.
    ///
    /// # Errors
    /// Says why not.
    pub fn split(&mut self, id: IncidentId, machines: &[&str]) -> Result<IncidentId, CannotSplit> {
        let new = self
            .correlator
            .split(id, machines)
            .map_err(|why| match why {
                CannotSplit::NothingOfThem => self.hidden_of(id, machines).unwrap_or(why),
                why => why,
            })?;
        let leaves = |active: &Active| {
            let behind = match &active.treatment {
                Treatment::Inhibited { by } => Some(by.as_str()),
                _ => None,
            };
            let mut machines = machines.iter();
            machines.any(|one| *one == active.event.machine || Some(*one) == behind)
        };
        let (mut alerts, mut hidden, mut severity) = (Vec::new(), 0, None);
        for (alert, active) in &mut self.active {
            if active.incident == Some(id) && leaves(active) {
                active.move_to(new);
                hidden += u32::from(active.treatment.is_hidden());
                severity = severity.max(Some(active.event.severity));
                alerts.push((alert.clone(), active.event.at));
            }
        }
        for (alert, at) in alerts {
            self.place(&alert, at);
        }
        let old = self.asides.entry(id).or_default();
        let leaves = |suspect: &Suspect| machines.contains(&suspect.device.as_str());
        let suspects = old.suspects.iter().filter(|one| leaves(one));
        let suspects = suspects.cloned().collect();
        old.suspects.retain(|suspect| !leaves(suspect));
        let ended = old.ended.leave(machines);
        old.hidden = old.hidden.saturating_sub(hidden);
        let aside = self.asides.entry(new).or_default();
        (aside.severity, aside.suspects, aside.hidden) = (severity, suspects, hidden);
        aside.ended = ended;
        self.weigh(id);
        self.weigh(new);
        self.touched.extend([id, new]);
        Ok(new)
    }

    /// Says which machine has nothing but hidden alerts in an incident, and behind what.
    fn hidden_of(&self, id: IncidentId, machines: &[&str]) -> Option<CannotSplit> {
        self.active.values().find_map(|active| {
            let machine = &active.event.machine;
            if active.incident != Some(id) || !machines.contains(&machine.as_str()) {
                return None;
            }
            let why = match &active.treatment {
                Treatment::Inhibited { by } => format!("they are behind {by}, which is down"),
                Treatment::Duplicate { of } => format!("they say the same as {of}"),
                Treatment::Flapping { .. } => "they come and go".to_owned(),
                _ => return None,
            };
            Some(CannotSplit::OnlyHidden {
                machine: machine.clone(),
                why,
            })
        })
    }

    /// Ends an incident although alerts of it are active, because a person says so. When one of them is
    /// raised again, it opens another. `false` when it is over already.
    pub fn close(&mut self, id: IncidentId) -> bool {
        let closed = self.correlator.close(id);
        if closed {
            self.touched.insert(id);
        }
        closed
    }

    pub(super) fn join_incidents(&mut self, from: IncidentId, into: IncidentId) -> bool {
        let Some(gone) = self.correlator.incident(from) else {
            return false;
        };
        if !self.correlator.merge(from, into) {
            return false;
        }
        let moved = self.active.iter_mut();
        let moved = moved.filter(|(_, active)| active.incident == Some(from));
        let moved: Vec<_> = moved
            .map(|(alert, active)| {
                active.move_to(into);
                (alert.clone(), active.event.at)
            })
            .collect();
        for (alert, at) in moved {
            self.place(&alert, at);
        }
        let aside = self.asides.remove(&from).unwrap_or_default();
        let joined = self.asides.entry(into).or_default();
        joined.severity = joined.severity.max(aside.severity);
        joined.suspects.extend(aside.suspects);
        joined.hidden += aside.hidden;
        joined.blackout |= aside.blackout;
        joined.ended.take_in(aside.ended);
        self.weigh(into);
        if self.blackout == Some(from) {
            self.blackout = Some(into);
        }
        self.touched.remove(&from);
        self.touched.insert(into);
        self.merged.push((gone, into));
        true
    }
}
