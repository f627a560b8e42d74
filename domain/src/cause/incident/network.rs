//! The machines of an incident, what they depend on and what depends on them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;

use super::{
    super::{Graph, GraphError, Node, SUSPECTED_SECS, alerts::SLACK_SECS},
    Known,
};
use crate::{
    alert::Alert,
    ids::DeviceId,
    triage::{Expectation, Suspect},
};

/// Machines that are looked at, with what they depend on.
const MACHINES: usize = 1_000;
/// How many of them are kept for what the others depend on: it may be silent, and the cause.
const UPSTREAM: usize = 100;
/// Machines without alerts whose patch waves are looked at.
const SILENT: usize = 200;

/// The machines of an incident and all they depend on, each with its node.
pub(super) struct Network {
    pub(super) names: Vec<String>,
    nodes: BTreeMap<String, Node>,
}

impl Network {
    pub(super) fn of(known: &Known<'_>) -> Self {
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
        let uses = |machine| uses.get(machine).into_iter().flatten();
        let mut upstream = VecDeque::new();
        for machine in named.chain(alerted).chain(changed) {
            if network.add(machine, MACHINES - UPSTREAM) {
                upstream.extend(uses(machine));
            }
        }
        while let Some(machine) = upstream.pop_front() {
            if network.add(machine, MACHINES) {
                upstream.extend(uses(machine));
            }
        }
        network
    }

    fn add(&mut self, machine: &str, most: usize) -> bool {
        let is_new = !machine.is_empty() && !self.nodes.contains_key(machine);
        if !is_new || self.names.len() >= most {
            return false;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.nodes.insert(machine.to_owned(), Node(number));
        self.names.push(machine.to_owned());
        true
    }

    pub(super) fn node(&self, machine: &str) -> Option<Node> {
        self.nodes.get(machine).copied()
    }

    pub(super) fn graph(&self, depends_on: &[(String, String)]) -> Result<Graph, GraphError> {
        let pairs = depends_on.iter();
        let pairs =
            pairs.filter_map(|(machine, other)| Some((self.node(machine)?, self.node(other)?)));
        Graph::new(self.names.len(), pairs)
    }
}

/// Lists devices without an alert whose changes may matter: those of the incident, what its machines depend
/// on, near before far, and then those that depend on its machines directly.
#[must_use]
pub fn silent_around(known: &Known<'_>) -> Vec<DeviceId> {
    let network = Network::of(known);
    let behind = known.depends_on.iter();
    let behind = behind.filter(|(_, on)| network.node(on).is_some());
    let behind = behind.map(|(machine, _)| machine);
    let alerted: BTreeSet<&str> = known.alerts.iter().map(Alert::machine).collect();
    let mut silent: Vec<DeviceId> = Vec::new();
    let mut seen = BTreeSet::new();
    for machine in network.names.iter().chain(behind) {
        if alerted.contains(machine.as_str()) || !seen.insert(machine) {
            continue;
        }
        silent.extend(machine.parse().ok());
        if silent.len() == SILENT {
            break;
        }
    }
    silent
}

/// Joins what triage suspects with patch waves that reached devices without an alert, those named first
/// first. Such a wave has left nothing over, so it halts nothing.
#[must_use]
pub fn changed_around(
    known: &Known<'_>,
    waves: &[Expectation],
    silent: &[DeviceId],
) -> Vec<Suspect> {
    let mut suspects = known.suspects.to_vec();
    let raised = known.alerts.iter().map(|alert| alert.said.raised_at);
    let Some(begun) = raised.min() else {
        return suspects;
    };
    let noticed = begun.as_second() + SLACK_SECS;
    for device in silent {
        let own = waves.iter().filter(|wave| wave.device == *device);
        for wave in own.filter(|wave| counts(wave.from, noticed)) {
            let is_known = |one: &Suspect| one.plan == wave.plan && one.device == wave.device;
            if !suspects.iter().any(is_known) {
                suspects.push(Suspect {
                    plan: wave.plan.clone(),
                    ring: wave.ring,
                    kbs: wave.kbs.clone(),
                    device: wave.device.clone(),
                    left_over: false,
                    since: wave.from,
                });
            }
        }
    }
    suspects
}

/// Whether a change is as recent as the rule asks for, of trouble that was noticed at a second.
pub(super) fn counts(changed: Timestamp, noticed: i64) -> bool {
    let age = noticed - changed.as_second();
    (0..=SUSPECTED_SECS).contains(&age)
}
