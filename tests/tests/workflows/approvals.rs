//! Approvals: who decides, on what, and what comes of it.

use std::sync::Arc;

use autoops_tests::{Deployment, Site, World, plan::asks, run, site};
use contracts::activities::notify::NoticeKind;
use domain::{
    approval::{Answer, Choice},
    guardrail::ApprovalNeed,
    outcome::DeploymentOutcome,
    people::Role,
};
use serde_json::json;

/// Starts a deployment that asks people.
pub(crate) async fn asked(
    site: &Site,
    plan: &str,
    devices: u32,
    change: impl FnOnce(&mut ApprovalNeed),
) -> (Arc<World>, Deployment) {
    let world = World::new(site, plan, devices);
    world.change(|m| m.verdict = asks(change));
    let deployment = world.deploy(site, |_| {}).await;
    (world, deployment)
}

#[test]
fn a_signal_by_hand_approves() {
    run(async {
        let (world, deployment) = asked(site().await, "by-hand", 1, |_| {}).await;
        deployment.open_request().await;
        deployment.signal("approve", json!({ "by": "dana" })).await;
        deployment.ends(DeploymentOutcome::Verified).await;
        let status = deployment.status().await;
        assert_eq!(status.approved_by, ["dana".parse().unwrap()]);
        let entry = world.chain(deployment.id()).await.into_iter();
        let counted = entry.filter(|e| e.record.what == "decision_counted");
        let text = serde_json::to_string(&counted.collect::<Vec<_>>()).unwrap();
        assert!(text.contains(r#""identity":"claimed""#), "{text}");
    });
}

#[test]
fn a_decision_whose_sender_tries_again_is_written_down_as_counted_once() {
    run(async {
        let (_world, deployment) = asked(site().await, "sent-again", 1, |n| n.quorum = 2).await;
        deployment.open_request().await;
        let decision = |by: &str| json!({ "by": by, "decision_id": format!("chat-{by}") });
        for by in ["dana", "dana", "erin"] {
            deployment.signal("approve", decision(by)).await;
        }
        deployment.ends(DeploymentOutcome::Verified).await;
        let audited = deployment.audited().await;
        let times = |what: &str| audited.iter().filter(|w| *w == what).count();
        let both = (times("decision_counted"), times("decision_duplicate"));
        assert_eq!(both, (2, 1), "{audited:?}");
    });
}

#[test]
fn a_decision_that_names_the_hash_before_its_request_opens_counts_when_it_opens() {
    run(async {
        let site = site().await;
        let (_first, same_plan) = asked(site, "hash-known", 1, |_| {}).await;
        let hash = same_plan.open_request().await.plan_hash;
        same_plan.decide("reject", "dana").await;

        let world = World::new(site, "hash-early", 1);
        world.change(|m| {
            m.verdict = asks(|_| {});
            m.held.insert("plans.seal".to_owned());
        });
        let deployment = world.deploy(site, |_| {}).await;
        world
            .until("sealing", |m| m.calls_of("plans.seal") == 1)
            .await;
        deployment
            .signal("approve", json!({ "by": "dana", "plan_hash": hash }))
            .await;
        deployment.signal("approve", json!({ "by": "erin" })).await;
        world.change(|m| m.held.clear());
        deployment.ends(DeploymentOutcome::Verified).await;
        let audited = deployment.audited().await;
        let at = |what: &str| audited.iter().position(|w| w == what).unwrap();
        assert!(at("decision_kept") < at("approval_opened"));
        assert!(at("approval_opened") < at("decision_counted"));
        // Without a hash nobody can tell what it was meant for.
        assert!(at("decision_without_request") < at("approval_opened"));
    });
}

#[test]
fn the_same_person_twice_counts_once_and_quorum_two_waits_for_another() {
    run(async {
        let (world, deployment) = asked(site().await, "quorum-two", 1, |n| n.quorum = 2).await;
        let answer = deployment.decide("approve", "dana").await;
        assert_eq!(
            answer,
            Answer::Counted {
                approvals: 1,
                quorum: 2
            }
        );
        assert_eq!(
            deployment.decide("approve", "dana").await,
            Answer::Duplicate
        );
        assert_eq!(world.read(|m| m.scripts.len()), 0);
        deployment.signal("approve", json!({ "by": "erin" })).await;
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn a_later_vote_replaces_the_earlier_one() {
    run(async {
        let (world, deployment) = asked(site().await, "changed-mind", 1, |n| n.quorum = 2).await;
        deployment.decide("approve", "dana").await;
        deployment.decide("reject", "dana").await;
        let result = deployment.ends(DeploymentOutcome::Rejected).await;
        assert_eq!(result.detail, "rejected by dana");
        assert_eq!(result.outcome.exit_status(), 2);
        assert_eq!(world.read(|m| m.scripts.len()), 0);
    });
}

#[test]
fn a_repeated_delivery_of_one_decision_gets_the_first_answer() {
    run(async {
        let (_world, deployment) =
            asked(site().await, "delivered-twice", 1, |n| n.quorum = 2).await;
        let request = deployment.open_request().await;
        let input = json!({
            "choice": "approve", "by": "dana", "decision_id": "d-1",
            "request_id": request.id, "plan_hash": request.plan_hash,
        });
        let first: Answer = deployment.update("decide", input.clone()).await;
        let second: Answer = deployment.update("decide", input.clone()).await;
        assert_eq!(first, second);
        deployment.decide("approve", "erin").await;
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn a_reject_that_came_first_ends_the_race_and_the_other_is_told() {
    run(async {
        let (world, deployment) = asked(site().await, "race", 1, |_| {}).await;
        let request = deployment.open_request().await;
        world.change(|m| m.held.insert("approvals.authorize".to_owned()));
        deployment.signal("reject", json!({ "by": "dana" })).await;
        let looked_up = |m: &autoops_tests::Model| m.calls_of("approvals.authorize") == 1;
        world.until("dana is looked up", looked_up).await;
        let approve = json!({
            "choice": "approve", "by": "erin",
            "request_id": request.id, "plan_hash": request.plan_hash,
        });
        let told = deployment.send_update::<Answer>("decide", approve).await;
        world.change(|m| m.held.clear());
        let by = vec!["dana".parse().unwrap()];
        let choice = Choice::Reject;
        assert_eq!(told.await, Answer::AlreadyDecided { by, choice });
        deployment.ends(DeploymentOutcome::Rejected).await;
    });
}

#[test]
fn a_decision_for_another_plan_is_told_the_difference() {
    run(async {
        let (world, deployment) = asked(site().await, "wrong-hash", 2, |_| {}).await;
        let first = deployment.open_request().await;
        let change = json!({ "by": "dana", "change": { "remove_devices": ["82"] } });
        deployment.control("amend", change).await;
        let second = format!("{}/2", "wrong-hash");
        deployment
            .until_status("the second request", |s| {
                s.needs_approval && s.approval.as_ref().is_some_and(|r| r.id.as_str() == second)
            })
            .await;
        let old = json!({
            "choice": "approve", "by": "erin",
            "request_id": first.id, "plan_hash": first.plan_hash,
        });
        let answer: Answer = deployment.update("decide", old).await;
        let Answer::WrongHash {
            current,
            difference,
        } = answer
        else {
            panic!("{answer:?}")
        };
        assert_ne!(current, first.plan_hash);
        assert_eq!(difference, ["1 devices removed"]);
        let opened = world.read(|m| m.notices.clone());
        let again = opened
            .iter()
            .rev()
            .find(|n| n.kind == NoticeKind::ApprovalOpened);
        assert_eq!(again.unwrap().difference, ["1 devices removed"]);
        assert!(world.read(|m| m.told().contains(&NoticeKind::ApprovalClosed)));
        deployment.decide("approve", "erin").await;
        deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(world.read(|m| m.installed_on()), ["81"]);
        let audited = deployment.audited().await;
        assert!(audited.contains(&"decision_for_another_plan".to_owned()));
    });
}

#[test]
fn people_without_the_role_or_of_another_client_are_not_allowed() {
    run(async {
        let (world, deployment) = asked(site().await, "not-allowed", 1, |_| {}).await;
        for person in ["vic", "tom", "olga", "mallory"] {
            let answer = deployment.decide("approve", person).await;
            assert!(
                matches!(answer, Answer::NotAllowed { .. }),
                "{person}: {answer:?}"
            );
            let answer = deployment.decide("reject", person).await;
            assert!(
                matches!(answer, Answer::NotAllowed { .. }),
                "{person}: {answer:?}"
            );
        }
        assert_eq!(world.read(|m| m.scripts.len()), 0);
        deployment.decide("approve", "dana").await;
        deployment.ends(DeploymentOutcome::Verified).await;
        let audited = deployment.audited().await;
        let refused = audited.iter().filter(|w| *w == "decision_not_allowed");
        assert_eq!(refused.count(), 8);
    });
}

#[test]
fn with_four_eyes_the_requester_cannot_approve() {
    run(async {
        let site = site().await;
        let world = World::new(site, "four-eyes", 1);
        world.change(|m| m.verdict = asks(|n| n.four_eyes = true));
        let deployment = world
            .deploy(site, |r| r.requested_by = Some("dana".parse().unwrap()))
            .await;
        let own = deployment.decide("approve", "dana").await;
        assert!(matches!(own, Answer::NotAllowed { .. }), "{own:?}");
        deployment.decide("approve", "erin").await;
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn a_request_may_ask_for_more_than_guardrails_do() {
    run(async {
        let site = site().await;
        let world = World::new(site, "asks-itself", 1);
        let deployment = world
            .deploy(site, |r| {
                r.approval.required = true;
                r.approval.role = Some(Role::Lead);
            })
            .await;
        let answer = deployment.decide("approve", "dana").await;
        assert!(matches!(answer, Answer::NotAllowed { .. }), "{answer:?}");
        deployment.decide("approve", "lee").await;
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}
