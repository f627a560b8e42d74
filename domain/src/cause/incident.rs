//! The cause of an incident by its alerts, who depends on whom, and the patch waves that reached its
//! machines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;

use super::{
    Anomaly, Because, CauseReport, Fact, Graph, GraphError, Node, Past, Piece, RecentChange,
    SuspectMachine, Wave, by_alerts,
};
use crate::{
    alert::{Alert, AlertSeverity, clean},
    triage::Suspect,
};

/// Machines that are looked at, with what they depend on.
const MACHINES: usize = 1_000;
/// Suspects that are written down.
const SUSPECTS: usize = 5;
/// Reasons of one that are written down.
const REASONS: usize = 4;
/// Patch waves that are looked at.
const WAVES: usize = 10;
/// Updates of a wave that are named.
const KBS: usize = 10;
/// First alerts that are written down although no reason rests on them.
const ALERTS: usize = 10;
/// Bytes of a title or a reason that are kept.
const TEXT_BYTES: usize = 160;

/// What the cause of an incident is looked for in.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The version of the incident.
    pub version: u32,
    /// The time.
    pub at: Timestamp,
    /// Its machines.
    pub machines: &'a [String],
    /// Machine, and what it depends on.
    pub depends_on: &'a [(String, String)],
    /// Its alerts.
    pub alerts: &'a [Alert],
    /// Updates it may come from, those that were left over first.
    pub suspects: &'a [Suspect],
}

/// How much an alert weighs. Ours: each step counts twice the one below, and what a source does not say
/// counts like something to look at.
fn points(severity: AlertSeverity) -> u32 {
    match severity {
        AlertSeverity::Low => 10,
        AlertSeverity::Unknown | AlertSeverity::Medium => 20,
        AlertSeverity::High => 40,
        AlertSeverity::Critical => 80,
    }
}

/// The machines of an incident and all they depend on, each with its node.
struct Network {
    names: Vec<String>,
    nodes: BTreeMap<String, Node>,
}

impl Network {
    fn of(known: &Known<'_>) -> Self {
        let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (machine, other) in known.depends_on {
            uses.entry(machine).or_default().insert(other);
        }
        let named = known.machines.iter().map(String::as_str);
        let alerted = known.alerts.iter().map(Alert::machine);
        let changed = known.suspects.iter().map(|one| one.device.as_str());
        let mut network = Self {
            names: Vec::new(),
            nodes: BTreeMap::new(),
        };
        let mut open: VecDeque<&str> = named.chain(alerted).chain(changed).collect();
        while let Some(machine) = open.pop_front() {
            if network.add(machine) {
                open.extend(uses.get(machine).into_iter().flatten());
            }
        }
        network
    }

    fn add(&mut self, machine: &str) -> bool {
        let is_new = !machine.is_empty() && !self.nodes.contains_key(machine);
        if !is_new || self.names.len() >= MACHINES {
            return false;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.nodes.insert(machine.to_owned(), Node(number));
        self.names.push(machine.to_owned());
        true
    }

    fn graph(&self, depends_on: &[(String, String)]) -> Result<Graph, GraphError> {
        let pairs = depends_on.iter();
        let pairs = pairs.filter_map(|(machine, other)| {
            Some((*self.nodes.get(machine)?, *self.nodes.get(other)?))
        });
        Graph::new(self.names.len(), pairs)
    }
}

/// Looks for the cause of an incident. `past`: incidents that looked alike, or `None` when the memory
/// could not be asked.
///
/// # Errors
/// Never for what [`Known`] can hold: there are fewer machines than a graph may have.
pub fn explain(known: &Known<'_>, past: Option<Vec<Past>>) -> Result<CauseReport, GraphError> {
    let network = Network::of(known);
    let graph = network.graph(known.depends_on)?;
    let mut alerts: Vec<&Alert> = known.alerts.iter().collect();
    alerts.sort_by_key(|alert| (alert.said.raised_at, alert.said.id.clone()));
    let mut evidence = Vec::new();
    let (mut anomalies, mut seen) = (Vec::new(), BTreeSet::new());
    for alert in alerts {
        let machine = alert.machine();
        let Some(node) = network.nodes.get(machine).filter(|_| seen.insert(machine)) else {
            continue;
        };
        let title = clean(&alert.said.title, TEXT_BYTES).0;
        let id = format!("alert_{}", seen.len());
        anomalies.push(Anomaly {
            node: *node,
            at: alert.said.raised_at.as_second(),
            points: points(alert.said.severity),
            evidence: id.clone(),
            what: title.clone(),
        });
        let fact = Fact::Alert {
            alert: alert.said.id.clone(),
            machine: machine.to_owned(),
            title,
            severity: alert.said.severity,
            at: alert.said.raised_at,
        };
        evidence.push(Piece { id, fact });
    }
    let mut changes = Vec::new();
    for (number, suspect) in (1..).zip(known.suspects.iter().take(WAVES)) {
        let id = format!("wave_{number}");
        if let Some(node) = network.nodes.get(suspect.device.as_str()) {
            changes.push(RecentChange {
                node: *node,
                at: suspect.since.as_second(),
                what: change_words(suspect),
                evidence: id.clone(),
            });
        }
        let wave = Wave {
            plan: suspect.plan.clone(),
            ring: suspect.ring,
            kbs: suspect.kbs.iter().take(KBS).cloned().collect(),
            device: suspect.device.clone(),
            left_over: suspect.left_over,
            since: suspect.since,
        };
        evidence.push(Piece {
            id,
            fact: Fact::Wave(wave),
        });
    }
    let causes = by_alerts(&graph, &anomalies, &changes);
    let suspects = causes.candidates.iter().take(SUSPECTS);
    let suspects: Vec<SuspectMachine> = suspects
        .map(|candidate| SuspectMachine {
            machine: network.names[candidate.node.0 as usize].clone(),
            share_permille: permille(candidate.score),
            because: candidate.because.iter().take(REASONS).map(short).collect(),
        })
        .collect();
    let memory_asked = past.is_some();
    for (number, past) in (1..).zip(past.into_iter().flatten()) {
        let (id, fact) = (format!("past_{number}"), Fact::Past(past));
        evidence.push(Piece { id, fact });
    }
    let because = suspects.iter().flat_map(|one| &one.because);
    let rests_on: BTreeSet<&str> = because.map(|one| one.evidence.as_str()).collect();
    let mut alerts = 0;
    evidence.retain(|piece| {
        let is_alert = matches!(piece.fact, Fact::Alert { .. });
        alerts += usize::from(is_alert);
        !is_alert || alerts <= ALERTS || rests_on.contains(piece.id.as_str())
    });
    Ok(CauseReport {
        version: known.version,
        at: known.at,
        confidence_permille: causes.confidence_permille,
        abstain: causes.abstain,
        suspects,
        evidence,
        memory_asked,
        compared: None,
        measurable: false,
        told: None,
    })
}

fn change_words(suspect: &Suspect) -> String {
    let kbs = suspect.kbs.iter().take(KBS).map(ToString::to_string);
    let kbs = kbs.collect::<Vec<_>>().join(", ");
    let ring = suspect.ring + 1;
    match suspect.left_over {
        true => format!("what ring {ring} of {kbs} had announced did not clear; it was installed"),
        false => format!("ring {ring} of {kbs} was installed"),
    }
}

fn short(because: &Because) -> Because {
    Because {
        evidence: because.evidence.clone(),
        text: clean(&because.text, TEXT_BYTES * 2).0,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 1000"
)]
fn permille(share: f64) -> u16 {
    (share.clamp(0.0, 1.0) * 1000.0).round() as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{AlertId, AlertSource, Sighting};

    const NOON: i64 = 1_795_000_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(NOON + minute * 60).unwrap()
    }

    fn alert(number: u32, machine: &str, minute: i64, title: &str) -> Alert {
        let said = Sighting {
            id: AlertId::new(AlertSource::Superops, &number.to_string()).unwrap(),
            client: "7001".parse().unwrap(),
            device: machine.parse().ok(),
            host: None,
            address: None,
            site: None,
            title: title.to_owned(),
            description: String::new(),
            severity: AlertSeverity::High,
            raised_at: at(minute),
            cleared: None,
            lasting: true,
            occurrences: 1,
            seen_at: at(minute),
        };
        Alert {
            said,
            first_seen_at: at(minute),
            cleared_at: None,
            closing: None,
            missed: 0,
            missed_by: None,
            news: 0,
            placement: None,
        }
    }

    fn wave(device: &str, minute: i64, left_over: bool) -> Suspect {
        Suspect {
            plan: "weekly-1".parse().unwrap(),
            ring: 1,
            kbs: vec!["KB5034441".parse().unwrap()],
            device: device.parse().unwrap(),
            left_over,
            since: at(minute),
        }
    }

    fn known<'a>(
        alerts: &'a [Alert],
        depends_on: &'a [(String, String)],
        suspects: &'a [Suspect],
    ) -> Known<'a> {
        Known {
            version: 3,
            at: at(60),
            machines: &[],
            depends_on,
            alerts,
            suspects,
        }
    }

    fn on(machine: &str, other: &str) -> (String, String) {
        (machine.to_owned(), other.to_owned())
    }

    #[test]
    fn the_machine_that_others_depend_on_and_that_failed_first_is_the_cause() {
        let alerts = [
            alert(1, "81", 0, "disk is 99% full"),
            alert(2, "82", 5, "service stopped"),
            alert(3, "83", 6, "service stopped"),
            alert(4, "83", 7, "website down"),
        ];
        let network = [on("82", "81"), on("83", "81")];
        let report = explain(&known(&alerts, &network, &[]), None).unwrap();
        assert_eq!(report.suspects[0].machine, "81");
        assert!(!report.abstain, "{report:?}");
        assert!(!report.memory_asked);
        // One piece for each machine: the first alert.
        assert_eq!(report.evidence.len(), 3);
        assert_eq!(report.machines()[0], "81");
        assert!(report.words().unwrap().contains("disk is 99% full"));
    }

    #[test]
    fn a_wave_that_reached_the_machine_just_before_is_the_first_reason() {
        let alerts = [
            alert(1, "81", 10, "service stopped"),
            alert(2, "82", 10, "service stopped"),
        ];
        let report = explain(&known(&alerts, &[], &[wave("82", 5, true)]), None).unwrap();
        let first = &report.suspects[0];
        assert_eq!(first.machine, "82");
        assert_eq!(first.because[0].evidence, "wave_1");
        assert!(
            first.because[0].text.contains("KB5034441"),
            "{}",
            first.because[0].text
        );
    }

    #[test]
    fn every_reason_names_evidence_that_is_there_and_the_report_stays_small() {
        let long = "ü".repeat(5_000);
        let alerts: Vec<Alert> = (0..300)
            .map(|n| alert(n, &(100 + n).to_string(), i64::from(n % 7), &long))
            .collect();
        let waves: Vec<Suspect> = (0..50)
            .map(|n| wave(&(100 + n).to_string(), 0, n % 2 == 0))
            .collect();
        let network: Vec<_> = (101..400).map(|n| on(&n.to_string(), "100")).collect();
        let report = explain(&known(&alerts, &network, &waves), Some(vec![])).unwrap();
        let ids: BTreeSet<&str> = report.evidence.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids.len(), report.evidence.len());
        for because in report.suspects.iter().flat_map(|one| &one.because) {
            assert!(ids.contains(because.evidence.as_str()), "{because:?}");
        }
        let bytes = serde_json::to_vec(&report).unwrap().len();
        assert!(bytes < 32 * 1024, "{bytes}");
        let back = serde_json::to_value(&report).unwrap();
        assert_eq!(CauseReport::of(Some(&back)), Some(report));
    }

    #[test]
    fn without_alerts_of_a_machine_it_abstains() {
        for alerts in [vec![], vec![alert(1, "", 0, "backup failed")]] {
            let report = explain(&known(&alerts, &[], &[]), Some(vec![])).unwrap();
            assert!(report.abstain && report.suspects.is_empty() && report.memory_asked);
            assert_eq!(report.words(), None);
        }
    }

    #[test]
    fn what_was_asked_twice_is_there_once() {
        let alerts = [alert(1, "81", 0, "disk full")];
        let mut report = explain(&known(&alerts, &[], &[]), None).unwrap();
        let figures = |device: &str| Fact::Figures {
            device: device.parse().unwrap(),
            at: at(1),
            figures: super::super::Figures::default(),
        };
        for device in ["81", "82", "81"] {
            report.add("figures", figures(device));
        }
        let ids: Vec<&str> = report.evidence.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["alert_1", "figures_1", "figures_2"]);
        assert_eq!(
            CauseReport::of(Some(&serde_json::json!({ "old": 1 }))),
            None
        );
    }
}
