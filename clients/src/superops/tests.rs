//! Against a fake server on the real wire: one test per meaning of an answer, and the requests.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    device::Platform,
    failure::{Classify, FailureKind},
    patch::PatchState,
};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use super::*;
use crate::{
    breaker::Outage,
    rate_limit::{Permit, Unlimited},
};

const TOKEN: &str = "tok-3f9a-secret";
const DEVICE: &str = "4100000000000000001";

fn config(url: &str) -> SuperOpsConfig {
    SuperOpsConfig {
        base_url: format!("{url}/msp"),
        subdomain: "acme".to_owned(),
        token: TOKEN.into(),
        timeout_secs: 1,
        ..SuperOpsConfig::default()
    }
}

async fn answering(response: ResponseTemplate) -> (MockServer, SuperOps) {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/msp"))
        .respond_with(response)
        .mount(&server)
        .await;
    let client = SuperOps::new(config(&server.uri()), Arc::new(Unlimited)).unwrap();
    (server, client)
}

async fn with_json(body: Value) -> (MockServer, SuperOps) {
    answering(ResponseTemplate::new(200).set_body_json(body)).await
}

fn device() -> DeviceId {
    DEVICE.parse().unwrap()
}

fn client_id() -> ClientId {
    "7000000000000000001".parse().unwrap()
}

async fn query_error(response: ResponseTemplate) -> SuperOpsError {
    let (_server, client) = answering(response).await;
    client
        .get_device(&device(), Timestamp::UNIX_EPOCH)
        .await
        .unwrap_err()
}

async fn write_error(response: ResponseTemplate) -> SuperOpsError {
    let (_server, client) = answering(response).await;
    client
        .run_script(&device(), "1", &[("token", "job-secret".to_owned())])
        .await
        .unwrap_err()
}

fn coded(code: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "errors": [{ "message": null, "extensions": { "clientError": [{ "code": code, "param": { "attributes": ["assetId"] } }] } }],
        "data": {}
    }))
}

fn internal() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "errors": [{ "message": "Internal Server Error(s) while executing query" }], "data": { "runScriptOnAsset": null }
    }))
}

fn chain(error: &SuperOpsError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn each_error_code_has_its_meaning() {
    for (code, kind) in [
        ("rate_limit_exceeded", FailureKind::Throttled),
        ("RATE_LIMITED", FailureKind::Throttled),
        ("forbidden", FailureKind::Unauthorized),
        ("subscription_trial_expired", FailureKind::Unauthorized),
        ("subscription_paused", FailureKind::Unauthorized),
        ("subscription_cancelled", FailureKind::Unauthorized),
        ("type_validation_failed", FailureKind::InvalidInput),
        ("mandatory_validation_failed", FailureKind::InvalidInput),
        ("value_length_exceeds_limit", FailureKind::InvalidInput),
        ("referred_value_does_not_exist", FailureKind::InvalidInput),
        ("value_pattern_validation_failed", FailureKind::InvalidInput),
        ("dependent_validation_failed", FailureKind::InvalidInput),
        ("unique_validation_failed", FailureKind::InvalidInput),
        ("entity_does_not_exist", FailureKind::NotFound),
    ] {
        assert_eq!(query_error(coded(code)).await.kind(), kind, "query {code}");
        assert_eq!(write_error(coded(code)).await.kind(), kind, "write {code}");
    }
}

#[tokio::test]
async fn what_refuses_all_calls_may_pass_and_counts_as_away_and_what_refuses_one_does_not() {
    for (code, of_all) in [
        ("unauthorized", true),
        ("subscription_paused", true),
        ("forbidden", false),
        ("entity_does_not_exist", false),
        ("type_validation_failed", false),
    ] {
        let refused = write_error(coded(code)).await;
        assert_eq!(refused.may_pass(), of_all, "{code}");
        assert_eq!(refused.outage().is_some(), of_all, "{code}");
    }
}

#[tokio::test]
async fn a_code_that_we_do_not_know_leaves_a_write_open_and_a_query_to_be_asked_again() {
    for code in [
        "agent_busy",
        "internal_error",
        "DataFetchingException",
        "timeout",
    ] {
        let query = query_error(coded(code)).await;
        assert_eq!(query.kind(), FailureKind::Unavailable, "query {code}");
        let write = write_error(coded(code)).await;
        assert_eq!(write.kind(), FailureKind::Ambiguous, "write {code}");
        assert!(write.to_string().contains(&code.to_lowercase()), "{write}");
    }
    // A known code beside it does not settle what became of the write.
    let both = ResponseTemplate::new(200).set_body_json(json!({
        "errors": [{ "message": null, "extensions": { "clientError": [
            { "code": "rate_limit_exceeded" }, { "code": "agent_busy" }] } }], "data": {}
    }));
    assert_eq!(
        write_error(both.clone()).await.kind(),
        FailureKind::Ambiguous
    );
    assert_eq!(query_error(both).await.kind(), FailureKind::Throttled);
}

#[tokio::test]
async fn a_code_directly_in_the_extensions_counts_too() {
    let error = query_error(ResponseTemplate::new(200).set_body_json(json!({
        "errors": [{ "message": "slow down", "extensions": { "code": "RATE_LIMITED" } }], "data": null
    })))
    .await;
    assert!(matches!(
        error,
        SuperOpsError::Throttled { retry_after: None }
    ));
    let error = write_error(ResponseTemplate::new(200).set_body_json(json!({
        "errors": [{ "message": "Validation error (SubSelectionNotAllowed)", "extensions": { "classification": "ValidationError" } }]
    })))
    .await;
    assert!(matches!(error, SuperOpsError::InvalidInput { .. }));
}

#[tokio::test]
async fn each_http_status_has_its_meaning() {
    for (status, query, write) in [
        (401, FailureKind::Unauthorized, FailureKind::Unauthorized),
        (403, FailureKind::Unauthorized, FailureKind::Unauthorized),
        (400, FailureKind::InvalidInput, FailureKind::InvalidInput),
        (404, FailureKind::InvalidInput, FailureKind::InvalidInput),
        (307, FailureKind::InvalidInput, FailureKind::InvalidInput),
        (429, FailureKind::Throttled, FailureKind::Throttled),
        (500, FailureKind::Unavailable, FailureKind::Ambiguous),
        (503, FailureKind::Unavailable, FailureKind::Ambiguous),
    ] {
        assert_eq!(
            query_error(ResponseTemplate::new(status)).await.kind(),
            query,
            "query {status}"
        );
        assert_eq!(
            write_error(ResponseTemplate::new(status)).await.kind(),
            write,
            "write {status}"
        );
    }
    let error = query_error(ResponseTemplate::new(400)).await.to_string();
    assert!(
        error.contains("empty body") && error.contains("sub-domain"),
        "{error}"
    );
    let error = query_error(ResponseTemplate::new(429).insert_header("retry-after", "7")).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn an_internal_error_is_unavailable_for_a_query_and_ambiguous_for_a_write() {
    assert_eq!(
        query_error(internal()).await.kind(),
        FailureKind::Unavailable
    );
    assert_eq!(write_error(internal()).await.kind(), FailureKind::Ambiguous);
}

#[tokio::test]
async fn a_late_answer_is_unavailable_for_a_query_and_ambiguous_for_a_write() {
    let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(20));
    assert_eq!(
        query_error(late.clone()).await.kind(),
        FailureKind::Unavailable
    );
    assert_eq!(write_error(late).await.kind(), FailureKind::Ambiguous);
}

#[tokio::test]
async fn a_write_that_never_left_is_not_ambiguous() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let client = SuperOps::new(config(&format!("http://{free}")), Arc::new(Unlimited)).unwrap();
    let error = client.run_script(&device(), "1", &[]).await.unwrap_err();
    assert!(
        matches!(error, SuperOpsError::Unavailable { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_dead_superops_is_left_alone_and_one_answer_brings_it_back() {
    #[derive(Debug, Default)]
    struct Counting(std::sync::atomic::AtomicU32);
    #[async_trait]
    impl RateLimiter for Counting {
        async fn take(&self, _: &str) -> Result<Permit, Box<dyn std::error::Error + Send + Sync>> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(Permit::Granted)
        }
        async fn block(
            &self,
            _: &str,
            _: Duration,
        ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("autoops.db");
    let store = crate::store::Store::embedded(&path).unwrap();
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(502))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    let mut config = config(&server.uri());
    config.breaker.failures = 2;
    config.breaker.first_pause_secs = 1;
    let tokens = Arc::new(Counting::default());
    let client = SuperOps::new(config, tokens.clone())
        .unwrap()
        .sharing(Arc::clone(&store.counters));
    let ask = async || client.get_device(&device(), Timestamp::UNIX_EPOCH).await;
    // A read and a write that got no answer.
    assert_eq!(ask().await.unwrap_err().kind(), FailureKind::Unavailable);
    let lost = client.run_script(&device(), "1", &[]).await.unwrap_err();
    assert_eq!(lost.kind(), FailureKind::Ambiguous);

    let refused = client.run_script(&device(), "1", &[]).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        FailureKind::Unavailable,
        "not sent for sure"
    );
    assert!(refused.retry_after().is_some(), "{refused}");
    assert!(!chain(&refused).contains(TOKEN), "{refused:?}");
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
    assert_eq!(tokens.0.load(std::sync::atomic::Ordering::Relaxed), 2);
    // Another process on the same store sees it.
    let other = crate::store::Store::embedded(&path).unwrap();
    let note = async || {
        let note = crate::breaker::read_note(other.counters.as_ref(), BUCKET).await;
        note.unwrap().unwrap()
    };
    assert_eq!(note().await.state, crate::breaker::State::Open);
    assert_eq!(note().await.last_error, "HTTP 502");
    assert!(note().await.away_since(Timestamp::now()).is_some());

    // It is back, and says that there is no such device: that is an answer.
    Mock::given(method("POST"))
        .respond_with(coded("entity_does_not_exist"))
        .mount(&server)
        .await;
    let back = tokio::time::timeout(Duration::from_secs(20), async {
        while ask().await.unwrap_err().kind() != FailureKind::NotFound {
            tokio::task::yield_now().await;
        }
    });
    back.await.unwrap();
    assert_eq!(note().await.state, crate::breaker::State::Closed);
    ask().await.unwrap_err();
    assert_eq!(server.received_requests().await.unwrap().len(), 4);
}

#[tokio::test]
async fn refusals_and_nonsense_are_answers_of_a_living_superops() {
    let forbidden = query_error(coded("forbidden")).await;
    let malformed = write_error(ResponseTemplate::new(200).set_body_string("<html>")).await;
    let slow_down = query_error(ResponseTemplate::new(429)).await;
    for error in [forbidden, malformed, slow_down] {
        assert_eq!(error.outage(), None, "{error}");
    }
    let refused = query_error(ResponseTemplate::new(401)).await;
    let inside = write_error(internal()).await;
    for error in [refused, inside] {
        assert!(error.outage().is_some(), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_the_schema_is_malformed_or_after_a_write_ambiguous() {
    for body in [
        "<html>",
        "{}",
        r#"{"data":null}"#,
        r#"{"data":{"getAsset":[],"runScriptOnAsset":[]}}"#,
    ] {
        let response = ResponseTemplate::new(200).set_body_string(body);
        assert_eq!(
            query_error(response.clone()).await.kind(),
            FailureKind::Malformed,
            "{body}"
        );
        assert_eq!(
            write_error(response).await.kind(),
            FailureKind::Ambiguous,
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_write_with_data_beside_errors_was_done() {
    let (_server, client) = with_json(json!({
        "errors": [{ "message": "addedBy failed" }], "data": { "runScriptOnAsset": { "actionConfigId": 2861598057825157120_u64 } }
    }))
    .await;
    let run = client.run_script(&device(), "1", &[]).await.unwrap();
    assert_eq!(run.action_config_id, "2861598057825157120");
}

#[tokio::test]
async fn nothing_shows_the_token() {
    let (_server, client) = with_json(json!({})).await;
    assert!(!format!("{client:?}{:?}", config("http://127.0.0.1:1")).contains(TOKEN));
    let echo = ResponseTemplate::new(200).set_body_json(json!({
        "errors": [{ "message": format!("bad {TOKEN} job-secret"), "extensions": { "clientError": [{ "code": "type_validation_failed", "param": { "value": "job-secret" } }] } }]
    }));
    for error in [
        write_error(echo).await,
        query_error(ResponseTemplate::new(401)).await,
        write_error(ResponseTemplate::new(500)).await,
    ] {
        let text = chain(&error);
        assert!(
            !text.contains(TOKEN) && !text.contains("job-secret"),
            "{text}"
        );
    }
}

#[derive(Debug)]
struct Empty;

#[async_trait]
impl RateLimiter for Empty {
    async fn take(&self, bucket: &str) -> Result<Permit, Box<dyn std::error::Error + Send + Sync>> {
        assert_eq!(bucket, "superops");
        Ok(Permit::Wait(Duration::from_secs(9)))
    }

    async fn block(
        &self,
        _: &str,
        _: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        unreachable!("nothing was sent")
    }
}

#[tokio::test]
async fn an_empty_bucket_sends_nothing_and_says_how_long() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .expect(0)
        .mount(&server)
        .await;
    let client = SuperOps::new(config(&server.uri()), Arc::new(Empty)).unwrap();
    let error = client.device_patches(&device(), 1).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_after()),
        (FailureKind::Throttled, Some(Duration::from_secs(9)))
    );
}

#[tokio::test]
async fn a_list_of_devices_is_asked_for_with_its_filter_and_read() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/msp"))
        .and(header("authorization", format!("Bearer {TOKEN}").as_str()))
        .and(header("customersubdomain", "acme"))
        .respond_with(ResponseTemplate::new(200).set_body_string(
            r#"{"data":{"getAssetList":{"assets":[
              {"assetId":4100000000000000001,"name":"PC-1","client":{"accountId":7000000000000000001,"name":"A"},
               "site":{"id":7100000000000000001,"name":"HQ"},"platform":"Microsoft Windows Server 2022","platformFamily":null,
               "platformCategory":"SERVER","platformVersion":"10.0","status":"ONLINE","lastCommunicatedTime":"2024-05-01T10:15:30",
               "lastReportedTime":"2024-05-01T10:15","customFields":{"udf1text":"Pilot, exposure:exposed"}},
              {"assetId":"2","name":"stranger","client":{"accountId":"7000000000000000002"},"site":null,"platform":"macOS","status":"OFFLINE"},
              {"assetId":null,"name":"broken","client":null,"site":null}
            ],"listInfo":{"hasMore":true,"totalCount":"3"}}}}"#,
        ))
        .expect(1)
        .mount(&server)
        .await;
    let client = SuperOps::new(config(&server.uri()), Arc::new(Unlimited)).unwrap();
    let page = client
        .list_devices(&client_id(), 2, Timestamp::UNIX_EPOCH)
        .await
        .unwrap();

    assert!(page.has_more);
    assert_eq!(page.items.len(), 1, "a stranger's device is left out");
    let device = &page.items[0];
    assert_eq!(
        (device.id.as_str(), device.platform),
        (DEVICE, Platform::WindowsServer)
    );
    assert_eq!(device.site.as_deref(), Some("7100000000000000001"));
    assert_eq!(
        device.tags.iter().map(String::as_str).collect::<Vec<_>>(),
        ["exposure:exposed", "pilot", "server"]
    );
    assert_eq!(
        device.last_reported_at.unwrap().to_string(),
        "2024-05-01T10:15:00Z"
    );

    let request = &server.received_requests().await.unwrap()[0];
    let body: Value = request.body_json().unwrap();
    assert!(
        body["query"]
            .as_str()
            .unwrap()
            .starts_with("query ListDevices")
    );
    assert_eq!(
        body["variables"],
        json!({
            "input": {
                "page": 2, "pageSize": 100,
                "condition": { "attribute": "client", "operator": "includes", "value": ["7000000000000000001"] },
                "sort": [{ "attribute": "name", "order": "ASC" }]
            },
            "fields": ["udf1text"]
        })
    );
}

#[tokio::test]
async fn has_more_of_null_ends_a_list_and_a_patch_gives_one_row_per_kb() {
    let (_server, client) = with_json(json!({ "data": { "getAssetPatchDetails": {
        "assetPatches": [
            { "approvalStatus": "Approved", "installationStatus": "NewOrMissing", "installationTime": null, "failedMessage": "",
              "patchDetail": { "title": "T", "category": "Security Updates", "severity": "Important", "publishedDate": "2024-01-09",
                "restartRequired": true, "kbNumbers": [{ "kbNumber": "5034441" }, { "kbNumber": "KB5034439" }, { "kbNumber": "x" }] } },
            { "approvalStatus": "Pending", "installationStatus": "Deferred", "installationTime": "2024-02-01", "failedMessage": "no room",
              "patchDetail": { "title": "Driver", "kbNumbers": null } }
        ],
        "listInfo": { "hasMore": null } } } }))
    .await;
    let page = client.device_patches(&device(), 1).await.unwrap();
    assert!(!page.has_more);
    let kbs: Vec<_> = page
        .items
        .iter()
        .map(|row| row.facts.kb.to_string())
        .collect();
    assert_eq!(kbs, ["KB5034439", "KB5034441"]);
    assert_eq!(page.items[0].state, PatchState::Missing);
    assert_eq!(page.items[0].failed_message, None);
    assert_eq!(page.items[0].facts.restart_required, Some(true));
}

#[tokio::test]
async fn a_null_where_something_was_asked_for_is_not_found() {
    let (_server, client) =
        with_json(json!({ "data": { "getClient": null, "getAsset": null } })).await;
    let error = client.get_client(&client_id()).await.unwrap_err();
    assert!(
        matches!(&error, SuperOpsError::NotFound { what: "client", id } if id == client_id().as_str())
    );
    let error = client
        .get_device(&device(), Timestamp::UNIX_EPOCH)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::NotFound);
}

#[tokio::test]
async fn alerts_activity_sites_and_clients_are_read() {
    let (_server, client) = with_json(json!({ "data": {
        "getAlertsForAsset": { "alerts": [{ "id": 9, "message": "m", "createdTime": "2021-12-18T15:35", "status": "Created", "severity": "Critical" }], "listInfo": null },
        "getAssetActivity": { "activities": [
            { "activityId": 1, "module": "SCRIPT", "activityData": { "scriptId": 5100000000000000001_u64, "name": "AutoOps-Device", "status": "Completed" }, "createdTime": "2024-01-01T00:00:00" },
            { "activityId": 2, "module": "ALERT", "activityData": null, "createdTime": null }], "listInfo": { "hasMore": true } },
        "getClientSiteList": { "sites": [
            { "id": 5, "name": "Mill Lane", "timezoneCode": "Europe/Berlin", "hq": true },
            { "id": 6, "name": "HQ", "timezoneCode": "", "hq": null }], "listInfo": { "hasMore": null } },
        "getClient": { "accountId": 7000000000000000001_u64, "name": "A", "status": null }
    } }))
    .await;
    let alerts = client.device_alerts(&device(), 1).await.unwrap();
    assert_eq!(
        (
            alerts.items[0].id.as_str(),
            alerts.items[0].severity.as_str()
        ),
        ("9", "Critical")
    );
    let activity = client.device_activity(&device(), 1).await.unwrap();
    assert_eq!(activity.items.len(), 1);
    assert_eq!(
        activity.items[0].script_id.as_deref(),
        Some("5100000000000000001")
    );
    assert!(activity.has_more);
    let sites = client.list_sites(&client_id(), 1).await.unwrap();
    let read: Vec<_> = sites
        .items
        .iter()
        .map(|site| (site.time_zone.as_deref(), site.hq))
        .collect();
    assert_eq!(read, [(Some("Europe/Berlin"), true), (None, false)]);
    assert_eq!(
        client.get_client(&client_id()).await.unwrap().id,
        client_id()
    );
}

#[tokio::test]
async fn alerts_of_all_clients_are_read_newest_first_and_half_ones_are_kept() {
    let long = "x".repeat(5_000);
    let (server, client) = with_json(json!({ "data": { "getAlertList": { "alerts": [
        { "id": 4411092338412345678_u64, "message": "disk is full\n", "createdTime": "2026-11-28T12:00:00.000", "status": "Created", "severity": "Critical",
          "description": "C:", "asset": { "assetId": 81, "name": "SRV01", "client": { "accountId": 7000000000000000001_u64, "name": "A" }, "site": { "id": 5 } },
          "resolvedTime": null, "occurrenceCount": 3 },
        { "id": 2, "message": long, "createdTime": "2026-11-28T11:00", "status": "Resolved", "severity": "odd", "asset": null, "resolvedTime": "2026-11-28T11:30:00", "occurrenceCount": null },
        { "id": null, "message": "no id" },
        { "id": 3, "message": null, "createdTime": "whenever", "status": null, "asset": "{\"client\":{\"accountId\":9}}" }
    ], "listInfo": { "hasMore": true } } } }))
    .await;
    let now = "2026-11-28T13:00:00Z".parse().unwrap();
    let page = client.list_alerts(2, true, now).await.unwrap();
    let [one, two, three] = &page.items[..] else {
        panic!("{page:?}")
    };
    assert!(page.has_more);
    assert_eq!(one.id.as_str(), "superops/4411092338412345678");
    assert_eq!(one.client.as_str(), "7000000000000000001");
    assert_eq!(one.device.as_ref().unwrap().as_str(), "81");
    assert_eq!(
        (one.title.as_str(), one.host.as_deref(), one.site.as_deref()),
        ("disk is full", Some("SRV01"), Some("5"))
    );
    assert_eq!((one.occurrences, one.cleared), (3, None));
    assert_eq!(two.client, ClientId::unknown());
    assert_eq!(two.title.len(), domain::alert::TITLE_BYTES);
    assert_eq!(
        two.cleared,
        Some(Some("2026-11-28T11:30:00Z".parse().unwrap()))
    );
    assert_eq!((three.client.as_str(), three.raised_at), ("9", now));
    let asked = server.received_requests().await.unwrap();
    let body: Value = serde_json::from_slice(&asked[0].body).unwrap();
    let input = &body["variables"]["input"];
    assert_eq!(
        input["condition"],
        json!({ "attribute": "status", "operator": "isNot", "value": "Resolved" })
    );
    assert_eq!(
        (&input["page"], &input["sort"][0]["order"]),
        (&json!(2), &json!("DESC"))
    );
}

#[tokio::test]
async fn a_script_is_found_by_its_exact_name_only() {
    let (_server, client) = with_json(json!({ "data": { "getScriptList": { "scripts": [
        { "scriptId": 1, "name": "AutoOps-Device-Old", "runTimeVariables": [], "timeOut": 5 },
        { "scriptId": 5100000000000000001_u64, "name": "AutoOps-Device", "runTimeVariables": domain::script::SCRIPT_VARIABLES, "timeOut": 7200 }
    ], "listInfo": { "hasMore": null } } } }))
    .await;
    let script = client.find_script("AutoOps-Device").await.unwrap();
    assert_eq!(
        (script.id.as_str(), script.timeout_secs),
        ("5100000000000000001", Some(7200))
    );
    assert!(script.check_variables().is_ok());
    assert_eq!(
        client
            .find_script("autoops-device")
            .await
            .unwrap_err()
            .kind(),
        FailureKind::NotFound
    );
}

#[tokio::test]
async fn a_script_run_sends_its_arguments_by_name() {
    let (server, client) =
        with_json(json!({ "data": { "runScriptOnAsset": { "actionConfigId": "77" } } })).await;
    let args = [("mode", "check".to_owned()), ("kb", "5034441".to_owned())];
    assert_eq!(
        client
            .run_script(&device(), "5", &args)
            .await
            .unwrap()
            .action_config_id,
        "77"
    );
    let body: Value = server.received_requests().await.unwrap()[0]
        .body_json()
        .unwrap();
    assert_eq!(
        body["variables"]["input"],
        json!({ "assetId": DEVICE, "scriptId": "5", "scriptArguments": [
            { "name": "mode", "value": "check" }, { "name": "kb", "value": "5034441" }] })
    );
}
