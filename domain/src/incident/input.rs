//! What a correlator is told, and what it counts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    alert::{AlertSeverity, NAME_BYTES},
    input::{InvalidInput, Problem},
};

/// Pairs of machine and what it depends on that a client may have.
const MOST_PAIRS: usize = 20_000;

/// An alert of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert<'a> {
    /// When it was raised, Unix milliseconds, not later than now. Alerts should come in order of time;
    /// a late one counts as raised at the time of the latest.
    pub at_ms: i64,
    /// Its title.
    pub title: &'a str,
    /// The device; empty when it has none.
    pub device: &'a str,
    /// The network address; empty when unknown.
    pub address: &'a str,
    /// Whether its source will tell when it clears.
    pub lasting: bool,
    /// With so many episodes a day of its kind on its device, or more, it is only gathered; `None`: never.
    pub routine_from: Option<u32>,
}

/// What is known of the network of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// Device and the site it is at.
    pub sites: Vec<(String, String)>,
    /// Device and what it depends on, such as its switch.
    pub depends_on: Vec<(String, String)>,
}

impl Topology {
    /// Checks who depends on whom, as people state it.
    ///
    /// # Errors
    /// Names each machine that is empty, too long, depends on itself, or stands in a circle.
    pub fn check(depends_on: &[(String, String)]) -> Result<(), InvalidInput> {
        let mut problems = Vec::new();
        if depends_on.len() > MOST_PAIRS {
            let allowed = format!("at most {MOST_PAIRS} pairs");
            problems.push(Problem::new("depends_on", depends_on.len(), allowed));
        }
        let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (machine, on) in depends_on {
            for name in [machine, on] {
                if name.trim().is_empty() || name.len() > NAME_BYTES {
                    let allowed = format!("a device id or host name of 1 to {NAME_BYTES} bytes");
                    problems.push(Problem::new("depends_on", name, allowed));
                }
            }
            edges.entry(machine).or_default().push(on);
        }
        problems.extend(circle(&edges).map(|machines| {
            let allowed = "machines that do not depend on themselves, directly or through others";
            Problem::new("depends_on", machines.join(" -> "), allowed)
        }));
        InvalidInput::when(problems)
    }
}

/// Finds a circle by walking on until there is nothing left, each machine once.
fn circle<'a>(edges: &BTreeMap<&'a str, Vec<&'a str>>) -> Option<Vec<&'a str>> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in edges.keys() {
        // Machines on the way, each with what is left of what it depends on.
        let mut way: Vec<(&str, &[&str])> = vec![(start, &edges[start])];
        while let Some((machine, left)) = way.last_mut() {
            let Some((next, rest)) = left.split_first() else {
                done.insert(machine);
                way.pop();
                continue;
            };
            *left = rest;
            if let Some(begin) = way.iter().position(|(one, _)| one == next) {
                let around = way[begin..].iter().map(|(one, _)| *one);
                return Some(around.chain([*next]).collect());
            }
            if !done.contains(next) {
                way.push((next, edges.get(next).map_or(&[][..], Vec::as_slice)));
            }
        }
    }
    None
}

/// A change that may cause alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When it was made, Unix milliseconds.
    pub at_ms: i64,
    /// The devices it was made on.
    pub devices: Vec<String>,
}

/// What makes an incident matter beside how unusual it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stakes {
    /// The worst of its alerts; where nobody says so, it plays no part.
    pub severity: Option<AlertSeverity>,
    /// An update that it may come from, in words.
    pub suspect: Option<String>,
}

/// What a correlator has seen, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Alerts in all.
    pub alerts: u64,
    /// Alerts that came after later ones.
    pub late: u64,
    /// Alerts without a device.
    pub without_device: u64,
    /// Alerts whose kind or device had no room to be told apart.
    pub crowded: u64,
    /// Habits that were forgotten to make room.
    pub forgotten: u64,
    /// Incidents opened.
    pub incidents: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(pairs: &[(&str, &str)]) -> Result<(), InvalidInput> {
        let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        Topology::check(&pairs.iter().map(own).collect::<Vec<_>>())
    }

    #[test]
    fn a_circle_of_machines_is_refused_by_its_names() {
        let tree = [("a", "b"), ("a", "c"), ("c", "b"), ("b", "d"), ("x", "c")];
        assert_eq!(checked(&tree), Ok(()));
        let around = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")];
        let problem = &checked(&around).unwrap_err().problems[0];
        assert_eq!(problem.value, "b -> c -> d -> b");
        assert_eq!(
            checked(&[("a", "a")]).unwrap_err().problems[0].value,
            "a -> a"
        );
        assert_eq!(checked(&[("", "a")]).unwrap_err().problems.len(), 1);
    }

    #[test]
    fn a_long_chain_is_walked_in_one_go() {
        let names: Vec<String> = (0..MOST_PAIRS).map(|n| n.to_string()).collect();
        let pairs: Vec<_> = names
            .windows(2)
            .map(|w| (w[0].clone(), w[1].clone()))
            .collect();
        assert_eq!(Topology::check(&pairs), Ok(()));
    }
}
