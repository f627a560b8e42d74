//! Who may decide: the Identities store says who somebody is, policy what they may do.

use std::sync::Arc;

use ::policy::AuthorityQuestion;
use clients::store::Store;
use contracts::activities::approvals::AuthorizeInput;
use domain::{
    approval::Choice,
    canonical,
    ids::RequestId,
    people::{Authority, ControlAction, Identity},
};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::Sha256;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    Deps,
    failure::{Outcome, bug_because},
    guardrails::Guardrails,
};

const VERSION: &str = "v1=";

/// Approvals.
#[derive(Debug)]
pub struct ApprovalActivities {
    store: Store,
    guardrails: Guardrails,
    accept_claimed: bool,
    decision_key: Option<SecretString>,
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
        let Some(identity) = self.identity(input)? else {
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
    fn identity(&self, input: &AuthorizeInput) -> Outcome<Option<Identity>> {
        let Some(proof) = &input.proof else {
            return Ok(Some(Identity::Claimed));
        };
        let Some(key) = &self.decision_key else {
            return Ok(None);
        };
        let Some(given) = proof
            .strip_prefix(VERSION)
            .and_then(|digits| hex::decode(digits).ok())
        else {
            return Ok(None);
        };
        // Compares in constant time.
        let fits = signed(key, input)?.verify_slice(&given).is_ok();
        Ok(fits.then_some(Identity::Proven))
    }
}

/// What the API signs: everything that gives the decision its meaning. Absent fields are `null`.
#[derive(Serialize)]
struct Signed<'a> {
    workflow_id: &'a str,
    action: ControlAction,
    by: &'a str,
    choice: Option<Choice>,
    request: Option<&'a RequestId>,
    plan_hash: Option<&'a str>,
}

fn signed(key: &SecretString, input: &AuthorizeInput) -> Outcome<Hmac<Sha256>> {
    let text = canonical::canonical_json(&Signed {
        workflow_id: &input.workflow_id,
        action: input.action,
        by: input.by.as_str(),
        choice: input.choice,
        request: input.request.as_ref(),
        plan_hash: input.plan_hash.as_deref(),
    })
    .map_err(|error| bug_because("a decision cannot be written as JSON", error))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes())
        .map_err(|error| bug_because("HMAC takes keys of any length", error))?;
    mac.update(text.as_bytes());
    Ok(mac)
}

#[cfg(test)]
mod tests;
