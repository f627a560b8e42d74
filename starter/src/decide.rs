//! `autoops approve` and `autoops reject`: a person decides on exactly the plan that is shown.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use contracts::deployment::{DecideInput, DecisionInput};
use domain::{
    approval::{Answer, Choice},
    audit::{Actor, AuditRecord},
    deployment::{DeploymentStatus, Stage},
    ids::{PersonId, PlanId, RequestId},
    people::Identity,
};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    cli,
    output::{self, USAGE_OR_CONNECTION},
    setup::Setup,
    temporal::{Delivered, Deployment, Trouble},
    words,
};

/// Between two looks at a plan that is being assessed.
const LOOK: Duration = Duration::from_millis(500);
/// How long a look at the state may take.
const ANSWER: Duration = Duration::from_secs(3);

/// What is decided.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// Plan id or workflow id
    #[arg(value_name = "ID", value_parser = cli::plan_id)]
    pub plan: PlanId,
    /// Who decides
    #[arg(long, value_name = "PERSON")]
    pub by: PersonId,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
    /// Hash of the plan that is meant; the one that is asked about when absent
    #[arg(long)]
    pub hash: Option<String>,
    /// Approval request that is meant; the one that is open when absent
    #[arg(long)]
    pub request: Option<RequestId>,
    /// Names this decision, so that a repeat has no second effect; generated when absent
    #[arg(long, value_name = "ID")]
    pub decision_id: Option<String>,
    /// How long a worker may take before the decision is left with the server as a signal
    #[arg(long, value_name = "SECONDS", value_parser = cli::seconds, default_value_t = 2)]
    pub within_secs: u64,
    /// How long to wait for a plan that is still being assessed
    #[arg(long, value_name = "SECONDS", value_parser = cli::seconds, default_value_t = 30)]
    pub open_within_secs: u64,
}

/// What became of it, as programs read it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    plan: &'a PlanId,
    decision_id: &'a str,
    request_id: &'a RequestId,
    plan_hash: &'a str,
    answer: Option<&'a Answer>,
    words: &'a str,
}

/// Sends a decision and prints the answer.
///
/// # Errors
/// When there is nothing to decide, or Temporal cannot be reached.
pub async fn run(setup: &Setup, args: &DecideArgs, choice: Choice) -> anyhow::Result<u8> {
    let deployment = setup.temporal().await?.deployment(&args.plan);
    let status = status(setup, args, &deployment).await?;
    let input = decision(args, choice, status.as_ref())?;
    if let Some(status) = status.as_ref().filter(|_| !setup.format.is_json()) {
        words::summary(status).iter().for_each(output::line);
    }
    let id = input.decision_id.clone().unwrap_or_default();
    let within = Duration::from_secs(args.within_secs);
    let (answer, text) = match send(&deployment, &input, &id, within).await {
        Ok(Delivered::Answered(answer)) => {
            let text = words::answer(&answer, choice);
            (Some(answer), text)
        }
        Ok(Delivered::Taken) => (
            None,
            format!("taken, not answered yet: see autoops status {}", args.plan),
        ),
        Ok(Delivered::NotTaken) => {
            let text = format!(
                "sent; no worker answered within {} s, it is counted when one comes",
                args.within_secs
            );
            (None, text)
        }
        Err(Trouble::Closed) => return Err(too_late(setup, args, &input, &id).await),
        Err(trouble) => return Err(trouble.into()),
    };
    if setup.format.is_json() {
        let (request_id, plan_hash) = (&input.request_id, input.plan_hash.as_str());
        let report = Report {
            plan: &args.plan,
            decision_id: &id,
            request_id,
            plan_hash,
            answer: answer.as_ref(),
            words: &text,
        };
        output::json(&report)?;
    }
    if answer.as_ref().is_none_or(words::is_effective) {
        if !setup.format.is_json() {
            output::line(text);
        }
        return Ok(0);
    }
    output::error(&anyhow!(text));
    Ok(USAGE_OR_CONNECTION)
}

/// Reads where it stands: from the workflow, or as the worker last wrote it down. A plan that is
/// still being assessed is waited for, unless the decision names its hash.
async fn status(
    setup: &Setup,
    args: &DecideArgs,
    deployment: &Deployment,
) -> anyhow::Result<Option<DeploymentStatus>> {
    let until = Instant::now() + Duration::from_secs(args.open_within_secs);
    loop {
        match deployment.status(ANSWER).await {
            Ok(status) if args.hash.is_none() && is_early(&status) && Instant::now() < until => {
                sleep(LOOK).await;
            }
            Ok(status) => return Ok(Some(status)),
            Err(Trouble::NotFound) => bail!(
                "no deployment of plan {} is known to the Temporal server",
                args.plan
            ),
            Err(Trouble::NoAnswer) => {
                return match setup.store().await {
                    Ok(store) => Ok(store.executions.get_status(&args.plan).await?),
                    Err(_) => Ok(None),
                };
            }
            Err(trouble) => return Err(trouble.into()),
        }
    }
}

fn is_early(status: &DeploymentStatus) -> bool {
    status.approval.is_none() && matches!(status.stage, Stage::Planning | Stage::Assessing)
}

/// Makes the decision: what is named counts, else what is asked about.
fn decision(
    args: &DecideArgs,
    choice: Choice,
    status: Option<&DeploymentStatus>,
) -> anyhow::Result<DecideInput> {
    let asked = status.and_then(|status| status.approval.as_ref());
    let plan_hash = match (&args.hash, asked, status) {
        (Some(hash), ..) => hash.clone(),
        (None, Some(request), _) => request.plan_hash.clone(),
        (None, None, Some(status)) => {
            let stage = words::plain(status.stage.as_str());
            bail!(
                "plan {} has not asked for an approval (it is {stage}); with --hash a decision is kept until it does",
                args.plan
            )
        }
        (None, None, None) => {
            bail!("no worker answers, so the plan cannot be shown: name it by --hash")
        }
    };
    let request_id = match (&args.request, asked) {
        (Some(request), _) => request.clone(),
        (None, Some(request)) => request.id.clone(),
        // The first request of the plan; beside a hash it decides nothing.
        (None, None) => format!("{}/1", args.plan).parse()?,
    };
    let decision_id = args
        .decision_id
        .clone()
        .unwrap_or_else(|| Uuid::now_v7().to_string());
    Ok(DecideInput {
        choice,
        by: args.by.to_string(),
        reason: args.reason.clone(),
        decision_id: Some(decision_id),
        request_id,
        plan_hash,
        proof: None,
    })
}

/// Tries the update, which answers; without a worker leaves a signal, which the server keeps. Both
/// name the same decision, so that it counts once.
async fn send(
    deployment: &Deployment,
    input: &DecideInput,
    id: &str,
    within: Duration,
) -> Result<Delivered<Answer>, Trouble> {
    let delivered = deployment.update("decide", id, input, within).await?;
    if delivered == Delivered::NotTaken {
        let name = match input.choice {
            Choice::Approve => "approve",
            Choice::Reject => "reject",
        };
        deployment.signal(name, id, &signal(input)).await?;
    }
    Ok(delivered)
}

fn signal(input: &DecideInput) -> DecisionInput {
    DecisionInput {
        by: input.by.clone(),
        reason: input.reason.clone(),
        decision_id: input.decision_id.clone(),
        request_id: Some(input.request_id.clone()),
        plan_hash: Some(input.plan_hash.clone()),
        proof: None,
    }
}

/// The workflow is over and can write nothing down any more, so the decision is recorded here.
async fn too_late(
    setup: &Setup,
    args: &DecideArgs,
    input: &DecideInput,
    id: &str,
) -> anyhow::Error {
    let recorded = async {
        let store = setup.store().await?;
        let Some(status) = store.executions.get_status(&args.plan).await? else {
            bail!("the plan is not in the store")
        };
        let record = AuditRecord {
            chain: status.workflow_id,
            key: format!("late/{id}"),
            at: Timestamp::now(),
            client: status.client,
            actor: Actor::Person {
                name: input.by.clone(),
                identity: Identity::Claimed,
            },
            what: "decision_late".to_owned(),
            evidence: vec![input.request_id.to_string()],
            detail: serde_json::json!({ "choice": input.choice, "reason": input.reason }),
            plan_hash: Some(input.plan_hash.clone()),
            policy_version: None,
            tokens: None,
        };
        store.actions.append_audit(record).await?;
        Ok(status.outcome)
    };
    match recorded.await {
        Ok(outcome) => {
            let outcome = outcome.map_or("ended".to_owned(), |outcome| {
                format!("ended ({})", words::plain(outcome.as_str()))
            });
            anyhow!(
                "not counted: it came too late, the deployment has {outcome}; the decision is recorded as late"
            )
        }
        Err(error) => {
            anyhow!(
                "not counted: it came too late, the deployment has ended; it could not be recorded: {error:#}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(hash: Option<&str>) -> DecideArgs {
        DecideArgs {
            plan: "p".parse().unwrap(),
            by: "dana".parse().unwrap(),
            reason: None,
            hash: hash.map(str::to_owned),
            request: None,
            decision_id: Some("d1".into()),
            within_secs: 2,
            open_within_secs: 0,
        }
    }

    #[test]
    fn update_and_signal_name_the_same_decision() {
        let update = decision(&args(Some("h")), Choice::Approve, None).unwrap();
        let signal = signal(&update);
        assert_eq!(update.request_id.as_str(), "p/1");
        assert_eq!(signal.decision_id, update.decision_id);
        assert_eq!(signal.plan_hash.as_deref(), Some("h"));
        assert_eq!(signal.by, "dana");
    }

    #[test]
    fn nothing_is_signed_unseen() {
        let error = decision(&args(None), Choice::Approve, None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("--hash"), "{error}");
    }
}
