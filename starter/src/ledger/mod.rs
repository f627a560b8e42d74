//! `autoops ledger`: what is known of an update over all clients, a stop by hand, and a fresh start for
//! one that was stopped and is all right now.

mod stop;
#[cfg(test)]
mod tests;

use clap::{Args, Subcommand};
use clients::{
    ledger::{Cleared, Ledger, Page},
    store::Store,
};
use domain::{
    ids::{ClientId, KbId, PersonId},
    ledger::{PROVIDER, Tally, Verdict, judge},
    people::ControlAction,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{authority::Asked, cli, output, setup::Setup, words};

/// What to do with the ledger of bad patches.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Show how often an update went well and went wrong over all clients, and what follows
    Show {
        /// The update
        #[arg(value_name = "KB")]
        kb: KbId,
    },
    /// Stop an update for all clients, and halt the deployments that install it
    Stop(SayArgs),
    /// Let an update that was stopped go again: all counts start at zero
    Clear(SayArgs),
}

/// Which update, who and why.
#[derive(Debug, Args)]
pub struct SayArgs {
    /// The update
    #[arg(value_name = "KB")]
    pub kb: KbId,
    /// Who says so; a lead who works for all clients
    #[arg(long, value_name = "PERSON")]
    pub by: PersonId,
    /// Why it is bad, or all right now
    #[arg(long, value_parser = cli::reason)]
    pub reason: String,
}

/// An update, as programs read it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    kb: &'a KbId,
    epoch: i64,
    verdict: &'a Verdict,
    stopped: Option<&'a str>,
    last_failure: Option<Timestamp>,
    all: Tally,
    builds: &'a std::collections::BTreeMap<String, Tally>,
}

/// What came of clearing, as programs read it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    kb: &'a KbId,
    epoch: i64,
    was_stopped: Option<&'a str>,
    words: &'a str,
}

/// Shows, stops or clears.
///
/// # Errors
/// When the store cannot be used, or the person may not.
pub async fn run(setup: &Setup, command: &LedgerCommand) -> anyhow::Result<u8> {
    let store = setup.store().await?;
    match command {
        LedgerCommand::Show { kb } => {
            let page = Ledger::new(&store).page(kb).await?;
            show(setup, kb, &page)?;
        }
        LedgerCommand::Stop(args) => {
            let accept_claimed = setup.accepts_claims()?;
            stop::run(setup, &store, args, accept_claimed).await?;
        }
        LedgerCommand::Clear(args) => {
            let accept_claimed = setup.accepts_claims()?;
            let cleared = clear(&store, args, accept_claimed, Timestamp::now()).await?;
            told(setup, args, &cleared)?;
        }
    }
    Ok(0)
}

fn show(setup: &Setup, kb: &KbId, page: &Page) -> anyhow::Result<()> {
    let verdict = page.verdict();
    if setup.format.is_json() {
        return output::json(&Shown {
            kb,
            epoch: page.epoch,
            verdict: &verdict,
            stopped: page.stopped.as_deref(),
            last_failure: page.last_bad,
            all: page.all,
            builds: &page.builds,
        });
    }
    output::line(format!("{kb}: {}, {}", verdict.as_str(), verdict.reason()));
    if let Some(at) = page.last_bad {
        output::line(format!("last failure: {}", words::time(at)));
    }
    if page.epoch > 0 {
        output::line(format!("cleared so far: {}", page.epoch));
    }
    if page.builds.is_empty() {
        output::line("no device has said anything of it");
        return Ok(());
    }
    let builds = page
        .builds
        .iter()
        .map(|(build, tally)| (build.as_str(), *tally));
    let rows = builds.chain([("all", page.all)]).map(|(build, tally)| {
        [
            build.to_owned(),
            tally.good.to_string(),
            tally.bad.to_string(),
            judge(tally, None).as_str().to_owned(),
        ]
    });
    output::table(["OS build", "good", "bad", "by itself"], rows);
    Ok(())
}

/// Clears an update, when the person may.
async fn clear(
    store: &Store,
    args: &SayArgs,
    accept_claimed: bool,
    now: Timestamp,
) -> anyhow::Result<Cleared> {
    check_authority(store, &args.by, accept_claimed).await?;
    let ledger = Ledger::new(store);
    Ok(ledger.clear(&args.kb, &args.by, &args.reason, now).await?)
}

/// Stopping and clearing reach all clients: only who works for all of them may. As to resume what was
/// halted, and for every client: the ledger belongs to none.
async fn check_authority(store: &Store, by: &PersonId, accept_claimed: bool) -> anyhow::Result<()> {
    let provider: ClientId = PROVIDER.parse()?;
    Asked::new(store, accept_claimed)
        .halted()
        .check(&provider, by, ControlAction::Resume)
        .await
}

fn told(setup: &Setup, args: &SayArgs, cleared: &Cleared) -> anyhow::Result<()> {
    let (kb, was) = (&args.kb, cleared.was_stopped.as_deref());
    let text = match was {
        Some(flag) => format!(
            "{kb} may go again, it was stopped by {flag}; what is halted waits for autoops resume"
        ),
        None => format!("{kb} was not stopped; all counts start at zero"),
    };
    if setup.format.is_json() {
        return output::json(&Report {
            kb,
            epoch: cleared.epoch,
            was_stopped: was,
            words: &text,
        });
    }
    output::line(text);
    Ok(())
}
