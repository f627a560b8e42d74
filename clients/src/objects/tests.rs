//! What goes over the wire to S3, and what its answers mean.

use domain::failure::{Classify, FailureKind};
use serde_json::json;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path},
};

use super::*;
use crate::aws::StaticCredentials;

const BODY: &str = "one";

fn config(url: &str) -> S3Config {
    let text = json!({
        "region": "eu-central-1",
        "endpoint_url": url,
        "playbooks_bucket": "a-playbooks",
        "logs_bucket": "a-logs",
        "reports_bucket": "a-reports",
    });
    S3Config {
        credentials: Some(StaticCredentials {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: "very-secret".into(),
        }),
        ..serde_json::from_value(text).unwrap()
    }
}

fn log() -> ObjectKey {
    "logs/clients/7/a".parse().unwrap()
}

async fn answering(status: u16, code: &str) -> (MockServer, Objects) {
    let server = MockServer::start().await;
    let body = format!("<Error><Code>{code}</Code><Message>inner words</Message></Error>");
    let answer = ResponseTemplate::new(status).set_body_string(body);
    Mock::given(wiremock::matchers::any())
        .respond_with(answer)
        .mount(&server)
        .await;
    let objects = Objects::on_s3(&config(&server.uri())).await.unwrap();
    (server, objects)
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers[name].to_str().unwrap()
}

#[tokio::test]
async fn a_log_is_put_on_the_condition_that_it_is_new_with_a_checksum_and_a_signature() {
    let server = MockServer::start().await;
    Mock::given(method("PUT"))
        .and(path("/a-logs/logs/clients/7/a"))
        .respond_with(ResponseTemplate::new(200).insert_header("etag", "\"1\""))
        .expect(1)
        .mount(&server)
        .await;
    let config = S3Config {
        encryption: Encryption::Kms,
        kms_key: Some("arn:aws:kms:eu-central-1:1:key/k".to_owned()),
        ..config(&server.uri())
    };
    let objects = Objects::on_s3(&config).await.unwrap();
    assert_eq!(objects.create(&log(), BODY).await.unwrap(), Created::Now);
    let request = &server.received_requests().await.unwrap()[0];
    assert_eq!(header(request, "if-none-match"), "*");
    // SHA-256 of the body, in base64.
    assert_eq!(
        header(request, "x-amz-checksum-sha256"),
        "dpLDrTVAu4A8Ags67mbNiIcSMjTqDG5xQ8Ct1z/0Me0="
    );
    assert_eq!(header(request, "x-amz-server-side-encryption"), "aws:kms");
    let key = header(request, "x-amz-server-side-encryption-aws-kms-key-id");
    assert_eq!(Some(key), config.kms_key.as_deref());
    let signature = header(request, "authorization");
    assert!(
        signature.contains("AKIDEXAMPLE") && signature.contains("/eu-central-1/s3/"),
        "{signature}"
    );
    assert!(!format!("{objects:?}{config:?}").contains("very-secret"));
}

#[tokio::test]
async fn a_retry_whose_first_answer_was_lost_reads_what_is_there() {
    for (there, same) in [(BODY, true), ("two", false)] {
        let server = MockServer::start().await;
        Mock::given(method("PUT"))
            .respond_with(ResponseTemplate::new(412))
            .mount(&server)
            .await;
        let answer = ResponseTemplate::new(200)
            .set_body_string(there)
            .insert_header("etag", "\"1\"")
            .insert_header("last-modified", "Fri, 27 Nov 2026 00:00:00 GMT");
        Mock::given(method("GET"))
            .respond_with(answer)
            .mount(&server)
            .await;
        let objects = Objects::on_s3(&config(&server.uri())).await.unwrap();
        match objects.create(&log(), BODY).await {
            Ok(created) => assert_eq!((created, same), (Created::Before, true)),
            Err(error) => assert_eq!((error.kind(), same), (FailureKind::Conflict, false)),
        }
    }
}

#[tokio::test]
async fn each_answer_of_s3_says_what_to_do_and_whether_to_try_again() {
    use FailureKind as K;
    for (status, code, kind, advice) in [
        (404, "NoSuchBucket", K::Unauthorized, "storage.yaml"),
        (404, "NoSuchKey", K::NotFound, "logs/clients/7/a"),
        (403, "AccessDenied", K::Unauthorized, "roles.yaml"),
        (403, "SignatureDoesNotMatch", K::Unauthorized, "credentials"),
        (400, "ExpiredToken", K::Unauthorized, "renew them"),
        (
            400,
            "AuthorizationHeaderMalformed",
            K::Unauthorized,
            "objects.s3.region",
        ),
        (
            301,
            "PermanentRedirect",
            K::Unauthorized,
            "objects.s3.region",
        ),
        (400, "InvalidRequest", K::Unauthorized, "InvalidRequest"),
        (503, "SlowDown", K::Throttled, "throttled"),
        (429, "TooMany", K::Throttled, "throttled"),
        (500, "InternalError", K::Unavailable, "network"),
    ] {
        let (server, objects) = answering(status, code).await;
        let error = objects.read(&log()).await.unwrap_err();
        let told = error.to_string();
        assert_eq!(error.kind(), kind, "{code}: {error:?}");
        assert!(
            told.contains(advice) && !told.contains("inner words"),
            "{told}"
        );
        let calls = server.received_requests().await.unwrap().len();
        assert_eq!(calls, 1, "{code}: only Temporal tries again");
    }
}

#[tokio::test]
async fn nobody_there_may_be_tried_again() {
    let objects = Objects::on_s3(&config("http://127.0.0.1:9")).await.unwrap();
    let error = objects.read(&log()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn of_many_who_create_at_once_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::in_folder(folder.path()).unwrap();
    let (key, created) = (log(), |number: u32| format!("by {number}"));
    let all = (0..16).map(|number| objects.create(&key, created(number)));
    let all = futures::future::join_all(all).await;
    let won: Vec<_> = (0..).zip(&all).filter(|(_, done)| done.is_ok()).collect();
    assert_eq!(won.len(), 1, "{all:?}");
    assert_eq!(objects.read(&key).await.unwrap(), created(won[0].0));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Objects::in_folder(&file.path().join("objects")).unwrap_err();
    assert!(error.to_string().contains("objects.path"), "{error}");
}

#[test]
fn a_full_disk_is_named_and_tried_again() {
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let error = object_store::Error::Generic {
        store: "LocalFileSystem",
        source: Box::new(full),
    };
    let error = super::error::explain("objects", "logs/clients/7/a", error);
    assert_eq!(error.kind(), FailureKind::Unavailable);
    let words = error.to_string();
    assert!(
        words.contains("the disk is full: free space where objects is"),
        "{words}"
    );
}
