//! The state of the whole simulation behind one lock, its log, and its file.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use domain::{ids::JobId, script::SCRIPT_NAME};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, sync::watch, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    alerts::{AlertCause, AlertState, NewAlert, without_bursts},
    callback::Poster,
    clock::Clock,
    device::{DeviceState, Effect},
    faults::{Breaks, Faults},
    fleet::{ClientSpec, DeviceSpec, FleetSpec, PatchSpec},
};

/// Id of our script.
pub const SCRIPT_ID: &str = "5100000000000000001";
/// Id of a script that is not ours.
pub(super) const OTHER_SCRIPT_ID: &str = "5100000000000000002";
const FIRST_MADE_ID: u64 = 6_100_000_000_000_000_001;
/// Lines of the log that are kept unless somebody asks for more.
const MAX_LOG: usize = 50_000;

/// One line of the simulator's own log: what really happened on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When.
    pub at: Timestamp,
    /// Device.
    pub device: String,
    /// What, such as `installed`, `uninstalled`, `rebooting`, `came_back`, `scanned`.
    pub action: String,
    /// Job of the script run, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// Update, digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kb: Option<String>,
    /// More words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A script run that has not ended.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) device: String,
    pub(super) script_id: String,
    pub(super) arguments: serde_json::Value,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("device", &self.device)
            .field("script_id", &self.script_id)
            .finish_non_exhaustive()
    }
}

/// What survives a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) devices: BTreeMap<String, DeviceState>,
    #[serde(serialize_with = "without_bursts")]
    pub(super) alerts: Vec<AlertState>,
    pub(super) log: VecDeque<LogEntry>,
    pub(super) runs: BTreeMap<String, Run>,
    pub(super) made_ids: u64,
}

/// A report that is held back: how it is signed, and what it says.
#[derive(Clone)]
pub(super) struct LateReport {
    pub(super) url: String,
    pub(super) token: String,
    pub(super) body: String,
}

impl fmt::Debug for LateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateReport")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) state: State,
    pub(super) faults: Faults,
    pub(super) calls: VecDeque<Instant>,
    /// Reports that come after the next one of their device.
    pub(super) late: BTreeMap<String, Vec<LateReport>>,
    pub(super) log_lines: Option<usize>,
}

impl Inner {
    pub(super) fn new_id(&mut self) -> String {
        self.state.made_ids += 1;
        (FIRST_MADE_ID + self.state.made_ids).to_string()
    }

    /// Online unless a fault says otherwise.
    pub(super) fn is_online(&self, device: &str) -> bool {
        self.state.devices.get(device).is_some_and(|d| d.online)
            && !self.faults.device(device).offline
    }

    pub(super) fn log(&mut self, entry: LogEntry) {
        tracing::debug!(device.id = %entry.device, action = %entry.action, "superops simulator: {} on {}", entry.action, entry.device);
        if self.state.log.len() >= self.log_lines.unwrap_or(MAX_LOG) {
            self.state.log.pop_front();
        }
        self.state.log.push_back(entry);
    }

    fn raise_broken(&mut self, device: &str, breaks: &Breaks, kb: Option<String>, now: Timestamp) {
        let services = breaks
            .services
            .iter()
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        let alert = NewAlert {
            device,
            message: format!("Service stopped: {services}"),
            description: Some("A monitored service is not running".to_owned()),
            severity: &breaks.severity,
            cause: AlertCause::Update,
            kb,
        };
        self.raise(alert, now);
    }

    /// Notes the effects of a play or a start.
    pub(super) fn apply(
        &mut self,
        device: &str,
        job: Option<&JobId>,
        kb: Option<&str>,
        effects: Vec<Effect>,
        now: Timestamp,
    ) {
        for effect in effects {
            let mut kb = kb.map(str::to_owned);
            let (action, detail) = match effect {
                Effect::Log(action) => {
                    match action {
                        "rebooting" => {
                            let alert = NewAlert {
                                device,
                                message: "Asset is restarting".to_owned(),
                                description: None,
                                severity: "Low",
                                cause: AlertCause::Restart,
                                kb: None,
                            };
                            self.raise(alert, now);
                        }
                        "came_back" => self.resolve(device, AlertCause::Restart, None, now),
                        _ => {}
                    }
                    (action, None)
                }
                Effect::Broke(culprit, breaks) => {
                    kb = Some(culprit);
                    if breaks.critical_alert {
                        self.raise_broken(device, &breaks, kb.clone(), now);
                    }
                    (
                        "broke",
                        Some(breaks.services.into_iter().collect::<Vec<_>>().join(", ")),
                    )
                }
                Effect::Repaired(culprit) => {
                    kb = Some(culprit);
                    self.resolve(device, AlertCause::Update, kb.as_deref(), now);
                    ("repaired", None)
                }
            };
            self.log(LogEntry {
                at: now,
                device: device.to_owned(),
                action: action.to_owned(),
                job_id: job.cloned(),
                kb,
                detail,
            });
        }
    }
}

/// Per device, what tasks need and no file keeps.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) one_script_at_a_time: tokio::sync::Mutex<()>,
    pub(super) restarted: Notify,
}

/// The tasks of the simulation, so that a stop can wait for them.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
    }

    pub(super) async fn wait(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }
}

pub(super) struct World {
    pub(super) fleet: FleetSpec,
    pub(super) catalog: BTreeMap<String, PatchSpec>,
    pub(super) speed: f64,
    pub(super) clock: Clock,
    pub(super) poster: Arc<dyn Poster>,
    pub(super) running: BTreeMap<String, Running>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: Tasks,
    places: BTreeMap<String, (usize, usize)>,
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
    file: Option<PathBuf>,
    saving: tokio::sync::Mutex<u64>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("devices", &self.places.len())
            .finish_non_exhaustive()
    }
}

impl World {
    pub(super) fn new(
        fleet: FleetSpec,
        speed: f64,
        clock: Clock,
        poster: Arc<dyn Poster>,
        file: Option<PathBuf>,
    ) -> anyhow::Result<Arc<Self>> {
        fleet.check()?;
        anyhow::ensure!(speed.is_finite() && speed > 0.0, "speed must be above 0");
        let mut state: State = match &file {
            Some(path) if path.exists() => {
                let text =
                    std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
                serde_json::from_slice(&text).with_context(|| {
                    format!(
                        "{} is not a state file; delete it to start anew",
                        path.display()
                    )
                })?
            }
            _ => State::default(),
        };
        let now = clock.now();
        let mut places = BTreeMap::new();
        for (c, client) in fleet.clients.iter().enumerate() {
            for (d, device) in client.devices.iter().enumerate() {
                places.insert(device.id.clone(), (c, d));
                state
                    .devices
                    .entry(device.id.clone())
                    .or_insert_with(|| DeviceState::new(device, now));
            }
        }
        state.devices.retain(|id, _| places.contains_key(id));
        state.runs.retain(|_, run| places.contains_key(&run.device));
        state
            .alerts
            .retain(|alert| places.contains_key(&alert.device));
        Ok(Arc::new(Self {
            catalog: fleet
                .patches
                .iter()
                .map(|p| (p.kb.clone(), p.clone()))
                .collect(),
            running: places
                .keys()
                .map(|id| (id.clone(), Running::default()))
                .collect(),
            fleet,
            speed,
            clock,
            poster,
            places,
            inner: Mutex::new(Inner {
                state,
                ..Inner::default()
            }),
            changed: watch::Sender::new(0),
            stop: CancellationToken::new(),
            tasks: Tasks::default(),
            file,
            saving: tokio::sync::Mutex::new(0),
        }))
    }

    /// Looks, without telling anybody.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes who waits for it.
    pub(super) fn change<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        let done = work(&mut self.lock());
        self.changed.send_modify(|n| *n += 1);
        done
    }

    /// Returns what tells that something has changed.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Waits until the state is so; false when the simulator stops first.
    pub(super) async fn wait_until(&self, test: impl Fn(&Inner) -> bool) -> bool {
        let mut changes = self.changed.subscribe();
        loop {
            changes.mark_unchanged();
            if test(&self.lock()) {
                return true;
            }
            tokio::select! {
                () = self.stop.cancelled() => return false,
                changed = changes.changed() => if changed.is_err() { return false },
            }
        }
    }

    /// Lets simulated seconds pass; false when the simulator stops first.
    pub(super) async fn pass(&self, seconds: f64) -> bool {
        let real = Duration::try_from_secs_f64(seconds / self.speed).unwrap_or(Duration::MAX / 4);
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = self.clock.sleep(real) => true,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn spec(&self, device: &str) -> Option<(&ClientSpec, &DeviceSpec)> {
        let (c, d) = *self.places.get(device)?;
        let client = self.fleet.clients.get(c)?;
        Some((client, client.devices.get(d)?))
    }

    /// A factor from 0.85 to 1.15 that is always the same for a device.
    pub(super) fn pace(&self, device: &str) -> f64 {
        let digits = device
            .bytes()
            .rev()
            .take(4)
            .fold(7u32, |n, b| n.wrapping_mul(31).wrapping_add(u32::from(b)));
        0.85 + f64::from(digits % 31) / 100.0
    }

    pub(super) fn script_name(script: &str) -> Option<&'static str> {
        match script {
            SCRIPT_ID => Some(SCRIPT_NAME),
            OTHER_SCRIPT_ID => Some("Clear temporary files"),
            _ => None,
        }
    }

    /// Writes the state; callers that come while another writes share the next write.
    pub(super) async fn save(&self) {
        let Some(path) = &self.file else { return };
        let wanted = *self.changed.borrow();
        let mut saved = self.saving.lock().await;
        if *saved >= wanted && *saved > 0 {
            return;
        }
        let current = *self.changed.borrow();
        let bytes = serde_json::to_vec(&self.lock().state);
        let written = match bytes {
            Ok(bytes) => write(path.clone(), bytes).await,
            Err(error) => Err(error.into()),
        };
        match written {
            Ok(()) => *saved = current,
            Err(error) => {
                tracing::error!(error = %format!("{error:#}"), "superops simulator could not save its state")
            }
        }
    }

    /// Saves now and then whatever changed.
    pub(super) async fn keep_saving(self: Arc<Self>) {
        let mut changes = self.changed.subscribe();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            self.save().await;
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
        }
    }
}

/// Writes beside the file and renames, readable by its owner only: it holds callback tokens.
async fn write(path: PathBuf, bytes: Vec<u8>) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    tokio::task::spawn_blocking(move || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let beside = path.with_extension("new");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        std::io::Write::write_all(&mut file, &bytes)?;
        std::fs::rename(&beside, &path)?;
        anyhow::Ok(())
    })
    .await?
}
