//! Causes by alerts alone: who failed first, and who depends on whom.

use serde::{Deserialize, Serialize};

use super::{
    Because, Causes, RecentChange, changes_on,
    confidence::{self, AlertEvidence},
    graph::{Graph, Node},
};

/// Something a node was noticed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// The node.
    pub node: Node,
    /// When it began, Unix seconds.
    pub at: i64,
    /// How surprising it is; in points as incidents have them.
    pub points: u32,
    /// Names it among the evidence.
    pub evidence: String,
    /// What it is, for a person.
    pub what: String,
}

/// Clocks and polls differ by so much, in seconds.
pub(super) const SLACK_SECS: i64 = 300;
/// What a node that shows nothing itself is worth as a cause: it is only what suspects share.
const UNSEEN: f64 = 0.25;

/// Ranks the causes of anomalies. How far the confidence is calibrated is told in `docs/alerts.md`.
///
/// A node explains its own and those of the nodes that depend on it,
/// unless they began clearly before.
#[must_use]
pub fn by_alerts(graph: &Graph, anomalies: &[Anomaly], changes: &[RecentChange]) -> Causes {
    ranked(graph, anomalies, changes).0
}

/// As [`by_alerts`], with what the confidence rests on; none without anomalies.
pub(super) fn ranked(
    graph: &Graph,
    anomalies: &[Anomaly],
    changes: &[RecentChange],
) -> (Causes, Option<AlertEvidence>) {
    let mut first: Vec<Option<&Anomaly>> = vec![None; graph.len()];
    for anomaly in anomalies {
        if let Some(slot) = first.get_mut(anomaly.node.index())
            && slot.is_none_or(|known| anomaly.at < known.at)
        {
            *slot = Some(anomaly);
        }
    }
    let begun = first.iter().flatten().map(|anomaly| anomaly.at).min();
    let Some(begun) = begun else {
        return (Causes::of(Vec::new(), 0), None);
    };
    let mut may = vec![false; graph.len()];
    for anomaly in first.iter().flatten() {
        for (node, _) in graph.reached_from(anomaly.node) {
            may[node.index()] = true;
        }
    }
    let nodes = (0_u32..).map(Node).take(graph.len());
    let mut suspects = Vec::new();
    for node in nodes.filter(|node| may[node.index()]) {
        if let Some(suspect) = suspect(graph, &first, node, begun, changes) {
            suspects.push(suspect);
        }
    }
    let evidence = evidence(graph, &first, begun, changes, &suspects);
    let sure = evidence.as_ref().map_or(0, confidence::by_alerts);
    (Causes::of(suspects, sure), evidence)
}

/// Looks at what is known of the first candidate.
fn evidence(
    graph: &Graph,
    first: &[Option<&Anomaly>],
    begun: i64,
    changes: &[RecentChange],
    suspects: &[(f64, Node, Vec<Because>)],
) -> Option<AlertEvidence> {
    let total: f64 = suspects.iter().map(|(score, ..)| score).sum();
    // Of equals the one that is told first, as they are sorted.
    let (score, node) = suspects
        .iter()
        .map(|(score, node, _)| (*score, *node))
        .reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    let reaching = graph.reaching(node).into_iter();
    Some(AlertEvidence {
        share: if total > 0.0 { score / total } else { 0.0 },
        machines: first.iter().flatten().count(),
        explained: reaching
            .filter(|(other, _)| first[other.index()].is_some())
            .count(),
        seen: first[node.index()].is_some(),
        changed: changes_on(node, begun + SLACK_SECS, changes, &mut Vec::new()) > 1.0,
    })
}

fn suspect(
    graph: &Graph,
    first: &[Option<&Anomaly>],
    node: Node,
    begun: i64,
    changes: &[RecentChange],
) -> Option<(f64, Node, Vec<Because>)> {
    let own = first[node.index()];
    let (mut explained, mut depending) = (0.0, Vec::new());
    for (other, steps) in graph.reaching(node) {
        let Some(anomaly) = first[other.index()] else {
            continue;
        };
        let began_after = own.is_none_or(|own| anomaly.at >= own.at - SLACK_SECS);
        if began_after {
            // The further away, the more others may be the cause.
            explained += f64::from(anomaly.points.max(1)) / f64::from(steps + 1).sqrt();
            if other != node {
                depending.push(anomaly);
            }
        }
    }
    if explained <= 0.0 {
        return None;
    }
    // What it depends on and failed no later explains it as well: then it is less suspect.
    let below = graph
        .reached_from(node)
        .into_iter()
        .skip(1)
        .filter(|(other, _)| {
            let deeper = first[other.index()];
            deeper.is_some_and(|deeper| own.is_none_or(|own| deeper.at <= own.at + SLACK_SECS))
        });
    let excused = 1.0 / (1.0 + f64::from(u32::try_from(below.count()).unwrap_or(u32::MAX)));
    let mut because = Vec::new();
    if let Some(own) = own {
        because.push(Because {
            evidence: own.evidence.clone(),
            text: format!(
                "{}, {} min after the first alert",
                own.what,
                (own.at - begun) / 60
            ),
        });
    }
    if let Some(anomaly) = depending.first() {
        because.push(Because {
            evidence: anomaly.evidence.clone(),
            text: match depending.len() {
                1 => "1 device that depends on it has alerts".to_owned(),
                count => format!("{count} devices that depend on it have alerts"),
            },
        });
    }
    // What began long after the first alert is a consequence rather than the cause.
    let late = own.map_or(0, |own| (own.at - begun - SLACK_SECS).max(0));
    #[expect(clippy::cast_precision_loss, reason = "a ratio of times")]
    let early = 1.0 / (1.0 + late as f64 / SLACK_SECS as f64);
    let seen = if own.is_some() { 1.0 } else { UNSEEN };
    let suspected = changes_on(node, begun + SLACK_SECS, changes, &mut because);
    Some((
        explained * excused * early * seen * suspected,
        node,
        because,
    ))
}
