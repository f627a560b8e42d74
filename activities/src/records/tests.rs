use contracts::activities::{records::SaveDeviceInput, windows::NextOpeningInput};
use domain::{
    audit::{Actor, AuditRecord},
    outcome::{DeviceOutcome, DeviceResult},
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
            patches: vec![],
        },
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
    let letters = world
        .deps
        .store
        .executions
        .list_dead_letters(None, 10)
        .await
        .unwrap()
        .items;
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].cause.as_str(), &letters[0].client),
        ("disk full", &client())
    );
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
