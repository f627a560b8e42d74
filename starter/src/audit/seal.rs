//! `autoops audit seal`: what was written down goes into write-once storage, by the worker.

use std::time::Duration;

use clap::Args;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{cli, output, setup::Setup};

/// What to seal.
#[derive(Debug, Args)]
pub struct SealArgs {
    /// Last day to seal, in UTC; yesterday when absent
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = until_today)]
    pub through: Option<Date>,
    /// How long to wait for it
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = cli::seconds)]
    pub timeout_secs: u64,
}

/// Seals and says what came of it.
///
/// # Errors
/// When it fails, or is not over in time.
pub(super) async fn run(setup: &Setup, args: &SealArgs) -> anyhow::Result<u8> {
    let through = match args.through {
        Some(through) => through,
        None => today().yesterday()?,
    };
    let temporal = setup.temporal().await?;
    let within = Duration::from_secs(args.timeout_secs);
    let sealed = temporal.seal(through, within).await?;
    if setup.format.is_json() {
        output::json(&sealed)?;
        return Ok(0);
    }
    let (sequence, until) = (sealed.sequence, sealed.through);
    output::line(match sealed.is_new {
        true => format!(
            "seal {sequence} until {until}: {} entries in {} copies",
            sealed.entries, sealed.parts
        ),
        false => format!("nothing to seal: seal {sequence} has everything until {until}"),
    });
    output::line(format!("root {}", sealed.root));
    Ok(0)
}

fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

fn until_today(text: &str) -> Result<Date, String> {
    let allowed = || {
        format!(
            "allowed is a day such as 2026-12-01, until today ({})",
            today()
        )
    };
    text.parse()
        .ok()
        .filter(|day| *day <= today())
        .ok_or_else(allowed)
}
