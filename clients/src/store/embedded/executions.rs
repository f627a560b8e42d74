//! Plans, states of deployments and finished devices. Everything of a plan is in partition
//! `plan/{id}`: `status`, `client`, `revision/…`, `hash/…`, `page/…`, `device/…`.

use async_trait::async_trait;
use domain::{
    deployment::{DeploymentStatus, Stage},
    ids::{ClientId, DeviceId, KbId, PlanId},
    outcome::DeviceOutcome,
    plan::PAGE_SIZE,
};
use jiff::Timestamp;

use super::{
    Embedded,
    items::{Order, Place, Tx, moment, number},
};
use crate::store::{
    DeadLetter, DeviceRow, Executions, Listing, SealedPlan, StatusFilter, StoreError, StoreResult,
};

const STATUS: &str = "status";
const CLIENT: &str = "client";
const DEVICES: &str = "device/";
const DEAD: &str = "dead-letters";

fn partition(plan: &PlanId) -> String {
    format!("plan/{plan}")
}

fn revision_key(revision: u32) -> String {
    format!("revision/{}", number(revision.into()))
}

fn page_key(revision: u32, ring: u32, page: u64) -> String {
    format!(
        "page/{}/{}/{}",
        number(revision.into()),
        number(ring.into()),
        number(page)
    )
}

fn put_plan(tx: &Tx<'_>, plan: &SealedPlan) -> StoreResult<()> {
    let pk = partition(&plan.plan);
    let key = revision_key(plan.revision);
    if let Some(stored) = tx.get::<SealedPlan>(&pk, &key)? {
        if stored.hash == plan.hash {
            return Ok(());
        }
        return Err(StoreError::Conflict {
            what: format!(
                "revision {} of plan {} was sealed before with another hash",
                plan.revision, plan.plan
            ),
        });
    }
    tx.put(&pk, &key, plan)?;
    tx.put(&pk, CLIENT, &plan.request.client)?;
    let hash_key = format!("hash/{}", plan.hash);
    let newest = tx
        .get::<u32>(&pk, &hash_key)?
        .map_or(plan.revision, |stored| stored.max(plan.revision));
    tx.put(&pk, &hash_key, &newest)?;
    for ring in plan.document.devices.chunk_by(|a, b| a.ring == b.ring) {
        for (page, devices) in (0..).zip(ring.chunks(PAGE_SIZE)) {
            let ids: Vec<&DeviceId> = devices.iter().map(|device| &device.id).collect();
            tx.put(&pk, &page_key(plan.revision, ring[0].ring, page), &ids)?;
        }
    }
    tx.change(
        "plan",
        Some(&plan.request.client),
        &format!("{}/{}", plan.plan, plan.revision),
    )?;
    Ok(())
}

/// Name of the list that serves a filter.
fn status_list(client: Option<&ClientId>, needs_approval: bool, open: bool) -> String {
    let which = match (needs_approval, open) {
        (false, false) => "all",
        (false, true) => "open",
        (true, false) => "approval",
        (true, true) => "open-approval",
    };
    format!("status/{}/{which}", client.map_or("*", ClientId::as_str))
}

fn kb_list(kb: &KbId) -> String {
    format!("kb/{kb}")
}

/// Every list a status stands in.
fn status_places(status: &DeploymentStatus) -> Vec<Place> {
    let open = status.stage != Stage::Done;
    // By start: a deployment keeps its place however often it is written.
    let sort = format!("{}/{}", moment(status.started_at), status.plan);
    let mut places = Vec::new();
    for client in [None, Some(&status.client)] {
        for (only_approval, only_open) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            if (!only_approval || status.needs_approval) && (!only_open || open) {
                places.push((status_list(client, only_approval, only_open), sort.clone()));
            }
        }
    }
    if open {
        let mut kbs: Vec<&KbId> = status.kbs.iter().collect();
        kbs.sort_unstable();
        kbs.dedup();
        places.extend(
            kbs.into_iter()
                .map(|kb| (kb_list(kb), status.plan.to_string())),
        );
    }
    places
}

fn put_status(
    tx: &Tx<'_>,
    status: &DeploymentStatus,
    expires_at: Option<Timestamp>,
) -> StoreResult<()> {
    let pk = partition(&status.plan);
    let stored: Option<DeploymentStatus> = tx.get(&pk, STATUS)?;
    if stored.is_some_and(|stored| stored.updated_at > status.updated_at) {
        return Ok(());
    }
    tx.put_until(&pk, STATUS, status, expires_at)?;
    tx.put(&pk, CLIENT, &status.client)?;
    tx.place(&pk, STATUS, &status_places(status))?;
    tx.change("execution", Some(&status.client), status.plan.as_str())?;
    Ok(())
}

fn outcome_list(plan: &PlanId, outcome: DeviceOutcome) -> String {
    format!("results/{plan}/{}", outcome.as_str())
}

fn put_device_row(tx: &Tx<'_>, row: &DeviceRow) -> StoreResult<()> {
    let pk = partition(&row.plan);
    let device = &row.result.device;
    let key = format!("{DEVICES}{device}");
    if let Some(stored) = tx.get::<DeviceRow>(&pk, &key)? {
        if stored.attempt > row.attempt {
            return Ok(());
        }
        if stored.attempt == row.attempt {
            if stored.ring == row.ring && stored.result == row.result {
                return Ok(());
            }
            return Err(StoreError::Conflict {
                what: format!(
                    "attempt {} on device {device} of plan {} was written before as {}, now {}",
                    row.attempt,
                    row.plan,
                    stored.result.outcome.as_str(),
                    row.result.outcome.as_str()
                ),
            });
        }
    }
    tx.put(&pk, &key, row)?;
    tx.place(
        &pk,
        &key,
        &[(
            outcome_list(&row.plan, row.result.outcome),
            device.to_string(),
        )],
    )?;
    let client: Option<ClientId> = tx.get(&pk, CLIENT)?;
    tx.change(
        "device_result",
        client.as_ref(),
        &format!("{}/{device}", row.plan),
    )?;
    Ok(())
}

#[async_trait]
impl Executions for Embedded {
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
        self.write(move |tx| put_plan(tx, &plan)).await
    }

    async fn get_plan(&self, plan: &PlanId, revision: u32) -> StoreResult<Option<SealedPlan>> {
        let pk = partition(plan);
        self.read(move |tx| tx.get(&pk, &revision_key(revision)))
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
        self.read(move |tx| {
            if let Some(devices) = tx.get(&pk, &page_key(revision, ring, page.into()))? {
                return Ok(devices);
            }
            match tx.exists(&pk, &revision_key(revision))? {
                true => Ok(Vec::new()),
                false => Err(StoreError::NotFound {
                    what: format!("revision {revision} of plan {plan}"),
                }),
            }
        })
        .await
    }

    async fn find_plan(&self, plan: &PlanId, hash: &str) -> StoreResult<Option<SealedPlan>> {
        let (pk, key) = (partition(plan), format!("hash/{hash}"));
        self.read(move |tx| match tx.get::<u32>(&pk, &key)? {
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
        self.write(move |tx| put_status(tx, &status, expires_at))
            .await
    }

    async fn get_status(&self, plan: &PlanId) -> StoreResult<Option<DeploymentStatus>> {
        let pk = partition(plan);
        self.read(move |tx| tx.get(&pk, STATUS)).await
    }

    async fn list_statuses(
        &self,
        filter: &StatusFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<DeploymentStatus>> {
        let name = status_list(filter.client.as_ref(), filter.needs_approval, filter.open);
        let cursor = cursor.map(ToOwned::to_owned);
        self.read(move |tx| tx.list(&name, cursor.as_deref(), limit, Order::Descending))
            .await
    }

    async fn open_deployments_of(&self, kb: &KbId) -> StoreResult<Vec<PlanId>> {
        let name = kb_list(kb);
        self.read(move |tx| {
            let places = tx.places(&name, None, usize::MAX, Order::Ascending)?;
            let damaged = |plan: &str| StoreError::corrupt(format!("list `{name}` at `{plan}`"));
            places
                .iter()
                .map(|(plan, ..)| plan.parse().map_err(|_| damaged(plan)))
                .collect()
        })
        .await
    }

    async fn put_device_row(&self, row: DeviceRow) -> StoreResult<()> {
        self.write(move |tx| put_device_row(tx, &row)).await
    }

    async fn get_device_row(
        &self,
        plan: &PlanId,
        device: &DeviceId,
    ) -> StoreResult<Option<DeviceRow>> {
        let (pk, key) = (partition(plan), format!("{DEVICES}{device}"));
        self.read(move |tx| tx.get(&pk, &key)).await
    }

    async fn list_device_rows(
        &self,
        plan: &PlanId,
        outcome: Option<DeviceOutcome>,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<DeviceRow>> {
        let (plan, cursor) = (plan.clone(), cursor.map(ToOwned::to_owned));
        self.read(move |tx| match outcome {
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
        self.write(move |tx| {
            if tx.exists(DEAD, &letter.id)? {
                return Ok(());
            }
            tx.put(DEAD, &letter.id, &letter)?;
            let sort = format!("{}/{}", moment(letter.at), letter.id);
            tx.place_new(DEAD, &letter.id, &[(DEAD.to_owned(), sort)])?;
            tx.change("dead_letter", Some(&letter.client), &letter.id)?;
            Ok(())
        })
        .await
    }

    async fn list_dead_letters(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<DeadLetter>> {
        let cursor = cursor.map(ToOwned::to_owned);
        self.read(move |tx| tx.list(DEAD, cursor.as_deref(), limit, Order::Descending))
            .await
    }
}
