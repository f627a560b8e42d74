//! Rings, gates, and guardrails that change their mind.

use std::sync::Arc;

use autoops_tests::{Install, Lost, World, plan, run, site};
use contracts::activities::{notify::NoticeKind, policy::StoppedKb};
use domain::{
    deployment::Stage,
    guardrail::Verdict,
    outcome::{DeploymentOutcome, DeviceOutcome},
    plan::{OnGateFailure, PlanRequest, RingSpec, RollbackScope},
};
use serde_json::json;

/// One ring for each device, in this order.
pub(crate) fn rings_of(devices: &[&str]) -> Vec<RingSpec> {
    let ring = |id: &&str| RingSpec {
        count: None,
        devices: vec![id.parse().unwrap()],
        ..plan::ring(&format!("ring-{id}"), 1)
    };
    devices.iter().map(ring).collect()
}

fn one_by_one(request: &mut PlanRequest) {
    request.rings = rings_of(&["81", "82", "83"]);
}

#[test]
fn three_rings_are_patched_one_after_the_other_and_verified() {
    run(async {
        let site = site().await;
        let world = World::new(site, "three-rings", 6);
        let deployment = world
            .deploy(site, |r| {
                r.patches[0].cves = vec!["CVE-2024-20666".parse().unwrap()];
                r.rings = vec![
                    plan::ring("canary", 1),
                    plan::ring("early", 2),
                    plan::ring("rest", 3),
                ];
            })
            .await;
        let result = deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 6);
        assert_eq!(result.metrics.unwrap().success_permille, 1000);
        let planned = world.read(|m| m.plans[&1].devices.clone());
        let ring_of = |id: &String| planned.iter().find(|p| p.id.as_str() == id).unwrap().ring;
        let order: Vec<u32> = world
            .read(|m| m.installed_on())
            .iter()
            .map(ring_of)
            .collect();
        assert_eq!(order, [0, 1, 1, 2, 2, 2]);
        let status = deployment.status().await;
        assert_eq!(status.stage, Stage::Done);
        assert!(status.rings.iter().all(|r| r.passed), "{:?}", status.rings);
        assert!(world.read(|m| m.leases.is_empty()), "leases are given back");
        // It lives for longer than any of them took.
        assert_eq!(world.read(|m| m.calls_of("inventory.acquire_lease")), 6);
        assert_eq!(world.read(|m| m.told()), [NoticeKind::DeploymentFinished]);
        assert_eq!(world.read(|m| m.calls_of("nvd.lookup_cve")), 1);
    });
}

#[test]
fn a_device_list_that_never_ends_does_not_hold_up_the_rings() {
    run(async {
        let site = site().await;
        let world = World::new(site, "endless-list", 3);
        world.change(|m| m.pages_of_a_refresh = u32::MAX);
        let deployment = world.deploy(site, one_by_one).await;
        let result = deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 3);
        let pages = world.read(|m| m.calls_of("inventory.sync_devices_page"));
        assert!(pages > 2, "only planning has read the list");
    });
}

async fn second_device_fails(
    name: &str,
    change: impl FnOnce(&mut PlanRequest),
) -> (Arc<World>, autoops_tests::Deployment) {
    let site = site().await;
    let world = World::new(site, name, 3);
    world.change(|m| m.device("82").install = Install::Fails { installed: None });
    let deployment = world
        .deploy(site, |r| {
            one_by_one(r);
            change(r);
        })
        .await;
    (world, deployment)
}

#[test]
fn a_gate_that_does_not_open_stops_the_deployment_and_what_failed_is_rolled_back() {
    run(async {
        let (world, deployment) = second_device_fails("gate-stops", |_| {}).await;
        let result = deployment.ends(DeploymentOutcome::RolledBack).await;
        assert_eq!(result.outcome.exit_status(), 3);
        assert_eq!(world.read(|m| m.installed_on()), ["81", "82"]);
        assert_eq!(
            world.read(|m| m.outcome_of("81")),
            Some(DeviceOutcome::Verified)
        );
        assert_eq!(
            world.read(|m| m.outcome_of("82")),
            Some(DeviceOutcome::RolledBack)
        );
        assert!(world.read(|m| m.told().contains(&NoticeKind::Halted)));
    });
}

#[test]
fn with_scope_all_devices_good_ones_are_rolled_back_too() {
    run(async {
        let (world, deployment) = second_device_fails("gate-undoes-all", |r| {
            r.rollback.scope = RollbackScope::AllDevices;
        })
        .await;
        let result = deployment.ends(DeploymentOutcome::RolledBack).await;
        assert_eq!(result.counts.of(DeviceOutcome::RolledBack), 2);
        assert_eq!(
            world.read(|m| m.outcome_of("81")),
            Some(DeviceOutcome::RolledBack)
        );
        assert_eq!(world.read(|m| m.outcome_of("83")), None);
    });
}

#[test]
fn without_rollback_what_failed_is_left_as_it_is() {
    run(async {
        let (world, deployment) =
            second_device_fails("no-rollback", |r| r.rollback.enabled = false).await;
        deployment.ends(DeploymentOutcome::Incomplete).await;
        assert_eq!(
            world.read(|m| m.outcome_of("82")),
            Some(DeviceOutcome::Failed)
        );
    });
}

#[test]
fn a_gate_that_holds_waits_for_a_person_who_resumes() {
    run(async {
        let (world, deployment) = second_device_fails("gate-holds", |r| {
            r.rings[1].gate.on_failure = OnGateFailure::Hold;
        })
        .await;
        deployment
            .until_status("a halt", |s| s.stage == Stage::Halted)
            .await;
        assert_eq!(world.read(|m| m.installed_on()), ["81", "82"]);
        deployment
            .signal("resume", json!({ "by": "lee", "reason": "looked at it" }))
            .await;
        let result = deployment.ends(DeploymentOutcome::RolledBack).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 2);
    });
}

#[test]
fn guardrails_that_got_stricter_supersede_the_approval_before_the_next_ring() {
    run(async {
        let site = site().await;
        let world = World::new(site, "stricter", 3);
        world.change(|m| {
            m.verdict_from_ring.insert(1, plan::asks(|_| {}));
        });
        let deployment = world.deploy(site, one_by_one).await;
        deployment.open_request().await;
        assert_eq!(world.read(|m| m.installed_on()), ["81"]);
        deployment.decide("approve", "dana").await;
        let result = deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 3);
        assert_eq!(world.read(|m| m.installed_on()), ["81", "82", "83"]);
        let audited = deployment.audited().await;
        assert!(audited.contains(&"approval_outdated".to_owned()));
    });
}

#[test]
fn guardrails_that_forbid_the_next_ring_halt_the_deployment() {
    run(async {
        let site = site().await;
        let world = World::new(site, "forbidden-later", 3);
        world.change(|m| {
            m.verdict_from_ring.insert(1, Verdict::Forbidden);
        });
        let deployment = world.deploy(site, one_by_one).await;
        deployment
            .until_status("a halt", |s| s.stage == Stage::Halted)
            .await;
        deployment.signal("abort", json!({ "by": "dana" })).await;
        let result = deployment.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 1);
        assert_eq!(result.counts.of(DeviceOutcome::Aborted), 2);
        assert_eq!(world.read(|m| m.installed_on()), ["81"]);
    });
}

#[test]
fn a_kb_in_the_ledger_of_bad_patches_halts_it_until_nobody_resumes() {
    run(async {
        let site = site().await;
        let world = World::new(site, "kb-stopped", 1);
        world.change(|m| {
            m.stopped = vec![StoppedKb {
                kb: plan::KB.parse().unwrap(),
                reason: "blue screens".to_owned(),
            }];
        });
        let deployment = world.deploy(site, |r| r.waits.halt_secs = 1).await;
        let result = deployment.ends(DeploymentOutcome::Aborted).await;
        assert!(result.detail.contains("blue screens"), "{}", result.detail);
        assert_eq!(world.read(|m| m.scripts.len()), 0);
    });
}

#[test]
fn what_guardrails_forbid_is_never_asked_about() {
    run(async {
        let site = site().await;
        let world = World::new(site, "forbidden", 1);
        world.change(|m| m.verdict = Verdict::Forbidden);
        let deployment = world.deploy(site, |_| {}).await;
        let result = deployment.ends(DeploymentOutcome::Forbidden).await;
        assert!(result.detail.contains("test/policy"), "{}", result.detail);
        assert_eq!(world.read(|m| m.told()), [NoticeKind::DeploymentFinished]);
    });
}

#[test]
fn without_a_model_everything_works_and_is_marked_degraded() {
    run(async {
        let site = site().await;
        let world = World::new(site, "degraded", 1);
        world.change(|m| {
            m.fail(
                "bedrock.refine_risk",
                None,
                Lost::Refused("bedrock.unauthorized"),
            )
        });
        let deployment = world.deploy(site, |_| {}).await;
        deployment.ends(DeploymentOutcome::Verified).await;
        let risk = deployment.status().await.risk.unwrap();
        assert!(risk.degraded && risk.explanation.is_none(), "{risk:?}");
    });
}
