//! How important an incident is, and why in words.

use serde::{Deserialize, Serialize};

use crate::alert::AlertSeverity;

use super::{
    Millis, RANKED_AFTER_SECS, SECOND,
    names::Names,
    record::{IncidentId, Record},
};

/// The second most surprising kind counts so much of itself, the third the square, and so on: kinds
/// that come together are seldom independent.
const NEXT_KIND: f64 = 0.7;
/// An incident that goes on from another is no news.
const GOES_ON: f64 = 0.3;
/// What is more surprising than this lifts what is close to it.
pub(super) const NOTEWORTHY: f64 = 12.0;
/// How much of it, and how much for a digest, which has nothing else.
const NEAR: f64 = 0.5;
const NEAR_DIGEST: f64 = 1.0;
/// Points for the worst severity, and for an update that may be the cause.
const CRITICAL: u32 = 600;
const HIGH: u32 = 200;
const SUSPECT: u32 = 400;
/// How long an incident lifts later ones; earlier ones as long as ranking waits.
const AFTERWARDS: Millis = 3_600 * SECOND;
const BEFOREHAND: Millis = RANKED_AFTER_SECS * SECOND;

/// The rank of an incident. Fixed once given: it never changes with later alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priority {
    /// More is more important.
    pub points: u32,
    /// When it was given, Unix milliseconds.
    pub ranked_at_ms: i64,
    /// What the points are for.
    pub reasons: Vec<Reason>,
}

/// One reason for a rank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For a person.
    pub text: String,
    /// Points it brings.
    pub points: u32,
}

/// An incident that lifts what is close to it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Anchor {
    pub(super) id: IncidentId,
    pub(super) opened: Millis,
    pub(super) surprise: f64,
}

/// Returns how surprising an incident is by its kinds of alerts.
fn surprise(record: &Record) -> f64 {
    if record.routine {
        return 0.0;
    }
    let mut weight = share(record.generation);
    let mut sum = 0.0;
    for kind in &record.kinds {
        sum += weight * kind.surprise;
        weight *= NEXT_KIND;
    }
    sum
}

impl Record {
    /// Weighs how surprising its alerts are, and what it may lift by that.
    pub(super) fn weigh(&mut self) -> Anchor {
        self.surprise = surprise(self);
        Anchor {
            id: self.id,
            opened: self.opened,
            surprise: self.surprise,
        }
    }
}

fn share(generation: u32) -> f64 {
    match generation {
        0 => 1.0,
        1 => GOES_ON,
        2 => GOES_ON * GOES_ON,
        _ => GOES_ON * GOES_ON * GOES_ON,
    }
}

/// How long an anchor matters to incidents that are still to be ranked.
pub(super) fn matters(anchor: &Anchor, now: Millis) -> bool {
    now - anchor.opened < AFTERWARDS + BEFOREHAND
}

/// Ranks an incident.
pub(super) fn rank(record: &Record, anchors: &[Anchor], names: &Names, at: Millis) -> Priority {
    let mut reasons = of_kinds(record, names);
    if let Some((anchor, near)) = nearest(record, anchors) {
        let weight = if record.routine { NEAR_DIGEST } else { NEAR };
        let minutes = (record.opened - anchor.opened) / (60 * SECOND);
        let when = match minutes {
            1.. => format!("{minutes} min after"),
            0 => "at the time of".to_owned(),
            _ => format!("{} min before", -minutes),
        };
        reasons.push(Reason {
            text: format!("{when} incident {}, which is unusual", anchor.id),
            points: points(weight * (near - NOTEWORTHY)),
        });
    }
    reasons.extend(of_stakes(record));
    Priority {
        points: reasons.iter().map(|reason| reason.points).sum(),
        ranked_at_ms: at,
        reasons,
    }
}

/// Returns the incident that lifts this one most, and how much of it is left by distance.
fn nearest<'a>(record: &Record, anchors: &'a [Anchor]) -> Option<(&'a Anchor, f64)> {
    #[expect(clippy::cast_precision_loss, reason = "a share of an hour")]
    let left = |anchor: &Anchor| {
        let later = record.opened - anchor.opened;
        if later > 0 {
            1.0 - later as f64 / AFTERWARDS as f64
        } else {
            1.0 + later as f64 / BEFOREHAND as f64
        }
    };
    let others = anchors.iter().filter(|anchor| anchor.id != record.id);
    let near = others.map(|anchor| (anchor, anchor.surprise * left(anchor)));
    near.filter(|(_, near)| *near > NOTEWORTHY)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// What is bad, or may be the work of an update, is read first. A digest is only usual, however bad it sounds.
fn of_stakes(record: &Record) -> impl Iterator<Item = Reason> {
    let severity = match record.stakes.severity {
        Some(AlertSeverity::Critical) => Some((CRITICAL, "an alert of it is critical")),
        Some(AlertSeverity::High) => Some((HIGH, "an alert of it is of high severity")),
        _ => None,
    };
    let severity = severity.map(|(points, text)| (points, text.to_owned()));
    let suspect = record.stakes.suspect.clone();
    let suspect = suspect.map(|suspect| (SUSPECT, suspect));
    let both = severity.into_iter().chain(suspect);
    both.filter(|_| !record.routine)
        .map(|(points, text)| Reason { text, points })
}

fn of_kinds(record: &Record, names: &Names) -> Vec<Reason> {
    /// Kinds that are told one by one.
    const TOLD: usize = 3;
    if record.routine {
        return vec![Reason {
            text: "alerts that are usual here".to_owned(),
            points: 0,
        }];
    }
    let mut weight = share(record.generation);
    let (mut reasons, mut others, mut rest) = (Vec::new(), 0, 0.0);
    for (index, kind) in record.kinds.iter().enumerate() {
        let value = weight * kind.surprise;
        weight *= NEXT_KIND;
        if index >= TOLD {
            others += 1;
            rest += value;
            continue;
        }
        let (title, device) = (names.title(kind.kind), names.device_name(kind.device));
        let seen = match (kind.before_here, kind.before) {
            (_, 0) => "never seen before".to_owned(),
            (0, _) => format!("never seen before on {device}"),
            (1, _) => format!("seen once before on {device}"),
            (times, _) => format!("seen {times} times before on {device}"),
        };
        reasons.push(Reason {
            text: format!("{title}: {seen}"),
            points: points(value),
        });
    }
    if others > 0 {
        let kinds = if others == 1 {
            "kind of alert"
        } else {
            "kinds of alerts"
        };
        reasons.push(Reason {
            text: format!("{others} more {kinds}"),
            points: points(rest),
        });
    }
    if let Some(from) = record.goes_on_from {
        reasons.push(Reason {
            text: format!("goes on from incident {from}, so it counts less"),
            points: 0,
        });
    }
    reasons
}

/// Writes a score in points: hundredths.
fn points(score: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to some 10,000"
    )]
    let points = (score * 100.0).round().clamp(0.0, 1e9) as u32;
    points
}
