use std::time::Duration;

use async_trait::async_trait;
use domain::failure::{Classify, FailureKind};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

use super::*;
use crate::{
    aws::StaticCredentials, breaker::BreakerConfig, memory::DIMENSIONS, rate_limit::Unlimited,
};

const TITAN: &str = "amazon.titan-embed-text-v2:0";
const COHERE: &str = "eu.cohere.embed-v4:0";

fn config(url: &str, model: &str) -> EmbeddingsConfig {
    EmbeddingsConfig {
        region: "eu-central-1".to_owned(),
        endpoint_url: Some(url.to_owned()),
        model: model.to_owned(),
        timeout_secs: 2,
        alike_permille: 600,
        cents_per_mtok: Some(2),
        breaker: BreakerConfig {
            failures: 2,
            first_pause_secs: 30,
            longest_pause_secs: 60,
        },
        credentials: Some(StaticCredentials::of_this_machine()),
    }
}

async fn model(server: &MockServer, id: &str) -> Embeddings {
    let config = config(&server.uri(), id);
    Embeddings::new(config, Arc::new(Unlimited)).await.unwrap()
}

async fn answers(server: &MockServer, response: ResponseTemplate) {
    Mock::given(method("POST"))
        .respond_with(response)
        .mount(server)
        .await;
}

fn values(first: f32) -> Vec<f32> {
    let mut values = vec![0.0; DIMENSIONS];
    (values[0], values[1]) = (first, 4.0);
    values
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

async fn sent(server: &MockServer) -> (String, Value) {
    let requests = server.received_requests().await.unwrap();
    let last = requests.last().unwrap();
    assert_eq!(last.headers["content-type"], "application/json");
    let signed = last.headers["authorization"].to_str().unwrap();
    assert!(signed.contains("/eu-central-1/bedrock/aws4_request"));
    (last.url.path().to_owned(), last.body_json().unwrap())
}

#[tokio::test]
async fn titan_is_asked_for_one_text_in_256_dimensions() {
    let server = MockServer::start().await;
    let answer = json!({ "embedding": values(3.0), "inputTextTokenCount": 12,
        "embeddingsByType": { "float": values(3.0) } });
    answers(&server, ResponseTemplate::new(200).set_body_json(answer)).await;
    let titan = model(&server, TITAN).await;
    assert_eq!(titan.name().as_str(), "amazon.titan-embed-text-v2:0/256/1");
    let made = titan
        .embed(&texts(&["disk <path> is full"]), Purpose::Ask)
        .await;
    let made = made.unwrap();
    assert_eq!(made.tokens, 12);
    assert!((made.vectors[0].as_slice()[0] - 0.6).abs() < 1e-6);
    let (path, body) = sent(&server).await;
    assert_eq!(path, "/model/amazon.titan-embed-text-v2%3A0/invoke");
    assert_eq!(
        body,
        json!({ "inputText": "disk <path> is full", "dimensions": 256, "normalize": true })
    );
}

#[tokio::test]
async fn cohere_is_asked_for_many_texts_and_what_they_are_for() {
    let server = MockServer::start().await;
    let answer = json!({ "id": "1", "texts": ["a", "b"], "response_type": "embeddings_by_type",
        "embeddings": { "float": [values(3.0), values(-3.0)] } });
    answers(&server, ResponseTemplate::new(200).set_body_json(answer)).await;
    let cohere = model(&server, COHERE).await;
    // The profile leads to the same model, so its vectors may be compared.
    assert_eq!(cohere.name().as_str(), "cohere.embed-v4:0/256/1");
    for (purpose, name) in [
        (Purpose::Keep, "search_document"),
        (Purpose::Ask, "search_query"),
    ] {
        let made = cohere.embed(&texts(&["a", "b"]), purpose).await.unwrap();
        assert!((made.vectors[1].as_slice()[0] + 0.6).abs() < 1e-6);
        let (_, body) = sent(&server).await;
        assert_eq!(body["input_type"], name);
        assert_eq!(
            (&body["output_dimension"], &body["texts"]),
            (&json!(256), &json!(["a", "b"]))
        );
    }
}

#[tokio::test]
async fn what_no_model_takes_is_not_sent() {
    let server = MockServer::start().await;
    let titan = model(&server, TITAN).await;
    let long = "x".repeat(50_001);
    for refused in [&[][..], &["a", "b"], &[""], &[" "], &[&long]] {
        let error = titan
            .embed(&texts(refused), Purpose::Keep)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), FailureKind::InvalidInput, "{error}");
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn each_failure_says_what_may_be_done_about_it() {
    use FailureKind as K;
    let short = json!({ "embedding": [1.0, 2.0], "inputTextTokenCount": 1 });
    let zero = json!({ "embedding": vec![0.0; DIMENSIONS] });
    for (status, code, body, kind) in [
        (429, "ThrottlingException", json!({}), K::Throttled),
        (
            503,
            "ServiceUnavailableException",
            json!({}),
            K::Unavailable,
        ),
        (408, "ModelTimeoutException", json!({}), K::Unavailable),
        (
            424,
            "ModelErrorException",
            json!({ "originalStatusCode": 400 }),
            K::InvalidInput,
        ),
        (
            424,
            "ModelErrorException",
            json!({ "originalStatusCode": 500 }),
            K::Unavailable,
        ),
        (
            403,
            "AccessDeniedException",
            json!({ "message": "no" }),
            K::Unauthorized,
        ),
        (404, "ResourceNotFoundException", json!({}), K::NotFound),
        (400, "ValidationException", json!({}), K::InvalidInput),
        (
            400,
            "ServiceQuotaExceededException",
            json!({}),
            K::InvalidInput,
        ),
        (200, "", short, K::Malformed),
        (200, "", zero, K::Malformed),
        (200, "", json!("nothing"), K::Malformed),
    ] {
        let server = MockServer::start().await;
        let response = ResponseTemplate::new(status).set_body_json(body);
        answers(&server, response.insert_header("x-amzn-errortype", code)).await;
        let titan = model(&server, TITAN).await;
        let error = titan
            .embed(&texts(&["a"]), Purpose::Keep)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {code}: {error}");
    }
}

#[tokio::test]
async fn one_that_does_not_answer_is_left_alone() {
    let server = MockServer::start().await;
    answers(&server, ResponseTemplate::new(503)).await;
    let titan = model(&server, TITAN).await;
    for _ in 0..4 {
        let error = titan.embed(&texts(&["a"]), Purpose::Ask).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Unavailable);
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}

/// A budget that is used up.
#[derive(Debug)]
struct UsedUp;

#[async_trait]
impl RateLimiter for UsedUp {
    async fn take(&self, _: &str) -> Result<Permit, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Permit::Wait(Duration::from_secs(7)))
    }

    async fn block(
        &self,
        _: &str,
        _: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}

#[tokio::test]
async fn beyond_the_budget_nothing_is_sent() {
    let server = MockServer::start().await;
    let config = config(&server.uri(), TITAN);
    let titan = Embeddings::new(config, Arc::new(UsedUp)).await.unwrap();
    let error = titan.embed(&texts(&["a"]), Purpose::Ask).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Throttled);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_model_without_256_dimensions_and_other_mistakes_are_named() {
    for bad in [
        "cohere.embed-english-v3",
        "amazon.titan-embed-text-v1",
        "",
        "x/amazon.titan-embed-text-v2:0",
    ] {
        let found = config("https://b.example", bad)
            .validate()
            .unwrap_err()
            .to_string();
        assert!(
            found.contains("memory.embeddings.model") && found.contains("256 dimensions"),
            "{found}"
        );
    }
    let mut wrong = config("http://b.example", TITAN);
    (wrong.timeout_secs, wrong.alike_permille) = (21, 0);
    wrong.breaker.failures = 0;
    let found = wrong.validate().unwrap_err().to_string();
    for field in [
        "bedrock.endpoint_url",
        "timeout_secs",
        "alike_permille",
        "breaker.failures",
    ] {
        assert!(found.contains(field), "{field}: {found}");
    }
}
