//! A stop by hand: flagged first, so that nothing begins any more, then what is open is halted.

use anyhow::Context;
use clients::{
    ledger::{Ledger, Stopped},
    store::Store,
};
use contracts::deployment::ControlInput;
use domain::ids::{KbId, PlanId};
use jiff::Timestamp;
use serde::Serialize;

use super::{SayArgs, check_authority};
use crate::{
    output,
    setup::Setup,
    temporal::{Temporal, Trouble},
};

/// Who can tell deployments to halt.
pub(super) trait Halts: Sync {
    /// Returns false when it is over. A request that it knows has no second effect.
    fn halt(
        &self,
        plan: &PlanId,
        request: &str,
        input: &ControlInput,
    ) -> impl Future<Output = anyhow::Result<bool>> + Send;
}

impl Halts for Temporal {
    async fn halt(
        &self,
        plan: &PlanId,
        request: &str,
        input: &ControlInput,
    ) -> anyhow::Result<bool> {
        match self.deployment(plan).signal("halt", request, input).await {
            Ok(()) => Ok(true),
            Err(Trouble::NotFound | Trouble::Closed) => Ok(false),
            Err(trouble) => Err(trouble.into()),
        }
    }
}

/// What came of a stop, as programs read it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    kb: &'a KbId,
    epoch: i64,
    was_stopped: Option<&'a str>,
    halted: &'a [PlanId],
    words: &'a str,
}

/// Stops an update and says so.
pub(super) async fn run(
    setup: &Setup,
    store: &Store,
    args: &SayArgs,
    accept_claimed: bool,
) -> anyhow::Result<()> {
    let stopped = flag(store, args, accept_claimed, Timestamp::now()).await?;
    // Without a server nobody new begins either: the flag is in the store.
    let halting = async {
        let temporal = setup.temporal().await?;
        halt(store, &temporal, args, stopped.epoch).await
    };
    let halted = halting.await.with_context(|| {
        format!(
            "{} is stopped and opens no ring any more; not every open deployment was told: the same command again tells them",
            args.kb
        )
    })?;
    told(setup, args, &stopped, &halted)
}

/// Sets the flag, when the person may.
pub(super) async fn flag(
    store: &Store,
    args: &SayArgs,
    accept_claimed: bool,
    now: Timestamp,
) -> anyhow::Result<Stopped> {
    check_authority(store, &args.by, accept_claimed).await?;
    let ledger = Ledger::new(store);
    Ok(ledger
        .stop_by(&args.kb, &args.by, &args.reason, now)
        .await?)
}

/// Tells all open deployments of the update; returns those that are not over.
pub(super) async fn halt(
    store: &Store,
    deployments: &impl Halts,
    args: &SayArgs,
    epoch: i64,
) -> anyhow::Result<Vec<PlanId>> {
    let (by, kb) = (args.by.as_str(), &args.kb);
    let (request, input) = ControlInput::halt_for_all(by, &args.reason, kb, epoch);
    let mut halted = Vec::new();
    for plan in store.executions.open_deployments_of(kb).await? {
        if deployments.halt(&plan, &request, &input).await? {
            halted.push(plan);
        }
    }
    Ok(halted)
}

fn told(setup: &Setup, args: &SayArgs, stopped: &Stopped, halted: &[PlanId]) -> anyhow::Result<()> {
    let (kb, was) = (&args.kb, stopped.was_stopped.as_deref());
    let how = match was {
        Some(flag) => format!("{kb} was stopped before by {flag}"),
        None => format!("{kb} is stopped for all clients"),
    };
    let text = format!(
        "{how}; open deployments told to halt: {}; autoops ledger clear ends the stop",
        halted.len()
    );
    if setup.format.is_json() {
        return output::json(&Report {
            kb,
            epoch: stopped.epoch,
            was_stopped: was,
            halted,
            words: &text,
        });
    }
    output::line(text);
    for plan in halted {
        output::line(format!("  {plan}"));
    }
    Ok(())
}
