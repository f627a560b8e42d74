//! A store that refuses: somebody renews its credentials while devices are worked on, and nothing is
//! lost. What it refuses for good is counted, shown, and left to a person.

use autoops_tests::{Lost, World, plan, run, site};
use domain::{
    dead_letter::LetterKind, deployment::Stage, outcome::DeploymentOutcome, script::ScriptMode,
};
use serde_json::json;

use crate::{letters::open_letters, outages::device_status};

/// What a run of a device writes into the store.
const OF_A_DEVICE: [&str; 4] = [
    "store.append_audit",
    "store.save_device",
    "inventory.acquire_lease",
    "ledger.count",
];

fn expire_credentials(world: &World, activities: &[&'static str]) {
    world.change(|m| {
        for activity in activities {
            m.fail(activity, None, Lost::Unmended("store.unauthorized"));
        }
    });
}

fn renew_credentials(world: &World) {
    world.change(|m| m.faults.clear());
}

#[test]
fn a_device_in_the_middle_of_its_patch_waits_until_the_credentials_are_renewed() {
    run(async {
        let site = site().await;
        let world = World::new(site, "refused-device", 1);
        world.change(|m| m.hold_reports = true);
        let deployment = world.deploy(site, |_| {}).await;
        world
            .until("the script", |m| m.installed_on() == ["81"])
            .await;
        expire_credentials(&world, &OF_A_DEVICE);
        world.change(|m| m.hold_reports = false);
        let shown = world
            .until_stored("trouble of the device", async |_| {
                let status = device_status("refused-device", "81").await;
                status.trouble.is_some().then_some(status)
            })
            .await;
        let trouble = shown.trouble.unwrap();
        assert!(trouble.contains("credentials have expired"), "{trouble}");
        assert_eq!(shown.audit_gaps, 0, "it is still to be written");
        renew_credentials(&world);
        deployment.ends(DeploymentOutcome::Verified).await;
        let status = device_status("refused-device", "81").await;
        assert_eq!((status.trouble, status.audit_gaps), (None, 0));
        let trail = world.chain("device-patch/refused-device/81").await;
        let trail: Vec<_> = trail.iter().map(|e| e.record.what.as_str()).collect();
        assert_eq!(trail.first(), Some(&"install_started"));
        assert_eq!(trail.last(), Some(&"device_verified"));
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 1);
        assert_eq!(open_letters(&world).await, []);
    });
}

#[test]
fn a_deployment_says_what_it_waits_for_and_counts_the_decision_once() {
    run(async {
        let site = site().await;
        let world = World::new(site, "refused-decision", 1);
        world.change(|m| m.verdict = plan::asks(|_| {}));
        let deployment = world.deploy(site, |_| {}).await;
        deployment.open_request().await;
        expire_credentials(&world, &["store.append_audit", "store.save_status"]);
        deployment.signal("approve", json!({ "by": "dana" })).await;
        deployment
            .until_asked("trouble", |s| {
                let trouble = s.trouble.as_deref().unwrap_or_default();
                trouble.contains("credentials have expired") && s.outcome.is_none()
            })
            .await;
        renew_credentials(&world);
        deployment.ends(DeploymentOutcome::Verified).await;
        let status = deployment.status().await;
        assert_eq!((status.trouble, status.audit_gaps), (None, 0));
        let audited = deployment.audited().await;
        let counted = audited.iter().filter(|what| *what == "decision_counted");
        assert_eq!(counted.count(), 1, "{audited:?}");
        assert_eq!(open_letters(&world).await, []);
    });
}

#[test]
fn an_audit_entry_that_is_refused_for_good_is_counted_and_left_to_a_person() {
    run(async {
        let site = site().await;
        let world = World::new(site, "refused-entry", 1);
        let refused = Lost::Refused("store.invalid_input");
        world.change(|m| m.fail("store.append_audit", 1, refused));
        let deployment = world.deploy(site, |_| {}).await;
        deployment.ends(DeploymentOutcome::Verified).await;
        let status = deployment.status().await;
        assert_eq!((status.stage, status.audit_gaps), (Stage::Done, 1));
        let trouble = status.trouble.unwrap();
        assert!(trouble.contains("refused on demand"), "{trouble}");
        let letters = open_letters(&world).await;
        let of: Vec<_> = letters
            .iter()
            .map(|l| (l.kind, l.workflow_id.as_str()))
            .collect();
        assert_eq!(of, [(LetterKind::RecordRefused, deployment.id())]);
        assert_eq!(letters[0].cause, trouble);
    });
}

#[test]
fn a_result_that_is_refused_for_good_is_in_the_letter() {
    run(async {
        let site = site().await;
        let world = World::new(site, "refused-result", 1);
        let refused = Lost::Refused("store.invalid_input");
        world.change(|m| m.fail("store.save_device", None, refused));
        let deployment = world.deploy(site, |_| {}).await;
        deployment.ends(DeploymentOutcome::Verified).await;
        let letters = open_letters(&world).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        let letter = &letters[0];
        assert_eq!(letter.kind, LetterKind::RecordRefused);
        assert_eq!(letter.device, Some("81".parse().unwrap()));
        let cause = &letter.cause;
        assert!(cause.contains("result verified of 81"), "{cause}");
        assert!(!letter.jobs.is_empty(), "where to look");
    });
}
