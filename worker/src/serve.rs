//! One SDK worker per task queue, run until all are told to stop.

use std::{sync::Arc, thread};

use activities::Deps;
use anyhow::{Context, anyhow};
use contracts::queues;
use temporalio_client::Client;
use temporalio_sdk::{Runtime, Worker, WorkerOptions, runtime::RuntimeOptions};
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::sync::CancellationToken;
use tracing::info;
use workflows::{
    alert_ingest::AlertIngest, alert_processing::AlertProcessing, campaign_report::CampaignReport,
    daily_seal::DailySeal, device_patch::DevicePatch, incident_response::IncidentResponse,
    intel_sync::IntelSync, patch_campaign::PatchCampaign, patch_deployment::PatchDeployment,
};

use crate::args::Tuning;

/// Activities per second on the queues of rate-limited systems; absent means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueueRates {
    /// Queues that call `SuperOps`; each of them may use the whole rate, the bucket in the store
    /// divides it.
    pub superops: Option<f64>,
    /// Queue that calls NVD.
    pub nvd: Option<f64>,
}

impl QueueRates {
    fn of(self, queue: &str) -> Option<f64> {
        match queue {
            queues::SUPEROPS | queues::INVENTORY => self.superops,
            queues::NVD => self.nvd,
            _ => None,
        }
    }
}

/// Runs workflows and activities on task queues until `until` is cancelled, then lets running
/// activities end. A worker that ends by itself takes the others down. Needs a Tokio runtime with
/// more than one thread.
///
/// # Errors
/// When a worker cannot be started or ends by itself.
pub async fn serve(
    client: Client,
    queues: Vec<WorkerOptions>,
    until: CancellationToken,
) -> anyhow::Result<()> {
    let runtime = Runtime::from_current_tokio(RuntimeOptions::default())
        .context("the Temporal runtime cannot be started")?;
    let runtime = Arc::new(runtime);
    // Cancelled by the caller, and by the first worker that ends.
    let stop = until.child_token();
    let mut running = Vec::new();
    for options in queues {
        let queue = options.task_queue.clone();
        let worker = Running {
            runtime: Arc::clone(&runtime),
            client: client.clone(),
            options,
            stop: stop.clone(),
        };
        running.push((queue, worker.spawn()?));
    }
    info!("worker is running");
    let mut ended = Ok(());
    for (queue, result) in running {
        let result = result
            .await
            .unwrap_or_else(|_| Err(anyhow!("its thread panicked")));
        let result = result.with_context(|| format!("the worker of queue {queue} ended"));
        if ended.is_ok() {
            ended = result;
        }
    }
    if ended.is_ok() {
        info!("worker has stopped");
    }
    ended
}

/// Builds the options of every task queue.
///
/// # Errors
/// When the SDK refuses a workflow.
pub fn queues(
    deps: &Deps,
    rates: QueueRates,
    tuning: Tuning,
    change: impl Fn(&mut WorkerOptions),
) -> anyhow::Result<Vec<WorkerOptions>> {
    let options = activities::QUEUES.into_iter().map(|queue| {
        let mut options = options(queue, deps, rates, tuning)?;
        change(&mut options);
        Ok(options)
    });
    options.collect()
}

/// Registers every workflow.
///
/// # Errors
/// When the SDK refuses one.
pub fn register_workflows(options: &mut WorkerOptions) -> anyhow::Result<()> {
    options
        .register_workflow::<PatchDeployment>()?
        .register_workflow::<DevicePatch>()?
        .register_workflow::<DailySeal>()?
        .register_workflow::<IntelSync>()?
        .register_workflow::<PatchCampaign>()?
        .register_workflow::<CampaignReport>()?
        .register_workflow::<AlertIngest>()?
        .register_workflow::<AlertProcessing>()?
        .register_workflow::<IncidentResponse>()?;
    Ok(())
}

fn options(
    queue: &str,
    deps: &Deps,
    rates: QueueRates,
    tuning: Tuning,
) -> anyhow::Result<WorkerOptions> {
    let mut options = WorkerOptions::new(queue).build();
    options.sticky_queue_schedule_to_start_timeout = tuning.sticky;
    options.graceful_shutdown_period = Some(tuning.drain);
    options.max_task_queue_activities_per_second = rates.of(queue);
    if queue == queues::MAIN {
        register_workflows(&mut options)?;
    }
    activities::register(&mut options, queue, deps);
    Ok(options)
}

struct Running {
    runtime: Arc<Runtime>,
    client: Client,
    options: WorkerOptions,
    stop: CancellationToken,
}

impl Running {
    /// Runs it on a thread of its own: its future cannot move between threads.
    fn spawn(self) -> anyhow::Result<oneshot::Receiver<anyhow::Result<()>>> {
        let (tell, told) = oneshot::channel();
        let handle = Handle::current();
        let name = self.options.task_queue.clone();
        thread::Builder::new()
            .name(name)
            .spawn(move || {
                // Also when it panics: the others must not run on alone.
                let _down = self.stop.clone().drop_guard();
                let ended = handle.block_on(self.run());
                // Nobody listens any more when the whole process goes down.
                drop(tell.send(ended));
            })
            .context("no thread can be started")?;
        Ok(told)
    }

    async fn run(self) -> anyhow::Result<()> {
        let mut worker = Worker::new(&self.runtime, self.client, self.options)?;
        let shut_down = worker.shutdown_handle();
        let stop = self.stop.clone();
        let watch = tokio::spawn(async move {
            stop.cancelled().await;
            shut_down();
        });
        let ended = worker.run().await;
        watch.abort();
        Ok(ended?)
    }
}
