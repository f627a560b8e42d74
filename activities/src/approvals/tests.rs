use clients::proof;
use contracts::activities::approvals::AuthorizeInput;
use domain::{
    approval::Choice,
    people::{Authority, ControlAction, Identity, Person, Role},
};
use serde_json::json;
use temporalio_sdk::testing::ActivityEnvironment;

use super::{ApprovalActivities, signed};
use crate::testing::{World, client, environment};

async fn world() -> World {
    let world = World::new().await;
    for (id, role) in [("dana", Role::Approver), ("lee", Role::Lead)] {
        let person = Person {
            id: id.parse().unwrap(),
            name: String::new(),
            role,
            clients: std::collections::BTreeSet::new(),
        };
        world
            .deps
            .store
            .identities
            .put_person(person)
            .await
            .unwrap();
    }
    world
}

fn activities(world: &World) -> ActivityEnvironment {
    environment(ApprovalActivities::new(&world.deps, world.guardrails()))
}

fn decision(by: &str) -> AuthorizeInput {
    AuthorizeInput {
        by: by.parse().unwrap(),
        action: ControlAction::Decide,
        workflow_id: "patch-deployment/first-plan".to_owned(),
        client: client(),
        least_role: Some(Role::Approver),
        requester: None,
        four_eyes: false,
        halted: false,
        choice: Some(Choice::Approve),
        request: Some("first-plan/1".parse().unwrap()),
        plan_hash: Some("beef".to_owned()),
        kb: None,
        incident: None,
        device: None,
        proof: None,
    }
}

fn proven(world: &World, input: AuthorizeInput) -> AuthorizeInput {
    let key = world.deps.settings.decision_key.clone().unwrap();
    let proof = proof::sign(&key.last_read(), &signed(&input)).unwrap();
    AuthorizeInput {
        proof: Some(proof),
        ..input
    }
}

async fn ask(world: &World, input: AuthorizeInput) -> Authority {
    activities(world)
        .run(ApprovalActivities::authorize, input)
        .await
        .unwrap()
}

fn denied(authority: &Authority) -> &str {
    match authority {
        Authority::Denied { reason, .. } => reason,
        Authority::Allowed { .. } => panic!("expected a no"),
    }
}

#[tokio::test]
async fn a_claim_is_believed_in_development_only() {
    let mut world = world().await;
    let allowed = ask(&world, decision("dana")).await;
    assert_eq!(
        allowed,
        Authority::Allowed {
            role: Role::Approver,
            identity: Identity::Claimed
        }
    );
    world.deps.settings.accept_claimed_identity = false;
    let answer = ask(&world, decision("dana")).await;
    assert!(denied(&answer).contains("claimed"), "{answer:?}");
}

#[tokio::test]
async fn nobody_knows_a_stranger() {
    let world = world().await;
    let answer = ask(&world, decision("mallory")).await;
    assert!(
        denied(&answer).contains("nobody of this name"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_proof_counts_only_for_the_decision_it_signs() {
    let mut world = world().await;
    world.deps.settings.accept_claimed_identity = false;
    let good = proven(&world, decision("dana"));
    let allowed = ask(&world, good.clone()).await;
    assert_eq!(
        allowed,
        Authority::Allowed {
            role: Role::Approver,
            identity: Identity::Proven
        }
    );
    let changed = [
        AuthorizeInput {
            by: "lee".parse().unwrap(),
            ..good.clone()
        },
        AuthorizeInput {
            choice: Some(Choice::Reject),
            ..good.clone()
        },
        AuthorizeInput {
            plan_hash: Some("dead".to_owned()),
            ..good.clone()
        },
        AuthorizeInput {
            request: Some("first-plan/2".parse().unwrap()),
            ..good.clone()
        },
        AuthorizeInput {
            workflow_id: "patch-deployment/other".to_owned(),
            ..good.clone()
        },
        AuthorizeInput {
            action: ControlAction::Abort,
            ..good.clone()
        },
        AuthorizeInput {
            proof: Some("v1=zz".to_owned()),
            ..good.clone()
        },
        AuthorizeInput {
            proof: Some(String::new()),
            ..good.clone()
        },
    ];
    for input in changed {
        assert!(denied(&ask(&world, input).await).contains("signature"));
    }
    world.deps.settings.decision_key = None;
    assert!(denied(&ask(&world, good).await).contains("signature"));
}

#[tokio::test]
async fn going_on_after_a_halt_needs_a_lead() {
    let world = world().await;
    let resume = |by: &str| AuthorizeInput {
        action: ControlAction::Resume,
        halted: true,
        ..decision(by)
    };
    assert!(denied(&ask(&world, resume("dana")).await).contains("lead"));
    assert!(matches!(
        ask(&world, resume("lee")).await,
        Authority::Allowed { .. }
    ));
}

#[tokio::test]
async fn a_halt_in_the_name_of_the_ledger_is_believed_when_its_flag_says_so() {
    let mut world = world().await;
    world.deps.settings.accept_claimed_identity = false;
    let run = activities(&world);
    let halt = |kb: &str| AuthorizeInput {
        by: "ledger".parse().unwrap(),
        action: ControlAction::Halt,
        kb: Some(kb.parse().unwrap()),
        choice: None,
        ..decision("ledger")
    };
    let ask = async |input| run.run(ApprovalActivities::authorize, input).await.unwrap();
    let flags = &world.deps.store.counters;
    for (kb, flag) in [
        ("KB5034441", "ledger: 3 of 4"),
        ("KB5034442", "lee: prints"),
    ] {
        let name = format!("kb-stop/{kb}");
        flags.set_flag(&name, Some(flag)).await.unwrap();
    }
    assert_eq!(
        ask(halt("KB5034441")).await,
        Authority::Allowed {
            role: Role::Technician,
            identity: Identity::Proven,
        }
    );
    for kb in ["KB5034442", "KB5034443"] {
        let Authority::Denied { reason, .. } = ask(halt(kb)).await else {
            panic!("{kb}")
        };
        assert_eq!(reason, format!("the ledger has not stopped {kb}"));
    }
    let resume = AuthorizeInput {
        action: ControlAction::Resume,
        ..halt("KB5034441")
    };
    assert!(matches!(ask(resume).await, Authority::Denied { .. }));
}

#[tokio::test]
async fn a_halt_in_the_name_of_an_incident_is_believed_when_the_incident_says_so() {
    let mut world = world().await;
    world.deps.settings.accept_claimed_identity = false;
    let (alerts, now) = (&world.deps.store.alerts, world.deps.clock.now());
    let news = |number: u64, left_over: bool| {
        let news = json!({
            "incident": { "id": number, "state": "open", "opened_ms": 1, "last_ms": 1, "alerts": 1,
                "live": 1, "reopened": 0, "routine": false, "goes_on_from": null, "titles": [],
                "devices": [], "links": [], "priority": null },
            "rank_so_far": null, "severity": "high", "hidden": 0, "blackout": false, "over": false,
            "merged_into": null,
            "suspects": [{ "plan": "first-plan", "ring": 0, "kbs": ["KB5034441"], "device": "1",
                "left_over": left_over, "since": "2026-11-03T09:00:00Z" }],
        });
        serde_json::from_value(news).unwrap()
    };
    let turn = alerts.begin_turn(&client(), "turn").await.unwrap();
    let outcome = domain::triage::Outcome {
        placements: vec![],
        incidents: vec![news(1, true), news(2, false)],
    };
    alerts.write_outcome(&turn, outcome, now).await.unwrap();
    let run = activities(&world);
    let halt = |number: u32| AuthorizeInput {
        action: ControlAction::Halt,
        kb: Some("KB5034441".parse().unwrap()),
        incident: Some(format!("{}-{number}", client()).parse().unwrap()),
        choice: None,
        ..decision("incident-response")
    };
    let ask = async |input| run.run(ApprovalActivities::authorize, input).await.unwrap();
    assert_eq!(
        ask(halt(1)).await,
        Authority::Allowed {
            role: Role::Technician,
            identity: Identity::Proven,
        }
    );
    let other_kb = Some("KB5034442".parse().unwrap());
    for input in [
        // Announced and over in time; not known; another deployment; another client; another update; no
        // update; another person; something else than a halt; no incident.
        halt(2),
        halt(3),
        AuthorizeInput {
            workflow_id: "patch-deployment/other".to_owned(),
            ..halt(1)
        },
        AuthorizeInput {
            client: "7".parse().unwrap(),
            ..halt(1)
        },
        AuthorizeInput {
            kb: other_kb,
            ..halt(1)
        },
        AuthorizeInput {
            kb: None,
            ..halt(1)
        },
        AuthorizeInput {
            by: "mallory".parse().unwrap(),
            ..halt(1)
        },
        AuthorizeInput {
            action: ControlAction::Resume,
            ..halt(1)
        },
        AuthorizeInput {
            incident: None,
            ..halt(1)
        },
    ] {
        let answer = ask(input.clone()).await;
        assert!(
            matches!(answer, Authority::Denied { .. }),
            "{input:?}: {answer:?}"
        );
    }
}
