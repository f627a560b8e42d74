//! People who pause, halt, abort and change a running deployment.

use std::sync::Arc;

use autoops_tests::{Deployment, World, plan, run, site};
use contracts::deployment::ControlAnswer;
use domain::{
    deployment::Stage,
    outcome::{DeploymentOutcome, DeviceOutcome},
};
use serde_json::json;

use crate::deploying::rings_of;

fn is_done(answer: &ControlAnswer) -> bool {
    matches!(answer, ControlAnswer::Done { .. })
}

/// The first of three rings is in work, and its device does not report yet.
async fn first_ring_in_work(name: &str) -> (Arc<World>, Deployment) {
    let site = site().await;
    let world = World::new(site, name, 3);
    world.change(|m| m.hold_reports = true);
    let deployment = world
        .deploy(site, |r| r.rings = rings_of(&["81", "82", "83"]))
        .await;
    world
        .until("the first script", |m| m.installed_on() == ["81"])
        .await;
    (world, deployment)
}

fn let_reports_come(world: &World) {
    world.change(|m| m.hold_reports = false);
}

#[test]
fn while_paused_no_device_is_started_and_running_ones_go_on() {
    run(async {
        let (world, deployment) = first_ring_in_work("paused").await;
        let tom = || json!({ "by": "tom" });
        assert!(is_done(&deployment.control("request_pause", tom()).await));
        let_reports_come(&world);
        deployment
            .until_status("the first device", |s| s.counts.total() == 1)
            .await;
        deployment
            .until_status("a pause", |s| s.stage == Stage::Paused)
            .await;
        assert_eq!(world.read(|m| m.installed_on()), ["81"]);
        assert!(is_done(&deployment.control("request_resume", tom()).await));
        let answer = deployment.control("request_resume", tom()).await;
        assert!(
            matches!(answer, ControlAnswer::NothingToDo { .. }),
            "{answer:?}"
        );
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn the_pause_flag_of_the_store_holds_the_next_ring() {
    run(async {
        let site = site().await;
        let world = World::new(site, "pause-flag", 1);
        world.change(|m| m.paused = Some("change freeze".to_owned()));
        let deployment = world.deploy(site, |_| {}).await;
        deployment
            .until_status("a pause", |s| {
                s.stage == Stage::Paused && s.note == "change freeze"
            })
            .await;
        assert_eq!(world.read(|m| m.scripts.len()), 0);
        world.change(|m| m.paused = None);
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn a_halt_stops_new_devices_until_somebody_resumes() {
    run(async {
        let (world, deployment) = first_ring_in_work("halted").await;
        let why = json!({ "by": "tom", "reason": "printers fail", "kb": plan::KB });
        deployment.signal("halt", why).await;
        deployment
            .until_status("a halt", |s| s.stage == Stage::Halted)
            .await;
        let_reports_come(&world);
        deployment
            .until_status("the first device", |s| s.counts.total() == 1)
            .await;
        assert_eq!(world.read(|m| m.installed_on()), ["81"]);
        deployment.signal("resume", json!({ "by": "lee" })).await;
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn an_abort_lets_a_running_script_end_and_touches_nothing_more() {
    run(async {
        let (world, deployment) = first_ring_in_work("aborted").await;
        let dana = json!({ "by": "dana", "reason": "wrong week" });
        assert!(is_done(&deployment.control("request_abort", dana).await));
        let_reports_come(&world);
        let result = deployment.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(result.counts.of(DeviceOutcome::Aborted), 2);
        assert_eq!(result.counts.total(), 3);
        assert_eq!(world.read(|m| m.installed_on()), ["81"]);
    });
}

#[test]
fn people_who_may_not_control_it_change_nothing() {
    run(async {
        let (world, deployment) = first_ring_in_work("no-control").await;
        for (update, person) in [
            ("request_abort", "tom"),
            ("request_pause", "vic"),
            ("request_halt", "olga"),
        ] {
            let answer = deployment.control(update, json!({ "by": person })).await;
            assert!(
                matches!(answer, ControlAnswer::NotAllowed { .. }),
                "{answer:?}"
            );
        }
        let_reports_come(&world);
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn an_amended_plan_is_approved_anew_and_finished_devices_are_not_touched_again() {
    run(async {
        let site = site().await;
        let world = World::new(site, "amended", 3);
        world.change(|m| {
            m.verdict = plan::asks(|_| {});
            m.hold_reports = true;
        });
        let deployment = world
            .deploy(site, |r| r.rings = rings_of(&["81", "82", "83"]))
            .await;
        deployment.decide("approve", "dana").await;
        world
            .until("the first script", |m| m.installed_on() == ["81"])
            .await;
        // Ring 83 would be empty: an amendment that cannot be is refused and changes nothing.
        let empty = json!({ "by": "dana", "change": { "remove_devices": ["83"] } });
        let answer = deployment.control("amend", empty).await;
        assert!(
            matches!(answer, ControlAnswer::Refused { .. }),
            "{answer:?}"
        );
        let nothing = json!({ "by": "dana", "change": {} });
        let answer = deployment.control("amend", nothing).await;
        assert!(
            matches!(answer, ControlAnswer::Refused { .. }),
            "{answer:?}"
        );
        let change = json!({ "by": "dana", "change": { "reboot": "never" } });
        assert!(is_done(&deployment.control("amend", change).await));
        let_reports_come(&world);
        deployment.open_request().await;
        assert_eq!(
            world.read(|m| m.outcome_of("81")),
            Some(DeviceOutcome::Verified)
        );
        deployment.decide("approve", "erin").await;
        let result = deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 3);
        assert_eq!(world.read(|m| m.installed_on()), ["81", "82", "83"]);
        assert_eq!(world.read(|m| m.plans.len()), 2);
    });
}
