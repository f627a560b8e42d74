//! Schedules in words.

use domain::ids::ScheduleName;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{SHOWN, entries::Entry};
use crate::{
    output::short,
    temporal::{Run, Standing},
    words,
};

/// A moment, by the clock of a zone and in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Moment {
    pub(super) utc: Timestamp,
    pub(super) local: String,
    #[serde(skip)]
    words: String,
}

/// Writes moments by the clock of a zone.
pub(super) fn moments(at: &[Timestamp], zone: &TimeZone) -> Vec<Moment> {
    let moment = |utc: &Timestamp| {
        let local = utc.to_zoned_datetime(zone.clone());
        Moment {
            utc: *utc,
            local: local.to_string(),
            words: format!(
                "{} = {}",
                local.strftime("%a %Y-%m-%d %H:%M:%S %Z"),
                words::time(*utc)
            ),
        }
    };
    at.iter().take(SHOWN).map(moment).collect()
}

/// Writes the next runs for a table.
pub(super) fn next_lines(next: &[Moment], paused: bool) -> String {
    let lines: Vec<_> = next.iter().map(|moment| moment.words.as_str()).collect();
    let lines = lines.join(", ");
    match paused {
        true => format!("paused; else {lines}"),
        false => lines,
    }
}

/// A schedule, as programs read it.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    name: &'a ScheduleName,
    #[serde(flatten)]
    entry: Option<&'a Entry>,
    input: Option<&'a Map<String, Value>>,
    workflow_id: Option<String>,
    is_paused: bool,
    state_note: &'a str,
    next: Vec<Moment>,
    last: Option<&'a Run>,
    recent: &'a [Run],
    running: &'a [String],
    runs: i64,
    skipped: i64,
    missed: i64,
}

pub(super) fn shown<'a>(name: &'a ScheduleName, standing: &'a Standing) -> Shown<'a> {
    let entry = standing.entry.as_ref();
    Shown {
        name,
        entry,
        input: entry.map(|entry| &entry.input),
        workflow_id: entry.and_then(Entry::workflow_id),
        is_paused: standing.paused,
        state_note: &standing.note,
        next: next_of(standing),
        last: standing.recent.last(),
        recent: &standing.recent,
        running: &standing.running,
        runs: standing.runs,
        skipped: standing.skipped,
        missed: standing.missed,
    }
}

/// The server's own next runs.
pub(super) fn next_of(standing: &Standing) -> Vec<Moment> {
    let zone = standing.entry.as_ref().map_or(TimeZone::UTC, Entry::zone);
    moments(&standing.next, &zone)
}

/// One line of the list.
pub(super) fn row(name: &ScheduleName, standing: &Standing) -> [String; 8] {
    let of = |part: &dyn Fn(&Entry) -> String| standing.entry.as_ref().map_or(String::new(), part);
    let next = next_of(standing);
    let last = standing.recent.last();
    [
        name.to_string(),
        of(&|entry| entry.kind.to_string()),
        of(&|entry| {
            entry
                .client
                .as_ref()
                .map_or(String::new(), ToString::to_string)
        }),
        of(&|entry| entry.when.words()),
        of(&|entry| entry.time_zone.clone()),
        if standing.paused { "yes" } else { "no" }.to_owned(),
        next_lines(&next[..next.len().min(1)], standing.paused),
        last.map_or(String::new(), |run| run.workflow_id.clone()),
    ]
}

/// All of a schedule.
pub(super) fn describe(name: &ScheduleName, standing: &Standing) -> Vec<String> {
    let mut lines = vec![match standing.paused {
        true => format!("schedule {name}: paused"),
        false => format!("schedule {name}: goes on"),
    }];
    if !standing.note.is_empty() {
        lines.push(format!("note: {}", short(&standing.note, 500)));
    }
    if let Some(entry) = &standing.entry {
        let client = entry.client.as_ref();
        let client = client.map_or(String::new(), |client| format!(" for client {client}"));
        lines.push(format!("kind: {}{client}", entry.kind));
        lines.push(format!(
            "when: {}, clock of {}",
            entry.when.words(),
            entry.time_zone
        ));
        if let Some(note) = entry.note.as_ref().filter(|note| **note != standing.note) {
            lines.push(format!("note of the file: {note}"));
        }
        if let Some(id) = entry.workflow_id() {
            lines.push(format!(
                "starts: {} as {id}-TIME",
                entry.kind.workflow_type()
            ));
        }
        let input = Value::Object(entry.input.clone());
        lines.push(format!("input: {}", short(input, 1000)));
    } else {
        lines.push("what was applied cannot be read: apply its file again".to_owned());
    }
    let otherwise = if standing.paused {
        "next, if it were not paused"
    } else {
        "next"
    };
    for moment in next_of(standing) {
        lines.push(format!("{otherwise}: {}", moment.words));
    }
    lines.push(format!(
        "runs: {}, {} left out as the one before still ran, {} missed",
        standing.runs, standing.skipped, standing.missed
    ));
    for run in standing.recent.iter().rev() {
        let at = run
            .at
            .map_or(String::new(), |at| format!("{} ", words::time(at)));
        let status = run.status.as_deref().map_or(String::new(), words::plain);
        lines.push(format!("run: {at}{} {status}", run.workflow_id));
    }
    lines
}
