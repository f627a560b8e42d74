//! What every adapter of the store must do. Each check takes a fresh store. The embedded adapter runs
//! them here, on a file of its own per check; [`checks`] is for adapters that need an engine.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a check may fail where it stands"
)]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use domain::{
    audit::{self, Actor, AuditRecord, ChainHead},
    dead_letter::LetterKind,
    deployment::{DeploymentStatus, Stage},
    device::{Device, Platform, standing},
    ids::{ClientId, DeviceId, PlanId},
    outcome::{DeviceOutcome, DeviceResult, OutcomeCounts},
    people::{Person, Role},
    plan::{
        PAGE_SIZE, PlanDocument, PlanRequest, PlannedActions, PlannedDevice, RebootPolicy,
        RollbackSpec,
    },
};
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use serde_json::json;

use super::*;

/// How long a change may take to be seen.
const PATIENCE: Duration = Duration::from_secs(10);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn client(id: &str) -> ClientId {
    id.parse().unwrap()
}

fn plan(id: &str) -> PlanId {
    id.parse().unwrap()
}

fn device_id(number: u32) -> DeviceId {
    format!("{number:05}").parse().unwrap()
}

/// Makes a record of a chain.
pub fn record(chain: &str, key: &str) -> AuditRecord {
    AuditRecord {
        chain: chain.into(),
        key: key.into(),
        at: at(0),
        client: client("7"),
        actor: Actor::Workflow,
        what: "step".into(),
        evidence: vec!["e1".into()],
        detail: json!({ "of": key }),
        plan_hash: None,
        policy_version: None,
        tokens: Some(3),
    }
}

/// Makes the state of a deployment of a client, with the seconds of its start and its writing.
pub fn status(id: &str, of: &str, stage: Stage, started: i64, updated: i64) -> DeploymentStatus {
    DeploymentStatus {
        plan: plan(id),
        workflow_id: format!("patch-deployment/{id}"),
        client: client(of),
        kbs: vec!["5034441".parse().unwrap()],
        stage,
        note: format!("written at {updated}"),
        plan_hash: None,
        revision: 0,
        risk: None,
        approval: None,
        needs_approval: stage == Stage::AwaitingApproval,
        approved_by: vec![],
        forbidden: vec![],
        rings: vec![],
        stragglers: 0,
        counts: OutcomeCounts::default(),
        deadline: None,
        started_at: at(started),
        updated_at: at(updated),
        outcome: None,
    }
}

/// Makes a revision of a plan with so many devices in each ring.
pub fn sealed(id: &str, revision: u32, rings: &[u32], deadline: i64) -> SealedPlan {
    let request: PlanRequest = domain::input::from_json(&json!({
        "client": "7", "patches": [{ "kb": "5034441" }], "devices": { "all": true }
    }))
    .unwrap();
    let mut next = 0..;
    let ring = |(ring, count): (u32, &u32)| -> Vec<PlannedDevice> {
        next.by_ref()
            .take(*count as usize)
            .map(|n| PlannedDevice {
                ring,
                id: device_id(n),
            })
            .collect()
    };
    let document = PlanDocument {
        devices: (0..).zip(rings).flat_map(ring).collect(),
        actions: PlannedActions {
            install: vec!["5034441".parse().unwrap()],
            reboot: RebootPolicy::Never,
        },
        windows: vec![],
        blackouts: vec![],
        time_zone: None,
        deadline: Some(at(deadline)),
        rollback: RollbackSpec::default(),
    };
    SealedPlan {
        plan: plan(id),
        revision,
        hash: document.hash().unwrap(),
        request,
        removed: vec![device_id(90_000)],
        forbidden: vec![],
        forbidden_count: 0,
        document,
    }
}

/// Makes the row of a device of plan `p`.
pub fn row(device: u32, attempt: u32, outcome: DeviceOutcome) -> DeviceRow {
    let result = DeviceResult {
        device: device_id(device),
        outcome,
        detail: "d".into(),
        patches: vec![],
    };
    DeviceRow {
        plan: plan("p"),
        ring: 0,
        attempt,
        result,
        at: at(0),
    }
}

fn device(number: u32, of: &str, seen: i64) -> Device {
    let tags = BTreeSet::new();
    let (criticality, exposure) = standing(&tags, Platform::WindowsServer);
    Device {
        id: device_id(number),
        client: client(of),
        site: None,
        name: format!("device {number}"),
        platform: Platform::WindowsServer,
        os_version: String::new(),
        tags,
        criticality,
        exposure,
        time_zone: None,
        online: true,
        last_communicated_at: None,
        last_reported_at: None,
        seen_at: at(seen),
    }
}

fn policy(of: Option<&str>, version: u64, by: &str) -> PolicyVersion {
    PolicyVersion {
        client: of.map(client),
        version,
        by: by.into(),
        at: at(0),
        body: json!({ "by": by }),
    }
}

/// Numbers that look random and are the same in each run.
fn dice(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

async fn a_repeated_audit_record_is_one_entry(store: Store) {
    let first = store
        .actions
        .append_audit(record("w", "sealed"))
        .await
        .unwrap();
    let retried = record("w", "sealed");
    assert_eq!(store.actions.append_audit(retried).await.unwrap(), first);
    let second = store
        .actions
        .append_audit(record("w", "approved"))
        .await
        .unwrap();
    store
        .actions
        .append_audit(record("v", "sealed"))
        .await
        .unwrap();
    assert_eq!(
        store.actions.read_chain("w", 0, 10).await.unwrap(),
        [first.clone(), second.clone()]
    );
    assert_eq!(
        store.actions.read_chain("w", 1, 10).await.unwrap(),
        [second]
    );
    assert_eq!(
        store.actions.list_chains(None, 10).await.unwrap().items,
        ["v", "w"]
    );
    let day = "2027-01-15".parse().unwrap();
    let page = store
        .actions
        .audit_of_day(&client("7"), day, None, 2)
        .await
        .unwrap();
    assert_eq!(page.items[0], first);
    let rest = store
        .actions
        .audit_of_day(&client("7"), day, page.next.as_deref(), 2)
        .await
        .unwrap();
    assert_eq!(
        (
            rest.items.len(),
            rest.items[0].record.chain.as_str(),
            rest.next
        ),
        (1, "v", None)
    );
}

/// Two handles stand for two processes.
async fn concurrent_appends_make_one_unbroken_chain(one: Store, other: Store) {
    let append = |i: u32| {
        let store = if i.is_multiple_of(2) {
            one.clone()
        } else {
            other.clone()
        };
        // Each key is written twice, once through each handle.
        tokio::spawn(async move {
            store
                .actions
                .append_audit(record("w", &format!("k{}", i / 2)))
                .await
                .unwrap()
        })
    };
    let tasks: Vec<_> = (0..100).map(append).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let entries = one.actions.read_chain("w", 0, 1000).await.unwrap();
    assert_eq!(entries.len(), 50);
    audit::verify("w", None, &entries).unwrap();
    let head = other.actions.chain_head("w").await.unwrap();
    audit::verify_end("w", entries.last(), head.as_ref()).unwrap();
}

async fn the_head_of_a_chain_is_its_last_entry(store: Store) {
    let actions = &store.actions;
    assert_eq!(actions.chain_head("w").await.unwrap(), None);
    for key in ["a", "b", "a"] {
        actions.append_audit(record("w", key)).await.unwrap();
    }
    actions.append_audit(record("w/2", "a")).await.unwrap();
    let entries = actions.read_chain("w", 0, 10).await.unwrap();
    assert_eq!(
        actions.chain_head("w").await.unwrap(),
        entries.last().map(ChainHead::of),
        "a retry does not move it"
    );
}

async fn another_audit_record_under_a_known_key_is_not_lost(store: Store) {
    let actions = &store.actions;
    actions.append_audit(record("w", "k")).await.unwrap();
    let other = AuditRecord {
        what: "other".into(),
        ..record("w", "k")
    };
    let second = actions.append_audit(other.clone()).await.unwrap();
    assert_eq!((second.sequence, second.record.what.as_str()), (2, "other"));
    assert_eq!(actions.append_audit(other).await.unwrap(), second);
    let entries = actions.read_chain("w", 0, 10).await.unwrap();
    assert_eq!(entries.len(), 2);
    audit::verify("w", None, &entries).unwrap();
}

async fn a_policy_changed_by_somebody_else_is_a_conflict(store: Store) {
    let policies = &store.policies;
    policies
        .put_policy(policy(None, 1, "dana"), 0)
        .await
        .unwrap();
    policies
        .put_policy(policy(None, 1, "dana"), 0)
        .await
        .expect("a retry of the same write");
    let lost = policies
        .put_policy(policy(None, 1, "lee"), 0)
        .await
        .unwrap_err();
    assert!(matches!(lost, StoreError::Conflict { .. }), "{lost}");
    policies
        .put_policy(policy(None, 2, "lee"), 1)
        .await
        .unwrap();
    let gap = policies
        .put_policy(policy(None, 5, "lee"), 2)
        .await
        .unwrap_err();
    assert!(matches!(gap, StoreError::Invalid { .. }), "{gap}");
    policies
        .put_policy(policy(Some("7"), 1, "dana"), 0)
        .await
        .unwrap();
    assert_eq!(
        policies.latest_policy(None).await.unwrap(),
        Some(policy(None, 2, "lee"))
    );
    assert_eq!(
        policies.latest_policy(Some(&client("8"))).await.unwrap(),
        None
    );
    let page = policies.list_policies(None, None, 1).await.unwrap();
    assert_eq!(page.items, [policy(None, 2, "lee")]);
    let page = policies
        .list_policies(None, page.next.as_deref(), 1)
        .await
        .unwrap();
    assert_eq!(
        (page.items, page.next),
        (vec![policy(None, 1, "dana")], None)
    );
}

async fn a_sealed_plan_is_kept_once_and_read_by_page(store: Store) {
    let size = u32::try_from(PAGE_SIZE).unwrap();
    let executions = &store.executions;
    let first = sealed("p", 1, &[1, 2 * size + 1], 10);
    let second = sealed("p", 2, &[3], 20);
    executions.put_plan(first.clone()).await.unwrap();
    executions.put_plan(first.clone()).await.expect("a retry");
    executions.put_plan(second.clone()).await.unwrap();
    let other = executions
        .put_plan(sealed("p", 1, &[1], 30))
        .await
        .unwrap_err();
    assert!(matches!(other, StoreError::Conflict { .. }), "{other}");
    let forged = executions
        .put_plan(SealedPlan {
            revision: 3,
            hash: "0".into(),
            ..first.clone()
        })
        .await;
    assert!(matches!(forged, Err(StoreError::Invalid { .. })));
    assert_eq!(
        executions.get_plan(&plan("p"), 1).await.unwrap().as_ref(),
        Some(&first)
    );
    assert_eq!(
        executions
            .find_plan(&plan("p"), &second.hash)
            .await
            .unwrap(),
        Some(second)
    );
    assert_eq!(executions.find_plan(&plan("p"), "0").await.unwrap(), None);
    let mut ids = executions.plan_page(&plan("p"), 1, 0, 0).await.unwrap();
    for page in 0..4 {
        ids.extend(executions.plan_page(&plan("p"), 1, 1, page).await.unwrap());
    }
    assert_eq!(
        ids,
        first
            .document
            .devices
            .into_iter()
            .map(|d| d.id)
            .collect::<Vec<_>>()
    );
    let unknown = executions.plan_page(&plan("p"), 9, 0, 0).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { .. }), "{unknown}");
}

async fn an_older_status_is_ignored_and_lists_follow_the_newest(store: Store) {
    let executions = &store.executions;
    let kb = "5034441".parse().unwrap();
    let newer = status("p", "7", Stage::AwaitingApproval, 0, 20);
    executions.put_status(newer.clone(), None).await.unwrap();
    executions
        .put_status(status("p", "7", Stage::Planning, 0, 10), None)
        .await
        .unwrap();
    assert_eq!(
        executions.get_status(&plan("p")).await.unwrap(),
        Some(newer)
    );
    let waiting = StatusFilter {
        client: Some(client("7")),
        needs_approval: true,
        open: true,
    };
    assert_eq!(
        executions
            .list_statuses(&waiting, None, 10)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        executions.open_deployments_of(&kb).await.unwrap(),
        [plan("p")]
    );
    executions
        .put_status(status("p", "7", Stage::Done, 0, 30), None)
        .await
        .unwrap();
    assert!(
        executions
            .list_statuses(&waiting, None, 10)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert!(
        executions
            .open_deployments_of(&kb)
            .await
            .unwrap()
            .is_empty()
    );
    let all = executions
        .list_statuses(&StatusFilter::default(), None, 10)
        .await
        .unwrap();
    assert_eq!((all.items.len(), all.items[0].stage), (1, Stage::Done));
}

async fn lists_come_page_by_page_without_loss(store: Store) {
    let mut roll = dice(7);
    for i in 0..57_u32 {
        let of = if i.is_multiple_of(3) { "8" } else { "7" };
        // Many start in the same second.
        let started = i64::try_from(roll(9)).unwrap();
        store
            .executions
            .put_status(
                status(&format!("p{i}"), of, Stage::Deploying, started, 100),
                None,
            )
            .await
            .unwrap();
    }
    store
        .inventory
        .put_devices(&(0..450).map(|n| device(n, "7", 0)).collect::<Vec<_>>())
        .await
        .unwrap();
    for (of, expected) in [(None, 57), (Some("8"), 19)] {
        let filter = StatusFilter {
            client: of.map(client),
            needs_approval: false,
            open: true,
        };
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = store
                .executions
                .list_statuses(&filter, cursor.as_deref(), 10)
                .await
                .unwrap();
            seen.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            // A write between two pages neither repeats nor hides a row.
            let moved = status("p4", "7", Stage::Soaking, 3, 200);
            let moved = DeploymentStatus {
                started_at: seen_start(&store).await,
                ..moved
            };
            store.executions.put_status(moved, None).await.unwrap();
        }
        assert_eq!(
            seen.iter().map(|s| &s.plan).collect::<BTreeSet<_>>().len(),
            expected
        );
        assert_eq!(seen.len(), expected);
        assert!(
            seen.is_sorted_by(|a, b| a.started_at >= b.started_at),
            "newest first"
        );
    }
    let (mut seen, mut cursor) = (0, None);
    loop {
        let page = store
            .inventory
            .list_devices(&client("7"), cursor.as_deref(), 100)
            .await
            .unwrap();
        assert_eq!(page.items[0].id, device_id(seen));
        seen += u32::try_from(page.items.len()).unwrap();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, 450);
}

async fn seen_start(store: &Store) -> Timestamp {
    store
        .executions
        .get_status(&plan("p4"))
        .await
        .unwrap()
        .unwrap()
        .started_at
}

async fn a_device_row_is_written_once_per_attempt(store: Store) {
    use DeviceOutcome as D;
    let executions = &store.executions;
    executions
        .put_device_row(row(1, 1, D::Deferred))
        .await
        .unwrap();
    executions
        .put_device_row(DeviceRow {
            at: at(9),
            ..row(1, 1, D::Deferred)
        })
        .await
        .expect("a retry");
    let changed = executions
        .put_device_row(row(1, 1, D::Verified))
        .await
        .unwrap_err();
    assert!(
        matches!(&changed, StoreError::Conflict { what } if what.contains("00001")),
        "{changed}"
    );
    executions
        .put_device_row(row(1, 2, D::Verified))
        .await
        .unwrap();
    executions
        .put_device_row(row(1, 1, D::Deferred))
        .await
        .expect("an earlier attempt is ignored");
    executions
        .put_device_row(row(2, 1, D::Deferred))
        .await
        .unwrap();
    let newest = executions
        .get_device_row(&plan("p"), &device_id(1))
        .await
        .unwrap();
    assert_eq!(newest, Some(row(1, 2, D::Verified)));
    let deferred = executions
        .list_device_rows(&plan("p"), Some(D::Deferred), None, 10)
        .await
        .unwrap();
    assert_eq!(deferred.items, [row(2, 1, D::Deferred)]);
    let page = executions
        .list_device_rows(&plan("p"), None, None, 1)
        .await
        .unwrap();
    assert_eq!(page.items, [row(1, 2, D::Verified)]);
    let page = executions
        .list_device_rows(&plan("p"), None, page.next.as_deref(), 1)
        .await
        .unwrap();
    assert_eq!(
        (page.items, page.next),
        (vec![row(2, 1, D::Deferred)], None)
    );
}

fn letter(number: i64, of: &str, kind: LetterKind) -> DeadLetter {
    let workflow = format!("device-patch/p/{number}");
    DeadLetter {
        plan: Some(plan("p")),
        ..DeadLetter::new(
            kind,
            client(of),
            (&workflow, "result"),
            "disk full",
            at(number),
        )
    }
}

fn dropped(by: &str, secs: i64) -> LetterState {
    LetterState::Dropped {
        by: by.parse().unwrap(),
        at: at(secs),
        reason: "replaced".into(),
    }
}

fn retried(by: &str, secs: i64) -> LetterState {
    LetterState::Retried {
        by: by.parse().unwrap(),
        at: at(secs),
        plan: plan("p-retry-1"),
        reason: None,
    }
}

async fn letters(store: &Store, filter: LetterFilter, size: usize) -> Vec<DeadLetter> {
    let (mut all, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = store
            .executions
            .list_dead_letters(&filter, cursor.as_deref(), size)
            .await
            .unwrap();
        all.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return all,
        }
    }
}

async fn a_dead_letter_is_kept_once_and_listed_newest_first(store: Store) {
    use LetterKind as K;
    let executions = &store.executions;
    let all = [
        letter(1, "7", K::DeviceNeedsHuman),
        letter(2, "8", K::DeviceNeedsHuman),
        letter(3, "7", K::DeviceRollbackFailed),
        letter(4, "7", K::DeviceNeedsHuman),
    ];
    for letter in &all {
        executions.put_dead_letter(letter.clone()).await.unwrap();
    }
    let again = DeadLetter {
        at: at(99),
        cause: "another try of the same step".into(),
        ..all[0].clone()
    };
    executions.put_dead_letter(again).await.unwrap();
    let read = executions.get_dead_letter(&all[0].id).await.unwrap();
    assert_eq!(read.as_ref(), Some(&all[0]), "the first one stays");
    assert_eq!(executions.get_dead_letter("none").await.unwrap(), None);
    let foreign = DeadLetter {
        workflow_id: "device-patch/q/1".into(),
        ..all[0].clone()
    };
    let error = executions.put_dead_letter(foreign).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");

    executions
        .settle_dead_letter(&all[3].id, dropped("dana", 50))
        .await
        .unwrap();
    let filter = |of: Option<&str>, kind, open| LetterFilter {
        client: of.map(client),
        kind,
        open,
    };
    for (filter, expected) in [
        (filter(None, None, false), vec![4, 3, 2, 1]),
        (filter(None, None, true), vec![3, 2, 1]),
        (filter(Some("7"), None, false), vec![4, 3, 1]),
        (filter(Some("7"), None, true), vec![3, 1]),
        (filter(None, Some(K::DeviceNeedsHuman), true), vec![2, 1]),
        (
            filter(Some("7"), Some(K::DeviceNeedsHuman), false),
            vec![4, 1],
        ),
        (filter(Some("9"), None, false), vec![]),
        (filter(None, Some(K::NoticeUndelivered), false), vec![]),
    ] {
        for size in [1, 2, 100] {
            let found = letters(&store, filter.clone(), size).await;
            let found: Vec<_> = found.iter().map(|l| l.at).collect();
            let expected: Vec<_> = expected.iter().map(|n| at(*n)).collect();
            assert_eq!(found, expected, "{filter:?} by {size}");
        }
    }
}

async fn a_dead_letter_is_settled_once_and_says_by_whom(store: Store) {
    let executions = &store.executions;
    let (one, other) = (
        letter(1, "7", LetterKind::DeviceNeedsHuman),
        letter(2, "7", LetterKind::DeviceNeedsHuman),
    );
    for letter in [&one, &other] {
        executions.put_dead_letter(letter.clone()).await.unwrap();
    }
    let nothing = executions
        .settle_dead_letter(&one.id, LetterState::Open)
        .await
        .unwrap_err();
    assert!(matches!(nothing, StoreError::Invalid { .. }), "{nothing}");
    let settled = executions
        .settle_dead_letter(&one.id, retried("tim", 10))
        .await
        .unwrap();
    assert_eq!(settled.state, retried("tim", 10));
    let before = changes(&store, 3).await.len();
    let again = executions
        .settle_dead_letter(&one.id, retried("tim", 20))
        .await
        .unwrap();
    assert_eq!(again, settled, "a repeat has no second effect");
    for late in [retried("dana", 30), dropped("tim", 30), LetterState::Open] {
        let error = executions
            .settle_dead_letter(&one.id, late)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, StoreError::Conflict { what } if what.contains("tim") && what.contains("p-retry-1")),
            "{error}"
        );
    }
    executions
        .settle_dead_letter(&other.id, dropped("dana", 40))
        .await
        .unwrap();
    assert_eq!(changes(&store, before + 1).await.len(), before + 1);
    let error = executions
        .settle_dead_letter(&other.id, retried("tim", 50))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("dana"), "{error}");
    executions.put_dead_letter(other.clone()).await.unwrap();
    let kept = executions.get_dead_letter(&other.id).await.unwrap();
    assert_eq!(
        kept.map(|l| l.state),
        Some(dropped("dana", 40)),
        "a late repeat of the writing opens nothing"
    );
    let unknown = executions
        .settle_dead_letter("none", dropped("dana", 1))
        .await
        .unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { .. }), "{unknown}");
}

async fn of_many_who_settle_a_dead_letter_at_once_one_wins(store: Store) {
    let one = letter(1, "7", LetterKind::DeviceNeedsHuman);
    store.executions.put_dead_letter(one.clone()).await.unwrap();
    let settle = |n: i64| {
        let (store, id) = (store.clone(), one.id.clone());
        let state = match n % 2 {
            0 => retried(&format!("p{n}"), n),
            _ => dropped(&format!("p{n}"), n),
        };
        tokio::spawn(async move { store.executions.settle_dead_letter(&id, state).await })
    };
    let tasks: Vec<_> = (0..16).map(settle).collect();
    let mut won = Vec::new();
    for task in tasks {
        won.extend(task.await.unwrap().ok());
    }
    assert_eq!(won.len(), 1);
    let kept = store.executions.get_dead_letter(&one.id).await.unwrap();
    assert_eq!(kept, won.pop());
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_dead_letters_go_when_their_time_is_over() {
    let (_folder, path) = file();
    let store = Store::embedded(&path).unwrap();
    let executions = &store.executions;
    let (old, young) = (
        letter(1, "7", LetterKind::DeviceNeedsHuman),
        letter(100, "7", LetterKind::DeviceNeedsHuman),
    );
    for letter in [&old, &young] {
        executions.put_dead_letter(letter.clone()).await.unwrap();
    }
    // What was settled is kept as long as it would have been otherwise.
    executions
        .settle_dead_letter(&old.id, dropped("dana", 50))
        .await
        .unwrap();
    let over = at(1) + KEEP_LETTERS;
    store
        .upkeep
        .sweep_expired(over - Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(letters(&store, LetterFilter::default(), 10).await.len(), 2);
    store.upkeep.sweep_expired(over).await.unwrap();
    assert_eq!(letters(&store, LetterFilter::default(), 10).await, [young]);
    assert_eq!(executions.get_dead_letter(&old.id).await.unwrap(), None);
}

async fn devices_are_never_replaced_by_what_was_seen_before(store: Store) {
    let inventory = &store.inventory;
    inventory.put_devices(&[device(1, "7", 10)]).await.unwrap();
    inventory
        .put_devices(&[Device {
            online: false,
            ..device(1, "7", 5)
        }])
        .await
        .unwrap();
    assert_eq!(
        inventory.get_device(&device_id(1)).await.unwrap(),
        Some(device(1, "7", 10))
    );
    inventory.put_devices(&[device(1, "8", 20)]).await.unwrap();
    assert!(
        inventory
            .list_devices(&client("7"), None, 10)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(
        inventory
            .list_devices(&client("8"), None, 10)
            .await
            .unwrap()
            .items,
        [device(1, "8", 20)]
    );
    let acme = ClientRecord {
        id: client("8"),
        name: "Acme".into(),
        time_zone: Some("Europe/Berlin".into()),
        sites: [("s".to_owned(), "UTC".to_owned())].into(),
        synced_at: Some(at(1)),
    };
    inventory.put_client(acme.clone()).await.unwrap();
    assert_eq!(
        inventory.get_client(&client("8")).await.unwrap(),
        Some(acme)
    );
    assert_eq!(inventory.get_client(&client("7")).await.unwrap(), None);
}

async fn a_lease_belongs_to_one_owner_until_it_ends(store: Store) {
    let (inventory, id) = (&store.inventory, device_id(1));
    let minute = Duration::from_secs(60);
    let take = |owner: &'static str, now| inventory.acquire_lease(&id, owner, minute, at(now));
    assert_eq!(take("a", 0).await.unwrap(), Lease::Held { until: at(60) });
    let held = Lease::HeldBy {
        owner: "a".into(),
        until: at(60),
    };
    assert_eq!(take("b", 59).await.unwrap(), held);
    assert_eq!(
        take("a", 30).await.unwrap(),
        Lease::Held { until: at(90) },
        "renewed"
    );
    assert_eq!(
        take("a", 10).await.unwrap(),
        Lease::Held { until: at(90) },
        "a late renewal does not shorten it"
    );
    inventory.release_lease(&id, "b").await.unwrap();
    assert_eq!(
        take("b", 89).await.unwrap(),
        Lease::HeldBy {
            owner: "a".into(),
            until: at(90)
        }
    );
    assert_eq!(
        take("b", 90).await.unwrap(),
        Lease::Held { until: at(150) },
        "expired"
    );
    inventory.release_lease(&id, "b").await.unwrap();
    assert_eq!(
        take("a", 91).await.unwrap(),
        Lease::Held { until: at(151) },
        "given back"
    );
}

async fn people_are_read_as_written(store: Store) {
    let person = |id: &str, role| Person {
        id: id.parse().unwrap(),
        name: "N".into(),
        role,
        clients: [client("7")].into(),
    };
    for (id, role) in [
        ("lee", Role::Viewer),
        ("dana", Role::Approver),
        ("lee", Role::Lead),
    ] {
        store.identities.put_person(person(id, role)).await.unwrap();
    }
    let people = store.identities.list_people().await.unwrap();
    assert_eq!(
        people,
        [person("dana", Role::Approver), person("lee", Role::Lead)]
    );
    assert_eq!(
        store
            .identities
            .get_person(&people[1].id)
            .await
            .unwrap()
            .as_ref(),
        Some(&people[1])
    );
    assert_eq!(
        store
            .identities
            .get_person(&"nobody".parse().unwrap())
            .await
            .unwrap(),
        None
    );
}

async fn who_is_no_longer_of_a_source_may_only_look(store: Store) {
    let identities = &store.identities;
    let person = |id: &str, role| Person {
        id: id.parse().unwrap(),
        name: "N".into(),
        role,
        clients: [client("7")].into(),
    };
    let (dana, lee) = (
        || person("dana", Role::Approver),
        || person("lee", Role::Lead),
    );
    identities
        .put_person(person("by-hand", Role::Lead))
        .await
        .unwrap();
    identities
        .put_people_of("other", vec![person("eva", Role::Lead)])
        .await
        .unwrap();
    let lowered = identities
        .put_people_of("file", vec![dana(), lee()])
        .await
        .unwrap();
    assert_eq!(lowered, []);
    let before = changes(&store, 4).await.len();
    for expected in [vec![person("lee", Role::Viewer)], vec![]] {
        let lowered = identities
            .put_people_of("file", vec![dana()])
            .await
            .unwrap();
        assert_eq!(lowered, expected, "told once");
    }
    let changes = changes(&store, before + 1).await;
    let new: Vec<_> = changes[before..].iter().map(|c| c.key.as_str()).collect();
    assert_eq!(new, ["lee"]);
    assert_eq!(
        identities.list_people().await.unwrap(),
        [
            person("by-hand", Role::Lead),
            dana(),
            person("eva", Role::Lead),
            person("lee", Role::Viewer),
        ]
    );
    identities
        .put_people_of("file", vec![dana(), lee()])
        .await
        .unwrap();
    let back = identities.get_person(&lee().id).await.unwrap();
    assert_eq!(back, Some(lee()), "put back into the file");
}

async fn a_blocked_bucket_gives_nothing_until_then(store: Store) {
    let counters = &store.counters;
    let bucket = Bucket {
        capacity: 2,
        per: Duration::from_secs(30),
    };
    let take = |now| counters.take_token("nvd", bucket, at(now));
    assert_eq!(take(0).await.unwrap(), None);
    counters.block("nvd", at(100)).await.unwrap();
    counters.block("nvd", at(50)).await.unwrap();
    let wait = |secs| Some(Duration::from_secs(secs));
    assert_eq!(take(1).await.unwrap(), wait(99), "a block is not shortened");
    assert_eq!(take(99).await.unwrap(), wait(1));
    assert_eq!(take(100).await.unwrap(), None);
    assert_eq!(take(100).await.unwrap(), None);
    assert_eq!(take(100).await.unwrap(), wait(30));
    counters.block("other", at(130)).await.unwrap();
    assert_eq!(take(130).await.unwrap(), None, "each for itself");
    let new = counters.take_token("other", bucket, at(100)).await.unwrap();
    assert_eq!(new, wait(30), "also one that was never used");
    counters.block("nvd", at(1_000_000)).await.unwrap();
    assert_eq!(
        take(200).await.unwrap(),
        None,
        "a clock that was far ahead blocks nobody"
    );
    counters.block("nvd", at(240)).await.unwrap();
    assert_eq!(take(201).await.unwrap(), wait(39), "nor for ever");
}

async fn a_bucket_never_gives_more_than_its_capacity_in_any_window(store: Store) {
    for seed in 1..=12 {
        let mut roll = dice(seed);
        // Large budgets are counted less exactly, but never too high.
        let is_large = seed > 10;
        let capacity = u32::try_from(if is_large { 300 } else { 1 + roll(6) }).unwrap();
        let per = Duration::from_millis(500 + roll(2000));
        let bucket = Bucket { capacity, per };
        let (name, mut now, mut given) = (format!("b{seed}"), at(0), Vec::new());
        let (calls, pause) = match (is_large, seed.is_multiple_of(2)) {
            (true, _) => (1500, 5),
            (false, true) => (120, 80),
            (false, false) => (120, 900),
        };
        for _ in 0..calls {
            now += Duration::from_millis(roll(pause));
            match store.counters.take_token(&name, bucket, now).await.unwrap() {
                None => given.push(now),
                Some(wait) => {
                    assert!(wait > Duration::ZERO && wait <= per + per / 100, "{wait:?}");
                    now += wait;
                    let after = store.counters.take_token(&name, bucket, now).await.unwrap();
                    assert_eq!(after, None, "after the wait there is a token");
                    given.push(now);
                }
            }
        }
        for (i, start) in given.iter().enumerate() {
            let inside = given[i..].iter().take_while(|t| **t < *start + per).count();
            assert!(
                inside <= capacity as usize,
                "seed {seed}: {inside} in a window, capacity {capacity}"
            );
        }
        let windows = (now - at(0)).as_secs_f64() / per.as_secs_f64();
        if is_large {
            let share = given.len() as f64 / windows / f64::from(capacity);
            assert!(share > 0.9, "seed {seed}: {share} of the budget is given");
        }
    }
    let bucket = Bucket {
        capacity: 1,
        per: Duration::from_secs(60),
    };
    assert_eq!(
        store
            .counters
            .take_token("skew", bucket, at(1_000_000))
            .await
            .unwrap(),
        None
    );
    let wait = store
        .counters
        .take_token("skew", bucket, at(0))
        .await
        .unwrap();
    assert_eq!(
        wait,
        Some(bucket.per),
        "a clock that was set back blocks nothing for long"
    );
}

async fn counters_flags_and_claims(store: Store) {
    let counters = &store.counters;
    assert_eq!(counters.read("n").await.unwrap(), 0);
    assert_eq!(counters.add("n", "a", 2).await.unwrap(), 2);
    assert_eq!(
        counters.add("n", "a", 2).await.unwrap(),
        2,
        "a repeat adds nothing"
    );
    assert_eq!(counters.add("n", "b", -5).await.unwrap(), -3);
    assert_eq!(counters.read("n").await.unwrap(), -3);
    counters
        .set_flag("pause/7", Some("dana: storm"))
        .await
        .unwrap();
    assert_eq!(
        counters.get_flag("pause/7").await.unwrap().as_deref(),
        Some("dana: storm")
    );
    counters.set_flag("pause/7", None).await.unwrap();
    assert_eq!(counters.get_flag("pause/7").await.unwrap(), None);
    let minute = Duration::from_secs(60);
    let claims = [(0, true), (59, false), (60, true), (61, false)];
    for (now, expected) in claims {
        assert_eq!(
            counters.claim("sync/7", minute, at(now)).await.unwrap(),
            expected,
            "at {now}"
        );
    }
}

/// Reads so many changes: an adapter may show them a moment later.
async fn changes(store: &Store, count: usize) -> Vec<Change> {
    let begin = Instant::now();
    loop {
        let changes = store.outbox.changes_after(0, 100).await.unwrap();
        if changes.len() >= count || begin.elapsed() > PATIENCE {
            return changes;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn every_visible_write_is_a_change_in_order(store: Store) {
    store.actions.append_audit(record("w", "k")).await.unwrap();
    store.actions.append_audit(record("w", "k")).await.unwrap();
    store
        .executions
        .put_plan(sealed("p", 1, &[1], 0))
        .await
        .unwrap();
    store
        .executions
        .put_status(status("p", "7", Stage::Planning, 0, 10), None)
        .await
        .unwrap();
    store
        .executions
        .put_status(status("p", "7", Stage::Planning, 0, 5), None)
        .await
        .unwrap();
    store
        .executions
        .put_device_row(row(1, 1, DeviceOutcome::Verified))
        .await
        .unwrap();
    store
        .inventory
        .put_devices(&[device(1, "7", 0)])
        .await
        .unwrap();
    store
        .inventory
        .put_devices(&[device(1, "7", 1)])
        .await
        .unwrap();
    store.counters.set_flag("pause/7", Some("x")).await.unwrap();
    let changes = changes(&store, 6).await;
    let kinds: Vec<&str> = changes.iter().map(|c| c.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "audit",
            "plan",
            "execution",
            "device_result",
            "device",
            "flag"
        ]
    );
    assert!(changes.is_sorted_by(|a, b| a.sequence < b.sequence));
    assert_eq!(
        (changes[3].client.clone(), changes[3].key.as_str()),
        (Some(client("7")), "p/00001")
    );
    let rest = store
        .outbox
        .changes_after(changes[3].sequence, 1)
        .await
        .unwrap();
    assert_eq!(rest, changes[4..5]);
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_what_is_past_its_time_goes_with_all_that_belongs_to_it() {
    let (_folder, path) = file();
    let store = Store::embedded(&path).unwrap();
    let executions = &store.executions;
    executions
        .put_plan(sealed("p", 1, &[700], 0))
        .await
        .unwrap();
    for n in 0..700 {
        executions
            .put_device_row(row(n, 1, DeviceOutcome::Verified))
            .await
            .unwrap();
    }
    executions
        .put_status(status("p", "7", Stage::Done, 0, 10), Some(at(100)))
        .await
        .unwrap();
    executions
        .put_status(status("q", "7", Stage::Done, 0, 10), Some(at(200)))
        .await
        .unwrap();
    store.upkeep.sweep_expired(at(99)).await.unwrap();
    assert!(executions.get_status(&plan("p")).await.unwrap().is_some());
    assert!(store.upkeep.sweep_expired(at(100)).await.unwrap() > 700);
    assert_eq!(executions.get_status(&plan("p")).await.unwrap(), None);
    assert_eq!(executions.get_plan(&plan("p"), 1).await.unwrap(), None);
    let rows = executions
        .list_device_rows(&plan("p"), Some(DeviceOutcome::Verified), None, 10)
        .await
        .unwrap();
    assert!(rows.items.is_empty());
    let left = executions
        .list_statuses(&StatusFilter::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(left.items.len(), 1);
}

/// A check: it gets two handles on the same fresh store, which stand for two processes.
pub type Check = fn(Store, Store) -> BoxFuture<'static, ()>;

macro_rules! checks {
    ($($check:ident)*) => {
        /// Returns the checks of every adapter, by name.
        #[must_use]
        pub fn checks() -> Vec<(&'static str, Check)> {
            vec![
                ("concurrent_appends_make_one_unbroken_chain", |one, other| {
                    concurrent_appends_make_one_unbroken_chain(one, other).boxed()
                }),
                $((stringify!($check), |one, _| $check(one).boxed())),*
            ]
        }

        #[cfg(test)]
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    let (_folder, path) = super::file();
                    super::$check(super::Store::embedded(&path).unwrap()).await;
                }
            )*
        }
    };
}

checks! {
    a_repeated_audit_record_is_one_entry
    another_audit_record_under_a_known_key_is_not_lost
    the_head_of_a_chain_is_its_last_entry
    a_policy_changed_by_somebody_else_is_a_conflict
    a_sealed_plan_is_kept_once_and_read_by_page
    an_older_status_is_ignored_and_lists_follow_the_newest
    lists_come_page_by_page_without_loss
    a_device_row_is_written_once_per_attempt
    a_dead_letter_is_kept_once_and_listed_newest_first
    a_dead_letter_is_settled_once_and_says_by_whom
    of_many_who_settle_a_dead_letter_at_once_one_wins
    devices_are_never_replaced_by_what_was_seen_before
    a_lease_belongs_to_one_owner_until_it_ends
    people_are_read_as_written
    who_is_no_longer_of_a_source_may_only_look
    a_blocked_bucket_gives_nothing_until_then
    a_bucket_never_gives_more_than_its_capacity_in_any_window
    counters_flags_and_claims
    every_visible_write_is_a_change_in_order
}

#[cfg(test)]
fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/autoops.db");
    (folder, path)
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_concurrent_appends_make_one_unbroken_chain() {
    let (_folder, path) = file();
    let (one, other) = (
        Store::embedded(&path).unwrap(),
        Store::embedded(&path).unwrap(),
    );
    concurrent_appends_make_one_unbroken_chain(one, other).await;
}
