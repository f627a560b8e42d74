//! Steps after an installation that `SuperOps` loses, or the device refuses: they are made in the end, and
//! never taken as made.

use std::time::Duration;

use autoops_tests::{FakeDevice, OpeningIn, Start, World, run, site};
use domain::{
    outcome::{DeploymentOutcome, DeviceOutcome},
    script::ScriptMode,
};
use futures::future::join_all;
use jiff::SignedDuration;
use serde_json::json;

/// More starts than are made of a job that may have run.
const LOST: usize = 5;
const VANISHES: Start = Start::AnswerLost { ran: false };

/// `SuperOps` takes so many starts, and then answers questions only.
fn loses_starts_after(taken: usize, device: &mut FakeDevice) {
    device.starts.extend(vec![Start::Accepted; taken]);
    device.starts.extend(vec![VANISHES; LOST]);
}

#[test]
fn what_superops_loses_again_and_again_is_done_once_it_takes_it() {
    run(async {
        use ScriptMode::{Reboot, Uninstall, Verify};
        let cases = [
            (
                "lost-restart",
                1,
                false,
                Reboot,
                DeploymentOutcome::Verified,
            ),
            (
                "lost-question",
                4,
                true,
                Verify,
                DeploymentOutcome::RolledBack,
            ),
            (
                "lost-removal",
                3,
                true,
                Uninstall,
                DeploymentOutcome::RolledBack,
            ),
        ];
        let told = cases.map(|(name, taken, is_broken, mode, outcome)| async move {
            let site = site().await;
            let world = World::new(site, name, 1);
            world.change(|m| {
                let device = m.device("81");
                device.needs_restart = true;
                device.stopped_service = is_broken.then(|| "Spooler".to_owned());
                loses_starts_after(taken, device);
            });
            let deployment = world
                .deploy(site, |r| {
                    r.waits.callback_secs = 1;
                    r.health.services = vec!["Spooler".to_owned()];
                })
                .await;
            deployment.ends(outcome).await;
            let (starts, ran) = world.read(|m| {
                let device = &m.devices[&"81".parse().unwrap()];
                (m.starts_of(mode), device.ran(mode))
            });
            assert!(starts > LOST, "{name}: {starts}");
            assert_eq!(ran, starts - LOST, "{name}: each of them ran once");
        });
        join_all(told).await;
    });
}

#[test]
fn a_restart_that_superops_goes_on_losing_is_left_to_people_by_an_abort() {
    run(async {
        let site = site().await;
        let world = World::new(site, "lost-abort", 1);
        world.change(|m| {
            let device = m.device("81");
            device.needs_restart = true;
            device.starts.push_back(Start::Accepted);
            device.starts.extend(vec![VANISHES; 1000]);
        });
        let deployment = world.deploy(site, |r| r.waits.callback_secs = 1).await;
        world
            .until("more starts than of a job that may have run", |m| {
                m.starts_of(ScriptMode::Reboot) > 3 || !m.rows.is_empty()
            })
            .await;
        deployment.signal("abort", json!({ "by": "dana" })).await;
        let result = deployment.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(result.counts.of(DeviceOutcome::NeedsHuman), 1, "{result:?}");
        let detail = world.read(|m| m.rows.values().next().unwrap().result.detail.clone());
        assert!(
            detail.contains("the restart could not be started"),
            "{detail}"
        );
    });
}

#[test]
fn a_device_whose_clock_is_ahead_is_restarted_in_its_next_window_and_not_asked_all_the_time() {
    run(async {
        let site = site().await;
        let world = World::new(site, "clock-ahead", 1);
        world.change(|m| {
            m.openings = [OpeningIn(Duration::ZERO), OpeningIn(Duration::from_secs(2))].into();
            m.opening_lasts = Some(Duration::from_secs(40));
            let device = m.device("81");
            device.needs_restart = true;
            device.holds_report = true;
        });
        let deployment = world
            .deploy(site, |r| r.waits.script_timeout_secs = 240)
            .await;
        world
            .until("the installation", |m| {
                m.devices[&"81".parse().unwrap()].ran(ScriptMode::Install) == 1
            })
            .await;
        world.change(|m| {
            m.opening_lasts = None;
            let device = m.device("81");
            device.clock_ahead = SignedDuration::from_secs(40);
            device.holds_report = false;
        });
        deployment.ends(DeploymentOutcome::Verified).await;
        let restarts = world.read(|m| {
            let device = &m.devices[&"81".parse().unwrap()];
            (
                m.starts_of(ScriptMode::Reboot),
                device.ran(ScriptMode::Reboot),
            )
        });
        assert_eq!(restarts, (2, 1));
    });
}
