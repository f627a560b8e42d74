//! What the wire says, in words for people.

use contracts::deployment::ControlAnswer;
use domain::{
    approval::{Answer, Choice},
    deployment::{DeploymentStatus, RingStatus},
    ids::PersonId,
    outcome::OutcomeCounts,
    people::Identity,
    risk::{Figure, RiskAssessment},
};
use jiff::Timestamp;

/// Says what came of a decision.
#[must_use]
pub fn answer(answer: &Answer, choice: Choice) -> String {
    let verb = verb(choice);
    match answer {
        Answer::Counted { .. } if choice == Choice::Reject => {
            "counted: the plan is rejected".to_owned()
        }
        Answer::Counted { approvals, quorum } if approvals >= quorum => {
            format!("counted: {approvals} of {quorum} approvals, the plan is approved")
        }
        Answer::Counted { approvals, quorum } => {
            format!(
                "counted: {approvals} of {quorum} approvals, {} more needed",
                quorum - approvals
            )
        }
        Answer::Duplicate => {
            format!("already counted: this person had {verb} before, nothing changes")
        }
        Answer::Kept => {
            "kept: no request for this plan is open yet; it counts when one opens".to_owned()
        }
        Answer::NothingOpen => {
            "not counted: no approval request is open, and the decision names no plan hash"
                .to_owned()
        }
        Answer::Late { deadline } => {
            format!(
                "not counted: it came too late, the request ended at {}",
                time(*deadline)
            )
        }
        Answer::WrongHash {
            current,
            difference,
        } if difference.is_empty() => {
            format!("not counted: the plan has changed; its hash is now {current}")
        }
        Answer::WrongHash {
            current,
            difference,
        } => {
            format!(
                "not counted: the plan has changed ({}); its hash is now {current}",
                difference.join(", ")
            )
        }
        Answer::NotAllowed { reason } => format!("not allowed: {reason}"),
        Answer::AlreadyDecided { by, choice } => {
            format!(
                "not counted: {} had already {} it",
                people(by),
                self::verb(*choice)
            )
        }
    }
}

/// Returns true when the decision has, had or will have its effect.
#[must_use]
pub fn is_effective(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Counted { .. } | Answer::Duplicate | Answer::Kept
    )
}

/// Says what came of a control, amendment or extension, and whether it is as asked now.
#[must_use]
pub fn control(answer: &ControlAnswer) -> (bool, String) {
    match answer {
        ControlAnswer::Done { note } => (true, note.clone()),
        ControlAnswer::NothingToDo { note } => (true, format!("nothing to do: {note}")),
        ControlAnswer::NotAllowed { reason } => (false, format!("not allowed: {reason}")),
        ControlAnswer::Refused { problem } => (false, format!("refused: {problem}")),
    }
}

/// Returns `approved` or `rejected`.
#[must_use]
pub fn verb(choice: Choice) -> &'static str {
    match choice {
        Choice::Approve => "approved",
        Choice::Reject => "rejected",
    }
}

/// Lists people; the clock has no name.
#[must_use]
pub fn people(people: &[PersonId]) -> String {
    match people {
        [] => "nobody".to_owned(),
        people => people
            .iter()
            .map(PersonId::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Says how sure we are who spoke.
#[must_use]
pub fn identity(identity: Identity) -> &'static str {
    match identity {
        Identity::Claimed => "claimed",
        Identity::Proven => "proven",
    }
}

/// Writes counts as `5 verified, 1 failed`.
#[must_use]
pub fn counts(counts: &OutcomeCounts) -> String {
    let parts: Vec<_> = counts
        .0
        .iter()
        .map(|(outcome, n)| format!("{n} {}", plain(outcome.as_str())))
        .collect();
    if parts.is_empty() {
        "no device has ended".to_owned()
    } else {
        parts.join(", ")
    }
}

/// Writes a time to the second, UTC.
#[must_use]
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Writes a wire word as people would.
#[must_use]
pub fn plain(word: &str) -> String {
    word.replace('_', " ")
}

/// Writes how far a ring is.
#[must_use]
pub fn ring(ring: &RingStatus) -> String {
    let mut text = format!("{} of {} devices", ring.counts.total(), ring.devices);
    if ring.in_flight > 0 {
        text.push_str(&format!(", {} in work", ring.in_flight));
    }
    if ring.counts.total() > 0 {
        text.push_str(&format!(" ({})", counts(&ring.counts)));
    }
    if ring.passed {
        text.push_str(", passed");
    }
    text
}

/// Writes the risk of a plan with the parts its points come from, one line each.
#[must_use]
pub fn risk(risk: &RiskAssessment) -> Vec<String> {
    let mut lines = vec![format!(
        "risk: {} ({} per mille), urgency {} per mille, confidence {} per mille{}",
        risk.level.as_str(),
        risk.score_permille,
        risk.urgency_permille,
        risk.confidence_permille,
        if risk.degraded {
            ", degraded: no model was available"
        } else {
            ""
        },
    )];
    lines.extend(
        risk.contributions
            .iter()
            .filter(|part| part.points > 0)
            .map(|part| {
                let figure = match part.figure {
                    Figure::Change => "risk",
                    Figure::Urgency => "urgency",
                };
                format!(
                    "  +{} {figure}: {} [{}]",
                    part.points, part.reason, part.evidence
                )
            }),
    );
    if let Some(explanation) = &risk.explanation {
        lines.push(format!(
            "  explained by {}: {explanation}",
            risk.model.as_deref().unwrap_or("a model")
        ));
    }
    lines
}

/// Writes what an approver signs.
#[must_use]
pub fn summary(status: &DeploymentStatus) -> Vec<String> {
    let kbs: Vec<_> = status.kbs.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        format!(
            "plan {} for client {}, revision {}",
            status.plan, status.client, status.revision
        ),
        format!("patches: {}", kbs.join(", ")),
    ];
    let rings = status
        .rings
        .iter()
        .map(|ring| format!("{}: {}", ring.name, ring.devices));
    let rings: Vec<_> = rings.collect();
    if !rings.is_empty() {
        lines.push(format!("devices per ring: {}", rings.join(", ")));
    }
    if !status.forbidden.is_empty() {
        lines.push(format!(
            "left out by policy: {} devices",
            status.forbidden.len()
        ));
    }
    lines.extend(evidence(status));
    if let Some(assessment) = &status.risk {
        lines.extend(risk(assessment));
    }
    if let Some(request) = &status.approval {
        lines.push(format!(
            "request {}: {} of role {} or higher until {}",
            request.id,
            if request.quorum == 1 {
                "one person".to_owned()
            } else {
                format!("{} people", request.quorum)
            },
            request.role.as_str(),
            time(request.deadline),
        ));
    }
    if let Some(hash) = &status.plan_hash {
        lines.push(format!("plan hash: {hash}"));
    }
    if let Some(trouble) = &status.trouble {
        lines.push(format!("trouble: {trouble}"));
    }
    if status.audit_gaps > 0 {
        lines.push(format!(
            "the audit trail lacks {} entries; a dead letter names them when the deployment is over",
            status.audit_gaps
        ));
    }
    lines
}

fn evidence(status: &DeploymentStatus) -> Option<String> {
    let devices = status.evidence_first;
    (devices > 0).then(|| match &status.evidence_waived {
        None => format!("evidence is taken first: {devices} devices"),
        Some(waiver) => format!(
            "evidence is NOT taken of {devices} devices: waived by {}: {}",
            waiver.by, waiver.reason
        ),
    })
}

#[cfg(test)]
mod tests {
    use domain::outcome::DeviceOutcome;

    use super::*;

    #[test]
    fn every_answer_says_whether_it_counts() {
        let cases = [
            (
                Answer::Counted {
                    approvals: 1,
                    quorum: 1,
                },
                true,
                "counted: 1 of 1 approvals, the plan is approved",
            ),
            (
                Answer::Counted {
                    approvals: 1,
                    quorum: 3,
                },
                true,
                "counted: 1 of 3 approvals, 2 more needed",
            ),
            (
                Answer::Duplicate,
                true,
                "already counted: this person had approved before, nothing changes",
            ),
            (
                Answer::Kept,
                true,
                "kept: no request for this plan is open yet; it counts when one opens",
            ),
            (
                Answer::Late {
                    deadline: jiff::Timestamp::UNIX_EPOCH,
                },
                false,
                "not counted: it came too late, the request ended at 1970-01-01T00:00:00Z",
            ),
            (
                Answer::WrongHash {
                    current: "h2".into(),
                    difference: vec!["2 devices added".into()],
                },
                false,
                "not counted: the plan has changed (2 devices added); its hash is now h2",
            ),
            (
                Answer::NotAllowed {
                    reason: "lee is a technician".into(),
                },
                false,
                "not allowed: lee is a technician",
            ),
            (
                Answer::AlreadyDecided {
                    by: vec!["dana".parse().unwrap()],
                    choice: Choice::Reject,
                },
                false,
                "not counted: dana had already rejected it",
            ),
        ];
        for (given, effective, words) in cases {
            assert_eq!(answer(&given, Choice::Approve), words);
            assert_eq!(is_effective(&given), effective, "{words}");
        }
        let rejected = Answer::Counted {
            approvals: 0,
            quorum: 2,
        };
        assert_eq!(
            answer(&rejected, Choice::Reject),
            "counted: the plan is rejected"
        );
    }

    #[test]
    fn a_ring_says_how_far_it_is() {
        let mut status = RingStatus {
            name: "canary".into(),
            devices: 3,
            in_flight: 1,
            ..RingStatus::default()
        };
        assert_eq!(ring(&status), "0 of 3 devices, 1 in work");
        status.counts.add(DeviceOutcome::VerifiedByScript);
        assert_eq!(
            ring(&status),
            "1 of 3 devices, 1 in work (1 verified by script)"
        );
    }
}
