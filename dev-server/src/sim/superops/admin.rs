//! Handles for tests and demos, beside the real API: faults, devices and the log.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use domain::input::{InvalidInput, from_json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    device::{Actual, DeviceState, day},
    faults::Faults,
    runner,
    scenarios::{self, SCENARIOS, Scenario},
    world::{LogEntry, World},
};

pub(super) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/", get(summary))
        .route("/faults", get(faults).post(set_faults).delete(clear_faults))
        .route("/scenarios", get(scenarios))
        .route("/scenarios/{name}", post(play))
        .route("/devices", get(devices))
        .route("/devices/{id}", get(device).merge(post(change_device)))
        .route("/alerts", post(raise))
        .route("/log", get(log))
        .with_state(world)
}

/// What `POST /devices/{id}` can change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceChange {
    /// Goes offline, or comes back, also from a restart and from a fault.
    pub online: Option<bool>,
    /// Replaces its tags.
    pub tags: Option<Vec<String>>,
    /// What is true of an update, by KB digits; the patch list follows with the next scan.
    pub patches: BTreeMap<String, Actual>,
    /// Starts (`true`) or stops a service.
    pub services: BTreeMap<String, bool>,
    /// Makes a patch scan at once, unless its scans are stale.
    pub scan_now: bool,
}

#[derive(Debug, Default, Deserialize)]
struct LogFilter {
    device: Option<String>,
    job: Option<String>,
    action: Option<String>,
}

fn refuse(error: &InvalidInput) -> Response {
    let body = json!({ "error": { "code": "invalid_input", "message": error.to_string() } });
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

fn unknown(id: &str) -> Response {
    let body = json!({ "error": { "code": "not_found", "message": format!("no device {id}") } });
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

async fn summary(State(world): State<Arc<World>>) -> Json<Value> {
    let inner = world.lock();
    let online = inner
        .state
        .devices
        .keys()
        .filter(|id| inner.is_online(id))
        .count();
    Json(json!({
        "simulator": "superops", "clients": world.fleet.clients.len(), "devices": inner.state.devices.len(),
        "online": online, "running_scripts": inner.state.runs.len(), "speed": world.speed,
    }))
}

async fn faults(State(world): State<Arc<World>>) -> Json<Faults> {
    Json(world.lock().faults.clone())
}

async fn set_faults(State(world): State<Arc<World>>, Json(change): Json<Value>) -> Response {
    match world.set_faults(&change) {
        Ok(faults) => Json(faults).into_response(),
        Err(error) => refuse(&error),
    }
}

async fn scenarios() -> Json<Vec<Scenario>> {
    Json(SCENARIOS.to_vec())
}

/// The body says whom it is for, and may be left out.
async fn play(
    State(world): State<Arc<World>>,
    Path(name): Path<String>,
    body: Option<Json<Value>>,
) -> Response {
    let whom = body.map_or(Value::Null, |Json(whom)| whom);
    let set = scenarios::faults(&name, &whom, &world.fleet);
    match set.and_then(|faults| world.set_faults(&faults)) {
        Ok(faults) => Json(faults).into_response(),
        Err(error) => refuse(&error),
    }
}

async fn clear_faults(State(world): State<Arc<World>>) -> Json<Faults> {
    world.change(|inner| inner.faults = Faults::default());
    Json(Faults::default())
}

async fn raise(State(world): State<Arc<World>>, Json(burst): Json<Value>) -> Response {
    match from_json(&burst).and_then(|burst| world.burst(&burst)) {
        Ok(raised) => Json(json!({ "raised": raised })).into_response(),
        Err(error) => refuse(&error),
    }
}

async fn devices(State(world): State<Arc<World>>) -> Json<Value> {
    let inner = world.lock();
    let rows = inner.state.devices.iter().map(|(id, state)| {
        let name = world.spec(id).map(|(_, spec)| spec.name.clone());
        json!({ "id": id, "name": name, "online": inner.is_online(id), "rebooting": state.rebooting, "pending_reboot": state.pending_reboot, "tags": state.tags })
    });
    Json(Value::Array(rows.collect()))
}

async fn device(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    let found = world.lock().state.devices.get(&id).cloned();
    found.map_or_else(|| unknown(&id), |state| Json(state).into_response())
}

async fn change_device(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    Json(change): Json<Value>,
) -> Response {
    let change: DeviceChange = match from_json(&change) {
        Ok(change) => change,
        Err(error) => return refuse(&error),
    };
    let done = world.change_device(&id, change);
    world.save().await;
    done.map_or_else(|| unknown(&id), |state| Json(state).into_response())
}

async fn log(
    State(world): State<Arc<World>>,
    Query(filter): Query<LogFilter>,
) -> Json<Vec<LogEntry>> {
    let inner = world.lock();
    let fits = |entry: &&LogEntry| {
        filter.device.as_deref().is_none_or(|id| id == entry.device)
            && filter
                .action
                .as_deref()
                .is_none_or(|action| action == entry.action)
            && filter
                .job
                .as_deref()
                .is_none_or(|job| entry.job_id.as_ref().is_some_and(|j| j.as_str() == job))
    };
    Json(inner.state.log.iter().filter(fits).cloned().collect())
}

impl World {
    pub(super) fn set_faults(&self, change: &Value) -> Result<Faults, InvalidInput> {
        let now = self.now();
        self.change(|inner| {
            let faults = inner.faults.merged(change)?;
            for (id, _) in faults.devices.iter().filter(|(_, fault)| fault.offline) {
                if let Some(state) = inner.state.devices.get_mut(id).filter(|d| d.online) {
                    state.last_communicated = now;
                }
            }
            inner.faults = faults.clone();
            Ok(faults)
        })
    }

    /// Changes a device; nothing when it is unknown.
    pub(super) fn change_device(&self, id: &str, change: DeviceChange) -> Option<DeviceState> {
        let now = self.now();
        self.change(|inner| {
            let state = inner.state.devices.get_mut(id)?;
            state.tags = change
                .tags
                .unwrap_or_else(|| std::mem::take(&mut state.tags));
            for (kb, actual) in change.patches {
                state.set(&kb, actual, (actual == Actual::Installed).then(|| day(now)));
                state.pending_reboot |= actual == Actual::PendingReboot;
            }
            for (service, runs) in change.services {
                if runs {
                    state.stopped_services.remove(&service)
                } else {
                    state.stopped_services.insert(service)
                };
            }
            match change.online {
                Some(true) => {
                    state.online = true;
                    if let Some(fault) = inner.faults.devices.get_mut(id) {
                        fault.offline = false;
                    }
                    if let (true, Some(running)) =
                        (runner::boot(inner, id, now), self.running.get(id))
                    {
                        running.restarted.notify_one();
                    }
                }
                Some(false) => state.go_offline(now),
                None => {}
            }
            Some(())
        })?;
        if change.scan_now {
            runner::scan(self, id);
        }
        self.lock().state.devices.get(id).cloned()
    }
}
