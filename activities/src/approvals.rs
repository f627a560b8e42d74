//! Who may decide: the Identities store says who somebody is, policy what they may do.

use std::sync::Arc;

use ::policy::AuthorityQuestion;
use clients::{
    proof,
    secret::Secret,
    store::{Store, StoreResult},
};
use contracts::{activities::approvals::AuthorizeInput, ids};
use domain::{
    approval::Choice,
    ids::KbId,
    ledger,
    people::{Authority, ControlAction, Identity, Role},
    proof::SignedDecision,
    triage::{self, IncidentKey, IncidentStatus},
};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    Deps,
    failure::{Outcome, bug_because},
    guardrails::Guardrails,
};

/// Approvals.
#[derive(Debug)]
pub struct ApprovalActivities {
    store: Store,
    guardrails: Guardrails,
    accept_claimed: bool,
    decision_key: Option<Secret>,
}

impl ApprovalActivities {
    pub(crate) fn new(deps: &Deps, guardrails: Guardrails) -> Self {
        Self {
            store: deps.store.clone(),
            guardrails,
            accept_claimed: deps.settings.accept_claimed_identity,
            decision_key: deps.settings.decision_key.clone(),
        }
    }
}

/// Says whether an update is stopped by the ledger, which signs nothing: what it says is true when its
/// flag says the same.
///
/// # Errors
/// When the store cannot be read.
pub async fn ledger_has_stopped(store: &Store, kb: &KbId) -> StoreResult<Authority> {
    let flag = store.counters.get_flag(&ledger::flag_of(kb)).await?;
    Ok(match flag.as_deref().and_then(ledger::reason_of) {
        Some(_) => Authority::Allowed {
            role: Role::Technician,
            identity: Identity::Proven,
        },
        None => Authority::Denied {
            reason: format!("the ledger has not stopped {kb}"),
            identity: Identity::Claimed,
        },
    })
}

/// Says whether an incident halts a deployment. Its answer signs nothing: what it says is true when the
/// incident is open and suspects that deployment of what was left over.
///
/// # Errors
/// When the store cannot be read.
pub async fn incident_suspects(
    store: &Store,
    incident: &IncidentKey,
    input: &AuthorizeInput,
) -> StoreResult<Authority> {
    let record = store.alerts.get_incident(incident).await?;
    let plan = ids::plan_of_deployment(&input.workflow_id);
    let is_suspect = record.is_some_and(|record| {
        let mut suspects = record.news.suspects.iter();
        record.status == IncidentStatus::Open
            && record.key.client() == &input.client
            && suspects.any(|suspect| {
                suspect.left_over
                    && Some(&suspect.plan) == plan.as_ref()
                    && input.kb.as_ref().is_some_and(|kb| suspect.kbs.contains(kb))
            })
    });
    Ok(match is_suspect {
        true => Authority::Allowed {
            role: Role::Technician,
            identity: Identity::Proven,
        },
        false => Authority::Denied {
            reason: format!("incident {incident} suspects no update of this deployment"),
            identity: Identity::Claimed,
        },
    })
}

/// The incident that somebody in the name of its answer wants a deployment halted for.
#[must_use]
pub fn halt_of_incident(input: &AuthorizeInput) -> Option<&IncidentKey> {
    let is_answer = input.action == ControlAction::Halt && input.by.as_str() == triage::RESPONSE;
    input.incident.as_ref().filter(|_| is_answer)
}

#[activities]
impl ApprovalActivities {
    /// Looks a person up and asks policy what the person may do.
    #[activity(definition = contracts::activities::approvals::Authorize)]
    pub async fn authorize(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: AuthorizeInput,
    ) -> Result<Authority, ActivityError> {
        Ok(self.look_up(&input).await?)
    }
}

impl ApprovalActivities {
    async fn look_up(&self, input: &AuthorizeInput) -> Outcome<Authority> {
        if let Some(kb) = halt_of_ledger(input) {
            return Ok(ledger_has_stopped(&self.store, kb).await?);
        }
        if let Some(incident) = halt_of_incident(input) {
            return Ok(incident_suspects(&self.store, incident, input).await?);
        }
        let Some(identity) = self.identity(input).await? else {
            let reason = "the signature of the decision does not fit".to_owned();
            return Ok(Authority::Denied {
                reason,
                identity: Identity::Claimed,
            });
        };
        let person = self.store.identities.get_person(&input.by).await?;
        let engine = self.guardrails.engine(&input.client).await?;
        Ok(engine.authority(&AuthorityQuestion {
            person: person.as_ref(),
            action: input.action,
            client: &input.client,
            least_role: input.least_role,
            identity,
            accept_claimed: self.accept_claimed,
            requester: input.requester.as_ref(),
            // Four eyes are for a yes: everybody may say no to his own request.
            four_eyes: input.four_eyes && input.choice != Some(Choice::Reject),
            halted: input.halted,
        }))
    }

    /// Says how sure we are who speaks; nothing when a signature was given and does not fit.
    async fn identity(&self, input: &AuthorizeInput) -> Outcome<Option<Identity>> {
        let Some(given) = &input.proof else {
            return Ok(Some(Identity::Claimed));
        };
        let Some(key) = &self.decision_key else {
            return Ok(None);
        };
        let fits = proof::verify(key, &signed(input), given)
            .await
            .map_err(|error| bug_because("a decision cannot be written as JSON", error))?;
        Ok(fits.then_some(Identity::Proven))
    }
}

/// The update that the ledger, or somebody in its name, wants halted.
fn halt_of_ledger(input: &AuthorizeInput) -> Option<&KbId> {
    let is_ledger = input.action == ControlAction::Halt && input.by.as_str() == ledger::NAME;
    input.kb.as_ref().filter(|_| is_ledger)
}

/// What a proof of this decision signs.
fn signed(input: &AuthorizeInput) -> SignedDecision<'_> {
    SignedDecision {
        workflow_id: &input.workflow_id,
        action: input.action,
        by: &input.by,
        choice: input.choice,
        request: input.request.as_ref(),
        plan_hash: input.plan_hash.as_deref(),
        device: input.device.as_ref(),
    }
}

#[cfg(test)]
mod tests;
