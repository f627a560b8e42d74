//! Campaigns: partition `campaign/{id}` with `facts` and a request for each plan, list
//! `campaigns/{client}`.

use async_trait::async_trait;
use domain::{
    campaign::{Campaign, CampaignAdvice, PlanState},
    ids::{ClientId, PlanId},
    plan::PlanRequest,
};

use super::{
    Backend, Records,
    items::{Order, Tx, moment, number},
};
use crate::store::{Campaigns, KEEP_LETTERS, Listing, StoreError, StoreResult};

const FACTS: &str = "facts";

fn partition(id: &PlanId) -> String {
    format!("campaign/{id}")
}

fn list(client: &ClientId) -> String {
    format!("campaigns/{client}")
}

fn put(tx: &Tx<'_>, campaign: &Campaign) -> StoreResult<()> {
    let pk = partition(&campaign.id);
    let end = campaign.drafted_at.checked_add(KEEP_LETTERS).ok();
    tx.put_until(&pk, FACTS, campaign, end)?;
    tx.change("campaign", Some(&campaign.client), campaign.id.as_str())?;
    Ok(())
}

#[async_trait]
impl<B: Backend> Campaigns for Records<B> {
    async fn put_campaign(
        &self,
        campaign: Campaign,
        requests: Vec<PlanRequest>,
    ) -> StoreResult<Campaign> {
        let pk = partition(&campaign.id);
        if let Some(known) = self.get_campaign(&campaign.id).await? {
            return Ok(known);
        }
        // Requests first, a few in each transaction: without its facts there is no campaign.
        let end = campaign.drafted_at.checked_add(KEEP_LETTERS).ok();
        let requests: Vec<(u64, PlanRequest)> = (0..).zip(requests).collect();
        for chunk in requests.chunks(B::MOST_WRITES / 2) {
            let (pk, chunk) = (pk.clone(), chunk.to_vec());
            self.0
                .write(move |tx| {
                    chunk.iter().try_for_each(|(place, request)| {
                        tx.put_until(&pk, &format!("plan/{}", number(*place)), request, end)
                    })
                })
                .await?;
        }
        self.0
            .write(move |tx| {
                if let Some(known) = tx.get(&pk, FACTS)? {
                    return Ok(known);
                }
                put(tx, &campaign)?;
                let place = format!("{}/{}", moment(campaign.drafted_at), campaign.id);
                tx.place(&pk, FACTS, &[(list(&campaign.client), place)])?;
                Ok(campaign.clone())
            })
            .await
    }

    async fn get_campaign(&self, id: &PlanId) -> StoreResult<Option<Campaign>> {
        let pk = partition(id);
        self.0.read(move |tx| tx.get(&pk, FACTS)).await
    }

    async fn campaign_request(&self, id: &PlanId, place: u32) -> StoreResult<Option<PlanRequest>> {
        let (pk, sk) = (partition(id), format!("plan/{}", number(place.into())));
        self.0.read(move |tx| tx.get(&pk, &sk)).await
    }

    async fn put_plan_state(&self, id: &PlanId, place: u32, state: PlanState) -> StoreResult<()> {
        let (pk, id) = (partition(id), id.clone());
        self.0
            .write(move |tx| {
                let missing = || StoreError::NotFound {
                    what: format!("plan {} of campaign `{id}`", place + 1),
                };
                let mut campaign: Campaign = tx.get(&pk, FACTS)?.ok_or_else(missing)?;
                let plan = campaign.plans.get_mut(place as usize).ok_or_else(missing)?;
                if matches!(plan.state, PlanState::Started { .. }) || plan.state == state {
                    return Ok(());
                }
                plan.state = state.clone();
                put(tx, &campaign)
            })
            .await
    }

    async fn put_advice(&self, id: &PlanId, advice: CampaignAdvice) -> StoreResult<Campaign> {
        let (pk, id) = (partition(id), id.clone());
        self.0
            .write(move |tx| {
                let missing = || StoreError::NotFound {
                    what: format!("campaign `{id}`"),
                };
                let mut campaign: Campaign = tx.get(&pk, FACTS)?.ok_or_else(missing)?;
                if campaign.advice.is_none() && campaign.is_untouched() {
                    campaign.advice = Some(advice.clone());
                    put(tx, &campaign)?;
                }
                Ok(campaign)
            })
            .await
    }

    async fn list_campaigns(
        &self,
        client: &ClientId,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<Campaign>> {
        let (list, cursor) = (list(client), cursor.map(ToOwned::to_owned));
        self.0
            .read(move |tx| tx.list(&list, cursor.as_deref(), limit, Order::Descending))
            .await
    }
}
