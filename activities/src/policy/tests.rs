use clients::{
    ledger::{Ledger, Said},
    store::{PolicyVersion, SealedPlan},
};
use contracts::activities::policy::{EvaluateInput, Figures};
use domain::{
    guardrail::{ActionType, Verdict},
    ledger::Evidence,
    plan::{PlanDocument, PlannedActions, PlannedDevice, RebootPolicy, RollbackSpec},
};
use jiff::Timestamp;
use serde_json::json;

use super::{NOT_IN_INVENTORY, PolicyActivities};
use crate::testing::{NOW, World, client, environment, plan, request};

async fn world() -> World {
    let world = World::new().await;
    world.seed(4).await;
    let planned = |(ring, id): (u32, &str)| PlannedDevice {
        ring,
        id: id.parse().unwrap(),
        evidence: false,
    };
    let document = PlanDocument {
        devices: [(0, "1"), (0, "2"), (1, "3"), (1, "99")]
            .map(planned)
            .to_vec(),
        actions: PlannedActions {
            install: vec!["KB5034441".parse().unwrap()],
            reboot: RebootPolicy::Never,
        },
        windows: vec![],
        blackouts: vec![],
        time_zone: None,
        deadline: None,
        rollback: RollbackSpec::default(),
        evidence_waived: None,
    };
    let hash = document.hash().unwrap();
    let sealed = SealedPlan {
        plan: plan(),
        revision: 1,
        hash,
        request: request(json!({})),
        removed: vec![],
        forbidden: vec![],
        forbidden_count: 0,
        document,
    };
    world.deps.store.executions.put_plan(sealed).await.unwrap();
    let body = json!({ "schema": 1, "rules": [{ "id": "all", "effect": "allow_unattended" }] });
    put(&world, None, 0, body).await;
    world
}

async fn put(
    world: &World,
    owner: Option<domain::ids::ClientId>,
    seen: u64,
    body: serde_json::Value,
) {
    let policy = PolicyVersion {
        client: owner,
        version: seen + 1,
        by: "dana".into(),
        at: Timestamp::UNIX_EPOCH,
        body,
    };
    world
        .deps
        .store
        .policies
        .put_policy(policy, seen)
        .await
        .unwrap();
}

fn question() -> EvaluateInput {
    EvaluateInput {
        client: client(),
        plan: plan(),
        revision: 1,
        action: ActionType::InstallPatch,
        kbs: vec!["KB5034441".parse().unwrap()],
        device: None,
        ring: None,
        figures: Figures {
            confidence_permille: 1000,
            blast_radius: 4,
            ..Figures::default()
        },
        may_reboot: false,
        inside_window: true,
    }
}

#[tokio::test]
async fn a_pause_and_a_stopped_kb_are_told_beside_the_decision() {
    let world = world().await;
    let activities = environment(PolicyActivities::new(&world.deps, world.guardrails()));
    let free = activities
        .run(PolicyActivities::evaluate, question())
        .await
        .unwrap();
    assert_eq!(
        (&free.decision.verdict, free.paused, free.stopped.len()),
        (&Verdict::Auto, None, 0)
    );
    let flags = &world.deps.store.counters;
    flags
        .set_flag(&format!("pause/{}", client()), Some("dana: audit"))
        .await
        .unwrap();
    flags
        .set_flag("kb-stop/KB5034441", Some("lee: boot loop"))
        .await
        .unwrap();
    let held = activities
        .run(PolicyActivities::evaluate, question())
        .await
        .unwrap();
    assert_eq!(held.paused.as_deref(), Some("dana: audit"));
    assert_eq!(held.stopped[0].reason, "lee: boot loop");
    flags
        .set_flag("pause/all", Some("lee: storm"))
        .await
        .unwrap();
    let held = activities
        .run(PolicyActivities::evaluate, question())
        .await
        .unwrap();
    assert_eq!(held.paused.as_deref(), Some("lee: storm"));
}

#[tokio::test]
async fn rings_after_the_first_wait_while_the_ledger_holds_an_update() {
    let world = world().await;
    let activities = environment(PolicyActivities::new(&world.deps, world.guardrails()));
    let ledger = Ledger::new(&world.deps.store);
    for device in 1..=2 {
        let said = Said {
            kb: &"KB5034441".parse().unwrap(),
            plan: &"elsewhere".parse().unwrap(),
            device: &device.to_string().parse().unwrap(),
            build: "10.0.19045",
            evidence: Evidence::Bad,
            at: NOW.parse().unwrap(),
        };
        ledger.count(&said).await.unwrap();
    }
    let paused = async |ring: u32| {
        let input = EvaluateInput {
            ring: Some(ring),
            ..question()
        };
        let answer = activities.run(PolicyActivities::evaluate, input).await;
        answer.unwrap().paused
    };
    assert_eq!(paused(0).await, None);
    let why = paused(1).await.unwrap();
    assert!(
        why.starts_with("ledger: KB5034441, over all clients: 2 of 2"),
        "{why}"
    );
    let device = EvaluateInput {
        device: Some("1".parse().unwrap()),
        ring: Some(1),
        ..question()
    };
    let answer = activities.run(PolicyActivities::evaluate, device).await;
    assert_eq!(
        answer.unwrap().paused,
        None,
        "devices of an open ring go on"
    );
}

#[tokio::test]
async fn while_superops_does_not_answer_rings_wait_unless_a_person_paused_them() {
    let world = world().await;
    let activities = environment(PolicyActivities::new(&world.deps, world.guardrails()));
    let flags = &world.deps.store.counters;
    let paused = async || {
        let answer = activities.run(PolicyActivities::evaluate, question()).await;
        answer.unwrap().paused
    };
    let note = |state: &str, since: &str, until: &str| {
        let note = json!({ "state": state, "since": since, "until": until, "by": "x@1" });
        note.to_string()
    };
    for (state, since, until, words) in [
        (
            "open",
            "2026-11-03T09:58:12Z",
            "2026-11-03T10:01:00Z",
            Some("SuperOps does not answer since 09:58 UTC; rings wait"),
        ),
        (
            "half_open",
            "2026-11-02T22:07:00Z",
            "2026-11-03T10:01:00Z",
            Some("SuperOps does not answer since 2026-11-02 22:07 UTC; rings wait"),
        ),
        // The process that wrote it has died.
        ("open", "2026-11-03T09:00:00Z", "2026-11-03T09:02:00Z", None),
    ] {
        let text = note(state, since, until);
        flags
            .set_flag("breaker/superops", Some(&text))
            .await
            .unwrap();
        assert_eq!(paused().await.as_deref(), words);
    }
    let refused = json!({
        "state": "open", "since": "2026-11-03T09:58:12Z", "until": "2026-11-03T10:01:00Z",
        "last_error": "it refuses the token", "by": "x@1",
    });
    let refused = refused.to_string();
    flags
        .set_flag("breaker/superops", Some(&refused))
        .await
        .unwrap();
    assert_eq!(
        paused().await.as_deref(),
        Some("SuperOps does not answer since 09:58 UTC (it refuses the token); rings wait")
    );
    let closed = json!({ "state": "closed", "by": "x@1" }).to_string();
    flags
        .set_flag("breaker/superops", Some(&closed))
        .await
        .unwrap();
    assert_eq!(paused().await, None);

    let open = note("open", "2026-11-03T09:58:12Z", "2026-11-03T10:01:00Z");
    flags
        .set_flag("breaker/superops", Some(&open))
        .await
        .unwrap();
    flags
        .set_flag("pause/all", Some("lee: storm"))
        .await
        .unwrap();
    assert_eq!(paused().await.as_deref(), Some("lee: storm"));
}

#[tokio::test]
async fn a_new_version_of_a_policy_counts_at_once() {
    let world = world().await;
    let activities = environment(PolicyActivities::new(&world.deps, world.guardrails()));
    let before = activities
        .run(PolicyActivities::evaluate, question())
        .await
        .unwrap()
        .decision;
    let own = json!({ "schema": 1, "client": client(), "rules": [
        { "id": "no-servers", "effect": "forbid", "when": { "device_tags_any": ["server"] } },
    ]});
    put(&world, Some(client()), 0, own).await;
    let after = activities
        .run(PolicyActivities::evaluate, question())
        .await
        .unwrap()
        .decision;
    assert_ne!(before.policy_version, after.policy_version);
    let forbidden: Vec<_> = after
        .forbidden
        .iter()
        .map(|found| found.device.as_str())
        .collect();
    assert_eq!(forbidden, ["1", "3", "99"]);
    assert_eq!(after.verdict, Verdict::Auto);
}

#[tokio::test]
async fn a_device_that_is_gone_is_forbidden_and_an_empty_ring_is_not() {
    let world = world().await;
    let activities = environment(PolicyActivities::new(&world.deps, world.guardrails()));
    let one = EvaluateInput {
        device: Some("99".parse().unwrap()),
        ..question()
    };
    let gone = activities
        .run(PolicyActivities::evaluate, one)
        .await
        .unwrap()
        .decision;
    assert_eq!(gone.verdict, Verdict::Forbidden);
    assert_eq!(gone.policies, [NOT_IN_INVENTORY]);
    let empty = EvaluateInput {
        ring: Some(7),
        ..question()
    };
    let empty = activities
        .run(PolicyActivities::evaluate, empty)
        .await
        .unwrap()
        .decision;
    assert_eq!(empty.verdict, Verdict::Auto);
}
