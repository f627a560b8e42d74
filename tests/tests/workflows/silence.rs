//! Approvals: nobody answers, answers too late, or the question goes away.

use std::time::Duration;

use autoops_tests::{OpeningIn, run, site};
use contracts::{activities::notify::NoticeKind, deployment::ControlAnswer};
use domain::{
    approval::Answer,
    guardrail::{Escalation, OnTimeout},
    outcome::DeploymentOutcome,
    people::Role,
};
use serde_json::json;

use crate::approvals::asked;

#[test]
fn rejects_when_no_one_answers_before_the_deadline() {
    run(async {
        let (world, deployment) = asked(site().await, "silence", 1, |n| n.timeout_secs = 1).await;
        let result = deployment.ends(DeploymentOutcome::TimedOut).await;
        assert_eq!(result.outcome.exit_status(), 2);
        let told = world.read(|m| m.told());
        assert_eq!(
            told,
            [
                NoticeKind::ApprovalOpened,
                NoticeKind::ApprovalClosed,
                NoticeKind::DeploymentFinished
            ]
        );
        assert_eq!(world.read(|m| m.scripts.len()), 0);
    });
}

#[test]
fn a_decision_after_the_deadline_is_late_and_has_no_effect() {
    run(async {
        let (world, deployment) = asked(site().await, "late", 1, |n| n.timeout_secs = 10).await;
        let request = deployment.open_request().await;
        world
            .until("the card", |m| m.told() == [NoticeKind::ApprovalOpened])
            .await;
        world.change(|m| m.held.insert("notify.send".to_owned()));
        world
            .until("closing", |m| m.calls_of("notify.send") == 2)
            .await;
        let late = json!({
            "choice": "approve", "by": "dana",
            "request_id": request.id, "plan_hash": request.plan_hash,
        });
        let told = deployment.send_update::<Answer>("decide", late).await;
        world.change(|m| m.held.clear());
        let answer = told.await;
        assert!(matches!(answer, Answer::Late { .. }), "{answer:?}");
        deployment.ends(DeploymentOutcome::TimedOut).await;
        assert!(
            deployment
                .audited()
                .await
                .contains(&"decision_late".to_owned())
        );
        assert_eq!(world.read(|m| m.scripts.len()), 0);
    });
}

#[test]
fn at_the_escalation_time_the_next_role_is_asked_as_well() {
    run(async {
        let (world, deployment) = asked(site().await, "escalated", 1, |n| {
            n.escalation = Some(Escalation {
                after_secs: 1,
                role: Role::Lead,
            });
        })
        .await;
        world
            .until("the escalation", |m| {
                m.told() == [NoticeKind::ApprovalOpened, NoticeKind::ApprovalEscalated]
            })
            .await;
        let request = deployment.status().await.approval.unwrap();
        assert!(request.escalated);
        assert_eq!(request.quorum, 1);
        deployment.decide("approve", "lee").await;
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn a_silent_request_that_is_held_is_asked_again_at_the_next_window() {
    run(async {
        let (world, deployment) = asked(site().await, "held", 1, |n| {
            n.timeout_secs = 1;
            n.on_timeout = OnTimeout::Hold;
        })
        .await;
        let first = deployment.open_request().await;
        world.change(|m| m.openings.push_back(OpeningIn(Duration::from_secs(1))));
        world
            .until("the second request", |m| {
                m.status_is(|s| {
                    s.needs_approval && s.approval.as_ref().is_some_and(|r| r.id != first.id)
                })
            })
            .await;
        // Whoever answers the first card means the same plan.
        let hash = deployment.open_request().await.plan_hash;
        assert_eq!(hash, first.plan_hash);
        deployment
            .signal("approve", json!({ "by": "dana", "plan_hash": hash }))
            .await;
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn more_time_for_approvers_leaves_the_plan_as_it_is() {
    run(async {
        let (world, deployment) = asked(site().await, "extended", 1, |n| n.timeout_secs = 60).await;
        let first = deployment.open_request().await;
        let more = json!({ "by": "dana", "by_secs": 60 });
        let answer = deployment.control("extend_approval", more).await;
        assert!(matches!(answer, ControlAnswer::Done { .. }), "{answer:?}");
        let second = deployment.status().await.approval.unwrap();
        assert_eq!(second.plan_hash, first.plan_hash);
        assert_eq!((second.deadline - first.deadline).as_secs(), 60);
        let endless = json!({ "by": "dana", "by_secs": 99_999_999 });
        let answer = deployment.control("extend_approval", endless).await;
        assert!(
            matches!(answer, ControlAnswer::Refused { .. }),
            "{answer:?}"
        );
        deployment.decide("approve", "dana").await;
        deployment.ends(DeploymentOutcome::Verified).await;
        assert!(world.read(|m| m.told().contains(&NoticeKind::ApprovalExtended)));
    });
}

#[test]
fn cancelling_closes_the_cards_and_deploys_nothing() {
    run(async {
        let (world, deployment) = asked(site().await, "cancelled", 2, |_| {}).await;
        deployment.open_request().await;
        deployment.cancel().await;
        let result = deployment.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(result.outcome.exit_status(), 5);
        let told = world.read(|m| m.told());
        assert!(told.contains(&NoticeKind::ApprovalClosed), "{told:?}");
        assert_eq!(world.read(|m| m.scripts.len()), 0);
    });
}

#[test]
fn an_abort_while_people_are_asked_closes_the_cards() {
    run(async {
        let (world, deployment) = asked(site().await, "aborted-early", 1, |_| {}).await;
        deployment.open_request().await;
        let answer = deployment
            .control("request_abort", json!({ "by": "dana" }))
            .await;
        assert!(matches!(answer, ControlAnswer::Done { .. }), "{answer:?}");
        deployment.ends(DeploymentOutcome::Aborted).await;
        assert!(world.read(|m| m.told().contains(&NoticeKind::ApprovalClosed)));
        assert_eq!(world.read(|m| m.scripts.len()), 0);
    });
}
