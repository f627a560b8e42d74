//! The file of schedules: read, and checked as a whole before anything is done.

use std::{collections::BTreeSet, path::Path};

use anyhow::Context;
use clients::store::Store;
use contracts::{
    alerts::AlertIngestInput,
    campaign::{CampaignReportInput, PatchCampaignInput},
    ids::Scheduled,
    intel::IntelSyncInput,
    message::MAX_MESSAGE_BYTES,
    schedule::ScheduleKind,
    seal::DailySealInput,
};
use domain::{
    ids::{ClientId, ScheduleName},
    input::{self, InvalidInput, Problem},
    windows::parse_zone,
};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::times::When;
use crate::{file, setup::Setup};

/// Field of the input that the client of an entry goes to.
const CLIENT: &str = "client";
/// Longest note, in characters.
const MOST_NOTE: usize = 500;

/// One schedule, checked. All but the input is kept on the server as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Name and id.
    pub name: ScheduleName,
    /// What it starts.
    pub kind: ScheduleKind,
    /// Client, where the kind has one.
    pub client: Option<ClientId>,
    /// When it runs.
    #[serde(flatten)]
    pub when: When,
    /// IANA name of the time zone.
    pub time_zone: String,
    /// What people should know.
    pub note: Option<String>,
    /// Whether the file wants it paused.
    pub paused: bool,
    /// Input of the workflow, the client included.
    #[serde(skip)]
    pub input: Map<String, Value>,
}

impl Entry {
    /// Returns the workflow id to which the server appends the time of a run.
    #[must_use]
    pub fn workflow_id(&self) -> Option<String> {
        let scheduled = Scheduled::new(self.kind, self.client.clone(), self.name.clone())?;
        Some(scheduled.workflow_id())
    }

    /// Returns the time zone; UTC when this machine does not know it.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC)
    }

    /// Computes the next runs without the server.
    #[must_use]
    pub fn next(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        self.when.next(&self.zone(), after, count)
    }
}

/// A file as people write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    schedule: Vec<EntryText>,
}

/// An entry as people write it; what it says is checked after all could be read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryText {
    name: String,
    kind: String,
    client: Option<String>,
    cron: Option<String>,
    every_secs: Option<u64>,
    time_zone: Option<String>,
    note: Option<String>,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    input: Map<String, Value>,
}

/// Reads a file; all findings come at once.
///
/// # Errors
/// When the file cannot be read, a field is wrong, or the time zone of a client is asked for and
/// nobody knows it.
pub(super) async fn read(setup: &Setup, path: &Path) -> anyhow::Result<Vec<Entry>> {
    let name = || path.display().to_string();
    let mut entries = parse(&file::toml(path)?).with_context(name)?;
    add_zones(setup, &mut entries).await.with_context(name)?;
    Ok(entries)
}

/// Checks everything that needs no store; a time zone may still be empty then.
pub(super) fn parse(value: &Value) -> Result<Vec<Entry>, InvalidInput> {
    let text: Text = input::from_json(value)?;
    if text.schedule.is_empty() {
        let problem = Problem::new("schedule", "nothing", "at least one [[schedule]]");
        return Err(InvalidInput::one(problem));
    }
    let (mut entries, mut problems, mut names) = (vec![], vec![], BTreeSet::new());
    for (i, entry) in text.schedule.into_iter().enumerate() {
        let path = format!("schedule[{i}]");
        if !names.insert(entry.name.clone()) {
            let field = format!("{path}.name");
            problems.push(Problem::new(field, &entry.name, "a name used once"));
        }
        match check(entry, &path) {
            Ok(entry) => entries.push(entry),
            Err(found) => problems.extend(found),
        }
    }
    InvalidInput::when(problems)?;
    Ok(entries)
}

fn check(text: EntryText, path: &str) -> Result<Entry, Vec<Problem>> {
    let mut problems = vec![];
    let at = |field: &str| format!("{path}.{field}");
    let name = text.name.parse::<ScheduleName>().map_err(|_| {
        let allowed = "1 to 48 characters: lower-case words and digits, joined by -";
        Problem::new(at("name"), &text.name, allowed)
    });
    let kind = text.kind.parse::<ScheduleKind>();
    let kind = kind.map_err(|problem| Problem {
        field: at("kind"),
        ..problem
    });
    let client = text.client.as_deref().map(|client| {
        let allowed = "a client id, as SuperOps has it";
        let parsed = client.parse::<ClientId>();
        parsed.map_err(|_| Problem::new(at(CLIENT), client, allowed))
    });
    let when = match (&text.cron, text.every_secs) {
        (Some(line), None) => When::cron(line, &at("cron")),
        (None, Some(secs)) => When::every_secs(secs, &at("every_secs")),
        (Some(_), Some(_)) => Err(Problem::new(at("cron"), "both", "cron or every_secs")),
        (None, None) => Err(Problem::new(at("cron"), "nothing", "cron or every_secs")),
    };
    let time_zone = match &text.time_zone {
        // As the zone calls itself: the server looks it up by exact letters.
        Some(name) => parse_zone(name, &at("time_zone"))
            .map(|zone| zone.iana_name().unwrap_or(name).to_owned()),
        None => Ok(String::new()),
    };
    if let Some(note) = &text.note
        && !(1..=MOST_NOTE).contains(&note.chars().count())
    {
        let allowed = format!("1 to {MOST_NOTE} characters");
        problems.push(Problem::new(at("note"), note, allowed));
    }
    if let Ok(kind) = kind {
        problems.extend(check_client(kind, text.client.as_deref(), &at(CLIENT)));
        problems.extend(check_input(kind, &text.input, &at("input")));
    }
    let mut keep = |problem: Problem| problems.push(problem);
    let (name, kind) = (name.map_err(&mut keep).ok(), kind.map_err(&mut keep).ok());
    let client = client.transpose().map_err(&mut keep).ok();
    let (when, zone) = (
        when.map_err(&mut keep).ok(),
        time_zone.map_err(&mut keep).ok(),
    );
    let (Some(name), Some(kind), Some(client), Some(when), Some(time_zone), []) =
        (name, kind, client, when, zone, &problems[..])
    else {
        return Err(problems);
    };
    let mut input = text.input;
    if let Some(client) = &client {
        input.insert(CLIENT.to_owned(), Value::String(client.to_string()));
    }
    Ok(Entry {
        name,
        kind,
        client,
        when,
        time_zone,
        note: text.note,
        paused: text.paused,
        input,
    })
}

fn check_client(kind: ScheduleKind, client: Option<&str>, field: &str) -> Option<Problem> {
    match (kind.needs_client(), client) {
        (true, None) => {
            let allowed = format!("a client id: {kind} works for one client");
            Some(Problem::new(field, "nothing", allowed))
        }
        (false, Some(client)) => {
            let allowed = format!("no client: {kind} works for all of them");
            Some(Problem::new(field, client, allowed))
        }
        _ => None,
    }
}

/// Reads the input as its workflow does; of what depends on the time, the workflow says it.
fn read_as(kind: ScheduleKind, mut value: Value) -> Result<(), InvalidInput> {
    match kind {
        ScheduleKind::DailySeal => input::from_json::<DailySealInput>(&value).map(drop),
        ScheduleKind::IntelSync => {
            let input = input::from_json::<IntelSyncInput>(&value)?;
            InvalidInput::when(input.problems())
        }
        ScheduleKind::AlertIngest => {
            let input = input::from_json::<AlertIngestInput>(&value)?;
            InvalidInput::when(input.problems())
        }
        ScheduleKind::PatchCampaign => {
            // Any client will do: that of the schedule is added.
            value[CLIENT] = "1".into();
            let input = input::from_json::<PatchCampaignInput>(&value)?;
            let problems = input.rules.problems().into_iter();
            InvalidInput::when(problems.chain(input.limits.problems()).collect())
        }
        ScheduleKind::CampaignReport => {
            value[CLIENT] = "1".into();
            input::from_json::<CampaignReportInput>(&value)?.check()
        }
    }
}

fn check_input(kind: ScheduleKind, given: &Map<String, Value>, path: &str) -> Vec<Problem> {
    let mut problems = vec![];
    if let Some(client) = given.get(CLIENT) {
        let allowed = "no client here: that of the schedule is added";
        problems.push(Problem::new(format!("{path}.{CLIENT}"), client, allowed));
    }
    let value = Value::Object(given.clone());
    let bytes = value.to_string().len();
    // The client comes on top of it.
    if bytes > MAX_MESSAGE_BYTES - 100 {
        let allowed = format!("at most {MAX_MESSAGE_BYTES} bytes");
        problems.push(Problem::new(path, format!("{bytes} bytes"), allowed));
    }
    if let Err(wrong) = read_as(kind, value) {
        problems.extend(wrong.problems.into_iter().map(|problem| Problem {
            field: format!("{path}.{}", problem.field),
            ..problem
        }));
    }
    problems
}

/// Entries that name no zone get that of their client, else UTC.
async fn add_zones(setup: &Setup, entries: &mut [Entry]) -> anyhow::Result<()> {
    let mut store: Option<Store> = None;
    let mut problems = vec![];
    for (i, entry) in entries.iter_mut().enumerate() {
        if !entry.time_zone.is_empty() {
            continue;
        }
        let Some(client) = &entry.client else {
            entry.time_zone = "UTC".to_owned();
            continue;
        };
        let field = format!("schedule[{i}].time_zone");
        let missing = || format!("{field} is not given, and the client's is looked for");
        let store = match &mut store {
            Some(store) => store,
            none => none.insert(setup.store().await.with_context(missing)?),
        };
        let record = store.inventory.get_client(client).await;
        let record = record.with_context(missing)?;
        match record.and_then(|record| record.time_zone) {
            Some(zone) => match parse_zone(&zone, &field) {
                Ok(found) => found
                    .iana_name()
                    .unwrap_or(&zone)
                    .clone_into(&mut entry.time_zone),
                Err(problem) => problems.push(problem),
            },
            None => {
                let allowed = format!(
                    "an IANA name such as Europe/Berlin: that of client {client} is not known"
                );
                problems.push(Problem::new(&field, "nothing", allowed));
            }
        }
    }
    Ok(InvalidInput::when(problems)?)
}
