//! Alerts: reading them into the store, triage, and telling the workflows of incidents.

mod deliver;
mod poll;
mod triage;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use clients::{
    store::{IncidentChange, Store, StoreError},
    superops::SuperOps,
    triage::Networks,
};
use contracts::activities::alerts::{
    BeginPollInput, BeginPollResult, BusyClientsInput, BusyClientsResult, CloseIncidentInput,
    DeliverInput, EndPollInput, EndUnheardInput, EndUnheardResult, ExpectInput, LoadIncidentInput,
    MissAlertsInput, MissAlertsResult, ReadAlertsInput, ReadAlertsResult, TriageInput,
    TriageResult,
};
use domain::triage::{IncidentKey, IncidentRecord};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};
use tokio::sync::Notify;

pub use deliver::Server;
pub use triage::claim;

use crate::{Clock, Deps, failure::Outcome, heartbeat};

/// Rows of one answer from the store.
const PAGE: usize = 200;

/// Reads an incident that is there.
pub(crate) async fn incident(store: &Store, key: &IncidentKey) -> Outcome<IncidentRecord> {
    let found = store.alerts.get_incident(key).await?;
    Ok(found.ok_or_else(|| StoreError::NotFound {
        what: format!("incident `{key}`"),
    })?)
}

/// What alerts ask of the store, and of Temporal.
#[derive(Debug)]
pub struct Alerting {
    store: Store,
    networks: Networks,
    clock: Arc<dyn Clock>,
}

/// Steps that ask the store, and Temporal.
#[derive(Debug)]
pub struct AlertActivities(Alerting);

impl AlertActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self(Alerting::on(deps.store.clone(), Arc::clone(&deps.clock)))
    }
}

impl Alerting {
    /// Works on a store.
    #[must_use]
    pub fn on(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            networks: Networks::default(),
            clock,
        }
    }

    /// Reads an incident.
    ///
    /// # Errors
    /// When there is none, or the store does not answer.
    pub async fn load(&self, key: &IncidentKey) -> Outcome<IncidentRecord> {
        incident(&self.store, key).await
    }

    async fn announce(&self, input: ExpectInput) -> Outcome<()> {
        Ok(self.store.alerts.put_expectation(input.expectation).await?)
    }

    /// Closes an incident if nothing is new, and returns it as it is then.
    ///
    /// # Errors
    /// When there is none, or the store does not answer.
    pub async fn close(&self, input: &CloseIncidentInput) -> Outcome<IncidentRecord> {
        let record = self.load(&input.incident).await?;
        let Some(closing) = record
            .may_close()
            .filter(|_| record.version == input.version)
        else {
            return Ok(record);
        };
        let change = IncidentChange::Closed {
            version: input.version,
            closing,
            at: self.clock.now(),
        };
        let changed = self.store.alerts.change_incident(&input.incident, change);
        Ok(changed.await?)
    }
}

#[activities]
impl AlertActivities {
    /// Says how far to read.
    #[activity(definition = contracts::activities::alerts::BeginPoll)]
    pub async fn begin_poll(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: BeginPollInput,
    ) -> Result<BeginPollResult, ActivityError> {
        Ok(self.0.begin(&input).await?)
    }

    /// Notes what a walk has not found.
    #[activity(definition = contracts::activities::alerts::MissAlerts)]
    pub async fn miss_alerts(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: MissAlertsInput,
    ) -> Result<MissAlertsResult, ActivityError> {
        Ok(self.0.miss(&input).await?)
    }

    /// Ends what sources that are not asked have not spoken of.
    #[activity(definition = contracts::activities::alerts::EndUnheard)]
    pub async fn end_unheard(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: EndUnheardInput,
    ) -> Result<EndUnheardResult, ActivityError> {
        Ok(self.0.end_unheard(&input).await?)
    }

    /// Notes how far was read.
    #[activity(definition = contracts::activities::alerts::EndPoll)]
    pub async fn end_poll(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: EndPollInput,
    ) -> Result<(), ActivityError> {
        Ok(self.0.end(&input).await?)
    }

    /// Lists clients whose triage has something to do.
    #[activity(definition = contracts::activities::alerts::BusyClients)]
    pub async fn busy_clients(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: BusyClientsInput,
    ) -> Result<BusyClientsResult, ActivityError> {
        Ok(self.0.busy(&input).await?)
    }

    /// Does a turn of triage.
    #[activity(definition = contracts::activities::alerts::Triage)]
    pub async fn triage(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: TriageInput,
    ) -> Result<TriageResult, ActivityError> {
        // Whoever begins a turn takes it from a try before, even of the same activity.
        let claim = claim(&ctx);
        let progress = Notify::new();
        let alive = || progress.notify_one();
        let turn = self.0.turn(&input, &claim, &alive);
        heartbeat::during(turn, &progress, &ctx).await
    }

    /// Tells the workflow of an incident, which starts when it does not run.
    #[activity(definition = contracts::activities::alerts::Deliver)]
    pub async fn deliver(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: DeliverInput,
    ) -> Result<(), ActivityError> {
        // Incidents are answered where their alerts are processed.
        let server = Server::of(&ctx);
        Ok(self.0.tell(&input, &server).await?)
    }

    /// Announces what a device of a patch wave is going to show.
    #[activity(definition = contracts::activities::alerts::Expect)]
    pub async fn expect(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ExpectInput,
    ) -> Result<(), ActivityError> {
        Ok(self.0.announce(input).await?)
    }

    /// Reads an incident.
    #[activity(definition = contracts::activities::alerts::LoadIncident)]
    pub async fn load_incident(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: LoadIncidentInput,
    ) -> Result<IncidentRecord, ActivityError> {
        Ok(self.0.load(&input.incident).await?.brief())
    }

    /// Closes an incident if nothing is new, and returns it as it is then.
    #[activity(definition = contracts::activities::alerts::CloseIncident)]
    pub async fn close_incident(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: CloseIncidentInput,
    ) -> Result<IncidentRecord, ActivityError> {
        Ok(self.0.close(&input).await?.brief())
    }
}

/// The step that asks `SuperOps`.
#[derive(Debug)]
pub struct AlertReadActivities {
    store: Store,
    superops: Arc<SuperOps>,
    clock: Arc<dyn Clock>,
}

impl AlertReadActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            store: deps.store.clone(),
            superops: Arc::clone(&deps.superops),
            clock: Arc::clone(&deps.clock),
        }
    }
}

#[activities]
impl AlertReadActivities {
    /// Reads a page of alerts into the store; one request.
    #[activity(definition = contracts::activities::alerts::ReadAlerts)]
    pub async fn read_alerts(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ReadAlertsInput,
    ) -> Result<ReadAlertsResult, ActivityError> {
        Ok(self.page(&input).await?)
    }
}
