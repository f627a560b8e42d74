use std::sync::Mutex;

use clients::ledger::Said;
use contracts::deployment::ControlInput;
use domain::{
    deployment::DeploymentStatus,
    ids::PlanId,
    ledger::Evidence,
    people::{Person, Role},
};

use super::{
    stop::{Halts, flag, halt},
    *,
};

async fn stopped() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::embedded(&folder.path().join("store.db")).unwrap();
    let kb = "KB5034441".parse().unwrap();
    for device in 1..=3 {
        let said = Said {
            kb: &kb,
            plan: &"first-plan".parse().unwrap(),
            device: &device.to_string().parse().unwrap(),
            build: "10.0.19045",
            evidence: Evidence::Bad,
            at: Timestamp::UNIX_EPOCH,
        };
        Ledger::new(&store).count(&said).await.unwrap();
    }
    for (name, role, clients) in [
        ("lee", Role::Lead, vec![]),
        ("dana", Role::Approver, vec![]),
        ("olga", Role::Lead, vec!["7001"]),
    ] {
        let person = Person {
            id: name.parse().unwrap(),
            name: String::new(),
            role,
            clients: clients.iter().map(|id| id.parse().unwrap()).collect(),
        };
        store.identities.put_person(person).await.unwrap();
    }
    (store, folder)
}

fn args(by: &str) -> SayArgs {
    SayArgs {
        kb: "KB5034441".parse().unwrap(),
        by: by.parse().unwrap(),
        reason: "released anew".to_owned(),
    }
}

async fn page(store: &Store) -> Page {
    Ledger::new(store).page(&args("lee").kb).await.unwrap()
}

#[tokio::test]
async fn a_lead_of_all_clients_clears_an_update_and_nobody_else() {
    let (store, _folder) = stopped().await;
    for by in ["dana", "olga", "nobody"] {
        let refused = clear(&store, &args(by), true, Timestamp::now()).await;
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .starts_with("not allowed: "),
            "{by}"
        );
    }
    let claimed = clear(&store, &args("lee"), false, Timestamp::now()).await;
    assert!(
        claimed.is_err(),
        "a claimed name where claims are not accepted"
    );
    assert!(page(&store).await.stopped.is_some());
    let cleared = clear(&store, &args("lee"), true, Timestamp::now())
        .await
        .unwrap();
    assert_eq!(cleared.epoch, 1);
    assert!(cleared.was_stopped.unwrap().starts_with("ledger: 3 of 3"));
    assert_eq!(page(&store).await.verdict().as_str(), "go");
    let chain = store
        .actions
        .read_chain("ledger/KB5034441", 0, 10)
        .await
        .unwrap();
    let last = &chain.last().unwrap().record;
    assert_eq!(
        (last.what.as_str(), &last.detail["reason"]),
        ("ledger_cleared", &"released anew".into())
    );
}

/// Deployments that keep what they were told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<(String, String, ControlInput)>>);

impl Halts for Told {
    async fn halt(
        &self,
        plan: &PlanId,
        request: &str,
        input: &ControlInput,
    ) -> anyhow::Result<bool> {
        let told = (plan.to_string(), request.to_owned(), input.clone());
        self.0.lock().unwrap().push(told);
        Ok(plan.as_str() != "gone")
    }
}

async fn open_deployment(store: &Store, plan: &str, client: &str, kb: &str) {
    let at = Timestamp::UNIX_EPOCH;
    let status: DeploymentStatus = serde_json::from_value(serde_json::json!({
        "plan": plan, "workflow_id": format!("patch-deployment/{plan}"), "client": client,
        "kbs": [kb], "stage": "deploying", "note": "", "plan_hash": null, "revision": 1,
        "risk": null, "approval": null, "needs_approval": false, "approved_by": [],
        "forbidden": [], "rings": [], "stragglers": 0, "counts": {}, "deadline": null,
        "started_at": at, "updated_at": at, "outcome": null,
    }))
    .unwrap();
    store.executions.put_status(status, None).await.unwrap();
}

#[tokio::test]
async fn a_lead_of_all_clients_stops_an_update_and_every_open_deployment_is_told() {
    let (store, _folder) = stopped().await;
    let of = |by: &str| SayArgs {
        kb: "KB5034442".parse().unwrap(),
        reason: "printers fail".to_owned(),
        ..args(by)
    };
    let now = Timestamp::now();
    for (plan, client, kb) in [
        ("first", "7001", "KB5034442"),
        ("second", "7002", "KB5034442"),
        ("other", "7002", "KB5034443"),
        ("gone", "7003", "KB5034442"),
    ] {
        open_deployment(&store, plan, client, kb).await;
    }
    for by in ["dana", "olga", "nobody"] {
        let refused = flag(&store, &of(by), true, now).await.unwrap_err();
        assert!(refused.to_string().starts_with("not allowed: "), "{by}");
    }
    assert!(flag(&store, &of("lee"), false, now).await.is_err());
    let ledger = Ledger::new(&store);
    assert_eq!(ledger.page(&of("lee").kb).await.unwrap().stopped, None);

    let first = flag(&store, &of("lee"), true, now).await.unwrap();
    let told = Told::default();
    let halted = halt(&store, &told, &of("lee"), first.epoch).await.unwrap();
    let names: Vec<_> = halted.iter().map(PlanId::as_str).collect();
    assert_eq!(names, ["first", "second"]);
    let page = ledger.page(&of("lee").kb).await.unwrap();
    assert_eq!(page.stopped.as_deref(), Some("lee: printers fail"));
    // Again: the same requests, which deployments know.
    let again = flag(&store, &of("lee"), true, now).await.unwrap();
    assert_eq!(again.was_stopped, page.stopped);
    halt(&store, &told, &of("lee"), again.epoch).await.unwrap();
    let told = told.0.into_inner().unwrap();
    assert_eq!(told.len(), 6);
    for (_, request, input) in &told {
        assert_eq!(request, "lee-KB5034442-0");
        assert_eq!(input.by, "lee");
        assert_eq!(
            input.reason.as_deref(),
            Some("over all clients: printers fail")
        );
        assert_eq!(input.kb, Some(of("lee").kb));
    }
}
