//! Devices that are offline, and devices somebody else works on.

use std::sync::Arc;

use autoops_tests::{Deployment, World, run, site};
use contracts::deployment::ControlAnswer;
use domain::{
    deployment::Stage,
    outcome::{DeploymentOutcome, DeviceOutcome},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// One of two devices stays offline through its window.
async fn one_is_offline(name: &str, max_wait: u64) -> (Arc<World>, Deployment) {
    let site = site().await;
    let world = World::new(site, name, 2);
    world.change(|m| m.device("82").device.online = false);
    let deployment = world
        .deploy(site, |r| {
            r.waits.script_timeout_secs = 2;
            r.waits.max_wait_secs = max_wait;
        })
        .await;
    (world, deployment)
}

#[test]
fn a_device_that_comes_back_is_patched_later() {
    run(async {
        let (world, deployment) = one_is_offline("comes-back", 60).await;
        deployment
            .until_status("a straggler", |s| {
                s.stage == Stage::Stragglers && s.stragglers == 1
            })
            .await;
        assert_eq!(
            world.read(|m| m.outcome_of("81")),
            Some(DeviceOutcome::Verified)
        );
        world.change(|m| m.device("82").device.online = true);
        let result = deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 2);
    });
}

#[test]
fn a_device_that_stays_away_is_given_up_as_unreached() {
    run(async {
        let (world, deployment) = one_is_offline("stays-away", 1).await;
        let result = deployment.ends(DeploymentOutcome::Incomplete).await;
        assert_eq!(result.outcome.exit_status(), 4);
        assert_eq!(result.counts.of(DeviceOutcome::Unreached), 1);
        assert_eq!(result.counts.total(), 2);
        assert_eq!(
            world.read(|m| m.outcome_of("82")),
            Some(DeviceOutcome::Unreached)
        );
    });
}

#[test]
fn an_amendment_counts_a_straggler_once() {
    run(async {
        let (_world, deployment) = one_is_offline("amended-straggler", 4).await;
        deployment
            .until_status("a straggler", |s| {
                s.stage == Stage::Stragglers && s.stragglers == 1
            })
            .await;
        let change = json!({ "by": "dana", "change": { "reboot": "never" } });
        let answer = deployment.control("amend", change).await;
        assert!(matches!(answer, ControlAnswer::Done { .. }), "{answer:?}");
        let result = deployment.ends(DeploymentOutcome::Incomplete).await;
        assert_eq!(result.counts.of(DeviceOutcome::Unreached), 1);
        assert_eq!(result.counts.total(), 2);
    });
}

#[test]
fn an_abort_reaches_stragglers() {
    run(async {
        let (_world, deployment) = one_is_offline("aborted-straggler", 60).await;
        deployment
            .until_status("a straggler", |s| {
                s.stage == Stage::Stragglers && s.stragglers == 1
            })
            .await;
        deployment.signal("abort", json!({ "by": "dana" })).await;
        let result = deployment.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(result.counts.total(), 2);
    });
}

#[test]
fn a_device_that_somebody_else_works_on_is_waited_for() {
    run(async {
        let site = site().await;
        let world = World::new(site, "leased", 1);
        let until = Timestamp::now() + SignedDuration::from_hours(1);
        world.change(|m| {
            let owner = ("incident/1".to_owned(), until);
            m.leases.insert("81".parse().unwrap(), owner);
        });
        let deployment = world.deploy(site, |_| {}).await;
        world
            .until("two tries", |m| m.calls_of("inventory.acquire_lease") >= 2)
            .await;
        assert_eq!(world.read(|m| m.scripts.len()), 0);
        world.change(|m| m.leases.clear());
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}
