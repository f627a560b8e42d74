//! The commands, and which module does which.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, Subcommand, error::ErrorKind};
use contracts::ids;
use domain::{
    approval::Choice, ids::PlanId, input::Problem, people::ControlAction, plan_check::MAX_REASON,
};
use jiff::Timestamp;

use crate::{
    alerts::{self, AlertsCommand},
    audit::{self, AuditCommand},
    campaigns::{self, CampaignsCommand, PlanArgs, VulnerabilitiesCommand},
    control::{self, AmendArgs, AskArgs, ExtendArgs, HaltArgs},
    decide::{self, DecideArgs},
    eval::{self, EvalCommand},
    evidence::{self, EvidenceCommand},
    health::{self, HealthArgs},
    incidents::{self, IncidentsCommand},
    ledger::{self, LedgerCommand},
    letters::{self, LettersCommand},
    output::{Format, USAGE_OR_CONNECTION},
    policies::{self, PoliciesCommand},
    schedules::{self, SchedulesCommand},
    setup::Setup,
    start::{self, StartArgs},
    status::{self, ListArgs, StatusArgs},
    wait::{self, WaitArgs},
};

/// Starts patch deployments, approves them, and shows what came of them.
///
/// Exit status of `wait`, and of `patch start` with --wait or when the deployment is over at once: 0
/// all devices verified, 2 rejected, timed out or forbidden, 3 failed and rolled back, 4 some devices
/// need a human or were never reached, 5 aborted or cancelled. Everywhere: 1 wrong usage, refused, or
/// no connection.
#[derive(Debug, Parser)]
#[command(
    name = "autoops",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "Configuration file; AUTOOPS_CONFIG when absent"
    )]
    pub config: Option<PathBuf>,
    /// Answer in JSON, one document per line
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a patch deployment, or wait for its end
    #[command(subcommand)]
    Patch(PatchCommand),
    /// Wait for the end of a deployment
    Wait(WaitArgs),
    /// Approve the plan that is asked about
    Approve(DecideArgs),
    /// Reject the plan that is asked about
    Reject(DecideArgs),
    /// Show where a deployment stands
    Status(StatusArgs),
    /// List deployments, newest first
    List(ListArgs),
    /// Show whether Temporal, workers, store and the systems behind them answer
    Health(HealthArgs),
    /// Stop starting new devices
    Pause(AskArgs),
    /// Go on after a pause or halt
    Resume(AskArgs),
    /// End a deployment
    Abort(AskArgs),
    /// Stop a deployment at once because something is wrong
    Halt(HaltArgs),
    /// Change the plan of a running deployment; it is approved anew
    Amend(AmendArgs),
    /// Give approvers more time
    Extend(ExtendArgs),
    /// Check, list, apply and try policies
    #[command(subcommand)]
    Policies(PoliciesCommand),
    /// Apply, list, pause and trigger what runs by the clock
    #[command(subcommand)]
    Schedules(SchedulesCommand),
    /// List and show campaigns
    #[command(subcommand)]
    Campaigns(CampaignsCommand),
    /// Show what is known of a vulnerability
    #[command(subcommand)]
    Vulnerabilities(VulnerabilitiesCommand),
    /// List and show alerts, take in those of other tools, and set the rules that keep them back
    #[command(subcommand)]
    Alerts(AlertsCommand),
    /// List, show, merge, split and close incidents
    #[command(subcommand)]
    Incidents(IncidentsCommand),
    /// Show and verify the audit trail
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show evidence that was taken before devices were patched, and do without it
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// List, show, retry and drop what needs a person
    #[command(subcommand)]
    DeadLetters(LettersCommand),
    /// Show what is known of an update over all clients, stop it, and let it go again
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Try the analysis on files, without server or network
    #[command(subcommand)]
    Eval(EvalCommand),
}

/// About patch deployments.
#[derive(Debug, Subcommand)]
pub enum PatchCommand {
    /// Start a patch deployment from a plan file or flags
    Start(Box<StartArgs>),
    /// Wait for the end of a deployment
    Wait(WaitArgs),
    /// Show what a campaign would start for a client, and why; starts nothing
    Plan(PlanArgs),
}

/// Reads the command line.
///
/// # Errors
/// With the exit status, after help, version or the mistake was printed.
pub fn parse<I, T>(args: I) -> Result<Cli, u8>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    Cli::try_parse_from(args).map_err(|error| {
        // Nobody is left to be told when the terminal is gone.
        let _ = error.print();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
            _ => USAGE_OR_CONNECTION,
        }
    })
}

/// Does what the command line says and returns the exit status.
///
/// # Errors
/// When it could not be done.
pub async fn run(cli: Cli) -> anyhow::Result<u8> {
    let format = if cli.json { Format::Json } else { Format::Text };
    let setup = Setup::new(format, cli.config);
    match cli.command {
        Command::Patch(PatchCommand::Start(args)) => start::run(&setup, &args).await,
        Command::Patch(PatchCommand::Wait(args)) | Command::Wait(args) => {
            wait::run(&setup, &args).await
        }
        Command::Approve(args) => decide::run(&setup, &args, Choice::Approve).await,
        Command::Reject(args) => decide::run(&setup, &args, Choice::Reject).await,
        Command::Patch(PatchCommand::Plan(args)) => campaigns::plan(&setup, &args).await,
        Command::Campaigns(command) => campaigns::run(&setup, &command).await,
        Command::Vulnerabilities(command) => campaigns::vulnerability(&setup, &command).await,
        Command::Status(args) => status::status(&setup, &args).await,
        Command::List(args) => status::list(&setup, &args).await,
        Command::Health(args) => health::run(&setup, &args).await,
        Command::Pause(ask) => control::run(&setup, &ask, None, ControlAction::Pause).await,
        Command::Resume(ask) => control::run(&setup, &ask, None, ControlAction::Resume).await,
        Command::Abort(ask) => control::run(&setup, &ask, None, ControlAction::Abort).await,
        Command::Halt(args) => {
            control::run(&setup, &args.ask, args.kb.as_ref(), ControlAction::Halt).await
        }
        Command::Amend(args) => control::amend(&setup, &args).await,
        Command::Extend(args) => control::extend(&setup, &args).await,
        Command::Policies(command) => policies::run(&setup, &command).await,
        Command::Schedules(command) => schedules::run(&setup, &command).await,
        Command::Alerts(command) => alerts::run(&setup, &command).await,
        Command::Incidents(command) => incidents::run(&setup, &command).await,
        Command::Audit(command) => audit::run(&setup, &command).await,
        Command::Evidence(command) => evidence::run(&setup, &command).await,
        Command::DeadLetters(command) => letters::run(&setup, &command).await,
        Command::Ledger(command) => ledger::run(&setup, &command).await,
        Command::Eval(command) => eval::run(&command),
    }
}

/// Reads a plan id, or takes it out of the workflow id of a deployment.
pub(crate) fn plan_id(text: &str) -> Result<PlanId, String> {
    match ids::plan_of_deployment(text) {
        Some(plan) => Ok(plan),
        None => text
            .parse()
            .map_err(|error: domain::ids::InvalidId| error.to_string()),
    }
}

/// Reads a percent of devices.
pub(crate) fn percent(text: &str) -> Result<u8, String> {
    let percent = text.parse().ok().filter(|p| (1..=100).contains(p));
    percent.ok_or_else(|| "allowed is 1 to 100".to_owned())
}

/// Reads a duration.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "allowed are whole seconds, 0 or more".to_owned())
}

/// Reads why somebody does something.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    match trimmed.chars().count() {
        1..=MAX_REASON => Ok(trimmed.to_owned()),
        _ => Err(Problem::new("reason", text, format!("1 to {MAX_REASON} characters")).to_string()),
    }
}

/// Reads an instant.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "allowed is a time such as 2026-12-01T04:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_usage_exits_with_1_and_help_with_0() {
        assert_eq!(parse(["autoops", "statuss"]).unwrap_err(), 1);
        assert_eq!(parse(["autoops", "approve", "first-plan"]).unwrap_err(), 1);
        assert_eq!(parse(["autoops", "--version"]).unwrap_err(), 0);
        assert_eq!(
            parse(["autoops", "patch", "start", "--help"]).unwrap_err(),
            0
        );
    }

    #[test]
    fn a_deployment_is_named_by_plan_or_workflow_id() {
        for id in ["first-plan", "patch-deployment/first-plan"] {
            let cli = parse(["autoops", "wait", id, "--json"]).unwrap();
            assert!(cli.json);
            assert!(
                matches!(cli.command, Command::Wait(args) if args.plan.as_str() == "first-plan")
            );
        }
        assert_eq!(parse(["autoops", "wait", "First Plan"]).unwrap_err(), 1);
    }
}
