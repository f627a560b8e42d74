//! The ledger of bad patches: what one client's devices learn protects those of another.

use std::sync::Arc;

use autoops_tests::{Deployment, Install, Lost, Model, World, plan, run, site};
use clients::ledger::Ledger;
use contracts::activities::notify::NoticeKind;
use domain::{
    audit::Actor,
    deployment::Stage,
    ids::{ClientId, KbId},
    ledger::Tally,
    outcome::{DeploymentOutcome, DeviceOutcome},
    plan::{PlanRequest, RollbackScope},
    script::ScriptOutcome,
};
use jiff::Timestamp;
use serde_json::json;

use crate::deploying::rings_of;

fn kb() -> KbId {
    plan::KB.parse().unwrap()
}

/// Makes everything in a model belong to another client.
fn of_client(model: &mut Model, id: &str) {
    let client: ClientId = id.parse().unwrap();
    model.every_device(|d| d.device.client = client.clone());
    for person in model.people.values_mut() {
        person.clients = [client.clone()].into();
    }
    model.client = client;
}

/// A gate that lets everything through, so that only the ledger can stop it.
fn without_gate(request: &mut PlanRequest) {
    for ring in &mut request.rings {
        ring.gate.success_percent = 0;
    }
}

/// Two clients of one provider; devices of the first one break.
fn two_clients(site: &autoops_tests::Site, name: &str, broken: u32) -> [Arc<World>; 2] {
    let first = World::new(site, &format!("{name}-first"), broken);
    first.change(|m| {
        m.every_device(|d| d.install = Install::Fails { installed: None });
    });
    let second = World::new(site, &format!("{name}-second"), 3);
    second.change(|m| of_client(m, "7002"));
    second.share_ledger_of(&first);
    [first, second]
}

/// Halts by the ledger that its chain tells of: who, on which evidence, and why.
async fn halts(world: &World, deployment: &Deployment) -> Vec<(Actor, Vec<String>, String)> {
    let entries = world.chain(deployment.id()).await.into_iter();
    let halts = entries.filter(|entry| entry.record.what == "control_halt");
    halts
        .map(|entry| {
            let why = entry.record.detail["why"].as_str().unwrap_or_default();
            (entry.record.actor, entry.record.evidence, why.to_owned())
        })
        .collect()
}

#[test]
fn an_update_that_breaks_one_client_halts_at_another_by_itself() {
    run(async {
        let site = site().await;
        let [first, second] = two_clients(site, "ledger-stop", 3);
        // People are still asked when the others begin.
        second.change(|m| m.verdict = plan::asks(|_| {}));
        let waiting = second
            .deploy(site, |r| {
                r.rings = rings_of(&["81", "82", "83"]);
                without_gate(r);
            })
            .await;
        waiting.open_request().await;
        let breaking = first.deploy(site, without_gate).await;
        breaking
            .until_status("a halt of its own", |s| s.stage == Stage::Halted)
            .await;
        // Approved after the ledger knew: people need not have heard of it.
        waiting.decide("approve", "dana").await;
        waiting
            .until_status("a halt", |s| s.stage == Stage::Halted)
            .await;
        let status = waiting.status().await;
        // Which of both counts is full first is open: that of the build, or that of all.
        for part in ["ledger: over all clients: ", "3 of 3"] {
            assert!(status.note.contains(part), "{}", status.note);
        }
        assert!(status.note.ends_with("(KB5034441)"), "{}", status.note);
        assert_eq!(
            second.read(|m| m.scripts.len()),
            0,
            "its devices are left alone"
        );
        assert!(second.read(|m| m.told().contains(&NoticeKind::Halted)));
        let ledger = Actor::Agent {
            name: "ledger".to_owned(),
            model: None,
        };
        let halted = halts(&second, &waiting).await;
        let [(actor, evidence, why)] = halted.as_slice() else {
            panic!("{halted:?}")
        };
        assert_eq!((actor, evidence), (&ledger, &vec![plan::KB.to_owned()]));
        assert!(why.contains("no accident"), "{why}");
        // The one whose devices break is told the same.
        let own = halts(&first, &breaking).await;
        assert_eq!(own, halted);

        // Nothing of it says whose devices these were.
        let store = first.ledger();
        let chain = store
            .actions
            .read_chain("ledger/KB5034441", 0, 10)
            .await
            .unwrap();
        assert_eq!(chain.len(), 1);
        let text = serde_json::to_string(&chain).unwrap();
        assert!(
            !text.contains("ledger-stop-first") && !text.contains("7001"),
            "{text}"
        );

        // A lead clears it; what was halted goes on when somebody resumes it.
        let page = Ledger::new(&store).page(&kb()).await.unwrap();
        assert_eq!(page.all, Tally { good: 0, bad: 3 });
        let (lee, now) = ("lee".parse().unwrap(), Timestamp::now());
        Ledger::new(&store)
            .clear(&kb(), &lee, "released anew", now)
            .await
            .unwrap();
        waiting
            .signal("resume", json!({ "by": "lee", "reason": "released anew" }))
            .await;
        let result = waiting.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 3);
        let page = Ledger::new(&store).page(&kb()).await.unwrap();
        assert_eq!(page.all, Tally { good: 3, bad: 0 });
        breaking.signal("abort", json!({ "by": "dana" })).await;
        breaking.result().await;
    });
}

#[test]
fn devices_on_their_way_are_left_alone_once_the_update_is_stopped() {
    run(async {
        let site = site().await;
        let [first, second] = two_clients(site, "ledger-preflight", 3);
        // The ring is open, and its devices stand before the guardrails.
        second.change(|m| {
            m.held.insert("inventory.acquire_lease".to_owned());
        });
        let waiting = second.deploy(site, without_gate).await;
        second
            .until("devices that wait", |m| {
                m.calls_of("inventory.acquire_lease") == 3
            })
            .await;
        let breaking = first.deploy(site, without_gate).await;
        waiting
            .until_status("a halt", |s| s.stage == Stage::Halted)
            .await;
        second.change(|m| m.held.clear());
        waiting.signal("abort", json!({ "by": "dana" })).await;
        let result = waiting.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(result.counts.of(DeviceOutcome::Forbidden), 3, "{result:?}");
        let details: Vec<_> = second.read(|m| {
            let rows = m.rows.values().map(|row| row.result.detail.clone());
            rows.collect()
        });
        let told = |detail: &String| detail.starts_with("KB5034441 is stopped: ledger: 3 of 3");
        assert!(details.iter().all(told), "{details:?}");
        assert_eq!(second.read(|m| m.scripts.len()), 0);
        breaking.signal("abort", json!({ "by": "dana" })).await;
        breaking.result().await;
    });
}

#[test]
fn a_ring_after_the_first_waits_while_the_update_is_held_and_goes_on_when_it_is_cleared() {
    run(async {
        let site = site().await;
        let [first, second] = two_clients(site, "ledger-hold", 2);
        first.deploy(site, without_gate).await.result().await;
        let waiting = second
            .deploy(site, |r| {
                r.rings = rings_of(&["81", "82", "83"]);
            })
            .await;
        waiting
            .until_status("a pause", |s| s.stage == Stage::Paused)
            .await;
        let note = waiting.status().await.note;
        assert!(
            note.starts_with("ledger: KB5034441, over all clients: 2 of 3"),
            "{note}"
        );
        assert_eq!(
            second.read(|m| m.installed_on()),
            ["81"],
            "the first ring goes on"
        );
        let store = first.ledger();
        let (lee, now) = ("lee".parse().unwrap(), Timestamp::now());
        Ledger::new(&store)
            .clear(&kb(), &lee, "a full disk", now)
            .await
            .unwrap();
        let result = waiting.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 3);
    });
}

#[test]
fn an_answer_of_the_ledger_that_is_lost_counts_no_device_twice() {
    run(async {
        let site = site().await;
        let [first, second] = two_clients(site, "ledger-twice", 2);
        for world in [&first, &second] {
            world.change(|m| m.fail("ledger.count", 1, Lost::Answer));
        }
        first.deploy(site, without_gate).await.result().await;
        second
            .deploy(site, |_| {})
            .await
            .ends(DeploymentOutcome::Verified)
            .await;
        assert!(first.read(|m| m.calls_of("ledger.count")) == 3);
        let page = Ledger::new(&first.ledger()).page(&kb()).await.unwrap();
        assert_eq!(page.all, Tally { good: 3, bad: 2 });
        assert_eq!(page.builds["10.0.19045"], page.all);
    });
}

#[test]
fn nobody_halts_in_the_name_of_the_ledger() {
    run(async {
        let site = site().await;
        let world = World::new(site, "ledger-forged", 1);
        world.change(|m| m.verdict = plan::asks(|_| {}));
        let deployment = world.deploy(site, |_| {}).await;
        deployment.open_request().await;
        let halt = json!({ "by": "ledger", "reason": "so there", "kb": plan::KB });
        let answer = deployment.control("request_halt", halt).await;
        let answer = format!("{answer:?}");
        assert!(
            answer.contains("the ledger has not stopped KB5034441"),
            "{answer}"
        );
        deployment.decide("approve", "dana").await;
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

#[test]
fn only_what_the_update_did_to_a_device_counts() {
    run(async {
        let site = site().await;
        let counted = async |world: &World| {
            let store = world.ledger();
            Ledger::new(&store).page(&kb()).await.unwrap().all
        };
        let stuck = World::new(site, "ledger-stuck", 1);
        stuck.change(|m| {
            m.device("81").install = Install::Fails { installed: None };
            m.device("81").uninstall = ScriptOutcome::NotRemovable;
        });
        let unread = World::new(site, "ledger-unread", 1);
        unread.change(|m| m.fail("inventory.get_device", None, Lost::Refused("store.corrupt")));
        let undone = World::new(site, "ledger-undone", 2);
        undone.change(|m| m.device("82").install = Install::Fails { installed: None });
        for world in [&stuck, &unread] {
            let deployment = world.deploy(site, |_| {}).await;
            deployment.ends(DeploymentOutcome::Incomplete).await;
            let ended = world.read(|m| m.outcome_of("81"));
            assert_eq!(ended, Some(DeviceOutcome::NeedsHuman));
        }
        assert_eq!(counted(&stuck).await, Tally { good: 0, bad: 1 });
        assert_eq!(counted(&unread).await, Tally::default());
        // The first device was well until the deployment took it back.
        let deployment = undone
            .deploy(site, |r| {
                r.rings = rings_of(&["81", "82"]);
                r.rollback.scope = RollbackScope::AllDevices;
            })
            .await;
        let result = deployment.ends(DeploymentOutcome::RolledBack).await;
        assert_eq!(result.counts.of(DeviceOutcome::RolledBack), 2);
        assert_eq!(counted(&undone).await, Tally { good: 1, bad: 1 });
    });
}
