//! The Temporal server of a test binary, and workers on the queues that the workflows name.

use std::{
    fmt,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context;
use contracts::queues;
use dev_server::temporal::{DevTemporal, DevTemporalOptions};
use temporalio_client::Client;
use temporalio_sdk::{Runtime, Worker, WorkerOptions, runtime::RuntimeOptions};
use tokio::sync::{OnceCell, mpsc};
use worker::register_workflows;

use crate::{fakes, faults::Gate, world::Worlds};

/// Every task queue.
pub const QUEUES: [&str; 4] = [
    queues::MAIN,
    queues::SUPEROPS,
    queues::INVENTORY,
    queues::NVD,
];
/// A workflow of a worker that has gone is given to another one after this long.
const STICKY: Duration = Duration::from_secs(1);

static TOKIO: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
});
static SITE: OnceCell<Site> = OnceCell::const_new();

/// Runs a test. All tests of a binary share one runtime, because they share the server.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    TOKIO.block_on(test)
}

/// Returns the server of this test binary, with workers; started by the first test that asks. The
/// server ends with the process, in whatever way that ends.
pub async fn site() -> &'static Site {
    SITE.get_or_init(|| async { Site::start().await.unwrap() })
        .await
}

/// A Temporal server with workers.
pub struct Site {
    server: DevTemporal,
    worlds: Arc<Worlds>,
    client: Client,
    workers: Mutex<Option<Workers>>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Site {
    /// Starts a server of its own, for tests that stop workers.
    ///
    /// # Errors
    /// When there is no Temporal server on this machine, or it does not come up.
    pub async fn start() -> anyhow::Result<Self> {
        let server = DevTemporal::start(DevTemporalOptions::default()).await?;
        let client = server.client()?;
        let site = Self {
            server,
            worlds: Arc::default(),
            client,
            workers: Mutex::new(None),
        };
        site.start_workers().await?;
        Ok(site)
    }

    /// Returns a client of the server.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns where the server is, for programs of ours.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.server.address
    }

    pub(crate) fn worlds(&self) -> &Arc<Worlds> {
        &self.worlds
    }

    /// Starts workers on all queues.
    ///
    /// # Errors
    /// When the SDK refuses their options.
    pub async fn start_workers(&self) -> anyhow::Result<()> {
        let workers = Workers::start(&self.client, &self.worlds).await?;
        *self.lock() = Some(workers);
        Ok(())
    }

    /// Stops all workers, so that nothing moves until others are started.
    pub async fn stop_workers(&self) {
        let workers = self.lock().take();
        if let Some(workers) = workers {
            tokio::task::spawn_blocking(move || workers.stop())
                .await
                .unwrap();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Workers>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(workers) = self.lock().take() {
            workers.stop();
        }
    }
}

type Stop = Box<dyn Fn() + Send>;

/// Running workers, a thread each: a worker does not move between threads.
struct Workers {
    stops: Vec<Stop>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    async fn start(client: &Client, worlds: &Arc<Worlds>) -> anyhow::Result<Self> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut threads = Vec::new();
        for queue in QUEUES {
            let (client, worlds, tell) = (client.clone(), Arc::clone(worlds), tell.clone());
            let thread = std::thread::Builder::new().name(queue.to_owned());
            threads.push(thread.spawn(move || {
                TOKIO.block_on(async {
                    let runtime = sdk_runtime();
                    let made = Worker::new(&runtime, client, options(queue, &worlds));
                    match made {
                        Ok(mut worker) => {
                            let _ = tell.send(Ok(Box::new(worker.shutdown_handle()) as Stop));
                            if let Err(error) = worker.run().await {
                                tracing::error!(%error, queue, "a worker has ended");
                            }
                        }
                        Err(error) => {
                            let _ = tell.send(Err(anyhow::Error::new(error)));
                        }
                    }
                });
            })?);
        }
        drop(tell);
        let mut stops = Vec::new();
        for _ in QUEUES {
            let stop = told
                .recv()
                .await
                .context("a worker has ended at its start")?;
            stops.push(stop?);
        }
        Ok(Self { stops, threads })
    }

    fn stop(self) {
        for stop in &self.stops {
            stop();
        }
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn sdk_runtime() -> Runtime {
    let options = RuntimeOptions::builder().heartbeat_interval(None).build();
    Runtime::from_current_tokio(options.unwrap()).unwrap()
}

/// Options of the worker of a queue: workflows on the main one, each activity where the real worker
/// has it.
#[must_use]
pub fn options(queue: &str, worlds: &Arc<Worlds>) -> WorkerOptions {
    let mut options = WorkerOptions::new(queue)
        .activity_inbound_interceptor(Gate::new(Arc::clone(worlds)))
        .sticky_queue_schedule_to_start_timeout(STICKY)
        .build();
    if queue == queues::MAIN {
        register_workflows(&mut options).unwrap();
    }
    fakes::register(&mut options, queue, worlds);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_activity_has_a_fake_on_one_queue() {
        let worlds = Arc::default();
        let mut found = Vec::new();
        for queue in QUEUES {
            // The names are in the debug output only.
            let shown = format!("{:?}", options(queue, &worlds).activities());
            found.extend(
                shown
                    .split('"')
                    .filter(|word| word.contains('.'))
                    .map(str::to_owned),
            );
        }
        found.sort_unstable();
        let mut declared: Vec<_> = contracts::activities::all().map(str::to_owned).collect();
        declared.sort_unstable();
        assert_eq!(found, declared);
    }
}
