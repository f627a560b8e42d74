//! What came of a turn.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Aside, Suspect, Triage};
use crate::{
    alert::{AlertId, AlertSeverity, Placement},
    incident::{Incident, IncidentId, Priority, Stakes},
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
    /// Which of its alerts that are over were only not heard of any more, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheard: Option<Unheard>,
    /// Whether the monitoring itself is what is down.
    pub blackout: bool,
    /// Whether nothing can join it any more.
    pub over: bool,
    /// The incident that has taken it in.
    pub merged_into: Option<IncidentId>,
}

/// Which alerts of an incident ended because their source spoke of them no more, of those that last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unheard {
    /// All that are over.
    All,
    /// Some; others cleared.
    Some,
}

/// What came of a turn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Where alerts were put.
    pub placements: Vec<(AlertId, Placement)>,
    /// Incidents that changed, each once, by number.
    pub incidents: Vec<IncidentNews>,
}

impl Aside {
    /// Returns updates that may be the cause, those that were left over first.
    fn suspects(&self) -> Vec<Suspect> {
        let mut suspects: Vec<Suspect> = self.suspects.iter().cloned().collect();
        suspects.sort_by_key(|suspect| !suspect.left_over);
        suspects
    }
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
        // Alerts may be active longer than their incident: people close some.
        let correlator = &self.correlator;
        self.asides.retain(|id, _| correlator.has(*id));
        Outcome {
            placements: std::mem::take(&mut self.placed).into_iter().collect(),
            incidents,
        }
    }

    /// Tells correlation what makes an incident matter.
    pub(super) fn weigh(&mut self, id: IncidentId) {
        let Some(aside) = self.asides.get(&id) else {
            return;
        };
        let suspect = aside.suspects().first().map(Suspect::words);
        let severity = aside.severity;
        self.correlator.set_stakes(id, Stakes { severity, suspect });
    }

    fn news(&self, incident: Incident, over: bool) -> IncidentNews {
        let aside = self.asides.get(&incident.id).cloned().unwrap_or_default();
        let suspects = aside.suspects();
        let rank_so_far = match incident.priority {
            Some(_) => None,
            None => self.correlator.rank_so_far(incident.id),
        };
        IncidentNews {
            rank_so_far,
            severity: aside.severity.unwrap_or(AlertSeverity::Unknown),
            suspects,
            hidden: aside.hidden,
            unheard: aside.ended.unheard(),
            blackout: aside.blackout,
            over,
            merged_into: None,
            incident,
        }
    }
}
