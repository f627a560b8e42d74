//! Simulators of the outside systems, on their real wire formats. They live here and nowhere else.

pub mod bedrock;
pub mod intel;
pub mod nvd;
pub mod prometheus;
pub mod superops;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use domain::input::{InvalidInput, from_json};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// A simulator that is listening on a loopback port.
#[derive(Debug)]
pub struct RunningSim {
    /// Base address, without a trailing slash, such as `http://127.0.0.1:4010`.
    pub url: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningSim {
    /// Stops listening and waits until open requests are answered.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "simulator ended badly");
        }
    }
}

/// Serves a router on a loopback port; 0 takes a free one, a taken port falls back to a free one.
///
/// # Errors
/// When no port can be opened.
pub async fn serve(router: Router, port: u16) -> anyhow::Result<RunningSim> {
    let listener = match TcpListener::bind(("127.0.0.1", port)).await {
        Ok(listener) => listener,
        Err(_) if port != 0 => TcpListener::bind(("127.0.0.1", 0)).await?,
        Err(error) => return Err(error.into()),
    };
    let url = format!("http://{}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let serving = axum::serve(listener, router)
            .with_graceful_shutdown(async move { stopped.cancelled().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "simulator stopped serving");
        }
    });
    Ok(RunningSim { url, stop, task })
}

/// Requests a simulator remembers.
const MAX_LOG: usize = 500;

/// Trouble on demand and the requests that were seen: what `/faults` and `/log` of a simulator show.
#[derive(Debug)]
struct Desk<F, E> {
    faults: Mutex<F>,
    log: Mutex<VecDeque<E>>,
}

impl<F: Default, E> Default for Desk<F, E> {
    fn default() -> Self {
        Self {
            faults: Mutex::default(),
            log: Mutex::default(),
        }
    }
}

impl<F, E> Desk<F, E>
where
    F: Clone + Default + Serialize + DeserializeOwned + Send + 'static,
    E: Clone + Serialize + Send + 'static,
{
    fn faults(&self) -> MutexGuard<'_, F> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, VecDeque<E>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, entry: E) {
        let mut log = self.log();
        if log.len() == MAX_LOG {
            log.pop_front();
        }
        log.push_back(entry);
    }

    fn router(self: Arc<Self>) -> Router {
        let faults = get(Self::show).post(Self::change).delete(Self::clear);
        Router::new()
            .route("/faults", faults)
            .route("/log", get(Self::seen))
            .with_state(self)
    }

    async fn show(State(desk): State<Arc<Self>>) -> Json<F> {
        Json(desk.faults().clone())
    }

    async fn change(State(desk): State<Arc<Self>>, Json(change): Json<Value>) -> Response {
        change_faults(&mut *desk.faults(), &change)
    }

    async fn clear(State(desk): State<Arc<Self>>) -> Json<F> {
        *desk.faults() = F::default();
        Json(F::default())
    }

    async fn seen(State(desk): State<Arc<Self>>) -> Json<Vec<E>> {
        Json(desk.log().iter().cloned().collect())
    }
}

/// Trouble on demand of a service that is only asked. Counts go down as they are used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every answer comes this late.
    pub slow_ms: u64,
    /// The next so many answers are those above the limit: 403 or 429, as of the real service.
    pub throttle: u32,
    /// The next so many answers are 503.
    pub unavailable: u32,
    /// The next so many answers are not JSON.
    pub nonsense: u32,
}

impl Faults {
    fn slow(&self) -> Duration {
        Duration::from_millis(self.slow_ms)
    }

    /// Takes the next trouble that is due.
    fn trouble(&mut self, throttled: StatusCode) -> Option<Response> {
        if take(&mut self.unavailable) {
            Some(StatusCode::SERVICE_UNAVAILABLE.into_response())
        } else if take(&mut self.throttle) {
            Some(throttled.into_response())
        } else if take(&mut self.nonsense) {
            Some("<html>maintenance</html>".into_response())
        } else {
            None
        }
    }
}

/// Whole milliseconds since a moment.
fn millis_since(moment: Instant) -> u64 {
    u64::try_from(moment.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Takes one off a count; true while something was left.
fn take(count: &mut u32) -> bool {
    let due = *count > 0;
    *count = count.saturating_sub(1);
    due
}

/// Replaces the named parts of the faults and keeps the others; answers with all of them.
fn change_faults<F: Serialize + DeserializeOwned>(faults: &mut F, change: &Value) -> Response {
    match merged(faults, change) {
        Ok(all) => {
            *faults = all;
            Json(&*faults).into_response()
        }
        Err(error) => {
            let body =
                json!({ "error": { "code": "invalid_input", "message": error.to_string() } });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
        }
    }
}

fn merged<F: Serialize + DeserializeOwned>(faults: &F, change: &Value) -> Result<F, InvalidInput> {
    let checked: F = from_json(change)?;
    let mut all = serde_json::to_value(faults).unwrap_or_default();
    let (Some(fields), Some(change)) = (all.as_object_mut(), change.as_object()) else {
        return Ok(checked);
    };
    fields.extend(change.clone());
    from_json(&all)
}
