//! Against a fake server on the real wire: one test per meaning of an answer, and the request.

use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use domain::failure::{Classify, FailureKind};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path, query_param},
};

use super::*;
use crate::{
    rate_limit::Unlimited,
    secret::{
        Use,
        vault::{self, Vault},
    },
};

const KEY: &str = "2f1d9c1e-secret-key";

fn cve() -> CveId {
    "CVE-2024-20666".parse().unwrap()
}

fn config(url: &str) -> NvdConfig {
    NvdConfig {
        base_url: url.to_owned(),
        api_key: Some(KEY.into()),
        timeout_secs: 1,
        ..NvdConfig::default()
    }
}

async fn lookup(response: ResponseTemplate) -> Result<CveFacts, NvdError> {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/rest/json/cves/2.0"))
        .and(query_param("cveId", "CVE-2024-20666"))
        .and(header("apiKey", KEY))
        .respond_with(response)
        .expect(1)
        .mount(&server)
        .await;
    Nvd::new(config(&server.uri()), Arc::new(Unlimited))
        .unwrap()
        .lookup_cve(&cve())
        .await
}

async fn failing(status: u16, message: Option<&str>) -> NvdError {
    let mut response = ResponseTemplate::new(status);
    if let Some(message) = message {
        response = response.insert_header("message", message);
    }
    lookup(response).await.unwrap_err()
}

fn metric(version: &str, rank: &str, score: f64) -> Value {
    json!({ "source": format!("{rank}-{version}"), "type": rank,
        "cvssData": { "version": version, "vectorString": format!("V{version}"), "baseScore": score } })
}

async fn with_metrics(metrics: Value) -> CveFacts {
    let body = json!({ "resultsPerPage": 1, "startIndex": 0, "totalResults": 1, "format": "NVD_CVE",
        "brandNew": { "x": 1 },
        "vulnerabilities": [{ "cve": { "id": "CVE-2024-20666", "vulnStatus": "Analyzed",
            "cisaExploitAdd": "2024-01-10", "metrics": metrics, "descriptions": [] } }] });
    lookup(ResponseTemplate::new(200).set_body_json(body))
        .await
        .unwrap()
}

#[tokio::test]
async fn the_newest_version_wins_and_the_authority_inside_it() {
    let facts = with_metrics(json!({
        "cvssMetricV2": [metric("2.0", "Primary", 7.5)],
        "cvssMetricV31": [metric("3.1", "Secondary", 9.8), metric("3.1", "Primary", 6.6)],
        "ssvcV203": [{ "ssvcData": {} }],
    }))
    .await;
    assert_eq!(facts.base_score_tenths, Some(66));
    assert_eq!(facts.cvss_version.as_deref(), Some("3.1"));
    assert_eq!(facts.vector.as_deref(), Some("V3.1"));
    assert_eq!(facts.score_source.as_deref(), Some("Primary-3.1"));
    assert_eq!(facts.status.as_deref(), Some("Analyzed"));
    assert!(facts.known_exploited && !facts.unavailable);
}

#[tokio::test]
async fn a_secondary_score_of_a_newer_version_wins() {
    let facts = with_metrics(json!({
        "cvssMetricV40": [metric("4.0", "Secondary", 9.3)],
        "cvssMetricV31": [metric("3.1", "Primary", 6.6)],
    }))
    .await;
    assert_eq!(
        (facts.base_score_tenths, facts.cvss_version.as_deref()),
        (Some(93), Some("4.0"))
    );
    let facts = with_metrics(json!({ "cvssMetricV30": [metric("3.0", "Primary", 10.0)], "cvssMetricV2": [metric("2.0", "Primary", 5.0)] })).await;
    assert_eq!(facts.base_score_tenths, Some(100));
}

#[tokio::test]
async fn a_cve_without_metrics_has_no_score() {
    let facts = with_metrics(json!({})).await;
    assert_eq!((facts.base_score_tenths, facts.cvss_version), (None, None));
}

#[tokio::test]
async fn no_rows_means_no_such_cve() {
    let body = json!({ "totalResults": 0, "vulnerabilities": [] });
    let error = lookup(ResponseTemplate::new(200).set_body_json(body))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::NotFound);
}

#[tokio::test]
async fn a_403_is_a_limit_with_a_pause_of_30_seconds() {
    let error = failing(403, None).await;
    assert_eq!(error.kind(), FailureKind::Throttled);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_429_obeys_its_header() {
    let response = ResponseTemplate::new(429).insert_header("retry-after", "7");
    let error = lookup(response).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_after()),
        (FailureKind::Throttled, Some(Duration::from_secs(7)))
    );
}

#[tokio::test]
async fn a_404_is_a_wrong_key_or_parameter_and_never_a_missing_cve() {
    let key = failing(404, Some("Invalid apiKey.")).await;
    assert_eq!(key.kind(), FailureKind::Unauthorized);
    assert!(key.to_string().contains("Invalid apiKey."));
    let parameter = failing(404, Some("Invalid parameter cveId.")).await;
    assert_eq!(parameter.kind(), FailureKind::InvalidInput);
    assert!(parameter.to_string().contains("Invalid parameter cveId."));
    assert_eq!(failing(404, None).await.kind(), FailureKind::InvalidInput);
}

#[tokio::test]
async fn trouble_inside_is_worth_another_try() {
    for status in [408, 500, 502, 503, 504] {
        assert_eq!(
            failing(status, None).await.kind(),
            FailureKind::Unavailable,
            "{status}"
        );
    }
    assert_eq!(failing(400, None).await.kind(), FailureKind::InvalidInput);
    assert_eq!(failing(401, None).await.kind(), FailureKind::Unauthorized);
}

#[tokio::test]
async fn a_late_answer_and_a_closed_port_are_unavailable() {
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(3));
    assert_eq!(
        lookup(slow).await.unwrap_err().kind(),
        FailureKind::Unavailable
    );
    let nobody = Nvd::new(config("http://127.0.0.1:1"), Arc::new(Unlimited)).unwrap();
    let error = nobody.lookup_cve(&cve()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unavailable);
    assert!(!format!("{error:?}").contains(KEY));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_malformed_and_is_not_repeated() {
    for body in [
        "<html>",
        "{}",
        r#"{"totalResults":"s3cret"}"#,
        r#"{"totalResults":1}"#,
    ] {
        let error = lookup(ResponseTemplate::new(200).set_body_string(body))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), FailureKind::Malformed, "{body}");
        assert!(!error.to_string().contains("s3cret"));
    }
    let body = json!({ "totalResults": 1, "vulnerabilities": [{ "cve": { "id": "CVE-2024-20666",
        "metrics": { "cvssMetricV31": [metric("3.1", "Primary", 66.0)] } } }] });
    let error = lookup(ResponseTemplate::new(200).set_body_json(body))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::Malformed);
}

#[derive(Debug)]
struct Empty;

#[async_trait]
impl RateLimiter for Empty {
    async fn take(&self, bucket: &str) -> Result<Permit, Box<dyn std::error::Error + Send + Sync>> {
        assert_eq!(bucket, "nvd");
        Ok(Permit::Wait(Duration::from_secs(6)))
    }

    async fn block(
        &self,
        _: &str,
        _: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        unreachable!("nothing was sent")
    }
}

/// Grants everything and remembers for how long all were to wait.
#[derive(Debug, Default)]
struct Noting(Mutex<Vec<Duration>>);

#[async_trait]
impl RateLimiter for Noting {
    async fn take(&self, _: &str) -> Result<Permit, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Permit::Granted)
    }

    async fn block(
        &self,
        bucket: &str,
        pause: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        assert_eq!(bucket, "nvd");
        self.0.lock().unwrap().push(pause);
        Ok(())
    }
}

#[tokio::test]
async fn a_request_above_the_limit_makes_everybody_wait() {
    let header =
        |status, secs: &str| ResponseTemplate::new(status).insert_header("retry-after", secs);
    for (response, expected) in [
        (ResponseTemplate::new(403), Some(30)),
        (header(403, "7"), Some(30)),
        (header(403, "60"), Some(60)),
        (header(429, "7"), Some(7)),
        (ResponseTemplate::new(503), None),
        (ResponseTemplate::new(404), None),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(response)
            .mount(&server)
            .await;
        let limiter = Arc::new(Noting::default());
        let client = Nvd::new(config(&server.uri()), limiter.clone()).unwrap();
        client.lookup_cve(&cve()).await.unwrap_err();
        let blocked: Vec<_> = limiter.0.lock().unwrap().clone();
        let expected: Vec<_> = expected.map(Duration::from_secs).into_iter().collect();
        assert_eq!(blocked, expected);
    }
}

#[tokio::test]
async fn an_empty_bucket_sends_nothing() {
    let server = MockServer::start().await;
    let client = Nvd::new(config(&server.uri()), Arc::new(Empty)).unwrap();
    let error = client.lookup_cve(&cve()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(6)));
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_key_that_was_rotated_meanwhile_is_worth_another_try() {
    let vault = Vault::default();
    vault.put("one");
    let manager = vault.serve().await;
    let an_hour = Duration::from_secs(3600);
    let key = vault::at(&manager.uri(), Use::Header, an_hour).await;
    let server = MockServer::start().await;
    Mock::given(header("apikey", "one"))
        .respond_with(ResponseTemplate::new(404).insert_header("message", "Invalid apiKey."))
        .mount(&server)
        .await;
    let nvd = Nvd::new(
        NvdConfig {
            base_url: server.uri(),
            api_key: Some(key.unwrap()),
            ..NvdConfig::default()
        },
        Arc::new(Unlimited),
    )
    .unwrap();
    let wrong = nvd.lookup_cve(&cve()).await.unwrap_err();
    assert_eq!(wrong.kind(), FailureKind::Unauthorized);
    // A client of its own: one look for a refused key is enough for a while.
    let key = vault::at(&manager.uri(), Use::Header, an_hour).await;
    let nvd = Nvd {
        key: key.ok(),
        ..nvd
    };
    vault.put("two");
    let refused = nvd.lookup_cve(&cve()).await.unwrap_err();
    assert!(matches!(refused, NvdError::Rotated), "{refused}");
    assert!(refused.kind().is_retryable() && refused.retry_after().is_none());
    nvd.lookup_cve(&cve()).await.unwrap_err();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.last().unwrap().headers["apikey"], "two");
}

#[tokio::test]
async fn without_a_key_no_header_is_sent() {
    let server = MockServer::start().await;
    let config = NvdConfig {
        api_key: None,
        ..config(&server.uri())
    };
    let client = Nvd::new(config, Arc::new(Unlimited)).unwrap();
    client.lookup_cve(&cve()).await.unwrap_err();
    let requests = server.received_requests().await.unwrap();
    assert!(!requests[0].headers.contains_key("apikey"));
}

#[test]
fn the_key_is_neither_shown_nor_sent_in_the_clear() {
    let good = config("https://services.nvd.nist.gov");
    assert!(!format!("{good:?}").contains(KEY));
    let client = Nvd::new(good.clone(), Arc::new(Unlimited)).unwrap();
    assert!(!format!("{client:?}").contains(KEY));
    let clear = NvdConfig {
        base_url: "http://services.nvd.nist.gov".to_owned(),
        ..good.clone()
    };
    assert!(
        clear
            .validate()
            .unwrap_err()
            .to_string()
            .contains("nvd.base_url")
    );
    let broken = NvdConfig {
        api_key: Some(format!("{KEY}\n").as_str().into()),
        timeout_secs: 0,
        ..good
    };
    let text = broken.validate().unwrap_err().to_string();
    assert!(
        text.contains("nvd.api_key") && text.contains("nvd.timeout_secs") && !text.contains(KEY)
    );
    assert!(serde_json::from_str::<NvdConfig>(r#"{"api_key":"x"}"#).is_err());
}
