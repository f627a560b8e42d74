//! `autoops schedules apply`: what is on the server becomes what is in the file.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use domain::input::{InvalidInput, Problem};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    SHOWN,
    entries::{self, Entry},
    show::{Moment, moments, next_lines},
};
use crate::{
    output,
    setup::Setup,
    temporal::{Standing, Temporal},
};

/// Which file.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Schedules as TOML; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only check the file and show the next runs, without the Temporal server
    #[arg(long)]
    pub dry_run: bool,
}

/// What is done about an entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", content = "differences", rename_all = "snake_case")]
pub(super) enum Step {
    /// The file is good; nobody looked at the server.
    Checked,
    /// There was none.
    Created,
    /// What is different, in words.
    Changed(Vec<String>),
    /// Nothing is done.
    Unchanged,
}

impl Step {
    fn words(&self) -> String {
        match self {
            Self::Checked => "checked".to_owned(),
            Self::Created => "created".to_owned(),
            Self::Changed(differences) => format!("changed ({})", differences.join("; ")),
            Self::Unchanged => "unchanged".to_owned(),
        }
    }

    /// What will be done.
    fn intent(&self) -> &'static str {
        match self {
            Self::Checked => "only checked",
            Self::Created => "to create",
            Self::Changed(_) => "to change",
            Self::Unchanged => "as it is",
        }
    }
}

/// One entry and what comes of it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    #[serde(flatten)]
    step: Step,
    next: Vec<Moment>,
    #[serde(skip)]
    standing: Option<Standing>,
}

/// Everything, as programs read it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    dry_run: bool,
    schedules: &'a [Row<'a>],
    not_in_file: Vec<String>,
}

/// Reads, looks, shows and then writes.
///
/// # Errors
/// When anything in the file is wrong, a schedule of that name is not ours, or the server refuses
/// something.
pub(super) async fn run(setup: &Setup, args: &ApplyArgs) -> anyhow::Result<u8> {
    let entries = entries::read(setup, &args.file).await?;
    let now = Timestamp::now();
    let mut rows: Vec<_> = entries
        .iter()
        .map(|entry| Row {
            entry,
            step: Step::Checked,
            next: moments(&entry.next(now, SHOWN), &entry.zone()),
            standing: None,
        })
        .collect();
    if args.dry_run {
        preview(setup, &rows);
        return report(setup, &rows, vec![], true);
    }
    let temporal = setup.temporal().await?;
    look(&temporal, &mut rows).await?;
    let others = others(&temporal, &entries).await?;
    preview(setup, &rows);
    let mut done = vec![];
    for row in &rows {
        write(&temporal, row).await.with_context(|| {
            let before = match done.is_empty() {
                true => "nothing was written before it".to_owned(),
                false => format!("written before it: {}", done.join(", ")),
            };
            format!(
                "schedule {} ({before}; once repaired, apply the file again)",
                row.entry.name
            )
        })?;
        if row.step != Step::Unchanged {
            done.push(row.entry.name.to_string());
        }
    }
    report(setup, &rows, others, false)
}

/// Finds out what has to be done; nothing is written as long as one entry cannot be.
async fn look(temporal: &Temporal, rows: &mut [Row<'_>]) -> anyhow::Result<()> {
    let mut problems = vec![];
    for (i, row) in rows.iter_mut().enumerate() {
        let standing = temporal.schedule(&row.entry.name).await?;
        row.step = match &standing {
            None => Step::Created,
            Some(standing) if !standing.ours => {
                let allowed = "a name that is free: this schedule was not made by autoops";
                let field = format!("schedule[{i}].name");
                problems.push(Problem::new(field, &row.entry.name, allowed));
                continue;
            }
            Some(standing) => match differences(standing, row.entry) {
                none if none.is_empty() => Step::Unchanged,
                some => Step::Changed(some),
            },
        };
        row.standing = standing;
    }
    Ok(InvalidInput::when(problems)?)
}

/// Compares what was applied, and what the server says of it, with an entry.
pub(super) fn differences(standing: &Standing, entry: &Entry) -> Vec<String> {
    let mut found = vec![];
    let Some(old) = &standing.entry else {
        return vec!["what was applied before cannot be read".to_owned()];
    };
    let none = || "none".to_owned();
    let client = |e: &Entry| e.client.as_ref().map_or_else(none, ToString::to_string);
    let note = |e: &Entry| e.note.clone().unwrap_or_else(none);
    for (field, was, is) in [
        ("kind", old.kind.to_string(), entry.kind.to_string()),
        ("client", client(old), client(entry)),
        ("when", old.when.words(), entry.when.words()),
        ("time_zone", old.time_zone.clone(), entry.time_zone.clone()),
        ("note", note(old), note(entry)),
        ("paused", old.paused.to_string(), entry.paused.to_string()),
    ] {
        if was != is {
            found.push(format!("{field}: {was} -> {is}"));
        }
    }
    if old.input != entry.input {
        found.push("input".to_owned());
    }
    if standing.half_made && !entry.paused {
        found.push("still paused: an apply before this one was broken off".to_owned());
    }
    if found.is_empty() && !standing.as_applied {
        found.push("somebody else has changed it on the server".to_owned());
    }
    found
}

async fn write(temporal: &Temporal, row: &Row<'_>) -> anyhow::Result<()> {
    match (&row.step, &row.standing) {
        (Step::Created, _) => temporal.create_schedule(row.entry).await,
        (Step::Changed(_), Some(standing)) => temporal.update_schedule(row.entry, standing).await,
        (Step::Unchanged | Step::Checked, _) => Ok(()),
        (Step::Changed(_), None) => bail!("it is gone"),
    }
}

async fn others(temporal: &Temporal, entries: &[Entry]) -> anyhow::Result<Vec<String>> {
    let in_file: BTreeSet<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let ours = temporal.schedules().await?;
    Ok(ours
        .into_iter()
        .map(|name| name.to_string())
        .filter(|name| !in_file.contains(name.as_str()))
        .collect())
}

fn preview(setup: &Setup, rows: &[Row<'_>]) {
    if setup.format.is_json() {
        return;
    }
    let lines = rows.iter().map(|row| {
        let entry = row.entry;
        let client = entry
            .client
            .as_ref()
            .map_or(String::new(), ToString::to_string);
        [
            entry.name.to_string(),
            entry.kind.to_string(),
            client,
            entry.when.words(),
            entry.time_zone.clone(),
            row.step.intent().to_owned(),
            next_lines(&row.next, entry.paused),
        ]
    });
    output::table(
        [
            "name",
            "kind",
            "client",
            "when",
            "zone",
            "",
            "next three runs",
        ],
        lines,
    );
}

fn report(
    setup: &Setup,
    rows: &[Row<'_>],
    not_in_file: Vec<String>,
    dry_run: bool,
) -> anyhow::Result<u8> {
    if setup.format.is_json() {
        output::json(&Report {
            dry_run,
            schedules: rows,
            not_in_file,
        })?;
        return Ok(0);
    }
    for row in rows {
        output::line(format!("{}: {}", row.entry.name, row.step.words()));
    }
    for name in not_in_file {
        output::line(format!(
            "{name}: not in this file, left alone (autoops schedules delete {name})"
        ));
    }
    Ok(0)
}
