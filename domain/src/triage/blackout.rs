//! What lies behind something else: machines that depend on one that is down, and all of them when the
//! monitoring itself is.

use jiff::{SignedDuration, Timestamp};

use super::{Facts, Symptom, Triage};
use crate::{
    alert::{AlertId, Event, Treatment},
    incident::{IncidentId, State},
};

/// Stands for the monitoring in what inhibits.
pub(super) const MONITORING: &str = "monitoring";
/// What was behind something that is up again gets so much time to come back.
pub(super) const GRACE: SignedDuration = SignedDuration::from_mins(5);

impl Triage {
    /// Returns the incident that explains an alert, and what is down.
    pub(super) fn behind(
        &mut self,
        event: &Event,
        facts: &Facts<'_>,
    ) -> Option<(IncidentId, String)> {
        let is_down = Symptom::machine_is_down(&event.title);
        self.heed_end_of_blackout(event.at);
        if let Some(id) = self.blackout.filter(|_| is_down) {
            return Some((id, MONITORING.to_owned()));
        }
        if !facts.rules.rules().inhibition.enabled || event.machine.is_empty() {
            return None;
        }
        let mut upstream = self.correlator.upstream(&event.machine).into_iter();
        upstream.find_map(|by| {
            let alerts = self.down.get(&by)?;
            let mut incidents = alerts
                .keys()
                .filter_map(|alert| self.active.get(alert)?.incident);
            let incident = incidents.find(|id| self.is_told(*id))?;
            Some((incident, by))
        })
    }

    /// Notes that an alert says that its machine is down.
    pub(super) fn note_down(&mut self, alert: &AlertId) {
        let Some(active) = self.active.get(alert) else {
            return;
        };
        let counts = !matches!(
            active.treatment,
            Treatment::Expected { .. } | Treatment::Silenced { .. }
        );
        let event = &active.event;
        if counts && !event.machine.is_empty() && Symptom::machine_is_down(&event.title) {
            let alerts = self.down.entry(event.machine.clone()).or_default();
            alerts.insert(alert.clone(), active.since.as_second());
        }
    }

    /// Notes that such an alert is over. What was behind its machine has to come back as well.
    pub(super) fn note_up(&mut self, alert: &AlertId, machine: &str, at: Timestamp) {
        let Some(alerts) = self.down.get_mut(machine) else {
            return;
        };
        alerts.remove(alert);
        if !alerts.is_empty() {
            return;
        }
        self.down.remove(machine);
        self.wake_behind(machine, at);
    }

    /// Notes when the monitoring is back. What was behind it has to come back as well.
    pub(super) fn heed_end_of_blackout(&mut self, at: Timestamp) {
        let is_over = |id| self.correlator.incident(id).is_none_or(|one| one.live == 0);
        if self.blackout.is_some_and(is_over) {
            self.blackout = None;
            self.wake_behind(MONITORING, at);
        }
    }

    /// Whether people are told of an incident: it is open, and no digest of what is usual.
    fn is_told(&self, id: IncidentId) -> bool {
        let incident = self.correlator.incident(id);
        incident.is_some_and(|one| one.state == State::Open && !one.routine)
    }

    /// Lets what is hidden behind something be looked at again, soon after it is up.
    fn wake_behind(&mut self, up: &str, at: Timestamp) {
        let again = at.checked_add(GRACE).unwrap_or(at);
        let behind = self.active.iter().filter(
            |(_, active)| matches!(&active.treatment, Treatment::Inhibited { by } if by == up),
        );
        let behind: Vec<AlertId> = behind.map(|(alert, _)| alert.clone()).collect();
        for alert in behind {
            let waits = self
                .active
                .get(&alert)
                .is_some_and(|active| active.wakes.is_some());
            if !waits {
                self.wake_at(&alert, again);
            }
        }
    }

    /// Makes one incident of all when so many machines are silent at once that the monitoring must be.
    pub(super) fn look_for_blackout(&mut self, event: &Event, facts: &Facts<'_>) {
        let rule = facts.rules.rules().blackout;
        let now = event.at.as_second();
        let is_down = Symptom::machine_is_down(&event.title);
        if !is_down || rule.percent == 0 || facts.machines == 0 || self.blackout.is_some() {
            return;
        }
        let recent = |since: &i64| now - since <= i64::from(rule.within_secs);
        let silent = self
            .down
            .values()
            .filter(|alerts| alerts.values().any(recent));
        let silent = u64::try_from(silent.count()).unwrap_or(u64::MAX);
        let enough = silent * 100 >= u64::from(facts.machines) * u64::from(rule.percent);
        if !enough || silent < u64::from(rule.least) {
            return;
        }
        let alerts = self.down.values().flat_map(|alerts| alerts.keys());
        let incidents = alerts.filter_map(|alert| self.active.get(alert)?.incident);
        let incidents = incidents.filter(|id| self.is_told(*id));
        let incidents: std::collections::BTreeSet<IncidentId> = incidents.collect();
        let mut incidents = incidents.into_iter();
        let Some(first) = incidents.next() else {
            return;
        };
        for other in incidents {
            self.join_incidents(other, first);
        }
        self.blackout = Some(first);
        self.asides.entry(first).or_default().blackout = true;
        self.touched.insert(first);
    }
}
