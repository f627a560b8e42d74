//! Steps 8 and 9: roll back what a stopped deployment left, judge, measure, tell.

use std::collections::VecDeque;

use contracts::{
    activities::{
        notify::NoticeKind,
        plans::{InstalledResult, ListInstalled, PlanPageInput, Straggler},
    },
    deployment::DeploymentResult,
    device::{Intent, Stop},
};
use domain::{
    approval::How,
    audit::Actor,
    dead_letter::LetterKind,
    deployment::{DeploymentMetrics, Stage},
    outcome::{DeploymentOutcome, DeviceOutcome},
    plan::RollbackScope,
};
use temporalio_common::error::OutgoingWorkflowError;
use temporalio_workflow::WorkflowTermination;

use super::{PatchDeployment, Story, children::Start, detached, evidence::Evidence, rings::Rounds};
use crate::{clock, failure::Failed, letters::is_of_input, options};

impl Story {
    /// After a gate has stopped the deployment: undoes what the plan says, and gives stragglers up. Not against
    /// a person who has aborted it.
    pub(super) async fn roll_back_if_asked(&self) -> Result<(), WorkflowTermination> {
        if self.s(|s| s.carry.status.stragglers > 0) {
            self.give_up_stragglers().await?;
        }
        let asked = self.s(|s| {
            s.carry.stopped_by_gate
                && s.request.rollback.enabled
                && s.request.rollback.scope == RollbackScope::AllDevices
                && (s.carry.aborted.is_none() || s.carry.rolling_back)
        });
        if !asked {
            return Ok(());
        }
        self.stage(Stage::RollingBack, "undoing what was installed")
            .await;
        if !self.s_mut(|s| std::mem::replace(&mut s.carry.rolling_back, true)) {
            let nothing = serde_json::Value::Null;
            self.audit("rollback_started", Actor::Workflow, vec![], nothing)
                .await;
        }
        self.roll_back_all().await
    }

    /// Undoes device after device, as many at once as the plan allows, until all are through or a person has
    /// aborted it.
    async fn roll_back_all(&self) -> Result<(), WorkflowTermination> {
        let mut rounds = Rounds::default();
        let mut left = VecDeque::new();
        let mut next_page = Some(None);
        let mut cut_short = false;
        loop {
            self.work_off_inbox().await;
            self.heed_cancel();
            self.count_finished().await;
            // What is undone already is not listed again.
            self.continue_as_new_if_due().await?;
            let idle = self.s(|s| s.carry.in_flight.is_empty());
            if idle && left.is_empty() && next_page.is_none() {
                self.s_mut(|s| s.rolled_back = !cut_short);
                return Ok(());
            }
            if let Some(why) = self.s(|s| s.carry.aborted.clone()) {
                cut_short = true;
                if idle {
                    return Ok(());
                }
                self.stage(Stage::RollingBack, format!("stopping: {why}"))
                    .await;
                self.tell_in_flight(&mut rounds, Stop::Aborted).await;
            } else if self.room() > 0 {
                if let Some(device) = left.pop_front() {
                    self.undo_device(device).await?;
                    continue;
                }
                if let Some(cursor) = next_page.take() {
                    let answer = self.list_installed(cursor).await?;
                    left.extend(answer.devices);
                    next_page = answer.cursor.map(Some);
                    continue;
                }
            }
            self.wait_a_round(&mut rounds, None, "rollbacks in flight")
                .await?;
        }
    }

    async fn list_installed(
        &self,
        cursor: Option<String>,
    ) -> Result<InstalledResult, WorkflowTermination> {
        let input = PlanPageInput {
            plan: self.s(|s| s.plan_id.clone()),
            cursor,
        };
        let how = options::store("list what was installed");
        let answer = self.call(ListInstalled, input, how).await;
        answer.map_err(Failed::into_termination)
    }

    async fn undo_device(&self, device: Straggler) -> Result<(), WorkflowTermination> {
        if self.s(|s| s.carry.in_flight.contains_key(&device.device)) {
            return Ok(());
        }
        let start = Start {
            device: device.device,
            ring: device.ring,
            attempt: device.attempts + 1,
            intent: Intent::RollBack,
            undoes: Some(device.outcome),
            straggler: false,
            kbs: Some(device.installed),
            installed_before: Vec::new(),
            evidence: Evidence {
                first: false,
                stored: device.evidence,
            },
        };
        self.start(vec![start]).await
    }

    /// Judges a deployment that was deployed.
    pub(super) fn judge(&self) -> DeploymentResult {
        let now = clock::now(&self.ctx);
        self.s(|s| {
            let carry = &s.carry;
            let counts = carry.status.counts.clone();
            let judged = DeploymentOutcome::of_finished(&counts, carry.stopped_by_gate);
            let (outcome, detail) = match &carry.aborted {
                // It came when nothing was left to stop.
                Some(_) if s.rolled_back => (judged, "a gate did not open".to_owned()),
                Some(why) if carry.rolling_back => (
                    DeploymentOutcome::Aborted,
                    format!("aborted during its rollback: {why}"),
                ),
                Some(why) => (DeploymentOutcome::Aborted, format!("aborted: {why}")),
                None if carry.stopped_by_gate => (judged, "a gate did not open".to_owned()),
                None => (judged, "all rings are through".to_owned()),
            };
            let since_cleared = carry.cleared_at.unwrap_or(carry.status.started_at);
            DeploymentResult {
                outcome,
                detail,
                metrics: Some(DeploymentMetrics {
                    total_secs: now.duration_since(carry.status.started_at).as_secs(),
                    approval_secs: carry.approval_secs,
                    deploy_secs: now.duration_since(since_cleared).as_secs(),
                    success_permille: DeploymentMetrics::success_permille(&counts),
                }),
                counts,
                plan_hash: carry.plan.as_ref().map(|p| p.hash.clone()),
            }
        })
    }

    /// The result of a deployment that ends before its plan ran; an earlier revision may have.
    pub(super) fn early_result(
        &self,
        outcome: DeploymentOutcome,
        detail: String,
    ) -> DeploymentResult {
        let judged = self.judge();
        let worked = self.s(|s| s.carry.status.counts.total() > 0);
        DeploymentResult {
            outcome,
            detail,
            metrics: judged.metrics.filter(|_| worked),
            ..judged
        }
    }

    /// Writes the end down, tells people, and answers everybody who still waits for an answer.
    pub(super) async fn close(&self, mut result: DeploymentResult) -> DeploymentResult {
        self.close_request(How::Cancelled).await;
        if self.s(|s| s.carry.status.stragglers > 0) && self.give_up_stragglers().await.is_ok() {
            result.counts = self.s(|s| s.carry.status.counts.clone());
        }
        let untouched = self.untouched_devices();
        if result.outcome == DeploymentOutcome::Aborted && untouched > 0 {
            self.s_mut(|s| {
                s.carry
                    .status
                    .counts
                    .add_many(DeviceOutcome::Aborted, untouched)
            });
            result.counts = self.s(|s| s.carry.status.counts.clone());
        }
        let detail = serde_json::json!({
            "outcome": result.outcome, "counts": result.counts, "metrics": result.metrics, "detail": result.detail,
        });
        self.audit("deployment_finished", Actor::Workflow, vec![], detail)
            .await;
        self.s_mut(|s| s.carry.status.outcome = Some(result.outcome));
        self.stage(
            Stage::Done,
            format!("{}: {}", result.outcome.as_str(), result.detail),
        )
        .await;
        let words = format!("{}: {}", result.outcome.as_str(), result.detail);
        self.notify(NoticeKind::DeploymentFinished, words, vec![])
            .await;
        self.answer_everybody().await;
        self.leave_unwritten().await;
        result
    }

    /// Something has failed for good while devices are worked on: they finish in peace, are counted,
    /// and a person takes over.
    pub(super) async fn wind_down(
        &self,
        why: String,
    ) -> Result<DeploymentResult, WorkflowTermination> {
        if self
            .s_mut(|s| s.carry.broken.replace(why.clone()))
            .is_none()
        {
            let detail = serde_json::json!({ "why": why });
            self.audit("deployment_broken", Actor::Workflow, vec![], detail)
                .await;
        }
        let mut rounds = Rounds::default();
        loop {
            self.work_off_inbox().await;
            self.heed_cancel();
            self.count_finished().await;
            if self.s(|s| s.carry.in_flight.is_empty()) {
                break;
            }
            self.continue_as_new_if_due().await?;
            let aborted = self.s(|s| s.carry.aborted.is_some());
            self.tell_in_flight(
                &mut rounds,
                if aborted {
                    Stop::Aborted
                } else {
                    Stop::Stopped
                },
            )
            .await;
            self.stage(Stage::Halted, format!("cannot go on: {why}"))
                .await;
            // Devices wait for the list, and what cannot be asked about them is asked again.
            let _ = self
                .wait_a_round(&mut rounds, None, "devices in flight")
                .await;
        }
        self.leave_letter(LetterKind::DeploymentBroken, "broken", &why)
            .await;
        Ok(self.early_result(
            DeploymentOutcome::Incomplete,
            format!("it could not go on: {why}"),
        ))
    }

    /// Writes down that the deployment fails, before it does; nobody is left waiting. People are told, unless
    /// it is their input that cannot be used: who gave it hears that at once.
    pub(super) async fn refuse(&self, failure: &OutgoingWorkflowError) {
        let why = &failure.to_string();
        self.stop_in_flight(Stop::Stopped).await;
        self.close_request(How::Cancelled).await;
        self.s_mut(|s| s.carry.status.outcome = Some(DeploymentOutcome::Refused));
        self.audit(
            "deployment_refused",
            Actor::Workflow,
            vec![],
            serde_json::json!({ "why": why }),
        )
        .await;
        self.stage(Stage::Done, why).await;
        if !is_of_input(failure) {
            self.leave_letter(LetterKind::DeploymentRefused, "refused", why)
                .await;
            let words = format!("refused, no device was touched: {why}");
            self.notify(NoticeKind::DeploymentFinished, words, vec![])
                .await;
        }
        self.answer_everybody().await;
        self.leave_unwritten().await;
    }

    /// Works messages off until nobody waits for an answer any more. Updates that keep on coming do not
    /// keep it: there is a moment between the last answer and the next question.
    pub(super) async fn answer_everybody(&self) {
        self.work_off_inbox().await;
        while self.s(|s| !s.carry.inbox.is_empty()) || !self.ctx.all_handlers_finished() {
            let handlers = self.ctx.clone();
            let news = move |w: &PatchDeployment| {
                !w.s().carry.inbox.is_empty() || handlers.all_handlers_finished()
            };
            // Detached, so nothing ends it but the condition.
            let _ = self.ctx.wait_condition_with_options(news, detached()).await;
            self.work_off_inbox().await;
        }
    }

    /// Devices of the plan that nobody has counted.
    fn untouched_devices(&self) -> u32 {
        self.s(|s| {
            let planned: u32 = s.carry.status.rings.iter().map(|r| r.devices).sum();
            planned.saturating_sub(s.carry.status.counts.total())
        })
    }
}
