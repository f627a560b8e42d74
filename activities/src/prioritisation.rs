//! The order of a campaign's plans, explained and moved within bounds by a model. Whatever the model
//! does, there is an order: that of the rule, marked degraded, when its answer cannot be used.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use agents::prioritisation::{self, ModelAdvice};
use clients::store::{Store, StoreError};
use contracts::activities::campaign::{PrioritiseInput, PrioritiseResult};
use domain::{
    audit::{Actor, AuditRecord},
    campaign::{Campaign, CampaignAdvice, Degraded},
    ids::PlanId,
};
use serde_json::{Value, json};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{Clock, Deps, failure::Outcome, model::Asker};

/// Advice of a model on the order of plans.
#[derive(Debug)]
pub struct PrioritisationActivities {
    store: Store,
    asker: Asker,
    clock: Arc<dyn Clock>,
}

impl PrioritisationActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            store: deps.store.clone(),
            asker: Asker::new(deps.model.clone()),
            clock: Arc::clone(&deps.clock),
        }
    }
}

#[activities]
impl PrioritisationActivities {
    /// Asks a model to explain the order of the plans and, within bounds, to move some; writes the
    /// final order.
    #[activity(definition = contracts::activities::campaign::Prioritise)]
    pub async fn prioritise(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: PrioritiseInput,
    ) -> Result<PrioritiseResult, ActivityError> {
        Ok(self.work(&input).await?)
    }
}

impl PrioritisationActivities {
    async fn work(&self, input: &PrioritiseInput) -> Outcome<PrioritiseResult> {
        let campaign = self.campaign(&input.campaign).await?;
        // A repeat, or one that comes too late: nobody is asked.
        if campaign.advice.is_some() || !campaign.is_untouched() {
            return self.told(&campaign).await;
        }
        let found = self.advice(&campaign, input.unasked).await?;
        let campaigns = &self.store.campaigns;
        let kept = campaigns.put_advice(&campaign.id, found.clone()).await?;
        if kept.advice.as_ref() != Some(&found) && found.tokens > 0 {
            // Another try was faster, or plans were started meanwhile: it was paid all the same.
            let unused = record(&campaign, &found, "campaign_advice_unused");
            self.store.actions.append_audit(unused).await?;
        }
        self.told(&kept).await
    }

    async fn campaign(&self, id: &PlanId) -> Outcome<Campaign> {
        let found = self.store.campaigns.get_campaign(id).await?;
        let missing = || StoreError::NotFound {
            what: format!("campaign `{id}`"),
        };
        Ok(found.ok_or_else(missing)?)
    }

    async fn advice(
        &self,
        campaign: &Campaign,
        unasked: Option<Degraded>,
    ) -> Outcome<CampaignAdvice> {
        let (plans, now) = (&campaign.plans, self.clock.now());
        if let Some(why) = unasked {
            return Ok(prioritisation::combine(plans, Err(why), now));
        }
        if plans.is_empty() {
            // There is nothing to say about it.
            return Ok(prioritisation::combine(
                plans,
                Ok(ModelAdvice::default()),
                now,
            ));
        }
        let question = prioritisation::request(plans, now);
        let parse = |json: &Value| prioritisation::parse_reply(json, plans, now);
        let asked = self.asker.ask(question, parse).await?;
        let said = asked.answer.map(|(said, model)| ModelAdvice {
            model: Some(model),
            ..said
        });
        let advice = prioritisation::combine(plans, said, now);
        let dropped: BTreeSet<String> = advice.dropped.into_iter().chain(asked.dropped).collect();
        Ok(CampaignAdvice {
            tokens: asked.tokens,
            dropped: dropped.into_iter().collect(),
            ..advice
        })
    }

    /// Writes down what holds, and counts it.
    async fn told(&self, campaign: &Campaign) -> Outcome<PrioritiseResult> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let Some(advice) = &campaign.advice else {
            return Ok(PrioritiseResult {
                asked: 0,
                explained: 0,
                moved: 0,
                dropped: 0,
                tokens: 0,
                degraded: true,
            });
        };
        let written = record(campaign, advice, "campaign_prioritised");
        self.store.actions.append_audit(written).await?;
        let moved = advice.plans.values().filter_map(|said| said.moved);
        Ok(PrioritiseResult {
            asked: advice.asked,
            explained: count(advice.plans.len()),
            moved: count(moved.filter(|moved| moved.places != 0).count()),
            dropped: count(advice.dropped.len()),
            tokens: advice.tokens,
            degraded: advice.degraded.is_some(),
        })
    }
}

/// The same advice makes the same record, so that a repeat finds its own entry.
fn record(campaign: &Campaign, advice: &CampaignAdvice, what: &str) -> AuditRecord {
    let moves: Vec<Value> = advice
        .plans
        .iter()
        .filter_map(|(plan, said)| {
            let moved = said.moved?;
            Some(json!({ "plan": plan, "asked": moved.asked, "places": moved.places }))
        })
        .collect();
    let evidence: BTreeSet<&String> = advice.plans.values().flat_map(|s| &s.evidence).collect();
    AuditRecord {
        chain: campaign.workflow_id.clone(),
        key: format!("{what}/{}", campaign.id),
        at: advice.at,
        client: campaign.client.clone(),
        actor: Actor::Agent {
            name: prioritisation::SCHEMA_NAME.to_owned(),
            model: advice.model.clone(),
        },
        what: what.to_owned(),
        evidence: evidence.into_iter().cloned().collect(),
        detail: json!({
            "campaign": campaign.id, "asked": advice.asked, "explained": advice.plans.len(),
            "moves": moves, "dropped": advice.dropped, "degraded": advice.degraded,
        }),
        plan_hash: None,
        policy_version: None,
        tokens: Some(advice.tokens),
    }
}
