//! Against a fake server on the real wire.

use std::{sync::Arc, time::Duration};

use domain::failure::{Classify, FailureKind};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

use super::*;
use crate::{rate_limit::Unlimited, superops::SuperOpsConfig};

fn device() -> DeviceId {
    "4100000000000000001".parse().unwrap()
}

async fn answering(response: ResponseTemplate) -> (MockServer, SuperOps) {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(response)
        .mount(&server)
        .await;
    let config = SuperOpsConfig {
        base_url: format!("{}/msp", server.uri()),
        subdomain: "acme".to_owned(),
        token: "tok-3f9a-secret".into(),
        timeout_secs: 1,
        ..SuperOpsConfig::default()
    };
    let client = SuperOps::new(config, Arc::new(Unlimited)).unwrap();
    (server, client)
}

async fn with(list: Value) -> (MockServer, SuperOps) {
    let body = json!({ "data": { "getAssetSoftwareList": list } });
    answering(ResponseTemplate::new(200).set_body_json(body)).await
}

#[tokio::test]
async fn a_page_is_asked_for_and_read() {
    let (server, client) = with(json!({
        "assetSoftwares": [
            { "id": 5_100_000_000_000_000_001_u64, "software": { "name": " Google Chrome ", "publisher": "Google LLC" }, "version": "123.0.6312.86" },
            { "id": "2", "software": "{\"name\": \"7-Zip 23.01 (x64)\"}", "version": " 23.01 " },
            { "id": "3", "software": "PuTTY release 0.80 (64-bit)", "version": null },
            { "id": "4", "software": { "name": "Odd", "version": 7 }, "version": "" }
        ],
        "listInfo": { "hasMore": true, "totalCount": "130" }
    }))
    .await;
    let read = client.device_software(&device(), 2).await.unwrap();
    let programs: Vec<_> = read
        .page
        .items
        .iter()
        .map(|p| (p.name.as_str(), p.version.as_deref()))
        .collect();
    assert_eq!(
        programs,
        [
            ("Google Chrome", Some("123.0.6312.86")),
            ("7-Zip 23.01 (x64)", Some("23.01")),
            ("PuTTY release 0.80 (64-bit)", None),
            ("Odd", None),
        ]
    );
    assert!(read.page.has_more && read.flaws.is_empty());
    let request = &server.received_requests().await.unwrap()[0];
    let body: Value = request.body_json().unwrap();
    assert_eq!(
        body["variables"],
        json!({ "input": { "assetId": device().as_str(), "listInfo": { "page": 2, "pageSize": 100 } } })
    );
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_counted_and_the_others_stay() {
    let (_server, client) = with(json!({
        "assetSoftwares": [
            null,
            { "id": "2", "software": null, "version": "1" },
            { "id": "3", "software": { "title": "no name" }, "version": "1" },
            { "id": "4", "software": ["a"], "version": "1" },
            { "id": null, "software": { "name": "  " }, "version": "1" },
            { "id": "6", "software": { "name": "x".repeat(900) }, "version": "9".repeat(900) }
        ],
        "listInfo": null
    }))
    .await;
    let read = client.device_software(&device(), 1).await.unwrap();
    assert!(!read.page.has_more);
    assert_eq!(read.page.items.len(), 1);
    assert_eq!(read.page.items[0].name.len(), LONGEST_NAME);
    assert_eq!(
        read.flaws,
        [
            "row 0, null",
            "row 1 (id 2), software.name: missing or empty",
            "row 2 (id 3), software.name: missing or empty",
            "row 3 (id 4), software.name: missing or empty",
            "row 4, software.name: missing or empty",
        ]
    );
}

#[tokio::test]
async fn an_answer_without_a_list_is_an_error_and_never_an_empty_one() {
    let (_server, client) = with(json!({ "assetSoftwares": null, "listInfo": null })).await;
    let error = client.device_software(&device(), 1).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Malformed);
    let (_server, client) = with(Value::Null).await;
    let error = client.device_software(&device(), 1).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::NotFound);
    let (_server, client) = with(json!({ "assetSoftwares": [], "listInfo": null })).await;
    let read = client.device_software(&device(), 1).await.unwrap();
    assert_eq!(read.page.items, []);
}

#[tokio::test]
async fn each_kind_of_trouble_says_what_it_means() {
    let code = |code: &str| {
        ResponseTemplate::new(200).set_body_json(json!({
            "errors": [{ "message": null, "extensions": { "clientError": [{ "code": code }] } }], "data": {} }))
    };
    for (response, kind) in [
        (code("rate_limit_exceeded"), FailureKind::Throttled),
        (code("forbidden"), FailureKind::Unauthorized),
        (code("entity_does_not_exist"), FailureKind::NotFound),
        (ResponseTemplate::new(401), FailureKind::Unauthorized),
        (ResponseTemplate::new(503), FailureKind::Unavailable),
        (
            ResponseTemplate::new(200).set_delay(Duration::from_secs(3)),
            FailureKind::Unavailable,
        ),
        (
            ResponseTemplate::new(200).set_body_string("<html>"),
            FailureKind::Malformed,
        ),
    ] {
        let shown = format!("{kind:?}");
        let (_server, client) = answering(response).await;
        let error = client.device_software(&device(), 1).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{shown}: {error}");
        assert!(!format!("{error:?}").contains("tok-3f9a-secret"));
    }
}
