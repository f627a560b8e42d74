//! The memory on OpenSearch with k-NN.

use std::sync::Arc;

use clients::memory::{
    self, Incident, Memory, Near, Outcome, Question, Record,
    conformance::{self, along, incident},
};
use dev_server::aws_local::OpenSearchLocal;
use domain::failure::{Classify, FailureKind};
use serde_json::{Value, json};

use crate::broken;

/// Checks at the same time.
const AT_ONCE: usize = 4;

/// Runs a story on an OpenSearch of its own, or says loudly that it cannot.
fn on_opensearch<F: Future<Output = ()>>(story: impl FnOnce(OpenSearchLocal) -> F) {
    if OpenSearchLocal::is_skipped() {
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (node, log) = (folder.path().join("node"), folder.path().join("log"));
        let local = OpenSearchLocal::start(0, &node, &log).await.unwrap();
        story(local).await;
    });
}

fn record(id: &str) -> Record {
    let incident: Incident = incident("7", id, "disk full");
    Record {
        incident,
        rule: along(&[(0, 1.0)]),
        model: None,
    }
}

fn question() -> Question {
    Question {
        client: "7".parse().unwrap(),
        near: Near::Rule(along(&[(0, 1.0)])),
        text: None,
        limit: 10,
    }
}

async fn raw(local: &OpenSearchLocal, verb: &str, path: &str, body: Option<Value>) -> Value {
    let verb = verb.parse().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = http.request(verb, format!("{}{path}", local.url));
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.unwrap().json().await.unwrap()
}

#[test]
fn the_memory_on_opensearch_does_what_every_memory_must() {
    on_opensearch(async |local| {
        let numbered = (0..).zip(conformance::checks());
        let numbered = numbered.map(|(number, (name, check))| (name, (number, check)));
        let broken = broken(numbered, AT_ONCE, async |(number, check)| {
            let config = local.config(&format!("t{number}"));
            let one = memory::opensearch(&config).await.unwrap();
            let other = memory::opensearch(&config).await.unwrap();
            check(one, other).await;
        });
        let broken = broken.await;
        assert!(broken.is_empty(), "{broken:?}");
        what_is_new_to_a_strict_index_is_refused(&local).await;
        what_is_gone_or_of_others_says_what_to_do(&local).await;
        local.stop().await;
    });
}

async fn what_is_new_to_a_strict_index_is_refused(local: &OpenSearchLocal) {
    let memory = memory::opensearch(&local.config("strict")).await.unwrap();
    memory.remember(vec![record("a")]).await.unwrap();
    let mapping = raw(local, "GET", "/strict-rule/_mapping", None).await;
    let mapping = &mapping["strict-rule"]["mappings"];
    assert_eq!(mapping["dynamic"], "strict");
    let vector = &mapping["properties"]["vector"];
    assert_eq!(
        (&vector["dimension"], &vector["type"]),
        (&json!(256), &json!("knn_vector"))
    );
    assert_eq!(vector["method"]["engine"], "lucene");
    let stranger = json!({ "client": "7", "surprise": 1 });
    let answer = raw(local, "POST", "/strict-rule/_doc", Some(stranger)).await;
    assert_eq!(answer["status"], 400, "{answer}");
}

async fn what_is_gone_or_of_others_says_what_to_do(local: &OpenSearchLocal) {
    let config = local.config("gone");
    let memory = memory::opensearch(&config).await.unwrap();
    raw(local, "DELETE", "/gone-rule", None).await;
    let error = memory.recall(&question()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::NotFound);
    assert!(error.to_string().contains("gone-rule"), "{error}");
    let theirs = json!({ "mappings": { "properties": { "name": { "type": "keyword" } } } });
    raw(local, "PUT", "/theirs-rule", Some(theirs)).await;
    let error = memory::opensearch(&local.config("theirs"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::InvalidInput);
    assert!(
        error.to_string().contains("memory.opensearch.prefix"),
        "{error}"
    );
}

#[test]
fn incidents_on_opensearch_outlive_its_restart() {
    if OpenSearchLocal::is_skipped() {
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (node, log) = (folder.path().join("node"), folder.path().join("log"));
        let local = OpenSearchLocal::start(0, &node, &log).await.unwrap();
        let memory = memory::opensearch(&local.config("autoops")).await.unwrap();
        let kept = memory.remember(vec![record("a")]).await.unwrap();
        assert_eq!(kept, [Outcome::Kept]);
        memory.use_model(&"m".parse().unwrap()).await.unwrap();
        local.stop().await;
        let away = memory.recall(&question()).await.unwrap_err();
        assert!(away.kind().is_retryable(), "{away}");
        let local = OpenSearchLocal::start(0, &node, &log).await.unwrap();
        let memory: Arc<dyn Memory> = memory::opensearch(&local.config("autoops")).await.unwrap();
        let hits = memory.recall(&question()).await.unwrap();
        assert_eq!(hits.len(), 1);
        assert_eq!(hits[0].incident, record("a").incident);
        let current = memory.current_model().await.unwrap();
        assert_eq!(current, Some("m".parse().unwrap()));
        local.stop().await;
    });
}
