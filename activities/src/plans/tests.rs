mod evidence;

use clients::store::{DeadLetter, DeviceRow, LetterFilter, PolicyVersion};
use contracts::{
    activities::{
        plans::{
            CheckChildrenInput, ChildRun, DifferenceInput, LoadPageInput, PlanPageInput,
            ResolveInput, SealInput, StragglersInput,
        },
        policy::Figures,
    },
    deployment::Cursor,
    failures,
};
use domain::{
    dead_letter::LetterKind,
    guardrail::Verdict,
    ids::DeviceId,
    outcome::{DeviceOutcome, DeviceResult, PatchResult},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{PlanActivities, children::Runs};
use crate::{
    failure::Outcome,
    testing::{NOW, World, client, device, failure, plan, request},
};

fn id(number: u32) -> DeviceId {
    number.to_string().parse().unwrap()
}

fn resolve(changes: Value) -> ResolveInput {
    ResolveInput {
        plan: plan(),
        request: request(changes),
        removed: Vec::new(),
    }
}

fn seal(revision: u32, changes: Value) -> SealInput {
    let figures = Figures {
        confidence_permille: 1000,
        blast_radius: 10,
        ..Figures::default()
    };
    SealInput {
        plan: plan(),
        revision,
        request: request(changes),
        removed: Vec::new(),
        figures,
    }
}

fn rings() -> Value {
    json!([{ "name": "canary", "count": 2 }, { "name": "rest", "rest": true }])
}

fn row(number: u32, ring: u32, attempt: u32, outcome: DeviceOutcome) -> DeviceRow {
    let result = DeviceResult {
        device: id(number),
        outcome,
        detail: String::new(),
        patches: vec![PatchResult {
            kb: "KB5034441".parse().unwrap(),
            outcome,
            detail: String::new(),
        }],
        evidence: None,
    };
    DeviceRow {
        plan: plan(),
        ring,
        attempt,
        result,
        at: Timestamp::UNIX_EPOCH,
    }
}

async fn world() -> World {
    let world = World::new().await;
    world.seed(10).await;
    world
}

async fn forbid_servers(world: &World) {
    let body = json!({ "schema": 1, "rules": [
        { "id": "no-servers", "effect": "forbid", "when": { "device_tags_any": ["server"] } },
        { "id": "all-else", "effect": "allow_unattended" },
    ]});
    let at = Timestamp::UNIX_EPOCH;
    let policy = PolicyVersion {
        client: None,
        version: 1,
        by: "dana".into(),
        at,
        body,
    };
    world
        .deps
        .store
        .policies
        .put_policy(policy, 0)
        .await
        .unwrap();
}

#[tokio::test]
async fn resolving_counts_devices_and_spreads_probes_over_rings() {
    let world = world().await;
    let input = resolve(json!({ "rings": rings(), "limits": { "detail_probes": 4 } }));
    let found = world
        .plans()
        .run(PlanActivities::resolve, input)
        .await
        .unwrap();
    assert_eq!(
        (
            found.devices.total,
            found.devices.client_total,
            found.devices.servers
        ),
        (10, 10, 5)
    );
    let sizes: Vec<_> = found
        .rings
        .iter()
        .map(|r| (r.name.as_str(), r.count, r.pages))
        .collect();
    assert_eq!(sizes, [("canary", 2, 1), ("rest", 8, 1)]);
    assert_eq!(found.probes.len(), 4);
    assert!(!found.probes_are_all);
    let all = resolve(json!({ "limits": { "detail_probes": 50 } }));
    let found = world
        .plans()
        .run(PlanActivities::resolve, all)
        .await
        .unwrap();
    assert!(found.probes_are_all && found.probes.len() == 10);
}

#[tokio::test]
async fn what_does_not_exist_is_refused_with_its_field() {
    let world = world().await;
    for (changes, words) in [
        (
            json!({ "devices": { "ids": ["1", "77"] } }),
            ["devices.ids[1]", "`77`"],
        ),
        (
            json!({ "devices": { "tags": ["kiosk"] } }),
            ["devices.tags", "`kiosk`"],
        ),
        (
            json!({ "rings": [{ "name": "x", "tags": ["kiosk"] }, { "name": "r", "rest": true }] }),
            ["rings[0]", "`x`"],
        ),
        (
            json!({ "rings": [{ "name": "x", "devices": ["1", "78"] }, { "name": "r", "rest": true }] }),
            ["rings[0].devices[1]", "`78`"],
        ),
        (json!({ "patches": [] }), ["patches", "none"]),
    ] {
        let failed = failure(
            world
                .plans()
                .run(PlanActivities::resolve, resolve(changes))
                .await,
        );
        assert_eq!(failed.type_name(), Some(failures::INVALID_INPUT));
        assert!(failed.is_non_retryable());
        let text = failed.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
}

#[tokio::test]
async fn a_device_that_superops_does_not_list_any_more_is_unknown() {
    let world = world().await;
    let gone = domain::device::Device {
        seen_at: "2026-10-01T00:00:00Z".parse().unwrap(),
        ..device(11)
    };
    world
        .deps
        .store
        .inventory
        .put_devices(&[gone])
        .await
        .unwrap();
    let found = world
        .plans()
        .run(PlanActivities::resolve, resolve(json!({})))
        .await
        .unwrap();
    assert_eq!(found.devices.total, 10);
    let named = resolve(json!({ "devices": { "ids": ["11"] } }));
    let failed = failure(world.plans().run(PlanActivities::resolve, named).await);
    assert!(failed.to_string().contains("devices.ids[0]"));
}

#[tokio::test]
async fn sealing_twice_gives_the_same_plan_and_another_content_is_a_conflict() {
    let world = world().await;
    let first = world
        .plans()
        .run(PlanActivities::seal, seal(1, json!({})))
        .await
        .unwrap();
    let second = world
        .plans()
        .run(PlanActivities::seal, seal(1, json!({})))
        .await
        .unwrap();
    assert_eq!(first, second);
    assert_eq!(first.plan.hash.len(), 64);
    let other = seal(1, json!({ "devices": { "ids": ["1"] } }));
    let failed = failure(world.plans().run(PlanActivities::seal, other).await);
    assert_eq!(failed.type_name(), Some("store.conflict"));
}

#[tokio::test]
async fn a_retry_keeps_the_plan_when_the_inventory_or_the_policies_changed_meanwhile() {
    let world = world().await;
    let sealing = || SealInput {
        removed: vec![id(9)],
        ..seal(1, json!({ "rings": rings() }))
    };
    let first = world
        .plans()
        .run(PlanActivities::seal, sealing())
        .await
        .unwrap();
    let inventory = &world.deps.store.inventory;
    inventory.put_devices(&[device(11)]).await.unwrap();
    let again = world
        .plans()
        .run(PlanActivities::seal, sealing())
        .await
        .unwrap();
    assert_eq!(again, first);

    forbid_servers(&world).await;
    let again = world
        .plans()
        .run(PlanActivities::seal, sealing())
        .await
        .unwrap();
    assert_eq!((&again.plan, again.difference), (&first.plan, vec![]));
    assert_eq!(again.decision.verdict, Verdict::Auto, "today's policies");
    assert_eq!(
        (again.forbidden_count, again.decision.forbidden.len()),
        (4, 4),
        "1, 3, 5 and 7 are servers"
    );

    let other = SealInput {
        removed: vec![id(8)],
        ..sealing()
    };
    let failed = failure(world.plans().run(PlanActivities::seal, other).await);
    assert_eq!(failed.type_name(), Some("store.conflict"));
}

#[tokio::test]
async fn a_retry_still_names_what_guardrails_took_out() {
    let world = world().await;
    forbid_servers(&world).await;
    let first = world
        .plans()
        .run(PlanActivities::seal, seal(1, json!({})))
        .await
        .unwrap();
    let moved = domain::device::Device {
        client: "8".parse().unwrap(),
        seen_at: "2026-11-04T00:00:00Z".parse().unwrap(),
        ..device(2)
    };
    world
        .deps
        .store
        .inventory
        .put_devices(&[moved])
        .await
        .unwrap();
    let again = world
        .plans()
        .run(PlanActivities::seal, seal(1, json!({})))
        .await
        .unwrap();
    assert_eq!((first.forbidden_count, again.forbidden_count), (5, 6));
    let last = again.decision.forbidden.last().unwrap();
    assert_eq!(
        (&last.device, last.policies.as_slice()),
        (&id(2), &["builtin/not-in-inventory".to_owned()][..])
    );
    assert_eq!(again.plan, first.plan);
}

#[tokio::test]
async fn forbidden_devices_are_taken_out_and_an_emptied_ring_stays_empty() {
    let world = world().await;
    forbid_servers(&world).await;
    let rings =
        json!([{ "name": "servers", "tags": ["server"] }, { "name": "rest", "rest": true }]);
    let sealed = world
        .plans()
        .run(PlanActivities::seal, seal(1, json!({ "rings": rings })))
        .await
        .unwrap();
    assert_eq!(sealed.decision.verdict, Verdict::Auto);
    assert_eq!(sealed.forbidden_count, 5);
    assert_eq!(sealed.decision.forbidden[0].policies, ["no-servers"]);
    let counts: Vec<_> = sealed
        .plan
        .rings
        .iter()
        .map(|ring| (ring.count, ring.pages))
        .collect();
    assert_eq!(counts, [(0, 0), (5, 1)]);
    let only = seal(
        1,
        json!({ "id": "other", "devices": { "tags": ["server"] } }),
    );
    let only = SealInput {
        plan: "other".parse().unwrap(),
        ..only
    };
    let nothing = world.plans().run(PlanActivities::seal, only).await.unwrap();
    assert_eq!(nothing.decision.verdict, Verdict::Forbidden);
    assert!(nothing.plan.rings.is_empty());
    let stored = world
        .deps
        .store
        .executions
        .get_plan(&"other".parse().unwrap(), 1)
        .await
        .unwrap();
    assert_eq!(stored, None);
}

#[tokio::test]
async fn a_later_revision_says_how_it_differs() {
    let world = world().await;
    let first = world
        .plans()
        .run(PlanActivities::seal, seal(1, json!({})))
        .await
        .unwrap();
    let fewer = SealInput {
        removed: vec![id(3)],
        ..seal(2, json!({ "reboot": "never" }))
    };
    let second = world
        .plans()
        .run(PlanActivities::seal, fewer)
        .await
        .unwrap();
    assert_eq!(
        second.difference,
        ["1 devices removed", "reboot policy changed"]
    );
    let ask = |meant: &str| DifferenceInput {
        plan: plan(),
        meant: meant.to_owned(),
        current: second.plan.hash.clone(),
    };
    let words = world
        .plans()
        .run(PlanActivities::difference, ask(&first.plan.hash))
        .await
        .unwrap();
    assert_eq!(words.difference, second.difference);
    let words = world
        .plans()
        .run(PlanActivities::difference, ask("beef"))
        .await
        .unwrap();
    assert!(words.difference[0].contains("never a plan"));
}

#[tokio::test]
async fn a_page_says_which_devices_are_settled() {
    let world = world().await;
    world
        .plans()
        .run(PlanActivities::seal, seal(1, json!({})))
        .await
        .unwrap();
    let executions = &world.deps.store.executions;
    executions
        .put_device_row(row(2, 0, 1, DeviceOutcome::Verified))
        .await
        .unwrap();
    executions
        .put_device_row(row(3, 0, 1, DeviceOutcome::Deferred))
        .await
        .unwrap();
    let input = LoadPageInput {
        plan: plan(),
        revision: 1,
        ring: 0,
        page: 0,
        evidence: false,
    };
    let page = world
        .plans()
        .run(PlanActivities::load_page, input)
        .await
        .unwrap();
    assert_eq!(page.devices.len(), 10);
    let settled: Vec<_> = page
        .devices
        .iter()
        .filter_map(|device| Some((&device.id, device.settled?)))
        .collect();
    assert_eq!(settled, [(&id(2), DeviceOutcome::Verified)]);
    let tried: Vec<_> = page
        .devices
        .iter()
        .filter(|d| d.attempts > 0)
        .map(|d| &d.id)
        .collect();
    assert_eq!(tried, [&id(3)], "put off is not settled");
}

#[tokio::test]
async fn stragglers_come_back_when_online_and_allowed_and_are_given_up_once() {
    let world = world().await;
    let changes = json!({ "windows": [{ "from": "09:00", "to": "11:00" }], "rings": rings() });
    world
        .plans()
        .run(PlanActivities::seal, seal(1, changes))
        .await
        .unwrap();
    let executions = &world.deps.store.executions;
    let sealed = executions.get_plan(&plan(), 1).await.unwrap().unwrap();
    let places = Cursor::places(&sealed.document);
    let devices: Vec<_> = sealed
        .document
        .devices
        .iter()
        .map(|d| d.id.clone())
        .collect();
    let [back, away, .., to_come] = devices.as_slice() else {
        panic!("a plan of several devices");
    };
    let number = |id: &DeviceId| id.as_str().parse::<u32>().unwrap();
    for id in [back, away, to_come] {
        let waiting = row(number(id), places[id].ring, 1, DeviceOutcome::Deferred);
        executions.put_device_row(waiting).await.unwrap();
    }
    let later: Timestamp = "2026-11-03T10:01:00Z".parse().unwrap();
    let offline = domain::device::Device {
        online: false,
        seen_at: later,
        ..device(number(away))
    };
    world
        .deps
        .store
        .inventory
        .put_devices(&[offline])
        .await
        .unwrap();
    let ask = || StragglersInput {
        plan: plan(),
        revision: 1,
        limit: 10,
        before: places[to_come],
    };
    let found = world
        .plans()
        .run(PlanActivities::next_stragglers, ask())
        .await
        .unwrap();
    let ready: Vec<_> = found
        .ready
        .iter()
        .map(|s| (s.device.clone(), s.attempts))
        .collect();
    assert_eq!((ready, found.waiting), (vec![(back.clone(), 1)], 2));

    let flags = &world.deps.store.counters;
    flags
        .set_flag("kb-stop/KB5034441", Some("boot loop"))
        .await
        .unwrap();
    let found = world
        .plans()
        .run(PlanActivities::next_stragglers, ask())
        .await
        .unwrap();
    assert_eq!((found.ready.len(), found.waiting), (0, 2));

    let page = || PlanPageInput {
        plan: plan(),
        cursor: None,
    };
    for _ in 0..2 {
        let given = world
            .plans()
            .run(PlanActivities::give_up_stragglers, page())
            .await
            .unwrap();
        assert_eq!(
            (given.given_up, given.cursor),
            (3, None),
            "a retry counts the same devices"
        );
    }
    let last = executions
        .get_device_row(&plan(), back)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (last.attempt, last.result.outcome),
        (2, DeviceOutcome::Unreached)
    );
}

#[tokio::test]
async fn installed_devices_are_those_that_carry_the_patch_because_of_us() {
    let world = world().await;
    let executions = &world.deps.store.executions;
    for (number, outcome) in [
        (1, DeviceOutcome::Verified),
        (2, DeviceOutcome::VerifiedByScript),
        (3, DeviceOutcome::AlreadyInstalled),
        (4, DeviceOutcome::RolledBack),
    ] {
        executions
            .put_device_row(row(number, 0, 1, outcome))
            .await
            .unwrap();
    }
    let input = PlanPageInput {
        plan: plan(),
        cursor: None,
    };
    let found = world
        .plans()
        .run(PlanActivities::list_installed, input)
        .await
        .unwrap();
    let ids: Vec<_> = found
        .devices
        .into_iter()
        .map(|device| device.device)
        .collect();
    assert_eq!((ids, found.cursor), (vec![id(1), id(2)], None));
}

struct OnlyFirstRuns;

impl Runs for OnlyFirstRuns {
    async fn is_over(&self, workflow_id: &str) -> Outcome<bool> {
        Ok(workflow_id != "device-patch/first-plan/1")
    }
}

#[tokio::test]
async fn a_run_that_is_over_without_a_result_needs_a_human() {
    let world = world().await;
    let executions = &world.deps.store.executions;
    executions
        .put_device_row(row(2, 0, 1, DeviceOutcome::Verified))
        .await
        .unwrap();
    let activities = PlanActivities::new(&world.deps, world.guardrails());
    let runs = (1..=3)
        .map(|n| ChildRun {
            workflow_id: format!("device-patch/first-plan/{n}"),
            device: id(n),
            ring: 0,
            attempt: 1,
        })
        .collect();
    let input = CheckChildrenInput {
        plan: plan(),
        client: client(),
        kbs: vec!["KB5034441".parse().unwrap()],
        runs,
    };
    for _ in 0..2 {
        let found = activities
            .ended_children(&input, &OnlyFirstRuns)
            .await
            .unwrap();
        let ended: Vec<_> = found
            .ended
            .into_iter()
            .map(|child| (child.device, child.outcome))
            .collect();
        assert_eq!(
            ended,
            [
                (id(2), DeviceOutcome::Verified),
                (id(3), DeviceOutcome::NeedsHuman)
            ]
        );
    }
    let written = executions
        .get_device_row(&plan(), &id(3))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(written.result.outcome, DeviceOutcome::NeedsHuman);
    assert_eq!(written.at, NOW.parse().unwrap());
    assert_eq!(client().as_str().len(), 19);
    // Nothing else of the plan is in the store, and yet there is a letter.
    let letters = executions
        .list_dead_letters(&LetterFilter::default(), None, 10)
        .await;
    let letters = letters.unwrap().items;
    let devices: Vec<_> = letters.iter().map(|l| (l.device.clone(), l.kind)).collect();
    assert_eq!(devices, [(Some(id(3)), LetterKind::DeviceNeedsHuman)]);
    assert_eq!((letters[0].kbs.len(), &letters[0].client), (1, &client()));
}

#[tokio::test]
async fn a_run_without_a_result_has_no_row_before_it_has_its_letter() {
    let world = world().await;
    let executions = &world.deps.store.executions;
    let workflow_id = "device-patch/first-plan/3";
    // A letter that is refused stands for a worker that dies while it writes.
    let in_its_place = DeadLetter {
        workflow_id: "device-patch/other/3".to_owned(),
        ..DeadLetter::new(
            LetterKind::DeviceNeedsHuman,
            client(),
            (workflow_id, "result"),
            "in its place",
            Timestamp::UNIX_EPOCH,
        )
    };
    executions.put_dead_letter(in_its_place).await.unwrap();
    let run = ChildRun {
        workflow_id: workflow_id.to_owned(),
        device: id(3),
        ring: 0,
        attempt: 1,
    };
    let input = CheckChildrenInput {
        plan: plan(),
        client: client(),
        kbs: vec![],
        runs: vec![run],
    };
    let activities = PlanActivities::new(&world.deps, world.guardrails());
    let ended = activities.ended_children(&input, &OnlyFirstRuns).await;
    assert!(ended.is_err(), "{ended:?}");
    // The next try would take a row for the end of the run and write no letter.
    let row = executions.get_device_row(&plan(), &id(3)).await.unwrap();
    assert_eq!(row, None);
}
