//! State of a deployment: the request, and everything a run hands to the next one.

use std::collections::BTreeMap;

use contracts::{
    deployment::{
        Carry, ControlAnswer, Cursor, DeploymentInput, EvidenceMissing, Pending, Waivers,
    },
    ids,
    message::Message,
};
use domain::{
    approval::ApprovalBook,
    deployment::{DeploymentStatus, Stage},
    ids::PlanId,
    outcome::OutcomeCounts,
    people::ControlAction,
    plan::PlanRequest,
    unwritten::Unwritten,
};
use temporalio_workflow::WorkflowContextView;

use super::{PatchDeployment, messages::clip};
use crate::clock;

/// Answers to controls kept for repeated deliveries.
const MAX_ANSWERS: usize = 30;

/// The request and what lasts.
#[derive(Debug)]
pub(super) struct State {
    pub(super) request: PlanRequest,
    pub(super) plan_id: PlanId,
    pub(super) carry: Carry,
    /// A rollback of all devices has come to its end.
    pub(super) rolled_back: bool,
}

impl State {
    /// Reads the input; what cannot be used is said in words.
    pub(super) fn new(
        ctx: &WorkflowContextView,
        input: Message<DeploymentInput>,
    ) -> Result<Self, String> {
        let DeploymentInput { mut request, carry } =
            input.into_result().map_err(|e| e.to_string())?;
        let plan_id = ids::plan_of_deployment(ctx.workflow_id()).ok_or_else(|| {
            format!(
                "workflow id: `{}` is not allowed: patch-deployment/ and a plan id",
                ctx.workflow_id()
            )
        })?;
        if let Some(given) = &request.id
            && *given != plan_id
        {
            return Err(format!(
                "id: `{given}` is not allowed: {plan_id}, as in the workflow id"
            ));
        }
        request.id = Some(plan_id.clone());
        let started_at = clock::of(ctx.start_time());
        let carry = match carry {
            // A run started by hand must not bring an approval of its own.
            Some(_) if ctx.continued_from_run_id().is_none() => {
                return Err("carry: only the workflow itself may set it".to_owned());
            }
            Some(carry) => *carry,
            None => fresh(&request, &plan_id, ctx.workflow_id(), started_at),
        };
        Ok(Self {
            request,
            plan_id,
            carry,
            rolled_back: false,
        })
    }

    /// Returns true when the sealed plan may be deployed.
    pub(super) fn is_cleared(&self) -> bool {
        match (&self.carry.cleared, &self.carry.plan) {
            (Some(cleared), Some(plan)) => {
                cleared.plan_hash == plan.hash && self.carry.turn_asked.is_none()
            }
            _ => false,
        }
    }

    /// Returns true once devices were or are worked on.
    pub(super) fn has_worked(&self) -> bool {
        self.carry.status.counts.total() > 0 || !self.carry.in_flight.is_empty()
    }

    /// Returns true when somebody asks to end the deployment.
    pub(super) fn has_abort(&self) -> bool {
        self.carry.inbox.iter().any(is_abort)
    }

    /// Takes the oldest request to end the deployment out of its turn.
    pub(super) fn next_abort(&mut self) -> Option<Pending> {
        let index = self.carry.inbox.iter().position(is_abort)?;
        Some(self.carry.inbox.remove(index))
    }

    /// Returns true when something waits to be worked off.
    pub(super) fn has_news(&self) -> bool {
        !self.carry.inbox.is_empty()
            || !self.carry.finished.is_empty()
            || !self.carry.without_evidence.is_empty()
    }

    /// Keeps that a device in flight waits for a person.
    pub(super) fn note_missing_evidence(&mut self, mut missing: EvidenceMissing) {
        if self.carry.in_flight.contains_key(&missing.device) {
            clip(&mut missing.why);
            let all = &mut self.carry.without_evidence;
            all.insert(missing.device, missing.why);
        }
    }

    /// Returns the answer given to a control.
    pub(super) fn answer_to_control(&self, id: &str) -> Option<&ControlAnswer> {
        self.carry
            .control_answers
            .iter()
            .find(|(known, _)| known == id)
            .map(|(_, answer)| answer)
    }

    /// Keeps the answer given to a control.
    pub(super) fn answer_control(&mut self, id: String, mut answer: ControlAnswer) {
        let (ControlAnswer::Done { note: words }
        | ControlAnswer::NothingToDo { note: words }
        | ControlAnswer::NotAllowed { reason: words }
        | ControlAnswer::Refused { problem: words }) = &mut answer;
        clip(words);
        self.carry.control_answers.push((id, answer));
        if self.carry.control_answers.len() > MAX_ANSWERS {
            self.carry.control_answers.remove(0);
        }
    }

    /// Names the next message that came without a name of its own.
    pub(super) fn next_message_id(&mut self) -> String {
        self.carry.message_ordinal += 1;
        format!("by-hand-{}", self.carry.message_ordinal)
    }
}

impl PatchDeployment {
    /// Handlers and steps run only with a readable input: `run` ends the workflow otherwise.
    pub(super) fn s(&self) -> &State {
        match &self.state {
            Ok(state) => state,
            Err(problem) => panic!("deployment without state: {problem}"),
        }
    }

    pub(super) fn s_mut(&mut self) -> &mut State {
        match &mut self.state {
            Ok(state) => state,
            Err(problem) => panic!("deployment without state: {problem}"),
        }
    }
}

fn is_abort(pending: &Pending) -> bool {
    matches!(
        pending,
        Pending::Control {
            action: ControlAction::Abort,
            ..
        }
    )
}

fn fresh(
    request: &PlanRequest,
    plan: &PlanId,
    workflow_id: &str,
    started_at: jiff::Timestamp,
) -> Carry {
    Carry {
        status: DeploymentStatus {
            plan: plan.clone(),
            workflow_id: workflow_id.to_owned(),
            client: request.client.clone(),
            kbs: request.patches.iter().map(|p| p.kb.clone()).collect(),
            stage: Stage::Planning,
            note: String::new(),
            trouble: None,
            audit_gaps: 0,
            plan_hash: None,
            revision: 0,
            risk: None,
            approval: None,
            needs_approval: false,
            approved_by: Vec::new(),
            forbidden: Vec::new(),
            evidence_first: 0,
            evidence_waived: None,
            rings: Vec::new(),
            stragglers: 0,
            counts: OutcomeCounts::default(),
            deadline: request.deadline,
            started_at,
            updated_at: started_at,
            outcome: None,
        },
        plan: None,
        figures: None,
        cleared: None,
        asking: None,
        book: ApprovalBook::default(),
        requests: 0,
        cursor: Cursor::default(),
        in_flight: BTreeMap::new(),
        removed: Vec::new(),
        inbox: Vec::new(),
        control_answers: Vec::new(),
        audit_ordinal: 0,
        message_ordinal: 0,
        amended_by: None,
        stopped_by_gate: false,
        rolling_back: false,
        broken: None,
        paused: false,
        halted: None,
        halted_at: None,
        aborted: None,
        cleared_at: None,
        soak_until: None,
        approval_secs: 0,
        turn_asked: None,
        ring_open: false,
        finished: Vec::new(),
        rings_done_at: None,
        stragglers_at: None,
        check_at: None,
        walk: None,
        found_on: None,
        waivers: Waivers::default(),
        without_evidence: BTreeMap::new(),
        unwritten: Unwritten::default(),
    }
}
