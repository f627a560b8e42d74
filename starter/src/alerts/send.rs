//! `autoops alerts send`: alerts of other tools, until they come over HTTP.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use clients::{store::Taking, triage::recognise};
use domain::{
    alert::{Intake, IntakeCounts, Labels, read_alertmanager, read_plain},
    ids::ClientId,
    input::Problem,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{file, output, setup::Setup};

/// Largest file, in bytes.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// In which form alerts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Our own: an object with `client` and `title`, or a list of them
    Plain,
    /// What Prometheus Alertmanager sends to a webhook
    Alertmanager,
}

/// Which alerts.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Alerts as JSON; `-` reads stdin
    pub file: PathBuf,
    /// In which form they are
    #[arg(long, value_enum, default_value_t = Form::Plain)]
    pub format: Form,
    /// Which labels of Alertmanager say what, as YAML or JSON
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
}

/// What came of it, as programs read it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    alerts: usize,
    new: u64,
    changed: u64,
    #[serde(flatten)]
    wrong: IntakeCounts,
    problems: &'a [Problem],
}

/// Takes them in, and lets triage begin.
///
/// # Errors
/// When the file is nothing of this form, or the store cannot be used.
pub(super) async fn run(setup: &Setup, args: &SendArgs) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let mut intake = read(args, now)?;
    let store = setup.store().await?;
    recognise(&store, &mut intake, now).await?;
    let Intake {
        sightings,
        counts,
        problems,
    } = intake;
    let alerts = sightings.len();
    let clients: BTreeSet<ClientId> = sightings.iter().map(|one| one.client.clone()).collect();
    let taken = store.alerts.take_sightings(sightings, false).await?;
    if taken.news > 0
        && let Err(error) = wake(setup, &clients).await
    {
        output::remark(format!(
            "the alerts are kept; triage begins with the next reading of alerts: {error:#}"
        ));
    }
    if setup.format.is_json() {
        return output::json(&Report {
            alerts,
            new: taken.new,
            changed: taken.changed,
            wrong: counts,
            problems: &problems,
        });
    }
    told(alerts, taken, counts, &problems);
    Ok(())
}

fn read(args: &SendArgs, now: Timestamp) -> anyhow::Result<Intake> {
    let labels: Labels = match &args.labels {
        Some(path) => file::typed(path)?,
        None => Labels::default(),
    };
    let body = file::bytes(&args.file, MAX_BYTES)?;
    let intake = match args.format {
        Form::Plain => read_plain(&body, now),
        Form::Alertmanager => read_alertmanager(&body, &labels, now),
    };
    intake.with_context(|| args.file.display().to_string())
}

async fn wake(setup: &Setup, clients: &BTreeSet<ClientId>) -> anyhow::Result<()> {
    setup.temporal().await?.wake_triage(clients).await
}

fn told(alerts: usize, taken: Taking, counts: IntakeCounts, problems: &[Problem]) {
    let Taking { new, changed, .. } = taken;
    output::line(format!(
        "{alerts} alerts: {new} new, {changed} changed, {} known already",
        alerts as u64 - (new + changed).min(alerts as u64)
    ));
    let IntakeCounts {
        refused,
        without_client,
        cut,
        beyond,
        ambiguous,
        not_utf8,
    } = counts;
    for (count, what) in [
        (refused, "could not be read"),
        (
            without_client,
            "name no client of ours and are kept for client unknown",
        ),
        (
            ambiguous,
            "name a machine as several devices are named, and are of no device",
        ),
        (
            beyond,
            "were beyond what one file may have, the newest, and are left out",
        ),
    ] {
        if count > 0 {
            output::line(format!("{count} {what}"));
        }
    }
    if cut > 0 {
        output::line(format!("{cut} texts were cut"));
    }
    if not_utf8 > 0 {
        output::line(format!(
            "{not_utf8} places are no UTF-8 and show as \u{fffd}"
        ));
    }
    problems.iter().for_each(output::line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &[u8], format: Form) -> (SendArgs, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alerts.json");
        std::fs::write(&file, text).unwrap();
        let args = SendArgs {
            file,
            format,
            labels: None,
        };
        (args, folder)
    }

    #[test]
    fn both_forms_are_read_and_what_is_neither_is_refused_by_name() {
        let now = Timestamp::UNIX_EPOCH;
        let body =
            br#"{"version":"4","alerts":[{"status":"firing","startsAt":"2026-11-28T10:00:00Z",
            "labels":{"alertname":"HostDown","client":"7","instance":"web01:9100"}}]}"#;
        let (mut given, _folder) = args(body, Form::Alertmanager);
        let intake = read(&given, now).unwrap();
        assert_eq!(intake.sightings[0].host.as_deref(), Some("web01"));
        given.format = Form::Plain;
        let intake = read(&given, now).unwrap();
        assert_eq!(intake.counts.refused, 1, "{intake:?}");
        let (given, _folder) = args(b"\xff\xfe", Form::Plain);
        let error = format!("{:#}", read(&given, now).unwrap_err());
        assert!(
            error.contains("alerts.json") && error.contains("body"),
            "{error}"
        );
    }
}
