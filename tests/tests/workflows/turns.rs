//! Long stories: plans that change with devices at work, histories that end while people are asked,
//! stops one after another, and what fails for good in the middle.

use std::{sync::Arc, time::Duration};

use autoops_tests::{
    Deployment, Lost, OpeningIn, Scan, World, histories::input_of, plan::asks, run, site,
};
use contracts::{activities::notify::NoticeKind, deployment::ControlAnswer};
use domain::{
    approval::Answer,
    deployment::Stage,
    guardrail::OnTimeout,
    ids::KbId,
    outcome::{DeploymentOutcome, DeviceOutcome},
    patch::PatchState,
    plan::{PatchSelector, PlanRequest},
    script::ScriptMode,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{approvals::asked, deploying::rings_of};

const OTHER_KB: &str = "KB5034122";

async fn done(deployment: &Deployment, update: &str, input: serde_json::Value) {
    let answer = deployment.control(update, input).await;
    assert!(matches!(answer, ControlAnswer::Done { .. }), "{answer:?}");
}

/// A deployment whose first device works and does not report yet.
pub(crate) async fn at_work(
    name: &str,
    devices: u32,
    change: impl FnOnce(&mut PlanRequest),
) -> (Arc<World>, Deployment) {
    let site = site().await;
    let world = World::new(site, name, devices);
    world.change(|m| m.hold_reports = true);
    let deployment = world.deploy(site, change).await;
    world
        .until("the first script", |m| !m.scripts.is_empty())
        .await;
    (world, deployment)
}

pub(crate) fn two_kbs(world: &World, request: &mut PlanRequest) {
    let kb: KbId = OTHER_KB.parse().unwrap();
    world.change(|m| {
        m.every_device(|d| {
            d.patches.insert(kb.clone(), PatchState::Missing);
        });
    });
    request.patches.push(PatchSelector {
        kb,
        cves: Vec::new(),
    });
}

#[test]
fn a_plan_that_changes_with_devices_at_work_counts_each_once_over_several_runs() {
    run(async {
        let (world, deployment) = at_work("amended-at-work", 3, |r| {
            r.rings = rings_of(&["81", "82", "83"]);
            r.limits.continue_after_events = 50;
            // The device is still at work when the run has ended.
            r.waits.callback_secs = 300;
            r.waits.script_timeout_secs = 300;
        })
        .await;
        let change = json!({ "by": "dana", "change": { "reboot": "never" } });
        done(&deployment, "amend", change).await;
        // The run that waits for the device ends, and the next one goes on waiting.
        let runs = deployment.histories().await.len();
        while deployment.histories().await.len() == runs {
            done(&deployment, "request_pause", json!({ "by": "tom" })).await;
            done(&deployment, "request_resume", json!({ "by": "lee" })).await;
        }
        assert_eq!(world.read(|m| m.plans.len()), 1, "nothing is planned yet");
        world.change(|m| m.hold_reports = false);
        let result = deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 3);
        assert_eq!(result.counts.total(), 3);
        assert_eq!(world.read(|m| m.installed_on()), ["81", "82", "83"]);
        let rings = deployment.status().await.rings;
        assert!(rings.iter().all(|r| r.counts.total() == 1), "{rings:?}");
    });
}

#[test]
fn people_are_asked_on_when_the_history_ends_while_they_think() {
    run(async {
        let site = site().await;
        let world = World::new(site, "asked-on", 1);
        world.change(|m| m.verdict = asks(|_| {}));
        let deployment = world
            .deploy(site, |r| r.limits.continue_after_events = 50)
            .await;
        let first = deployment.open_request().await;
        while deployment.histories().await.len() < 2 {
            let nobody = json!({
                "choice": "approve", "by": "vic",
                "request_id": first.id, "plan_hash": first.plan_hash,
            });
            let told: Answer = deployment.send_update("decide", nobody).await.await;
            assert!(matches!(told, Answer::NotAllowed { .. }), "{told:?}");
        }
        assert_eq!(deployment.open_request().await, first);
        deployment.decide("approve", "dana").await;
        deployment.ends(DeploymentOutcome::Verified).await;
        let told = world.read(|m| m.told());
        let opened = told.iter().filter(|k| **k == NoticeKind::ApprovalOpened);
        assert_eq!(opened.count(), 1, "one card");
        let runs = deployment.histories().await;
        assert!(input_of(&runs[1]).unwrap()["carry"]["asking"].is_object());
    });
}

#[test]
fn a_decision_for_the_next_plan_counts_when_it_is_asked_about_although_the_last_was_approved() {
    run(async {
        let site = site().await;
        // What the plan will be once a device is left out.
        let (_, same_plan) = asked(site, "plan-of-one", 1, |_| {}).await;
        let next_hash = same_plan.open_request().await.plan_hash;
        same_plan.decide("reject", "dana").await;

        let world = World::new(site, "next-hash", 2);
        world.change(|m| {
            m.verdict = asks(|_| {});
            m.hold_reports = true;
        });
        let deployment = world.deploy(site, |_| {}).await;
        deployment.decide("approve", "dana").await;
        world.until("both scripts", |m| m.scripts.len() == 2).await;
        world.change(|m| m.held.insert("plans.seal".to_owned()));
        let change = json!({ "by": "lee", "change": { "remove_devices": ["82"] } });
        done(&deployment, "amend", change).await;
        let vote = json!({ "by": "erin", "plan_hash": next_hash });
        deployment.signal("approve", vote).await;
        world.change(|m| {
            m.hold_reports = false;
            m.held.clear();
        });
        deployment.ends(DeploymentOutcome::Verified).await;
        let audited = deployment.audited().await;
        let counted = audited.iter().filter(|what| *what == "decision_counted");
        assert_eq!(counted.count(), 2, "{audited:?}");
        let kept = audited.iter().filter(|what| *what == "decision_kept");
        assert_eq!(kept.count(), 1, "{audited:?}");
    });
}

#[test]
fn nobody_approves_a_change_of_their_own_under_four_eyes() {
    run(async {
        let site = site().await;
        let world = World::new(site, "own-change", 2);
        world.change(|m| m.verdict = asks(|n| n.four_eyes = true));
        let deployment = world
            .deploy(site, |r| r.requested_by = Some("tom".parse().unwrap()))
            .await;
        let first = deployment.open_request().await;
        let change = json!({ "by": "dana", "change": { "reboot": "never" } });
        done(&deployment, "amend", change).await;
        deployment
            .until_status("the second request", |s| {
                s.needs_approval && s.approval.as_ref().is_some_and(|r| r.id != first.id)
            })
            .await;
        let own = deployment.decide("approve", "dana").await;
        assert!(matches!(own, Answer::NotAllowed { .. }), "{own:?}");
        deployment.decide("approve", "lee").await;
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn four_eyes_without_a_requester_are_refused_before_anybody_is_asked() {
    run(async {
        let site = site().await;
        let world = World::new(site, "no-requester", 1);
        world.change(|m| m.verdict = asks(|n| n.four_eyes = true));
        let deployment = world.deploy(site, |r| r.requested_by = None).await;
        let (_, words) = deployment.failure().await;
        assert!(words.contains("requested_by"), "{words}");
        assert!(
            !world
                .read(|m| m.told())
                .contains(&NoticeKind::ApprovalOpened)
        );
    });
}

#[test]
fn a_held_request_ends_with_the_deadline_of_the_plan() {
    run(async {
        let site = site().await;
        let world = World::new(site, "held-too-long", 1);
        world.change(|m| {
            m.verdict = asks(|n| {
                n.timeout_secs = 1;
                n.on_timeout = OnTimeout::Hold;
            });
        });
        let deployment = world
            .deploy(site, |r| {
                r.deadline = Some(Timestamp::now() + SignedDuration::from_secs(15));
            })
            .await;
        let result = deployment.ends(DeploymentOutcome::TimedOut).await;
        assert!(result.detail.contains("deadline of the plan"), "{result:?}");
        assert_eq!(world.read(|m| m.scripts.len()), 0);
    });
}

#[test]
fn a_halt_between_two_patches_puts_the_second_off_and_forgets_neither() {
    run(async {
        let site = site().await;
        let world = World::new(site, "half-patched", 1);
        world.change(|m| m.hold_reports = true);
        let two = Arc::clone(&world);
        let deployment = world.deploy(site, |r| two_kbs(&two, r)).await;
        world
            .until("the first script", |m| m.scripts.len() == 1)
            .await;
        deployment.signal("halt", json!({ "by": "tom" })).await;
        deployment
            .until_status("a halt", |s| s.stage == Stage::Halted)
            .await;
        world.change(|m| m.hold_reports = false);
        deployment
            .until_status("a straggler", |s| s.stragglers == 1)
            .await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 1);
        deployment.signal("resume", json!({ "by": "lee" })).await;
        deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 2);
        let row = world.read(|m| m.rows.values().next().cloned()).unwrap();
        let outcomes: Vec<_> = row.result.patches.iter().map(|p| p.outcome).collect();
        assert_eq!(outcomes, [DeviceOutcome::Verified; 2], "{:?}", row.result);
    });
}

#[test]
fn an_abort_after_a_halt_hurries_devices_that_wait_for_their_scan() {
    run(async {
        let site = site().await;
        let world = World::new(site, "halt-abort", 1);
        world.change(|m| m.device("81").scan = Scan::Never);
        let deployment = world
            .deploy(site, |r| {
                r.waits.verify_secs = 3600;
                r.waits.verify_poll_secs = 60;
            })
            .await;
        world
            .until("the last script", |m| m.starts_of(ScriptMode::Verify) == 1)
            .await;
        deployment.signal("halt", json!({ "by": "tom" })).await;
        deployment
            .until_status("a halt", |s| s.stage == Stage::Halted)
            .await;
        deployment.signal("abort", json!({ "by": "dana" })).await;
        // An hour is far beyond what a test waits.
        let result = deployment.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(result.counts.of(DeviceOutcome::VerifiedByScript), 1);
    });
}

#[test]
fn an_abort_does_not_wait_for_a_system_that_is_away() {
    run(async {
        let site = site().await;
        let world = World::new(site, "abort-away", 1);
        world.change(|m| m.fail("superops.list_patches", None, Lost::Retryable));
        let deployment = world.deploy(site, |_| {}).await;
        world
            .until("a read", |m| m.calls_of("superops.list_patches") >= 1)
            .await;
        deployment.signal("abort", json!({ "by": "dana" })).await;
        deployment.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(world.read(|m| m.scripts.len()), 0);
    });
}

#[test]
fn an_old_snapshot_proves_nothing_and_undoes_nothing() {
    run(async {
        let (world, deployment) = at_work("old-snapshot", 1, |r| {
            r.health.online_within_secs = 1;
            r.waits.script_timeout_secs = 3;
        })
        .await;
        world.change(|m| {
            let device = m.device("81");
            device.needs_restart = true;
            device.last_snapshot = Some(Timestamp::now());
            m.hold_reports = false;
        });
        deployment.ends(DeploymentOutcome::Incomplete).await;
        assert_eq!(
            world.read(|m| m.outcome_of("81")),
            Some(DeviceOutcome::NeedsHuman)
        );
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Uninstall)), 0);
    });
}

#[test]
fn a_restart_that_does_not_fit_into_its_window_waits_for_the_next() {
    run(async {
        let site = site().await;
        let world = World::new(site, "late-restart", 1);
        world.change(|m| {
            let device = m.device("81");
            device.needs_restart = true;
            device.takes = Duration::from_secs(12);
            m.openings = [OpeningIn(Duration::ZERO), OpeningIn(Duration::from_secs(2))].into();
            m.opening_lasts = Some(Duration::from_secs(8));
        });
        let deployment = world.deploy(site, |_| {}).await;
        world
            .until("the installation", |m| m.scripts.len() == 1)
            .await;
        let first_closes = world.read(|m| m.scripts[0].not_after);
        world.change(|m| m.opening_lasts = Some(Duration::from_secs(60)));
        deployment.ends(DeploymentOutcome::Verified).await;
        let restart = world.read(|m| {
            let restarts = m.scripts.iter().filter(|s| s.mode == ScriptMode::Reboot);
            restarts.map(|s| s.not_after).collect::<Vec<_>>()
        });
        assert_eq!(restart.len(), 1);
        assert!(restart[0] > first_closes + SignedDuration::from_secs(30));
    });
}

#[test]
fn what_fails_for_good_in_the_middle_lets_devices_end_and_tells_people() {
    run(async {
        let (world, deployment) = at_work("broken-middle", 2, |r| {
            r.rings = rings_of(&["81", "82"]);
        })
        .await;
        world.change(|m| {
            m.fail("plans.load_page", 2, Lost::Refused("store.not_found"));
            m.hold_reports = false;
        });
        let result = deployment.ends(DeploymentOutcome::Incomplete).await;
        assert!(result.detail.contains("could not go on"), "{result:?}");
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 1);
        assert_eq!(world.read(|m| m.installed_on()), ["81"]);
        let told = world.read(|m| m.told());
        assert!(told.contains(&NoticeKind::DeploymentFinished), "{told:?}");
        assert!(world.read(|m| m.leases.is_empty()));
        assert_eq!(
            world.read(|m| m.outcome_of("81")),
            Some(DeviceOutcome::Verified)
        );
    });
}
