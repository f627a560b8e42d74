//! Trying rules on alerts that were there, before anybody depends on them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{BEHIND, Facts, ReadyRules, Rules, Triage, blackout::MONITORING};
use crate::{
    alert::{AlertId, Event, EventKind, Treatment},
    incident::{IncidentId, Topology},
    input::InvalidInput,
    windows,
};

/// What is done with alerts by rules that have no names.
const DONE: [&str; 6] = [
    "duplicate",
    "hold",
    "flapping",
    "inhibition",
    "blackout",
    "routine",
];
/// Alerts that are named for a rule.
const EXAMPLES: usize = 3;
/// What is still held at the end is waited for.
const AFTERWARDS: SignedDuration = SignedDuration::from_hours(1);

/// What rules would have done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Alerts they were tried on.
    pub alerts: u64,
    /// Incidents that people would have been told of.
    pub incidents: u64,
    /// Hits of each rule.
    pub hits: Vec<Hits>,
}

/// What one rule would have kept from people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hits {
    /// The rule: the name of a silence or maintenance window, or one of `duplicate`, `hold`, `flapping`,
    /// `inhibition`, `blackout`, `routine`.
    pub rule: String,
    /// How many alerts.
    pub alerts: u64,
    /// The first of them.
    pub examples: Vec<AlertId>,
}

impl Hits {
    fn of(rule: &str) -> Self {
        Self {
            rule: rule.to_owned(),
            ..Self::default()
        }
    }

    fn add(&mut self, alert: &AlertId) {
        self.alerts += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(alert.clone());
        }
    }
}

impl Trial {
    /// Warns of rules of people that hit nothing, or everything, and of any that leaves nothing.
    #[must_use]
    pub fn warnings(&self, rules: &Rules) -> Vec<String> {
        let named = rules.names();
        if self.alerts == 0 {
            return match named.is_empty() {
                true => Vec::new(),
                false => vec!["there are no alerts to try the rules on".to_owned()],
            };
        }
        let warn = |hits: &Hits| {
            let (rule, all) = (&hits.rule, self.alerts);
            if hits.alerts == all {
                Some(format!("`{rule}` would have kept back all {all} alerts"))
            } else if hits.alerts == 0 && named.contains(rule.as_str()) {
                Some(format!(
                    "`{rule}` would have kept back none of {all} alerts"
                ))
            } else {
                None
            }
        };
        self.hits.iter().filter_map(warn).collect()
    }

    /// Whether a rule would have kept back all there was.
    #[must_use]
    pub fn hides_everything(&self) -> bool {
        self.alerts > 0 && self.hits.iter().any(|hits| hits.alerts == self.alerts)
    }
}

impl Rules {
    /// Names silences and maintenance windows.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        let silences = self.silences.iter().map(|rule| rule.name.as_str());
        let windows = self.maintenance.iter().map(|rule| rule.name.as_str());
        silences.chain(windows).collect()
    }
}

/// Tries rules on what happened at a client, in order of time: a triage that knows nothing does it all
/// again. Silences hold all the time, since most of them begin today; what patch waves had announced is
/// not known any more.
///
/// # Errors
/// As [`Rules::ready`].
pub fn try_on(
    rules: &Rules,
    topology: &Topology,
    machines: u32,
    events: &[Event],
) -> Result<Trial, InvalidInput> {
    rules.clone().ready()?;
    let mut timeless = rules.clone();
    for silence in &mut timeless.silences {
        (silence.from, silence.until) = (None, Timestamp::MAX);
    }
    let rules = &timeless.ready()?;
    let mut trial = Trial {
        hits: rules.hits(events),
        ..Trial::default()
    };
    let mut again = Again::new(rules, topology, machines);
    for event in events {
        again.take(event);
        trial.alerts += u64::from(event.kind == EventKind::Raised && event.number == 1);
    }
    if let Some(last) = events.last() {
        let end = last.at.checked_add(AFTERWARDS).unwrap_or(last.at);
        again.settle(end);
    }
    trial.incidents = again.incidents();
    for (rule, alerts) in DONE.into_iter().zip(again.treated) {
        let mut hits = Hits::of(rule);
        alerts.iter().for_each(|alert| hits.add(alert));
        trial.hits.push(hits);
    }
    Ok(trial)
}

/// A triage that does again what was done.
struct Again<'a> {
    triage: Triage,
    rules: &'a ReadyRules,
    machines: u32,
    /// Alerts by what was done with them at any time, as [`DONE`] names it.
    treated: [BTreeSet<AlertId>; DONE.len()],
    told: BTreeMap<IncidentId, bool>,
}

impl<'a> Again<'a> {
    fn new(rules: &'a ReadyRules, topology: &Topology, machines: u32) -> Self {
        let mut triage = Triage::new();
        triage.set_topology(topology);
        Self {
            triage,
            rules,
            machines,
            treated: Default::default(),
            told: BTreeMap::new(),
        }
    }

    fn facts(&self, at: Timestamp) -> Facts<'a> {
        Facts {
            rules: self.rules,
            expectations: &[],
            machines: self.machines,
            now: at.checked_add(BEHIND).unwrap_or(at),
        }
    }

    fn take(&mut self, event: &Event) {
        if self.triage.next_due().is_some_and(|due| due <= event.at) {
            self.settle(event.at);
        }
        self.triage.take(event, &self.facts(event.at));
        self.note();
    }

    fn settle(&mut self, at: Timestamp) {
        self.triage.settle(&self.facts(at));
        self.note();
    }

    fn note(&mut self) {
        for (alert, placement) in std::mem::take(&mut self.triage.placed) {
            let place = match placement.treatment {
                Treatment::Duplicate { .. } => 0,
                Treatment::Held { .. } => 1,
                Treatment::Flapping { .. } => 2,
                Treatment::Inhibited { by } if by == MONITORING => 4,
                Treatment::Inhibited { .. } => 3,
                Treatment::Routine { .. } => 5,
                _ => continue,
            };
            self.treated[place].insert(alert);
        }
        for over in self.triage.correlator.take_finished() {
            self.told.insert(over.id, !over.routine);
        }
        let merged = self.triage.merged.drain(..);
        self.told.extend(merged.map(|(gone, _)| (gone.id, false)));
        self.triage
            .touched
            .extend(self.triage.correlator.take_changed());
    }

    /// Counts incidents that people would have been told of; those that are open yet too.
    fn incidents(&mut self) -> u64 {
        for id in std::mem::take(&mut self.triage.touched) {
            if let Some(open) = self.triage.correlator.incident(id) {
                self.told.entry(id).or_insert(!open.routine);
            }
        }
        self.told.values().filter(|told| **told).count() as u64
    }
}

impl ReadyRules {
    /// Counts what each silence and maintenance window fits.
    fn hits(&self, events: &[Event]) -> Vec<Hits> {
        let rules = self.rules();
        let silences = rules.silences.iter().zip(&self.silences);
        let silences = silences.map(|(rule, ready)| (&rule.name, &rule.matches, ready, None));
        let windows = rules.maintenance.iter().zip(&self.maintenance);
        let windows = windows.map(|(rule, ready)| (&rule.name, &rule.matches, ready, Some(rule)));
        let mut all = Vec::new();
        for (name, matcher, ready, window) in silences.chain(windows) {
            let open = |at: Timestamp| {
                window.is_none_or(|rule| {
                    let zone = rule.time_zone.as_deref().unwrap_or("UTC");
                    windows::is_open(&rule.windows, &[], zone, at).unwrap_or(false)
                })
            };
            let mut hits = Hits::of(name);
            for event in events {
                let raised = event.kind == EventKind::Raised && event.number == 1;
                if raised && open(event.at) && matcher.holds(ready, event) {
                    hits.add(&event.alert);
                }
            }
            all.push(hits);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::alert::AlertSeverity;

    fn at(seconds: i64) -> Timestamp {
        "2026-11-28T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    /// An alert that is raised, and over so many seconds later.
    fn alert(number: u32, begins: i64, lasts: i64, title: &str, machine: &str) -> [Event; 2] {
        let raised = Event {
            alert: format!("superops/{number}").parse().unwrap(),
            number: 1,
            kind: EventKind::Raised,
            at: at(begins),
            title: title.to_owned(),
            machine: machine.to_owned(),
            address: String::new(),
            site: String::new(),
            severity: AlertSeverity::High,
            lasting: true,
            unheard: false,
        };
        let cleared = Event {
            number: 2,
            kind: EventKind::Cleared,
            at: at(begins + lasts),
            ..raised.clone()
        };
        [raised, cleared]
    }

    fn tried(rules: serde_json::Value, alerts: &[[Event; 2]]) -> (Rules, Trial) {
        let rules: Rules = serde_json::from_value(rules).unwrap();
        let mut events: Vec<Event> = alerts.iter().flatten().cloned().collect();
        events.sort_by_key(|event| event.at);
        let trial = try_on(&rules, &Topology::default(), 0, &events).unwrap();
        (rules, trial)
    }

    fn hits(trial: &Trial) -> BTreeMap<&str, u64> {
        let each = trial.hits.iter();
        each.map(|hits| (hits.rule.as_str(), hits.alerts)).collect()
    }

    #[test]
    fn rules_are_tried_on_what_was_and_warn_when_they_hit_nothing_or_everything() {
        let silence = |name: &str, matches: serde_json::Value| {
            let until = at(9_000_000);
            json!({ "name": name, "matches": matches, "from": at(8_000_000), "until": until, "by": "d", "reason": "x" })
        };
        let rules = json!({ "silences": [
            silence("none", json!({ "title": "unicorn" })),
            silence("all", json!({ "severity_up_to": "critical" })),
            silence("some", json!({ "machines": ["81"] })),
        ] });
        let alerts = [("81", 1), ("82", 2)].map(|(machine, n)| alert(n, 0, 7_200, "disk", machine));
        let (rules, trial) = tried(rules, &alerts);
        assert_eq!((trial.alerts, trial.incidents), (2, 0));
        let hits = hits(&trial);
        assert_eq!((hits["none"], hits["all"], hits["some"]), (0, 2, 1));
        let warnings = trial.warnings(&rules);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0].contains("`none`") && warnings[1].contains("`all`"),
            "{warnings:?}"
        );
        assert!(trial.hides_everything());
        let nothing = try_on(&rules, &Topology::default(), 0, &[]).unwrap();
        assert_eq!(nothing.warnings(&rules).len(), 1);
        assert!(!nothing.hides_everything());
    }

    #[test]
    fn what_is_soon_over_is_held_when_the_rule_says_so() {
        // A day of a kind that is soon over, each time on another machine.
        let alerts: Vec<_> = (0..24)
            .map(|n| {
                let machine = format!("m{n}");
                alert(n, i64::from(n) * 3_600, 50, "CPU usage high", &machine)
            })
            .collect();
        let (_, patient) = tried(json!({}), &alerts);
        let (_, hasty) = tried(json!({ "hold": { "enabled": false } }), &alerts);
        assert!(hits(&patient)["hold"] > 15, "{patient:?}");
        assert_eq!(hits(&hasty)["hold"], 0);
        assert!(patient.incidents < hasty.incidents, "{patient:?} {hasty:?}");
    }

    #[test]
    fn the_same_on_the_same_machine_is_a_duplicate() {
        let alerts = [
            alert(1, 0, 7_200, "Disk C: 91 % full", "81"),
            alert(2, 60, 7_200, "Disk C: 92 % full", "81"),
        ];
        let (_, trial) = tried(json!({}), &alerts);
        assert_eq!((trial.alerts, trial.incidents), (2, 1));
        assert_eq!(hits(&trial)["duplicate"], 1);
        let example = &trial
            .hits
            .iter()
            .find(|one| one.rule == "duplicate")
            .unwrap()
            .examples;
        assert_eq!(example[0].as_str(), "superops/2");
    }

    #[test]
    fn what_is_usual_and_what_a_blackout_hides_have_lines_of_their_own() {
        let usual = (0..12).map(|n| alert(n, i64::from(n) * 7_200, 700, "CPU usage high", "81"));
        let rules = json!({ "hold": { "enabled": false } });
        let (_, trial) = tried(rules, &usual.collect::<Vec<_>>());
        assert_eq!(hits(&trial)["routine"], 7, "{trial:?}");
        let machine = |n: u32| alert(n, i64::from(n), 7_200, "host is offline", &format!("m{n}"));
        let mut events: Vec<Event> = (0..10).flat_map(machine).collect();
        events.sort_by_key(|event| event.at);
        let rules = Rules::default();
        let trial = try_on(&rules, &Topology::default(), 10, &events).unwrap();
        // Six of ten are a blackout; the others stand behind it.
        assert_eq!(hits(&trial)["blackout"], 4, "{trial:?}");
        assert_eq!(hits(&trial)["inhibition"], 0);
    }
}
