//! The story of one device run, and what its steps share.

use contracts::{
    activities::{
        inventory::{LeaseInput, ReleaseLease},
        policy::{Evaluate, EvaluateInput},
        records::{AppendAudit, SaveDevice, SaveDeviceInput},
        superops::{ListPatches, ListPatchesInput, PatchRow},
    },
    device::{DevicePatchInput, DeviceStage, Intent, stop},
    ids::DeviceRun,
    search,
};
use domain::{
    audit::{Actor, AuditRecord},
    guardrail::{ActionType, Verdict},
    ids::KbId,
    outcome::{DeviceOutcome, DeviceResult, PatchResult},
    patch::PatchState,
    plan::RebootPolicy,
};
use jiff::Timestamp;
use temporalio_workflow::WorkflowContext;

use super::{DevicePatch, run_of};
use crate::{clock, failure::Failed, options};

/// Why the story ends early: the outcome, and words for people.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) outcome: DeviceOutcome,
    pub(super) detail: String,
    pub(super) needs_new_approval: bool,
}

impl Ends {
    pub(super) fn with(outcome: DeviceOutcome, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            detail: detail.into(),
            needs_new_approval: false,
        }
    }

    pub(super) fn human(detail: impl Into<String>) -> Self {
        Self::with(DeviceOutcome::NeedsHuman, detail)
    }

    pub(super) fn failed(what: &str, failed: &Failed) -> Self {
        Self::human(format!("{what}: {}", failed.message))
    }
}

/// A time in which the device may be touched.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenWindow {
    pub(super) closes_at: Option<Timestamp>,
}

/// One run over one device.
pub(super) struct Attempt {
    pub(super) ctx: WorkflowContext<DevicePatch>,
    pub(super) input: DevicePatchInput,
    pub(super) run: DeviceRun,
}

impl Attempt {
    pub(super) fn new(ctx: WorkflowContext<DevicePatch>, input: DevicePatchInput) -> Self {
        let run = run_of(&input);
        Self { ctx, input, run }
    }

    /// Runs the story; whatever happens, the lease is given back and the end written down.
    pub(super) async fn run(&self) -> (DeviceResult, bool) {
        let mut patches = Vec::new();
        let mut ends = match self.story(&mut patches).await {
            Ok(ends) | Err(ends) => ends,
        };
        // A rollback has no later lane to run in.
        if self.input.intent == Intent::RollBack
            && matches!(
                ends.outcome,
                DeviceOutcome::Deferred | DeviceOutcome::Aborted
            )
        {
            ends = Ends::human(format!("could not be rolled back: {}", ends.detail));
        }
        let result = DeviceResult {
            device: self.input.device.clone(),
            outcome: ends.outcome,
            detail: ends.detail,
            patches,
        };
        self.stage(DeviceStage::Done, result.outcome.as_str());
        self.write_down(&result).await;
        self.release_lease().await;
        (result, ends.needs_new_approval)
    }

    async fn story(&self, patches: &mut Vec<PatchResult>) -> Result<Ends, Ends> {
        if self.input.intent == Intent::RollBack {
            let any_time = OpenWindow { closes_at: None };
            self.wait_until_online(any_time).await?;
            self.wait_for_lease(any_time).await?;
            return self.roll_back_all(patches).await;
        }
        let window = self.wait_for_window().await?;
        self.wait_until_online(window).await?;
        // Only now: a lease held through days of waiting would keep others away, or expire.
        self.wait_for_lease(window).await?;
        self.stage(DeviceStage::Preflight, "asking guardrails");
        self.ask_guardrails().await?;
        let wanted = self.preflight(patches).await?;
        if wanted.is_empty() {
            return Ok(summary_of(patches));
        }
        if self.cancelled() {
            return Err(self.stood_down());
        }
        self.audit("install_started", &wanted, "").await;
        self.install_and_verify(window, &wanted, patches).await
    }

    /// Guardrails go stale: they are asked again in front of each device.
    async fn ask_guardrails(&self) -> Result<(), Ends> {
        let input = EvaluateInput {
            client: self.input.client.clone(),
            plan: self.input.plan.clone(),
            revision: self.input.revision,
            action: ActionType::InstallPatch,
            kbs: self.input.kbs.clone(),
            device: Some(self.input.device.clone()),
            ring: None,
            figures: self.input.figures,
            may_reboot: self.input.reboot != RebootPolicy::Never,
            inside_window: true,
        };
        let answer = self
            .ctx
            .execute_activity(Evaluate, input, options::store("ask guardrails"))
            .await
            .map_err(|e| Ends::failed("guardrails could not be asked", &Failed::of(&e)))?;
        if let Some(stopped) = answer.stopped.first() {
            return Err(Ends::with(
                DeviceOutcome::Forbidden,
                format!("{} is stopped: {}", stopped.kb, stopped.reason),
            ));
        }
        if let Some(why) = answer.paused {
            return Err(Ends::with(
                DeviceOutcome::Deferred,
                format!("paused: {why}"),
            ));
        }
        let policies = answer.decision.policies.join(", ");
        if answer.decision.verdict == Verdict::Forbidden {
            return Err(Ends::with(
                DeviceOutcome::Forbidden,
                format!("forbidden by {policies}"),
            ));
        }
        if asks_for_more(&answer.decision.verdict, &self.input.cleared) {
            return Err(Ends {
                outcome: DeviceOutcome::Deferred,
                detail: format!("guardrails now ask for more: {policies}"),
                needs_new_approval: true,
            });
        }
        Ok(())
    }

    /// Reads the patch list and sorts out what needs no work.
    async fn preflight(&self, patches: &mut Vec<PatchResult>) -> Result<Vec<KbId>, Ends> {
        let rows = self.patch_rows().await?;
        let mut wanted = Vec::new();
        for kb in &self.input.kbs {
            let state = rows
                .iter()
                .find(|r| r.facts.kb == *kb)
                .map_or(PatchState::NotListed, |r| r.state);
            match state {
                PatchState::Installed => patches.push(PatchResult {
                    kb: kb.clone(),
                    outcome: DeviceOutcome::AlreadyInstalled,
                    detail: "the patch list says installed".to_owned(),
                }),
                PatchState::NotListed => patches.push(PatchResult {
                    kb: kb.clone(),
                    outcome: DeviceOutcome::NotApplicable,
                    detail: "the patch list does not offer it".to_owned(),
                }),
                PatchState::Missing | PatchState::Failed | PatchState::Unknown => {
                    wanted.push(kb.clone())
                }
            }
        }
        Ok(wanted)
    }

    /// Reads the patch list of the device, page by page, for the KBs of the plan.
    pub(super) async fn patch_rows(&self) -> Result<Vec<PatchRow>, Ends> {
        let mut rows = Vec::new();
        for page in 1.. {
            let input = ListPatchesInput {
                device: self.input.device.clone(),
                kbs: self.input.kbs.clone(),
                page,
            };
            let answer = self
                .ctx
                .execute_activity(
                    ListPatches,
                    input,
                    options::superops_read("read the patch list"),
                )
                .await
                .map_err(|e| Ends::failed("the patch list could not be read", &Failed::of(&e)))?;
            rows.extend(answer.rows);
            if !answer.has_more || rows.len() >= self.input.kbs.len() {
                break;
            }
        }
        Ok(rows)
    }

    /// Shows what it is doing: in the query, the Web UI and the search attribute.
    pub(super) fn stage(&self, stage: DeviceStage, note: &str) {
        let changed = self.ctx.state_mut(|s| {
            note.clone_into(&mut s.note);
            std::mem::replace(&mut s.stage, stage) != stage
        });
        if changed {
            self.ctx
                .upsert_search_attributes([search::STAGE.value_set(stage.as_str().to_owned())]);
        }
        let kbs = self
            .input
            .kbs
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        self.ctx.set_current_details(format!(
            "**{}**: {note}\n\nDevice `{}`, {kbs}, plan `{}` revision {}, attempt {}",
            stage.as_str(),
            self.input.device,
            self.input.plan,
            self.input.revision,
            self.input.attempt,
        ));
    }

    /// Writes an audit entry; the store retries without limit.
    pub(super) async fn audit(&self, what: &str, kbs: &[KbId], detail: &str) {
        let record = AuditRecord {
            chain: self.ctx.workflow_id().to_owned(),
            key: format!(
                "{what}-{}",
                kbs.iter().map(KbId::digits).collect::<Vec<_>>().join("-")
            ),
            at: clock::now(&self.ctx),
            client: self.input.client.clone(),
            actor: Actor::Workflow,
            what: what.to_owned(),
            evidence: kbs.iter().map(ToString::to_string).collect(),
            detail: serde_json::json!({ "device": self.input.device, "note": detail }),
            plan_hash: Some(self.input.plan_hash.clone()),
            policy_version: None,
            tokens: None,
        };
        let written = self
            .ctx
            .execute_activity(AppendAudit, record, options::store(what))
            .await;
        if let Err(error) = written {
            self.ctx.state_mut(|s| {
                s.note = format!("audit entry refused: {}", Failed::of(&error).message)
            });
        }
    }

    async fn write_down(&self, result: &DeviceResult) {
        self.audit(
            &format!("device_{}", result.outcome.as_str()),
            &self.input.kbs,
            &result.detail,
        )
        .await;
        let input = SaveDeviceInput {
            plan: self.input.plan.clone(),
            client: self.input.client.clone(),
            workflow_id: self.ctx.workflow_id().to_owned(),
            ring: self.input.ring,
            attempt: self.input.attempt,
            result: result.clone(),
        };
        let saved = self
            .ctx
            .execute_activity(SaveDevice, input, options::store("write the result"))
            .await;
        if let Err(error) = saved {
            self.ctx
                .state_mut(|s| s.note = format!("result refused: {}", Failed::of(&error).message));
        }
    }

    async fn release_lease(&self) {
        let input = LeaseInput {
            device: self.input.device.clone(),
            owner: self.ctx.workflow_id().to_owned(),
            life_secs: self.input.waits.lease_secs,
        };
        // An own lease that cannot be given back ends by itself.
        let _ = self
            .ctx
            .execute_activity(ReleaseLease, input, options::store("give the lease back"))
            .await;
    }

    /// Returns true once somebody has asked to stop.
    pub(super) fn cancelled(&self) -> bool {
        self.ctx.cancellation_token().is_cancelled()
    }

    /// Returns true when waits are to be cut short: the deployment was aborted, not just stopped.
    pub(super) fn hurried(&self) -> bool {
        let reason = self.ctx.cancellation_token().reason();
        self.cancelled() && !matches!(reason.as_deref(), Some(stop::STOPPED | stop::STAND_DOWN))
    }

    /// Returns true as long as nothing was done to the device.
    pub(super) fn untouched(&self) -> bool {
        self.ctx.state(|s| !s.touched)
    }

    /// The end of a run that was told to stop before it did anything.
    pub(super) fn stood_down(&self) -> Ends {
        match self.ctx.cancellation_token().reason().as_deref() {
            Some(stop::STAND_DOWN) => Ends::with(
                DeviceOutcome::Deferred,
                "put off: the deployment stands still",
            ),
            _ => Ends::with(DeviceOutcome::Aborted, "stopped before anything was done"),
        }
    }
}

/// Says whether a verdict asks for more than what was cleared.
pub(crate) fn asks_for_more(now: &Verdict, cleared: &Verdict) -> bool {
    match (now, cleared) {
        (Verdict::NeedsApproval(now), Verdict::NeedsApproval(then)) => {
            now.role > then.role || now.quorum > then.quorum || (now.four_eyes && !then.four_eyes)
        }
        (now, then) => now.strictness() > then.strictness(),
    }
}

/// The outcome that matters most over the patches of a device, worst first.
pub(super) fn summary_of(patches: &[PatchResult]) -> Ends {
    use DeviceOutcome as D;
    const WORST_FIRST: [DeviceOutcome; 10] = [
        D::NeedsHuman,
        D::Failed,
        D::ReportedMissing,
        D::RolledBack,
        D::Deferred,
        D::VerifiedByScript,
        D::Verified,
        D::Superseded,
        D::AlreadyInstalled,
        D::NotApplicable,
    ];
    let outcome = WORST_FIRST
        .into_iter()
        .find(|worst| patches.iter().any(|p| p.outcome == *worst))
        .unwrap_or(D::NotApplicable);
    let words = patches
        .iter()
        .map(|p| format!("{}: {}", p.kb, p.detail))
        .collect::<Vec<_>>();
    Ends::with(outcome, words.join("; "))
}
