//! `autoops patch start`: sends a plan and waits until it was accepted or refused.

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use domain::{
    deployment::{DeploymentStatus, Stage},
    ids::PlanId,
    outcome::DeploymentOutcome,
};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    cli, output,
    plan::PlanArgs,
    progress, report,
    setup::Setup,
    temporal::{Deployment, End, Started, Trouble},
    wait,
};

/// Between two looks at a plan that is being looked up.
const LOOK: Duration = Duration::from_millis(300);
/// How long a look may take.
const ANSWER: Duration = Duration::from_secs(2);

/// What to start, and how long to stay.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// The plan.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Print the request as JSON and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Stay until the deployment has ended, as `autoops wait` does
    #[arg(long)]
    pub wait: bool,
    /// With --wait: give up after this long; the deployment goes on
    #[arg(long, value_name = "SECONDS", value_parser = cli::seconds, requires = "wait")]
    pub timeout_secs: Option<u64>,
    /// Do not wait until devices and patches were looked up
    #[arg(long)]
    pub no_wait_facts: bool,
    /// How long to wait until devices and patches were looked up
    #[arg(long, value_name = "SECONDS", value_parser = cli::seconds, default_value_t = 120)]
    pub facts_secs: u64,
}

#[derive(Debug, Serialize)]
struct StartedLine<'a> {
    workflow_id: &'a str,
    run_id: Option<String>,
    plan: &'a PlanId,
}

/// What the first step made of the plan.
#[derive(Debug)]
enum Facts {
    /// It can be used.
    Accepted(Box<DeploymentStatus>),
    /// It is over already.
    Ended(End),
    /// Nothing came in time.
    Unknown,
}

/// Starts a deployment.
///
/// # Errors
/// When the plan is refused, was started before, or Temporal cannot be reached.
pub async fn run(setup: &Setup, args: &StartArgs) -> anyhow::Result<u8> {
    let (plan, request) = args.plan.request(Timestamp::now())?;
    if args.dry_run {
        output::pretty_json(&request)?;
        return Ok(0);
    }
    let temporal = setup.temporal().await?;
    let run_id = match temporal.start(&plan, &request).await? {
        Started::Yes { run_id } => run_id,
        Started::Before => bail!("{}", started_before(&plan)),
    };
    let deployment = temporal.deployment(&plan);
    let started = StartedLine {
        workflow_id: deployment.workflow_id(),
        run_id,
        plan: &plan,
    };
    if !setup.format.is_json() {
        let run = started.run_id.as_deref().unwrap_or("unknown");
        output::line(format!(
            "started plan {plan}: workflow {}, run {run}",
            started.workflow_id
        ));
    }
    if !args.no_wait_facts {
        match facts(&deployment, Duration::from_secs(args.facts_secs)).await? {
            Facts::Ended(End::Failed(message)) => bail!("plan {plan} was refused: {message}"),
            Facts::Ended(end) if !args.wait => {
                if setup.format.is_json() {
                    output::json(&started)?;
                    return Ok(report::exit_status(&end));
                }
                return report::print(setup, &plan, started.workflow_id, &end).await;
            }
            Facts::Accepted(status) if !setup.format.is_json() => {
                output::line(format!("accepted: {}", progress::stage(&status)));
            }
            Facts::Accepted(_) | Facts::Ended(_) => {}
            Facts::Unknown => output::remark(format!(
                "the plan runs, but was neither accepted nor refused within {} s: is a worker running?",
                args.facts_secs
            )),
        }
    }
    if setup.format.is_json() {
        output::json(&started)?;
    } else if !args.wait {
        output::line(format!("next: autoops status {plan}"));
    }
    if args.wait {
        return wait::follow(setup, &plan, &deployment, args.timeout_secs).await;
    }
    Ok(0)
}

/// Says that a plan id was used before; a retry is a new plan.
#[must_use]
pub fn started_before(plan: &PlanId) -> String {
    format!("plan {plan} was already started: see autoops status {plan}")
}

async fn facts(deployment: &Deployment, limit: Duration) -> Result<Facts, Trouble> {
    let since = Instant::now();
    while since.elapsed() < limit {
        if !deployment.is_open().await? {
            return Ok(Facts::Ended(deployment.end().await?));
        }
        match deployment.status(ANSWER).await {
            // One that was refused is about to end; its end says why.
            Ok(status)
                if status.stage != Stage::Planning
                    && status.outcome != Some(DeploymentOutcome::Refused) =>
            {
                return Ok(Facts::Accepted(Box::new(status)));
            }
            // A plan that cannot be read refuses the query too; its end comes with the next look.
            Ok(_) | Err(Trouble::NoAnswer | Trouble::Refused(_) | Trouble::Lost(_)) => {}
            Err(trouble) => return Err(trouble),
        }
        sleep(LOOK).await;
    }
    Ok(Facts::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_names_the_plan_and_the_next_step() {
        let plan = "first-plan".parse().unwrap();
        assert_eq!(
            started_before(&plan),
            "plan first-plan was already started: see autoops status first-plan"
        );
    }
}
