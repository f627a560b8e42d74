//! Against a fake server on the real wire.

use domain::failure::{Classify, FailureKind};
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path, query_param},
};

use super::*;
use crate::{breaker::BreakerConfig, rate_limit::Unlimited};

fn intel(url: &str) -> Intel {
    let feed = FeedConfig {
        base_url: url.to_owned(),
        timeout_secs: 1,
        requests_per_minute: 60,
        breaker: BreakerConfig {
            failures: 3,
            first_pause_secs: 60,
            longest_pause_secs: 600,
        },
    };
    let config = IntelConfig {
        kev: feed.clone(),
        epss: feed.clone(),
        msrc: feed.clone(),
        cve_services: feed,
    };
    let limiter: Arc<dyn RateLimiter> = Arc::new(Unlimited);
    Intel::new(&config, &limiter).unwrap()
}

fn at() -> Timestamp {
    "2026-11-01T00:00:00Z".parse().unwrap()
}

fn cve(id: &str) -> CveId {
    id.parse().unwrap()
}

#[tokio::test]
async fn a_catalogue_that_did_not_change_is_not_sent_again() {
    let server = MockServer::start().await;
    let catalogue = json!({ "catalogVersion": "2026.10.30", "vulnerabilities": [
        { "cveID": "CVE-2024-0001", "dateAdded": "2024-01-10", "vendorProject": "Acme", "product": "Box" } ] });
    let feed = "/sites/default/files/feeds/known_exploited_vulnerabilities.json";
    Mock::given(method("GET"))
        .and(path(feed))
        .and(header("if-none-match", "\"v1\""))
        .respond_with(ResponseTemplate::new(304))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path(feed))
        .and(header("accept", "application/json"))
        .respond_with(
            ResponseTemplate::new(200)
                .insert_header("etag", "\"v1\"")
                .set_body_json(catalogue),
        )
        .expect(1)
        .mount(&server)
        .await;
    let intel = intel(&server.uri());
    let (kev, mark) = intel.kev(&Mark::default()).await.unwrap().unwrap();
    assert_eq!((kev.len(), kev.version()), (1, "2026.10.30"));
    assert_eq!(mark.etag.as_deref(), Some("\"v1\""));
    assert!(intel.kev(&mark).await.unwrap().is_none());
}

#[tokio::test]
async fn many_predictions_are_one_question() {
    let server = MockServer::start().await;
    let row =
        json!({ "cve": "CVE-2024-0001", "epss": "0.5", "percentile": "0.9", "date": "2026-11-01" });
    Mock::given(method("GET"))
        .and(path("/data/v1/epss"))
        .and(query_param("cve", "CVE-2024-0001,CVE-2024-0002"))
        .and(query_param("limit", "2"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": [row] })))
        .expect(1)
        .mount(&server)
        .await;
    let asked = [cve("CVE-2024-0001"), cve("CVE-2024-0002")];
    let answer = intel(&server.uri()).epss(&asked, at()).await.unwrap();
    assert_eq!(answer.records.len(), 1);
}

#[tokio::test]
async fn a_record_that_is_not_there_is_no_error_and_another_one_is() {
    let server = MockServer::start().await;
    let gone = json!({ "error": "CVE_RECORD_DNE" });
    Mock::given(path("/api/cve/CVE-2099-0001"))
        .respond_with(ResponseTemplate::new(404).set_body_json(gone))
        .mount(&server)
        .await;
    let other = json!({ "cveMetadata": { "cveId": "CVE-2024-0009" }, "containers": { "cna": {} } });
    Mock::given(path("/api/cve/CVE-2099-0002"))
        .respond_with(ResponseTemplate::new(200).set_body_json(other))
        .mount(&server)
        .await;
    let intel = intel(&server.uri());
    assert!(
        intel
            .cve_record(&cve("CVE-2099-0001"), at())
            .await
            .unwrap()
            .is_none()
    );
    let error = intel
        .cve_record(&cve("CVE-2099-0002"), at())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::Malformed);
    assert!(error.to_string().starts_with("cve_services: "), "{error}");
}

#[tokio::test]
async fn each_status_says_what_the_caller_can_do() {
    for (status, kind) in [
        (429, FailureKind::Throttled),
        (503, FailureKind::Unavailable),
        (408, FailureKind::Unavailable),
        (403, FailureKind::Unauthorized),
        (404, FailureKind::NotFound),
        (400, FailureKind::InvalidInput),
        (301, FailureKind::InvalidInput),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(status).insert_header("retry-after", "7"))
            .expect(1)
            .mount(&server)
            .await;
        let error = intel(&server.uri()).msrc_releases().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}");
        if status == 429 || status == 503 {
            assert_eq!(error.retry_after().map(|pause| pause.as_secs()), Some(7));
        }
    }
}

#[tokio::test]
async fn what_does_not_answer_is_left_alone_and_nonsense_is_named() {
    let server = MockServer::start().await;
    Mock::given(path("/cvrf/v3.0/updates"))
        .respond_with(ResponseTemplate::new(500))
        .expect(3)
        .mount(&server)
        .await;
    Mock::given(path("/data/v1/epss"))
        .respond_with(ResponseTemplate::new(200).set_body_string("<html>"))
        .mount(&server)
        .await;
    let intel = intel(&server.uri());
    for _ in 0..3 {
        let error = intel.msrc_releases().await.unwrap_err();
        assert!(error.retry_after().is_none(), "{error}");
    }
    let error = intel.msrc_releases().await.unwrap_err();
    assert!(error.retry_after().is_some(), "{error}");
    let error = intel.epss(&[cve("CVE-2024-0001")], at()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Malformed);
}
