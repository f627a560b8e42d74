use clients::store::{DeadLetter, LetterFilter};
use contracts::activities::{records::SaveDeviceInput, windows::NextOpeningInput};
use domain::{
    audit::{Actor, AuditRecord},
    dead_letter::LetterKind,
    outcome::{DeviceOutcome, DeviceResult, PatchResult},
};
use jiff::Timestamp;
use serde_json::json;

use super::RecordActivities;
use crate::{
    testing::{World, client, environment, failure, plan, request},
    windows::WindowActivities,
};

fn audit(what: &str) -> AuditRecord {
    AuditRecord {
        chain: "patch-deployment/first-plan".into(),
        key: "sealed/1".into(),
        at: Timestamp::UNIX_EPOCH,
        client: client(),
        actor: Actor::Workflow,
        what: what.to_owned(),
        evidence: vec![],
        detail: json!({}),
        plan_hash: None,
        policy_version: None,
        tokens: None,
    }
}

fn device(outcome: DeviceOutcome) -> SaveDeviceInput {
    let device = "41".parse().unwrap();
    SaveDeviceInput {
        plan: plan(),
        client: client(),
        workflow_id: "device-patch/first-plan/41".to_owned(),
        ring: 0,
        attempt: 1,
        result: DeviceResult {
            device,
            outcome,
            detail: "disk full".to_owned(),
            patches: vec![PatchResult {
                kb: "KB5034122".parse().unwrap(),
                outcome: DeviceOutcome::Verified,
                detail: String::new(),
            }],
            evidence: None,
        },
        kbs: vec!["KB5034441".parse().unwrap(), "KB5034122".parse().unwrap()],
        jobs: vec!["first-plan/41/install-5034441-0".parse().unwrap()],
        rollback_failed: false,
    }
}

#[tokio::test]
async fn a_repeated_audit_entry_finds_itself() {
    let world = World::new().await;
    let activities = environment(RecordActivities::new(&world.deps));
    let first = activities
        .run(RecordActivities::append_audit, audit("plan_sealed"))
        .await
        .unwrap();
    let second = activities
        .run(RecordActivities::append_audit, audit("plan_sealed"))
        .await
        .unwrap();
    assert_eq!((first.sequence, &first), (1, &second));
}

#[tokio::test]
async fn a_device_that_needs_a_human_is_a_dead_letter_once() {
    let world = World::new().await;
    let activities = environment(RecordActivities::new(&world.deps));
    for _ in 0..2 {
        activities
            .run(
                RecordActivities::save_device,
                device(DeviceOutcome::NeedsHuman),
            )
            .await
            .unwrap();
    }
    let letters = letters(&world).await;
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(
        (letter.cause.as_str(), &letter.client, letter.kind),
        ("disk full", &client(), LetterKind::DeviceNeedsHuman)
    );
    assert!(letter.state.is_open());
    assert_eq!(letter.plan, Some(plan()));
    assert_eq!(
        letter.kbs,
        ["KB5034441".parse().unwrap()],
        "only what is not finished"
    );
    assert_eq!(letter.jobs.len(), 1);
    let failed = failure(
        activities
            .run(
                RecordActivities::save_device,
                device(DeviceOutcome::Verified),
            )
            .await,
    );
    assert_eq!(
        failed.type_name(),
        Some("store.conflict"),
        "an attempt ends once"
    );
}

#[tokio::test]
async fn when_the_row_cannot_be_written_the_letter_is_there_already() {
    let world = World::new().await;
    let activities = environment(RecordActivities::new(&world.deps));
    let save = async |outcome| {
        activities
            .run(RecordActivities::save_device, device(outcome))
            .await
    };
    // The store refuses a second end of an attempt.
    save(DeviceOutcome::Verified).await.unwrap();
    assert!(letters(&world).await.is_empty());
    let failed = failure(save(DeviceOutcome::NeedsHuman).await);
    assert_eq!(failed.type_name(), Some("store.conflict"));
    let kinds: Vec<_> = letters(&world).await.iter().map(|l| l.kind).collect();
    assert_eq!(kinds, [LetterKind::DeviceNeedsHuman]);
}

async fn letters(world: &World) -> Vec<DeadLetter> {
    let executions = &world.deps.store.executions;
    let open = LetterFilter {
        open: true,
        ..LetterFilter::default()
    };
    let page = executions.list_dead_letters(&open, None, 10).await;
    page.unwrap().items
}

#[tokio::test]
async fn a_rollback_that_failed_is_told_from_other_trouble() {
    let world = World::new().await;
    let activities = environment(RecordActivities::new(&world.deps));
    let input = SaveDeviceInput {
        rollback_failed: true,
        ..device(DeviceOutcome::NeedsHuman)
    };
    activities
        .run(RecordActivities::save_device, input)
        .await
        .unwrap();
    let kinds: Vec<_> = letters(&world).await.iter().map(|l| l.kind).collect();
    assert_eq!(kinds, [LetterKind::DeviceRollbackFailed]);
}

#[tokio::test]
async fn what_a_workflow_leaves_to_a_person_is_kept_once() {
    let world = World::new().await;
    let activities = environment(RecordActivities::new(&world.deps));
    let letter = |kind, step: &str| {
        DeadLetter::new(
            kind,
            client(),
            ("patch-deployment/first-plan", step),
            "the chat is down",
            Timestamp::UNIX_EPOCH,
        )
    };
    let left = [
        letter(LetterKind::NoticeUndelivered, "notice-1"),
        letter(LetterKind::DeploymentBroken, "broken"),
    ];
    for letter in left.iter().chain(&left) {
        activities
            .run(RecordActivities::save_letter, letter.clone())
            .await
            .unwrap();
    }
    assert_eq!(letters(&world).await.len(), 2);
}

#[tokio::test]
async fn a_window_counts_in_the_zone_of_the_client_when_nothing_is_nearer() {
    let world = World::new().await;
    world.seed(1).await;
    let windows = request(json!({ "windows": [{ "from": "22:00", "to": "04:00" }] })).windows;
    let input = |zone: Option<&str>| NextOpeningInput {
        client: client(),
        device: Some("1".parse().unwrap()),
        time_zone: zone.map(str::to_owned),
        windows: windows.clone(),
        blackouts: vec![],
        from: "2026-11-03T10:00:00Z".parse().unwrap(),
    };
    let activities = environment(WindowActivities::new(&world.deps));
    let opens = async |zone| {
        let found = activities
            .run(WindowActivities::next_opening, input(zone))
            .await
            .unwrap();
        found.opening.unwrap().opens_at.to_string()
    };
    assert_eq!(opens(None).await, "2026-11-03T22:00:00Z");
    assert_eq!(opens(Some("Europe/Berlin")).await, "2026-11-03T21:00:00Z");
    let wrong = activities
        .run(WindowActivities::next_opening, input(Some("Mars/Olympus")))
        .await;
    assert!(failure(wrong).to_string().contains("Mars/Olympus"));
}
