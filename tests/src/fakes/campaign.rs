//! Campaigns: every device of the model has an old patch list, and each plan takes one device.

use std::sync::Arc;

use contracts::activities::campaign::{
    DraftInput, DraftResult, NextListsInput, NextListsResult, NextPlanInput, NextPlanResult,
    NotePlanInput, PrioritiseInput, PrioritiseResult, ReadListInput, ReadListResult,
    ReadSoftwareResult,
};
use domain::ids::DeviceId;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{faults::failure, plan, world::Worlds};

/// Devices of a page.
const PAGE: usize = 2;

/// Steps of a campaign that ask the store only.
#[derive(Debug)]
pub struct FakeCampaign(Arc<Worlds>);

/// Patch lists.
#[derive(Debug)]
pub struct FakePatchLists(Arc<Worlds>);

impl FakeCampaign {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

impl FakePatchLists {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakeCampaign {
    /// Finds devices, two a page.
    #[activity(definition = contracts::activities::campaign::NextLists)]
    pub async fn next_lists(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: NextListsInput,
    ) -> Result<NextListsResult, ActivityError> {
        let all: Vec<DeviceId> = self
            .0
            .of(&ctx)?
            .read(|m| m.devices.keys().cloned().collect());
        let rest = all
            .iter()
            .filter(|id| input.after.as_ref().is_none_or(|after| *id > after));
        let devices: Vec<DeviceId> = rest.take(PAGE).cloned().collect();
        let next = devices
            .last()
            .filter(|last| Some(*last) != all.last())
            .cloned();
        Ok(NextListsResult { devices, next })
    }

    /// Makes a plan for each device.
    #[activity(definition = contracts::activities::campaign::Draft)]
    pub async fn draft(
        self: Arc<Self>,
        ctx: ActivityContext,
        _: DraftInput,
    ) -> Result<DraftResult, ActivityError> {
        let plans = self.0.of(&ctx)?.read(|m| m.devices.len());
        Ok(DraftResult {
            plans: u32::try_from(plans).unwrap(),
            pairs: plans as u64,
            left_out: 0,
            unread: 0,
            vulnerable_products: 0,
        })
    }

    /// Changes the last two plans, when it answers.
    #[activity(definition = contracts::activities::campaign::Prioritise)]
    pub async fn prioritise(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: PrioritiseInput,
    ) -> Result<PrioritiseResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        Ok(world.change(|m| {
            m.unasked.push(input.unasked);
            let degraded = m.model_away || input.unasked.is_some();
            let plans = m.devices.len();
            m.plan_order = (0..plans).collect();
            if !degraded && plans > 1 {
                m.plan_order.swap(plans - 2, plans - 1);
            }
            let moves = u32::from(!degraded && plans > 1);
            PrioritiseResult {
                asked: u32::try_from(plans).unwrap(),
                explained: moves,
                moved: moves,
                dropped: 0,
                tokens: if degraded { 0 } else { 42 },
                degraded,
            }
        }))
    }

    /// Reads the next plan, if there is room for its deployment.
    #[activity(definition = contracts::activities::campaign::NextPlan)]
    pub async fn next_plan(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: NextPlanInput,
    ) -> Result<NextPlanResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        if input.number >= input.limits.most_open_of_client {
            return Ok(NextPlanResult::Held(
                "the client has open deployments".into(),
            ));
        }
        let request = world.read(|m| {
            let all: Vec<usize> = (0..m.devices.len()).collect();
            let order = if m.plan_order.is_empty() {
                &all
            } else {
                &m.plan_order
            };
            let name = |place: usize| format!("{}-{}", m.plan, place + 1).parse().ok();
            let begun =
                |place: &&usize| name(**place).is_some_and(|id| m.plan_states.contains_key(&id));
            let place = *order.iter().find(|place| !begun(place))?;
            let mut request = plan::request(m);
            request.devices.ids = vec![m.devices.keys().nth(place)?.clone()];
            request.id = name(place);
            Some(request)
        });
        Ok(request.map_or(NextPlanResult::NoneLeft, |request| {
            NextPlanResult::Start(Box::new(request))
        }))
    }

    /// Writes down what became of a plan.
    #[activity(definition = contracts::activities::campaign::NotePlan)]
    pub async fn note_plan(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: NotePlanInput,
    ) -> Result<(), ActivityError> {
        let world = self.0.of(&ctx)?;
        let plan = input
            .plan
            .ok_or_else(|| failure("store.not_found", "no such plan", false))?;
        world.change(|m| {
            m.begun.push(plan.clone());
            m.plan_states.insert(plan, input.state)
        });
        Ok(())
    }
}

#[activities]
impl FakePatchLists {
    /// Reads a patch list of two pages.
    #[activity(definition = contracts::activities::campaign::ReadPatchList)]
    pub async fn read_patch_list(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ReadListInput,
    ) -> Result<ReadListResult, ActivityError> {
        self.0.of(&ctx)?;
        Ok(ReadListResult {
            missing: 1,
            has_more: input.page < 2,
        })
    }

    /// Reads a software list of two pages, with a row that cannot be read on the first one.
    #[activity(definition = contracts::activities::campaign::ReadSoftwareList)]
    pub async fn read_software_list(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ReadListInput,
    ) -> Result<ReadSoftwareResult, ActivityError> {
        self.0.of(&ctx)?;
        Ok(ReadSoftwareResult {
            programs: 2,
            flaws: u32::from(input.page == 1),
            has_more: input.page < 2,
        })
    }
}
