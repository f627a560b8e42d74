//! Recording what people send, in the order of arrival. Handlers do nothing else; the story works it
//! off between its steps, so that two messages never race.

use contracts::{
    deployment::{
        AmendInput, ControlAnswer, ControlInput, DecideInput, DecisionInput, ExtendInput,
        MAX_REASON, Pending, WaiveInput,
    },
    message::Message,
};
use domain::{
    approval::{Answer, Choice},
    input::InvalidInput,
    people::ControlAction,
};
use jiff::Timestamp;
use temporalio_workflow::{SyncWorkflowContext, WorkflowContext};

use super::PatchDeployment;
use crate::clock;

/// Messages that may wait at once; people do not send more, a broken script does.
const MAX_INBOX: usize = 200;
/// Room kept for those that stop something.
const RESERVE: usize = 20;
/// Longest text that is kept of a message; longer ones are refused when they are worked off.
const MAX_TEXT: usize = MAX_REASON + 1;
/// Start of the names given to messages without one; nobody else may use it.
const BY_HAND: &str = "by-hand-";
/// Answer when too many messages wait.
const FULL: &str = "too many messages are waiting; try again later";

impl PatchDeployment {
    pub(super) fn record_decision(
        &mut self,
        ctx: &SyncWorkflowContext<Self>,
        choice: Choice,
        input: Message<DecisionInput>,
    ) {
        let at = clock::of(ctx.workflow_time());
        let signal = if choice == Choice::Approve {
            "approve"
        } else {
            "reject"
        };
        match input.into_result() {
            // Nobody waits for the answer to a signal.
            Ok(input) => drop(self.push_decision(choice, input, at)),
            Err(problem) => drop(self.push(malformed(signal, &problem, at), MAX_INBOX)),
        }
    }

    /// Keeps a decision and returns its id; none when too many messages are waiting.
    fn push_decision(
        &mut self,
        choice: Choice,
        mut input: DecisionInput,
        at: Timestamp,
    ) -> Option<String> {
        let state = self.state.as_mut().ok()?;
        let named = input
            .decision_id
            .take()
            .filter(|id| (1..=100).contains(&id.len()) && !id.starts_with(BY_HAND));
        let decision_id = named.unwrap_or_else(|| state.next_message_id());
        for text in [
            Some(&mut input.by),
            input.reason.as_mut(),
            input.plan_hash.as_mut(),
            input.proof.as_mut(),
        ] {
            text.into_iter().for_each(clip);
        }
        let open_then = state.carry.book.open_request().map(|r| r.id.clone());
        let pending = Pending::Decision {
            decision_id: decision_id.clone(),
            choice,
            input,
            open_then,
            at,
        };
        self.push(pending, MAX_INBOX).then_some(decision_id)
    }

    /// Records the decision of an update; `Err` is the answer when too many messages are waiting.
    /// That answer is not remembered: the same decision may be sent again.
    pub(super) fn record_decide(
        ctx: &WorkflowContext<Self>,
        input: DecideInput,
    ) -> Result<String, Answer> {
        let at = clock::now(ctx);
        let DecideInput {
            choice,
            by,
            reason,
            decision_id,
            request_id,
            plan_hash,
            proof,
        } = input;
        let input = DecisionInput {
            by,
            reason,
            decision_id,
            request_id: Some(request_id),
            plan_hash: Some(plan_hash),
            proof,
        };
        ctx.state_mut(|s| s.push_decision(choice, input, at))
            .ok_or_else(|| Answer::NotAllowed {
                reason: FULL.to_owned(),
            })
    }

    /// Lets an update record its message as a signal would.
    pub(super) fn record_now(
        ctx: &WorkflowContext<Self>,
        record: impl FnOnce(&mut Self, Timestamp) -> String,
    ) -> String {
        let at = clock::now(ctx);
        ctx.state_mut(|s| record(s, at))
    }

    pub(super) fn record_control(
        &mut self,
        at: Timestamp,
        action: ControlAction,
        input: Message<ControlInput>,
    ) -> String {
        let most = if action == ControlAction::Resume {
            MAX_INBOX
        } else {
            MAX_INBOX + RESERVE
        };
        self.record(action.as_str(), at, input, most, |mut input, id| {
            [Some(&mut input.by), input.reason.as_mut()]
                .into_iter()
                .flatten()
                .for_each(clip);
            Pending::Control {
                input,
                action,
                id,
                at,
            }
        })
    }

    pub(super) fn record_amend(&mut self, at: Timestamp, input: Message<AmendInput>) -> String {
        self.record("change_plan", at, input, MAX_INBOX, |mut input, id| {
            [Some(&mut input.by), input.reason.as_mut()]
                .into_iter()
                .flatten()
                .for_each(clip);
            Pending::Amend { input, id, at }
        })
    }

    pub(super) fn record_waive(&mut self, at: Timestamp, input: Message<WaiveInput>) -> String {
        let signal = ControlAction::WaiveEvidence.as_str();
        self.record(signal, at, input, MAX_INBOX, |mut input, id| {
            [Some(&mut input.by), input.reason.as_mut()]
                .into_iter()
                .flatten()
                .for_each(clip);
            Pending::Waive { input, id, at }
        })
    }

    pub(super) fn record_extend(&mut self, at: Timestamp, input: Message<ExtendInput>) -> String {
        self.record("extend", at, input, MAX_INBOX, |mut input, id| {
            [Some(&mut input.by), input.reason.as_mut()]
                .into_iter()
                .flatten()
                .for_each(clip);
            Pending::Extend { input, id, at }
        })
    }

    fn record<T>(
        &mut self,
        signal: &str,
        at: Timestamp,
        input: Message<T>,
        most: usize,
        pending: impl FnOnce(T, String) -> Pending,
    ) -> String {
        let Ok(state) = &mut self.state else {
            return String::new();
        };
        let id = state.next_message_id();
        let pending = match input.into_result() {
            Ok(input) => pending(input, id.clone()),
            Err(problem) => malformed(signal, &problem, at),
        };
        if !self.push(pending, most) {
            let problem = FULL.to_owned();
            self.s_mut()
                .answer_control(id.clone(), ControlAnswer::Refused { problem });
        }
        id
    }

    /// Keeps a message; false when too many are waiting, so that nobody waits for its answer.
    fn push(&mut self, pending: Pending, most: usize) -> bool {
        match &mut self.state {
            Ok(state) if state.carry.inbox.len() < most => {
                state.carry.inbox.push(pending);
                true
            }
            _ => false,
        }
    }
}

fn malformed(signal: &str, problem: &InvalidInput, at: Timestamp) -> Pending {
    let mut problem = problem.to_string();
    clip(&mut problem);
    Pending::Malformed {
        signal: signal.to_owned(),
        problem,
        at,
    }
}

/// Keeps a huge text from growing what is carried over.
pub(super) fn clip(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(end);
    }
}
