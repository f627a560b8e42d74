//! `autoops evidence`: what was taken of devices before they were patched, and doing without it.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use clients::evidence::{EvidenceRoom, Kept};
use contracts::{deployment::WaiveInput, device::Intent, ids::DeviceRun};
use domain::{
    evidence::EvidenceDocument,
    ids::{DeviceId, PersonId, PlanId},
    people::ControlAction,
};
use serde::Serialize;

use crate::{
    cli,
    control::{self, AskArgs},
    output,
    setup::Setup,
    words,
};

/// What to do about evidence.
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// List what was taken of devices, or write one to a file
    Show(ShowArgs),
    /// Let devices be patched without the evidence that should be taken first
    Waive(WaiveArgs),
}

/// Which evidence.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Plan id or workflow id
    #[arg(value_name = "ID", value_parser = cli::plan_id)]
    pub plan: PlanId,
    /// Only of this device
    #[arg(long, value_name = "ID")]
    pub device: Option<DeviceId>,
    /// Write it to a new file and compare it with its hash; of one device
    #[arg(long, value_name = "FILE", requires = "device")]
    pub fetch: Option<PathBuf>,
}

/// Who does without evidence, where and why.
#[derive(Debug, Args)]
pub struct WaiveArgs {
    /// Plan id or workflow id
    #[arg(value_name = "ID", value_parser = cli::plan_id)]
    pub plan: PlanId,
    /// Only of this device; of all devices of the plan when absent
    #[arg(long, value_name = "ID")]
    pub device: Option<DeviceId>,
    /// Why
    #[arg(long)]
    pub reason: String,
    /// Who decides
    #[arg(long, value_name = "PERSON")]
    pub by: PersonId,
}

/// One piece of evidence, as programs read it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    device: &'a DeviceId,
    workflow_id: &'a str,
    at: jiff::Timestamp,
    key: &'a str,
    sha256: &'a str,
    bytes: u64,
}

impl<'a> From<&'a Kept> for Row<'a> {
    fn from(kept: &'a Kept) -> Self {
        Self {
            device: &kept.device,
            workflow_id: &kept.chain,
            at: kept.at,
            key: &kept.stored.key,
            sha256: &kept.stored.sha256,
            bytes: kept.stored.bytes,
        }
    }
}

/// Shows evidence, or does without it.
///
/// # Errors
/// When there is none, or what should know it cannot be reached.
pub async fn run(setup: &Setup, command: &EvidenceCommand) -> anyhow::Result<u8> {
    match command {
        EvidenceCommand::Show(args) => show(setup, args).await,
        EvidenceCommand::Waive(args) => waive(setup, args).await,
    }
}

async fn waive(setup: &Setup, args: &WaiveArgs) -> anyhow::Result<u8> {
    let ask = AskArgs {
        plan: args.plan.clone(),
        by: args.by.clone(),
        reason: Some(args.reason.clone()),
    };
    let input = WaiveInput {
        by: args.by.to_string(),
        reason: Some(args.reason.clone()),
        device: args.device.clone(),
        proof: None,
    };
    control::order(setup, &ask, ControlAction::WaiveEvidence, &input).await
}

async fn show(setup: &Setup, args: &ShowArgs) -> anyhow::Result<u8> {
    let store = setup.store().await?;
    let Some(objects) = setup.objects().await? else {
        bail!("there is no storage of objects here");
    };
    let room = EvidenceRoom::new(store, objects);
    let mut kept = room
        .list(&args.plan, |d, n| run_of(&args.plan, d, n))
        .await?;
    kept.retain(|one| args.device.as_ref().is_none_or(|only| *only == one.device));
    if let Some(path) = &args.fetch {
        // Of several attempts the newest.
        let newest = kept.last().ok_or_else(|| none(args))?;
        return fetch(setup, &room, newest, path).await;
    }
    if setup.format.is_json() {
        output::json(&kept.iter().map(Row::from).collect::<Vec<_>>())?;
        return Ok(0);
    }
    if kept.is_empty() {
        return Err(none(args));
    }
    let rows = kept.iter().map(|one| {
        [
            one.device.to_string(),
            words::time(one.at),
            one.stored.bytes.to_string(),
            one.stored.sha256.clone(),
            one.stored.key.clone(),
        ]
    });
    output::table(["device", "taken", "bytes", "SHA-256", "object"], rows);
    Ok(0)
}

/// Names the chain of an attempt on a device.
fn run_of(plan: &PlanId, device: &DeviceId, attempt: u32) -> String {
    let run = DeviceRun {
        plan: plan.clone(),
        device: device.clone(),
        attempt,
        intent: Intent::Install,
    };
    run.workflow_id()
}

fn none(args: &ShowArgs) -> anyhow::Error {
    let of = args
        .device
        .as_ref()
        .map_or_else(String::new, |device| format!(" of device {device}"));
    anyhow!(
        "the audit trail of plan {} tells of no evidence{of}",
        args.plan
    )
}

async fn fetch(setup: &Setup, room: &EvidenceRoom, kept: &Kept, path: &Path) -> anyhow::Result<u8> {
    let bytes = room.fetch(&kept.stored).await?;
    // Evidence is not written over anything, least of all over other evidence.
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    written.with_context(|| path.display().to_string())?;
    if setup.format.is_json() {
        output::json(&Row::from(kept))?;
        return Ok(0);
    }
    output::line(format!(
        "{}: {} bytes, SHA-256 {} as in the audit trail",
        path.display(),
        bytes.len(),
        kept.stored.sha256
    ));
    // What was kept was read before; another program's later form is shown by its size only.
    if let Ok(document) = serde_json::from_slice::<EvidenceDocument>(&bytes) {
        output::line(format!("taken at {}", document.taken_at));
        for section in document.sections {
            let cut = if section.truncated { ", truncated" } else { "" };
            output::line(format!(
                "  {}: {} lines{cut}",
                section.name,
                section.lines.len()
            ));
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use crate::cli::parse;

    #[test]
    fn a_waiver_names_who_and_why_and_fetching_names_a_device() {
        let waive = ["autoops", "evidence", "waive", "p", "--by", "lee"];
        assert_eq!(parse(waive).unwrap_err(), 1);
        let with_reason = waive.iter().chain(&["--reason", "imaged"]);
        assert!(parse(with_reason).is_ok());
        let fetch = ["autoops", "evidence", "show", "p", "--fetch", "x.json"];
        assert_eq!(parse(fetch).unwrap_err(), 1);
        assert!(parse(fetch.iter().chain(&["--device", "81"])).is_ok());
    }
}
