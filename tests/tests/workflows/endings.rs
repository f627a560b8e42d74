//! Deployments that end before their plan does: by trouble of their own, and by a person who does not want
//! the rollback either.

use std::sync::Arc;

use autoops_tests::{Deployment, Install, Lost, World, run, site};
use domain::{
    deployment::Stage,
    outcome::{DeploymentOutcome, DeviceOutcome},
    plan::{PlanRequest, RollbackScope},
    script::{ScriptMode, ScriptOutcome},
};
use jiff::Timestamp;
use serde_json::json;

use crate::deploying::rings_of;

#[test]
fn a_device_at_work_is_seen_after_its_restart_although_its_deployment_cannot_go_on() {
    run(async {
        let site = site().await;
        let world = World::new(site, "broken-list", 2);
        world.change(|m| {
            m.looks_wait_for_a_walk = true;
            m.fail(
                "plans.next_stragglers",
                None,
                Lost::Refused("store.not_found"),
            );
            // The second one becomes a straggler, which the store then cannot find.
            m.device("82").install = Install::Ends(ScriptOutcome::OutsideWindow);
            let device = m.device("81");
            device.needs_restart = true;
            device.holds_report = true;
        });
        let deployment = world.deploy(site, |_| {}).await;
        deployment
            .until_status("it cannot go on", |s| {
                s.stage == Stage::Halted && s.note.starts_with("cannot go on")
            })
            .await;
        world.change(|m| m.device("81").holds_report = false);
        let result = deployment.ends(DeploymentOutcome::Incomplete).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 1, "{result:?}");
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Reboot)), 1);
    });
}

#[test]
fn an_abort_does_not_take_the_device_list_from_a_device_that_restarts() {
    run(async {
        let site = site().await;
        let world = World::new(site, "abort-list", 1);
        world.change(|m| {
            m.looks_wait_for_a_walk = true;
            let device = m.device("81");
            device.needs_restart = true;
            device.holds_report = true;
        });
        let deployment = world
            .deploy(site, |r| r.health.online_within_secs = 30)
            .await;
        world
            .until("the installation", |m| m.scripts.len() == 1)
            .await;
        deployment.signal("abort", json!({ "by": "dana" })).await;
        deployment
            .until_status("the abort", |s| s.note.starts_with("stopping: dana"))
            .await;
        world.change(|m| m.device("81").holds_report = false);
        let result = deployment.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(result.counts.of(DeviceOutcome::NeedsHuman), 0, "{result:?}");
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Reboot)), 1);
    });
}

/// A gate has stopped the deployment, and all devices are to be rolled back.
pub(crate) async fn to_be_undone(
    name: &str,
    change: impl FnOnce(&mut PlanRequest),
) -> (Arc<World>, Deployment) {
    let site = site().await;
    let world = World::new(site, name, 2);
    world.change(|m| {
        m.device("82").install = Install::Fails { installed: None };
        m.held.insert("plans.list_installed".to_owned());
    });
    let deployment = world
        .deploy(site, |r| {
            r.rings = rings_of(&["81", "82"]);
            r.rollback.scope = RollbackScope::AllDevices;
            change(r);
        })
        .await;
    world
        .until("all is to be rolled back", |m| {
            m.calls_of("plans.list_installed") == 1
        })
        .await;
    (world, deployment)
}

#[test]
fn an_abort_ends_a_rollback_of_all_devices_before_it_reaches_them() {
    run(async {
        let (world, deployment) = to_be_undone("abort-undo", |_| {}).await;
        deployment.signal("abort", json!({ "by": "dana" })).await;
        world.change(|m| m.held.clear());
        let result = deployment.ends(DeploymentOutcome::Aborted).await;
        assert!(
            result
                .detail
                .starts_with("aborted during its rollback: dana"),
            "{result:?}"
        );
        assert_eq!(
            world.read(|m| m.outcome_of("81")),
            Some(DeviceOutcome::Verified)
        );
    });
}

#[test]
fn an_abort_ends_the_wait_of_a_rollback_for_a_device_that_is_offline() {
    run(async {
        let (world, deployment) = to_be_undone("abort-undo-wait", |_| {}).await;
        world.change(|m| {
            m.superops_away = true;
            m.device("81").last_snapshot = Some(Timestamp::now());
            m.held.clear();
        });
        let looks = world.read(|m| m.calls_of("inventory.get_device"));
        world
            .until("the device is looked for", |m| {
                m.calls_of("inventory.get_device") > looks
            })
            .await;
        deployment.signal("abort", json!({ "by": "dana" })).await;
        let result = deployment.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(result.counts.of(DeviceOutcome::NeedsHuman), 1, "{result:?}");
        let detail = world.read(|m| {
            let row = &m.rows[&"81".parse().unwrap()];
            row.result.detail.clone()
        });
        assert!(
            detail.starts_with("could not be rolled back: stopped before anything was done"),
            "{detail}"
        );
        assert!(world.read(|m| m.leases.is_empty()));
    });
}

#[test]
fn an_abort_while_devices_end_after_a_gate_keeps_the_rollback_from_beginning() {
    run(async {
        let site = site().await;
        let world = World::new(site, "abort-gate", 3);
        world.change(|m| {
            m.device("82").install = Install::Fails { installed: None };
            m.device("83").holds_report = true;
        });
        let deployment = world
            .deploy(site, |r| {
                r.rings = rings_of(&["81", "82"]);
                r.rings[1].devices.push("83".parse().unwrap());
                r.rollback.scope = RollbackScope::AllDevices;
            })
            .await;
        deployment
            .until_status("the gate", |s| s.note == "waiting for devices in flight")
            .await;
        deployment.signal("abort", json!({ "by": "dana" })).await;
        deployment
            .until_status("the abort", |s| s.note.starts_with("stopping: dana"))
            .await;
        world.change(|m| m.device("83").holds_report = false);
        deployment.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(world.read(|m| m.calls_of("plans.list_installed")), 0);
    });
}
