use domain::{
    cause::{Measure, Node, measured},
    failure::{Classify, FailureKind},
};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::method};

use super::*;
use crate::{breaker::BreakerConfig, rate_limit::Unlimited, secret::Secret};

const BEGUN: i64 = 1_795_000_000;

fn config(url: &str) -> PrometheusConfig {
    PrometheusConfig {
        url: url.to_owned(),
        token: Some(Secret::from("prometheus-token")),
        timeout_secs: 1,
        requests_per_minute: 60,
        machine_label: "instance".to_owned(),
        client_label: String::new(),
        clients: [(
            "7001".to_owned(),
            [("tenant".to_owned(), "acme".to_owned())].into(),
        )]
        .into(),
        before_mins: 60,
        step_secs: 60,
        queries: vec![Query {
            name: "processor".to_owned(),
            measure: Measure::Latency,
            query: "avg(load{mode=\"x\",$series})".to_owned(),
        }],
        breaker: BreakerConfig {
            failures: 2,
            first_pause_secs: 30,
            longest_pause_secs: 60,
        },
    }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(BEGUN + secs).unwrap()
}

async fn server(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(response)
        .mount(&server)
        .await;
    server
}

async fn read_of(
    server: &MockServer,
    client: &str,
    machine: &str,
) -> Result<Option<Samples>, PrometheusError> {
    let prometheus = Prometheus::new(config(&server.uri()), Arc::new(Unlimited)).unwrap();
    let (client, query) = (client.parse().unwrap(), &prometheus.queries()[0]);
    prometheus
        .read(query, &client, machine, at(0), at(300))
        .await
}

fn matrix(series: &Value) -> ResponseTemplate {
    let body = json!({ "status": "success", "warnings": ["w"], "infos": ["i"],
        "data": { "resultType": "matrix", "result": series } });
    ResponseTemplate::new(200).set_body_json(body)
}

fn asked(request: &Request, name: &str) -> String {
    let mut pairs = request.url.query_pairs();
    pairs.find(|(key, _)| key == name).unwrap().1.into_owned()
}

#[tokio::test]
async fn one_machine_of_one_client_is_asked_about_with_the_token() {
    let values: Vec<_> = (0..65)
        .map(|minute| {
            json!([
                BEGUN - 3600 + minute * 60,
                if minute < 60 { "10" } else { "95.5" }
            ])
        })
        .collect();
    let server = server(matrix(&json!([{ "metric": {}, "values": values }]))).await;
    let samples = read_of(&server, "7001", "SRV01").await.unwrap().unwrap();
    let found = measured(
        "processor",
        &samples.into_metrics(Measure::Latency),
        Node(0),
        BEGUN,
    );
    let found = found.unwrap();
    assert_eq!((found.before_milli, found.during_milli), (10_000, 95_500));
    assert!(found.is_unusual());
    let request = &server.received_requests().await.unwrap()[0];
    assert_eq!(request.url.path(), "/api/v1/query_range");
    assert_eq!(request.headers["authorization"], "Bearer prometheus-token");
    assert_eq!(
        asked(request, "query"),
        r#"avg(load{mode="x",instance=~"(?i:SRV01)([.:].*)?",tenant="acme"})"#
    );
    assert_eq!(asked(request, "start"), (BEGUN - 3600).to_string());
    // Not beyond now.
    assert_eq!(asked(request, "end"), (BEGUN + 300).to_string());
    assert_eq!(
        (asked(request, "step"), asked(request, "limit")),
        ("60".into(), "20".into())
    );
}

#[tokio::test]
async fn without_labels_of_the_client_or_a_name_nothing_is_asked() {
    let server = server(matrix(&json!([]))).await;
    for (client, machine) in [("7002", "SRV01"), ("7001", " ")] {
        assert_eq!(read_of(&server, client, machine).await.unwrap(), None);
    }
    assert!(server.received_requests().await.unwrap().is_empty());
    assert_eq!(
        read_of(&server, "7001", "SRV01").await.unwrap(),
        None,
        "no series"
    );
}

#[tokio::test]
async fn a_label_may_hold_the_id_of_the_client() {
    let server = server(matrix(&json!([]))).await;
    let config = PrometheusConfig {
        client_label: "client".to_owned(),
        token: None,
        ..config(&server.uri())
    };
    let prometheus = Prometheus::new(config, Arc::new(Unlimited)).unwrap();
    let client = "7002".parse().unwrap();
    assert!(prometheus.knows(&client));
    let query = &prometheus.queries()[0];
    prometheus
        .read(query, &client, "A", at(0), at(0))
        .await
        .unwrap();
    let request = &server.received_requests().await.unwrap()[0];
    assert!(asked(request, "query").ends_with(r#",client="7002"})"#));
    assert!(!request.headers.contains_key("authorization"));
}

#[tokio::test]
async fn of_several_series_the_worst_counts_and_gaps_stay_gaps() {
    let series = json!([
        { "metric": { "a": "1" }, "values": [[BEGUN, "1"], [BEGUN + 60, "NaN"]] },
        { "metric": { "a": "2" }, "values": [[BEGUN, "3"], [BEGUN + 60, "+Inf"], [BEGUN + 120, "2"]] },
    ]);
    let server = server(matrix(&series)).await;
    let samples = read_of(&server, "7001", "A").await.unwrap().unwrap();
    assert_eq!(samples.values, [3.0, 2.0]);
}

#[tokio::test]
async fn each_failure_says_what_may_be_done_about_it() {
    use FailureKind as K;
    let said = |kind: &str| json!({ "status": "error", "errorType": kind, "error": "bad\nwords" });
    let many: Vec<_> = (0..21)
        .map(|_| json!({ "metric": {}, "values": [] }))
        .collect();
    let vector = json!({ "status": "success", "data": { "resultType": "vector", "result": [] } });
    for (response, kind) in [
        (
            ResponseTemplate::new(400).set_body_json(said("bad_data")),
            K::InvalidInput,
        ),
        (
            ResponseTemplate::new(422).set_body_json(said("execution")),
            K::InvalidInput,
        ),
        (
            ResponseTemplate::new(503).set_body_json(said("timeout")),
            K::Unavailable,
        ),
        (ResponseTemplate::new(500), K::Unavailable),
        (ResponseTemplate::new(401), K::Unauthorized),
        (ResponseTemplate::new(403), K::Unauthorized),
        (ResponseTemplate::new(404), K::NotFound),
        (
            ResponseTemplate::new(302).insert_header("location", "/login"),
            K::InvalidInput,
        ),
        (
            ResponseTemplate::new(429).insert_header("retry-after", "9"),
            K::Throttled,
        ),
        (
            ResponseTemplate::new(200).set_body_string("<html>"),
            K::Malformed,
        ),
        (
            ResponseTemplate::new(200).set_body_json(said("x")),
            K::Malformed,
        ),
        (
            ResponseTemplate::new(200).set_body_json(vector),
            K::Malformed,
        ),
        (
            ResponseTemplate::new(200).set_body_bytes(vec![b' '; MAX_ANSWER_BYTES + 1]),
            K::Malformed,
        ),
        (matrix(&Value::Array(many)), K::Malformed),
    ] {
        let server = server(response).await;
        let error = read_of(&server, "7001", "A").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("prometheus-token") && !error.to_string().contains('\n'));
    }
}

#[tokio::test]
async fn one_that_does_not_answer_is_left_alone() {
    let server = server(ResponseTemplate::new(503)).await;
    let prometheus = Prometheus::new(config(&server.uri()), Arc::new(Unlimited)).unwrap();
    let (client, query) = ("7001".parse().unwrap(), &prometheus.queries()[0]);
    for _ in 0..4 {
        let error = prometheus
            .read(query, &client, "A", at(0), at(0))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), FailureKind::Unavailable);
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}

#[test]
fn every_mistake_is_named() {
    let mut wrong = config("http://prometheus.example");
    wrong.timeout_secs = 13;
    wrong.step_secs = 1;
    wrong.machine_label = "1x".to_owned();
    wrong.clients.insert(
        "7002".to_owned(),
        [("a-b".to_owned(), "x".to_owned())].into(),
    );
    wrong.clients.insert("not a client!".to_owned(), [].into());
    wrong.queries.push(Query {
        query: "up{$series} / other{a=\"b\"}".to_owned(),
        ..wrong.queries[0].clone()
    });
    let found = wrong.validate().unwrap_err().to_string();
    for field in [
        "prometheus.url: ",
        "prometheus.timeout_secs: `13`",
        "prometheus.step_secs: `1`",
        "prometheus.machine_label: `1x`",
        "prometheus.clients.7002.a-b",
        "prometheus.clients.not a client!",
        "prometheus.queries[1].name",
        "prometheus.queries[1].query",
    ] {
        assert!(found.contains(field), "{field}: {found}");
    }
    assert!(config("https://prometheus.example/path").validate().is_ok());
}
