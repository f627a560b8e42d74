//! Steps of a campaign: whose lists are old, what they say, which plans follow, and whether there
//! is room for the next one.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use clients::{
    campaign::{gather, open_deployments},
    software,
    store::{Store, StoreError},
    superops::SuperOps,
};
use contracts::activities::campaign::{
    DraftInput, DraftResult, ListKind, NextListsInput, NextListsResult, NextPlanInput,
    NextPlanResult, NotePlanInput, ReadListInput, ReadListResult, ReadSoftwareResult,
};
use domain::{
    campaign::{Campaign, PatchList, draft},
    ids::{DeviceId, PlanId},
    patch::PatchState,
    software::SoftwareList,
};
use jiff::{SignedDuration, Timestamp};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    Clock, Deps,
    failure::{Outcome, bug},
};

/// Devices that are looked at for one answer.
const DEVICES: usize = 200;
/// As [`DEVICES`], of software lists: one may have twenty pages, and a history has to stay short.
const SOFTWARE_DEVICES: usize = 50;
/// Most pages of a software list: 100 programs each, as many as are kept of a device.
const MOST_SOFTWARE_PAGES: u32 = 20;

/// Steps of a campaign that ask the store only.
#[derive(Debug)]
pub struct CampaignActivities {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl CampaignActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            store: deps.store.clone(),
            clock: Arc::clone(&deps.clock),
        }
    }

    async fn old_lists(&self, input: &NextListsInput) -> Outcome<NextListsResult> {
        let inventory = self.store.inventory.as_ref();
        let after = input.after.as_ref().map(DeviceId::as_str);
        let devices = match input.kind {
            ListKind::Patches => DEVICES,
            ListKind::Software => SOFTWARE_DEVICES,
        };
        let page = inventory
            .list_devices(&input.client, after, devices)
            .await?;
        let ids: Vec<DeviceId> = page.items.into_iter().map(|device| device.id).collect();
        let age = SignedDuration::from_secs(i64::try_from(input.older_secs).unwrap_or(i64::MAX));
        let now = self.clock.now();
        let read: Vec<(DeviceId, Timestamp)> = match input.kind {
            ListKind::Patches => {
                let lists = inventory.get_patch_lists(&ids).await?.into_iter();
                lists.map(|list| (list.device, list.read_at)).collect()
            }
            ListKind::Software => {
                let lists = inventory.get_software_lists(&ids).await?.into_iter();
                lists.map(|list| (list.device, list.read_at)).collect()
            }
        };
        let fresh = read
            .into_iter()
            .filter(|(_, read_at)| now.duration_since(*read_at) < age);
        let fresh: BTreeSet<DeviceId> = fresh.map(|(device, _)| device).collect();
        let next = page.next.map(|id| id.parse());
        Ok(NextListsResult {
            devices: ids
                .iter()
                .filter(|id| !fresh.contains(*id))
                .cloned()
                .collect(),
            next: next
                .transpose()
                .map_err(|_| bug("the list of devices has a place that is no device"))?,
        })
    }

    async fn make_plans(&self, input: DraftInput) -> Outcome<DraftResult> {
        let now = self.clock.now();
        let known = self.store.campaigns.get_campaign(&input.campaign).await?;
        let campaign = match known {
            // A repeat: the plans of the first try may have names already.
            Some(campaign) => campaign,
            None => {
                let facts = gather(&self.store, &input.client).await?;
                let mut drafted = draft(&facts, &input.rules, now);
                drafted.recommend(&facts, &input.plan, now);
                let (id, client) = (input.campaign.clone(), input.client.clone());
                let mut campaign = Campaign::new(id, client, input.workflow_id, now, &drafted);
                campaign.devices = facts.devices.len() as u64;
                campaign.software =
                    software::summary(&self.store, &facts.devices, facts.histories, now).await?;
                let requested_by = input.requested_by.as_ref();
                let requests = campaign
                    .plans
                    .iter()
                    .zip(&drafted.plans)
                    .map(|(named, plan)| {
                        let id = named.plan.clone();
                        input
                            .plan
                            .request(id, &input.client, requested_by, plan, now)
                    });
                let requests = requests.collect();
                self.store
                    .campaigns
                    .put_campaign(campaign, requests)
                    .await?
            }
        };
        Ok(DraftResult {
            plans: u32::try_from(campaign.plans.len()).unwrap_or(u32::MAX),
            pairs: campaign.pairs,
            left_out: campaign.left_out.iter().map(|left| left.pairs).sum(),
            unread: campaign.unread,
            vulnerable_products: campaign.software.map_or(0, |software| {
                software.products.len() as u64 + software.more_products
            }),
        })
    }

    async fn plan(&self, input: &NextPlanInput) -> Outcome<NextPlanResult> {
        let campaign = self.campaign(&input.campaign).await?;
        let Some((place, plan)) = campaign.next_waiting() else {
            return Ok(NextPlanResult::NoneLeft);
        };
        let campaigns = &self.store.campaigns;
        let request = campaigns.campaign_request(&input.campaign, place).await?;
        let request = request.ok_or_else(|| StoreError::NotFound {
            what: format!("the request of plan `{}`", plan.plan),
        })?;
        let (of_client, of_all) = open_deployments(&self.store, &input.client).await?;
        let limits = input.limits;
        if of_client >= limits.most_open_of_client {
            return Ok(NextPlanResult::Held(format!(
                "the client has {of_client} open deployments"
            )));
        }
        if of_all >= limits.most_open {
            return Ok(NextPlanResult::Held(format!(
                "all clients together have {of_all} open deployments"
            )));
        }
        Ok(NextPlanResult::Start(Box::new(request)))
    }

    async fn campaign(&self, id: &PlanId) -> Outcome<Campaign> {
        let found = self.store.campaigns.get_campaign(id).await?;
        let missing = || StoreError::NotFound {
            what: format!("campaign `{id}`"),
        };
        Ok(found.ok_or_else(missing)?)
    }

    async fn note(&self, input: NotePlanInput) -> Outcome<()> {
        let place = match &input.plan {
            Some(plan) => {
                let campaign = self.campaign(&input.campaign).await?;
                let mut plans = (0..).zip(&campaign.plans);
                let place = plans.find_map(|(place, named)| (named.plan == *plan).then_some(place));
                place.ok_or_else(|| StoreError::NotFound {
                    what: format!("plan `{plan}` of campaign `{}`", input.campaign),
                })?
            }
            None => input.number,
        };
        let campaigns = &self.store.campaigns;
        Ok(campaigns
            .put_plan_state(&input.campaign, place, input.state)
            .await?)
    }
}

#[activities]
impl CampaignActivities {
    /// Finds devices whose lists have to be read; asks the store only.
    #[activity(definition = contracts::activities::campaign::NextLists)]
    pub async fn next_lists(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: NextListsInput,
    ) -> Result<NextListsResult, ActivityError> {
        Ok(self.old_lists(&input).await?)
    }

    /// Ranks what devices miss, and makes plans of it.
    #[activity(definition = contracts::activities::campaign::Draft)]
    pub async fn draft(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: DraftInput,
    ) -> Result<DraftResult, ActivityError> {
        Ok(self.make_plans(input).await?)
    }

    /// Reads the next plan, if there is room for its deployment.
    #[activity(definition = contracts::activities::campaign::NextPlan)]
    pub async fn next_plan(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: NextPlanInput,
    ) -> Result<NextPlanResult, ActivityError> {
        Ok(self.plan(&input).await?)
    }

    /// Writes down what became of a plan.
    #[activity(definition = contracts::activities::campaign::NotePlan)]
    pub async fn note_plan(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: NotePlanInput,
    ) -> Result<(), ActivityError> {
        Ok(self.note(input).await?)
    }
}

/// Patch and software lists of devices.
#[derive(Debug)]
pub struct PatchListActivities {
    store: Store,
    superops: Arc<SuperOps>,
    clock: Arc<dyn Clock>,
}

impl PatchListActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            store: deps.store.clone(),
            superops: Arc::clone(&deps.superops),
            clock: Arc::clone(&deps.clock),
        }
    }

    async fn page(&self, input: ReadListInput) -> Outcome<ReadListResult> {
        let page = self
            .superops
            .device_patches(&input.device, input.page)
            .await?;
        let mut list = PatchList {
            device: input.device,
            client: input.client,
            read_at: self.clock.now(),
            missing: Vec::new(),
            installed: BTreeSet::new(),
        };
        for row in page.items {
            match row.state {
                PatchState::Missing | PatchState::Failed => list.missing.push(row.facts),
                PatchState::Installed => {
                    list.installed.insert(row.facts.kb);
                }
                PatchState::NotListed | PatchState::Unknown => {}
            }
        }
        let missing = u32::try_from(list.missing.len()).unwrap_or(u32::MAX);
        let inventory = self.store.inventory.as_ref();
        inventory
            .put_patch_page(list, input.page, !page.has_more)
            .await?;
        Ok(ReadListResult {
            missing,
            has_more: page.has_more,
        })
    }
}

impl PatchListActivities {
    async fn software(&self, input: ReadListInput) -> Outcome<ReadSoftwareResult> {
        let read = self
            .superops
            .device_software(&input.device, input.page)
            .await?;
        let (programs, flaws) = (read.page.items.len(), read.flaws.len());
        // A list without an end would cost requests and history without one.
        let is_cut = read.page.has_more && input.page >= MOST_SOFTWARE_PAGES;
        let has_more = read.page.has_more && !is_cut;
        let mut list = SoftwareList {
            device: input.device,
            client: input.client,
            read_at: self.clock.now(),
            programs: read.page.items,
            flaws: flaws as u64,
            beyond: u64::from(is_cut),
        };
        list.bound();
        let inventory = self.store.inventory.as_ref();
        inventory
            .put_software_page(list, input.page, !has_more)
            .await?;
        Ok(ReadSoftwareResult {
            programs: u32::try_from(programs).unwrap_or(u32::MAX),
            flaws: u32::try_from(flaws).unwrap_or(u32::MAX),
            has_more,
        })
    }
}

#[activities]
impl PatchListActivities {
    /// Reads a page of a device's patch list into the store; one request.
    #[activity(definition = contracts::activities::campaign::ReadPatchList)]
    pub async fn read_patch_list(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ReadListInput,
    ) -> Result<ReadListResult, ActivityError> {
        Ok(self.page(input).await?)
    }

    /// Reads a page of a device's software list into the store; one request.
    #[activity(definition = contracts::activities::campaign::ReadSoftwareList)]
    pub async fn read_software_list(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ReadListInput,
    ) -> Result<ReadSoftwareResult, ActivityError> {
        Ok(self.software(input).await?)
    }
}
