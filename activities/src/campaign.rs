//! Steps of a campaign: whose patch lists are old, what they say, which plans follow, and whether there
//! is room for the next one.

use std::{collections::BTreeSet, sync::Arc};

use clients::{
    campaign::{gather, open_deployments},
    store::{Store, StoreError},
    superops::SuperOps,
};
use contracts::activities::campaign::{
    DraftInput, DraftResult, NextListsInput, NextListsResult, NextPlanInput, NextPlanResult,
    NotePlanInput, ReadListInput, ReadListResult,
};
use domain::{
    campaign::{Campaign, PatchList, draft},
    ids::DeviceId,
    patch::PatchState,
};
use jiff::SignedDuration;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    Clock, Deps,
    failure::{Failed, Outcome, bug},
};

/// Devices that are looked at for one answer.
const DEVICES: usize = 200;

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
        let page = inventory
            .list_devices(&input.client, after, DEVICES)
            .await?;
        let ids: Vec<DeviceId> = page.items.into_iter().map(|device| device.id).collect();
        let age = SignedDuration::from_secs(i64::try_from(input.older_secs).unwrap_or(i64::MAX));
        let now = self.clock.now();
        let lists = inventory.get_patch_lists(&ids).await?;
        let fresh = lists
            .iter()
            .filter(|list| now.duration_since(list.read_at) < age);
        let fresh: BTreeSet<&DeviceId> = fresh.map(|list| &list.device).collect();
        let next = page.next.map(|id| id.parse());
        Ok(NextListsResult {
            devices: ids
                .iter()
                .filter(|id| !fresh.contains(id))
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
                let drafted = draft(&facts, &input.rules, now);
                let (id, client) = (input.campaign.clone(), input.client.clone());
                let mut campaign = Campaign::new(id, client, input.workflow_id, now, &drafted);
                campaign.devices = facts.devices.len() as u64;
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
        })
    }

    async fn plan(&self, input: &NextPlanInput) -> Outcome<NextPlanResult> {
        let request = self
            .store
            .campaigns
            .campaign_request(&input.campaign, input.number)
            .await?;
        let request = request.ok_or_else(|| StoreError::NotFound {
            what: format!("plan {} of campaign `{}`", input.number + 1, input.campaign),
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
}

#[activities]
impl CampaignActivities {
    /// Finds devices whose patch lists have to be read; asks the store only.
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
        let campaigns = self.store.campaigns.as_ref();
        let noted = campaigns.put_plan_state(&input.campaign, input.number, input.state);
        Ok(noted.await.map_err(Failed::from)?)
    }
}

/// Patch lists of devices.
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
}

#[cfg(test)]
mod tests {
    use contracts::campaign::CampaignLimits;
    use domain::campaign::PlanState;
    use serde_json::{Value, json};
    use wiremock::{Mock, ResponseTemplate, matchers::body_string_contains};

    use super::*;
    use crate::testing::{World, client, environment};

    fn row(kb: &str, status: &str) -> Value {
        json!({ "installationStatus": status, "patchDetail": { "title": format!("update {kb}"),
            "severity": "Critical", "category": "Security Updates", "kbNumbers": [{ "kbNumber": kb }] } })
    }

    /// Plays the patch list of every device.
    async fn lists(world: &World, rows: &[Value]) {
        let data = json!({ "getAssetPatchDetails": { "assetPatches": rows, "listInfo": { "hasMore": null } } });
        Mock::given(body_string_contains("getAssetPatchDetails"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": data })))
            .mount(&world.server)
            .await;
    }

    fn draft_input() -> DraftInput {
        DraftInput {
            campaign: "c-1".parse().unwrap(),
            client: client(),
            workflow_id: "patch-campaign/7/x".into(),
            requested_by: None,
            rules: domain::campaign::CampaignRules::default(),
            plan: domain::campaign::PlanTemplate::default(),
        }
    }

    #[tokio::test]
    async fn what_devices_miss_becomes_plans_that_are_there_once() {
        let world = World::new().await;
        world.seed(4).await;
        lists(
            &world,
            &[row("5034441", "NewOrMissing"), row("5034122", "Installed")],
        )
        .await;
        let steps = environment(CampaignActivities::new(&world.deps));
        let reads = environment(PatchListActivities::new(&world.deps));
        let input = NextListsInput {
            client: client(),
            older_secs: 60,
            after: None,
        };
        let due = steps
            .run(CampaignActivities::next_lists, input.clone())
            .await
            .unwrap();
        assert_eq!((due.devices.len(), due.next), (4, None));
        for device in due.devices {
            let input = ReadListInput {
                client: client(),
                device,
                page: 1,
            };
            let read = reads.run(PatchListActivities::read_patch_list, input).await;
            assert_eq!(read.unwrap().missing, 1);
        }
        let due = steps
            .run(CampaignActivities::next_lists, input)
            .await
            .unwrap();
        assert_eq!(due.devices, []);
        let drafted = steps
            .run(CampaignActivities::draft, draft_input())
            .await
            .unwrap();
        assert_eq!((drafted.pairs, drafted.unread), (4, 0));
        let again = steps
            .run(CampaignActivities::draft, draft_input())
            .await
            .unwrap();
        assert_eq!(again, drafted);
        let next = |limits| NextPlanInput {
            campaign: "c-1".parse().unwrap(),
            client: client(),
            number: 0,
            limits,
        };
        let plan = steps.run(
            CampaignActivities::next_plan,
            next(CampaignLimits::default()),
        );
        let NextPlanResult::Start(request) = plan.await.unwrap() else {
            panic!("there is room");
        };
        assert_eq!(request.id, "c-1-1".parse().ok());
        assert!(request.approval.required);
        let noted = NotePlanInput {
            campaign: "c-1".parse().unwrap(),
            number: 0,
            state: PlanState::Started {
                at: world.deps.clock.now(),
            },
        };
        steps
            .run(CampaignActivities::note_plan, noted)
            .await
            .unwrap();
        let full = CampaignLimits {
            most_open_of_client: 1,
            ..CampaignLimits::default()
        };
        let held = steps.run(CampaignActivities::next_plan, next(full)).await;
        assert!(
            matches!(held.unwrap(), NextPlanResult::Held(_)),
            "one has begun"
        );
        // Its deployment has not sealed its plan yet; the next campaign leaves its pairs out.
        let second = DraftInput {
            campaign: "c-2".parse().unwrap(),
            ..draft_input()
        };
        let second = steps.run(CampaignActivities::draft, second).await.unwrap();
        let taken = request.devices.ids.len() as u64;
        assert_eq!((second.pairs, second.left_out), (4 - taken, taken));
    }
}
