//! Root causes: which node of a dependency graph made another one suffer.
//!
//! Two kinds of evidence. With measurements ([`by_metrics`]), a node is suspected for what it adds
//! itself: the extra time or the failed requests it shows, less what those it calls show. With alerts
//! alone ([`by_alerts`]), for the suffering nodes that depend on it and failed after it. A recent
//! change on a node makes it more suspect. Every candidate names its evidence; when nothing stands
//! out, the answer is to abstain.

mod alerts;
mod confidence;
mod graph;
mod incident;
mod measured;
mod metrics;
mod programs;
mod report;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::{
    alerts::{Anomaly, by_alerts},
    graph::{Graph, GraphError, Node},
    incident::{Known, changed_around, explain, rank_again, silent_around},
    measured::{Measured, measured},
    metrics::{Measure, Metrics, by_metrics},
    programs::spoken_of,
    report::{
        ByRule, CauseReport, Compared, Fact, Figures, Narrative, Past, Piece, ScriptRuns,
        SuspectMachine, Told, Wave,
    },
};

/// Candidates that are told, at most.
pub const CANDIDATES: usize = 10;

/// A change made before the trouble was noticed: a patch, a script, a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentChange {
    /// Where it was made.
    pub node: Node,
    /// When, Unix seconds.
    pub at: i64,
    /// What, for a person, such as `KB5031234 was installed`.
    pub what: String,
    /// Names it among the evidence.
    pub evidence: String,
}

/// One reason to suspect a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Because {
    /// The evidence it rests on.
    pub evidence: String,
    /// For a person.
    pub text: String,
}

/// A node that may be the cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The node.
    pub node: Node,
    /// Its share of all suspicion, 0 to 1.
    pub score: f64,
    /// Why; never empty.
    pub because: Vec<Because>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Causes {
    /// The most suspect node first, at most [`CANDIDATES`].
    pub candidates: Vec<Candidate>,
    /// How likely the first is the cause, in per mille; calibrated, see `docs/alerts.md`.
    pub confidence_permille: u16,
    /// Whether the evidence is too weak to name a cause.
    pub abstain: bool,
}

/// Below this confidence the answer is to abstain.
const ABSTAIN_BELOW: u16 = 400;

impl Causes {
    fn of(mut suspects: Vec<(f64, Node, Vec<Because>)>, confidence_permille: u16) -> Self {
        suspects.sort_by(|a, b| b.0.total_cmp(&a.0));
        let total: f64 = suspects.iter().map(|(score, ..)| score).sum();
        suspects.truncate(CANDIDATES);
        let candidates = suspects
            .into_iter()
            .map(|(score, node, because)| Candidate {
                node,
                score: if total > 0.0 { score / total } else { 0.0 },
                because,
            });
        Self {
            candidates: candidates.collect(),
            confidence_permille,
            abstain: confidence_permille < ABSTAIN_BELOW,
        }
    }
}

/// How long before the trouble a change is suspected, in seconds.
const SUSPECTED_SECS: i64 = 6 * 3_600;

/// Returns by how much the changes on a node raise suspicion, and puts them before the other reasons, in their
/// order.
fn changes_on(
    node: Node,
    noticed: i64,
    changes: &[RecentChange],
    because: &mut Vec<Because>,
) -> f64 {
    /// A change right before the trouble: as suspect as four times the evidence.
    const JUST_BEFORE: f64 = 3.0;
    let mut most: f64 = 0.0;
    let mut reasons = Vec::new();
    for change in changes.iter().filter(|change| change.node == node) {
        let age = noticed.saturating_sub(change.at);
        if !(0..=SUSPECTED_SECS).contains(&age) {
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "a share of six hours")]
        let fresh = 1.0 - age as f64 / SUSPECTED_SECS as f64;
        most = most.max(JUST_BEFORE * fresh);
        reasons.push(Because {
            evidence: change.evidence.clone(),
            text: format!("{} {} min before", change.what, age / 60),
        });
    }
    because.splice(0..0, reasons);
    1.0 + most
}
