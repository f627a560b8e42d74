//! How risky it is to deploy a set of patches, and how urgent. Rule-based and explained: every
//! point comes from one piece of evidence, so that a model can refine it and a person can check it.
//!
//! Two figures, both in per mille, because they pull apart: a fresh cumulative update for every
//! server is risky to deploy, an exploited hole on an exposed device is risky to leave.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{
    device::{Criticality, Device, Exposure, Platform},
    patch::{PatchFacts, Severity},
};

/// What is assessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskInput {
    /// The patches of the plan.
    pub patches: Vec<PatchFacts>,
    /// The devices of the plan, counted.
    pub devices: DeviceSummary,
    /// Whether the plan may restart devices.
    pub may_reboot: bool,
    /// Whether a failed installation is rolled back.
    pub rollback: bool,
    /// The day of the assessment, UTC.
    pub today: Date,
}

/// Devices of a plan, counted by what matters to risk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSummary {
    /// Devices in the plan.
    pub total: u32,
    /// Devices of the client in all; 0 when not known.
    pub client_total: u32,
    /// Servers in the plan.
    pub servers: u32,
    /// Devices of high criticality.
    pub high: u32,
    /// Devices of critical criticality.
    pub critical: u32,
    /// Devices reachable from the internet.
    pub exposed: u32,
}

impl DeviceSummary {
    /// Counts devices.
    pub fn of<'a>(devices: impl IntoIterator<Item = &'a Device>, client_total: u32) -> Self {
        let mut sum = Self {
            client_total,
            ..Self::default()
        };
        for device in devices {
            sum.total += 1;
            sum.servers += u32::from(device.platform == Platform::WindowsServer);
            sum.high += u32::from(device.criticality.value == Criticality::High);
            sum.critical += u32::from(device.criticality.value == Criticality::Critical);
            sum.exposed += u32::from(device.exposure.value == Exposure::Exposed);
        }
        sum
    }
}

/// Risk in words; thresholds on the score are those of [`RiskLevel::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskLevel {
    /// Below 300 per mille.
    Low,
    /// 300 to 599.
    Medium,
    /// 600 to 799.
    High,
    /// 800 and more.
    Critical,
}

impl RiskLevel {
    /// Returns the level of a score in per mille.
    #[must_use]
    pub fn of(score_permille: u16) -> Self {
        match score_permille {
            0..300 => Self::Low,
            300..600 => Self::Medium,
            600..800 => Self::High,
            _ => Self::Critical,
        }
    }

    /// Returns the word used in search attributes and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Which figure a contribution counts towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Risk of deploying.
    Change,
    /// Risk of leaving it.
    Urgency,
}

/// One piece of evidence and the points it gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// Evidence id, such as `blast_radius` or `severity:KB5034441`; stable for equal input.
    pub evidence: String,
    /// Figure it counts towards.
    pub figure: Figure,
    /// Points in per mille.
    pub points: u16,
    /// Why, in a few words made of our own vocabulary and figures.
    pub reason: String,
}

/// The answer: two figures with their parts, and what a model added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskAssessment {
    /// Risk of deploying, 0 to 1000.
    pub score_permille: u16,
    /// Its level.
    pub level: RiskLevel,
    /// Risk of leaving it, 0 to 1000.
    pub urgency_permille: u16,
    /// How much of the evidence was known, 0 to 1000.
    pub confidence_permille: u16,
    /// Where the points come from, in a fixed order.
    pub contributions: Vec<Contribution>,
    /// True when no model could be asked or its answer was unusable.
    pub degraded: bool,
    /// Explanation by the model; untrusted text, capped.
    #[serde(default)]
    pub explanation: Option<String>,
    /// Model that explained, with its id.
    #[serde(default)]
    pub model: Option<String>,
}

impl RiskAssessment {
    /// Returns the risk of deploying that guardrails are asked with: a model may raise what the rules
    /// found, and never talk it down.
    #[must_use]
    pub fn guarded_permille(&self) -> u16 {
        let parts = self
            .contributions
            .iter()
            .filter(|c| c.figure == Figure::Change);
        let by_rule = parts.map(|c| c.points).sum::<u16>().min(1000);
        self.score_permille.max(by_rule)
    }
}

/// Assesses by rule. House rule, not a published formula; each cap is stated beside its part:
/// change = blast radius 300 + criticality 300 + reboot 150 + novelty 200 + no rollback 50,
/// urgency = severity or CVSS 500 + known exploited 300 + exposure 200.
#[must_use]
pub fn assess(input: &RiskInput) -> RiskAssessment {
    let mut parts = vec![blast_radius(&input.devices), criticality(&input.devices)];
    parts.push(reboot(input));
    parts.extend(
        input
            .patches
            .iter()
            .map(|patch| novelty(patch, input.today))
            .max_by_key(|c| c.points),
    );
    if !input.rollback {
        parts.push(change(
            "no_rollback",
            50,
            "a failed installation stays as it is",
        ));
    }
    parts.extend(input.patches.iter().map(severity).max_by_key(|c| c.points));
    parts.extend(input.patches.iter().filter_map(exploited).next());
    parts.push(exposure(&input.devices));

    let total = |figure| -> u16 {
        parts
            .iter()
            .filter(|c| c.figure == figure)
            .map(|c| c.points)
            .sum::<u16>()
            .min(1000)
    };
    let score_permille = total(Figure::Change);
    RiskAssessment {
        score_permille,
        level: RiskLevel::of(score_permille),
        urgency_permille: total(Figure::Urgency),
        confidence_permille: confidence(input),
        contributions: parts,
        degraded: false,
        explanation: None,
        model: None,
    }
}

fn change(evidence: impl Into<String>, points: u16, reason: impl Into<String>) -> Contribution {
    Contribution {
        evidence: evidence.into(),
        figure: Figure::Change,
        points,
        reason: reason.into(),
    }
}

fn urgency(evidence: impl Into<String>, points: u16, reason: impl Into<String>) -> Contribution {
    Contribution {
        evidence: evidence.into(),
        figure: Figure::Urgency,
        points,
        reason: reason.into(),
    }
}

/// 30 points for each doubling of the device count, at most 300 (about 1,000 devices).
fn blast_radius(devices: &DeviceSummary) -> Contribution {
    let doublings = u16::try_from(devices.total.max(1).ilog2()).unwrap_or(u16::MAX);
    change(
        "blast_radius",
        (doublings * 30).min(300),
        format!("{} devices", devices.total),
    )
}

/// Up to 300 by the share of important devices: high counts half, critical full.
fn criticality(devices: &DeviceSummary) -> Contribution {
    let weighted = u64::from(devices.high) + 2 * u64::from(devices.critical);
    let points = weighted * 150 / u64::from(devices.total.max(1));
    change(
        "criticality",
        u16::try_from(points.min(300)).unwrap_or(300),
        format!(
            "{} high, {} critical, {} servers",
            devices.high, devices.critical, devices.servers
        ),
    )
}

fn reboot(input: &RiskInput) -> Contribution {
    let needed = input
        .patches
        .iter()
        .any(|p| p.restart_required != Some(false));
    match (needed, input.may_reboot) {
        (true, true) => change("reboot", 150, "a restart is needed and allowed"),
        (true, false) => change("reboot", 60, "a restart is needed and left to the user"),
        (false, _) => change("reboot", 0, "no restart needed"),
    }
}

/// A patch that few have installed yet is the likelier to break something.
fn novelty(patch: &PatchFacts, today: Date) -> Contribution {
    let id = format!("novelty:{}", patch.kb);
    let Some(published) = patch.published else {
        return change(id, 120, "day of publication not known");
    };
    let days = days_between(published, today);
    let points = match days {
        ..7 => 200,
        7..14 => 120,
        14..30 => 60,
        _ => 0,
    };
    change(id, points, format!("published {days} days ago"))
}

/// Vendor severity or the highest CVSS base score, whichever is more.
fn severity(patch: &PatchFacts) -> Contribution {
    let vendor = match patch.severity {
        Severity::Critical => 450,
        Severity::Important => 330,
        Severity::Moderate => 200,
        Severity::Low => 80,
        Severity::Unknown => 150,
    };
    let cvss = patch.cves.iter().filter_map(|c| c.base_score_tenths).max();
    let by_cvss = cvss.map_or(0, |tenths| u16::from(tenths) * 5);
    let reason = match cvss {
        Some(tenths) => format!("CVSS {}.{}", tenths / 10, tenths % 10),
        None => "no CVSS score known".to_owned(),
    };
    urgency(
        format!("severity:{}", patch.kb),
        vendor.max(by_cvss).min(500),
        reason,
    )
}

fn exploited(patch: &PatchFacts) -> Option<Contribution> {
    let cve = patch.cves.iter().find(|c| c.known_exploited)?;
    Some(urgency(
        format!("exploited:{}", cve.id),
        300,
        "known to be exploited (CISA)",
    ))
}

fn exposure(devices: &DeviceSummary) -> Contribution {
    let points = u64::from(devices.exposed) * 200 / u64::from(devices.total.max(1));
    let points = if devices.exposed > 0 {
        points.max(50)
    } else {
        0
    };
    urgency(
        "exposure",
        u16::try_from(points.min(200)).unwrap_or(200),
        format!("{} reachable from the internet", devices.exposed),
    )
}

/// Takes away for what is not known: severity, day of publication, scores of named CVEs.
fn confidence(input: &RiskInput) -> u16 {
    let mut confidence: u16 = 1000;
    let any = |test: fn(&PatchFacts) -> bool| input.patches.iter().any(test);
    if any(|p| p.published.is_none()) {
        confidence -= 150;
    }
    if any(|p| {
        p.severity == Severity::Unknown && p.cves.iter().all(|c| c.base_score_tenths.is_none())
    }) {
        confidence -= 250;
    }
    if any(|p| p.cves.iter().any(|c| c.unavailable)) {
        confidence -= 150;
    }
    confidence
}

fn days_between(from: Date, to: Date) -> i64 {
    to.since(from).map_or(0, |span| i64::from(span.get_days()))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::patch::CveFacts;

    fn patch() -> PatchFacts {
        PatchFacts {
            kb: "KB5034441".parse().unwrap(),
            title: "t".into(),
            severity: Severity::Important,
            category: "Security Updates".into(),
            published: Some(date(2024, 1, 9)),
            restart_required: Some(true),
            cves: vec![],
        }
    }

    fn input(total: u32) -> RiskInput {
        RiskInput {
            patches: vec![patch()],
            devices: DeviceSummary {
                total,
                ..DeviceSummary::default()
            },
            may_reboot: true,
            rollback: true,
            today: date(2024, 6, 1),
        }
    }

    #[test]
    fn the_score_is_the_sum_of_its_parts() {
        let result = assess(&input(12));
        let sum: u16 = result
            .contributions
            .iter()
            .filter(|c| c.figure == Figure::Change)
            .map(|c| c.points)
            .sum();
        assert_eq!(result.score_permille, sum);
        assert!(!result.degraded);
    }

    #[test]
    fn a_model_cannot_talk_the_risk_down_for_guardrails() {
        let mut result = assess(&input(12));
        let by_rule = result.score_permille;
        result.score_permille = by_rule - 100;
        assert_eq!(result.guarded_permille(), by_rule);
        result.score_permille = by_rule + 100;
        assert_eq!(result.guarded_permille(), by_rule + 100);
    }

    #[test]
    fn more_devices_and_a_fresh_patch_are_riskier() {
        let old = assess(&input(12)).score_permille;
        let many = assess(&input(1200)).score_permille;
        let mut fresh = input(12);
        fresh.today = date(2024, 1, 10);
        assert!(many > old && assess(&fresh).score_permille > old);
    }

    #[test]
    fn an_exploited_hole_is_urgent_and_does_not_change_the_risk_of_deploying() {
        let plain = assess(&input(12));
        let mut exploited = input(12);
        exploited.patches[0].cves = vec![CveFacts {
            id: "CVE-2024-20666".parse().unwrap(),
            base_score_tenths: Some(66),
            cvss_version: Some("3.1".into()),
            vector: None,
            score_source: None,
            known_exploited: true,
            status: None,
            unavailable: false,
        }];
        let result = assess(&exploited);
        assert_eq!(result.score_permille, plain.score_permille);
        assert_eq!(result.urgency_permille, plain.urgency_permille + 300);
    }

    #[test]
    fn what_is_not_known_lowers_confidence() {
        let mut unknown = input(1);
        unknown.patches[0].published = None;
        unknown.patches[0].severity = Severity::Unknown;
        assert!(assess(&unknown).confidence_permille < assess(&input(1)).confidence_permille);
    }
}
