//! Step 4: asking people, and what silence means.

use contracts::{
    activities::{
        notify::NoticeKind,
        windows::{NextOpening, NextOpeningInput},
    },
    deployment::{Asking, Cleared, DeploymentResult, stricter_need},
};
use domain::{
    approval::{How, Request},
    audit::Actor,
    deployment::{DeploymentStatus, Stage},
    guardrail::Verdict,
    outcome::DeploymentOutcome,
};
use temporalio_workflow::WorkflowTermination;

use super::{Story, Turn};
use crate::{
    clock::{self, Woken},
    failure::{self, Failed},
    options,
};

impl Story {
    /// One turn: plan, ask guardrails, ask people.
    pub(super) async fn plan_and_ask(&self) -> Result<Turn, WorkflowTermination> {
        if let Some(asking) = self.s(|s| s.carry.asking.clone()) {
            return self.ask_on(&asking).await;
        }
        let planned = self.plan().await;
        self.work_off_inbox().await;
        self.heed_cancel();
        if let Some(over) = self.aborted_before_work() {
            return Ok(Turn::Over(over));
        }
        let sealed = planned?;
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
        let mut spec = self.s(|s| s.request.approval.clone());
        // Who writes a plan does not do without evidence on his own.
        let waived = self.s(|s| s.request.evidence.waiver().is_some());
        spec.required |= waived && sealed.plan.evidence_first > 0;
        let Some(need) = stricter_need(need, &spec) else {
            self.clear(Verdict::Auto);
            let actor = Actor::Policy {
                ids: sealed.decision.policies.clone(),
            };
            self.audit("runs_unattended", actor, vec![], serde_json::Value::Null)
                .await;
            return Ok(Turn::Go);
        };
        if need.four_eyes && self.s(|s| s.request.requested_by.is_none()) {
            // Whoever started it could approve it alone.
            return Err(failure::invalid_input(format!(
                "requested_by: `` is not allowed: the person who asks, because four eyes are needed by {}",
                sealed.decision.policies.join(", ")
            )));
        }
        let asking = Asking {
            need,
            policy_version: sealed.decision.policy_version,
        };
        self.s_mut(|s| s.carry.asking = Some(asking.clone()));
        self.open_request(&asking, sealed.difference).await?;
        self.ask_on(&asking).await
    }

    /// Waits for people, from wherever the run before left off, until there is an answer.
    async fn ask_on(&self, asking: &Asking) -> Result<Turn, WorkflowTermination> {
        let turn = loop {
            let how = self.await_decision().await?;
            self.count_waiting();
            match how {
                How::Approved => {
                    self.clear(Verdict::NeedsApproval(asking.need.clone()));
                    break Turn::Go;
                }
                How::Superseded => break Turn::Again,
                How::Rejected => break self.over_rejected(),
                How::TimedOut => {
                    break self.over(
                        DeploymentOutcome::TimedOut,
                        "nobody answered before the deadline",
                    );
                }
                How::Cancelled => {
                    break self.aborted_before_work().map_or(Turn::Again, Turn::Over);
                }
                How::Held if self.is_past_deadline() => {
                    break self.over(
                        DeploymentOutcome::TimedOut,
                        "nobody answered before the deadline of the plan",
                    );
                }
                How::Held => {
                    if let Some(turn) = self.hold_until_next_window().await? {
                        break turn;
                    }
                    self.open_request(asking, Vec::new()).await?;
                }
            }
        };
        self.s_mut(|s| s.carry.asking = None);
        Ok(turn)
    }

    fn over(&self, outcome: DeploymentOutcome, detail: &str) -> Turn {
        Turn::Over(self.early_result(outcome, detail.to_owned()))
    }

    fn over_rejected(&self) -> Turn {
        let by = self
            .s(|s| s.carry.book.ended().map(|e| e.by.clone()))
            .unwrap_or_default();
        let names = by
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        self.over(DeploymentOutcome::Rejected, &format!("rejected by {names}"))
    }

    /// Adds the time that people have taken for the request that has ended.
    fn count_waiting(&self) {
        let now = clock::now(&self.ctx);
        self.s_mut(|s| {
            let opened = s.carry.book.request().map(|r| r.opened_at);
            let waited = opened.map_or(0, |at| now.duration_since(at).as_secs());
            s.carry.approval_secs += waited;
        });
    }

    fn is_past_deadline(&self) -> bool {
        let now = clock::now(&self.ctx);
        self.s(|s| s.request.deadline.is_some_and(|deadline| deadline <= now))
    }

    async fn open_request(
        &self,
        Asking {
            need,
            policy_version,
        }: &Asking,
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
            policy_version: policy_version.clone(),
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
            self.s(|s| asked_for(&s.carry.status)),
            difference,
        )
        .await;
        // Decisions that came before the request and named its hash count now.
        for decision in early {
            self.work_off_decision(decision).await;
        }
        Ok(())
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
            .read(
                NextOpening,
                input,
                options::store("compute the next window"),
            )
            .await
            .map_err(Failed::into_termination)?;
        // Open now, or never: people get a while before they are asked again.
        let a_while = clock::after(now, self.s(|s| s.request.waits.pause_poll_secs.max(1)));
        let until = answer.opening.map_or(a_while, |o| o.opens_at.max(a_while));
        while clock::now(&self.ctx) < until {
            self.continue_as_new_if_due().await?;
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

    pub(super) fn aborted_before_work(&self) -> Option<DeploymentResult> {
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

/// What people are told when they are asked; what becomes of evidence belongs to it.
fn asked_for(status: &DeploymentStatus) -> String {
    let asked = "an approval is asked for";
    match (status.evidence_first, &status.evidence_waived) {
        (0, _) => asked.to_owned(),
        (devices, None) => format!("{asked}; evidence is taken first on {devices} devices"),
        (devices, Some(waiver)) => format!(
            "{asked}; no evidence is taken on {devices} devices, waived by {}: {}",
            waiver.by, waiver.reason
        ),
    }
}
