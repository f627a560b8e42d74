//! `autoops schedules`: what runs by the clock, from a file to the Temporal server.

mod apply;
pub(crate) mod entries;
mod show;
#[cfg(test)]
mod tests;
pub(crate) mod times;

use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use contracts::deployment::MAX_REASON;
use domain::{
    ids::{PersonId, ScheduleName},
    input::Problem,
};
use serde::Serialize;
use tokio::time::{Instant, sleep};

pub use self::apply::ApplyArgs;
use self::show::{Moment, describe, next_of, row, shown};
use crate::{
    output,
    setup::Setup,
    temporal::{Run, Standing, Temporal},
};

/// Next runs that are shown.
const SHOWN: usize = 3;
/// How long a triggered run may take to start.
const START: Duration = Duration::from_secs(15);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// What to do with schedules.
#[derive(Debug, Subcommand)]
pub enum SchedulesCommand {
    /// Make what runs by the clock what a file says; a second time changes nothing
    Apply(ApplyArgs),
    /// List schedules with their next and last run
    List,
    /// Show one schedule, its next and its recent runs
    Show(NameArgs),
    /// Start no more runs of a schedule; what runs goes on
    Pause(AskArgs),
    /// Go on after a pause; what was missed is not caught up
    Resume(AskArgs),
    /// Start one run now, also of a paused schedule
    Trigger(NameArgs),
    /// Delete a schedule; what runs goes on
    Delete(DeleteArgs),
}

/// Which schedule.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// Name of the schedule, as `list` shows it
    #[arg(value_name = "NAME")]
    pub name: ScheduleName,
}

/// Which schedule, who and why.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// Name of the schedule, as `list` shows it
    #[arg(value_name = "NAME")]
    pub name: ScheduleName,
    /// Who asks
    #[arg(long, value_name = "PERSON")]
    pub by: PersonId,
    /// Why
    #[arg(long, value_parser = reason)]
    pub reason: Option<String>,
}

/// Which schedule, and whether that is meant.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Name of the schedule, as `list` shows it
    #[arg(value_name = "NAME")]
    pub name: ScheduleName,
    /// Do it; without this, only what would go is shown
    #[arg(long)]
    pub yes: bool,
}

/// What came of a command about one schedule, as programs read it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    name: &'a ScheduleName,
    words: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    next: Vec<Moment>,
}

/// Does it.
///
/// # Errors
/// When a file is wrong, there is no such schedule, or Temporal cannot be used.
pub async fn run(setup: &Setup, command: &SchedulesCommand) -> anyhow::Result<u8> {
    // It needs no server when it only checks.
    if let SchedulesCommand::Apply(args) = command {
        return apply::run(setup, args).await;
    }
    let temporal = setup.temporal().await?;
    match command {
        SchedulesCommand::Apply(_) => {}
        SchedulesCommand::List => list(setup, &temporal).await?,
        SchedulesCommand::Show(args) => {
            let standing = known(&temporal, &args.name).await?;
            match setup.format.is_json() {
                true => output::json(&shown(&args.name, &standing))?,
                false => describe(&args.name, &standing)
                    .iter()
                    .for_each(output::line),
            }
        }
        SchedulesCommand::Pause(ask) => {
            known(&temporal, &ask.name).await?;
            temporal
                .pause_schedule(&ask.name, &ask.note("paused"))
                .await?;
            told(setup, &ask.name, "is paused", None, vec![])?;
        }
        SchedulesCommand::Resume(ask) => {
            known(&temporal, &ask.name).await?;
            temporal
                .unpause_schedule(&ask.name, &ask.note("resumed"))
                .await?;
            let next = next_of(&known(&temporal, &ask.name).await?);
            told(setup, &ask.name, "goes on", None, next)?;
        }
        SchedulesCommand::Trigger(args) => trigger(setup, &temporal, &args.name).await?,
        SchedulesCommand::Delete(args) => {
            let standing = known(&temporal, &args.name).await?;
            if !args.yes {
                describe(&args.name, &standing)
                    .iter()
                    .for_each(output::remark);
                bail!(
                    "nothing was deleted: --yes says that schedule {} is meant",
                    args.name
                );
            }
            temporal.delete_schedule(&args.name).await?;
            told(setup, &args.name, "is deleted", None, vec![])?;
        }
    }
    Ok(0)
}

/// Asks for a schedule of ours.
async fn known(temporal: &Temporal, name: &ScheduleName) -> anyhow::Result<Standing> {
    match temporal.schedule(name).await? {
        Some(standing) if standing.ours => Ok(standing),
        Some(_) => bail!("schedule {name} was not made by autoops: see temporal schedule describe"),
        None => bail!("no schedule {name}: see autoops schedules list"),
    }
}

async fn list(setup: &Setup, temporal: &Temporal) -> anyhow::Result<()> {
    let mut found = vec![];
    for name in temporal.schedules().await? {
        // One may go while the others are read.
        if let Some(standing) = temporal.schedule(&name).await? {
            found.push((name, standing));
        }
    }
    if setup.format.is_json() {
        let all: Vec<_> = found
            .iter()
            .map(|(name, standing)| shown(name, standing))
            .collect();
        return output::json(&all);
    }
    let header = [
        "name", "kind", "client", "when", "zone", "paused", "next run", "last run",
    ];
    output::table(
        header,
        found.iter().map(|(name, standing)| row(name, standing)),
    );
    Ok(())
}

async fn trigger(setup: &Setup, temporal: &Temporal, name: &ScheduleName) -> anyhow::Result<()> {
    let before = known(temporal, name).await?;
    temporal.trigger_schedule(name).await?;
    let until = Instant::now() + START;
    loop {
        let now = known(temporal, name).await?;
        let new = now
            .recent
            .iter()
            .rev()
            .find(|run| !before.recent.iter().any(|old| old.run_id == run.run_id));
        if let Some(run) = new {
            let id = &run.workflow_id;
            return told(
                setup,
                name,
                &format!("was triggered: {id} is started"),
                Some(run),
                vec![],
            );
        }
        if now.skipped > before.skipped {
            let runs = now.running.join(", ");
            bail!("nothing was started: the run before still goes on ({runs})");
        }
        if Instant::now() > until {
            bail!(
                "schedule {name} was triggered, but no run is seen after {} s: see autoops schedules show {name}",
                START.as_secs()
            );
        }
        sleep(LOOK).await;
    }
}

fn told(
    setup: &Setup,
    name: &ScheduleName,
    what: &str,
    run: Option<&Run>,
    next: Vec<Moment>,
) -> anyhow::Result<()> {
    let words = format!("schedule {name} {what}");
    if setup.format.is_json() {
        return output::json(&Report {
            name,
            words: &words,
            workflow_id: run.map(|run| run.workflow_id.as_str()),
            run_id: run.map(|run| run.run_id.as_str()),
            next,
        });
    }
    output::line(words);
    if !next.is_empty() {
        output::line(format!("next: {}", show::next_lines(&next, false)));
    }
    Ok(())
}

impl AskArgs {
    /// What the server keeps beside the schedule.
    fn note(&self, what: &str) -> String {
        match &self.reason {
            Some(reason) => format!("{what} by {}: {reason}", self.by),
            None => format!("{what} by {}", self.by),
        }
    }
}

fn reason(text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    match trimmed.chars().count() {
        1..=MAX_REASON => Ok(trimmed.to_owned()),
        _ => Err(Problem::new("reason", text, format!("1 to {MAX_REASON} characters")).to_string()),
    }
}
