//! `autoops wait`: follows a deployment to its end and exits with the status that stands for it.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use contracts::deployment::DeploymentResult;
use domain::ids::PlanId;
use tokio::time::{Instant, interval, sleep, sleep_until};

use crate::{
    cli,
    progress::Progress,
    report,
    setup::Setup,
    temporal::{Deployment, End, Trouble},
};

/// Between two looks at the state.
const LOOK: Duration = Duration::from_secs(1);
/// How long a look may take.
const ANSWER: Duration = Duration::from_secs(3);
/// Looks without an answer before somebody is told; a worker may be busy or restarting.
const QUIET: u32 = 3;
/// How long a lost server is waited for.
const LOST: Duration = Duration::from_secs(60);

/// What to wait for.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Plan id or workflow id
    #[arg(value_name = "ID", value_parser = cli::plan_id)]
    pub plan: PlanId,
    /// Give up after this long; the deployment goes on
    #[arg(long, value_name = "SECONDS", value_parser = cli::seconds)]
    pub timeout_secs: Option<u64>,
}

/// Waits for the end and reports it.
///
/// # Errors
/// When nobody knows the deployment, the server is lost for long or time is up.
pub async fn run(setup: &Setup, args: &WaitArgs) -> anyhow::Result<u8> {
    let deployment = setup.temporal().await?.deployment(&args.plan);
    follow(setup, &args.plan, &deployment, args.timeout_secs).await
}

/// As [`run`], of a deployment that was just started.
///
/// # Errors
/// As [`run`].
pub async fn follow(
    setup: &Setup,
    plan: &PlanId,
    deployment: &Deployment,
    timeout_secs: Option<u64>,
) -> anyhow::Result<u8> {
    let mut progress = Progress::new(setup.format);
    let end = watch(plan, deployment, timeout_secs, &mut progress).await;
    progress.finish();
    let end = match end {
        // Temporal forgets closed workflows some time after their end; the store keeps them longer.
        Err(Watching::Trouble(Trouble::NotFound)) => match end_in_store(setup, plan).await? {
            Some(end) => end,
            None => bail!("no deployment of plan {plan} is known"),
        },
        other => other?,
    };
    report::print(setup, plan, deployment.workflow_id(), &end).await
}

#[derive(Debug, thiserror::Error)]
enum Watching {
    #[error(transparent)]
    Trouble(#[from] Trouble),
    #[error("{0}")]
    GivenUp(String),
}

async fn watch(
    plan: &PlanId,
    deployment: &Deployment,
    timeout_secs: Option<u64>,
    progress: &mut Progress,
) -> Result<End, Watching> {
    let again = format!("the deployment goes on; see autoops wait {plan}");
    let until = timeout_secs.map(|secs| Instant::now() + Duration::from_secs(secs));
    let time_is_up = async {
        match until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    let end = end(deployment);
    tokio::pin!(end, time_is_up);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        let look = async {
            looks.tick().await;
            deployment.status(ANSWER).await
        };
        tokio::select! {
            biased;
            end = &mut end => return Ok(end?),
            () = &mut time_is_up => {
                let secs = timeout_secs.unwrap_or_default();
                return Err(Watching::GivenUp(format!("plan {plan} has not ended within {secs} s: {again}")));
            }
            _ = tokio::signal::ctrl_c() => return Err(Watching::GivenUp(format!("stopped waiting: {again}"))),
            status = look => match status {
                Ok(status) => {
                    unanswered = 0;
                    progress.show(&status);
                }
                Err(Trouble::NoAnswer) => {
                    unanswered += 1;
                    if unanswered == QUIET {
                    progress.remark("no worker answers; the deployment goes on when one comes");
                    }
                }
                Err(_) => {}
            },
        }
    }
}

/// Waits for the end through restarts of the server.
async fn end(deployment: &Deployment) -> Result<End, Trouble> {
    let mut lost_since = None;
    loop {
        match deployment.end().await {
            Err(trouble @ (Trouble::Lost(_) | Trouble::NoAnswer)) => {
                if lost_since.get_or_insert_with(Instant::now).elapsed() > LOST {
                    return Err(trouble);
                }
                sleep(LOOK).await;
            }
            other => return other,
        }
    }
}

/// Nobody has to have a store to be told that nothing is known.
async fn end_in_store(setup: &Setup, plan: &PlanId) -> anyhow::Result<Option<End>> {
    let Ok(store) = setup.store().await else {
        return Ok(None);
    };
    let Some(status) = store.executions.get_status(plan).await? else {
        return Ok(None);
    };
    Ok(status.outcome.map(|outcome| {
        End::Completed(Box::new(DeploymentResult {
            outcome,
            detail: status.note,
            counts: status.counts,
            plan_hash: status.plan_hash,
            metrics: None,
        }))
    }))
}
