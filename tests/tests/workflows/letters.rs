//! What needs a person stays behind as a dead letter: once, with its cause and where to look.

use autoops_tests::{FakeDevice, Install, Lost, Start, World, plan::KB, run, site};
use clients::store::{DeadLetter, LetterFilter};
use domain::{
    dead_letter::LetterKind,
    outcome::{DeploymentOutcome, DeviceOutcome},
    script::ScriptOutcome,
};

/// The open letters of a world, newest first.
async fn open_letters(world: &World) -> Vec<DeadLetter> {
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
