//! Alerts: the real triage on the store of a world; only what the RMM says is played.

use std::sync::Arc;

use activities::{
    SystemClock,
    alerts::{Alerting, Server, claim},
};
use contracts::activities::alerts::{
    BeginPollInput, BeginPollResult, BusyClientsInput, BusyClientsResult, DeliverInput,
    EndPollInput, EndUnheardInput, EndUnheardResult, MissAlertsInput, MissAlertsResult,
    ReadAlertsInput, ReadAlertsResult, TriageInput, TriageResult,
};
use domain::alert::Sighting;
use jiff::Timestamp;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};
use tokio::runtime::Handle;

use crate::{
    faults::failure,
    world::{World, Worlds},
};

/// Alerts of a page.
const PAGE: usize = 3;

/// Steps that ask the store.
#[derive(Debug)]
pub struct FakeAlerts(Arc<Worlds>);

/// The list of alerts of the RMM.
#[derive(Debug)]
pub struct FakeAlertList(Arc<Worlds>);

impl FakeAlerts {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }

    fn of(&self, ctx: &ActivityContext) -> Result<Alerting, ActivityError> {
        let world = self.0.of(ctx)?;
        Ok(Alerting::on(world.store().clone(), Arc::new(SystemClock)))
    }
}

impl FakeAlertList {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakeAlerts {
    /// Says how far to read.
    #[activity(definition = contracts::activities::alerts::BeginPoll)]
    pub async fn begin_poll(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: BeginPollInput,
    ) -> Result<BeginPollResult, ActivityError> {
        Ok(self.of(&ctx)?.begin(&input).await?)
    }

    /// Notes what a walk has not found.
    #[activity(definition = contracts::activities::alerts::MissAlerts)]
    pub async fn miss_alerts(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: MissAlertsInput,
    ) -> Result<MissAlertsResult, ActivityError> {
        Ok(self.of(&ctx)?.miss(&input).await?)
    }

    /// Ends what sources that are not asked have not spoken of.
    #[activity(definition = contracts::activities::alerts::EndUnheard)]
    pub async fn end_unheard(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: EndUnheardInput,
    ) -> Result<EndUnheardResult, ActivityError> {
        Ok(self.of(&ctx)?.end_unheard(&input).await?)
    }

    /// Notes how far was read.
    #[activity(definition = contracts::activities::alerts::EndPoll)]
    pub async fn end_poll(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: EndPollInput,
    ) -> Result<(), ActivityError> {
        Ok(self.of(&ctx)?.end(&input).await?)
    }

    /// Lists clients whose triage has something to do.
    #[activity(definition = contracts::activities::alerts::BusyClients)]
    pub async fn busy_clients(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: BusyClientsInput,
    ) -> Result<BusyClientsResult, ActivityError> {
        Ok(self.of(&ctx)?.busy(&input).await?)
    }

    /// Does a turn of triage.
    #[activity(definition = contracts::activities::alerts::Triage)]
    pub async fn triage(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: TriageInput,
    ) -> Result<TriageResult, ActivityError> {
        let (world, claim) = (self.0.of(&ctx)?, claim(&ctx));
        // Another worker that was taken for dead begins the turn in the middle of this one.
        let step = || {
            if world.change(|m| std::mem::take(&mut m.rival)) {
                let begun = world.store().alerts.begin_turn(&input.client, "rival");
                let begun = tokio::task::block_in_place(|| Handle::current().block_on(begun));
                begun.unwrap();
            }
        };
        Ok(self.of(&ctx)?.turn(&input, &claim, &step).await?)
    }

    /// Tells the workflow of an incident.
    #[activity(definition = contracts::activities::alerts::Deliver)]
    pub async fn deliver(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: DeliverInput,
    ) -> Result<(), ActivityError> {
        let server = Server::of(&ctx);
        Ok(self.of(&ctx)?.tell(&input, &server).await?)
    }
}

#[activities]
impl FakeAlertList {
    /// Reads a page of what the RMM says, newest first.
    #[activity(definition = contracts::activities::alerts::ReadAlerts)]
    pub async fn read_alerts(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ReadAlertsInput,
    ) -> Result<ReadAlertsResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        page(&world, &input)
            .await
            .map_err(|error| failure("store.unavailable", &error, true))
    }
}

async fn page(world: &World, input: &ReadAlertsInput) -> Result<ReadAlertsResult, String> {
    let mut said: Vec<Sighting> = world.read(|m| m.alerts.values().cloned().collect());
    said.retain(|one| !input.walk || one.cleared.is_none());
    said.sort_by_key(|one| std::cmp::Reverse(one.raised_at));
    let skip = (input.page as usize - 1) * PAGE;
    let has_more = said.len() > skip + PAGE;
    let now = Timestamp::now();
    let rows = said.into_iter().skip(skip).take(PAGE);
    let rows: Vec<Sighting> = rows
        .map(|one| Sighting {
            seen_at: now,
            ..one
        })
        .collect();
    let raised: Vec<Timestamp> = rows.iter().map(|one| one.raised_at).collect();
    let alerts = rows.len() as u64;
    let taken = world.store().alerts.take_sightings(rows, input.walk).await;
    let taken = taken.map_err(|error| error.to_string())?;
    Ok(ReadAlertsResult {
        alerts,
        new: taken.new,
        changed: taken.changed,
        newest: raised.iter().max().copied(),
        oldest: raised.iter().min().copied(),
        has_more,
    })
}
