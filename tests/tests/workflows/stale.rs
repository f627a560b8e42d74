//! Guardrails, or people, that change their mind after a device was allowed to begin: before its update is
//! installed, or when nobody knows whether it is.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use autoops_tests::{Deployment, Start, World, plan::asks, run, site};
use contracts::activities::policy::StoppedKb;
use domain::{
    guardrail::Verdict,
    outcome::{DeploymentOutcome, DeviceOutcome},
    plan::PlanRequest,
    script::ScriptMode,
};
use jiff::Timestamp;

use crate::{half_done::a_halt_puts_the_rest_off, turns::two_kbs};

const ASKED: &str = "policy.evaluate";
const SIGN: &str = "superops.find_run";

/// A device that was allowed to begin, and whose installation waits because `SuperOps` went away.
async fn waits_to_install(name: &str) -> (Arc<World>, Deployment) {
    let site = site().await;
    let world = World::new(site, name, 1);
    // Planning has read the patch list before.
    world.change(|m| m.away_when = Some(|m| m.answers_of("superops.list_patches") == 2));
    let deployment = world.deploy(site, |_| {}).await;
    world
        .until("it is tried", |m| m.calls_of("superops.run_script") > 0)
        .await;
    let asked = world.read(|m| m.calls_of(ASKED));
    world
        .until("guardrails are asked again, or it is tried again", |m| {
            m.calls_of(ASKED) > asked + 1 || m.calls_of("superops.run_script") > 3
        })
        .await;
    (world, deployment)
}

#[test]
fn what_is_forbidden_while_an_installation_waits_is_not_installed() {
    run(async {
        let (world, deployment) = waits_to_install("stale-forbidden").await;
        world.change(|m| {
            m.verdict = Verdict::Forbidden;
            m.superops_away = false;
        });
        deployment.result().await;
        assert_eq!(
            world.read(|m| m.outcome_of("81")),
            Some(DeviceOutcome::Forbidden)
        );
        assert_eq!(world.read(|m| m.scripts.len()), 0);
    });
}

#[test]
fn a_halt_that_comes_while_guardrails_are_asked_keeps_the_update_from_being_installed() {
    run(async {
        let (world, deployment) = first_of_two("stale-halted").await;
        let asked = world.read(|m| m.calls_of(ASKED));
        world.change(|m| {
            m.held.insert(ASKED.to_owned());
            m.device("81").holds_report = false;
        });
        world
            .until("they are asked", |m| m.calls_of(ASKED) > asked)
            .await;
        a_halt_puts_the_rest_off(&world, &deployment, |m| m.held.clear()).await;
    });
}

#[test]
fn what_the_ledger_stops_while_an_installation_waits_is_not_installed() {
    run(async {
        let (world, deployment) = waits_to_install("stale-stopped").await;
        world.change(|m| {
            m.stopped.push(StoppedKb {
                kb: autoops_tests::plan::KB.parse().unwrap(),
                reason: "printers fail".to_owned(),
            });
            m.superops_away = false;
        });
        deployment.result().await;
        let detail = world.read(|m| m.rows.values().next().unwrap().result.detail.clone());
        assert!(detail.contains("is stopped: printers fail"), "{detail}");
        assert_eq!(world.read(|m| m.scripts.len()), 0);
    });
}

/// A deployment of two updates whose first is being installed.
async fn first_of_two(name: &str) -> (Arc<World>, Deployment) {
    let site = site().await;
    let world = World::new(site, name, 1);
    world.change(|m| {
        let device = m.device("81");
        device.holds_report = true;
        // As long as an answer of guardrails is believed, and longer.
        device.takes = Duration::from_secs(2);
    });
    let two = Arc::clone(&world);
    let deployment = world.deploy(site, |r| two_kbs(&two, r)).await;
    world
        .until("the first script", |m| m.scripts.len() == 1)
        .await;
    (world, deployment)
}

#[test]
fn a_second_update_waits_for_the_approval_that_guardrails_have_come_to_ask_for() {
    run(async {
        let (world, deployment) = first_of_two("stale-approval").await;
        world.change(|m| {
            m.verdict = asks(|_| {});
            m.device("81").holds_report = false;
        });
        deployment.open_request().await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 1);
        deployment.decide("approve", "dana").await;
        deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 2);
    });
}

#[test]
fn a_second_update_is_left_out_when_it_is_forbidden_meanwhile_and_the_first_one_is_told() {
    run(async {
        let (world, deployment) = first_of_two("stale-second").await;
        world.change(|m| {
            m.verdict = Verdict::Forbidden;
            m.device("81").holds_report = false;
        });
        deployment.result().await;
        let row = world.read(|m| m.rows.values().next().cloned()).unwrap();
        let outcomes: Vec<_> = row.result.patches.iter().map(|p| p.outcome).collect();
        // In the order in which they were settled.
        assert_eq!(
            outcomes,
            [DeviceOutcome::Forbidden, DeviceOutcome::Verified],
            "{:?}",
            row.result
        );
        assert_eq!(row.result.outcome, DeviceOutcome::Forbidden);
    });
}

#[test]
fn a_second_update_is_put_off_while_everything_is_paused_and_the_first_goes_on() {
    run(async {
        let (world, deployment) = first_of_two("stale-paused").await;
        world.change(|m| {
            m.paused = Some("lee: the data centre moves".to_owned());
            m.device("81").holds_report = false;
        });
        deployment
            .until_status("a straggler", |s| s.stragglers == 1)
            .await;
        let starts = world.read(|m| {
            (
                m.starts_of(ScriptMode::Install),
                m.starts_of(ScriptMode::Verify),
            )
        });
        assert_eq!(starts, (1, 1));
        let row = world.read(|m| m.rows.values().next().cloned()).unwrap();
        assert!(
            row.result
                .detail
                .contains("paused: lee: the data centre moves"),
            "{:?}",
            row.result
        );
        world.change(|m| m.paused = None);
        deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 2);
    });
}

/// A device that takes the installation up later: the answer of its start was lost, and a sign of it is looked
/// for.
async fn taken_up_later(
    name: &str,
    change: impl FnOnce(&mut PlanRequest),
) -> (Arc<World>, Deployment) {
    let site = site().await;
    let world = World::new(site, name, 1);
    world.change(|m| {
        m.held.insert(SIGN.to_owned());
        let device = m.device("81");
        device.starts = [Start::AnswerLost { ran: true }].into();
        device.holds_runs = true;
    });
    let deployment = world
        .deploy(site, |r| {
            r.waits.callback_secs = 1;
            change(r);
        })
        .await;
    world
        .until("a sign is looked for", |m| m.calls_of(SIGN) > 0)
        .await;
    (world, deployment)
}

#[test]
fn what_begins_after_it_was_forbidden_is_told_as_installed() {
    run(async {
        let (world, deployment) = taken_up_later("doubt-begins", |r| {
            // An hour is far beyond what a test waits.
            r.waits.script_timeout_secs = 3600;
        })
        .await;
        let asked = world.read(|m| m.calls_of(ASKED));
        world.change(|m| {
            m.verdict = Verdict::Forbidden;
            m.held.clear();
        });
        world
            .until("guardrails forbid another start", |m| {
                m.calls_of(ASKED) > asked
            })
            .await;
        world.change(|m| m.device("81").holds_runs = false);
        deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 1);
    });
}

#[test]
fn what_may_still_begin_after_a_halt_counts_as_put_off_once_it_may_not() {
    run(async {
        let (world, deployment) =
            taken_up_later("doubt-halted", |r| r.waits.script_timeout_secs = 3).await;
        a_halt_puts_the_rest_off(&world, &deployment, |m| m.held.clear()).await;
        assert!(world.read(|m| m.scripts[0].not_after) <= Timestamp::now());
        // Once before, and once when it was over.
        assert_eq!(world.read(|m| m.calls_of(SIGN)), 2);
    });
}

#[test]
fn a_pause_in_doubt_is_waited_through_and_the_same_job_is_started_again() {
    run(async {
        let (world, deployment) = taken_up_later("doubt-paused", |r| {
            // An hour is far beyond what a test waits.
            r.waits.script_timeout_secs = 3600;
        })
        .await;
        let asked = world.read(|m| m.calls_of(ASKED));
        world.change(|m| {
            m.paused = Some("lee: the data centre moves".to_owned());
            m.held.clear();
        });
        world
            .until("it is asked again and again whether it may go on", |m| {
                m.calls_of(ASKED) > asked + 2 || !m.rows.is_empty()
            })
            .await;
        assert_eq!(world.read(|m| (m.scripts.len(), m.rows.len())), (1, 0));
        world.change(|m| {
            m.paused = None;
            m.device("81").holds_runs = false;
        });
        deployment.ends(DeploymentOutcome::Verified).await;
        let jobs: BTreeSet<_> = world.read(|m| {
            let installs = m.scripts.iter().filter(|s| s.mode == ScriptMode::Install);
            installs.map(|s| s.job.clone()).collect()
        });
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        assert_eq!(world.change(|m| m.device("81").installed.len()), 1);
    });
}
