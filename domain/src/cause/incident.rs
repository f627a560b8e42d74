//! The cause of an incident by its alerts, who depends on whom, and the patch waves that reached its
//! machines.

mod network;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::Timestamp;

use self::network::{Network, counts};
pub use self::network::{changed_around, silent_around};
use super::{
    Anomaly, Because, CauseReport, Fact, GraphError, Past, Piece, RecentChange, SuspectMachine,
    Wave, alerts::SLACK_SECS, by_alerts,
};
use crate::{
    alert::{Alert, AlertSeverity, clean},
    triage::Suspect,
};

/// Suspects that are written down.
const SUSPECTS: usize = 5;
/// Reasons of one that are written down.
const REASONS: usize = 4;
/// First patch waves that are written down although no reason rests on them.
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

/// Looks for the cause of an incident. `past`: incidents that looked alike, or `None` when the memory
/// could not be asked.
///
/// # Errors
/// Never for what [`Known`] can hold: there are fewer machines than a graph may have.
pub fn explain(known: &Known<'_>, past: Option<Vec<Past>>) -> Result<CauseReport, GraphError> {
    let mut report = ranked(known, &[])?;
    report.memory_asked = past.is_some();
    for (number, past) in (1..).zip(past.into_iter().flatten()) {
        let (id, fact) = (format!("past_{number}"), Fact::Past(past));
        report.evidence.push(Piece { id, fact });
    }
    Ok(report)
}

/// Ranks again, now that devices have said what ran on them: scripts are recent changes, as patch waves are.
/// Everything else that is known stays.
///
/// # Errors
/// As [`explain`].
pub fn rank_again(known: &Known<'_>, before: CauseReport) -> Result<CauseReport, GraphError> {
    let is_scripts = |piece: &&Piece| matches!(piece.fact, Fact::Scripts { .. });
    let ran: Vec<&Piece> = before.evidence.iter().filter(is_scripts).collect();
    let found = ranked(known, &ran)?;
    let mut evidence = found.evidence;
    let stays = |piece: &Piece| !matches!(piece.fact, Fact::Alert { .. } | Fact::Wave(_));
    evidence.extend(before.evidence.into_iter().filter(stays));
    Ok(CauseReport {
        confidence_permille: found.confidence_permille,
        abstain: found.abstain,
        suspects: found.suspects,
        evidence,
        ..before
    })
}

/// Ranks by alerts, patch waves and what ran on devices. The evidence: alerts and waves.
fn ranked(known: &Known<'_>, ran: &[&Piece]) -> Result<CauseReport, GraphError> {
    let network = Network::of(known);
    let graph = network.graph(known.depends_on)?;
    let (anomalies, mut evidence) = first_alerts(known, &network);
    let begun = anomalies.iter().map(|anomaly| anomaly.at).min();
    let noticed = begun.map(|begun| begun + SLACK_SECS);
    let (mut changes, waves) = waves(known, &network, noticed);
    evidence.extend(waves);
    changes.extend(
        ran.iter()
            .filter_map(|piece| script(piece, &network, noticed?)),
    );
    let causes = by_alerts(&graph, &anomalies, &changes);
    let suspects = causes.candidates.iter().take(SUSPECTS);
    let suspects: Vec<SuspectMachine> = suspects
        .map(|candidate| SuspectMachine {
            machine: network.names[candidate.node.0 as usize].clone(),
            share_permille: permille(candidate.score),
            because: candidate.because.iter().take(REASONS).map(short).collect(),
        })
        .collect();
    let because = suspects.iter().flat_map(|one| &one.because);
    let rests_on: BTreeSet<&str> = because.map(|one| one.evidence.as_str()).collect();
    let (mut alerts, mut waves) = (0, 0);
    evidence.retain(|piece| {
        let (count, most) = match piece.fact {
            Fact::Wave(_) => (&mut waves, WAVES),
            _ => (&mut alerts, ALERTS),
        };
        *count += 1;
        *count <= most || rests_on.contains(piece.id.as_str())
    });
    Ok(CauseReport {
        version: known.version,
        at: known.at,
        confidence_permille: causes.confidence_permille,
        abstain: causes.abstain,
        suspects,
        evidence,
        memory_asked: false,
        compared: None,
        measurable: false,
        told: None,
        advice: None,
    })
}

/// The first alert of each machine.
fn first_alerts(known: &Known<'_>, network: &Network) -> (Vec<Anomaly>, Vec<Piece>) {
    let mut alerts: Vec<&Alert> = known.alerts.iter().collect();
    alerts.sort_by_key(|alert| (alert.said.raised_at, alert.said.id.clone()));
    let (mut anomalies, mut evidence) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for alert in alerts {
        let machine = alert.machine();
        let Some(node) = network.node(machine).filter(|_| seen.insert(machine)) else {
            continue;
        };
        let title = clean(&alert.said.title, TEXT_BYTES).0;
        let id = format!("alert_{}", seen.len());
        anomalies.push(Anomaly {
            node,
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
    (anomalies, evidence)
}

/// All patch waves, those first that may be the cause by their time or have left something over.
fn waves(
    known: &Known<'_>,
    network: &Network,
    noticed: Option<i64>,
) -> (Vec<RecentChange>, Vec<Piece>) {
    let is_recent = |one: &Suspect| noticed.is_some_and(|noticed| counts(one.since, noticed));
    let mut suspects: Vec<&Suspect> = known.suspects.iter().collect();
    suspects.sort_by_key(|one| !(one.left_over || is_recent(one)));
    let (mut changes, mut evidence) = (Vec::new(), Vec::new());
    for (number, suspect) in (1..).zip(suspects) {
        let id = format!("wave_{number}");
        if let Some(node) = network.node(suspect.device.as_str()) {
            changes.push(RecentChange {
                node,
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
        let fact = Fact::Wave(wave);
        evidence.push(Piece { id, fact });
    }
    (changes, evidence)
}

/// The last script that ran on a device before the trouble was noticed. What ran afterwards is rather an
/// answer to it.
fn script(piece: &Piece, network: &Network, noticed: i64) -> Option<RecentChange> {
    let Fact::Scripts { device, runs, .. } = &piece.fact else {
        return None;
    };
    let times = runs.times.iter().map(|at| at.as_second());
    Some(RecentChange {
        node: network.node(device.as_str())?,
        at: times.filter(|at| *at <= noticed).max()?,
        what: "a script ran on it".to_owned(),
        evidence: piece.id.clone(),
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
