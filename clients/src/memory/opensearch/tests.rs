//! Against a fake server on the real wire: one test per meaning of an answer, and the requests. What
//! every adapter must do is in `memory::conformance`, and runs on a real OpenSearch.

use std::time::Duration;

use domain::failure::{Classify, FailureKind};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path, path_regex},
};

use super::*;
use crate::{
    aws::StaticCredentials,
    memory::{
        ModelVector,
        conformance::{along, incident},
    },
};

const SECRET: &str = "wJalrXUtnFEMI-secret";

fn config(url: &str) -> OpenSearchConfig {
    OpenSearchConfig {
        url: url.to_owned(),
        prefix: "autoops".to_owned(),
        region: Some("eu-central-1".to_owned()),
        credentials: Some(StaticCredentials {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: SECRET.into(),
        }),
    }
}

fn json_answer(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

fn mapping(version: i64, dimension: u64) -> Value {
    json!({ "mappings": {
        "_meta": { "autoops_version": version, "model": "m" },
        "properties": { "vector": { "dimension": dimension } }
    } })
}

/// A server whose indexes are there.
async fn server() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path_regex("^/autoops-[^*]+/_mapping$"))
        .respond_with(json_answer(json!({ "autoops-rule": mapping(1, 256) })))
        .mount(&server)
        .await;
    server
}

async fn on(server: &MockServer) -> OpenSearchMemory {
    OpenSearchMemory::open(&config(&server.uri()))
        .await
        .unwrap()
}

async fn answer(server: &MockServer, verb: &str, at: &str, response: ResponseTemplate) {
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(response)
        .mount(server)
        .await;
}

async fn sent(server: &MockServer, at: &str) -> Vec<Request> {
    let all = server.received_requests().await.unwrap();
    all.into_iter()
        .filter(|request| request.url.path() == at)
        .collect()
}

fn question(text: Option<&str>) -> Question {
    Question {
        client: "7".parse().unwrap(),
        near: Near::Rule(along(&[(0, 1.0)])),
        text: text.map(str::to_owned),
        limit: 5,
    }
}

fn record(id: &str) -> Record {
    Record {
        incident: incident("7", id, "disk full"),
        rule: along(&[(0, 1.0)]),
        model: None,
    }
}

fn hits(all: &[(&str, f64, Value)]) -> Value {
    let all: Vec<Value> = all
        .iter()
        .map(|(id, score, source)| json!({ "_id": id, "_score": score, "_source": source }))
        .collect();
    json!({ "timed_out": false, "_shards": { "failed": 0 }, "hits": { "hits": all } })
}

fn source(client: &str, id: &str) -> Value {
    json!({ "client": client, "incident": incident(client, id, "disk full") })
}

/// What a search that is answered so ends in.
async fn failing(response: ResponseTemplate) -> MemoryError {
    let server = server().await;
    answer(&server, "POST", "/autoops-rule/_search", response).await;
    let memory = on(&server).await;
    let error = memory.recall(&question(None)).await.unwrap_err();
    let asked = sent(&server, "/autoops-rule/_search").await;
    assert_eq!(asked.len(), 1, "nothing is tried twice");
    error
}

#[tokio::test]
async fn requests_are_signed_for_the_managed_service_and_the_secret_stays_with_us() {
    let server = server().await;
    let memory = on(&server).await;
    for request in server.received_requests().await.unwrap() {
        let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
        let signature = header("authorization");
        assert!(
            signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
                && signature.contains("/eu-central-1/es/aws4_request"),
            "{signature}"
        );
        assert_eq!(header("x-amz-content-sha256").len(), 64);
    }
    let shown = format!("{memory:?} {:?}", config("https://x.example"));
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn without_a_region_nothing_is_signed() {
    let server = server().await;
    let config = OpenSearchConfig {
        region: None,
        ..config(&server.uri())
    };
    OpenSearchMemory::open(&config).await.unwrap();
    let all = server.received_requests().await.unwrap();
    assert!(
        all.iter()
            .all(|request| !request.headers.contains_key("authorization"))
    );
    assert_eq!(all.len(), 1, "what is there is only looked at");
}

#[tokio::test]
async fn a_refusal_says_what_a_person_has_to_check() {
    for status in [401, 403] {
        let response = ResponseTemplate::new(status).set_body_string("no permissions for [search]");
        let error = failing(response).await;
        assert_eq!(error.kind(), FailureKind::Unauthorized);
        for words in ["credentials", "memory.opensearch.region", "access policy"] {
            assert!(error.to_string().contains(words), "{error}");
        }
        let said = std::error::Error::source(&error).unwrap().to_string();
        assert!(said.contains("no permissions"), "{said}");
    }
}

#[tokio::test]
async fn a_missing_index_says_what_to_do() {
    let body = json!({ "status": 404, "error": { "type": "index_not_found_exception",
        "reason": "no such index [autoops-rule]" } });
    let error = failing(ResponseTemplate::new(404).set_body_json(body)).await;
    assert_eq!(error.kind(), FailureKind::NotFound);
    assert!(
        error.to_string().contains("autoops-rule") && error.to_string().contains("snapshot"),
        "{error}"
    );
}

#[tokio::test]
async fn being_throttled_keeps_what_it_said_about_when() {
    let response = ResponseTemplate::new(429).insert_header("retry-after", "7");
    let error = failing(response).await;
    assert_eq!(error.kind(), FailureKind::Throttled);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn its_own_failures_may_be_tried_again_later() {
    for status in [408, 500, 502, 503, 504] {
        let error = failing(ResponseTemplate::new(status)).await;
        assert_eq!(error.kind(), FailureKind::Unavailable, "{status}: {error}");
    }
    let part = json!({ "timed_out": false, "_shards": { "failed": 1 }, "hits": { "hits": [] } });
    let error = failing(json_answer(part)).await;
    assert_eq!(error.kind(), FailureKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_request_that_is_refused_is_never_sent_again_and_says_why() {
    let body = json!({ "status": 400, "error": { "type": "search_phase_execution_exception",
        "reason": "all shards failed", "caused_by": { "reason": "invalid dimension: 3" } } });
    let error = failing(ResponseTemplate::new(400).set_body_json(body)).await;
    assert_eq!(error.kind(), FailureKind::InvalidInput);
    assert!(
        error.to_string().contains("invalid dimension: 3"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_opensearch_is_not_believed() {
    let page = ResponseTemplate::new(200).set_body_string("<html>Log in</html>");
    let moved = ResponseTemplate::new(304);
    for response in [
        page,
        moved,
        json_answer(json!({ "_shards": { "failed": 0 } })),
    ] {
        let error = failing(response).await;
        assert_eq!(error.kind(), FailureKind::Malformed, "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_its_address_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = OpenSearchMemory::open(&config(&url)).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unavailable);
    assert!(error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn settings_that_are_not_allowed_are_named() {
    let bad = OpenSearchConfig {
        url: "http://search.example".to_owned(),
        prefix: "AutoOps*".to_owned(),
        region: Some(String::new()),
        credentials: None,
    };
    let error = OpenSearchMemory::open(&bad).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::InvalidInput);
    for field in ["url", "prefix", "region"] {
        let named = format!("memory.opensearch.{field}: ");
        assert!(error.to_string().contains(&named), "{error}");
    }
}

#[tokio::test]
async fn an_index_of_others_or_of_a_newer_version_is_left_alone() {
    for (there, words) in [
        (mapping(2, 256), "newer AutoOps (version 2"),
        (mapping(1, 1024), "not of AutoOps"),
        (json!({ "mappings": {} }), "not of AutoOps"),
    ] {
        let server = MockServer::start().await;
        let body = json!({ "autoops-rule": there });
        answer(&server, "GET", "/autoops-rule/_mapping", json_answer(body)).await;
        let error = OpenSearchMemory::open(&config(&server.uri()))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), FailureKind::InvalidInput);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(server.received_requests().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn an_index_that_another_process_made_first_is_taken() {
    let server = MockServer::start().await;
    let taken =
        json!({ "error": { "type": "resource_already_exists_exception", "reason": "exists" } });
    answer(
        &server,
        "PUT",
        "/autoops-rule",
        ResponseTemplate::new(400).set_body_json(taken),
    )
    .await;
    Mock::given(method("PUT"))
        .and(path_regex("^/_index_template/"))
        .respond_with(json_answer(json!({ "acknowledged": true })))
        .mount(&server)
        .await;
    on(&server).await;
    let template = sent(&server, "/_index_template/autoops-rule").await[0]
        .body_json::<Value>()
        .unwrap();
    assert_eq!(template["index_patterns"], json!(["autoops-rule"]));
    let mappings = &template["template"]["mappings"];
    assert_eq!(mappings["dynamic"], "strict");
    let vector = &mappings["properties"]["vector"];
    assert_eq!(
        (&vector["dimension"], &vector["method"]["engine"]),
        (&json!(256), &json!("lucene"))
    );
    assert_eq!(vector["method"]["space_type"], "cosinesimil");
}

#[tokio::test]
async fn both_orders_are_asked_with_the_filter_of_the_client_and_joined() {
    let server = server().await;
    let by_text = hits(&[("b", 4.5, source("7", "b"))]);
    Mock::given(method("POST"))
        .and(path("/autoops-rule/_search"))
        .respond_with(move |request: &Request| {
            let body: Value = request.body_json().unwrap();
            let by_vector = hits(&[("a", 0.95, source("7", "a")), ("b", 0.9, source("7", "b"))]);
            json_answer(if body["query"]["knn"].is_null() {
                by_text.clone()
            } else {
                by_vector
            })
        })
        .mount(&server)
        .await;
    let found = on(&server)
        .await
        .recall(&question(Some("disk")))
        .await
        .unwrap();
    let ids: Vec<&str> = found.iter().map(|hit| hit.incident.id.as_str()).collect();
    assert_eq!(ids, ["b", "a"]);
    assert!((found[1].parts.cosine.unwrap() - 0.9).abs() < 1e-9);
    assert_eq!(found[0].parts.text_score, Some(4.5));
    let asked = sent(&server, "/autoops-rule/_search").await;
    assert_eq!(asked.len(), 2);
    for request in asked {
        let body: Value = request.body_json().unwrap();
        let filter = json!({ "term": { "client": "7" } });
        let knn = &body["query"]["knn"]["vector"]["filter"];
        let inside = *knn == filter || body["query"]["bool"]["filter"] == json!([filter]);
        assert!(inside, "{body}");
    }
}

#[tokio::test]
async fn an_answer_with_an_incident_of_another_client_is_not_used() {
    let body = hits(&[("a", 0.9, source("7", "a")), ("b", 0.8, source("8", "b"))]);
    let error = failing(json_answer(body)).await;
    assert_eq!(error.kind(), FailureKind::Malformed);
    assert!(error.to_string().contains("another client"), "{error}");
}

#[tokio::test]
async fn each_write_has_an_outcome_and_only_what_is_left_over_is_sent_again() {
    let server = server().await;
    let item = |status: u16, kind: &str| {
        let error = (status > 299).then(|| json!({ "type": kind, "reason": "because" }));
        json!({ "index": { "status": status, "error": error } })
    };
    let first = json!({ "errors": true, "items": [
        item(201, ""), item(429, "es_rejected_execution_exception"),
        item(400, "mapper_parsing_exception"), item(503, "unavailable_shards_exception")
    ] });
    let second = json!({ "errors": true, "items": [item(200, ""), item(503, "unavailable_shards_exception")] });
    let rest = json!({ "errors": true, "items": [item(503, "unavailable_shards_exception")] });
    for (body, times) in [(first, 1), (second, 1), (rest, 9)] {
        Mock::given(path("/_bulk"))
            .respond_with(json_answer(body))
            .up_to_n_times(times)
            .mount(&server)
            .await;
    }
    let mut bad = record("bad");
    bad.incident.id = String::new();
    let records = vec![record("a"), record("b"), bad, record("c"), record("d")];
    let outcomes = on(&server).await.remember(records).await.unwrap();
    assert_eq!(outcomes[0], Outcome::Kept);
    assert_eq!(outcomes[1], Outcome::Kept);
    assert!(matches!(&outcomes[2], Outcome::Refused { why } if why.starts_with("id: ")));
    assert!(matches!(&outcomes[3], Outcome::Refused { why } if why.contains("mapper_parsing")));
    assert!(matches!(&outcomes[4], Outcome::Retry { why } if why.contains("unavailable_shards")));
    let asked = sent(&server, "/_bulk").await;
    let lines: Vec<usize> = asked
        .iter()
        .map(|request| request.body.iter().filter(|byte| **byte == b'\n').count())
        .collect();
    assert_eq!(lines, [8, 4, 2, 2], "and then it ends");
    assert_eq!(asked[0].headers["content-type"], "application/x-ndjson");
    let body = String::from_utf8(asked[0].body.clone()).unwrap();
    let lines: Vec<Value> = body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let key = record("a").incident.key();
    assert_eq!(
        lines[0],
        json!({ "index": { "_index": "autoops-rule", "_id": key } })
    );
    assert_eq!(lines[1]["client"], "7");
    assert_eq!(lines[1]["vector"][0], json!(1.0));
}

#[tokio::test]
async fn a_write_that_may_not_be_done_ends_the_whole_call() {
    let server = server().await;
    let refused = json!({ "items": [{ "index": { "status": 403,
        "error": { "type": "security_exception", "reason": "no permissions" } } }] });
    answer(&server, "POST", "/_bulk", json_answer(refused)).await;
    let error = on(&server)
        .await
        .remember(vec![record("a")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unauthorized, "{error}");
}

#[tokio::test]
async fn vectors_of_a_model_lie_in_an_index_of_their_own() {
    let server = server().await;
    let done = json!({ "items": [{ "index": { "status": 201 } }] });
    answer(&server, "POST", "/_bulk", json_answer(done)).await;
    let model: ModelName = "amazon.titan-embed-text-v2:0".parse().unwrap();
    let mut kept = record("a");
    kept.model = Some(ModelVector {
        model: model.clone(),
        vector: along(&[(1, 1.0)]),
    });
    let memory = on(&server).await;
    assert_eq!(memory.remember(vec![kept]).await.unwrap(), [Outcome::Kept]);
    let asked = sent(&server, "/_bulk").await;
    let bodies: Vec<String> = asked
        .iter()
        .map(|request| String::from_utf8(request.body.clone()).unwrap())
        .collect();
    assert_eq!(bodies.len(), 2);
    assert!(bodies[0].contains("autoops-rule") && bodies[0].contains("disk full"));
    let index = memory.names.model(&model);
    assert!(
        bodies[1].contains(&index) && !bodies[1].contains("disk full"),
        "{}",
        bodies[1]
    );
    // Asked in a model's space, the incidents come from the other index; those gone are left out.
    let found = hits(&[
        ("k1", 0.9, json!({ "client": "7" })),
        ("k2", 0.8, json!({ "client": "7" })),
    ]);
    answer(
        &server,
        "POST",
        &format!("/{index}/_search"),
        json_answer(found),
    )
    .await;
    let read = json!({ "docs": [
        { "_id": "k1", "found": true, "_source": source("7", "a") },
        { "_id": "k2", "found": false }
    ] });
    answer(&server, "GET", "/autoops-rule/_mget", json_answer(read)).await;
    let near = Near::Model(ModelVector {
        model,
        vector: along(&[(1, 1.0)]),
    });
    let asked = Question {
        near,
        ..question(None)
    };
    let found = memory.recall(&asked).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].incident.id, "a");
}
