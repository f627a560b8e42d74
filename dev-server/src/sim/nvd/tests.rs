//! Our own client and plain requests against the simulator.

use clients::{
    nvd::{Nvd, NvdConfig, NvdError},
    rate_limit::Unlimited,
};
use domain::failure::{Classify, FailureKind};
use serde_json::{Value, json};

use super::*;

async fn running(options: NvdSimOptions) -> RunningSim {
    start(options).await.unwrap()
}

fn client(sim: &RunningSim, key: Option<&str>) -> Nvd {
    let config = NvdConfig {
        base_url: sim.url.clone(),
        api_key: key.map(Into::into),
        timeout_secs: 5,
        ..NvdConfig::default()
    };
    Nvd::new(config, Arc::new(Unlimited)).unwrap()
}

async fn get_json(sim: &RunningSim, query: &str) -> Value {
    let url = format!("{}/rest/json/cves/2.0?{query}", sim.url);
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

async fn refusal(sim: &RunningSim, query: &str) -> String {
    let url = format!("{}/rest/json/cves/2.0?{query}", sim.url);
    let response = reqwest::get(url).await.unwrap();
    assert_eq!(response.status(), 404, "{query}");
    response.headers()["message"].to_str().unwrap().to_owned()
}

async fn set(sim: &RunningSim, faults: Value) -> u16 {
    let http = reqwest::Client::new();
    let sent = http
        .post(format!("{}/faults", sim.url))
        .json(&faults)
        .send()
        .await;
    sent.unwrap().status().as_u16()
}

#[tokio::test]
async fn our_client_reads_each_kind_of_entry() {
    let sim = running(NvdSimOptions::default()).await;
    let nvd = client(&sim, None);
    let look = async |id: &str| nvd.lookup_cve(&id.parse().unwrap()).await;
    let bitlocker = look("CVE-2024-20666").await.unwrap();
    assert_eq!(
        (bitlocker.base_score_tenths, bitlocker.known_exploited),
        (Some(66), false)
    );
    assert_eq!(
        bitlocker.vector.as_deref(),
        Some("CVSS:3.1/AV:P/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H")
    );
    let kernel = look("CVE-2024-21338").await.unwrap();
    assert_eq!(
        (kernel.base_score_tenths, kernel.known_exploited),
        (Some(78), true)
    );
    let spooler = look("CVE-2021-34527").await.unwrap();
    assert_eq!(
        (spooler.base_score_tenths, spooler.cvss_version.as_deref()),
        (Some(88), Some("3.1"))
    );
    assert_eq!(
        look("CVE-2099-10001").await.unwrap().base_score_tenths,
        None
    );
    let deferred = look("CVE-2099-10002").await.unwrap();
    assert_eq!(
        (deferred.base_score_tenths, deferred.status.as_deref()),
        (Some(93), Some("Deferred"))
    );
    assert_eq!(
        look("CVE-2099-10003").await.unwrap().status.as_deref(),
        Some("Rejected")
    );
    assert!(matches!(
        look("CVE-2098-99999").await,
        Err(NvdError::NotFound(_))
    ));
}

#[tokio::test]
async fn a_wrong_key_is_a_404_with_a_reason() {
    let sim = running(NvdSimOptions {
        api_key: Some("right".into()),
        ..NvdSimOptions::default()
    })
    .await;
    let cve = "CVE-2024-20666".parse().unwrap();
    let error = client(&sim, Some("wrong"))
        .lookup_cve(&cve)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unauthorized);
    assert!(client(&sim, Some("right")).lookup_cve(&cve).await.is_ok());
    assert!(client(&sim, None).lookup_cve(&cve).await.is_ok());
    let log = reqwest::get(format!("{}/log", sim.url))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        log.contains("CVE-2024-20666") && !log.contains("wrong"),
        "{log}"
    );
}

#[tokio::test]
async fn above_the_limit_it_answers_403() {
    let sim = running(NvdSimOptions {
        limit: true,
        ..NvdSimOptions::default()
    })
    .await;
    let cve = "CVE-2024-20666".parse().unwrap();
    for _ in 0..5 {
        client(&sim, None).lookup_cve(&cve).await.unwrap();
    }
    let error = client(&sim, None).lookup_cve(&cve).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Throttled);
    assert!(
        client(&sim, Some("any")).lookup_cve(&cve).await.is_ok(),
        "50 with a key"
    );
}

#[tokio::test]
async fn pages_add_up_and_filters_hold() {
    let sim = running(NvdSimOptions::default()).await;
    let all = get_json(&sim, "").await;
    let total = all["totalResults"].as_u64().unwrap();
    assert!(total >= 200);
    let (mut start, mut seen) = (0, std::collections::BTreeSet::new());
    while start < total {
        let page = get_json(&sim, &format!("resultsPerPage=70&startIndex={start}")).await;
        assert_eq!(page["totalResults"], total);
        for row in page["vulnerabilities"].as_array().unwrap() {
            seen.insert(row["cve"]["id"].as_str().unwrap().to_owned());
        }
        start += 70;
    }
    assert_eq!(seen.len() as u64, total);
    let range =
        "lastModStartDate=2024-02-01T00:00:00.000&lastModEndDate=2024-02-29T00:00:00%2B00:00";
    let february = get_json(&sim, range).await;
    assert!(february["totalResults"].as_u64().unwrap() > 20);
    let exploited = get_json(&sim, &format!("{range}&hasKev")).await;
    for row in exploited["vulnerabilities"].as_array().unwrap() {
        assert!(
            row["cve"]["published"]
                .as_str()
                .unwrap()
                .starts_with("2024-02")
        );
        assert!(row["cve"]["cisaActionDue"].is_string());
    }
    let rejected = get_json(&sim, "noRejected").await["totalResults"]
        .as_u64()
        .unwrap();
    assert_eq!(rejected, total - 1);
}

#[tokio::test]
async fn wrong_parameters_are_refused_with_a_reason() {
    let sim = running(NvdSimOptions::default()).await;
    for query in [
        "cveId=20666",
        "resultsPerPage=2001",
        "startIndex=-1",
        "hasKev=true",
        "colour=red",
        "lastModStartDate=2024-01-01T00:00:00.000",
        "lastModStartDate=2024-01-01T00:00:00.000&lastModEndDate=2024-06-01T00:00:00.000",
        "lastModStartDate=soon&lastModEndDate=2024-06-01T00:00:00.000",
    ] {
        assert!(!refusal(&sim, query).await.is_empty());
    }
}

#[tokio::test]
async fn trouble_comes_on_demand_and_goes() {
    let sim = running(NvdSimOptions::default()).await;
    let nvd = client(&sim, None);
    let cve = "CVE-2024-20666".parse().unwrap();
    assert_eq!(
        set(
            &sim,
            json!({ "unavailable": 1, "throttle": 1, "nonsense": 1 })
        )
        .await,
        200
    );
    for kind in [
        FailureKind::Unavailable,
        FailureKind::Throttled,
        FailureKind::Malformed,
    ] {
        assert_eq!(nvd.lookup_cve(&cve).await.unwrap_err().kind(), kind);
    }
    assert!(nvd.lookup_cve(&cve).await.is_ok());
    assert_eq!(set(&sim, json!({ "unavailabel": 1 })).await, 422);
    set(&sim, json!({ "unavailable": 9 })).await;
    reqwest::Client::new()
        .delete(format!("{}/faults", sim.url))
        .send()
        .await
        .unwrap();
    assert!(nvd.lookup_cve(&cve).await.is_ok());
    sim.stop().await;
}

#[tokio::test]
async fn the_product_reads_every_entry_and_names_what_is_odd() {
    let sim = running(NvdSimOptions::default()).await;
    let body = get_json(&sim, "").await.to_string();
    let page = domain::vulnerability::nvd_json::read(body.as_bytes(), Timestamp::now()).unwrap();
    assert_eq!(page.records.len() as u64, page.total);
    assert_eq!(page.flaws.len(), 3, "{:?}", page.flaws);
    let named = |id: &str| page.flaws.iter().any(|flaw| flaw.starts_with(id));
    assert!(named("CVE-2099-10005, ") && named("CVE-2099-10006, "));
    let software = page.records.iter().filter(|r| r.software.holds().is_some());
    assert!(software.count() > 200);
}

#[tokio::test]
async fn what_is_touched_comes_with_the_next_window() {
    let sim = running(NvdSimOptions::default()).await;
    let from = Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S.000")
        .to_string();
    let to =
        (Timestamp::now() + jiff::SignedDuration::from_hours(1)).strftime("%Y-%m-%dT%H:%M:%S.000");
    let window = format!("lastModStartDate={from}&lastModEndDate={to}");
    assert_eq!(get_json(&sim, &window).await["totalResults"], 0);
    let http = reqwest::Client::new();
    let touch = async |cve: &str| {
        let request = http.post(format!("{}/touch", sim.url));
        request
            .json(&json!({ "cve": cve }))
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(touch("CVE-2024-38063").await, 200);
    assert_eq!(touch("CVE-2098-99999").await, 404);
    let changed = get_json(&sim, &window).await;
    assert_eq!(changed["totalResults"], 1);
    let cve = &changed["vulnerabilities"][0]["cve"];
    assert_eq!(
        (&cve["id"], &cve["vulnStatus"]),
        (&json!("CVE-2024-38063"), &json!("Modified"))
    );
    assert_eq!(cve["lastModified"].as_str().unwrap().len(), from.len());
}

#[tokio::test]
async fn the_log_says_when_each_request_arrived() {
    let sim = running(NvdSimOptions {
        limit: true,
        ..NvdSimOptions::default()
    })
    .await;
    set(&sim, json!({ "slow_ms": 20 })).await;
    for _ in 0..6 {
        let url = format!("{}/rest/json/cves/2.0?cveId=CVE-2024-38063", sim.url);
        reqwest::get(url).await.unwrap();
    }
    let log = reqwest::get(format!("{}/log", sim.url)).await.unwrap();
    let log: Vec<LogEntry> = log.json().await.unwrap();
    assert!(log.windows(2).all(|two| two[0].at + 20 <= two[1].at));
    // What a test of our pacing asks: no 30 seconds with more than five.
    let span = |entries: &[LogEntry]| entries[5].at - entries[0].at;
    assert!(log.windows(6).any(|six| span(six) < 30_000));
    assert_eq!(log[5].status, 403);
}
