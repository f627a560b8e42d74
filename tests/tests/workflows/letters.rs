//! What needs a person stays behind as a dead letter: once, with its cause and where to look.

use autoops_tests::{
    FakeDevice, Install, Lost, Start, World, deployment::failure_of, plan::KB, run, site, wire,
};
use clients::store::{DeadLetter, LetterFilter};
use contracts::{
    activities::{REPORTING, SEALING, campaign::ReportResult},
    campaign::PatchCampaignResult,
    queues,
    seal::DailySealResult,
};
use domain::{
    dead_letter::LetterKind,
    ledger::PROVIDER,
    outcome::{DeploymentOutcome, DeviceOutcome},
    plan::PlanRequest,
    script::ScriptOutcome,
};
use serde::de::DeserializeOwned;
use serde_json::json;
use temporalio_client::{
    UntypedWorkflow, WorkflowGetResultOptions, WorkflowIdReusePolicy, WorkflowStartOptions,
};

use crate::{campaigns, reports, sealing};

/// The open letters of a world, newest first.
pub(crate) async fn open_letters(world: &World) -> Vec<DeadLetter> {
    let open = LetterFilter {
        open: true,
        ..LetterFilter::default()
    };
    let executions = &world.store().executions;
    let page = executions.list_dead_letters(&open, None, 100).await;
    page.unwrap().items
}

fn never_confirmed(device: &mut FakeDevice) {
    device.starts = [Start::AnswerLost { ran: false }; 9].into();
}

#[test]
fn a_device_that_needs_a_human_leaves_one_letter_even_when_the_answer_of_the_store_is_lost() {
    run(async {
        let site = site().await;
        let world = World::new(site, "letter-once", 2);
        world.change(|m| {
            never_confirmed(m.device("81"));
            for call in 1..=3 {
                m.fail("store.save_device", call, Lost::Answer);
            }
        });
        let deployment = world
            .deploy(site, |r| {
                r.waits.callback_secs = 1;
                r.waits.script_timeout_secs = 3;
                r.rings[0].gate.success_percent = 0;
            })
            .await;
        deployment.ends(DeploymentOutcome::Incomplete).await;
        assert_eq!(
            world.read(|m| m.calls_of("store.save_device")),
            5,
            "two devices, and three lost answers"
        );
        let letters = open_letters(&world).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        let letter = &letters[0];
        assert_eq!(letter.kind, LetterKind::DeviceNeedsHuman);
        assert_eq!(letter.workflow_id, "device-patch/letter-once/81");
        assert_eq!(letter.device, Some("81".parse().unwrap()));
        assert_eq!(letter.plan, Some("letter-once".parse().unwrap()));
        assert_eq!(letter.kbs, [KB.parse().unwrap()]);
        let detail = world.read(|m| m.rows[&"81".parse().unwrap()].result.detail.clone());
        assert!(!letter.cause.is_empty() && letter.cause == detail);
        let jobs: Vec<_> = letter.jobs.iter().map(ToString::to_string).collect();
        assert!(jobs[0].starts_with("letter-once/81/install-"), "{jobs:?}");
    });
}

#[test]
fn a_rollback_that_fails_is_a_letter_of_its_own_kind_and_one_that_works_is_none() {
    run(async {
        let site = site().await;
        let world = World::new(site, "letter-rollback", 2);
        world.change(|m| {
            m.every_device(|d| d.install = Install::Fails { installed: None });
            m.device("81").uninstall = ScriptOutcome::NotRemovable;
        });
        let deployment = world
            .deploy(site, |r| r.rings[0].gate.success_percent = 0)
            .await;
        let result = deployment.result().await;
        assert_eq!(result.counts.of(DeviceOutcome::RolledBack), 1);
        let letters = open_letters(&world).await;
        let kinds: Vec<_> = letters.iter().map(|l| (l.kind, l.device.clone())).collect();
        let device = Some("81".parse().unwrap());
        assert_eq!(kinds, [(LetterKind::DeviceRollbackFailed, device)]);
    });
}

#[test]
fn a_notice_that_nobody_takes_leaves_a_letter_and_the_deployment_goes_on() {
    run(async {
        let site = site().await;
        let world = World::new(site, "letter-notice", 1);
        world.change(|m| m.fail("notify.send", None, Lost::Refused("notify.unauthorized")));
        let deployment = world.deploy(site, |_| {}).await;
        deployment.ends(DeploymentOutcome::Verified).await;
        let letters = open_letters(&world).await;
        let of: Vec<_> = letters
            .iter()
            .map(|l| (l.kind, l.workflow_id.as_str()))
            .collect();
        assert_eq!(of, [(LetterKind::NoticeUndelivered, deployment.id())]);
        assert!(
            letters[0].cause.contains("verified"),
            "{}",
            letters[0].cause
        );
        assert!(world.read(|m| m.status_is(|s| s.outcome.is_some())));
    });
}

#[test]
fn what_the_ledger_could_not_be_told_is_a_letter_of_its_device() {
    run(async {
        let site = site().await;
        let world = World::new(site, "letter-ledger", 1);
        world.change(|m| m.fail("ledger.count", None, Lost::Refused("store.malformed")));
        let deployment = world.deploy(site, |_| {}).await;
        deployment.ends(DeploymentOutcome::Verified).await;
        let letters = open_letters(&world).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        let letter = &letters[0];
        assert_eq!(letter.kind, LetterKind::RecordRefused);
        assert_eq!(letter.workflow_id, "device-patch/letter-ledger/81");
        let missing = format!("{KB}, not counted in the ledger: refused on demand");
        assert!(letter.cause.contains(&missing), "{letter:?}");
    });
}

#[test]
fn a_deployment_that_cannot_go_on_leaves_a_letter_with_the_cause() {
    run(async {
        let site = site().await;
        let world = World::new(site, "letter-broken", 2);
        // The second ring cannot be read when the first one has been worked on.
        world.change(|m| m.fail("plans.load_page", 2, Lost::Refused("store.malformed")));
        let deployment = world
            .deploy(site, |r| {
                r.rings.insert(0, autoops_tests::plan::ring("first", 1));
            })
            .await;
        let result = deployment.ends(DeploymentOutcome::Incomplete).await;
        let letters = open_letters(&world).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!(letters[0].kind, LetterKind::DeploymentBroken);
        assert!(result.detail.contains(&letters[0].cause), "{result:?}");
        assert_eq!(result.counts.total(), 1, "what was begun has ended");
    });
}

#[test]
fn a_deployment_that_is_refused_leaves_a_letter_with_what_was_asked_for() {
    run(async {
        let site = site().await;
        let world = World::new(site, "letter-refused", 2);
        world.change(|m| m.fail("plans.seal", None, Lost::Refused("store.malformed")));
        let deployment = world.deploy(site, |_| {}).await;
        let (_, why) = deployment.failure().await;
        let letters = open_letters(&world).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        let letter = &letters[0];
        assert_eq!(letter.kind, LetterKind::DeploymentRefused);
        assert!(why.contains(&letter.cause), "{why}: {letter:?}");
        let again = letter.again.clone().unwrap();
        assert_eq!(again.workflow, "PatchDeployment");
        let asked = world.read(autoops_tests::plan::request);
        let again: PlanRequest = serde_json::from_value(again.input).unwrap();
        assert_eq!(again.id, letter.plan);
        assert_eq!(
            PlanRequest {
                id: asked.id.clone(),
                ..again
            },
            asked
        );
        let told = world.read(|m| m.notices.last().map(|notice| notice.summary.clone()));
        let told = told.unwrap();
        assert!(told.contains("no device was touched"), "{told}");
    });
}

/// Starts the workflow of a letter again, as a retry does; nothing when that was done with success.
async fn again<T: DeserializeOwned>(letter: &DeadLetter) -> Option<Result<T, (String, String)>> {
    let again = letter.again.as_ref().unwrap();
    let options = WorkflowStartOptions::new(queues::MAIN, letter.workflow_id.as_str())
        .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicateFailedOnly)
        .build();
    let (workflow, input) = (&again.workflow, wire::json(&again.input));
    let started = site()
        .await
        .client()
        .start_workflow(UntypedWorkflow::new(workflow), input, options)
        .await;
    let started = started.ok()?;
    let ended = started.get_result(WorkflowGetResultOptions::default());
    Some(ended.await.map(|raw| wire::read(&raw)).map_err(failure_of))
}

#[test]
fn a_seal_that_gives_up_leaves_a_letter_each_time_and_a_retry_seals_the_same_days() {
    run(async {
        let name = "letter-seal";
        let world = sealing::world(name).await;
        world.change(|m| m.fail(SEALING, None, Lost::Refused("audit.unauthorized")));
        sealing::seal(name, None).await.unwrap_err();
        let first = open_letters(&world).await;
        assert_eq!(first.len(), 1, "{first:?}");
        let letter = &first[0];
        let of = (letter.kind, letter.client.as_str());
        assert_eq!(of, (LetterKind::WorkflowFailed, PROVIDER));
        assert!(letter.cause.contains("refused on demand"), "{letter:?}");
        // A retry that fails as well leaves a letter of its own: the first one is settled by then.
        let failed = again::<DailySealResult>(letter).await.unwrap();
        assert!(failed.is_err(), "{failed:?}");
        assert_eq!(open_letters(&world).await.len(), 2);
        world.change(|m| m.faults.clear());
        let sealed = again::<DailySealResult>(letter).await.unwrap().unwrap();
        assert_eq!((sealed.sequence, sealed.entries), (1, 2));
        assert!(again::<DailySealResult>(letter).await.is_none());
    });
}

#[test]
fn a_report_that_gives_up_leaves_a_letter_of_its_client_and_a_retry_is_about_the_same_campaign() {
    run(async {
        let name = "letter-report";
        let (world, campaign) = reports::world(name).await;
        world.change(|m| m.fail(REPORTING, None, Lost::Refused("report.unauthorized")));
        reports::report(name, json!({})).await.unwrap_err();
        let letters = open_letters(&world).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!(letters[0].client, campaign.client);
        let named = &letters[0].again.as_ref().unwrap().input["campaign"];
        assert_eq!(*named, json!(campaign.id));
        reports::campaign(&world, "c-letter-report-later").await;
        world.change(|m| m.faults.clear());
        match again(&letters[0]).await.unwrap().unwrap() {
            ReportResult::Written(written) => assert_eq!(written.campaign, campaign.id),
            ReportResult::NoCampaign => panic!("nothing was reported"),
        }
    });
}

#[test]
fn a_campaign_that_gives_up_leaves_a_letter_and_a_retry_goes_on_where_it_stood() {
    run(async {
        let name = "letter-campaign";
        let world = World::new(site().await, name, 1);
        world.change(|m| {
            m.plays_deployments = true;
            m.fail("campaign.draft", None, Lost::Refused("store.malformed"));
        });
        campaigns::campaign(name, json!({})).await.unwrap_err();
        let lists = world.read(|m| m.calls_of("inventory.read_patch_list"));
        let letters = open_letters(&world).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!(letters[0].kind, LetterKind::WorkflowFailed);
        world.change(|m| m.faults.clear());
        let result: PatchCampaignResult = again(&letters[0]).await.unwrap().unwrap();
        assert_eq!((result.counts.lists, result.counts.started), (1, 1));
        let read = world.read(|m| m.calls_of("inventory.read_patch_list"));
        assert_eq!(read, lists, "no list is read twice");
    });
}

#[test]
fn a_plan_that_was_started_and_not_noted_is_counted_once_after_a_retry() {
    run(async {
        let name = "letter-counted";
        let world = World::new(site().await, name, 1);
        world.change(|m| {
            m.plays_deployments = true;
            m.fail("campaign.note_plan", None, Lost::Refused("store.malformed"));
        });
        campaigns::campaign(name, json!({})).await.unwrap_err();
        let letters = open_letters(&world).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        world.change(|m| m.faults.clear());
        let result: PatchCampaignResult = again(&letters[0]).await.unwrap().unwrap();
        let counts = result.counts;
        assert_eq!((counts.plans, counts.started, counts.refused), (1, 1, 0));
        assert_eq!(world.read(|m| m.begun.len()), 1);
    });
}

#[test]
fn input_that_cannot_be_used_leaves_no_letter() {
    run(async {
        let name = "letter-input";
        let world = sealing::world(name).await;
        let wrong = json!({ "through": "soon" });
        sealing::seal(name, Some(wrong)).await.unwrap_err();
        assert_eq!(open_letters(&world).await, []);
    });
}
