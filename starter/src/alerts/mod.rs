//! `autoops alerts`: what was raised and what became of it, alerts of other tools, and the rules by which
//! alerts are kept back.

mod rules;
mod send;
mod topology;
mod words;

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use clients::store::{AlertsOf, Store};
use domain::{
    alert::{Alert, AlertId},
    audit::{Actor, AuditRecord},
    ids::{ClientId, PersonId},
    input::Problem,
    people::{ControlAction, Identity},
    triage::IncidentKey,
};
use jiff::Timestamp;

use self::{rules::RulesCommand, send::SendArgs, topology::TopologyCommand};
use crate::{authority::Asked, incidents, output, setup::Setup, words as common};

/// Alerts of one answer from the store.
const PAGE: usize = 200;
/// Longest title in a table, in characters.
const TITLE: usize = 60;

/// What to do about alerts.
#[derive(Debug, Subcommand)]
pub enum AlertsCommand {
    /// List alerts, newest first, with what was done with each
    List(ListArgs),
    /// Show one alert
    Show {
        /// Source and id, such as superops/4411092338412
        #[arg(value_name = "ALERT", value_parser = alert_id)]
        alert: AlertId,
    },
    /// Take in alerts of another tool from a file
    Send(SendArgs),
    /// Show, try and apply the rules by which alerts of a client are kept back
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Show and apply who depends on whom at a client
    #[command(subcommand)]
    Topology(TopologyCommand),
}

/// Which alerts.
#[derive(Debug, Args)]
#[group(id = "whose", required = true, multiple = false, args = ["client", "incident"])]
pub struct ListArgs {
    /// Alerts of this client
    #[arg(long)]
    pub client: Option<ClientId>,
    /// Alerts of this incident
    #[arg(long, value_name = "INCIDENT", value_parser = incidents::key)]
    pub incident: Option<IncidentKey>,
    /// Those that are over as well
    #[arg(long)]
    pub all: bool,
    /// Only those with which this was done
    #[arg(long, value_name = "HOW", value_parser = how)]
    pub how: Option<String>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// What is to hold for a client, and who wants it.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Whose
    #[arg(long)]
    pub client: ClientId,
    /// YAML or JSON; `-` reads stdin
    pub file: PathBuf,
    /// Who wants it; a lead
    #[arg(long, value_name = "PERSON")]
    pub by: PersonId,
}

impl ApplyArgs {
    /// Lets the person go on who may set what alerts of the client are treated by.
    async fn check_authority(&self, setup: &Setup, store: &Store) -> anyhow::Result<()> {
        Asked::new(store, setup.accepts_claims()?)
            .check(&self.client, &self.by, ControlAction::SetAlertRules)
            .await
    }

    /// Writes down that the person has changed it.
    async fn note(
        &self,
        store: &Store,
        at: Timestamp,
        what: &str,
        detail: serde_json::Value,
    ) -> anyhow::Result<()> {
        let record = AuditRecord {
            chain: format!("alerts/{}", self.client),
            key: format!("{what}-{at}"),
            at,
            client: self.client.clone(),
            actor: Actor::Person {
                name: self.by.to_string(),
                identity: Identity::Claimed,
            },
            what: what.to_owned(),
            evidence: Vec::new(),
            detail,
            plan_hash: None,
            policy_version: None,
            tokens: None,
        };
        store.actions.append_audit(record).await?;
        Ok(())
    }
}

/// Does it.
///
/// # Errors
/// When something is refused, or the store cannot be used.
pub async fn run(setup: &Setup, command: &AlertsCommand) -> anyhow::Result<u8> {
    match command {
        AlertsCommand::List(args) => list(setup, args).await?,
        AlertsCommand::Show { alert } => show(setup, alert).await?,
        AlertsCommand::Send(args) => send::run(setup, args).await?,
        AlertsCommand::Rules(command) => rules::run(setup, command).await?,
        AlertsCommand::Topology(command) => topology::run(setup, command).await?,
    }
    Ok(0)
}

async fn list(setup: &Setup, args: &ListArgs) -> anyhow::Result<()> {
    let (alerts, more) = read(&setup.store().await?, args).await?;
    if setup.format.is_json() {
        return output::json(&alerts);
    }
    output::table(HEADER, alerts.iter().map(row));
    if more {
        output::line("there are more: --limit shows them");
    }
    Ok(())
}

/// Reads the newest alerts that are asked for, and says whether there are more.
async fn read(store: &Store, args: &ListArgs) -> anyhow::Result<(Vec<Alert>, bool)> {
    let of = match (&args.client, &args.incident) {
        (Some(client), _) if args.all => AlertsOf::Client(client.clone()),
        (Some(client), _) => AlertsOf::ActiveOf(client.clone()),
        (None, Some(incident)) => AlertsOf::Incident(incident.clone()),
        (None, None) => bail!("--client or --incident says whose alerts"),
    };
    let most = args.limit as usize;
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = store
            .alerts
            .list_alerts(&of, cursor.as_deref(), PAGE)
            .await?;
        found.extend(page.items.into_iter().filter(|alert| args.fits(alert)));
        cursor = page.next;
        if found.len() > most || cursor.is_none() {
            let more = found.len() > most;
            found.truncate(most);
            return Ok((found, more));
        }
    }
}

impl ListArgs {
    fn fits(&self, alert: &Alert) -> bool {
        let done = alert.placement.as_ref().map(|placed| &placed.treatment);
        (self.all || alert.is_active())
            && self
                .how
                .as_deref()
                .is_none_or(|how| words::how(done) == how)
    }
}

pub(crate) const HEADER: [&str; 7] = [
    "alert",
    "severity",
    "raised",
    "state",
    "machine",
    "what was done",
    "title",
];

pub(crate) fn row(alert: &Alert) -> [String; 7] {
    [
        alert.said.id.to_string(),
        alert.said.severity.as_str().to_owned(),
        common::time(alert.said.raised_at),
        words::state(alert),
        words::machine(alert),
        words::place(alert),
        output::short(&alert.said.title, TITLE),
    ]
}

async fn show(setup: &Setup, id: &AlertId) -> anyhow::Result<()> {
    let store = setup.store().await?;
    let mut found = store.alerts.get_alerts(std::slice::from_ref(id)).await?;
    let Some(alert) = found.pop() else {
        bail!("no alert {id} is in the store: autoops alerts list shows them");
    };
    if setup.format.is_json() {
        return output::json(&alert);
    }
    words::describe(&alert).iter().for_each(output::line);
    Ok(())
}

fn alert_id(text: &str) -> Result<AlertId, String> {
    text.parse().map_err(|problem: Problem| problem.to_string())
}

fn how(text: &str) -> Result<String, String> {
    match words::HOW.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(Problem::new("how", text, words::HOW.join(", ")).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use domain::alert::read_plain;

    use super::*;
    use crate::cli::parse;

    #[test]
    fn a_list_is_of_a_client_or_of_an_incident() {
        assert_eq!(parse(["autoops", "alerts", "list"]).unwrap_err(), 1);
        let both = [
            "autoops",
            "alerts",
            "list",
            "--client",
            "7",
            "--incident",
            "7-1",
        ];
        assert_eq!(parse(both).unwrap_err(), 1);
        assert!(parse(&both[..5]).is_ok());
        let wrong = [
            "autoops", "alerts", "list", "--client", "7", "--how", "hold",
        ];
        assert_eq!(parse(wrong).unwrap_err(), 1);
    }

    #[tokio::test]
    async fn what_is_over_is_shown_when_all_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::embedded(&folder.path().join("store.db")).unwrap();
        let body = br#"[{"id":"1","client":"7","title":"disk full"},
                        {"id":"2","client":"7","title":"fan","cleared":true},
                        {"id":"3","client":"8","title":"disk full"}]"#;
        let intake = read_plain(body, Timestamp::UNIX_EPOCH).unwrap();
        store
            .alerts
            .take_sightings(intake.sightings, false)
            .await
            .unwrap();
        let mut args = ListArgs {
            client: Some("7".parse().unwrap()),
            incident: None,
            all: false,
            how: None,
            limit: 1,
        };
        let (active, more) = read(&store, &args).await.unwrap();
        assert_eq!((active[0].said.id.as_str(), more), ("plain/1", false));
        args.all = true;
        assert!(read(&store, &args).await.unwrap().1);
        args.how = Some("new".to_owned());
        args.limit = 5;
        assert_eq!(read(&store, &args).await.unwrap().0.len(), 2);
        args.how = Some("held".to_owned());
        assert_eq!(read(&store, &args).await.unwrap().0.len(), 0);
    }
}
