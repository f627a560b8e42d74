//! Guardrails, asked again and again: policies, pause flags and the ledger as they are now.

use std::{collections::BTreeMap, sync::Arc};

use clients::store::Store;
use contracts::activities::policy::{EvaluateInput, EvaluateResult};
use domain::{
    guardrail::{ForbiddenDevice, GuardedDevice, GuardrailDecision, Verdict},
    ids::DeviceId,
};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    Deps,
    failure::Outcome,
    guardrails::{Guardrails, Question, cut, guarded},
    plans::{devices_of, sealed},
};

/// Named as the policy when a planned device is not in the inventory any more.
const NOT_IN_INVENTORY: &str = "builtin/not-in-inventory";

/// Guardrails.
#[derive(Debug)]
pub struct PolicyActivities {
    store: Store,
    guardrails: Guardrails,
}

impl PolicyActivities {
    pub(crate) fn new(deps: &Deps, guardrails: Guardrails) -> Self {
        Self {
            store: deps.store.clone(),
            guardrails,
        }
    }
}

#[activities]
impl PolicyActivities {
    /// Asks guardrails, pause flags and the ledger with today's policies.
    #[activity(definition = contracts::activities::policy::Evaluate)]
    pub async fn evaluate(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: EvaluateInput,
    ) -> Result<EvaluateResult, ActivityError> {
        Ok(self.ask(input).await?)
    }
}

impl PolicyActivities {
    async fn ask(&self, input: EvaluateInput) -> Outcome<EvaluateResult> {
        let mut stops = self.guardrails.stops(&input.client, &input.kbs).await?;
        // A stop halts, and is not hidden behind a wait.
        if stops.stopped.is_empty() && stops.paused.is_none() && opens_later_ring(&input) {
            stops.paused = self.guardrails.held(&input.kbs).await?;
        }
        let meant = self.devices_meant(&input).await?;
        let (known, missing) = self.look_up(&input, meant).await?;
        let question = Question {
            action: input.action,
            client: &input.client,
            kbs: input.kbs.clone(),
            figures: input.figures,
            inside_window: input.inside_window,
            may_reboot: input.may_reboot,
        };
        let decision = if known.is_empty() && missing.is_empty() {
            self.nothing_to_forbid(&input).await?
        } else {
            self.guardrails.decide(question, known).await?
        };
        Ok(EvaluateResult {
            decision: cut(with_missing(decision, missing)),
            paused: stops.paused,
            stopped: stops.stopped,
        })
    }

    async fn devices_meant(&self, input: &EvaluateInput) -> Outcome<Vec<DeviceId>> {
        if let Some(device) = &input.device {
            return Ok(vec![device.clone()]);
        }
        let plan = sealed(&self.store, &input.plan, input.revision).await?;
        let in_ring = |ring: u32| input.ring.is_none_or(|asked| asked == ring);
        let devices = plan.document.devices.into_iter();
        Ok(devices
            .filter(|planned| in_ring(planned.ring))
            .map(|planned| planned.id)
            .collect())
    }

    /// Finds devices in the inventory: one by itself, many by walking over the client's.
    async fn look_up(
        &self,
        input: &EvaluateInput,
        meant: Vec<DeviceId>,
    ) -> Outcome<(Vec<GuardedDevice>, Vec<DeviceId>)> {
        let mut all = BTreeMap::new();
        if let [only] = meant.as_slice() {
            all.extend(
                self.store
                    .inventory
                    .get_device(only)
                    .await?
                    .map(|device| (device.id.clone(), device)),
            );
        } else if !meant.is_empty() {
            let devices = devices_of(&self.store, &input.client).await?;
            all.extend(
                devices
                    .into_iter()
                    .map(|device| (device.id.clone(), device)),
            );
        }
        let (mut known, mut missing) = (Vec::new(), Vec::new());
        for id in meant {
            match all.get(&id).filter(|device| device.client == input.client) {
                Some(device) => known.push(guarded(device)),
                None => missing.push(id),
            }
        }
        Ok((known, missing))
    }

    /// A ring that guardrails emptied before has nothing left that could be forbidden.
    async fn nothing_to_forbid(&self, input: &EvaluateInput) -> Outcome<GuardrailDecision> {
        let engine = self.guardrails.engine(&input.client).await?;
        Ok(GuardrailDecision {
            verdict: Verdict::Auto,
            policies: Vec::new(),
            policy_version: engine.version().to_owned(),
            forbidden: Vec::new(),
            errors: Vec::new(),
        })
    }
}

/// A first ring goes on while an update is held: what its devices say ends the hold.
fn opens_later_ring(input: &EvaluateInput) -> bool {
    input.device.is_none() && input.ring.is_some_and(|ring| ring > 0)
}

/// Adds planned devices that are not in the inventory any more to those that are forbidden.
pub(crate) fn with_missing(
    mut decision: GuardrailDecision,
    missing: Vec<DeviceId>,
) -> GuardrailDecision {
    let policies = vec![NOT_IN_INVENTORY.to_owned()];
    if !missing.is_empty() && decision.verdict == Verdict::Forbidden {
        decision.policies.extend(policies.clone());
    }
    let missing = missing.into_iter().map(|device| ForbiddenDevice {
        device,
        policies: policies.clone(),
    });
    decision.forbidden.extend(missing);
    decision
}

#[cfg(test)]
mod tests;
