//! A simulated Prometheus on the real wire: `GET /api/v1/query_range`. It is no engine for `PromQL`: it
//! reads the metric and the matchers of a query and answers with what the whole expression would come
//! to, for any machine, always the same at the same time. Machines become busy on demand.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Desk, RunningSim, serve, take};

/// Label that holds the id of a client.
pub const CLIENT_LABEL: &str = "client";
/// Label that holds the machine.
const MACHINE_LABEL: &str = "instance";
/// Points of one series, as the real one allows.
const MOST_POINTS: f64 = 11_000.0;

/// How to start a simulated Prometheus.
#[derive(Debug, Clone, Default)]
pub struct PrometheusSimOptions {
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Token that has to be sent; `None` wants none.
    pub token: Option<String>,
}

/// Trouble on demand. Counts go down as they are used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every answer comes this late.
    pub slow_ms: u64,
    /// The next so many requests are throttled (429).
    pub throttle: u32,
    /// The next so many queries time out (503).
    pub unavailable: u32,
    /// Machines that are busy, and since when, Unix seconds.
    pub busy: BTreeMap<String, i64>,
}

/// One request as the simulator saw it. Never with its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The query.
    pub query: String,
    /// HTTP status of the answer.
    pub status: u16,
}

#[derive(Debug)]
struct World {
    token: Option<String>,
    desk: Arc<Desk<Faults, LogEntry>>,
}

/// Starts the simulator.
///
/// # Errors
/// When no port can be opened.
pub async fn start(options: PrometheusSimOptions) -> anyhow::Result<RunningSim> {
    let world = Arc::new(World {
        token: options.token,
        desk: Arc::default(),
    });
    let router = Router::new()
        .route("/api/v1/query_range", get(query_range))
        .with_state(world.clone())
        .merge(world.desk.clone().router());
    serve(router, options.port).await
}

async fn query_range(
    State(world): State<Arc<World>>,
    Query(asked): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let slow = world.desk.faults().slow_ms;
    tokio::time::sleep(Duration::from_millis(slow)).await;
    let response = answer(&world, &asked, &headers);
    world.desk.record(LogEntry {
        query: asked.get("query").cloned().unwrap_or_default(),
        status: response.status().as_u16(),
    });
    response
}

fn answer(world: &World, asked: &HashMap<String, String>, headers: &HeaderMap) -> Response {
    let sent = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if let Some(token) = &world.token
        && sent != Some(&format!("Bearer {token}"))
    {
        return (StatusCode::UNAUTHORIZED, "Unauthorized\n").into_response();
    }
    let mut faults = world.desk.faults();
    if take(&mut faults.throttle) {
        return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response();
    }
    if take(&mut faults.unavailable) {
        let words = "query timed out in expression evaluation";
        return error(StatusCode::SERVICE_UNAVAILABLE, "timeout", words);
    }
    match matrix(asked, &faults.busy) {
        Ok(result) => Json(json!({
            "status": "success", "data": { "resultType": "matrix", "result": result },
        }))
        .into_response(),
        Err(words) => error(StatusCode::BAD_REQUEST, "bad_data", &words),
    }
}

fn error(status: StatusCode, kind: &str, words: &str) -> Response {
    let body = json!({ "status": "error", "errorType": kind, "error": words });
    (status, Json(body)).into_response()
}

fn matrix(asked: &HashMap<String, String>, busy: &BTreeMap<String, i64>) -> Result<Value, String> {
    let number = |name: &str| {
        let text = asked.get(name).map_or("", String::as_str);
        let parsed = text.parse::<f64>();
        parsed.map_err(|_| {
            format!("invalid parameter \"{name}\": cannot parse \"{text}\" to a valid timestamp")
        })
    };
    let (start, end, step) = (number("start")?, number("end")?, number("step")?);
    if end < start {
        return Err(
            "invalid parameter \"end\": end timestamp must not be before start time".to_owned(),
        );
    }
    if step <= 0.0 {
        return Err("invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer".to_owned());
    }
    if (end - start) / step > MOST_POINTS {
        return Err("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)".to_owned());
    }
    let query = asked.get("query").map_or("", String::as_str);
    if query.is_empty() || query.matches('{').count() != query.matches('}').count() {
        return Err(
            "invalid parameter \"query\": 1:1: parse error: no expression found in input"
                .to_owned(),
        );
    }
    let machine =
        matched(query, &format!("{MACHINE_LABEL}=~\"")).map(|pattern| machine_of(&pattern));
    let client = matched(query, &format!(",{CLIENT_LABEL}=\""));
    let (Some(machine), Some(client)) = (machine, client) else {
        return Ok(json!([]));
    };
    let busy = busy
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(&machine));
    let busy = busy.map(|(_, since)| *since);
    let mut values = Vec::new();
    let mut at = start;
    while at <= end {
        let Some(value) = value(query, &format!("{client}/{machine}"), at, busy) else {
            return Ok(json!([]));
        };
        values.push(json!([at, value.to_string()]));
        at += step;
    }
    Ok(json!([{ "metric": {}, "values": values }]))
}

/// The text of a matcher, without its escapes.
fn matched(query: &str, begin: &str) -> Option<String> {
    let rest = &query[query.find(begin)? + begin.len()..];
    let (mut text, mut chars) = (String::new(), rest.chars());
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => text.push(chars.next()?),
            c => text.push(c),
        }
    }
}

/// The machine that a pattern such as `(?i:srv01)([.:].*)?` is about.
fn machine_of(pattern: &str) -> String {
    let name = pattern.strip_prefix("(?i:").unwrap_or(pattern);
    let name = name.strip_suffix(")([.:].*)?").unwrap_or(name);
    name.replace('\\', "")
}

/// What an expression comes to; nothing for metrics that are not there.
fn value(query: &str, series: &str, at: f64, busy: Option<i64>) -> Option<f64> {
    #[expect(clippy::cast_possible_truncation, reason = "seconds")]
    let second = at as i64;
    let chance = |seed: &str| f64::from(Sha256::digest(format!("{seed}/{series}"))[0]) / 255.0;
    let noise = chance(&(second / 60).to_string()) - 0.5;
    let is_busy = busy.is_some_and(|since| second >= since);
    let (calm, trouble) = if query.contains("cpu") {
        (8.0 + 12.0 * chance("cpu"), 96.0)
    } else if query.contains("emory") {
        (25.0 + 20.0 * chance("memory"), 93.0)
    } else if query.contains("up{") {
        return Some(100.0);
    } else {
        return None;
    };
    let value = if is_busy { trouble } else { calm };
    Some((value * (1.0 + noise / 20.0) * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use clients::{
        breaker::BreakerConfig,
        prometheus::{Prometheus, PrometheusConfig, Query, Samples},
        rate_limit::Unlimited,
    };
    use domain::{
        cause::{Measure, Node, measured},
        failure::{Classify, FailureKind},
    };
    use jiff::Timestamp;

    use super::*;

    const BEGUN: i64 = 1_795_000_000;

    fn real_client(url: &str, token: &str) -> Prometheus {
        let query = |name: &str, query: &str| Query {
            name: name.to_owned(),
            measure: Measure::Latency,
            query: query.to_owned(),
        };
        let config = PrometheusConfig {
            url: url.to_owned(),
            token: Some(token.into()),
            timeout_secs: 10,
            requests_per_minute: 60,
            machine_label: MACHINE_LABEL.to_owned(),
            client_label: CLIENT_LABEL.to_owned(),
            clients: BTreeMap::new(),
            before_mins: 60,
            step_secs: 60,
            queries: vec![
                query("cpu", "avg(rate(node_cpu_seconds_total{$series}[5m]))"),
                query("other", "unknown{$series}"),
                query("broken", "up{$series}}"),
            ],
            breaker: BreakerConfig {
                failures: 3,
                first_pause_secs: 30,
                longest_pause_secs: 60,
            },
        };
        Prometheus::new(config, Arc::new(Unlimited)).unwrap()
    }

    async fn read(
        client: &Prometheus,
        query: usize,
        machine: &str,
    ) -> Result<Option<Samples>, clients::prometheus::PrometheusError> {
        let at = |secs: i64| Timestamp::from_second(BEGUN + secs).unwrap();
        let query = &client.queries()[query];
        let of = "7001".parse().unwrap();
        client.read(query, &of, machine, at(0), at(600)).await
    }

    #[tokio::test]
    async fn the_real_client_sees_which_machine_is_busy() {
        let options = PrometheusSimOptions {
            port: 0,
            token: Some("t".to_owned()),
        };
        let sim = start(options).await.unwrap();
        let sent = reqwest::Client::new()
            .post(format!("{}/faults", sim.url))
            .header("content-type", "application/json")
            .body(json!({ "busy": { "SRV-01.x": BEGUN }, "unavailable": 1 }).to_string());
        assert!(sent.send().await.unwrap().status().is_success());
        let client = real_client(&sim.url, "t");
        let error = read(&client, 0, "srv-01.X").await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Unavailable);
        for (machine, busy) in [("srv-01.X", true), ("SRV-02", false)] {
            let samples = read(&client, 0, machine).await.unwrap().unwrap();
            assert_eq!(
                samples.times.len(),
                71,
                "an hour before and ten minutes after"
            );
            let metrics = samples.into_metrics(Measure::Latency);
            let found = measured("cpu", &metrics, Node(0), BEGUN).unwrap();
            assert_eq!(found.is_unusual(), busy, "{machine}: {found:?}");
        }
        assert_eq!(read(&client, 1, "SRV-02").await.unwrap(), None);
        let error = read(&client, 2, "SRV-02").await.unwrap_err();
        assert!(error.to_string().contains("bad_data"), "{error}");
        let stranger = real_client(&sim.url, "other");
        let error = read(&stranger, 0, "SRV-02").await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Unauthorized);
        sim.stop().await;
    }
}
