//! Plans: from a request to a sealed plan by reference, and its devices page by page.

mod children;
mod lane;
mod resolve;
mod seal;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use clients::store::{DeviceRow, SealedPlan, Store, StoreError};
use contracts::activities::plans::{
    CheckChildrenInput, CheckChildrenResult, CheckInput, DifferenceInput, DifferenceResult,
    GiveUpResult, InstalledResult, LoadPageInput, LoadPageResult, PageDevice, PlanPageInput,
    ResolveInput, ResolveResult, SealInput, SealResult, StragglersInput, StragglersResult,
};
use domain::{
    device::Device,
    ids::{ClientId, DeviceId, PlanId},
    input::{InvalidInput, Problem},
    outcome::DeviceOutcome,
    plan_check,
};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    Clock, Deps,
    failure::{Failed, Outcome},
    guardrails::{Guardrails, MAX_LISTED},
};

/// Rows asked of the store at once.
const ROWS: usize = 200;

/// Plans.
#[derive(Debug)]
pub struct PlanActivities {
    store: Store,
    guardrails: Guardrails,
    clock: Arc<dyn Clock>,
}

impl PlanActivities {
    pub(crate) fn new(deps: &Deps, guardrails: Guardrails) -> Self {
        Self {
            store: deps.store.clone(),
            guardrails,
            clock: Arc::clone(&deps.clock),
        }
    }
}

#[activities]
impl PlanActivities {
    /// Checks the structure of a request; findings are invalid input.
    #[activity(definition = contracts::activities::plans::Check)]
    pub async fn check(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: CheckInput,
    ) -> Result<(), ActivityError> {
        Ok(self.check_request(&input).await?)
    }

    /// Finds the devices of a request in the inventory.
    #[activity(definition = contracts::activities::plans::Resolve)]
    pub async fn resolve(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ResolveInput,
    ) -> Result<ResolveResult, ActivityError> {
        Ok(self.find_devices(&input).await?)
    }

    /// Asks guardrails device by device, takes forbidden ones out, writes the exact plan.
    #[activity(definition = contracts::activities::plans::Seal)]
    pub async fn seal(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: SealInput,
    ) -> Result<SealResult, ActivityError> {
        Ok(self.write_plan(input).await?)
    }

    /// Reads a page of a ring.
    #[activity(definition = contracts::activities::plans::LoadPage)]
    pub async fn load_page(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: LoadPageInput,
    ) -> Result<LoadPageResult, ActivityError> {
        Ok(self.page(&input).await?)
    }

    /// Finds stragglers that are online with an open window.
    #[activity(definition = contracts::activities::plans::NextStragglers)]
    pub async fn next_stragglers(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: StragglersInput,
    ) -> Result<StragglersResult, ActivityError> {
        Ok(self.stragglers(&input).await?)
    }

    /// Writes waiting stragglers down as unreached.
    #[activity(definition = contracts::activities::plans::GiveUpStragglers)]
    pub async fn give_up_stragglers(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: PlanPageInput,
    ) -> Result<GiveUpResult, ActivityError> {
        Ok(self.give_up(&input).await?)
    }

    /// Lists the devices this plan patched.
    #[activity(definition = contracts::activities::plans::ListInstalled)]
    pub async fn list_installed(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: PlanPageInput,
    ) -> Result<InstalledResult, ActivityError> {
        Ok(self.installed(&input).await?)
    }

    /// Asks what became of silent device runs.
    #[activity(definition = contracts::activities::plans::CheckChildren)]
    pub async fn check_children(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: CheckChildrenInput,
    ) -> Result<CheckChildrenResult, ActivityError> {
        Ok(self.ended_children(&input, &ctx.client()).await?)
    }

    /// Says how two revisions differ.
    #[activity(definition = contracts::activities::plans::Difference)]
    pub async fn difference(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: DifferenceInput,
    ) -> Result<DifferenceResult, ActivityError> {
        Ok(self.compare(&input).await?)
    }
}

impl PlanActivities {
    /// Temporal lets go of an id when its history is gone, and a start by hand may not ask for a new
    /// one at all: the store remembers longer.
    async fn check_request(&self, input: &CheckInput) -> Outcome<()> {
        plan_check::check(&input.request, self.clock.now())?;
        let (Some(plan), Some(started_at)) = (&input.request.id, input.started_at) else {
            return Ok(());
        };
        let known = self.store.executions.get_status(plan).await?;
        match known.filter(|status| status.started_at != started_at) {
            None => Ok(()),
            Some(status) => Err(InvalidInput::one(Problem::new(
                "id",
                plan,
                format!(
                    "an id that was never used; a plan of this id was started at {:.0}",
                    status.started_at
                ),
            ))
            .into()),
        }
    }

    async fn page(&self, input: &LoadPageInput) -> Outcome<LoadPageResult> {
        let executions = &self.store.executions;
        let ids = executions
            .plan_page(&input.plan, input.revision, input.ring, input.page)
            .await?;
        let mut devices = Vec::with_capacity(ids.len());
        let first = match input.evidence {
            true => evidence_first(&sealed(&self.store, &input.plan, input.revision).await?),
            false => BTreeSet::new(),
        };
        for id in ids {
            let row = executions.get_device_row(&input.plan, &id).await?;
            let mut device = page_device(id, row);
            device.evidence_first = first.contains(&device.id);
            devices.push(device);
        }
        Ok(LoadPageResult { devices })
    }

    async fn compare(&self, input: &DifferenceInput) -> Outcome<DifferenceResult> {
        let executions = &self.store.executions;
        let meant = executions.find_plan(&input.plan, &input.meant).await?;
        let current = executions.find_plan(&input.plan, &input.current).await?;
        let mut difference = match (meant, current) {
            (Some(meant), Some(current)) => meant.document.difference(&current.document),
            (None, _) => vec!["the plan meant was never a plan of this deployment".to_owned()],
            (_, None) => vec!["the current plan is not in the store".to_owned()],
        };
        difference.truncate(MAX_LISTED);
        Ok(DifferenceResult { difference })
    }
}

/// A device that was only put off has attempts behind it and is not settled.
fn page_device(id: DeviceId, row: Option<DeviceRow>) -> PageDevice {
    match row {
        None => PageDevice {
            id,
            settled: None,
            attempts: 0,
            installed: Vec::new(),
            evidence_first: false,
            evidence: None,
        },
        Some(row) if row.result.outcome == DeviceOutcome::Deferred => PageDevice {
            id,
            settled: None,
            attempts: row.attempt,
            installed: lane::installed_by_us(&row),
            evidence_first: false,
            evidence: row.result.evidence,
        },
        Some(row) => PageDevice {
            id,
            settled: Some(row.result.outcome),
            attempts: 0,
            installed: Vec::new(),
            evidence_first: false,
            evidence: row.result.evidence,
        },
    }
}

/// Lists the devices of a plan that evidence is taken of first.
fn evidence_first(plan: &SealedPlan) -> BTreeSet<DeviceId> {
    let marked = plan.document.devices.iter().filter(|d| d.evidence);
    marked.map(|device| device.id.clone()).collect()
}

/// Reads a sealed revision that must be there.
pub(crate) async fn sealed(store: &Store, plan: &PlanId, revision: u32) -> Outcome<SealedPlan> {
    let found = store.executions.get_plan(plan, revision).await?;
    found.ok_or_else(|| {
        let what = format!("revision {revision} of plan {plan}");
        Failed::from(StoreError::NotFound { what })
    })
}

/// Reads all devices of a client.
pub(crate) async fn devices_of(store: &Store, client: &ClientId) -> Outcome<Vec<Device>> {
    let mut devices = Vec::new();
    let mut cursor = None;
    loop {
        let page = store
            .inventory
            .list_devices(client, cursor.as_deref(), ROWS)
            .await?;
        devices.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(devices);
        }
    }
}
