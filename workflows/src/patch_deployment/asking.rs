//! Step 4: asking people, and what silence means.

use contracts::{
    activities::{
        notify::NoticeKind,
        windows::{NextOpening, NextOpeningInput},
    },
    deployment::{Cleared, DeploymentResult, stricter_need},
};
use domain::{
    approval::{Answer, Decision, How, Request},
    audit::Actor,
    deployment::Stage,
    guardrail::{ApprovalNeed, Verdict},
    outcome::DeploymentOutcome,
};
use temporalio_workflow::WorkflowTermination;

use super::{Story, Turn, inbox::choice_word};
use crate::{
    approvals::{self, Matter},
    clock::{self, Woken},
    failure::{self, Failed},
    options,
};

impl Story {
    /// One turn: plan, ask guardrails, ask people.
    pub(super) async fn plan_and_ask(&self) -> Result<Turn, WorkflowTermination> {
        let sealed = self.plan().await?;
        self.work_off_inbox().await;
        self.heed_cancel();
        if let Some(over) = self.aborted_before_work() {
            return Ok(Turn::Over(over));
        }
        let need = match &sealed.decision.verdict {
            Verdict::Forbidden => {
                let mut why = sealed.decision.policies.clone();
                why.extend(sealed.decision.errors.iter().cloned());
                let detail = format!("guardrails forbid it: {}", why.join(", "));
                return Ok(Turn::Over(
                    self.early_result(DeploymentOutcome::Forbidden, detail),
                ));
            }
            Verdict::NeedsApproval(need) => Some(need),
            Verdict::Auto => None,
        };
        let spec = self.s(|s| s.request.approval.clone());
        let Some(need) = stricter_need(need, &spec) else {
            self.clear(Verdict::Auto);
            let actor = Actor::Policy {
                ids: sealed.decision.policies.clone(),
            };
            self.audit("runs_unattended", actor, vec![], serde_json::Value::Null)
                .await;
            return Ok(Turn::Go);
        };
        self.ask(&need, &sealed.decision.policy_version, sealed.difference)
            .await
    }

    async fn ask(
        &self,
        need: &ApprovalNeed,
        policy_version: &str,
        mut difference: Vec<String>,
    ) -> Result<Turn, WorkflowTermination> {
        loop {
            let asked_at = clock::now(&self.ctx);
            self.open_request(need, policy_version, std::mem::take(&mut difference))
                .await?;
            let how = self.await_decision().await;
            let waited = clock::now(&self.ctx).duration_since(asked_at).as_secs();
            self.s_mut(|s| s.carry.approval_secs += waited);
            match how {
                How::Approved => {
                    self.clear(Verdict::NeedsApproval(need.clone()));
                    return Ok(Turn::Go);
                }
                How::Superseded => return Ok(Turn::Again),
                How::Rejected => {
                    let by = self
                        .s(|s| s.carry.book.ended().map(|e| e.by.clone()))
                        .unwrap_or_default();
                    let names = by
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(", ");
                    let detail = format!("rejected by {names}");
                    return Ok(Turn::Over(
                        self.early_result(DeploymentOutcome::Rejected, detail),
                    ));
                }
                How::TimedOut => {
                    let detail = "nobody answered before the deadline".to_owned();
                    return Ok(Turn::Over(
                        self.early_result(DeploymentOutcome::TimedOut, detail),
                    ));
                }
                How::Cancelled => {
                    let over = self.aborted_before_work();
                    return Ok(over.map_or(Turn::Again, Turn::Over));
                }
                How::Held => {
                    if let Some(turn) = self.hold_until_next_window().await? {
                        return Ok(turn);
                    }
                }
            }
        }
    }

    async fn open_request(
        &self,
        need: &ApprovalNeed,
        policy_version: &str,
        difference: Vec<String>,
    ) -> Result<(), WorkflowTermination> {
        let now = clock::now(&self.ctx);
        let (id, hash, requester) = self.s_mut(|s| {
            s.carry.requests += 1;
            let hash = s
                .carry
                .plan
                .as_ref()
                .map(|p| p.hash.clone())
                .unwrap_or_default();
            (
                format!("{}/{}", s.plan_id, s.carry.requests),
                hash,
                s.request.requested_by.clone(),
            )
        });
        let request = Request {
            id: id.parse().map_err(failure::invalid_input)?,
            plan_hash: hash,
            policy_version: policy_version.to_owned(),
            role: need.role,
            quorum: need.quorum,
            opened_at: now,
            deadline: self.s(|s| {
                let longest = clock::after(now, need.timeout_secs);
                s.request
                    .deadline
                    .filter(|at| *at > now)
                    .map_or(longest, |at| at.min(longest))
            }),
            escalation: need
                .escalation
                .as_ref()
                .map(|e| (clock::after(now, e.after_secs), e.role)),
            escalated: false,
            requester,
            four_eyes: need.four_eyes,
            on_timeout: need.on_timeout,
        };
        let early = self.s_mut(|s| s.carry.book.open(request.clone()));
        let detail = serde_json::json!({
            "request": request.id, "role": request.role, "quorum": request.quorum,
            "deadline": request.deadline, "difference": difference,
        });
        self.audit(
            "approval_opened",
            Actor::Workflow,
            vec![request.plan_hash.clone()],
            detail,
        )
        .await;
        let note = format!("asking {} x {}", request.quorum, request.role.as_str());
        self.stage(Stage::AwaitingApproval, note).await;
        self.notify(
            NoticeKind::ApprovalOpened,
            "an approval is asked for".to_owned(),
            difference,
        )
        .await;
        // Decisions that came before the request and named its hash count now.
        for decision in early {
            self.work_off_decision(decision).await;
        }
        Ok(())
    }

    /// Waits for the end of the open request: people, the clock, a new plan or an abort.
    async fn await_decision(&self) -> How {
        loop {
            // What came before the deadline is worked off before the clock decides.
            self.work_off_inbox().await;
            self.count_finished().await;
            if self.heed_cancel() {
                self.close_request(How::Cancelled).await;
            }
            if let Some(ended) = self.s(|s| s.carry.book.ended().map(|e| e.how)) {
                return ended;
            }
            let now = clock::now(&self.ctx);
            let closing = self.s(|s| {
                if s.carry.aborted.is_some() {
                    Some(How::Cancelled)
                } else {
                    s.carry.turn_asked.as_ref().map(|_| How::Superseded)
                }
            });
            if let Some(how) = closing {
                self.close_request(how).await;
                return how;
            }
            if let Some(role) = self.s_mut(|s| s.carry.book.escalate(now)) {
                let detail = serde_json::json!({ "role": role });
                self.audit("approval_escalated", Actor::Workflow, vec![], detail)
                    .await;
                let words = format!(
                    "nobody has answered yet; {} is asked as well",
                    role.as_str()
                );
                self.approval_changed(NoticeKind::ApprovalEscalated, &words, vec![])
                    .await;
                continue;
            }
            if let Some(how) = self.s_mut(|s| s.carry.book.expire(now)) {
                self.approval_closed(how).await;
                return how;
            }
            let next = self.s(|s| {
                s.carry.book.open_request().map(|r| match r.escalation {
                    Some((at, _)) if !r.escalated => at.min(r.deadline),
                    _ => r.deadline,
                })
            });
            let next = next.unwrap_or(now);
            self.wait_for_news(next, "approval").await;
        }
    }

    /// Answers one decision, writes it down, tells people when it was the last one.
    pub(super) async fn work_off_decision(&self, decision: Decision) {
        let was_open = self.s(|s| s.carry.book.open_request().is_some());
        let (client, plan, requester) = self.s(|s| {
            (
                s.request.client.clone(),
                s.plan_id.clone(),
                s.request.requested_by.clone(),
            )
        });
        let matter = Matter {
            client: &client,
            plan: &plan,
            requester: requester.as_ref(),
        };
        let answered = approvals::decide(&self.ctx, &matter, decision).await;
        let what = match &answered.answer {
            Answer::Counted { .. } => "decision_counted",
            Answer::Duplicate => "decision_duplicate",
            Answer::Kept => "decision_kept",
            Answer::NothingOpen => "decision_without_request",
            Answer::Late { .. } => "decision_late",
            Answer::WrongHash { .. } => "decision_for_another_plan",
            Answer::NotAllowed { .. } => "decision_not_allowed",
            Answer::AlreadyDecided { .. } => "decision_after_the_end",
        };
        let name = answered.decision.by.to_string();
        let actor = Actor::Person {
            name: name.clone(),
            identity: answered.identity,
        };
        let evidence = answered.decision.plan_hash.iter().cloned().collect();
        let detail = serde_json::json!({
            "choice": choice_word(answered.decision.choice), "decision": answered.decision.id,
            "reason": answered.decision.reason, "answer": answered.answer,
        });
        self.audit(what, actor, evidence, detail).await;
        if was_open && self.s(|s| s.carry.book.open_request().is_none()) {
            let words = format!("{} by {name}", choice_word(answered.decision.choice));
            self.approval_changed(NoticeKind::ApprovalDecided, &words, vec![])
                .await;
        }
    }

    /// Ends the open request, if there is one.
    pub(super) async fn close_request(&self, how: How) {
        let now = clock::now(&self.ctx);
        if self.s_mut(|s| s.carry.book.close(how, now)) {
            self.approval_closed(how).await;
        }
    }

    async fn approval_closed(&self, how: How) {
        let words = match how {
            How::TimedOut => "nobody answered in time; it counts as rejected",
            How::Held => "nobody answered in time; it is asked again at the next window",
            How::Superseded => "the plan has changed; a new request follows",
            How::Cancelled => "the deployment was stopped",
            How::Approved => "approved",
            How::Rejected => "rejected",
        };
        self.audit(
            "approval_closed",
            Actor::Workflow,
            vec![],
            serde_json::json!({ "how": how }),
        )
        .await;
        self.approval_changed(NoticeKind::ApprovalClosed, words, vec![])
            .await;
    }

    /// Shows and tells that something about the request has changed.
    pub(super) async fn approval_changed(
        &self,
        kind: NoticeKind,
        words: &str,
        difference: Vec<String>,
    ) {
        self.s_mut(|s| words.clone_into(&mut s.carry.status.note));
        self.show().await;
        self.notify(kind, words.to_owned(), difference).await;
    }

    /// After a silent request that is held: sleeps until the next window, then asks again.
    async fn hold_until_next_window(&self) -> Result<Option<Turn>, WorkflowTermination> {
        let now = clock::now(&self.ctx);
        let input = self.s(|s| NextOpeningInput {
            client: s.request.client.clone(),
            device: None,
            time_zone: s.request.time_zone.clone(),
            windows: s.request.windows.clone(),
            blackouts: s.request.blackouts.clone(),
            from: now,
        });
        let answer = self
            .ctx
            .execute_activity(
                NextOpening,
                input,
                options::store("compute the next window"),
            )
            .await
            .map_err(|e| Failed::of(&e).into_termination())?;
        // Open now, or never: people get a while before they are asked again.
        let a_while = clock::after(now, self.s(|s| s.request.waits.pause_poll_secs.max(1)));
        let until = answer.opening.map_or(a_while, |o| o.opens_at.max(a_while));
        while clock::now(&self.ctx) < until {
            self.stage(
                Stage::AwaitingApproval,
                format!("held, asked again {until:.0}"),
            )
            .await;
            let woken = self
                .wait_for_news(until, "held until the next window")
                .await;
            self.work_off_inbox().await;
            self.count_finished().await;
            if let Some(over) = self.aborted_before_work() {
                return Ok(Some(Turn::Over(over)));
            }
            if self.s(|s| s.carry.turn_asked.is_some()) {
                return Ok(Some(Turn::Again));
            }
            if woken == Woken::Time {
                break;
            }
        }
        Ok(None)
    }

    fn clear(&self, verdict: Verdict) {
        let now = clock::now(&self.ctx);
        self.s_mut(|s| {
            let carry = &mut s.carry;
            carry.cleared = carry.plan.as_ref().map(|p| Cleared {
                plan_hash: p.hash.clone(),
                verdict,
            });
            carry.cleared_at = Some(now);
            if let Some(ended) = carry.book.ended() {
                carry.status.approved_by.clone_from(&ended.by);
            }
        });
    }

    fn aborted_before_work(&self) -> Option<DeploymentResult> {
        let why = self.s(|s| s.carry.aborted.clone())?;
        // Devices of an earlier revision may have been patched: then there is something to judge.
        if self.s(|s| s.carry.status.counts.total() > 0) {
            return Some(self.judge());
        }
        Some(self.early_result(DeploymentOutcome::Aborted, why))
    }

    /// A cancelled workflow counts as aborted; returns true when that is news.
    pub(super) fn heed_cancel(&self) -> bool {
        let token = self.ctx.cancellation_token();
        let news = token.is_cancelled() && self.s(|s| s.carry.aborted.is_none());
        if news {
            let why = format!("cancelled {}", token.reason().unwrap_or_default());
            self.s_mut(|s| s.carry.aborted = Some(why.trim().to_owned()));
        }
        news
    }

    /// Waits until a message or result comes, a time comes, or the workflow is cancelled, which
    /// counts as an abort.
    pub(super) async fn wait_for_news(&self, until: jiff::Timestamp, summary: &str) -> Woken {
        let heed = self.s(|s| s.carry.aborted.is_none());
        let woken = clock::wait(&self.ctx, until, summary, heed, |w| w.s().has_news()).await;
        if woken == Woken::Cancelled {
            self.heed_cancel();
        }
        woken
    }
}
