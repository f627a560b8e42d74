//! Systems that do not answer for a while: rings wait, and no device fails because of it.

use std::time::Duration;

use autoops_tests::{Lost, OpeningIn, World, plan, run, site};
use contracts::device::{DevicePatchStatus, DeviceStage};
use domain::{
    deployment::Stage,
    outcome::{DeploymentOutcome, DeviceOutcome},
    plan::PlanRequest,
    script::ScriptMode,
};
use temporalio_client::{UntypedQuery, UntypedWorkflow, WorkflowQueryOptions};
use temporalio_common::data_converters::RawValue;

use crate::{deploying::rings_of, letters::open_letters};

fn one_ring(request: &mut PlanRequest) {
    request.rings = vec![plan::ring("all", 2)];
}

pub(crate) async fn device_status(plan: &str, device: &str) -> DevicePatchStatus {
    let id = format!("device-patch/{plan}/{device}");
    let handle = site()
        .await
        .client()
        .get_workflow_handle::<UntypedWorkflow>(id);
    let query = handle.query(
        UntypedQuery::new("status"),
        RawValue::new(vec![]),
        WorkflowQueryOptions::default(),
    );
    autoops_tests::wire::read(&query.await.unwrap())
}

#[test]
fn the_next_ring_waits_for_superops_and_goes_on_when_it_is_back() {
    run(async {
        let site = site().await;
        let world = World::new(site, "away-between", 2);
        world.change(|m| m.hold_reports = true);
        let deployment = world
            .deploy(site, |r| r.rings = rings_of(&["81", "82"]))
            .await;
        world
            .until("the first script", |m| m.installed_on() == ["81"])
            .await;
        // The first ring ends without asking SuperOps anything more: its device waits, too.
        world.change(|m| {
            m.superops_away = true;
            m.hold_reports = false;
        });
        deployment
            .until_status("a note in the ring", |s| {
                s.stage == Stage::Deploying && s.note.contains("SuperOps does not answer since")
            })
            .await;
        world.change(|m| m.superops_away = false);
        let result = deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 2);
    });
}

#[test]
fn a_ring_is_not_opened_while_superops_does_not_answer() {
    run(async {
        let site = site().await;
        let world = World::new(site, "away-at-the-gate", 1);
        world.change(|m| m.verdict = plan::asks(|_| {}));
        let deployment = world.deploy(site, |_| {}).await;
        deployment.open_request().await;
        world.change(|m| m.superops_away = true);
        deployment.decide("approve", "dana").await;
        deployment
            .until_status("a pause that says why", |s| {
                s.stage == Stage::Paused
                    && s.note == "SuperOps does not answer since 10:02 UTC; rings wait"
            })
            .await;
        assert_eq!(world.read(|m| m.scripts.len()), 0);
        world.change(|m| m.superops_away = false);
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn devices_at_work_wait_in_place_while_superops_is_away() {
    run(async {
        let site = site().await;
        let world = World::new(site, "away-at-work", 2);
        world.change(|m| {
            m.hold_reports = true;
            m.device("82").device.online = false;
        });
        let deployment = world.deploy(site, one_ring).await;
        world
            .until("the first script", |m| m.installed_on() == ["81"])
            .await;
        let asked = world.read(|m| m.calls_of("policy.evaluate"));
        world.change(|m| {
            m.held.insert("policy.evaluate".to_owned());
            m.device("82").device.online = true;
        });
        world
            .until("82 is seen online", |m| {
                m.calls_of("policy.evaluate") > asked
            })
            .await;
        // 81 has installed and wants to ask the script; 82 has not begun.
        world.change(|m| {
            m.superops_away = true;
            m.hold_reports = false;
            m.held.clear();
        });
        deployment
            .until_status("a note", |s| {
                s.note.contains("SuperOps does not answer since")
            })
            .await;
        world
            .until("82 asks again and again", |m| {
                m.calls_of("policy.evaluate") >= asked + 3
            })
            .await;
        let waiting = device_status("away-at-work", "82").await;
        assert_eq!(waiting.stage, DeviceStage::Preflight, "{waiting:?}");
        assert!(
            waiting.note.contains("paused: SuperOps does not answer"),
            "{waiting:?}"
        );
        let waiting = device_status("away-at-work", "81").await;
        assert_eq!(
            waiting.note, "SuperOps does not answer; the script is started later",
            "{waiting:?}"
        );
        assert!(world.read(|m| m.rows.is_empty()), "nobody has ended");

        world.change(|m| m.superops_away = false);
        let result = deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 2);
        let attempts = world.read(|m| m.rows.values().map(|row| row.attempt).collect::<Vec<_>>());
        assert_eq!(attempts, [1, 1], "no attempt was used up");
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 2);
    });
}

#[test]
fn a_device_whose_window_closes_meanwhile_is_put_off_and_patched_later() {
    run(async {
        let site = site().await;
        let world = World::new(site, "away-too-long", 1);
        world.change(|m| {
            m.verdict = plan::asks(|_| {});
            m.device("81").device.online = false;
            m.openings.push_back(OpeningIn(Duration::ZERO));
            m.opening_lasts = Some(Duration::from_secs(12));
        });
        let deployment = world.deploy(site, |_| {}).await;
        deployment.decide("approve", "dana").await;
        world
            .until("the device is waited for", |m| {
                m.calls_of("inventory.get_device") > 0
            })
            .await;
        let asked = world.read(|m| m.calls_of("policy.evaluate"));
        world.change(|m| {
            m.held.insert("policy.evaluate".to_owned());
            m.device("81").device.online = true;
        });
        world
            .until("it is seen online", |m| {
                m.calls_of("policy.evaluate") > asked
            })
            .await;
        world.change(|m| {
            m.superops_away = true;
            m.held.clear();
        });
        world
            .until("it is put off", |m| {
                m.outcome_of("81") == Some(DeviceOutcome::Deferred)
            })
            .await;
        let detail = world.read(|m| m.rows.values().next().unwrap().result.detail.clone());
        assert!(
            detail.contains("paused: SuperOps does not answer"),
            "{detail}"
        );
        world.change(|m| {
            m.superops_away = false;
            m.opening_lasts = None;
        });
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn a_device_at_work_keeps_its_lease_however_long_superops_is_away() {
    run(async {
        let site = site().await;
        let world = World::new(site, "away-with-lease", 1);
        world.change(|m| m.device("81").reports_get_lost = true);
        let deployment = world
            .deploy(site, |r| {
                r.waits.callback_secs = 1;
                r.waits.lease_secs = 4;
            })
            .await;
        world
            .until("the first script", |m| m.installed_on() == ["81"])
            .await;
        world.change(|m| m.superops_away = true);
        world
            .until("its run is read back", |m| {
                m.calls_of("superops.find_run") > 0
            })
            .await;
        let taken = world.read(|m| m.calls_of("inventory.acquire_lease"));
        world
            .until("the lease is renewed again and again", |m| {
                m.calls_of("inventory.acquire_lease") >= taken + 3
            })
            .await;
        world.change(|m| {
            m.superops_away = false;
            m.device("81").reports_get_lost = false;
        });
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn without_the_model_the_assessment_is_by_rule_and_people_are_asked() {
    run(async {
        let site = site().await;
        let world = World::new(site, "model-away", 1);
        world.change(|m| m.model_away = true);
        let deployment = world.deploy(site, |_| {}).await;
        deployment.open_request().await;
        let risk = deployment.status().await.risk.unwrap();
        assert!(risk.degraded, "{risk:?}");
        assert_eq!(risk.model, None);
        assert_eq!(world.read(|m| m.calls_of("bedrock.refine_risk")), 1);
        deployment.decide("approve", "dana").await;
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn an_expired_token_is_waited_for_by_plans_and_devices_and_fails_none() {
    run(async {
        const LISTS: &str = "superops.list_patches";
        const STARTS: &str = "superops.run_script";
        let site = site().await;
        let world = World::new(site, "expired-token", 2);
        let refused = Lost::Unmended("superops.unauthorized");
        world.change(|m| m.fail(LISTS, None, refused.clone()));
        let deployment = world
            .deploy(site, |r| {
                // An hour is far beyond what a test waits.
                r.waits.script_timeout_secs = 3600;
            })
            .await;
        world
            .until("the plan is tried again", |m| m.calls_of(LISTS) >= 2)
            .await;
        world.change(|m| {
            m.faults.clear();
            m.fail(STARTS, None, refused);
        });
        world
            .until("devices are tried again", |m| m.calls_of(STARTS) >= 6)
            .await;
        let waiting = device_status("expired-token", "81").await;
        assert_eq!(
            waiting.note, "SuperOps refuses all calls; the script is started later",
            "{waiting:?}"
        );
        assert!(world.read(|m| m.rows.is_empty()), "nobody has ended");
        world.change(|m| m.faults.clear());
        let result = deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 2);
        assert_eq!(open_letters(&world).await, []);
    });
}
