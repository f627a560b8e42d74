//! Simulators of the other sources about vulnerabilities, on their real wires: CISA's catalogue of
//! known exploited ones, FIRST's predictions, Microsoft's security updates, and CVE records. All of
//! them, and that of NVD, speak of the same table of real CVEs; what is odd on purpose is of the
//! year 2099.

pub mod cve_services;
pub mod epss;
pub mod kev;
pub mod msrc;
pub(super) mod table;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header::IF_NONE_MATCH},
    middleware::{self, Next},
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{Desk, Faults, RunningSim, millis_since, serve};

/// One request as a simulator saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Milliseconds from the start of the simulator until it arrived.
    pub at: u64,
    /// Path.
    pub path: String,
    /// Query text.
    pub query: String,
    /// Whether it asked for news only (`If-None-Match`).
    pub conditional: bool,
    /// HTTP status of the answer.
    pub status: u16,
}

/// Stands before the answers: makes trouble and keeps the log.
struct Front {
    desk: Arc<Desk<Faults, LogEntry>>,
    /// Status of an answer above the limit of this source.
    throttled: StatusCode,
    started: Instant,
}

/// Serves a source; the handles are not disturbed and not logged.
async fn run(
    answers: Router,
    handles: Router,
    throttled: StatusCode,
    port: u16,
) -> anyhow::Result<RunningSim> {
    let front = Arc::new(Front {
        desk: Arc::default(),
        throttled,
        started: Instant::now(),
    });
    let desk = front.desk.clone().router();
    let answers = answers.route_layer(middleware::from_fn_with_state(front, pass));
    serve(answers.merge(handles).merge(desk), port).await
}

async fn pass(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    let at = millis_since(front.started);
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let conditional = request.headers().contains_key(IF_NONE_MATCH);
    let slow = front.desk.faults().slow();
    tokio::time::sleep(slow).await;
    let trouble = front.desk.faults().trouble(front.throttled);
    let response = match trouble {
        Some(response) => response,
        None => next.run(request).await,
    };
    front.desk.record(LogEntry {
        at,
        path,
        query,
        conditional,
        status: response.status().as_u16(),
    });
    response
}

#[cfg(test)]
pub(super) mod testing {
    //! What the tests of all sources do.

    use reqwest::Response;
    use serde_json::{Value, json};

    use super::{LogEntry, RunningSim};

    pub(in crate::sim) async fn get(sim: &RunningSim, path: &str) -> Response {
        let request = reqwest::Client::new().get(format!("{}{path}", sim.url));
        let request = request.header("accept", "application/json");
        request.send().await.unwrap()
    }

    pub(in crate::sim) async fn body(sim: &RunningSim, path: &str) -> Vec<u8> {
        let response = get(sim, path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.bytes().await.unwrap().to_vec()
    }

    pub(in crate::sim) async fn post(sim: &RunningSim, path: &str, body: Value) -> Response {
        let request = reqwest::Client::new().post(format!("{}{path}", sim.url));
        request.json(&body).send().await.unwrap()
    }

    /// All kinds of trouble come in turn, then it is over, and the log has them all.
    pub(in crate::sim) async fn makes_trouble(sim: &RunningSim, path: &str, throttled: u16) {
        let all = json!({ "unavailable": 1, "throttle": 1, "nonsense": 1, "slow_ms": 30 });
        assert_eq!(post(sim, "/faults", all).await.status(), 200);
        for status in [503, throttled] {
            assert_eq!(get(sim, path).await.status(), status);
        }
        let nonsense = get(sim, path).await.text().await.unwrap();
        assert!(nonsense.starts_with("<html>"), "{nonsense}");
        assert_eq!(get(sim, path).await.status(), 200);
        let log: Vec<LogEntry> = get(sim, "/log").await.json().await.unwrap();
        let statuses: Vec<u16> = log.iter().rev().take(4).map(|entry| entry.status).collect();
        assert_eq!(statuses, [200, 200, throttled, 503]);
        assert!(log.windows(2).all(|two| two[0].at + 30 <= two[1].at));
        let typo = post(sim, "/faults", json!({ "slow": 1 })).await;
        assert_eq!(typo.status(), 422);
    }
}
