//! What is measured on suspect devices.

use std::collections::BTreeMap;

use clients::{
    breaker::BreakerConfig,
    prometheus::{PrometheusConfig, Query},
    rate_limit::Unlimited,
};
use domain::cause::Measure;
use wiremock::{Request, Respond, matchers::path};

use super::*;
use crate::testing::NOW;

/// Busy since the first alert, 59 minutes before now.
struct Busy;

impl Respond for Busy {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let pairs: BTreeMap<String, String> = request.url.query_pairs().into_owned().collect();
        if pairs["query"].starts_with("broken") {
            let said =
                json!({ "status": "error", "errorType": "bad_data", "error": "parse error" });
            return ResponseTemplate::new(400).set_body_json(said);
        }
        let number = |name: &str| pairs[name].parse::<i64>().unwrap();
        let (start, end, step) = (number("start"), number("end"), number("step"));
        let begun = NOW.parse::<Timestamp>().unwrap().as_second() - 59 * 60;
        let values: Vec<Value> = (start..=end)
            .step_by(usize::try_from(step).unwrap())
            .map(|at| json!([at, if at < begun { "20" } else { "98" }]))
            .collect();
        let body = json!({ "status": "success", "data": { "resultType": "matrix",
            "result": [{ "metric": {}, "values": values }] } });
        ResponseTemplate::new(200).set_body_json(body)
    }
}

async fn world(responds: impl Respond + 'static) -> World {
    let mut world = World::new().await;
    world.seed(2).await;
    let query = |name: &str, query: &str| Query {
        name: name.to_owned(),
        measure: Measure::Latency,
        query: query.to_owned(),
    };
    let config = PrometheusConfig {
        url: world.server.uri(),
        token: None,
        timeout_secs: 2,
        requests_per_minute: 60,
        machine_label: "instance".to_owned(),
        client_label: "client".to_owned(),
        clients: BTreeMap::new(),
        before_mins: 60,
        step_secs: 60,
        queries: vec![
            query("broken", "broken({$series}"),
            query("processor", "cpu{$series}"),
        ],
        breaker: BreakerConfig {
            failures: 5,
            first_pause_secs: 30,
            longest_pause_secs: 60,
        },
    };
    let prometheus = Prometheus::new(config, Arc::new(Unlimited)).unwrap();
    world.deps.prometheus = Some(Arc::new(prometheus));
    Mock::given(path("/api/v1/query_range"))
        .respond_with(responds)
        .mount(&world.server)
        .await;
    world
}

async fn measure(
    world: &World,
    incident: &IncidentKey,
    device: &str,
) -> Result<MetricsResult, ActivityEnvironmentError> {
    let input = MeasureInput {
        incident: incident.clone(),
        device: device.parse().unwrap(),
    };
    let run = environment(IncidentActivities::new(&world.deps));
    run.run(IncidentActivities::read_metrics, input).await
}

#[tokio::test]
async fn a_device_that_became_busy_says_so_and_a_broken_query_stops_nothing() {
    let world = world(Busy).await;
    let incident = open(&world, 12, &["Disk C: is 99% full", "Service stopped"]).await;
    assert!(explain(&world, &incident).await.measurable);
    let found = measure(&world, &incident, "1").await.unwrap();
    assert_eq!(found.measured.len(), 1, "{found:?}");
    assert_eq!(
        found.measured[0].words(),
        "processor went from 20.0 to 98.0, 3.5 times what chance makes"
    );
    let requests = world.server.received_requests().await.unwrap();
    assert!(
        requests.iter().all(|one| one
            .url
            .query_pairs()
            .any(|(_, text)| text.contains(r"(?i:PC\\-1)"))),
        "by the name of the device"
    );
    // It becomes a reason that names its evidence.
    let mut report = explain(&world, &incident).await;
    report.add_measured(&"1".parse().unwrap(), found.at, found.measured);
    let suspect = report
        .suspects
        .iter()
        .find(|one| one.machine == "1")
        .unwrap();
    assert_eq!(suspect.because.last().unwrap().evidence, "metrics_1");
}

#[tokio::test]
async fn a_device_of_another_client_or_an_unknown_one_is_not_measured() {
    let world = world(Busy).await;
    let incident = open(&world, 12, &["Disk C: is 99% full"]).await;
    explain(&world, &incident).await;
    let strange = domain::device::Device {
        name: "PC-1".to_owned(),
        ..domain::device::Device::new(
            "77".parse().unwrap(),
            "4100000000000000002".parse().unwrap(),
            domain::device::Platform::WindowsServer,
            [].into(),
            NOW.parse().unwrap(),
        )
    };
    world
        .deps
        .store
        .inventory
        .put_devices(&[strange])
        .await
        .unwrap();
    for device in ["77", "99"] {
        assert!(
            measure(&world, &incident, device)
                .await
                .unwrap()
                .measured
                .is_empty()
        );
    }
    assert!(world.server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn without_prometheus_nothing_is_measured_and_one_that_is_away_is_asked_again() {
    let world = World::new().await;
    let incident = open(&world, 12, &["Disk C: is 99% full"]).await;
    assert!(!explain(&world, &incident).await.measurable);
    assert!(
        measure(&world, &incident, "1")
            .await
            .unwrap()
            .measured
            .is_empty()
    );

    let world = self::world(ResponseTemplate::new(503)).await;
    let incident = open(&world, 12, &["Disk C: is 99% full"]).await;
    explain(&world, &incident).await;
    let failed = failure(measure(&world, &incident, "1").await);
    assert_eq!(failed.type_name(), Some("prometheus.unavailable"));
    assert!(!failed.is_non_retryable());
}
