//! The ledger of bad patches: counting devices of all clients, and halting what installs an update
//! that was stopped.

use std::sync::Arc;

use clients::{
    ledger::{Ledger, Said},
    store::Store,
};
use contracts::{
    activities::ledger::{CountInput, CountResult},
    deployment::ControlInput,
    ids,
};
use domain::{
    ids::{KbId, PlanId},
    ledger::{self, UNKNOWN_BUILD, build_of},
};
use temporalio_client::{
    Client, UntypedSignal, UntypedWorkflow, WorkflowSignalOptions, errors::WorkflowInteractionError,
};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    Deps,
    failure::{Failed, Outcome, TemporalError},
    wire::encode,
};

/// The ledger.
#[derive(Debug)]
pub struct LedgerActivities {
    store: Store,
}

impl LedgerActivities {
    /// Works on the ledger of a store.
    #[must_use]
    pub fn on(store: Store) -> Self {
        Self { store }
    }

    pub(crate) fn new(deps: &Deps) -> Self {
        Self::on(deps.store.clone())
    }
}

#[activities]
impl LedgerActivities {
    /// Counts a device; when that stops the update, halts its open deployments.
    #[activity(definition = contracts::activities::ledger::Count)]
    pub async fn count(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: CountInput,
    ) -> Result<CountResult, ActivityError> {
        self.count_and_halt(&input, &ctx.client()).await
    }
}

impl LedgerActivities {
    /// Does the work of the activity, with deployments on this server.
    ///
    /// # Errors
    /// When the store or Temporal cannot be used.
    pub async fn count_and_halt(
        &self,
        input: &CountInput,
        server: &Client,
    ) -> Result<CountResult, ActivityError> {
        Ok(self.work(input, server).await?)
    }

    async fn work(
        &self,
        input: &CountInput,
        deployments: &impl Deployments,
    ) -> Outcome<CountResult> {
        let device = self.store.inventory.get_device(&input.device).await?;
        let build = device.map_or(UNKNOWN_BUILD.to_owned(), |device| {
            build_of(&device.os_version)
        });
        let said = Said {
            kb: &input.kb,
            plan: &input.plan,
            device: &input.device,
            build: &build,
            evidence: input.evidence,
            at: input.at,
        };
        let verdict = Ledger::new(&self.store).count(&said).await?;
        let halted = self.halt_open(&input.kb, deployments).await?;
        Ok(CountResult { verdict, halted })
    }

    /// Tells all open deployments of an update that the ledger has stopped. Each is told once per
    /// flag, however often: the server knows the request. So a try that ended halfway is finished by
    /// the next one, and by the next device that reports.
    async fn halt_open(&self, kb: &KbId, deployments: &impl Deployments) -> Outcome<u32> {
        let flag = self.store.counters.get_flag(&ledger::flag_of(kb)).await?;
        let Some(reason) = flag.as_deref().and_then(ledger::reason_of) else {
            return Ok(0);
        };
        let epoch = Ledger::new(&self.store).epoch(kb).await?;
        let plans = self.store.executions.open_deployments_of(kb).await?;
        let mut told = 0;
        for plan in plans {
            let halt = ControlInput {
                by: ledger::NAME.to_owned(),
                reason: Some(format!("over all clients: {reason}")),
                kb: Some(kb.clone()),
                incident: None,
                proof: None,
            };
            let request = format!("{}-{kb}-{epoch}", ledger::NAME);
            told += u32::from(deployments.halt(&plan, &request, halt).await?);
        }
        Ok(told)
    }
}

/// Who can tell deployments to halt.
trait Deployments: Sync {
    /// Returns false when it is over. A request that it knows has no second effect.
    fn halt(
        &self,
        plan: &PlanId,
        request: &str,
        halt: ControlInput,
    ) -> impl Future<Output = Outcome<bool>> + Send;
}

impl Deployments for Client {
    async fn halt(&self, plan: &PlanId, request: &str, halt: ControlInput) -> Outcome<bool> {
        let options = WorkflowSignalOptions::builder()
            .request_id(request.to_owned())
            .build();
        let handle = self.get_workflow_handle::<UntypedWorkflow>(ids::patch_deployment(plan));
        let signal = UntypedSignal::new("halt");
        match handle.signal(signal, encode(&halt)?, options).await {
            Ok(()) => Ok(true),
            Err(WorkflowInteractionError::NotFound(_)) => Ok(false),
            Err(error) => Err(Failed::from(TemporalError::new(error))),
        }
    }
}

#[cfg(test)]
mod tests;
