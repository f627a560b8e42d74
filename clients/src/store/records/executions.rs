//! Plans, states of deployments and finished devices; their items are in `plan_items`.

use async_trait::async_trait;
use domain::{
    deployment::DeploymentStatus,
    ids::{DeviceId, KbId, PlanId},
    outcome::DeviceOutcome,
    plan::PAGE_SIZE,
};
use jiff::Timestamp;

use super::{
    Backend, Records,
    items::Order,
    letters::{LETTERS, letter_list, put_letter, settle_letter},
    plan_items::{
        self, DEVICES, STATUS, kb_list, outcome_list, partition, put_device_row, put_plan,
        put_status, revision_key, status_list,
    },
};
use crate::store::{
    DeadLetter, DeviceRow, Executions, LetterFilter, LetterState, Listing, SealedPlan,
    StatusFilter, StoreError, StoreResult,
};

#[async_trait]
impl<B: Backend> Executions for Records<B> {
    async fn put_plan(&self, plan: SealedPlan) -> StoreResult<()> {
        if plan.document.hash().ok().as_deref() != Some(plan.hash.as_str()) {
            return Err(StoreError::Invalid {
                what: format!("the hash of plan {} is not its document's", plan.plan),
            });
        }
        if !plan.document.devices.is_sorted() {
            return Err(StoreError::Invalid {
                what: format!("devices of plan {} are not in order", plan.plan),
            });
        }
        self.0.write(move |tx| put_plan(tx, &plan)).await
    }

    async fn get_plan(&self, plan: &PlanId, revision: u32) -> StoreResult<Option<SealedPlan>> {
        let pk = partition(plan);
        self.0
            .read(move |tx| tx.get(&pk, &revision_key(revision)))
            .await
    }

    async fn plan_page(
        &self,
        plan: &PlanId,
        revision: u32,
        ring: u32,
        page: u32,
    ) -> StoreResult<Vec<DeviceId>> {
        let (pk, plan) = (partition(plan), plan.clone());
        self.0.read(move |tx| {
            if let Some(devices) = plan_items::page(tx, &plan, (revision, ring, page))? {
                return Ok(devices);
            }
            let sealed: Option<SealedPlan> = tx.get(&pk, &revision_key(revision))?;
            let sealed = sealed.ok_or_else(|| StoreError::NotFound {
                what: format!("revision {revision} of plan {plan}"),
            })?;
            // Past the last page is empty. One that is lost is not: its devices would be forgotten.
            let in_ring = sealed.document.devices.iter().filter(|d| d.ring == ring);
            if in_ring.count() > page as usize * PAGE_SIZE {
                return Err(StoreError::corrupt(format!(
                    "page {page} of ring {ring} of revision {revision} of plan {plan}, which is missing"
                )));
            }
            Ok(Vec::new())
        })
        .await
    }

    async fn find_plan(&self, plan: &PlanId, hash: &str) -> StoreResult<Option<SealedPlan>> {
        let (pk, key) = (partition(plan), format!("hash/{hash}"));
        self.0
            .read(move |tx| match tx.get::<u32>(&pk, &key)? {
                Some(revision) => tx.get(&pk, &revision_key(revision)),
                None => Ok(None),
            })
            .await
    }

    async fn put_status(
        &self,
        status: DeploymentStatus,
        expires_at: Option<Timestamp>,
    ) -> StoreResult<()> {
        self.0
            .write(move |tx| put_status(tx, &status, expires_at))
            .await
    }

    async fn get_status(&self, plan: &PlanId) -> StoreResult<Option<DeploymentStatus>> {
        let pk = partition(plan);
        self.0.read(move |tx| tx.get(&pk, STATUS)).await
    }

    async fn list_statuses(
        &self,
        filter: &StatusFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<DeploymentStatus>> {
        let name = status_list(filter.client.as_ref(), filter.needs_approval, filter.open);
        let cursor = cursor.map(ToOwned::to_owned);
        self.0
            .read(move |tx| tx.list(&name, cursor.as_deref(), limit, Order::Descending))
            .await
    }

    async fn open_deployments_of(&self, kb: &KbId) -> StoreResult<Vec<PlanId>> {
        let name = kb_list(kb);
        self.0
            .read(move |tx| {
                let places = tx.standings(&name, None, usize::MAX, Order::Ascending)?;
                let damaged =
                    |plan: &str| StoreError::corrupt(format!("list `{name}` at `{plan}`"));
                places
                    .iter()
                    .map(|at| at.sort.parse().map_err(|_| damaged(&at.sort)))
                    .collect()
            })
            .await
    }

    async fn put_device_row(&self, row: DeviceRow) -> StoreResult<()> {
        self.0.write(move |tx| put_device_row(tx, &row)).await
    }

    async fn get_device_row(
        &self,
        plan: &PlanId,
        device: &DeviceId,
    ) -> StoreResult<Option<DeviceRow>> {
        let (pk, key) = (partition(plan), format!("{DEVICES}{device}"));
        self.0.read(move |tx| tx.get(&pk, &key)).await
    }

    async fn list_device_rows(
        &self,
        plan: &PlanId,
        outcome: Option<DeviceOutcome>,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<DeviceRow>> {
        let (plan, cursor) = (plan.clone(), cursor.map(ToOwned::to_owned));
        self.0
            .read(move |tx| match outcome {
                Some(outcome) => tx.list(
                    &outcome_list(&plan, outcome),
                    cursor.as_deref(),
                    limit,
                    Order::Ascending,
                ),
                None => tx.page(
                    &partition(&plan),
                    DEVICES,
                    cursor.as_deref(),
                    limit,
                    Order::Ascending,
                ),
            })
            .await
    }

    async fn put_dead_letter(&self, letter: DeadLetter) -> StoreResult<()> {
        self.0.write(move |tx| put_letter(tx, &letter)).await
    }

    async fn get_dead_letter(&self, id: &str) -> StoreResult<Option<DeadLetter>> {
        let id = id.to_owned();
        self.0.read(move |tx| tx.get(LETTERS, &id)).await
    }

    async fn list_dead_letters(
        &self,
        filter: &LetterFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<DeadLetter>> {
        let name = letter_list(filter);
        let cursor = cursor.map(ToOwned::to_owned);
        self.0
            .read(move |tx| tx.list(&name, cursor.as_deref(), limit, Order::Descending))
            .await
    }

    async fn settle_dead_letter(&self, id: &str, state: LetterState) -> StoreResult<DeadLetter> {
        let id = id.to_owned();
        self.0
            .write(move |tx| settle_letter(tx, &id, state.clone()))
            .await
    }
}
