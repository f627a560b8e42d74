//! `autoops status` and `autoops list`: where deployments stand.

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use clients::store::StatusFilter;
use domain::{
    deployment::DeploymentStatus,
    ids::{ClientId, PlanId},
};

use crate::{
    cli,
    output::{self, short},
    progress,
    setup::Setup,
    temporal::Trouble,
    words,
};

/// How long a worker may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Rows read at once.
const PAGE: usize = 100;

/// Which deployment, and from where.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Plan id or workflow id
    #[arg(value_name = "ID", value_parser = cli::plan_id)]
    pub plan: PlanId,
    /// Ask the workflow itself instead of the store
    #[arg(long)]
    pub live: bool,
}

/// Which deployments.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those that wait for people
    #[arg(long)]
    pub needs_approval: bool,
    /// Only those of one client
    #[arg(long)]
    pub client: Option<ClientId>,
    /// Only those that are not over
    #[arg(long)]
    pub open: bool,
    /// At most this many, newest first
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
}

/// Shows one deployment.
///
/// # Errors
/// When it is not known, or what should know it cannot be reached.
pub async fn status(setup: &Setup, args: &StatusArgs) -> anyhow::Result<u8> {
    let status = if args.live {
        live(setup, &args.plan).await?
    } else {
        stored(setup, &args.plan).await?
    };
    if setup.format.is_json() {
        output::json(&status)?;
    } else {
        show(&status);
    }
    Ok(0)
}

async fn live(setup: &Setup, plan: &PlanId) -> anyhow::Result<DeploymentStatus> {
    let deployment = setup.temporal().await?.deployment(plan);
    deployment
        .status(ANSWER)
        .await
        .map_err(|trouble| match trouble {
            Trouble::NotFound => {
                anyhow!("no deployment of plan {plan} is known to the Temporal server")
            }
            Trouble::NoAnswer => {
                anyhow!(
                    "no worker answered within {} s; without --live the store is read",
                    ANSWER.as_secs()
                )
            }
            other => other.into(),
        })
}

async fn stored(setup: &Setup, plan: &PlanId) -> anyhow::Result<DeploymentStatus> {
    let status = setup.store().await?.executions.get_status(plan).await?;
    status.with_context(|| format!("no deployment of plan {plan} is in the store; one that was just started shows with --live"))
}

fn show(status: &DeploymentStatus) {
    output::line(format!("{} ({})", status.plan, status.workflow_id));
    output::line(format!("stage: {}", progress::stage(status)));
    if let Some(outcome) = status.outcome {
        output::line(format!("outcome: {}", words::plain(outcome.as_str())));
    }
    words::summary(status).iter().for_each(output::line);
    if status.needs_approval {
        output::line(format!(
            "next: autoops approve {} --by NAME, or autoops reject {0} --by NAME",
            status.plan
        ));
    }
    if !status.approved_by.is_empty() {
        output::line(format!(
            "approved by: {}",
            words::people(&status.approved_by)
        ));
    }
    for forbidden in &status.forbidden {
        output::line(format!(
            "  device {} is left out by {}",
            forbidden.device,
            forbidden.policies.join(", ")
        ));
    }
    if !status.rings.is_empty() {
        let rows = status.rings.iter().map(|ring| {
            let ended = format!("{} of {}", ring.counts.total(), ring.devices);
            let passed = if ring.passed { "passed" } else { "" };
            let outcomes = if ring.counts.total() == 0 {
                String::new()
            } else {
                words::counts(&ring.counts)
            };
            [
                ring.name.clone(),
                ended,
                ring.in_flight.to_string(),
                outcomes,
                passed.to_owned(),
            ]
        });
        output::table(["ring", "ended", "in work", "outcomes", "gate"], rows);
    }
    if status.stragglers > 0 {
        output::line(format!(
            "stragglers: {} devices were offline and are waited for",
            status.stragglers
        ));
    }
    output::line(format!("devices: {}", words::counts(&status.counts)));
    let deadline = status.deadline.map_or("none".to_owned(), words::time);
    output::line(format!(
        "started {}, written {}, deadline {deadline}",
        words::time(status.started_at),
        words::time(status.updated_at)
    ));
}

/// Lists deployments.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(setup: &Setup, args: &ListArgs) -> anyhow::Result<u8> {
    let executions = setup.store().await?.executions;
    let filter = StatusFilter {
        client: args.client.clone(),
        needs_approval: args.needs_approval,
        open: args.open,
    };
    let mut statuses = Vec::new();
    let mut cursor: Option<String> = None;
    while statuses.len() < args.limit {
        let most = PAGE.min(args.limit - statuses.len());
        let page = executions
            .list_statuses(&filter, cursor.as_deref(), most)
            .await?;
        statuses.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    if setup.format.is_json() {
        output::json(&statuses)?;
        return Ok(0);
    }
    let header = [
        "plan",
        "client",
        "stage",
        "risk",
        "patches",
        "devices ended",
        "started",
    ];
    output::table(header, statuses.iter().map(row));
    Ok(0)
}

fn row(status: &DeploymentStatus) -> [String; 7] {
    let devices: u32 = status.rings.iter().map(|ring| ring.devices).sum();
    let kbs: Vec<_> = status.kbs.iter().map(ToString::to_string).collect();
    let stage = match status.outcome {
        Some(outcome) => words::plain(outcome.as_str()),
        None => words::plain(status.stage.as_str()),
    };
    [
        status.plan.to_string(),
        status.client.to_string(),
        stage,
        status
            .risk_level()
            .map_or("", |level| level.as_str())
            .to_owned(),
        short(kbs.join(", "), 60),
        format!("{} of {devices}", status.counts.total()),
        words::time(status.started_at),
    ]
}
