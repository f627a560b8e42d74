//! Votes on the open request: working decisions off, escalation, and how the request ends.

use contracts::activities::notify::NoticeKind;
use domain::{
    approval::{Answer, Decision, How, Next},
    audit::Actor,
};
use temporalio_workflow::WorkflowTermination;

use super::{Story, inbox::choice_word};
use crate::{
    approvals::{self, Matter},
    clock,
};

impl Story {
    /// Waits for the end of the open request: people, the clock, a new plan or an abort.
    pub(super) async fn await_decision(&self) -> Result<How, WorkflowTermination> {
        loop {
            // What came before the deadline is worked off before the clock decides.
            self.work_off_inbox().await;
            self.count_finished().await;
            if self.s(|s| !s.carry.inbox.is_empty()) {
                // It came in time, while something else was written down.
                continue;
            }
            if self.heed_cancel() {
                self.close_request(How::Cancelled).await;
            }
            if let Some(ended) = self.s(|s| s.carry.book.ended().map(|e| e.how)) {
                return Ok(ended);
            }
            self.continue_as_new_if_due().await?;
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
                return Ok(how);
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
                return Ok(how);
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
        let (client, plan, requester, amended_by) = self.s(|s| {
            (
                s.request.client.clone(),
                s.plan_id.clone(),
                s.request.requested_by.clone(),
                s.carry.amended_by.clone(),
            )
        });
        let matter = Matter {
            client: &client,
            plan: &plan,
            requester: requester.as_ref(),
            amended_by: amended_by.as_ref(),
        };
        let answered = approvals::decide(&self.ctx, &matter, decision).await;
        let what = match &answered.answer {
            // The answer is told again; the vote is not written down a second time.
            _ if answered.repeated => "decision_duplicate",
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

    /// People will be asked anew: from here on a decision about the old plan must not count.
    pub(super) async fn outdate_request(&self, next: Next) {
        let now = clock::now(&self.ctx);
        if self.s_mut(|s| s.carry.book.ask_anew(next, now)) {
            self.approval_closed(How::Superseded).await;
        }
    }

    pub(super) async fn approval_closed(&self, how: How) {
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
}
