//! The story of one device run, and what its steps share.

use contracts::{
    activities::{
        inventory::{LeaseInput, ReleaseLease},
        policy::{Evaluate, EvaluateInput},
        superops::{ListPatches, ListPatchesInput, PatchRow},
    },
    device::{DevicePatchInput, DeviceStage, Intent, Stop},
    ids::DeviceRun,
    search,
};
use domain::{
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
}

impl Ends {
    pub(super) fn with(outcome: DeviceOutcome, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            detail: detail.into(),
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

impl OpenWindow {
    /// A window may close while a person thinks.
    fn still_open(self, now: Timestamp) -> Result<(), Ends> {
        if self.closes_at.is_some_and(|closes| closes <= now) {
            let why = "its window closed while a decision on evidence was waited for";
            return Err(Ends::with(DeviceOutcome::Deferred, why));
        }
        Ok(())
    }
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
        self.remember_earlier(&mut patches);
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
            evidence: self.evidence(),
        };
        self.end_announcement().await;
        self.stage(DeviceStage::Done, result.outcome.as_str());
        self.write_down(&result).await;
        self.release_lease().await;
        self.tell_ledger(&result).await;
        self.leave_unwritten().await;
        (result, self.ctx.state(|s| s.asks_for_more))
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
        self.pass_guardrails(window).await?;
        let wanted = self.preflight(patches).await?;
        if wanted.is_empty() {
            return Ok(summary_of(patches));
        }
        if self.take_evidence(window).await? {
            window.still_open(clock::now(&self.ctx))?;
            self.pass_guardrails(window).await?;
        }
        self.heed_stop()?;
        self.audit("install_started", &wanted, "").await;
        self.install_and_verify(window, &wanted, patches).await
    }

    async fn pass_guardrails(&self, window: OpenWindow) -> Result<(), Ends> {
        self.stage(DeviceStage::Preflight, "asking guardrails");
        while let Some(why) = self.ask_guardrails().await? {
            self.wait_while_paused(window, &why).await?;
        }
        Ok(())
    }

    /// What an earlier attempt has put on the device must not be forgotten because this one ended
    /// before it looked: it may have to be undone.
    fn remember_earlier(&self, patches: &mut Vec<PatchResult>) {
        for kb in &self.input.installed_before {
            if !patches.iter().any(|patch| patch.kb == *kb) {
                patches.push(PatchResult {
                    kb: kb.clone(),
                    outcome: DeviceOutcome::VerifiedByScript,
                    detail: "installed by an earlier attempt".to_owned(),
                });
            }
        }
    }

    /// Guardrails go stale: they are asked again in front of each device. Says why it has to wait, if
    /// it has to.
    async fn ask_guardrails(&self) -> Result<Option<String>, Ends> {
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
            .call(Evaluate, input, options::store("ask guardrails"))
            .await
            .map_err(|e| Ends::failed("guardrails could not be asked", &e))?;
        if let Some(stopped) = answer.stopped.first() {
            return Err(Ends::with(
                DeviceOutcome::Forbidden,
                format!("{} is stopped: {}", stopped.kb, stopped.reason),
            ));
        }
        if answer.paused.is_some() {
            return Ok(answer.paused);
        }
        let policies = answer.decision.policies.join(", ");
        if answer.decision.verdict == Verdict::Forbidden {
            return Err(Ends::with(
                DeviceOutcome::Forbidden,
                format!("forbidden by {policies}"),
            ));
        }
        if asks_for_more(&answer.decision.verdict, &self.input.cleared) {
            self.ctx.state_mut(|s| s.asks_for_more = true);
            return Err(Ends::with(
                DeviceOutcome::Deferred,
                format!("guardrails now ask for more: {policies}"),
            ));
        }
        let now = clock::now(&self.ctx);
        self.ctx.state_mut(|s| s.allowed_at = Some(now));
        Ok(None)
    }

    /// Asks guardrails again directly before an installation, when there was a wait since the last answer, or
    /// another update before it. Says why it has to wait, if it has to.
    pub(super) async fn may_still_install(&self) -> Result<Option<String>, Ends> {
        let life = self.input.waits.pause_poll_secs;
        let stale_at = self
            .ctx
            .state(|s| s.allowed_at)
            .map(|at| clock::after(at, life));
        if stale_at.is_some_and(|at| clock::now(&self.ctx) < at) {
            return Ok(None);
        }
        self.ask_guardrails().await
    }

    /// Reads the patch list and sorts out what needs no work.
    async fn preflight(&self, patches: &mut Vec<PatchResult>) -> Result<Vec<KbId>, Ends> {
        let Some(rows) = self.patch_rows().await? else {
            return Err(Ends::human("the patch list could not be read"));
        };
        let mut wanted = Vec::new();
        for kb in &self.input.kbs {
            match state_of(&rows, kb) {
                PatchState::Installed if self.input.installed_before.contains(kb) => {
                    patches.push(PatchResult {
                        kb: kb.clone(),
                        outcome: DeviceOutcome::Verified,
                        detail: "installed by an earlier attempt, and listed as installed"
                            .to_owned(),
                    });
                }
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

    /// Reads the patch list of the device, page by page, for the KBs of the plan. Nothing when the
    /// deployment was aborted and `SuperOps` does not answer.
    pub(super) async fn patch_rows(&self) -> Result<Option<Vec<PatchRow>>, Ends> {
        let mut rows = Vec::new();
        for page in 1.. {
            let input = ListPatchesInput {
                device: self.input.device.clone(),
                kbs: self.input.kbs.clone(),
                page,
            };
            let read = self.read(
                || ListPatches,
                input,
                options::superops_read("read the patch list"),
                "the patch list could not be read",
            );
            let Some(answer) = read.await? else {
                return Ok(None);
            };
            rows.extend(answer.rows);
            if !answer.has_more {
                break;
            }
        }
        Ok(Some(rows))
    }

    /// Shows a note at the stage it is at.
    pub(super) fn note(&self, note: &str) {
        let stage = self.ctx.state(|s| s.stage);
        self.stage(stage, note);
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
        let trouble = self.ctx.state(|s| s.trouble.clone());
        let trouble = trouble.map_or(String::new(), |why| format!("**Trouble**: {why}\n\n"));
        self.ctx.set_current_details(format!(
            "**{}**: {note}\n\n{trouble}Device `{}`, {kbs}, plan `{}` revision {}, attempt {}",
            stage.as_str(),
            self.input.device,
            self.input.plan,
            self.input.revision,
            self.input.attempt,
        ));
    }

    async fn release_lease(&self) {
        let input = LeaseInput {
            device: self.input.device.clone(),
            owner: self.ctx.workflow_id().to_owned(),
            life_secs: self.input.waits.lease_secs,
        };
        let given_back = self
            .call(ReleaseLease, input, options::store("give the lease back"))
            .await;
        if let Err(failed) = given_back {
            let why = failed.message;
            self.note(&format!(
                "the lease ends by itself, it could not be given back: {why}"
            ));
        }
    }

    /// Returns why to stop, once somebody has asked for it. A cancellation by hand is an abort.
    pub(super) fn stop(&self) -> Option<Stop> {
        if self.ctx.cancellation_token().is_cancelled() {
            return Some(Stop::Aborted);
        }
        self.ctx.state(|s| s.stop)
    }

    /// Returns true when waits are to be cut short: the deployment was aborted, not just stopped.
    pub(super) fn hurried(&self) -> bool {
        self.stop() == Some(Stop::Aborted)
    }

    /// Ends a run that was told to stop before it did anything to the device.
    pub(super) fn heed_stop(&self) -> Result<(), Ends> {
        match self.stop() {
            Some(why) if self.untouched() => Err(stood_down(why)),
            _ => Ok(()),
        }
    }

    /// Returns true as long as nothing was done to the device.
    pub(super) fn untouched(&self) -> bool {
        self.ctx.state(|s| !s.touched)
    }
}

/// The end of a run that was told to stop before it did anything.
fn stood_down(why: Stop) -> Ends {
    match why {
        Stop::StandDown => Ends::with(
            DeviceOutcome::Deferred,
            "put off: the deployment stands still",
        ),
        Stop::Stopped | Stop::Aborted => {
            Ends::with(DeviceOutcome::Aborted, "stopped before anything was done")
        }
    }
}

/// Reads the state of a KB off a patch list. Some KBs are listed once a month anew: a row that still
/// lacks it outweighs one that has it.
pub(super) fn state_of(rows: &[PatchRow], kb: &KbId) -> PatchState {
    let weight = |state: &PatchState| match state {
        PatchState::NotListed => 0,
        PatchState::Installed => 1,
        PatchState::Unknown => 2,
        PatchState::Missing => 3,
        PatchState::Failed => 4,
    };
    rows.iter()
        .filter(|row| row.facts.kb == *kb)
        .map(|row| row.state)
        .max_by_key(weight)
        .unwrap_or(PatchState::NotListed)
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
    const WORST_FIRST: [DeviceOutcome; 12] = [
        D::NeedsHuman,
        D::Failed,
        D::ReportedMissing,
        D::RolledBack,
        D::Deferred,
        D::Aborted,
        D::Forbidden,
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
