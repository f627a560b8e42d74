//! `autoops dead-letters`: what nobody but a person can bring to an end, and what is done about it.

mod rerun;
mod settle;
mod show;
#[cfg(test)]
mod tests;

use clap::{Args, Subcommand};
use clients::store::{DeadLetter, Executions, LetterFilter};
use contracts::ids::{self, DeviceRun};
use domain::{
    dead_letter::LetterKind,
    ids::{ClientId, DeviceId, PersonId, PlanId},
    input::Problem,
};
use jiff::Timestamp;
use serde::Serialize;

use self::{
    settle::{Again, Desk},
    show::{describe, row, words_of},
};
use crate::{
    cli,
    output::{self, USAGE_OR_CONNECTION},
    setup::Setup,
};

/// Letters read at once.
const PAGE: usize = 200;
/// Longest id that is looked for.
const MAX_ID: usize = 200;

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum LettersCommand {
    /// List what needs a person, newest first
    List(ListArgs),
    /// Show one letter: cause, and where to look
    Show(ShowArgs),
    /// Try again: under a new plan, which is checked and approved like any other, or, when a seal, a report or
    /// a campaign gave up, by starting it again
    Retry(RetryArgs),
    /// Close a letter that needs nothing more
    Drop(DropArgs),
}

/// Which letters.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those of one client; `provider` for what is done for all clients
    #[arg(long)]
    pub client: Option<ClientId>,
    /// Also those that were retried or dropped
    #[arg(long)]
    pub all: bool,
    /// Only of this kind: device-needs-human, device-rollback-failed, notice-undelivered,
    /// deployment-broken, record-refused or workflow-failed
    #[arg(long)]
    pub kind: Option<LetterKind>,
}

/// Which letter.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Id of the letter, as `list` shows it
    #[arg(value_name = "ID", value_parser = letter_id)]
    pub id: String,
}

/// Which letter, who and why.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// Id of the letter, as `list` shows it
    #[arg(value_name = "ID", value_parser = letter_id)]
    pub id: String,
    /// Who asks
    #[arg(long, value_name = "PERSON")]
    pub by: PersonId,
    /// Why
    #[arg(long, value_parser = cli::reason)]
    pub reason: Option<String>,
}

/// Which letter, who and why.
#[derive(Debug, Args)]
pub struct DropArgs {
    /// Id of the letter, as `list` shows it
    #[arg(value_name = "ID", value_parser = letter_id)]
    pub id: String,
    /// Who says so
    #[arg(long, value_name = "PERSON")]
    pub by: PersonId,
    /// Why nothing more is needed
    #[arg(long, value_parser = cli::reason)]
    pub reason: String,
}

/// What came of a retry or drop, as programs read it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    letter: &'a DeadLetter,
    plan: Option<&'a PlanId>,
    workflow_id: Option<String>,
    started: bool,
    left_out: &'a [DeviceId],
    words: &'a str,
}

/// Lists, shows, retries or drops.
///
/// # Errors
/// When there is no such letter, it cannot be done, or the store or Temporal cannot be used.
pub async fn run(setup: &Setup, command: &LettersCommand) -> anyhow::Result<u8> {
    let store = setup.store().await?;
    match command {
        LettersCommand::List(args) => list(setup, store.executions.as_ref(), args).await,
        LettersCommand::Show(args) => {
            let letter = settle::find(store.executions.as_ref(), &args.id).await?;
            if setup.format.is_json() {
                output::json(&letter)?;
            } else {
                describe(&letter).iter().for_each(output::line);
            }
            Ok(0)
        }
        LettersCommand::Retry(args) => {
            let desk = Desk::new(&store, setup.accepts_claims()?);
            // Before anything is marked: without a server nothing can be started.
            let temporal = setup.temporal().await?;
            let again = desk.retry(&temporal, args, Timestamp::now()).await?;
            told(setup, &again, &args.by)
        }
        LettersCommand::Drop(args) => {
            let desk = Desk::new(&store, setup.accepts_claims()?);
            let letter = desk.drop_letter(args, Timestamp::now()).await?;
            let text = format!("dead letter {} is {}", letter.id, letter.state);
            if setup.format.is_json() {
                output::json(&Report {
                    letter: &letter,
                    plan: None,
                    workflow_id: None,
                    started: false,
                    left_out: &[],
                    words: &text,
                })?;
            } else {
                output::line(text);
            }
            Ok(0)
        }
    }
}

async fn list(setup: &Setup, executions: &dyn Executions, args: &ListArgs) -> anyhow::Result<u8> {
    let letters = read(executions, args).await?;
    if setup.format.is_json() {
        output::json(&letters)?;
        return Ok(0);
    }
    let header = [
        "id", "kind", "client", "plan", "device", "since", "state", "cause",
    ];
    output::table(header, letters.iter().map(row));
    Ok(0)
}

async fn read(executions: &dyn Executions, args: &ListArgs) -> anyhow::Result<Vec<DeadLetter>> {
    let filter = LetterFilter {
        client: args.client.clone(),
        kind: args.kind,
        open: !args.all,
    };
    let (mut letters, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = executions
            .list_dead_letters(&filter, cursor.as_deref(), PAGE)
            .await?;
        letters.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(letters),
        }
    }
}

/// Says what came of a retry. Whoever comes second is told which plan it is.
fn told(setup: &Setup, again: &Again, by: &PersonId) -> anyhow::Result<u8> {
    let (good, text) = words_of(again, by);
    if setup.format.is_json() {
        output::json(&Report {
            letter: &again.letter,
            plan: again.plan.as_ref(),
            workflow_id: Some(again.workflow_id()),
            started: again.started,
            left_out: &again.left_out,
            words: &text,
        })?;
    }
    if !good {
        output::error(&anyhow::anyhow!(text));
        return Ok(USAGE_OR_CONNECTION);
    }
    if !setup.format.is_json() {
        output::line(text);
        if !again.left_out.is_empty() {
            output::line(format!(
                "left out: {} devices that need a human; each has a letter of its own",
                again.left_out.len()
            ));
        }
        output::line(again.next_step());
    }
    Ok(0)
}

/// The plan a letter is about; letters of earlier versions name only the workflow.
fn plan_of(letter: &DeadLetter) -> Option<PlanId> {
    let of_workflow = || {
        ids::plan_of_deployment(&letter.workflow_id)
            .or_else(|| DeviceRun::of_workflow(&letter.workflow_id).map(|run| run.plan))
    };
    letter.plan.clone().or_else(of_workflow)
}

/// The device a letter is about.
fn device_of(letter: &DeadLetter) -> Option<DeviceId> {
    let of_workflow = || DeviceRun::of_workflow(&letter.workflow_id).map(|run| run.device);
    letter.device.clone().or_else(of_workflow)
}

fn letter_id(text: &str) -> Result<String, String> {
    let good = (1..=MAX_ID).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
    let allowed = "the id of a letter, as autoops dead-letters list shows it";
    match good {
        true => Ok(text.to_owned()),
        false => Err(Problem::new("ID", text, allowed).to_string()),
    }
}
