//! `autoops incidents`: what people should know of, what matters most first, and their word about it.

mod orders;

use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use clients::store::{AlertsOf, IncidentsOf, Store};
use contracts::{alerts::IncidentResponseStatus, ids, incident_words};
use domain::{
    alert::Alert,
    cause::CauseReport,
    ids::ClientId,
    triage::{IncidentKey, IncidentRecord, IncidentStatus},
};
use serde::Serialize;

use self::orders::{CloseArgs, MergeArgs, SplitArgs};
use crate::{alerts, output, setup::Setup, temporal::Trouble, words};

/// Incidents of one answer from the store.
const PAGE: usize = 200;
/// Incidents that are read to find those that matter most.
const MOST: usize = 5_000;
/// Alerts that are shown of an incident.
const ALERTS: usize = 20;
/// Longest text in a table, in characters.
const TEXT: usize = 70;
/// How long the workflow may take to say where it stands.
const ANSWER: Duration = Duration::from_secs(10);

/// What to do about incidents.
#[derive(Debug, Subcommand)]
pub enum IncidentsCommand {
    /// List open incidents, what matters most first
    List(ListArgs),
    /// Show an incident: its alerts, why they are together, and what is behind it
    Show(ShowArgs),
    /// Make one of two incidents; alerts like these are joined from then on
    Merge(MergeArgs),
    /// Take machines out into an incident of their own; alerts like these are kept apart from then on
    Split(SplitArgs),
    /// End an incident although alerts of it are active
    Close(CloseArgs),
}

/// Which incidents.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those of this client
    #[arg(long)]
    pub client: Option<ClientId>,
    /// Those that are over, were taken in by others or only gather what is usual as well; needs a client
    #[arg(long, requires = "client")]
    pub all: bool,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub limit: u32,
}

/// Which incident.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Client, - and number, such as 7001-12; or the workflow id
    #[arg(value_name = "INCIDENT", value_parser = key)]
    pub incident: IncidentKey,
}

/// An incident, as programs read it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    workflow_id: String,
    #[serde(flatten)]
    status: &'a IncidentResponseStatus,
    alerts: &'a [Alert],
}

/// Does it.
///
/// # Errors
/// When there is no such incident, the person may not, or the store cannot be used.
pub async fn run(setup: &Setup, command: &IncidentsCommand) -> anyhow::Result<u8> {
    match command {
        IncidentsCommand::List(args) => list(setup, args).await.map(|()| 0),
        IncidentsCommand::Show(args) => show(setup, &args.incident).await.map(|()| 0),
        IncidentsCommand::Merge(args) => orders::run(setup, args.order(), &args.say).await,
        IncidentsCommand::Split(args) => orders::run(setup, args.order(), &args.say).await,
        IncidentsCommand::Close(args) => orders::run(setup, args.order(), &args.say).await,
    }
}

async fn list(setup: &Setup, args: &ListArgs) -> anyhow::Result<()> {
    let mut found = read(&setup.store().await?, args).await?;
    let left = found.len().saturating_sub(args.limit as usize);
    found.truncate(args.limit as usize);
    if setup.format.is_json() {
        return output::json(&found);
    }
    let rows = found.iter().map(|record| {
        let incident = &record.news.incident;
        let first = record.priority().and_then(|rank| rank.reasons.first());
        [
            record.key.to_string(),
            record.points().to_string(),
            record.severity().as_str().to_owned(),
            state(record),
            format!("{}/{}", incident.live, incident.alerts),
            incident.devices.len().to_string(),
            output::short(record.title(), TEXT),
            output::short(first.map_or("", |reason| reason.text.as_str()), TEXT),
        ]
    });
    let header = [
        "incident",
        "points",
        "severity",
        "state",
        "live/alerts",
        "machines",
        "what",
        "first reason",
    ];
    output::table(header, rows);
    if left > 0 {
        output::line(format!("{left} more, less important: --limit shows them"));
    }
    Ok(())
}

/// Reads what is asked for, by rank.
async fn read(store: &Store, args: &ListArgs) -> anyhow::Result<Vec<IncidentRecord>> {
    let of = match &args.client {
        Some(client) if args.all => IncidentsOf::Client(client.clone()),
        Some(client) => IncidentsOf::OpenOf(client.clone()),
        None => IncidentsOf::Open,
    };
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = store
            .alerts
            .list_incidents(&of, cursor.as_deref(), PAGE)
            .await?;
        let wanted = |record: &IncidentRecord| args.all || record.is_answered();
        found.extend(page.items.into_iter().filter(wanted));
        cursor = page.next;
        if cursor.is_none() || found.len() >= MOST {
            break;
        }
    }
    let open = |record: &IncidentRecord| record.status == IncidentStatus::Open;
    found
        .sort_by_key(|record| std::cmp::Reverse((open(record), record.points(), record.opened_at)));
    Ok(found)
}

fn state(record: &IncidentRecord) -> String {
    match record.news.incident.routine {
        true => format!("{}, usual", incident_words::standing(record)),
        false => incident_words::standing(record),
    }
}

/// Reads an incident that must be there.
async fn find(store: &Store, key: &IncidentKey) -> anyhow::Result<IncidentRecord> {
    let found = store.alerts.get_incident(key).await?;
    found.with_context(|| {
        format!("no incident {key} is in the store: autoops incidents list shows them")
    })
}

async fn show(setup: &Setup, key: &IncidentKey) -> anyhow::Result<()> {
    let store = setup.store().await?;
    let record = find(&store, key).await?;
    let of = AlertsOf::Incident(key.clone());
    let alerts = store.alerts.list_alerts(&of, None, ALERTS).await?.items;
    let status = status(setup, record).await;
    if setup.format.is_json() {
        return output::json(&Shown {
            workflow_id: ids::incident(key),
            status: &status,
            alerts: &alerts,
        });
    }
    describe(key, &status).iter().for_each(output::line);
    output::line("");
    output::table(alerts::HEADER, alerts.iter().map(alerts::row));
    let all = status
        .incident
        .as_ref()
        .map_or(0, |record| record.news.incident.alerts);
    if all > ALERTS as u64 {
        output::line(format!(
            "the newest alerts; all of them: autoops alerts list --all --incident {key}"
        ));
    }
    Ok(())
}

/// Joins what is kept with what its workflow knows: what it does now, and which deployments it has halted.
async fn status(setup: &Setup, record: IncidentRecord) -> IncidentResponseStatus {
    let asked = async {
        let temporal = setup.temporal().await?;
        match temporal.incident(&record.key, ANSWER).await {
            Ok(status) => Ok(status),
            // What is only usual is answered by nobody.
            Err(Trouble::NotFound) => Ok(IncidentResponseStatus::default()),
            Err(trouble) => Err(anyhow::Error::from(trouble)),
        }
    };
    let said = asked.await.unwrap_or_else(|error| {
        output::remark(format!("as the store has it: {error:#}"));
        IncidentResponseStatus::default()
    });
    IncidentResponseStatus {
        cause: CauseReport::of(record.cause.as_ref()).or(said.cause),
        incident: Some(record),
        ..said
    }
}

fn describe(key: &IncidentKey, status: &IncidentResponseStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(record) = &status.incident {
        let incident = &record.news.incident;
        lines.push(format!("{key}: {}", record.title()));
        let now = match status.stage.as_str() {
            "" => String::new(),
            stage => format!(", now {}", words::plain(stage)),
        };
        lines.push(format!(
            "{}{now}; severity {}, {} alerts, {} live, {} hidden; opened {}, changed {}",
            state(record),
            record.severity().as_str(),
            incident.alerts,
            incident.live,
            record.news.hidden,
            words::time(record.opened_at),
            words::time(record.updated_at),
        ));
        if let IncidentStatus::Closed { closing, .. } = &record.status {
            lines.push(closing.words());
        }
        lines.push(format!("workflow {}", ids::incident(key)));
    }
    for section in incident_words::sections(status, |text| output::clean(text)) {
        lines.push(String::new());
        lines.push(format!("{}:", section.title));
        lines.extend(section.lines.iter().map(|line| format!("  {line}")));
    }
    lines
}

/// Reads an incident's name, or takes it out of the workflow id.
pub(crate) fn key(text: &str) -> Result<IncidentKey, String> {
    match ids::incident_of(text) {
        Some(key) => Ok(key),
        None => text
            .parse()
            .map_err(|problem: domain::input::Problem| problem.to_string()),
    }
}
