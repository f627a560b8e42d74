use std::sync::Mutex;

use clients::store::{DeviceRow, LetterState, SealedPlan, Store};
use domain::{
    audit,
    dead_letter::Rerun,
    ledger::PROVIDER,
    outcome::{DeviceOutcome, DeviceResult},
    people::{Person, Role},
    plan::{PlanDocument, PlanRequest, PlannedActions, PlannedDevice},
};
use jiff::SignedDuration;
use serde_json::json;
use tempfile::TempDir;

use super::{settle::Starts, *};
use crate::{
    cli::{self, Cli, Command},
    temporal::Started,
};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn now() -> Timestamp {
    "2026-11-03T10:00:00Z".parse().unwrap()
}

/// Temporal, as far as a start is concerned.
#[derive(Debug, Default)]
struct Server {
    started: Mutex<Vec<(PlanId, PlanRequest)>>,
    again: Mutex<Vec<String>>,
    is_down: bool,
    /// All that it knew is past its retention.
    has_forgotten: bool,
}

impl Starts for Server {
    async fn start(&self, plan: &PlanId, request: &PlanRequest) -> anyhow::Result<Started> {
        if self.is_down {
            anyhow::bail!("no Temporal server");
        }
        let mut started = self.started.lock().unwrap();
        if started.iter().any(|(known, _)| known == plan) {
            return Ok(Started::Before);
        }
        started.push((plan.clone(), request.clone()));
        Ok(Started::Yes { run_id: None })
    }

    async fn last_began(&self, workflow_id: &str) -> anyhow::Result<Option<Timestamp>> {
        if self.is_down {
            anyhow::bail!("no Temporal server");
        }
        if self.has_forgotten {
            return Ok(None);
        }
        let started = self.again.lock().unwrap();
        let is_again = started.iter().any(|known| known == workflow_id);
        let after = if is_again { MINUTE } else { -MINUTE };
        Ok(Some(now() + after))
    }

    async fn start_again(&self, workflow_id: &str, again: &Rerun) -> anyhow::Result<Started> {
        if self.is_down {
            anyhow::bail!("no Temporal server");
        }
        assert_eq!(again.workflow, "DailySeal");
        let mut started = self.again.lock().unwrap();
        if !self.has_forgotten && started.iter().any(|known| known == workflow_id) {
            return Ok(Started::Before);
        }
        started.push(workflow_id.to_owned());
        Ok(Started::Yes { run_id: None })
    }
}

/// What plan `p` was made of.
fn asked() -> PlanRequest {
    serde_json::from_value(json!({
        "id": "p", "client": "7", "patches": [{ "kb": "KB5034441" }, { "kb": "KB5034122" }],
        "devices": { "all": true }, "approval": { "required": true },
    }))
    .unwrap()
}

/// A store in which plan `p` has run on devices 81 to 84 of client 7.
struct World {
    store: Store,
    server: Server,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::embedded(&folder.path().join("store.db")).unwrap();
        for (id, role, clients) in [
            ("tim", Role::Technician, &["7"][..]),
            ("dana", Role::Approver, &["7"]),
            ("vic", Role::Viewer, &["7"]),
            ("sam", Role::Technician, &[]),
        ] {
            let person = Person {
                id: id.parse().unwrap(),
                name: String::new(),
                role,
                clients: clients.iter().map(|id| id.parse().unwrap()).collect(),
            };
            store.identities.put_person(person).await.unwrap();
        }
        let request = asked();
        let device = |n: u32| PlannedDevice {
            ring: 0,
            id: n.to_string().parse().unwrap(),
            evidence: false,
        };
        let document = PlanDocument {
            devices: (81..85).map(device).collect(),
            actions: PlannedActions {
                install: request.patches.iter().map(|p| p.kb.clone()).collect(),
                reboot: request.reboot,
            },
            windows: vec![],
            blackouts: vec![],
            time_zone: None,
            deadline: None,
            rollback: request.rollback,
            evidence_waived: None,
        };
        let plan = SealedPlan {
            plan: "p".parse().unwrap(),
            revision: 1,
            hash: document.hash().unwrap(),
            request,
            removed: vec![],
            forbidden: vec![],
            forbidden_count: 0,
            document,
        };
        store.executions.put_plan(plan).await.unwrap();
        let status = serde_json::from_value(json!({
            "plan": "p", "workflow_id": "patch-deployment/p", "client": "7", "kbs": ["KB5034441"],
            "stage": "done", "note": "", "plan_hash": null, "revision": 1, "risk": null,
            "approval": null, "needs_approval": false, "approved_by": [], "forbidden": [],
            "rings": [], "stragglers": 0, "counts": {}, "deadline": null, "outcome": "incomplete",
            "started_at": "2026-11-03T08:00:00Z", "updated_at": "2026-11-03T09:00:00Z",
        }))
        .unwrap();
        store.executions.put_status(status, None).await.unwrap();
        Self {
            store,
            server: Server::default(),
            _folder: folder,
        }
    }

    async fn letter(&self, kind: LetterKind) -> String {
        let workflow = match kind {
            LetterKind::DeviceNeedsHuman | LetterKind::DeviceRollbackFailed => "device-patch/p/81",
            LetterKind::NoticeUndelivered
            | LetterKind::DeploymentBroken
            | LetterKind::DeploymentRefused
            | LetterKind::RecordRefused => "patch-deployment/p",
            LetterKind::WorkflowFailed => "daily-seal/nightly-2026-11-03T02:00:00Z",
        };
        let of_all = kind == LetterKind::WorkflowFailed;
        let again = |workflow: &str, input| Rerun {
            workflow: workflow.to_owned(),
            input,
        };
        let again = match kind {
            LetterKind::WorkflowFailed => {
                Some(again("DailySeal", json!({ "through": "2026-11-02" })))
            }
            LetterKind::DeploymentRefused => {
                let input = serde_json::to_value(asked()).unwrap();
                Some(again("PatchDeployment", input))
            }
            _ => None,
        };
        let client = if of_all { PROVIDER } else { "7" };
        let letter = DeadLetter::new(
            kind,
            client.parse().unwrap(),
            (workflow, kind.as_str()),
            "disk full",
            now(),
        );
        let id = letter.id.clone();
        let letter = DeadLetter {
            kbs: vec!["KB5034441".parse().unwrap()],
            again,
            ..letter
        };
        self.store.executions.put_dead_letter(letter).await.unwrap();
        id
    }

    async fn ended(&self, device: &str, outcome: DeviceOutcome) {
        let row = DeviceRow {
            plan: "p".parse().unwrap(),
            ring: 0,
            attempt: 1,
            result: DeviceResult {
                device: device.parse().unwrap(),
                outcome,
                detail: String::new(),
                patches: vec![],
                evidence: None,
            },
            at: now(),
        };
        self.store.executions.put_device_row(row).await.unwrap();
    }

    fn desk(&self) -> Desk<'_> {
        Desk::new(&self.store, true)
    }

    async fn retry(&self, id: &str, by: &str) -> anyhow::Result<Again> {
        self.retry_after(SignedDuration::ZERO, id, by).await
    }

    async fn retry_after(&self, span: SignedDuration, id: &str, by: &str) -> anyhow::Result<Again> {
        let args = RetryArgs {
            id: id.to_owned(),
            by: by.parse().unwrap(),
            reason: None,
        };
        let desk = self.desk();
        desk.retry(&self.server, &args, now() + span).await
    }

    async fn drop(&self, id: &str, by: &str) -> anyhow::Result<DeadLetter> {
        let args = DropArgs {
            id: id.to_owned(),
            by: by.parse().unwrap(),
            reason: "replaced".to_owned(),
        };
        self.desk().drop_letter(&args, now()).await
    }

    async fn is_open(&self, id: &str) -> bool {
        let letter = settle::find(self.store.executions.as_ref(), id).await;
        letter.unwrap().state.is_open()
    }

    fn started(&self) -> Vec<PlanId> {
        let started = self.server.started.lock().unwrap();
        started.iter().map(|(plan, _)| plan.clone()).collect()
    }

    /// What the chain of the deployment says, with every hash in it checked.
    async fn audited(&self) -> Vec<String> {
        let actions = &self.store.actions;
        let entries = actions.read_chain("patch-deployment/p", 0, 100).await;
        let entries = entries.unwrap();
        audit::verify("patch-deployment/p", None, &entries).unwrap();
        let what = |entry: &audit::AuditEntry| match &entry.record.actor {
            audit::Actor::Person { name, .. } => format!("{} by {name}", entry.record.what),
            other => panic!("{other:?}"),
        };
        entries.iter().map(what).collect()
    }
}

fn words<T: std::fmt::Debug>(result: anyhow::Result<T>) -> String {
    format!("{:#}", result.unwrap_err())
}

#[tokio::test]
async fn a_retry_is_one_new_plan_for_the_device_and_whoever_comes_second_is_told_which() {
    let world = World::new().await;
    let id = world.letter(LetterKind::DeviceNeedsHuman).await;
    let first = world.retry(&id, "tim").await.unwrap();
    assert!(first.started);
    let plan = first.plan.clone().unwrap();
    assert_eq!(world.started(), std::slice::from_ref(&plan));
    let request = world.server.started.lock().unwrap()[0].1.clone();
    assert_eq!(request.devices.ids, ["81".parse().unwrap()]);
    assert_eq!(request.patches.len(), 1);
    assert!(request.approval.required, "nothing is approved by retrying");
    assert_eq!(request.requested_by, Some("tim".parse().unwrap()));

    let again = world.retry(&id, "tim").await.unwrap();
    assert_eq!((again.started, &again.plan), (false, &first.plan));
    assert!(words_of(&again, &"tim".parse().unwrap()).0);
    let other = world.retry(&id, "dana").await.unwrap();
    let (good, text) = words_of(&other, &"dana".parse().unwrap());
    assert!(
        !good && text.contains("by tim") && text.contains(plan.as_str()),
        "{text}"
    );
    assert!(words(world.drop(&id, "dana").await).contains("retried by tim"));
    assert_eq!(world.started().len(), 1);
    assert_eq!(world.audited().await, ["dead_letter_retried by tim"]);
}

#[tokio::test]
async fn of_several_people_who_retry_at_once_one_starts_it_and_all_are_told_the_same_plan() {
    let world = World::new().await;
    let id = world.letter(LetterKind::DeviceNeedsHuman).await;
    let (a, b, c) = tokio::join!(
        world.retry(&id, "tim"),
        world.retry(&id, "dana"),
        world.retry(&id, "tim")
    );
    let all = [a.unwrap(), b.unwrap(), c.unwrap()];
    assert!(all.iter().all(|again| again.plan == all[0].plan));
    assert_eq!(all.iter().filter(|again| again.started).count(), 1);
    assert_eq!(world.started().len(), 1);
    assert_eq!(world.audited().await.len(), 1);
}

#[tokio::test]
async fn what_a_crash_left_half_done_is_finished_by_whoever_comes_next() {
    let mut world = World::new().await;
    let id = world.letter(LetterKind::DeviceNeedsHuman).await;
    world.server.is_down = true;
    let text = words(world.retry(&id, "tim").await);
    assert!(text.contains("the same command again starts it"), "{text}");
    world.server.is_down = false;
    let next = world.retry(&id, "dana").await.unwrap();
    assert!(next.started);
    let (good, text) = words_of(&next, &"dana".parse().unwrap());
    assert!(good && text.contains("by tim"), "{text}");
    let request = world.server.started.lock().unwrap()[0].1.clone();
    assert_eq!(request.requested_by, Some("tim".parse().unwrap()));
    assert!(!world.retry(&id, "dana").await.unwrap().started);
    assert_eq!(world.audited().await, ["dead_letter_retried by tim"]);
}

#[tokio::test]
async fn a_crash_right_after_the_mark_loses_neither_the_plan_nor_the_audit_entry() {
    let world = World::new().await;
    let id = world.letter(LetterKind::DeviceNeedsHuman).await;
    let executions = &world.store.executions;
    let letter = executions.get_dead_letter(&id).await.unwrap().unwrap();
    let plan = letter.retry_plan(&"p".parse().unwrap());
    let state = LetterState::Retried {
        by: "tim".parse().unwrap(),
        at: now(),
        plan: Some(plan.clone()),
        reason: None,
        started: None,
    };
    executions.settle_dead_letter(&id, state).await.unwrap();
    assert!(world.retry(&id, "tim").await.unwrap().started);
    assert_eq!(world.started(), [plan]);
    assert_eq!(world.audited().await, ["dead_letter_retried by tim"]);
}

#[tokio::test]
async fn what_a_person_has_to_look_at_first_is_not_retried_and_may_be_dropped() {
    let world = World::new().await;
    for (kind, expected) in [
        (LetterKind::DeviceRollbackFailed, "look at the device first"),
        (LetterKind::NoticeUndelivered, "tell the people"),
        (LetterKind::RecordRefused, "only its record is missing"),
    ] {
        let id = world.letter(kind).await;
        let text = words(world.retry(&id, "dana").await);
        assert!(text.contains(expected) && text.contains(&id), "{text}");
        assert!(world.is_open(&id).await);
        let dropped = world.drop(&id, "tim").await.unwrap();
        assert_eq!(world.drop(&id, "tim").await.unwrap(), dropped);
        let text = words(world.drop(&id, "dana").await);
        assert!(
            text.contains("dropped by tim") && text.contains("replaced"),
            "{text}"
        );
        let text = words(world.retry(&id, "dana").await);
        assert!(text.contains("dropped by tim"), "{text}");
    }
    assert_eq!(world.started(), []);
    assert_eq!(world.audited().await, ["dead_letter_dropped by tim"; 3]);
}

#[tokio::test]
async fn a_seal_that_gave_up_is_started_again_once_by_who_works_for_all_clients() {
    let mut world = World::new().await;
    let id = world.letter(LetterKind::WorkflowFailed).await;
    let text = words(world.retry(&id, "tim").await);
    assert!(text.contains("does not work for this client"), "{text}");
    world.server.is_down = true;
    let text = words(world.retry(&id, "sam").await);
    assert!(text.contains("the same command again starts it"), "{text}");
    world.server.is_down = false;
    for starts in [true, false] {
        let again = world.retry(&id, "sam").await.unwrap();
        assert_eq!((again.started, &again.plan), (starts, &None));
        let (good, text) = words_of(&again, &"sam".parse().unwrap());
        assert!(good && text.contains("retried"), "{text}");
        assert!(again.next_step().contains("daily-seal/nightly"));
    }
    assert!(words(world.drop(&id, "sam").await).contains("retried by sam"));
    let chain = "daily-seal/nightly-2026-11-03T02:00:00Z";
    assert_eq!(*world.server.again.lock().unwrap(), [chain]);
    let entries = world.store.actions.read_chain(chain, 0, 100).await.unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
}

#[tokio::test]
async fn what_was_started_again_is_not_started_once_more_when_temporal_has_forgotten_it() {
    let mut world = World::new().await;
    let id = world.letter(LetterKind::WorkflowFailed).await;
    assert!(world.retry(&id, "sam").await.unwrap().started);
    world.server.has_forgotten = true;
    for later in [MINUTE, SignedDuration::from_hours(24 * 60)] {
        let again = world.retry_after(later, &id, "sam").await.unwrap();
        assert!(!again.started);
        let (good, text) = words_of(&again, &"sam".parse().unwrap());
        assert!(good && text.contains("nothing was started again"), "{text}");
    }
    assert_eq!(world.server.again.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_retry_that_nobody_can_tell_was_begun_is_finished_within_a_day_and_refused_later() {
    let mut world = World::new().await;
    world.server.has_forgotten = true;
    let id = world.letter(LetterKind::WorkflowFailed).await;
    // A crash right after the mark.
    let state = LetterState::Retried {
        by: "sam".parse().unwrap(),
        at: now(),
        plan: None,
        reason: None,
        started: None,
    };
    let executions = &world.store.executions;
    executions.settle_dead_letter(&id, state).await.unwrap();
    let day = SignedDuration::from_hours(24);
    let text = words(world.retry_after(day, &id, "sam").await);
    assert!(
        text.contains("retried by sam") && text.contains("look whether its work is done"),
        "{text}"
    );
    assert!(!text.contains("starts it"), "{text}");
    assert!(world.server.again.lock().unwrap().is_empty());
    let again = world.retry_after(day - MINUTE, &id, "sam").await.unwrap();
    assert!(again.started);
}

#[tokio::test]
async fn a_broken_deployment_is_tried_again_where_nothing_good_came_of_it() {
    let world = World::new().await;
    world.ended("81", DeviceOutcome::Verified).await;
    world.ended("82", DeviceOutcome::NeedsHuman).await;
    world.ended("83", DeviceOutcome::Aborted).await;
    let id = world.letter(LetterKind::DeploymentBroken).await;
    let again = world.retry(&id, "tim").await.unwrap();
    let request = world.server.started.lock().unwrap()[0].1.clone();
    let expected: [DeviceId; 2] = ["83".parse().unwrap(), "84".parse().unwrap()];
    assert_eq!(request.devices.ids, expected);
    assert_eq!(again.left_out, ["82".parse().unwrap()]);
}

#[tokio::test]
async fn a_deployment_that_was_refused_is_asked_for_again_as_it_was_under_a_new_id() {
    let world = World::new().await;
    let id = world.letter(LetterKind::DeploymentRefused).await;
    let again = world.retry(&id, "tim").await.unwrap();
    let (plan, request) = world.server.started.lock().unwrap()[0].clone();
    assert!(plan.as_str().starts_with("p-retry-"), "{plan}");
    assert_eq!(again.plan.as_ref(), Some(&plan));
    assert_eq!(request.requested_by, Some("tim".parse().unwrap()));
    assert_eq!(
        PlanRequest {
            id: asked().id,
            requested_by: asked().requested_by,
            ..request
        },
        asked()
    );
    // A second time nothing is started.
    assert!(!world.retry(&id, "tim").await.unwrap().started);
}

#[tokio::test]
async fn a_broken_deployment_with_nothing_left_to_do_is_not_tried_again() {
    let world = World::new().await;
    for device in ["81", "82", "83", "84"] {
        world.ended(device, DeviceOutcome::Verified).await;
    }
    let id = world.letter(LetterKind::DeploymentBroken).await;
    let text = words(world.retry(&id, "tim").await);
    assert!(text.contains("no device of plan p is left"), "{text}");
    assert!(world.is_open(&id).await);
}

#[tokio::test]
async fn only_people_of_the_client_with_the_role_may_and_mere_claims_count_in_development_only() {
    let world = World::new().await;
    let id = world.letter(LetterKind::DeviceNeedsHuman).await;
    for (by, expected) in [
        ("vic", "needs the role technician, not viewer"),
        ("eve", "nobody of this name is known"),
    ] {
        for text in [
            words(world.retry(&id, by).await),
            words(world.drop(&id, by).await),
        ] {
            assert!(
                text.contains("not allowed") && text.contains(expected),
                "{text}"
            );
        }
    }
    let args = RetryArgs {
        id: id.clone(),
        by: "dana".parse().unwrap(),
        reason: None,
    };
    let strict = Desk::new(&world.store, false);
    let text = words(strict.retry(&world.server, &args, now()).await);
    assert!(
        text.contains("a claimed identity is not accepted"),
        "{text}"
    );
    assert!(world.is_open(&id).await && world.started().is_empty());
    assert!(world.audited().await.is_empty());
}

#[tokio::test]
async fn a_letter_of_an_earlier_version_is_retried_too_and_an_unknown_one_is_named() {
    let world = World::new().await;
    let old = serde_json::from_value(json!({
        "id": "device-patch/p/83/result", "client": "7", "workflow_id": "device-patch/p/83",
        "cause": "disk full", "at": now(),
    }));
    world
        .store
        .executions
        .put_dead_letter(old.unwrap())
        .await
        .unwrap();
    let again = world
        .retry("device-patch/p/83/result", "tim")
        .await
        .unwrap();
    let request = world.server.started.lock().unwrap()[0].1.clone();
    assert_eq!(request.devices.ids, ["83".parse().unwrap()]);
    assert_eq!(request.patches.len(), 2, "it names no patches, so all");
    let plan = again.plan.unwrap();
    assert!(plan.as_str().starts_with("p-retry-"));
    for text in [
        words(world.retry("nothing", "tim").await),
        words(world.drop("nothing", "tim").await),
    ] {
        assert!(text.contains("no dead letter `nothing`"), "{text}");
    }
}

#[tokio::test]
async fn a_list_is_complete_and_every_row_says_where_to_look() {
    let world = World::new().await;
    for n in 0..(PAGE + 5) {
        let letter = DeadLetter::new(
            LetterKind::DeviceNeedsHuman,
            "7".parse().unwrap(),
            ("device-patch/p/81", &n.to_string()),
            "disk full\u{1b}[2J",
            now(),
        );
        world
            .store
            .executions
            .put_dead_letter(letter)
            .await
            .unwrap();
    }
    let args = ListArgs {
        client: None,
        all: false,
        kind: Some(LetterKind::DeviceNeedsHuman),
    };
    let letters = read(world.store.executions.as_ref(), &args).await.unwrap();
    assert_eq!(letters.len(), PAGE + 5);
    let row = row(&letters[0]);
    assert_eq!(
        (row[3].as_str(), row[4].as_str(), row[6].as_str()),
        ("p", "81", "open")
    );
    assert!(!row[7].contains('\u{1b}'));
    let text = describe(&letters[0]).join("\n");
    for part in ["device-patch/p/81", "audit show", "retry", "drop"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let refused = DeadLetter {
        kind: LetterKind::DeviceRollbackFailed,
        ..letters[0].clone()
    };
    let text = describe(&refused).join("\n");
    assert!(
        !text.contains("dead-letters retry") && text.contains("not retried"),
        "{text}"
    );
}

#[test]
fn bad_input_is_refused_with_field_value_and_what_is_allowed() {
    let parse = |args: &[&str]| {
        let all = [&["autoops", "dead-letters"], args].concat();
        <Cli as clap::Parser>::try_parse_from(all)
    };
    let long = "x".repeat(domain::plan_check::MAX_REASON + 1);
    for (args, field) in [
        (&["list", "--kind", "lost"][..], "--kind"),
        (&["list", "--client", ""], "--client"),
        (&["show", ""], "ID"),
        (&["show", "a b"], "ID"),
        (&["retry", "a1", "--by", ""], "--by"),
        (&["retry", "a1", "--by", &long], "--by"),
        (&["retry", "a1", "--by", "tim", "--reason", " "], "reason"),
        (&["drop", "a1", "--by", "tim", "--reason", &long], "reason"),
    ] {
        let text = parse(args).unwrap_err().to_string();
        assert!(text.contains(field) && text.contains("allowed"), "{text}");
    }
    for missing in [&["retry", "a1"][..], &["drop", "a1", "--by", "tim"]] {
        assert!(parse(missing).is_err());
    }
    let good = [
        "autoops",
        "dead-letters",
        "drop",
        "a1",
        "--by",
        "tim",
        "--reason",
        " gone ",
    ];
    let Command::DeadLetters(LettersCommand::Drop(args)) = cli::parse(good).unwrap().command else {
        panic!("another command")
    };
    assert_eq!(args.reason, "gone");
}
