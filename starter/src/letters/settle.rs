//! Retrying and dropping. The letter is marked first, in one step that only one caller can win; what
//! follows is repeatable, so that whoever comes again after a crash finishes it.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use clients::store::{DeadLetter, Executions, LetterState, SealedPlan, Store, StoreError};
use contracts::{ids, message::MAX_MESSAGE_BYTES};
use domain::{
    audit::{Actor, AuditRecord},
    dead_letter::{LetterKind, Rerun},
    ids::{DeviceId, PersonId, PlanId},
    outcome::DeviceOutcome,
    people::{ControlAction, Identity},
    plan::{MAX_INLINE_DEVICES, PlanRequest},
    plan_check,
};
use jiff::Timestamp;

use super::{DropArgs, PAGE, RetryArgs, device_of, plan_of, rerun::rerun};
use crate::{
    authority::Asked,
    temporal::{Started, Temporal},
    words,
};

/// Where plans are started.
pub(super) trait Starts: Sync {
    /// Starts a plan; one that was started before is left alone.
    fn start(
        &self,
        plan: &PlanId,
        request: &PlanRequest,
    ) -> impl Future<Output = anyhow::Result<Started>> + Send;

    /// Says when the last run of a workflow began; nothing when that is not known, or not any more.
    fn last_began(
        &self,
        workflow_id: &str,
    ) -> impl Future<Output = anyhow::Result<Option<Timestamp>>> + Send;

    /// Starts a workflow again; one that is at work, or has ended well, is left alone.
    fn start_again(
        &self,
        workflow_id: &str,
        again: &Rerun,
    ) -> impl Future<Output = anyhow::Result<Started>> + Send;
}

impl Starts for Temporal {
    async fn start(&self, plan: &PlanId, request: &PlanRequest) -> anyhow::Result<Started> {
        Temporal::start(self, plan, request).await
    }

    async fn last_began(&self, workflow_id: &str) -> anyhow::Result<Option<Timestamp>> {
        Temporal::last_began(self, workflow_id).await
    }

    async fn start_again(&self, workflow_id: &str, again: &Rerun) -> anyhow::Result<Started> {
        Temporal::start_again(self, workflow_id, again).await
    }
}

/// What came of a retry.
#[derive(Debug)]
pub(super) struct Again {
    /// The letter as it is now.
    pub(super) letter: DeadLetter,
    /// The new plan; absent when the workflow itself was started again.
    pub(super) plan: Option<PlanId>,
    /// It was started by this call.
    pub(super) started: bool,
    /// Devices that are left to a person.
    pub(super) left_out: Vec<DeviceId>,
}

impl Again {
    /// Returns the workflow that tries again.
    pub(super) fn workflow_id(&self) -> String {
        let own = || self.letter.workflow_id.clone();
        self.plan.as_ref().map_or_else(own, ids::patch_deployment)
    }
}

/// Reads a letter that must be there.
pub(super) async fn find(executions: &dyn Executions, id: &str) -> anyhow::Result<DeadLetter> {
    let found = executions.get_dead_letter(id).await?;
    found.with_context(|| {
        format!("no dead letter `{id}` is in the store: autoops dead-letters list --all shows them")
    })
}

/// Works on letters.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    store: &'a Store,
    accept_claimed: bool,
}

impl<'a> Desk<'a> {
    pub(super) fn new(store: &'a Store, accept_claimed: bool) -> Self {
        Self {
            store,
            accept_claimed,
        }
    }

    /// Starts the plan that tries again, once in all.
    pub(super) async fn retry(
        &self,
        starts: &impl Starts,
        args: &RetryArgs,
        now: Timestamp,
    ) -> anyhow::Result<Again> {
        let executions = self.store.executions.as_ref();
        let mut letter = find(executions, &args.id).await?;
        self.authority()
            .check(&letter.client, &args.by, ControlAction::Retry)
            .await?;
        if letter.state.is_open() {
            let plan = match letter.kind {
                LetterKind::WorkflowFailed => {
                    rerun(&letter)?;
                    None
                }
                _ => Some(self.attempt(&letter, &args.by, now).await?.plan),
            };
            let state = LetterState::Retried {
                by: args.by.clone(),
                at: now,
                plan,
                reason: args.reason.clone(),
                started: None,
            };
            letter = self.settle(&letter.id, state).await?;
        }
        let LetterState::Retried { by, plan, .. } = &letter.state else {
            bail!("dead letter {} was {} before", letter.id, letter.state);
        };
        let (by, plan) = (by.clone(), plan.clone());
        self.write_down(&letter).await?;
        let Some(plan) = plan else {
            return self.start_again(starts, letter, now).await;
        };
        // The store remembers for longer than Temporal.
        if executions.get_status(&plan).await?.is_some() {
            return Ok(Again {
                letter,
                plan: Some(plan),
                started: false,
                left_out: Vec::new(),
            });
        }
        let attempt = self.attempt(&letter, &by, now).await?;
        let started = starts.start(&plan, &attempt.request).await;
        let started = started.with_context(|| {
            format!(
                "dead letter {} is marked as retried and plan {plan} is not started; the same command again starts it",
                letter.id
            )
        })?;
        Ok(Again {
            letter,
            plan: Some(plan),
            started: matches!(started, Started::Yes { .. }),
            left_out: attempt.left_out,
        })
    }

    /// Closes a letter.
    pub(super) async fn drop_letter(
        &self,
        args: &DropArgs,
        now: Timestamp,
    ) -> anyhow::Result<DeadLetter> {
        let letter = find(self.store.executions.as_ref(), &args.id).await?;
        self.authority()
            .check(&letter.client, &args.by, ControlAction::Drop)
            .await?;
        let state = LetterState::Dropped {
            by: args.by.clone(),
            at: now,
            reason: args.reason.clone(),
        };
        let settled = self.settle(&letter.id, state.clone()).await?;
        self.write_down(&settled).await?;
        if settled.state != state && !settled.state.is_said_again_by(&state) {
            bail!(
                "dead letter {} was {} before, so it is not dropped",
                settled.id,
                settled.state
            );
        }
        Ok(settled)
    }

    fn authority(&self) -> Asked<'_> {
        Asked::new(self.store, self.accept_claimed)
    }

    /// Marks a letter; who comes second gets it as the first one left it.
    pub(super) async fn settle(&self, id: &str, state: LetterState) -> anyhow::Result<DeadLetter> {
        let executions = self.store.executions.as_ref();
        match executions.settle_dead_letter(id, state).await {
            Ok(letter) => Ok(letter),
            Err(StoreError::Conflict { .. }) => find(executions, id).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Writes to the chain of the deployment what became of a letter; always the same entry for the
    /// same letter, so that it stands there once.
    async fn write_down(&self, letter: &DeadLetter) -> anyhow::Result<()> {
        let (by, at, detail) = match &letter.state {
            LetterState::Open => return Ok(()),
            LetterState::Retried {
                by,
                at,
                plan,
                reason,
                ..
            } => (
                by,
                at,
                serde_json::json!({ "plan": plan, "reason": reason }),
            ),
            LetterState::Dropped { by, at, reason } => {
                (by, at, serde_json::json!({ "reason": reason }))
            }
        };
        let chain = plan_of(letter).map_or_else(
            || letter.workflow_id.clone(),
            |plan| ids::patch_deployment(&plan),
        );
        let record = AuditRecord {
            chain,
            key: format!("dead-letter/{}", letter.id),
            at: *at,
            client: letter.client.clone(),
            actor: Actor::Person {
                name: by.to_string(),
                identity: Identity::Claimed,
            },
            what: format!("dead_letter_{}", letter.state.as_str()),
            evidence: vec![letter.id.clone(), letter.workflow_id.clone()],
            detail,
            plan_hash: None,
            policy_version: None,
            tokens: None,
        };
        self.store.actions.append_audit(record).await?;
        Ok(())
    }

    /// Makes the request of the plan that tries again, or says why there is none.
    async fn attempt(
        &self,
        letter: &DeadLetter,
        by: &PersonId,
        now: Timestamp,
    ) -> anyhow::Result<Attempt> {
        let id = &letter.id;
        if let Some(why) = letter.kind.why_no_retry() {
            let kind = words::plain(letter.kind.as_str());
            bail!("dead letter {id} ({kind}) is not retried: {why}");
        }
        let of = plan_of(letter).with_context(|| format!("dead letter {id} names no plan"))?;
        let plan = letter.retry_plan(&of);
        if letter.kind == LetterKind::DeploymentRefused {
            let request = asked_again(letter, &plan, by, now)?;
            return attempt_of(&of, request, Vec::new(), now);
        }
        let sealed = self.sealed(&of).await?;
        let (devices, left_out) = match (letter.kind, device_of(letter)) {
            (LetterKind::DeploymentBroken, _) => self.unfinished(&sealed).await?,
            (_, Some(device)) => (vec![device], Vec::new()),
            (_, None) => bail!("dead letter {id} names no device"),
        };
        if devices.is_empty() {
            bail!("no device of plan {of} is left to be tried again: drop dead letter {id}");
        }
        if devices.len() > MAX_INLINE_DEVICES {
            bail!(
                "{} devices of plan {of} are not finished, and a plan names at most {MAX_INLINE_DEVICES}: start plans that select them by tag, then drop dead letter {id}",
                devices.len()
            );
        }
        let request = letter.retry_request(&sealed.request, plan, devices, by, now);
        attempt_of(&of, request, left_out, now)
    }

    /// Reads the newest sealed revision of a plan.
    async fn sealed(&self, plan: &PlanId) -> anyhow::Result<SealedPlan> {
        let executions = self.store.executions.as_ref();
        let status = executions.get_status(plan).await?;
        let sealed = match status {
            Some(status) => executions.get_plan(plan, status.revision).await?,
            None => None,
        };
        sealed.with_context(|| {
            format!("the sealed plan {plan} is not in the store, so nothing can be made of it")
        })
    }

    /// Devices without a good end; those that need a human apart, because each has its own letter.
    async fn unfinished(
        &self,
        sealed: &SealedPlan,
    ) -> anyhow::Result<(Vec<DeviceId>, Vec<DeviceId>)> {
        let mut outcomes = BTreeMap::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self
                .store
                .executions
                .list_device_rows(&sealed.plan, None, cursor.as_deref(), PAGE)
                .await?;
            let rows = page.items.into_iter();
            outcomes.extend(rows.map(|row| (row.result.device, row.result.outcome)));
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let (mut devices, mut left_out) = (Vec::new(), Vec::new());
        for device in &sealed.document.devices {
            match outcomes.get(&device.id) {
                Some(outcome) if outcome.is_final_good() => {}
                Some(DeviceOutcome::NeedsHuman) => left_out.push(device.id.clone()),
                _ => devices.push(device.id.clone()),
            }
        }
        Ok((devices, left_out))
    }
}

struct Attempt {
    plan: PlanId,
    request: PlanRequest,
    left_out: Vec<DeviceId>,
}

/// Checks the request that tries plan `of` again.
fn attempt_of(
    of: &PlanId,
    request: PlanRequest,
    left_out: Vec<DeviceId>,
    now: Timestamp,
) -> anyhow::Result<Attempt> {
    plan_check::check(&request, now)
        .with_context(|| format!("plan {of} cannot be tried again as it is"))?;
    let bytes = serde_json::to_vec(&request)?.len();
    if bytes > MAX_MESSAGE_BYTES {
        bail!("the new plan has {bytes} bytes, at most {MAX_MESSAGE_BYTES} are allowed");
    }
    let plan = request.id.clone().context("the new plan has no id")?;
    Ok(Attempt {
        plan,
        request,
        left_out,
    })
}

/// What was asked for, under the id of the retry.
fn asked_again(
    letter: &DeadLetter,
    plan: &PlanId,
    by: &PersonId,
    now: Timestamp,
) -> anyhow::Result<PlanRequest> {
    let asked = rerun(letter)?.input.clone();
    let asked: PlanRequest = serde_json::from_value(asked)
        .with_context(|| format!("the plan in dead letter {} cannot be read", letter.id))?;
    Ok(PlanRequest {
        id: Some(plan.clone()),
        requested_by: Some(by.clone()),
        deadline: asked.deadline.filter(|deadline| *deadline > now),
        ..asked
    })
}
