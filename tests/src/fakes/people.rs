//! Guardrails and people: verdicts as the test says, roles by simple rules.

use std::sync::Arc;

use activities::approvals::{halt_of_incident, incident_suspects, ledger_has_stopped};
use clients::{ledger::Ledger, store::StoreError};
use contracts::activities::{
    approvals::AuthorizeInput,
    notify::NoticeInput,
    policy::{EvaluateInput, EvaluateResult, StoppedKb},
};
use domain::{
    approval::Choice,
    guardrail::Verdict,
    ledger,
    people::{Authority, ControlAction, Identity, Role},
};
use jiff::Timestamp;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    faults::failure,
    model::Model,
    world::{World, Worlds},
};

/// Guardrails, approvers, notices.
#[derive(Debug)]
pub struct FakePeople(Arc<Worlds>);

impl FakePeople {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakePeople {
    /// Says what the test wants guardrails to say.
    #[activity(definition = contracts::activities::policy::Evaluate)]
    pub async fn evaluate(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: EvaluateInput,
    ) -> Result<EvaluateResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        let (stopped, held) = asked_of_ledger(&world, &input).await?;
        Ok(world.change(|m| {
            // From then on policies are others, for every question.
            if let Some(verdict) = input.ring.and_then(|r| m.verdict_from_ring.remove(&r)) {
                m.verdict = verdict;
            }
            let mut decision = m.decision();
            if input.device.is_some_and(|d| m.forbidden.contains(&d)) {
                decision.verdict = Verdict::Forbidden;
            }
            EvaluateResult {
                decision,
                paused: m
                    .paused
                    .clone()
                    .or(m
                        .superops_away
                        .then(|| "SuperOps does not answer since 10:02 UTC; rings wait".to_owned()))
                    .or(held),
                stopped: m.stopped.iter().cloned().chain(stopped).collect(),
            }
        }))
    }

    /// Looks a person up.
    #[activity(definition = contracts::activities::approvals::Authorize)]
    pub async fn authorize(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: AuthorizeInput,
    ) -> Result<Authority, ActivityError> {
        let world = self.0.of(&ctx)?;
        if let (ControlAction::Halt, ledger::NAME, Some(kb)) =
            (input.action, input.by.as_str(), &input.kb)
        {
            let said = ledger_has_stopped(&world.ledger(), kb).await;
            return said.map_err(unavailable);
        }
        if let Some(incident) = halt_of_incident(&input) {
            let said = incident_suspects(&world.ledger(), incident, &input).await;
            return said.map_err(unavailable);
        }
        Ok(world.read(|m| authorize(m, &input)))
    }

    /// Keeps a notice; a repeat is the same notice.
    #[activity(definition = contracts::activities::notify::SendNotice)]
    pub async fn send(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: NoticeInput,
    ) -> Result<(), ActivityError> {
        let world = self.0.of(&ctx)?;
        world.change(|m| {
            if m.notices.iter().all(|notice| notice.key != input.key) {
                m.notices.push(input);
            }
        });
        Ok(())
    }
}

/// What the real guardrails read in the store.
async fn asked_of_ledger(
    world: &World,
    input: &EvaluateInput,
) -> Result<(Vec<StoppedKb>, Option<String>), ActivityError> {
    let (store, mut stopped, mut held) = (world.ledger(), Vec::new(), None);
    for kb in &input.kbs {
        let flag = store.counters.get_flag(&ledger::flag_of(kb)).await;
        if let Some(reason) = flag.map_err(unavailable)? {
            let kb = kb.clone();
            stopped.push(StoppedKb { kb, reason });
        }
        if input.device.is_none() && input.ring.is_some_and(|ring| ring > 0) {
            let asked = Ledger::new(&store).held(kb, Timestamp::now()).await;
            held = held.or(asked.map_err(unavailable)?);
        }
    }
    Ok((stopped, held))
}

fn unavailable(error: StoreError) -> ActivityError {
    failure("store.unavailable", &error.to_string(), true)
}

fn authorize(model: &Model, input: &AuthorizeInput) -> Authority {
    let identity = Identity::Claimed;
    let denied = |reason: &str| Authority::Denied {
        reason: reason.to_owned(),
        identity,
    };
    let least = match input.action {
        ControlAction::Decide => input.least_role.unwrap_or(Role::Approver),
        ControlAction::Pause
        | ControlAction::Resume
        | ControlAction::Halt
        | ControlAction::Retry
        | ControlAction::Drop
        | ControlAction::ArrangeIncidents => Role::Technician,
        ControlAction::Abort | ControlAction::Amend | ControlAction::Extend => Role::Approver,
        ControlAction::WaiveEvidence | ControlAction::SetAlertRules => Role::Lead,
    };
    match model.people.get(&input.by) {
        None => denied("nobody knows this person"),
        Some(person) if !person.works_for(&input.client) => denied("works for other clients"),
        Some(person) if person.role < least => denied("does not have the role"),
        Some(_)
            if input.four_eyes
                && input.choice == Some(Choice::Approve)
                && input.requester.as_ref() == Some(&input.by) =>
        {
            denied("asked for it")
        }
        Some(person) => Authority::Allowed {
            role: person.role,
            identity,
        },
    }
}
