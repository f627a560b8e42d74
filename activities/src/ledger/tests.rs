use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use domain::{deployment::DeploymentStatus, ledger::Evidence};
use serde_json::json;

use super::*;
use crate::testing::{NOW, World, device};

/// Deployments that keep what they were told; a request that they know has no second effect.
#[derive(Debug, Default)]
struct Told(Mutex<BTreeSet<(PlanId, String, String)>>);

impl Told {
    fn all(&self) -> BTreeSet<(PlanId, String, String)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Deployments for Told {
    async fn halt(&self, plan: &PlanId, request: &str, halt: ControlInput) -> Outcome<bool> {
        if plan.as_str() == "gone" {
            return Ok(false);
        }
        let kb = halt.kb.unwrap();
        let told = (
            plan.clone(),
            request.to_owned(),
            format!("{}: {kb}: {}", halt.by, halt.reason.unwrap()),
        );
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(told);
        Ok(true)
    }
}

fn kb() -> KbId {
    "KB5034441".parse().unwrap()
}

fn says(number: u32, evidence: Evidence) -> CountInput {
    CountInput {
        plan: "first-plan".parse().unwrap(),
        device: number.to_string().parse().unwrap(),
        kb: kb(),
        evidence,
        at: NOW.parse().unwrap(),
    }
}

async fn open_deployment(world: &World, plan: &str, client: &str, kbs: &[&str]) {
    let status: DeploymentStatus = serde_json::from_value(json!({
        "plan": plan, "workflow_id": format!("patch-deployment/{plan}"), "client": client,
        "kbs": kbs, "stage": "deploying", "note": "", "plan_hash": null, "revision": 1,
        "risk": null, "approval": null, "needs_approval": false, "approved_by": [],
        "forbidden": [], "rings": [], "stragglers": 0, "counts": {}, "deadline": null,
        "started_at": NOW, "updated_at": NOW, "outcome": null,
    }))
    .unwrap();
    world
        .deps
        .store
        .executions
        .put_status(status, None)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stop_halts_every_open_deployment_of_the_update_and_no_other() {
    let world = World::new().await;
    open_deployment(&world, "first-plan", "7001", &["KB5034441"]).await;
    open_deployment(&world, "second-plan", "7002", &["KB5034442", "KB5034441"]).await;
    open_deployment(&world, "other-plan", "7002", &["KB5034442"]).await;
    open_deployment(&world, "gone", "7003", &["KB5034441"]).await;
    let (ledger, told) = (LedgerActivities::new(&world.deps), Told::default());
    for number in 1..=2 {
        let input = says(number, Evidence::Bad);
        let result = ledger.work(&input, &told).await.unwrap();
        assert_eq!(
            (result.verdict.as_str(), result.halted),
            (if number == 1 { "go" } else { "hold" }, 0)
        );
    }
    let third = ledger.work(&says(3, Evidence::Bad), &told).await.unwrap();
    assert_eq!((third.verdict.as_str(), third.halted), ("stop", 2));
    let first = told.all();
    let plans: Vec<_> = first.iter().map(|(plan, ..)| plan.as_str()).collect();
    assert_eq!(plans, ["first-plan", "second-plan"]);
    assert!(
        first.iter().all(|(_, _, why)| why
            .starts_with("ledger: KB5034441: over all clients: 3 of 3 devices failed")),
        "{first:?}"
    );
    // Again, and another device: nobody is told anything new.
    ledger.work(&says(3, Evidence::Bad), &told).await.unwrap();
    ledger.work(&says(4, Evidence::Bad), &told).await.unwrap();
    assert_eq!(told.all(), first);
    let page = Ledger::new(&world.deps.store).page(&kb()).await.unwrap();
    assert_eq!(page.all.bad, 4);
}

#[tokio::test]
async fn a_device_counts_for_the_build_that_the_inventory_knows() {
    let world = World::new().await;
    let known = domain::device::Device {
        os_version: "10.0.19045.3930".to_owned(),
        ..device(1)
    };
    world
        .deps
        .store
        .inventory
        .put_devices(&[known])
        .await
        .unwrap();
    let (ledger, told) = (LedgerActivities::new(&world.deps), Told::default());
    for number in 1..=2 {
        ledger
            .work(&says(number, Evidence::Good), &told)
            .await
            .unwrap();
    }
    let page = Ledger::new(&world.deps.store).page(&kb()).await.unwrap();
    let builds: Vec<_> = page
        .builds
        .iter()
        .map(|(build, tally)| (build.as_str(), tally.good))
        .collect();
    assert_eq!(builds, [("10.0.19045", 1), ("unknown", 1)]);
    assert_eq!(page.all.good, 2);
}

#[tokio::test]
async fn a_person_who_stops_an_update_speaks_for_himself() {
    let world = World::new().await;
    open_deployment(&world, "first-plan", "7001", &["KB5034441"]).await;
    let flags = &world.deps.store.counters;
    flags
        .set_flag("kb-stop/KB5034441", Some("lee: prints"))
        .await
        .unwrap();
    let (ledger, told) = (LedgerActivities::new(&world.deps), Told::default());
    let result = ledger.work(&says(1, Evidence::Good), &told).await.unwrap();
    assert_eq!((result.verdict.reason(), result.halted), ("lee: prints", 0));
    assert!(told.all().is_empty());
}
