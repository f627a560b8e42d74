//! A simulated NVD on the real wire: `GET /rest/json/cves/2.0` with its limits and its odd errors,
//! and handles to make trouble. The real CVEs of the table all sources share, plus invented ones
//! (year 2099) for each odd kind of entry.

mod entries;
mod odd;
mod query;

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use domain::ids::CveId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use super::Faults;
use super::{Desk, RunningSim, millis_since, serve};
use entries::Entry;

/// Requests in a rolling window, without and with a key.
const LIMITS: (usize, usize) = (5, 50);
const WINDOW: Duration = Duration::from_secs(30);

/// How to start a simulated NVD.
#[derive(Clone, Default)]
pub struct NvdSimOptions {
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// The key it accepts; any key if left out. Without a key is always allowed.
    pub api_key: Option<String>,
    /// Whether it answers 403 above 5 requests in 30 seconds, or 50 with a key.
    pub limit: bool,
}

impl fmt::Debug for NvdSimOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NvdSimOptions")
            .field("port", &self.port)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// One request as the simulator saw it. Never with the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Milliseconds from the start of the simulator until it arrived.
    pub at: u64,
    /// Query text.
    pub query: String,
    /// Whether a key was sent.
    pub with_key: bool,
    /// HTTP status of the answer.
    pub status: u16,
}

struct World {
    options: NvdSimOptions,
    entries: Mutex<Vec<Entry>>,
    desk: Arc<Desk<Faults, LogEntry>>,
    recent: Mutex<VecDeque<Instant>>,
    started: Instant,
}

impl World {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the simulator. `POST /touch` with `{"cve": …}` makes an entry modified now.
///
/// # Errors
/// When its own data is unreadable or no port can be opened.
pub async fn start(options: NvdSimOptions) -> anyhow::Result<RunningSim> {
    let port = options.port;
    let world = Arc::new(World {
        options,
        entries: Mutex::new(entries::all()?),
        desk: Arc::default(),
        recent: Mutex::default(),
        started: Instant::now(),
    });
    let router = Router::new()
        .route("/rest/json/cves/2.0", get(cves))
        .route("/touch", post(touch))
        .with_state(world.clone())
        .merge(world.desk.clone().router());
    serve(router, port).await
}

async fn cves(
    State(world): State<Arc<World>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Response {
    let at = millis_since(world.started);
    let raw = raw.unwrap_or_default();
    let key = headers.get("apikey").map(HeaderValue::as_bytes);
    // What counts is when it arrived, however late the answer is.
    let over = over_limit(&world, key.is_some());
    let slow = world.desk.faults().slow();
    tokio::time::sleep(slow).await;
    let response = answer(&world, &raw, key, over);
    world.desk.record(LogEntry {
        at,
        query: raw,
        with_key: key.is_some(),
        status: response.status().as_u16(),
    });
    response
}

fn answer(world: &World, raw: &str, key: Option<&[u8]>, over: bool) -> Response {
    if over {
        return StatusCode::FORBIDDEN.into_response();
    }
    if let Some(trouble) = world.desk.faults().trouble(StatusCode::FORBIDDEN) {
        return trouble;
    }
    if let (Some(sent), Some(right)) = (key, &world.options.api_key)
        && sent != right.as_bytes()
    {
        return refused("Invalid apiKey.");
    }
    match query::Query::read(raw) {
        Ok(query) => Json(query.answer(&world.entries())).into_response(),
        Err(message) => refused(&message),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Touch {
    cve: CveId,
}

async fn touch(State(world): State<Arc<World>>, Json(touch): Json<Touch>) -> Response {
    let mut entries = world.entries();
    let Some(entry) = entries.iter_mut().find(|entry| entry.id == touch.cve) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    entry.touch(Timestamp::now());
    Json(&entry.body).into_response()
}

/// As the real service: 404, no body, the reason in a header.
fn refused(message: &str) -> Response {
    let mut response = StatusCode::NOT_FOUND.into_response();
    if let Ok(message) = HeaderValue::from_str(message) {
        response.headers_mut().insert("message", message);
    }
    response
}

fn over_limit(world: &World, with_key: bool) -> bool {
    if !world.options.limit {
        return false;
    }
    let now = Instant::now();
    let mut recent = world.recent.lock().unwrap_or_else(PoisonError::into_inner);
    while recent
        .front()
        .is_some_and(|at| now.duration_since(*at) > WINDOW)
    {
        recent.pop_front();
    }
    if recent.len() >= if with_key { LIMITS.1 } else { LIMITS.0 } {
        return true;
    }
    recent.push_back(now);
    false
}
