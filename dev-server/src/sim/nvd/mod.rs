//! A simulated NVD on the real wire: `GET /rest/json/cves/2.0` with its limits and its odd errors,
//! and handles to make trouble. Real Microsoft CVEs, plus invented ones (year 2099) for each odd
//! kind of entry.

mod entries;
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
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{RunningSim, change_faults, serve, take};
use entries::Entry;

/// Requests in a rolling window, without and with a key.
const LIMITS: (usize, usize) = (5, 50);
const WINDOW: Duration = Duration::from_secs(30);
const MAX_LOG: usize = 500;

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

/// Trouble on demand. Counts go down as they are used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every answer comes this late.
    pub slow_ms: u64,
    /// The next so many answers are 403, as above the limit.
    pub throttle: u32,
    /// The next so many answers are 503.
    pub unavailable: u32,
    /// The next so many answers are not JSON.
    pub nonsense: u32,
}

/// One request as the simulator saw it. Never with the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Query text.
    pub query: String,
    /// Whether a key was sent.
    pub with_key: bool,
    /// HTTP status of the answer.
    pub status: u16,
}

struct World {
    options: NvdSimOptions,
    entries: Vec<Entry>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    faults: Faults,
    log: VecDeque<LogEntry>,
    recent: VecDeque<Instant>,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the simulator.
///
/// # Errors
/// When its own data is unreadable or no port can be opened.
pub async fn start(options: NvdSimOptions) -> anyhow::Result<RunningSim> {
    let port = options.port;
    let world = World {
        options,
        entries: entries::all()?,
        inner: Mutex::default(),
    };
    let router = Router::new()
        .route("/rest/json/cves/2.0", get(cves))
        .route("/faults", get(faults).post(set_faults).delete(clear_faults))
        .route("/log", get(log))
        .with_state(Arc::new(world));
    serve(router, port).await
}

async fn cves(
    State(world): State<Arc<World>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Response {
    let raw = raw.unwrap_or_default();
    let key = headers.get("apikey").map(HeaderValue::as_bytes);
    let slow = world.lock().faults.slow_ms;
    tokio::time::sleep(Duration::from_millis(slow)).await;
    let response = answer(&world, &raw, key);
    let mut inner = world.lock();
    if inner.log.len() == MAX_LOG {
        inner.log.pop_front();
    }
    let status = response.status().as_u16();
    inner.log.push_back(LogEntry {
        query: raw,
        with_key: key.is_some(),
        status,
    });
    drop(inner);
    response
}

fn answer(world: &World, raw: &str, key: Option<&[u8]>) -> Response {
    {
        let mut inner = world.lock();
        if take(&mut inner.faults.unavailable) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        if take(&mut inner.faults.throttle) || over_limit(world, &mut inner, key.is_some()) {
            return StatusCode::FORBIDDEN.into_response();
        }
        if take(&mut inner.faults.nonsense) {
            return "<html>maintenance</html>".into_response();
        }
    }
    if let (Some(sent), Some(right)) = (key, &world.options.api_key)
        && sent != right.as_bytes()
    {
        return refused("Invalid apiKey.");
    }
    match query::Query::read(raw) {
        Ok(query) => Json(query.answer(&world.entries)).into_response(),
        Err(message) => refused(&message),
    }
}

/// As the real service: 404, no body, the reason in a header.
fn refused(message: &str) -> Response {
    let mut response = StatusCode::NOT_FOUND.into_response();
    if let Ok(message) = HeaderValue::from_str(message) {
        response.headers_mut().insert("message", message);
    }
    response
}

fn over_limit(world: &World, inner: &mut Inner, with_key: bool) -> bool {
    if !world.options.limit {
        return false;
    }
    let now = Instant::now();
    while inner
        .recent
        .front()
        .is_some_and(|at| now.duration_since(*at) > WINDOW)
    {
        inner.recent.pop_front();
    }
    if inner.recent.len() >= if with_key { LIMITS.1 } else { LIMITS.0 } {
        return true;
    }
    inner.recent.push_back(now);
    false
}

async fn faults(State(world): State<Arc<World>>) -> Json<Faults> {
    Json(world.lock().faults.clone())
}

/// Replaces the named parts and keeps the others.
async fn set_faults(State(world): State<Arc<World>>, Json(change): Json<Value>) -> Response {
    change_faults(&mut world.lock().faults, &change)
}

async fn clear_faults(State(world): State<Arc<World>>) -> Json<Faults> {
    world.lock().faults = Faults::default();
    Json(Faults::default())
}

async fn log(State(world): State<Arc<World>>) -> Json<Vec<LogEntry>> {
    Json(world.lock().log.iter().cloned().collect())
}
