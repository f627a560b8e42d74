//! `SuperOps` goes away while a device is half done, for longer than any script may take: nobody has to
//! repair by hand what an outage has only delayed.

use std::{sync::Arc, time::Duration};

use autoops_tests::{Deployment, FakeDevice, Model, OpeningIn, Scan, World, run, site};
use contracts::device::DeviceStage;
use domain::{
    deployment::Stage,
    outcome::{DeploymentOutcome, DeviceOutcome},
    plan::PlanRequest,
    script::ScriptMode,
};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{endings::to_be_undone, outages::device_status, turns::two_kbs};

/// Tries, or looks, whose pauses of 1, 2, 4 and 8 seconds outlast a script of three seconds.
const MANY: usize = 5;
const STARTS: &str = "superops.run_script";
const LOOKS: &str = "inventory.get_device";

/// When `SuperOps` goes away.
type When = fn(&Model) -> bool;

/// One device, and `SuperOps` goes away once something holds.
async fn left_alone(
    name: &str,
    turn: impl FnOnce(&mut FakeDevice),
    change: impl FnOnce(&mut PlanRequest),
    when: When,
) -> (Arc<World>, Deployment) {
    let site = site().await;
    let world = World::new(site, name, 1);
    world.change(|m| {
        turn(m.device("81"));
        m.away_when = Some(when);
    });
    let deployment = world
        .deploy(site, |r| {
            r.waits.script_timeout_secs = 3;
            r.health.online_within_secs = 1;
            change(r);
        })
        .await;
    world.until("SuperOps is away", |m| m.superops_away).await;
    (world, deployment)
}

/// Waits until an activity was called so often in vain that any script would have been over.
async fn in_vain(world: &World, activity: &'static str) {
    let before = world.read(|m| m.calls_of(activity));
    world
        .until("many calls in vain", |m| {
            m.calls_of(activity) >= before + MANY || !m.rows.is_empty()
        })
        .await;
    let details = world.read(|m| {
        let rows = m.rows.values().map(|row| row.result.detail.clone());
        rows.collect::<Vec<_>>()
    });
    assert!(details.is_empty(), "it has ended: {details:?}");
}

/// The outcome of the device, and how often its script was started for what changes it: installations,
/// restarts, removals.
fn came_to(world: &World) -> (Option<DeviceOutcome>, [usize; 3]) {
    let modes = [
        ScriptMode::Install,
        ScriptMode::Reboot,
        ScriptMode::Uninstall,
    ];
    world.read(|m| (m.outcome_of("81"), modes.map(|mode| m.starts_of(mode))))
}

#[test]
fn a_restart_that_cannot_be_started_waits_until_superops_is_back() {
    run(async {
        let (world, deployment) = left_alone(
            "away-restart",
            |d| d.needs_restart = true,
            |_| {},
            |m| m.starts_of(ScriptMode::Install) == 1,
        )
        .await;
        in_vain(&world, STARTS).await;
        let waiting = device_status("away-restart", "81").await;
        assert_eq!(waiting.stage, DeviceStage::Rebooting, "{waiting:?}");
        assert_eq!(
            waiting.note,
            "SuperOps does not answer; the restart is started later"
        );
        world.change(|m| m.superops_away = false);
        deployment.ends(DeploymentOutcome::Verified).await;
        let expected = (Some(DeviceOutcome::Verified), [1, 1, 0]);
        assert_eq!(came_to(&world), expected);
    });
}

#[test]
fn a_restart_whose_window_closes_during_the_outage_is_made_in_the_next_one() {
    run(async {
        let site = site().await;
        let world = World::new(site, "away-restart-window", 1);
        world.change(|m| {
            m.device("81").needs_restart = true;
            m.openings = [OpeningIn(Duration::ZERO), OpeningIn(Duration::from_secs(2))].into();
            m.opening_lasts = Some(Duration::from_secs(12));
            m.away_when = Some(|m| m.starts_of(ScriptMode::Install) == 1);
        });
        let begun = Timestamp::now();
        let deployment = world
            .deploy(site, |r| r.waits.script_timeout_secs = 3)
            .await;
        world
            .until("the next window is looked for", |m| {
                m.calls_of("windows.next_opening") >= 2 || !m.rows.is_empty()
            })
            .await;
        world.change(|m| {
            m.superops_away = false;
            m.opening_lasts = None;
        });
        deployment.ends(DeploymentOutcome::Verified).await;
        let expected = (Some(DeviceOutcome::Verified), [1, 1, 0]);
        assert_eq!(came_to(&world), expected);
        let restarted = world.read(|m| {
            let restart = m.scripts.iter().find(|s| s.mode == ScriptMode::Reboot);
            restart.map(|s| s.not_after)
        });
        // The first window lasts 12 seconds at least, the second begins 2 later, and a script has 3.
        let not_before = begun + SignedDuration::from_secs(12 + 2 + 3);
        assert!(restarted >= Some(not_before), "{restarted:?}, {not_before}");
    });
}

#[test]
fn a_device_that_restarts_during_the_outage_is_judged_when_somebody_can_look() {
    run(async {
        let (world, deployment) = left_alone(
            "away-restarted",
            |d| d.needs_restart = true,
            |_| {},
            |m| m.starts_of(ScriptMode::Reboot) == 1,
        )
        .await;
        in_vain(&world, LOOKS).await;
        let waiting = device_status("away-restarted", "81").await;
        assert!(
            waiting.note.starts_with("SuperOps does not answer since"),
            "{waiting:?}"
        );
        world.change(|m| m.superops_away = false);
        deployment.ends(DeploymentOutcome::Verified).await;
        let expected = (Some(DeviceOutcome::Verified), [1, 1, 0]);
        assert_eq!(came_to(&world), expected);
    });
}

#[test]
fn a_device_that_did_not_come_back_is_found_after_the_outage() {
    run(async {
        let (world, deployment) = left_alone(
            "away-never-back",
            |d| {
                d.needs_restart = true;
                d.comes_back = false;
            },
            |_| {},
            |m| m.starts_of(ScriptMode::Reboot) == 1,
        )
        .await;
        in_vain(&world, LOOKS).await;
        world.change(|m| m.superops_away = false);
        deployment.ends(DeploymentOutcome::Incomplete).await;
        let detail = world.read(|m| m.rows.values().next().unwrap().result.detail.clone());
        assert!(detail.contains("not back online within 1 s"), "{detail}");
    });
}

#[test]
fn the_health_of_a_device_is_judged_when_somebody_can_look() {
    run(async {
        let (world, deployment) = left_alone(
            "away-health",
            |_| {},
            |_| {},
            |m| m.answers_of("superops.critical_alerts") == 1,
        )
        .await;
        in_vain(&world, LOOKS).await;
        world.change(|m| m.superops_away = false);
        deployment.ends(DeploymentOutcome::Verified).await;
        let expected = (Some(DeviceOutcome::Verified), [1, 0, 0]);
        assert_eq!(came_to(&world), expected);
    });
}

#[test]
fn a_scan_is_waited_for_as_long_as_nobody_can_read_it() {
    run(async {
        let (world, deployment) = left_alone(
            "away-scan",
            |d| d.scan = Scan::Never,
            |r| {
                r.waits.verify_secs = 2;
                r.waits.verify_poll_secs = 2;
            },
            // Announced, and taken back: the device is healthy.
            |m| m.answers_of("alerts.expect") == 2,
        )
        .await;
        in_vain(&world, LOOKS).await;
        world.change(|m| {
            m.superops_away = false;
            m.device("81").scan = Scan::Confirms;
        });
        deployment.ends(DeploymentOutcome::Verified).await;
        let expected = (Some(DeviceOutcome::Verified), [1, 0, 0]);
        assert_eq!(came_to(&world), expected);
    });
}

/// A device whose service the update has stopped, which asks for restarts.
fn broken(device: &mut FakeDevice) {
    device.stopped_service = Some("Spooler".to_owned());
}

fn watched(request: &mut PlanRequest) {
    request.health.services = vec!["Spooler".to_owned()];
}

#[test]
fn a_rollback_waits_at_each_of_its_steps_until_superops_is_back() {
    run(async {
        let steps: [(&str, When, &str); 2] = [
            (
                "away-removal",
                |m| m.starts_of(ScriptMode::Verify) == 1,
                "SuperOps does not answer; the removal is started later",
            ),
            (
                "away-removed",
                |m| m.starts_of(ScriptMode::Uninstall) == 1,
                "SuperOps does not answer; the script is started later",
            ),
        ];
        let told = steps.map(|(name, when, note)| async move {
            let (world, deployment) = left_alone(name, broken, watched, when).await;
            in_vain(&world, STARTS).await;
            let waiting = device_status(name, "81").await;
            assert_eq!(waiting.stage, DeviceStage::RollingBack, "{waiting:?}");
            assert_eq!(waiting.note, note);
            world.change(|m| m.superops_away = false);
            deployment.ends(DeploymentOutcome::RolledBack).await;
            let expected = (Some(DeviceOutcome::RolledBack), [1, 0, 1]);
            assert_eq!(came_to(&world), expected, "{name}");
        });
        join_all(told).await;
    });
}

#[test]
fn a_rollback_of_all_devices_waits_for_one_that_nobody_can_see() {
    run(async {
        let (world, deployment) =
            to_be_undone("away-all-back", |r| r.waits.script_timeout_secs = 3).await;
        world.change(|m| {
            m.superops_away = true;
            m.device("81").last_snapshot = Some(Timestamp::now());
            m.held.clear();
        });
        let looks = world.read(|m| m.calls_of(LOOKS));
        world
            .until("looks in vain", |m| {
                m.calls_of(LOOKS) >= looks + MANY
                    || m.outcome_of("81") == Some(DeviceOutcome::NeedsHuman)
            })
            .await;
        world.change(|m| {
            m.superops_away = false;
            m.device("81").last_snapshot = None;
        });
        deployment.ends(DeploymentOutcome::RolledBack).await;
        assert_eq!(
            world.read(|m| m.outcome_of("81")),
            Some(DeviceOutcome::RolledBack)
        );
        let removed = world.read(|m| {
            let removals = m.scripts.iter().filter(|s| s.mode == ScriptMode::Uninstall);
            let mut devices: Vec<_> = removals.map(|s| s.device.to_string()).collect();
            devices.sort_unstable();
            devices
        });
        assert_eq!(removed, ["81", "82"], "each once");
    });
}

#[test]
fn an_abort_does_not_wait_for_superops_and_says_what_is_left_to_do() {
    run(async {
        let moments: [(&str, When, &str, &str); 3] = [
            (
                "away-abort-restart",
                |m| m.starts_of(ScriptMode::Install) == 1,
                STARTS,
                "the restart could not be started",
            ),
            (
                "away-abort-alerts",
                |m| m.starts_of(ScriptMode::Verify) == 1,
                "superops.critical_alerts",
                "alerts could not be read since",
            ),
            (
                "away-abort-health",
                |m| m.answers_of("superops.critical_alerts") == 1,
                LOOKS,
                "the device list could not be read since",
            ),
        ];
        let told = moments.map(|(name, when, activity, words)| async move {
            let restarts = activity == STARTS;
            let (world, deployment) = left_alone(
                name,
                |d| d.needs_restart = restarts,
                // An hour is far beyond what a test waits.
                |r| r.waits.script_timeout_secs = 3600,
                when,
            )
            .await;
            let before = world.read(|m| m.calls_of(activity));
            world
                .until("it waits", |m| m.calls_of(activity) > before)
                .await;
            deployment.signal("abort", json!({ "by": "dana" })).await;
            let result = deployment.ends(DeploymentOutcome::Aborted).await;
            assert_eq!(result.counts.of(DeviceOutcome::NeedsHuman), 1, "{result:?}");
            let detail = world.read(|m| m.rows.values().next().unwrap().result.detail.clone());
            assert!(detail.contains(words), "{name}: {detail}");
            assert!(world.read(|m| m.leases.is_empty()), "{name}");
        });
        join_all(told).await;
    });
}

#[test]
fn a_second_patch_that_waits_for_superops_is_not_installed_after_a_halt() {
    run(async {
        let site = site().await;
        let world = World::new(site, "away-halt", 1);
        world.change(|m| m.away_when = Some(|m| m.starts_of(ScriptMode::Install) == 1));
        let two = Arc::clone(&world);
        let deployment = world
            .deploy(site, |r| {
                two_kbs(&two, r);
                // An hour is far beyond what a test waits, or an answer of guardrails gets old.
                r.waits.script_timeout_secs = 3600;
                r.waits.pause_poll_secs = 3600;
            })
            .await;
        world.until("SuperOps is away", |m| m.superops_away).await;
        let before = world.read(|m| m.calls_of(STARTS));
        world
            .until("the second is tried", |m| m.calls_of(STARTS) > before)
            .await;
        a_halt_puts_the_rest_off(&world, &deployment, |m| m.superops_away = false).await;
    });
}

/// A person halts the deployment while an update of its device waits, which then may go on.
pub(crate) async fn a_halt_puts_the_rest_off(
    world: &World,
    deployment: &Deployment,
    go_on: impl FnOnce(&mut Model),
) {
    deployment.signal("halt", json!({ "by": "tom" })).await;
    deployment
        .until_status("a halt", |s| s.stage == Stage::Halted)
        .await;
    world.change(go_on);
    deployment
        .until_status("a straggler", |s| s.stragglers == 1)
        .await;
    assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 1);
    deployment.signal("abort", json!({ "by": "dana" })).await;
    deployment.ends(DeploymentOutcome::Aborted).await;
}

#[test]
fn an_abort_ends_the_wait_of_a_half_done_device_for_its_next_window() {
    run(async {
        let site = site().await;
        let world = World::new(site, "away-abort-window", 1);
        world.change(|m| {
            m.device("81").needs_restart = true;
            // A day is far beyond what a test waits.
            let next = Duration::from_secs(86_400);
            m.openings = [OpeningIn(Duration::ZERO), OpeningIn(next)].into();
            m.opening_lasts = Some(Duration::from_secs(12));
            m.away_when = Some(|m| m.starts_of(ScriptMode::Install) == 1);
        });
        let deployment = world
            .deploy(site, |r| r.waits.script_timeout_secs = 3)
            .await;
        world
            .until("the next window is looked for", |m| {
                m.calls_of("windows.next_opening") >= 2 || !m.rows.is_empty()
            })
            .await;
        deployment.signal("abort", json!({ "by": "dana" })).await;
        let result = deployment.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(result.counts.of(DeviceOutcome::NeedsHuman), 1, "{result:?}");
        let detail = world.read(|m| m.rows.values().next().unwrap().result.detail.clone());
        assert!(
            detail.contains("aborted before its next window"),
            "{detail}"
        );
    });
}

/// The same device under the plan of a later retry.
async fn again(world: &World, name: &str) -> (Arc<World>, Deployment) {
    let site = site().await;
    let mut device = world.read(|m| m.devices[&"81".parse().unwrap()].clone());
    device.reports_get_lost = false;
    let again = World::new(site, name, 1);
    again.change(|m| *m.device("81") = device);
    let deployment = again.deploy(site, |_| {}).await;
    (again, deployment)
}

#[test]
fn a_retry_after_a_silent_installation_finds_the_update_and_does_not_install_it_again() {
    run(async {
        let cases = [
            // The retry of the letter comes before the next scan: only the script can tell.
            ("unheard", Scan::Never, false, DeviceOutcome::Verified, 1),
            (
                "unheard-restart",
                Scan::Never,
                true,
                DeviceOutcome::Verified,
                1,
            ),
            // A scan was made meanwhile.
            (
                "unheard-scanned",
                Scan::Confirms,
                false,
                DeviceOutcome::AlreadyInstalled,
                0,
            ),
        ];
        let told = cases.map(|(name, scan, needs_restart, outcome, starts)| async move {
            let site = site().await;
            let world = World::new(site, name, 1);
            world.change(|m| {
                let device = m.device("81");
                device.reports_get_lost = true;
                device.needs_restart = needs_restart;
                device.scan = Scan::Never;
            });
            let deployment = world
                .deploy(site, |r| {
                    r.waits.callback_secs = 1;
                    r.waits.script_timeout_secs = 3;
                })
                .await;
            deployment.ends(DeploymentOutcome::Incomplete).await;
            let first = world.read(|m| m.outcome_of("81"));
            assert_eq!(first, Some(DeviceOutcome::NeedsHuman), "{name}");

            world.change(|m| m.device("81").scan = scan);
            let (again, retry) = again(&world, &format!("{name}-again")).await;
            if scan == Scan::Never {
                again
                    .until("the script is asked", |m| {
                        m.starts_of(ScriptMode::Verify) > 0
                    })
                    .await;
                again.change(|m| m.device("81").scan = Scan::Confirms);
            }
            retry.result().await;
            let (ended, installed, started, restarts) = again.read(|m| {
                (
                    m.outcome_of("81"),
                    m.devices[&"81".parse().unwrap()].installed.len(),
                    m.starts_of(ScriptMode::Install),
                    m.starts_of(ScriptMode::Reboot),
                )
            });
            assert_eq!(ended, Some(outcome), "{name}");
            assert_eq!(installed, 1, "{name}: installed once over both plans");
            assert_eq!((started, restarts > 0), (starts, needs_restart), "{name}");
        });
        join_all(told).await;
    });
}
