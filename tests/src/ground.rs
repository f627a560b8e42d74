//! Everything that runs, each part so that it can be killed alone: the Temporal server, the
//! simulators, the receiver of reports, and the real worker as a process of its own.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clients::{evidence::EvidenceRoom, objects::Objects, store::Store};
use dev_server::{
    callbacks::{self, BySignal},
    data_dir::{DataDir, DevInfo},
    demo,
    links::beside_us,
    options::Ports,
    process::{Guarded, Program, open_log},
    sim::{RunningSim, serve, superops::FleetSpec},
    simulators::Simulators,
    temporal::{DevTemporal, DevTemporalOptions},
};
use serde_json::Value;
use temporalio_client::Client;

/// How long the server may take to end when it is asked to.
const STOP: Duration = Duration::from_secs(20);
/// How long a workflow waits for a worker that has gone.
const STICKY_SECS: &str = "1";

/// Folder of the notes of [`WORKER_TWICE`].
const NOTES: &str = "done-twice";
/// Requests a minute that all workers share.
const BUDGET: &str = "AUTOOPS_SUPEROPS__REQUESTS_PER_MINUTE";

/// Requests to NVD in 30 seconds that all workers share.
const NVD_BUDGET: &str = "AUTOOPS_NVD__REQUESTS_PER_30S";

/// The worker as it is.
const WORKER: &str = "autoops-worker";
/// The worker that does everything twice; [`DONE_TWICE`] tells it where to note what.
pub const WORKER_TWICE: &str = "autoops-worker-twice";
/// Variable that names the folder of its notes.
pub const DONE_TWICE: &str = "AUTOOPS_DONE_TWICE";

/// A program, where everything is, and the keys to it.
#[derive(Clone)]
struct WorkerProgram {
    name: &'static str,
    env: Vec<(&'static str, String)>,
}

/// What a server keeps over its own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Nothing: it is not killed.
    None,
    /// All, in a file.
    File,
}

/// What is to run.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The devices.
    pub fleet: FleetSpec,
    /// Simulated seconds per real one.
    pub speed: f64,
    /// What the Temporal server keeps.
    pub memory: Memory,
    /// Worker processes, at least one.
    pub workers: usize,
    /// Lifts the rate limit of the simulator, which then also keeps no file: the workers' budget of
    /// requests a minute. That of the demo when absent.
    pub budget: Option<u32>,
    /// Requests to NVD in 30 seconds that all workers share; as with its key when absent.
    pub nvd_budget: Option<u32>,
    /// Lines the simulator keeps of its log; as many as usual when absent.
    pub log_lines: Option<usize>,
    /// The program of the workers.
    pub program: &'static str,
}

impl Scene {
    /// Devices, at a pace of simulated seconds per real one, under one worker.
    #[must_use]
    pub fn new(fleet: FleetSpec, speed: f64, memory: Memory) -> Self {
        Self {
            fleet,
            speed,
            memory,
            workers: 1,
            budget: None,
            nvd_budget: None,
            log_lines: None,
            program: WORKER,
        }
    }
}

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By SIGKILL.
    Killed,
    /// By SIGTERM.
    Asked,
}

/// Everything, running.
pub struct Ground {
    // Dropped in this order.
    /// The worker.
    pub worker: Guarded,
    /// Workers beside it.
    pub other_workers: Vec<Guarded>,
    temporal: Option<DevTemporal>,
    temporal_options: DevTemporalOptions,
    /// A client of the Temporal server.
    pub client: Client,
    /// The store that the worker has, too.
    pub store: Store,
    /// The objects that the worker has, too.
    pub objects: Objects,
    simulators: Simulators,
    callbacks: RunningSim,
    superops_url: String,
    worker_program: WorkerProgram,
    data: DataDir,
    _folder: tempfile::TempDir,
}

impl fmt::Debug for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ground").finish_non_exhaustive()
    }
}

impl Ground {
    /// Starts everything: the devices of a fleet, at a pace of simulated seconds per real one.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start(fleet: FleetSpec, speed: f64, memory: Memory) -> Self {
        Self::set(Scene::new(fleet, speed, memory)).await
    }

    /// Starts everything a scene asks for.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn set(scene: Scene) -> Self {
        let (speed, memory) = (scene.speed, scene.memory);
        let folder = tempfile::Builder::new()
            .prefix("autoops-ground-")
            .tempdir()
            .unwrap();
        let data = DataDir::take(&folder.path().join("data"), false).unwrap();
        let key = data.callback_key().unwrap();
        let mut temporal_options = DevTemporalOptions {
            db_file: (memory == Memory::File).then(|| data.file("temporal.db")),
            log_file: Some(data.logs().join("temporal.log")),
            ..DevTemporalOptions::default()
        };
        let temporal = DevTemporal::start(temporal_options.clone()).await.unwrap();
        // Started again, it has to be where everybody looks for it.
        let (_, port) = temporal.address.rsplit_once(':').unwrap();
        temporal_options.port = port.parse().unwrap();
        let client = temporal.client().unwrap();
        let ports = Ports::new(Some(0));
        let mut superops = Simulators::superops(&ports, scene.fleet, speed, &data);
        if scene.budget.is_some() {
            superops.requests_per_minute = None;
            superops.state_file = None;
        }
        let simulators = Simulators::start_with(&ports, superops).await.unwrap();
        if let Some(lines) = scene.log_lines {
            simulators.superops_handle().keep_log(lines);
        }
        let deliver = Arc::new(BySignal::new(client.clone()));
        let store = Store::embedded(&data.store_path()).unwrap();
        let objects = Objects::in_folder(&data.objects_path()).unwrap();
        let room = EvidenceRoom::new(store.clone(), objects.clone());
        let receiver = callbacks::router(key.clone().into(), deliver, room);
        let callbacks = serve(receiver, 0).await.unwrap();
        let info = DevInfo::of(&temporal, &simulators, &callbacks, &data);
        let people = demo::people(None, &data).unwrap();
        demo::add_people(&store, people).await.unwrap();
        let mut env = demo::worker_env(&info, &key, speed);
        if let Some(budget) = scene.budget {
            // The last one counts.
            env.push((BUDGET, budget.to_string()));
        }
        if let Some(budget) = scene.nvd_budget {
            env.push((NVD_BUDGET, budget.to_string()));
        }
        if scene.program == WORKER_TWICE {
            let notes = data.file(NOTES);
            std::fs::create_dir(&notes).unwrap();
            env.push((DONE_TWICE, notes.display().to_string()));
        }
        let worker_program = WorkerProgram {
            name: scene.program,
            env,
        };
        let other_workers = (1..scene.workers).map(|_| worker_program.start(&data));
        Self {
            other_workers: other_workers.collect(),
            worker: worker_program.start(&data),
            temporal: Some(temporal),
            temporal_options,
            client,
            store,
            objects,
            simulators,
            callbacks,
            superops_url: info.superops_url,
            worker_program,
            data,
            _folder: folder,
        }
    }

    /// Kills the worker as `kill -9` does; nobody works until [`Self::start_worker`].
    pub async fn kill_worker(&self) {
        assert!(self.worker.is_running(), "the worker ended by itself");
        self.worker.kill();
        self.worker.ended().await;
    }

    pub fn start_worker(&mut self) {
        self.worker = self.worker_program.start(&self.data);
    }

    /// Ends the Temporal server and starts it again on its file; the worker is left alone.
    pub async fn restart_temporal(&mut self, how: End) {
        let old = self.temporal.take().unwrap();
        match how {
            End::Killed => {
                old.kill();
                old.ended().await;
            }
            End::Asked => {
                let stopping = tokio::time::timeout(STOP, old.stop());
                stopping.await.expect("the server stops when asked to");
            }
        }
        // Meanwhile somebody else may have the port for a moment: even a client that knocks at it.
        let begin = Instant::now();
        let new = loop {
            match DevTemporal::start(self.temporal_options.clone()).await {
                Ok(new) => break new,
                Err(error) => assert!(begin.elapsed() < STOP, "{error:#}"),
            }
        };
        self.client = new.client().unwrap();
        self.temporal = Some(new);
    }

    /// Lets the simulator of `SuperOps` play a scenario by its name.
    ///
    /// # Panics
    /// When it has none of that name.
    pub async fn play(&self, scenario: &str, whom: &Value) {
        self.ask_simulator(|http, url| http.post(format!("{url}/scenarios/{scenario}")).json(whom))
            .await;
    }

    /// Lets the simulator of `SuperOps` raise alerts at once.
    ///
    /// # Panics
    /// When it does not take them.
    pub async fn raise(&self, alerts: &Value) {
        self.ask_simulator(|http, url| http.post(format!("{url}/alerts")).json(alerts))
            .await;
    }

    /// Makes trouble that has no name.
    pub async fn trouble(&self, faults: &Value) {
        self.ask_simulator(|http, url| http.post(format!("{url}/faults")).json(faults))
            .await;
    }

    /// Ends all trouble.
    pub async fn calm(&self) {
        self.ask_simulator(|http, url| http.delete(format!("{url}/faults")))
            .await;
    }

    /// What the simulator of NVD saw, request by request.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn nvd_log(&self) -> Vec<Value> {
        let url = format!("{}/log", self.simulators.nvd_url());
        let answer = reqwest::get(url).await.unwrap();
        answer.json().await.unwrap()
    }

    /// What the simulator itself says was done: its rows of one action.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn simulator_log(&self, action: &str) -> Vec<Value> {
        let log = self
            .ask_simulator(|http, url| http.get(format!("{url}/log?action={action}")))
            .await;
        log.as_array().cloned().unwrap()
    }

    async fn ask_simulator(
        &self,
        request: impl FnOnce(reqwest::Client, &str) -> reqwest::RequestBuilder,
    ) -> Value {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = self.superops_url.trim_end_matches("/msp");
        let answer = request(http, url).send().await.unwrap();
        let answer = answer.error_for_status().unwrap();
        answer.json().await.unwrap()
    }

    /// Returns the process group of the Temporal server.
    ///
    /// # Panics
    /// While it does not run.
    #[must_use]
    pub fn temporal_group(&self) -> i32 {
        self.temporal.as_ref().unwrap().group()
    }

    /// Returns the program of the Temporal server.
    ///
    /// # Panics
    /// While it does not run.
    #[must_use]
    pub fn temporal_cli(&self) -> PathBuf {
        self.temporal.as_ref().unwrap().cli.clone()
    }

    /// Activities that [`WORKER_TWICE`] has done again, sorted.
    ///
    /// # Panics
    /// With another worker.
    #[must_use]
    pub fn done_twice(&self) -> Vec<String> {
        let notes = std::fs::read_dir(self.data.file(NOTES)).unwrap();
        let mut names: Vec<_> = notes
            .map(|note| note.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    pub fn log_tail(&self) -> String {
        tail(&self.data.logs().join("worker.log"))
    }

    /// Stops everything, first who uses others.
    pub async fn stop(self) {
        for worker in self.other_workers {
            worker.stop(STOP).await;
        }
        self.worker.stop(STOP).await;
        self.simulators.stop().await;
        self.callbacks.stop().await;
        if let Some(temporal) = self.temporal {
            temporal.stop().await;
        }
    }
}

impl WorkerProgram {
    fn start(&self, data: &DataDir) -> Guarded {
        let binary = beside_us(self.name).unwrap();
        assert!(
            binary.is_file(),
            "the worker is not built: cargo build --workspace --bins"
        );
        let log = open_log(&data.logs().join("worker.log")).unwrap();
        Program::new("worker", binary)
            .without_env(demo::NOT_FOR_THE_WORKER)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .envs([("AUTOOPS_STICKY_SECS", STICKY_SECS)])
            .log_to(log)
            .unwrap()
            .start()
            .unwrap()
    }
}

fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&text[text.len().saturating_sub(6000)..]).into_owned()
}
