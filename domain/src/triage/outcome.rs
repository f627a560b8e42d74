//! What came of a turn, and what people change by hand.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Suspect, Triage};
use crate::{
    alert::{AlertId, AlertSeverity, Placement},
    incident::{Incident, IncidentId, Priority},
};

/// What is new about an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentNews {
    /// The incident as it is now.
    pub incident: Incident,
    /// The rank it would get now, as long as it has none.
    pub rank_so_far: Option<Priority>,
    /// The worst of its alerts.
    pub severity: AlertSeverity,
    /// Updates it may come from, those that were left over first.
    pub suspects: Vec<Suspect>,
    /// Active alerts that are in it without counting.
    pub hidden: u32,
    /// Whether the monitoring itself is what is down.
    pub blackout: bool,
    /// Whether nothing can join it any more.
    pub over: bool,
    /// The incident that has taken it in.
    pub merged_into: Option<IncidentId>,
}

/// What came of a turn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Where alerts were put.
    pub placements: Vec<(AlertId, Placement)>,
    /// Incidents that changed, each once, by number.
    pub incidents: Vec<IncidentNews>,
}

impl Triage {
    /// Returns what changed since it was asked last.
    pub fn turn(&mut self) -> Outcome {
        let finished = self.correlator.take_finished();
        self.touched.extend(self.correlator.take_changed());
        let merged = std::mem::take(&mut self.merged);
        let over: BTreeSet<IncidentId> = finished.iter().map(|one| one.id).collect();
        let touched = std::mem::take(&mut self.touched);
        let open = touched.iter().filter(|id| !over.contains(id));
        let open: Vec<Incident> = open
            .filter_map(|id| self.correlator.incident(*id))
            .collect();
        let mut incidents: Vec<IncidentNews> = open
            .into_iter()
            .map(|incident| self.news(incident, false))
            .collect();
        for incident in finished {
            let id = incident.id;
            incidents.push(self.news(incident, true));
            self.asides.remove(&id);
            if self.blackout == Some(id) {
                self.blackout = None;
            }
        }
        for (gone, into) in merged {
            let news = self.news(gone, true);
            incidents.push(IncidentNews {
                merged_into: Some(into),
                ..news
            });
        }
        incidents.sort_by_key(|news| news.incident.id);
        Outcome {
            placements: std::mem::take(&mut self.placed).into_iter().collect(),
            incidents,
        }
    }

    fn news(&self, incident: Incident, over: bool) -> IncidentNews {
        let aside = self.asides.get(&incident.id).cloned().unwrap_or_default();
        let mut suspects: Vec<Suspect> = aside.suspects.into_iter().collect();
        suspects.sort_by_key(|suspect| !suspect.left_over);
        let rank_so_far = match incident.priority {
            Some(_) => None,
            None => self.correlator.rank_so_far(incident.id),
        };
        IncidentNews {
            rank_so_far,
            severity: aside.severity.unwrap_or(AlertSeverity::Unknown),
            suspects,
            hidden: aside.hidden,
            blackout: aside.blackout,
            over,
            merged_into: None,
            incident,
        }
    }

    /// Makes one incident of two, because a person says so; it is learnt. `false` when one of them is over.
    pub fn merge(&mut self, from: IncidentId, into: IncidentId) -> bool {
        self.join_incidents(from, into)
    }

    /// Takes machines out of an incident, because a person says so; it is learnt. Returns the new incident;
    /// `None` when it is over, has nothing of these machines or nothing else.
    pub fn split(&mut self, id: IncidentId, machines: &[&str]) -> Option<IncidentId> {
        let new = self.correlator.split(id, machines)?;
        let moved = self.active.iter_mut().filter(|(_, active)| {
            active.incident == Some(id) && machines.contains(&active.event.machine.as_str())
        });
        let mut alerts = Vec::new();
        let mut severity = None;
        for (alert, active) in moved {
            active.incident = Some(new);
            severity = severity.max(Some(active.event.severity));
            alerts.push((alert.clone(), active.event.at));
        }
        for (alert, at) in alerts {
            self.place(&alert, at);
        }
        let old = self.asides.entry(id).or_default();
        let leaves = |suspect: &Suspect| machines.contains(&suspect.device.as_str());
        let suspects = old
            .suspects
            .iter()
            .filter(|one| leaves(one))
            .cloned()
            .collect();
        old.suspects.retain(|suspect| !leaves(suspect));
        let aside = self.asides.entry(new).or_default();
        (aside.severity, aside.suspects) = (severity, suspects);
        self.touched.extend([id, new]);
        Some(new)
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
                active.incident = Some(into);
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
        if self.blackout == Some(from) {
            self.blackout = Some(into);
        }
        self.touched.remove(&from);
        self.touched.insert(into);
        self.merged.push((gone, into));
        true
    }
}
