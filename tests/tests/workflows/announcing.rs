//! What a wave tells triage: before it changes or restarts a device, and when it is done with it.

use std::sync::Arc;

use autoops_tests::{FakeDevice, Lost, World, plan::KB, run, site};
use domain::{
    outcome::DeviceOutcome,
    patch::PatchState,
    plan::PlanRequest,
    triage::{Expectation, Symptom},
};

/// Deploys to one device, until it ends so.
async fn one(
    name: &str,
    turn: impl FnOnce(&mut FakeDevice),
    change: impl FnOnce(&mut PlanRequest),
    expected: DeviceOutcome,
) -> Arc<World> {
    let site = site().await;
    let world = World::new(site, name, 1);
    world.change(|m| turn(m.device("81")));
    let deployment = world.deploy(site, change).await;
    deployment.result().await;
    assert_eq!(world.read(|m| m.outcome_of("81")), Some(expected));
    world
}

/// The steps of a device run in which somebody is told or something is done to the device.
fn steps(world: &World) -> Vec<String> {
    let of = [
        "alerts.expect",
        "superops.run_script",
        "superops.critical_alerts",
        "store.save_device",
    ];
    world.read(|m| {
        let mut scripts = m.scripts.iter();
        let calls = m.calls.iter().filter(|call| of.contains(&call.as_str()));
        let named = calls.map(|call| match call.as_str() {
            "superops.run_script" => scripts.next().unwrap().mode.to_string(),
            _ => call.clone(),
        });
        named.collect()
    })
}

fn announced(world: &World) -> Vec<Expectation> {
    world.read(|m| m.announced.clone())
}

#[test]
fn alerts_are_announced_before_each_step_and_are_over_once_the_device_is_healthy() {
    run(async {
        let restarts = |d: &mut FakeDevice| d.needs_restart = true;
        // Long enough that the end is an early one.
        let patient = |r: &mut PlanRequest| r.health.online_within_secs = 300;
        let world = one("announced", restarts, patient, DeviceOutcome::Verified).await;
        assert_eq!(
            steps(&world),
            [
                "alerts.expect",
                "install",
                "alerts.expect",
                "reboot",
                "verify",
                "superops.critical_alerts",
                "alerts.expect",
                "store.save_device",
            ]
        );
        let [install, restart, end] = &announced(&world)[..] else {
            panic!("{:?}", announced(&world))
        };
        assert_eq!(install.symptoms, [Symptom::Service, Symptom::Load]);
        assert_eq!(restart.symptoms, Symptom::ALL);
        assert_eq!((&end.symptoms, end.from), (&restart.symptoms, install.from));
        assert!(end.until < restart.until, "{end:?} {restart:?}");
        assert_eq!((install.ring, install.attempt), (0, 1));
        assert_eq!(install.kbs, [KB.parse().unwrap()]);
        assert_eq!(install.device.as_str(), "81");
    });
}

#[test]
fn a_removal_is_announced_and_what_it_leaves_counts_once_it_is_over() {
    run(async {
        let world = one(
            "announced-removal",
            |d| d.stopped_service = Some("Spooler".to_owned()),
            |r| r.health.services = vec!["Spooler".to_owned()],
            DeviceOutcome::RolledBack,
        )
        .await;
        let steps = steps(&world);
        let removal = steps.iter().position(|step| step == "uninstall").unwrap();
        assert_eq!(steps[removal - 1], "alerts.expect", "{steps:?}");
        assert_eq!(
            steps[steps.len() - 2..],
            ["alerts.expect", "store.save_device"]
        );
        let told = announced(&world);
        let (last, before) = (&told[told.len() - 1], &told[told.len() - 2]);
        assert!(last.until < before.until);
    });
}

#[test]
fn nothing_is_announced_where_nothing_is_done() {
    run(async {
        let there = |d: &mut FakeDevice| {
            d.patches.insert(KB.parse().unwrap(), PatchState::Installed);
        };
        let ends = DeviceOutcome::AlreadyInstalled;
        let world = one("announced-nothing", there, |_| {}, ends).await;
        assert_eq!(world.read(|m| m.calls_of("alerts.expect")), 0);
    });
}

#[test]
fn a_device_does_not_wait_for_triage_that_cannot_be_told() {
    run(async {
        let site = site().await;
        let world = World::new(site, "announced-to-nobody", 1);
        world.change(|m| m.fail("alerts.expect", None, Lost::Retryable));
        let deployment = world.deploy(site, |r| r.waits.call_secs = 2).await;
        deployment.result().await;
        let outcome = world.read(|m| m.outcome_of("81"));
        assert_eq!(outcome, Some(DeviceOutcome::Verified));
        assert!(announced(&world).is_empty());
        assert!(world.read(|m| m.calls_of("alerts.expect")) >= 2);
    });
}
