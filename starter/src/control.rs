//! `autoops pause | resume | abort | halt`, `autoops amend` and `autoops extend`.

use std::{path::PathBuf, time::Duration};

use anyhow::{anyhow, bail};
use clap::Args;
use contracts::deployment::{AmendInput, ControlAnswer, ControlInput, ExtendInput};
use domain::{
    ids::{DeviceId, KbId, PersonId, PlanId},
    people::ControlAction,
    plan::{PlanChange, RebootPolicy, RollbackScope, RollbackSpec, WindowSpec},
};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    cli, file, output, plan,
    setup::Setup,
    temporal::{Delivered, Deployment, Trouble},
    words,
};

/// How long a worker may take before a control is left with the server as a signal.
const WITHIN: Duration = Duration::from_secs(2);
/// How long a worker may take for what cannot be left as a signal.
const PATIENT: Duration = Duration::from_secs(10);

/// Who asks about which deployment, and why.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// Plan id or workflow id
    #[arg(value_name = "ID", value_parser = cli::plan_id)]
    pub plan: PlanId,
    /// Who asks
    #[arg(long, value_name = "PERSON")]
    pub by: PersonId,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
}

/// A halt.
#[derive(Debug, Args)]
pub struct HaltArgs {
    /// Who, what, why.
    #[command(flatten)]
    pub ask: AskArgs,
    /// The update that broke something
    #[arg(long)]
    pub kb: Option<KbId>,
}

/// A change of the plan; what is absent stays as it is.
#[derive(Debug, Args)]
pub struct AmendArgs {
    /// Who, what, why.
    #[command(flatten)]
    pub ask: AskArgs,
    /// The change as a file.
    #[arg(long, value_name = "FILE",
        help = "Change as YAML or JSON: windows, blackouts, deadline, remove_devices, reboot, rollback, evidence", conflicts_with_all = ["windows", "deadline", "remove_devices", "reboot", "rollback"])]
    pub file: Option<PathBuf>,
    /// New maintenance windows, such as "sat,sun 22:00-04:00"; they replace all
    #[arg(long = "window", value_name = "WINDOW", value_parser = plan::window)]
    pub windows: Vec<WindowSpec>,
    /// New deadline, such as 2026-04-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = cli::time)]
    pub deadline: Option<Timestamp>,
    /// Device to leave out
    #[arg(long = "remove-device", value_name = "ID", value_delimiter = ',')]
    pub remove_devices: Vec<DeviceId>,
    /// Whether devices are restarted
    #[arg(long, value_parser = plan::reboot, value_name = "never|if-needed|always")]
    pub reboot: Option<RebootPolicy>,
    /// What is undone after a failure
    #[arg(long, value_parser = rollback, value_name = "off|failed-devices|all-devices")]
    pub rollback: Option<RollbackSpec>,
}

/// More time for approvers.
#[derive(Debug, Args)]
pub struct ExtendArgs {
    /// Who, what, why.
    #[command(flatten)]
    pub ask: AskArgs,
    /// Seconds to add to the deadline of the open approval request
    #[arg(long, value_name = "SECONDS", value_parser = cli::seconds)]
    pub by_secs: u64,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    plan: &'a PlanId,
    answer: Option<&'a ControlAnswer>,
    words: &'a str,
}

/// Pauses, resumes, aborts or halts.
///
/// # Errors
/// When the deployment is over or not known, or Temporal cannot be reached.
pub async fn run(
    setup: &Setup,
    ask: &AskArgs,
    kb: Option<&KbId>,
    action: ControlAction,
) -> anyhow::Result<u8> {
    let input = ControlInput {
        by: ask.by.to_string(),
        reason: ask.reason.clone(),
        kb: kb.cloned(),
        incident: None,
        proof: None,
    };
    order(setup, ask, action, &input).await
}

/// Sends an order: as an update, which answers; without a worker as a signal, which the server keeps.
pub(crate) async fn order<I: Serialize + 'static>(
    setup: &Setup,
    ask: &AskArgs,
    action: ControlAction,
    input: &I,
) -> anyhow::Result<u8> {
    let deployment = setup.temporal().await?.deployment(&ask.plan);
    let id = Uuid::now_v7().to_string();
    let name = action.as_str();
    let delivered = deployment
        .update(&format!("request_{name}"), &id, input, WITHIN)
        .await;
    let delivered = known(ask, delivered)?;
    if delivered == Delivered::NotTaken {
        known(ask, deployment.signal(name, &id, input).await)?;
        let text = format!(
            "sent; no worker answered within {} s, it takes effect when one comes",
            WITHIN.as_secs()
        );
        return report(setup, ask, None, (true, text));
    }
    told(setup, ask, &delivered)
}

/// Changes the plan of a running deployment.
///
/// # Errors
/// As [`run`], and when nothing would change or no worker answers.
pub async fn amend(setup: &Setup, args: &AmendArgs) -> anyhow::Result<u8> {
    let ask = &args.ask;
    let change = args.change()?;
    let input = AmendInput {
        by: ask.by.to_string(),
        reason: ask.reason.clone(),
        change,
        proof: None,
    };
    patient(setup, ask, "amend", &input).await
}

/// Gives approvers more time.
///
/// # Errors
/// As [`amend`].
pub async fn extend(setup: &Setup, args: &ExtendArgs) -> anyhow::Result<u8> {
    let ask = &args.ask;
    let input = ExtendInput {
        by: ask.by.to_string(),
        by_secs: args.by_secs,
        reason: ask.reason.clone(),
        proof: None,
    };
    patient(setup, ask, "extend_approval", &input).await
}

/// Sends what must not arrive twice: there is no signal behind the update.
async fn patient<I: Serialize + 'static>(
    setup: &Setup,
    ask: &AskArgs,
    name: &str,
    input: &I,
) -> anyhow::Result<u8> {
    let deployment: Deployment = setup.temporal().await?.deployment(&ask.plan);
    let id = Uuid::now_v7().to_string();
    match known(ask, deployment.update(name, &id, input, PATIENT).await)? {
        Delivered::NotTaken => bail!(
            "no worker answered within {} s; nothing is known to have changed",
            PATIENT.as_secs()
        ),
        delivered => told(setup, ask, &delivered),
    }
}

fn known<T>(ask: &AskArgs, result: Result<T, Trouble>) -> anyhow::Result<T> {
    result.map_err(|trouble| match trouble {
        Trouble::NotFound => anyhow!(
            "no deployment of plan {} is known to the Temporal server",
            ask.plan
        ),
        Trouble::Closed => anyhow!(
            "the deployment of plan {} is over: see autoops status {0}",
            ask.plan
        ),
        other => other.into(),
    })
}

fn told(setup: &Setup, ask: &AskArgs, delivered: &Delivered<ControlAnswer>) -> anyhow::Result<u8> {
    match delivered {
        Delivered::Answered(answer) => report(setup, ask, Some(answer), words::control(answer)),
        Delivered::Taken | Delivered::NotTaken => {
            let text = format!("taken, not answered yet: see autoops status {}", ask.plan);
            report(setup, ask, None, (true, text))
        }
    }
}

fn report(
    setup: &Setup,
    ask: &AskArgs,
    answer: Option<&ControlAnswer>,
    (good, text): (bool, String),
) -> anyhow::Result<u8> {
    let report = Report {
        plan: &ask.plan,
        answer,
        words: &text,
    };
    output::outcome(setup.format, &report, good, &text)
}

impl AmendArgs {
    fn change(&self) -> anyhow::Result<PlanChange> {
        let change = match &self.file {
            Some(path) => file::typed(path)?,
            None => PlanChange {
                windows: (!self.windows.is_empty()).then(|| self.windows.clone()),
                blackouts: None,
                deadline: self.deadline,
                remove_devices: self.remove_devices.clone(),
                reboot: self.reboot,
                rollback: self.rollback,
                evidence: None,
            },
        };
        if change.is_empty() {
            bail!(
                "nothing would change: give --file, --window, --deadline, --remove-device, --reboot or --rollback"
            );
        }
        Ok(change)
    }
}

fn rollback(text: &str) -> Result<RollbackSpec, String> {
    let enabled = |scope| RollbackSpec {
        enabled: true,
        scope,
    };
    match text.replace('_', "-").as_str() {
        "off" => Ok(RollbackSpec {
            enabled: false,
            ..RollbackSpec::default()
        }),
        "failed-devices" => Ok(enabled(RollbackScope::FailedDevices)),
        "all-devices" => Ok(enabled(RollbackScope::AllDevices)),
        _ => Err("allowed is off, failed-devices or all-devices".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        amend: AmendArgs,
    }

    fn change(flags: &[&str]) -> anyhow::Result<PlanChange> {
        let always = ["x", "first-plan", "--by", "dana"];
        Flags::try_parse_from(always.iter().chain(flags))
            .unwrap()
            .amend
            .change()
    }

    #[test]
    fn flags_change_only_what_they_name() {
        let flags = [
            "--remove-device",
            "81,82",
            "--rollback",
            "all-devices",
            "--window",
            "sat 22:00-04:00",
        ];
        let expected = serde_json::json!({
            "remove_devices": ["81", "82"],
            "rollback": { "enabled": true, "scope": "all_devices" },
            "windows": [{ "days": ["sat"], "from": "22:00", "to": "04:00" }],
        });
        assert_eq!(
            change(&flags).unwrap(),
            serde_json::from_value(expected).unwrap()
        );
        assert!(
            change(&[])
                .unwrap_err()
                .to_string()
                .contains("nothing would change")
        );
    }
}
