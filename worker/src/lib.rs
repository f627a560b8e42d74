//! The worker: connects to Temporal, registers workflows and activities on their task queues, and
//! runs them until it is told to stop. A library, so that tests and the dev server run the same
//! worker inside their own process.

mod args;
mod build;
mod connect;
pub mod logs;
mod metrics;
mod prepare;
mod serve;

use temporalio_sdk::WorkerOptions;
use tokio_util::sync::CancellationToken;

pub use args::{Args, LogFormat, Setup, Tuning, read_args};
pub use build::{build_deps, queue_rates};
pub use connect::{TemporalTarget, connect};
pub use prepare::{load_people, put_default_policies, register_search_attributes};
pub use serve::{QueueRates, queues, register_workflows, serve};

/// Builds everything and runs the worker until `until` is cancelled and what was begun is finished.
///
/// # Errors
/// When the configuration or the address for metrics cannot be used, Temporal cannot be reached, `SuperOps` refuses the token,
/// or a worker ends by itself.
pub async fn run(setup: Setup, until: CancellationToken) -> anyhow::Result<()> {
    run_with(setup, until, |_| {}).await
}

/// As [`run`], with a last word on the options of each queue: interceptors, for instance.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    setup: Setup,
    until: CancellationToken,
    change: impl Fn(&mut WorkerOptions),
) -> anyhow::Result<()> {
    if let Some(address) = setup.metrics {
        metrics::show(address, until.clone())?;
    }
    let deps = build_deps(&setup.config, &setup.secrets).await?;
    let rates = queue_rates(&setup.config, &setup.secrets)?;
    let client = connect(&setup.temporal).await?;
    prepare::check_superops(&deps.superops).await?;
    prepare::register_search_attributes(&client).await?;
    prepare::put_default_policies(&deps.store, deps.clock.now()).await?;
    if let Some(people) = &setup.people {
        prepare::load_people(&deps.store, people).await?;
    }
    let sweeper = tokio::spawn(prepare::sweep(deps.clone(), until.clone()));
    let embedder = tokio::spawn(prepare::re_embed(deps.clone(), until.clone()));
    let ended = serve(client, queues(&deps, rates, setup.tuning, change)?, until).await;
    sweeper.abort();
    embedder.abort();
    ended
}

#[cfg(test)]
mod tests;
