//! What the rule is not sure of.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{Candidate, HARDLY, NEARLY, Proposal, Said};
use crate::{
    alert::{Alert, clean},
    incident::{Comparison, Side, Topology},
    triage::{IncidentKey, IncidentRecord, IncidentStatus, Suspect},
};

/// Incidents that opened within this time of each other may be one. Alerts join within seconds, and within ten
/// minutes where one depends on the other: an hour holds what came late.
pub const NEAR: SignedDuration = SignedDuration::from_hours(1);
/// Proposals of each kind, at most.
const MERGES: usize = 4;
const SPLITS: usize = 3;
/// Machines of an incident that are compared.
const MACHINES: usize = 64;
/// Machines that one proposal takes out.
const TAKEN_OUT: usize = 20;
/// Alerts that are looked at of this incident, and of each other one.
const OWN: usize = 8;
const OF_OTHERS: usize = 3;
/// Titles that are compared of an incident.
const TITLES: usize = 20;
/// Bytes of a title that are kept.
const TEXT_BYTES: usize = 160;

/// What near misses are looked for in.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The incident.
    pub record: &'a IncidentRecord,
    /// Its alerts.
    pub alerts: &'a [Alert],
    /// Incidents of the same client, those that were merged too.
    pub others: &'a [IncidentRecord],
    /// The network.
    pub topology: &'a Topology,
}

/// Finds older open incidents that nearly took this one in, and machines that hardly joined it, with what their
/// alerts say. What people have put together or apart is not asked about again.
#[must_use]
pub fn near_misses(known: &Known<'_>) -> (Vec<Candidate>, Vec<Said>) {
    let (record, mut comparison) = (known.record, Comparison::over(known.topology));
    if record.status != IncidentStatus::Open || !record.is_answered() || record.news.blackout {
        return (Vec::new(), Vec::new());
    }
    let merges = merges(known, &mut comparison);
    let first = first_alerts(known);
    let splits = splits(known, &mut comparison, &first);
    let named: BTreeSet<&str> = splits
        .iter()
        .flat_map(|one| match &one.proposal {
            Proposal::Split { machines } => machines.as_slice(),
            Proposal::Merge { .. } => &[],
        })
        .map(String::as_str)
        .collect();
    let mut own: Vec<&Alert> = first.clone();
    own.sort_by_key(|alert| !named.contains(alert.machine()));
    let mut said: Vec<Said> = Vec::new();
    let mut say = |incident: &IncidentKey, machine: Option<&str>, title: &str| {
        said.push(Said {
            id: format!("alert_{}", said.len() + 1),
            incident: incident.clone(),
            machine: machine.map(ToOwned::to_owned),
            title: clean(title, TEXT_BYTES).0,
        });
    };
    let mut candidates = merges;
    candidates.extend(splits);
    if !candidates.is_empty() {
        for alert in own.into_iter().take(OWN) {
            say(&record.key, Some(alert.machine()), &alert.said.title);
        }
    }
    for (number, candidate) in (1..).zip(&mut candidates) {
        candidate.id = format!("{}_{number}", candidate.id);
        if let Proposal::Merge { into } = &candidate.proposal
            && let Some(other) = known.others.iter().find(|other| other.key == *into)
        {
            let titles = other.news.incident.titles.iter().take(OF_OTHERS);
            titles.for_each(|title| say(into, None, title));
        }
    }
    (candidates, said)
}

fn merges(known: &Known<'_>, comparison: &mut Comparison<'_>) -> Vec<Candidate> {
    let (record, own) = (known.record, side_of(known.record));
    let numbers = |one: &IncidentRecord| (one.opened_at, one.key.number());
    let older = known.others.iter().filter(|other| {
        other.status == IncidentStatus::Open
            && other.is_answered()
            && !other.news.blackout
            && numbers(other) < numbers(record)
            && !are_apart(record, other)
    });
    let mut found: Vec<Candidate> = older
        .map(|other| {
            let side = side_of(other);
            Candidate {
                id: "merge".to_owned(),
                proposal: Proposal::Merge {
                    into: other.key.clone(),
                },
                link: comparison.link(&own, &side, near_ms()),
                apart_secs: apart(&own, &side),
            }
        })
        .filter(|one| one.link.score() >= NEARLY)
        .collect();
    found.sort_by_key(|one| std::cmp::Reverse(one.link.score()));
    found.truncate(MERGES);
    found
}

/// One goes on from the other, or people have parted them.
fn are_apart(one: &IncidentRecord, other: &IncidentRecord) -> bool {
    let knows = |one: &IncidentRecord, other: &IncidentRecord| {
        let (incident, number) = (&one.news.incident, other.key.number());
        incident.parted_from == Some(number) || incident.goes_on_from == Some(number)
    };
    knows(one, other) || knows(other, one)
}

/// The first alert of each machine, in order of time.
fn first_alerts<'a>(known: &Known<'a>) -> Vec<&'a Alert> {
    let mut alerts: Vec<&Alert> = known.alerts.iter().collect();
    alerts.sort_by_key(|alert| (alert.said.raised_at, alert.said.id.clone()));
    let mut seen = BTreeSet::new();
    alerts.retain(|alert| !alert.machine().is_empty() && seen.insert(alert.machine().to_owned()));
    alerts.truncate(MACHINES);
    alerts
}

/// Machines join in order of their first alert, as in the correlator: each goes with the one before it that it is
/// firmly linked to. Those that do not go with the first one hardly joined.
fn splits(known: &Known<'_>, comparison: &mut Comparison<'_>, first: &[&Alert]) -> Vec<Candidate> {
    let links = &known.record.news.incident.links;
    if !links.iter().any(|link| link.score() < HARDLY) {
        return Vec::new();
    }
    let merged = merged_machines(known);
    let suspects = &known.record.news.suspects;
    let mut groups: Vec<Group<'_>> = Vec::new();
    for alert in first {
        let side = Side {
            at_ms: alert.said.raised_at.as_millisecond(),
            titles: vec![&alert.said.title],
            machines: BTreeSet::from([alert.machine()]),
            changes: changes(
                suspects
                    .iter()
                    .filter(|one| one.device.as_str() == alert.machine()),
            ),
        };
        let is_merged = merged.contains(alert.machine());
        let mut best: Option<(usize, Candidate)> = None;
        for (place, group) in groups.iter().enumerate() {
            for member in &group.members {
                let link = comparison.link(&side, member, near_ms());
                if best
                    .as_ref()
                    .is_none_or(|(_, one)| link.score() > one.link.score())
                {
                    let candidate = Candidate {
                        id: "split".to_owned(),
                        proposal: Proposal::Split { machines: vec![] },
                        link,
                        apart_secs: apart(&side, member),
                    };
                    best = Some((place, candidate));
                }
            }
        }
        match best {
            // What people have put together stays with the first.
            Some(_) if is_merged => groups[0].members.push(side),
            Some((place, near)) if near.link.score() >= HARDLY => groups[place].members.push(side),
            near => groups.push(Group {
                weak: near.map(|(_, candidate)| candidate),
                members: vec![side],
            }),
        }
    }
    let mut found: Vec<Candidate> = groups
        .into_iter()
        .filter_map(|group| {
            let machines = group.members.iter().flat_map(|one| one.machines.iter());
            let machines: Vec<String> = machines.map(|one| (*one).to_owned()).collect();
            Some(Candidate {
                proposal: Proposal::Split { machines },
                ..group.weak?
            })
        })
        .filter(|one| matches!(&one.proposal, Proposal::Split { machines } if machines.len() <= TAKEN_OUT))
        .collect();
    found.sort_by_key(|one| one.link.score());
    found.truncate(SPLITS);
    found
}

/// Machines that are firmly linked, and how weakly the first of them joined those before; the first group joined
/// nobody.
struct Group<'a> {
    weak: Option<Candidate>,
    members: Vec<Side<'a>>,
}

/// Machines of incidents that this one has taken in.
fn merged_machines<'a>(known: &Known<'a>) -> BTreeSet<&'a str> {
    let key = &known.record.key;
    let taken_in = known.others.iter().filter(
        |other| matches!(&other.status, IncidentStatus::MergedInto { incident } if incident == key),
    );
    let machines = taken_in.flat_map(|other| &other.news.incident.devices);
    machines.map(String::as_str).collect()
}

fn side_of(record: &IncidentRecord) -> Side<'_> {
    let incident = &record.news.incident;
    Side {
        at_ms: incident.opened_ms,
        titles: incident
            .titles
            .iter()
            .take(TITLES)
            .map(String::as_str)
            .collect(),
        machines: incident
            .devices
            .iter()
            .take(MACHINES)
            .map(String::as_str)
            .collect(),
        changes: changes(&record.news.suspects),
    }
}

fn changes<'a>(suspects: impl IntoIterator<Item = &'a Suspect>) -> BTreeSet<String> {
    let each = suspects.into_iter();
    each.map(|one| format!("{}/{}", one.plan, one.ring))
        .collect()
}

fn apart(one: &Side<'_>, other: &Side<'_>) -> u64 {
    one.at_ms.abs_diff(other.at_ms) / 1_000
}

fn near_ms() -> i64 {
    NEAR.as_secs().saturating_mul(1_000)
}
