//! Triage: from news of the alerts of one client to incidents that people should know of.
//!
//! Each alert that is raised goes down one list, and the first answer counts: announced by a patch wave,
//! silenced by people, the same as another one, behind something that is down, part of a blackout of the
//! monitoring, flapping, held because its kind is soon over. What is left joins an incident, or a digest
//! where it is usual. Nothing is thrown away: each alert has a [`Placement`] that says what was done with it and why, and what waits is
//! looked at again when its time is over.
//!
//! Pure and of one client. Serialised, it can be stored and goes on as if nothing had happened.

mod blackout;
mod ended;
mod ending;
mod expected;
mod hold;
mod outcome;
mod people;
mod placing;
mod record;
mod routine;
mod rules;
mod speaking;
mod state;
mod symptoms;
mod trial;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    alert::{AlertId, AlertSeverity, Event, Placement, Treatment},
    fingerprint::Miner,
    form::Form,
    incident::{Correlator, Incident, IncidentId, Topology},
};

pub use self::{
    expected::{Expectation, SUSPECTED, Step, Suspect},
    outcome::{IncidentNews, Outcome, Unheard},
    record::{Closing, IncidentKey, IncidentRecord, IncidentStatus, Order, OrderAnswer, OrderKind},
    rules::{
        BlackoutRule, FlappingRule, HoldRule, InhibitionRule, Maintenance, Matcher, ReadyRules,
        RoutineRule, Rules, Silence, Silenced,
    },
    symptoms::Symptom,
    trial::{Hits, Trial, try_on},
};

use ended::Ended;
use hold::Durations;
use speaking::Speaking;

/// In whose name the answer to an incident halts deployments.
pub const RESPONSE: &str = "incident-response";

/// How far the time of alerts is behind the clock: alerts that are polled late still come in order.
pub const BEHIND: SignedDuration = SignedDuration::from_secs(90);

/// What triage goes by, besides the alerts.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The rules of people.
    pub rules: &'a ReadyRules,
    /// What patch waves have announced, and did within the last day.
    pub expectations: &'a [Expectation],
    /// Machines of the client; 0 when not known.
    pub machines: u32,
    /// The time.
    pub now: Timestamp,
}

/// An alert that is active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Active {
    event: Event,
    /// When it was raised; the time of the event moves on when the alert has waited.
    since: Timestamp,
    kind: String,
    treatment: Treatment,
    #[serde(default)]
    incident: Option<IncidentId>,
    /// When it is looked at again, if it waits.
    #[serde(default)]
    wakes: Option<Timestamp>,
    /// Others of the same kind and machine that wait for it to clear.
    #[serde(default)]
    same: BTreeSet<AlertId>,
}

/// What is kept of an incident beside its correlation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Aside {
    severity: Option<AlertSeverity>,
    suspects: BTreeSet<Suspect>,
    /// Active alerts that are in it without counting: behind it, or the same.
    hidden: u32,
    blackout: bool,
    /// How alerts that were in it have ended.
    #[serde(default)]
    ended: Ended,
}

/// Triage of one client.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Triage {
    version: Form<2>,
    #[serde(with = "state::miner")]
    miner: Miner,
    correlator: Correlator,
    durations: Durations,
    active: BTreeMap<AlertId, Active>,
    speaking: Speaking,
    /// When alerts that wait are looked at again.
    waiting: BTreeSet<(Timestamp, AlertId)>,
    asides: BTreeMap<IncidentId, Aside>,
    /// Machines that are said to be down: by which alerts, and since when, in seconds.
    down: BTreeMap<String, BTreeMap<AlertId, i64>>,
    /// The incident of the monitoring itself.
    blackout: Option<IncidentId>,
    #[serde(skip)]
    placed: BTreeMap<AlertId, Placement>,
    #[serde(skip)]
    touched: BTreeSet<IncidentId>,
    #[serde(skip)]
    merged: Vec<(Incident, IncidentId)>,
}

impl Triage {
    /// Makes one that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened to an alert. Events should come in order of time.
    pub fn take(&mut self, event: &Event, facts: &Facts<'_>) {
        use crate::alert::EventKind as Kind;
        self.settle_until(event.at, facts);
        match event.kind {
            Kind::Raised => self.raise(event, facts),
            Kind::Repeated => self.repeat(event, facts),
            Kind::Cleared => self.clear(event),
        }
    }

    /// Moves time on to a little behind the clock: looks at what waited, ranks and ends incidents.
    pub fn settle(&mut self, facts: &Facts<'_>) {
        let now = facts.now.checked_sub(BEHIND).unwrap_or(facts.now);
        self.heed_early_ends(facts);
        self.heed_end_of_blackout(now);
        self.settle_until(now, facts);
        self.correlator.advance(now.as_millisecond());
    }

    /// Returns when to settle again although nothing happens; `None` when nothing waits.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let waiting = self.waiting.first().map(|(at, _)| *at);
        let ranked = self.correlator.next_due_ms();
        let ranked = ranked.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let due = waiting.into_iter().chain(ranked).min()?;
        // It settles what was due before, by a clock that is behind.
        let late = BEHIND + SignedDuration::from_secs(1);
        Some(due.checked_add(late).unwrap_or(Timestamp::MAX))
    }

    /// Lists machines of alerts that are looked at again until then, or that wait for the end of what a wave has
    /// announced: what was announced of them has to be among the facts of this turn.
    pub fn expecting(&self, until: Timestamp) -> impl Iterator<Item = &str> {
        let waiting = self.waiting.iter();
        let waiting = waiting.filter_map(move |(at, alert)| {
            let active = self.active.get(alert)?;
            let is_expected = matches!(active.treatment, Treatment::Expected { .. });
            (*at <= until || is_expected).then_some(active)
        });
        waiting.map(|one| one.event.machine.as_str())
    }

    /// Takes in who depends on whom.
    pub fn set_topology(&mut self, topology: &Topology) {
        self.correlator.set_topology(topology);
    }

    /// Returns how many alerts are active.
    #[must_use]
    pub fn active(&self) -> usize {
        self.active.len()
    }

    /// Returns what correlation has seen, counted.
    #[must_use]
    pub fn counts(&self) -> crate::incident::Counts {
        self.correlator.counts()
    }
}
