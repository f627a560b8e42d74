use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, http::HeaderMap, routing::post};
use clients::{
    rate_limit::Unlimited,
    superops::{SuperOps, SuperOpsConfig, SuperOpsError},
};
use domain::{
    device::Platform,
    failure::{Classify, FailureKind},
    ids::{ClientId, DeviceId},
    patch::PatchState,
    script::{SCRIPT_NAME, SIGNATURE_HEADER, ScriptReport, TIMESTAMP_HEADER},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::{FleetSpec, SuperOpsSim, SuperOpsSimOptions, callback::sign, start};

fn options(fleet: FleetSpec) -> SuperOpsSimOptions {
    SuperOpsSimOptions {
        port: 0,
        token: "dev-token".to_owned(),
        subdomain: "demo".to_owned(),
        requests_per_minute: None,
        speed: 10_000.0,
        fleet,
        state_file: None,
    }
}

fn client_with(sim: &SuperOpsSim, token: &str, subdomain: &str) -> SuperOps {
    let config = SuperOpsConfig {
        base_url: sim.url(),
        subdomain: subdomain.to_owned(),
        token: token.into(),
        timeout_secs: 5,
        ..SuperOpsConfig::default()
    };
    SuperOps::new(config, Arc::new(Unlimited)).unwrap()
}

fn client(sim: &SuperOpsSim) -> SuperOps {
    client_with(sim, "dev-token", "demo")
}

fn first_client() -> ClientId {
    "7000000000000000001".parse().unwrap()
}

fn first_device() -> DeviceId {
    "4100000000000000001".parse().unwrap()
}

#[tokio::test]
async fn the_real_client_reads_the_demo_fleet() {
    let sim = start(options(FleetSpec::demo())).await.unwrap();
    let superops = client(&sim);
    let now = Timestamp::now();
    assert_eq!(
        superops.get_client(&first_client()).await.unwrap().name,
        "Larkfield Dental Group"
    );
    let sites = superops.list_sites(&first_client(), 1).await.unwrap();
    assert_eq!(sites.items[0].time_zone.as_deref(), Some("Europe/Berlin"));
    assert!(sites.items[0].hq && sites.items[1..].iter().all(|site| !site.hq));

    let page = superops
        .list_devices(&first_client(), 1, now)
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.has_more), (100, false));
    let pilots: Vec<_> = page
        .items
        .iter()
        .filter(|d| d.tags.contains("pilot"))
        .collect();
    assert_eq!(pilots.len(), 12);
    assert_eq!(
        pilots
            .iter()
            .filter(|d| d.platform == Platform::WindowsServer)
            .count(),
        2
    );
    assert!(
        pilots
            .iter()
            .all(|d| d.online && sites.items.iter().any(|s| Some(&s.id) == d.site.as_ref()))
    );
    let second: ClientId = "7000000000000000002".parse().unwrap();
    let first_page = superops.list_devices(&second, 1, now).await.unwrap();
    let last_page = superops.list_devices(&second, 2, now).await.unwrap();
    assert_eq!(
        (
            first_page.items.len(),
            first_page.has_more,
            last_page.items.len(),
            last_page.has_more
        ),
        (100, true, 20, false)
    );

    let software = superops.device_software(&first_device(), 1).await.unwrap();
    assert_eq!(software.flaws, Vec::<String>::new());
    let versions = software.page.items.iter();
    let chrome = versions.clone().find(|p| p.name == "Google Chrome");
    assert!(chrome.unwrap().version.is_some() && versions.len() > 10);

    let patches = superops.device_patches(&first_device(), 1).await.unwrap();
    let missing: Vec<_> = patches
        .items
        .iter()
        .filter(|p| p.state == PatchState::Missing)
        .map(|p| p.facts.kb.to_string())
        .collect();
    assert_eq!(missing, ["KB5034122", "KB5034441"]);
    assert_eq!(
        superops
            .get_device(&first_device(), now)
            .await
            .unwrap()
            .name,
        "PILOT-PC-01"
    );
    sim.stop().await;
}

#[tokio::test]
async fn refusals_are_those_of_the_real_service() {
    let mut options = options(FleetSpec::small(1));
    options.requests_per_minute = Some(2);
    let sim = start(options).await.unwrap();
    let kind = async |superops: &SuperOps| {
        superops
            .get_client(&first_client())
            .await
            .map_err(|e| e.kind())
    };
    assert_eq!(
        kind(&client_with(&sim, "wrong", "demo")).await,
        Err(FailureKind::Unauthorized)
    );
    assert_eq!(
        kind(&client_with(&sim, "dev-token", "other")).await,
        Err(FailureKind::InvalidInput)
    );
    let bare = reqwest::Client::new()
        .post(sim.url())
        .bearer_auth("dev-token")
        .send()
        .await
        .unwrap();
    assert_eq!(bare.status().as_u16(), 400);
    assert!(bare.bytes().await.unwrap().is_empty());

    let superops = client(&sim);
    assert!(kind(&superops).await.is_ok());
    let nobody: DeviceId = "1".parse().unwrap();
    let error = superops
        .get_device(&nobody, Timestamp::now())
        .await
        .unwrap_err();
    assert!(
        matches!(error, SuperOpsError::NotFound { what: "device", .. }),
        "{error}"
    );
    assert_eq!(kind(&superops).await, Err(FailureKind::Throttled));
    sim.stop().await;
}

async fn set(sim: &SuperOpsSim, faults: Value) {
    let answer = reqwest::Client::new()
        .post(format!("{}/faults", sim.admin_url()))
        .json(&faults)
        .send()
        .await
        .unwrap();
    assert!(
        answer.status().is_success(),
        "{}",
        answer.text().await.unwrap()
    );
}

#[tokio::test]
async fn failures_come_on_demand() {
    let sim = start(options(FleetSpec::small(1))).await.unwrap();
    let superops = client(&sim);
    for (with, kind) in [
        ("http500", FailureKind::Unavailable),
        ("rate_limit", FailureKind::Throttled),
        ("drop", FailureKind::Unavailable),
    ] {
        set(&sim, json!({ "fail_next": { "count": 1, "with": with } })).await;
        assert_eq!(
            superops
                .get_client(&first_client())
                .await
                .unwrap_err()
                .kind(),
            kind,
            "{with}"
        );
        assert!(superops.get_client(&first_client()).await.is_ok());
    }
    let script = superops.find_script(SCRIPT_NAME).await.unwrap();
    script.check_variables().unwrap();
    for (applied, runs) in [(true, 1), (false, 1)] {
        set(
            &sim,
            json!({ "ambiguous_writes": { "count": 1, "applied": applied } }),
        )
        .await;
        let error = superops
            .run_script(
                &first_device(),
                &script.id,
                &[("mode", "evidence".to_owned())],
            )
            .await
            .unwrap_err();
        assert_eq!(error.kind(), FailureKind::Ambiguous);
        assert_eq!(
            superops
                .device_activity(&first_device(), 1)
                .await
                .unwrap()
                .items
                .len(),
            runs
        );
    }
    let wrong = superops
        .run_script(&first_device(), "1", &[])
        .await
        .unwrap_err();
    assert_eq!(wrong.kind(), FailureKind::InvalidInput);
    let refused = reqwest::Client::new()
        .post(format!("{}/faults", sim.admin_url()))
        .json(&json!({ "latency": 1 }))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status().as_u16(), 422);
    sim.stop().await;
}

type Reports = mpsc::UnboundedSender<ScriptReport>;

async fn callback(State(reports): State<Reports>, headers: HeaderMap, body: String) {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(
        header(SIGNATURE_HEADER),
        sign("job-key", &header(TIMESTAMP_HEADER), &body)
    );
    reports.send(serde_json::from_str(&body).unwrap()).unwrap();
}

#[tokio::test]
async fn a_device_is_patched_restarted_and_shown_as_installed() {
    let (sender, mut reports) = mpsc::unbounded_channel();
    let receiver = crate::sim::serve(
        Router::new()
            .route("/cb", post(callback))
            .with_state(sender),
        0,
    )
    .await
    .unwrap();
    let sim = start(options(FleetSpec::small(1))).await.unwrap();
    let superops = client(&sim);
    let script = superops.find_script(SCRIPT_NAME).await.unwrap();
    let run = async |mode: &str, kb: &str| {
        let args = [
            ("mode", mode.to_owned()),
            ("kb", kb.to_owned()),
            ("jobId", format!("p/{mode}")),
            ("device", first_device().to_string()),
            ("callbackUrl", format!("{}/cb", receiver.url)),
            ("token", "job-key".to_owned()),
        ];
        superops
            .run_script(&first_device(), &script.id, &args)
            .await
            .unwrap()
    };
    run("install", "5034122").await;
    assert!(reports.recv().await.unwrap().reboot_required);
    run("reboot", "").await;
    reports.recv().await.unwrap();
    run("verify", "5034122").await;
    assert_eq!(reports.recv().await.unwrap().installed, Some(true));
    assert!(
        sim.handle()
            .wait_for_log(|entry| entry.action == "scanned")
            .await
    );
    let patches = superops.device_patches(&first_device(), 1).await.unwrap();
    let row = patches
        .items
        .iter()
        .find(|p| p.facts.kb.digits() == "5034122")
        .unwrap();
    assert_eq!(row.state, PatchState::Installed);
    let activity = superops.device_activity(&first_device(), 1).await.unwrap();
    assert_eq!(
        activity
            .items
            .iter()
            .filter(|a| a.status.as_deref() == Some("Completed"))
            .count(),
        3
    );
    let log: Value = reqwest::get(format!("{}/log?action=installed", sim.admin_url()))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (log.as_array().unwrap().len(), &log[0]["job_id"]),
        (1, &json!("p/install"))
    );
    sim.stop().await;
    receiver.stop().await;
}

#[tokio::test]
async fn alerts_can_be_raised_and_resolved() {
    let sim = start(options(FleetSpec::small(1))).await.unwrap();
    let ask = async |query: &str| -> Value {
        let request = reqwest::Client::new()
            .post(sim.url())
            .bearer_auth("dev-token")
            .header("CustomerSubDomain", "demo")
            .timeout(Duration::from_secs(5))
            .json(&json!({ "query": query }));
        request.send().await.unwrap().json().await.unwrap()
    };
    let made = ask(r#"mutation { createAlert(input: {assetId: "4100000000000000001", message: "disk full", severity: "High"}) { id asset } }"#).await;
    let id = made["data"]["createAlert"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        made["data"]["createAlert"]["asset"]["client"]["accountId"].is_u64(),
        "ids inside JSON are numbers"
    );
    let resolved = ask(&format!(
        r#"mutation {{ resolveAlerts(input: [{{id: "{id}"}}]) }}"#
    ))
    .await;
    assert_eq!(resolved["data"]["resolveAlerts"], true);
    let alerts = client(&sim)
        .device_alerts(&first_device(), 1)
        .await
        .unwrap();
    assert_eq!(alerts.items[0].status, "Resolved");
    assert!(alerts.items[0].created_at.is_some());

    let by_client = ask(r#"{ getAlertList(input: {condition: {attribute: "client", operator: "is", value: "1"}}) { alerts { id } } }"#).await;
    assert!(
        by_client["errors"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("Internal Server Error")
    );
    let introspection = ask("{ __schema { types { name } } }").await;
    assert!(
        introspection["data"]
            .get("__schema")
            .is_none_or(Value::is_null)
    );
    sim.stop().await;
}

#[tokio::test]
async fn the_real_client_asks_a_device_for_evidence() {
    let sim = start(options(FleetSpec::demo())).await.unwrap();
    let superops = client(&sim);
    let figures = superops.device_figures(&first_device()).await.unwrap();
    let within = |figure: Option<u16>| figure.is_some_and(|one| (1..=1000).contains(&one));
    assert!(within(figures.cpu_permille) && within(figures.memory_permille));
    assert_eq!(figures.disk_permille, Some(495));
    let runs = superops
        .recent_scripts(&first_device(), Timestamp::now())
        .await
        .unwrap();
    assert_eq!((runs.runs, runs.failed), (0, 0));
    let unknown = superops.device_figures(&"1".parse().unwrap()).await;
    assert_eq!(unknown.unwrap_err().kind(), FailureKind::NotFound);
}
