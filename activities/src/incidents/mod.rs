//! Answering incidents: the cause by rule, what suspect devices say, what a model makes of it, and what is
//! remembered.

mod advise;
mod explain;
mod ground;
mod likeness;
mod looks;
mod measure;
mod narrate;
mod past;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use clients::{
    bedrock::{Bedrock, embeddings::Embeddings},
    memory::LazyMemory,
    prometheus::Prometheus,
    store::{AlertsOf, Store},
    triage::Networks,
};
use contracts::activities::incidents::{
    AdviseInput, ExplainInput, MeasureInput, MetricsResult, NarrateInput, RememberInput,
    RememberResult,
};
use domain::{alert::Alert, cause::CauseReport, triage::IncidentKey};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

pub use self::{likeness::re_embed_memory, looks::IncidentLookActivities};
use crate::{Clock, Deps, failure::Outcome, model::Asker};

/// Rows of one answer from the store.
const PAGE: usize = 200;
/// Alerts of an incident that are looked at: those that came first, the cause is among them.
const ALERTS: usize = 2_000;

/// Steps that ask the store, the memory and the model.
#[derive(Debug)]
pub struct IncidentActivities {
    store: Store,
    memory: Arc<LazyMemory>,
    networks: Networks,
    asker: Asker,
    embeddings: Option<Arc<Embeddings>>,
    prometheus: Option<Arc<Prometheus>>,
    clock: Arc<dyn Clock>,
}

impl IncidentActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        let without = Self::without_model(
            deps.store.clone(),
            Arc::clone(&deps.memory),
            Arc::clone(&deps.clock),
        );
        Self {
            asker: Asker::new(deps.model.clone()),
            embeddings: deps.embeddings.clone(),
            prometheus: deps.prometheus.clone(),
            ..without
        }
    }

    /// Works on a store and a memory, without a model and without measurements.
    #[must_use]
    pub fn without_model(store: Store, memory: Arc<LazyMemory>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            memory,
            networks: Networks::default(),
            asker: Asker::new(None),
            embeddings: None,
            prometheus: None,
            clock,
        }
    }

    /// Lets devices be measured.
    #[must_use]
    pub fn measuring(mut self, prometheus: Arc<Prometheus>) -> Self {
        self.prometheus = Some(prometheus);
        self
    }

    /// Lets a model be asked.
    #[must_use]
    pub fn asking(mut self, model: Arc<Bedrock>) -> Self {
        self.asker = Asker::new(Some(model));
        self
    }

    async fn alerts_of(&self, key: &IncidentKey) -> Outcome<Vec<Alert>> {
        let (mut alerts, mut cursor) = (Vec::new(), None::<String>);
        let of = AlertsOf::FirstOf(key.clone());
        while alerts.len() < ALERTS {
            let store = self.store.alerts.as_ref();
            let page = store.list_alerts(&of, cursor.as_deref(), PAGE).await?;
            alerts.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(alerts)
    }

    /// Does the work of activity `incidents.explain`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn explain_one(&self, input: &ExplainInput) -> Result<CauseReport, ActivityError> {
        Ok(self.look_for_cause(input).await?)
    }

    /// Does the work of activity `incidents.read_metrics`.
    ///
    /// # Errors
    /// When the store cannot be used, or Prometheus is to be asked again.
    pub async fn read_metrics_once(
        &self,
        input: &MeasureInput,
    ) -> Result<MetricsResult, ActivityError> {
        Ok(self.measure(input).await?)
    }

    /// Does the work of activity `incidents.narrate`.
    ///
    /// # Errors
    /// When the store cannot be used, or the model is to be asked again.
    pub async fn narrate_one(&self, input: &NarrateInput) -> Result<CauseReport, ActivityError> {
        Ok(self.tell(input).await?)
    }

    /// Does the work of activity `incidents.advise`.
    ///
    /// # Errors
    /// When the store cannot be used, or the model is to be asked again.
    pub async fn advise_one(&self, input: &AdviseInput) -> Result<CauseReport, ActivityError> {
        Ok(self.advise_on(input).await?)
    }

    /// Does the work of activity `incidents.remember`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn remember_one(
        &self,
        input: &RememberInput,
    ) -> Result<RememberResult, ActivityError> {
        Ok(self.keep(input).await?)
    }
}

#[activities]
impl IncidentActivities {
    /// Looks for the cause of an incident by rule, and writes it down.
    #[activity(definition = contracts::activities::incidents::Explain)]
    pub async fn explain(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ExplainInput,
    ) -> Result<CauseReport, ActivityError> {
        self.explain_one(&input).await
    }

    /// Asks what is measured on a suspect device.
    #[activity(definition = contracts::activities::incidents::ReadMetrics)]
    pub async fn read_metrics(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: MeasureInput,
    ) -> Result<MetricsResult, ActivityError> {
        self.read_metrics_once(&input).await
    }

    /// Adds what devices said, asks a model what it makes of it, and writes it down.
    #[activity(definition = contracts::activities::incidents::Narrate)]
    pub async fn narrate(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: NarrateInput,
    ) -> Result<CauseReport, ActivityError> {
        self.narrate_one(&input).await
    }

    /// Looks for what nearly joined or hardly did, asks a model what it makes of it, and writes it down.
    #[activity(definition = contracts::activities::incidents::Advise)]
    pub async fn advise(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: AdviseInput,
    ) -> Result<CauseReport, ActivityError> {
        self.advise_one(&input).await
    }

    /// Remembers an incident that is over, for those that look alike.
    #[activity(definition = contracts::activities::incidents::Remember)]
    pub async fn remember(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: RememberInput,
    ) -> Result<RememberResult, ActivityError> {
        self.remember_one(&input).await
    }
}
