//! Items of a plan: everything is in partition `plan/{id}`, as `status`, `client`, `revision/…`,
//! `hash/…`, `sheet/…` (many pages) and `device/…`; and the lists that statuses and device rows stand in.

use domain::{
    deployment::{DeploymentStatus, Stage},
    ids::{ClientId, DeviceId, KbId, PlanId},
    outcome::DeviceOutcome,
    plan::PAGE_SIZE,
};
use jiff::Timestamp;

use super::items::{Place, Tx, moment, number};
use crate::store::{DeviceRow, SealedPlan, StoreError, StoreResult};

pub(super) const STATUS: &str = "status";
const CLIENT: &str = "client";
pub(super) const DEVICES: &str = "device/";

pub(super) fn partition(plan: &PlanId) -> String {
    format!("plan/{plan}")
}

pub(super) fn revision_key(revision: u32) -> String {
    format!("revision/{}", number(revision.into()))
}

/// Pages of a sheet: a plan has to fit into one transaction, which may not have many items.
const SHEET: usize = 20;

fn sheet_key(revision: u32, ring: u32, sheet: usize) -> String {
    format!(
        "sheet/{}/{}/{}",
        number(revision.into()),
        number(ring.into()),
        number(sheet as u64)
    )
}

/// Reads one page of a ring; `None` when its sheet has no such page or there is none.
pub(super) fn page(
    tx: &Tx<'_>,
    plan: &PlanId,
    (revision, ring, page): (u32, u32, u32),
) -> StoreResult<Option<Vec<DeviceId>>> {
    let page = page as usize;
    let key = sheet_key(revision, ring, page / SHEET);
    let sheet: Option<Vec<DeviceId>> = tx.get(&partition(plan), &key)?;
    let devices = sheet.unwrap_or_default();
    let mut pages = devices.chunks(PAGE_SIZE);
    Ok(pages.nth(page % SHEET).map(<[DeviceId]>::to_vec))
}

pub(super) fn put_plan(tx: &Tx<'_>, plan: &SealedPlan) -> StoreResult<()> {
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
        for (sheet, devices) in ring.chunks(SHEET * PAGE_SIZE).enumerate() {
            let ids: Vec<&DeviceId> = devices.iter().map(|device| &device.id).collect();
            tx.put(&pk, &sheet_key(plan.revision, ring[0].ring, sheet), &ids)?;
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
pub(super) fn status_list(client: Option<&ClientId>, needs_approval: bool, open: bool) -> String {
    let which = match (needs_approval, open) {
        (false, false) => "all",
        (false, true) => "open",
        (true, false) => "approval",
        (true, true) => "open-approval",
    };
    format!("status/{}/{which}", client.map_or("*", ClientId::as_str))
}

pub(super) fn kb_list(kb: &KbId) -> String {
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

pub(super) fn put_status(
    tx: &Tx<'_>,
    status: &DeploymentStatus,
    expires_at: Option<Timestamp>,
) -> StoreResult<()> {
    let pk = partition(&status.plan);
    let stored: Option<DeploymentStatus> = tx.get(&pk, STATUS)?;
    // A repeat changes nothing either.
    if stored.is_some_and(|stored| stored.updated_at > status.updated_at || stored == *status) {
        return Ok(());
    }
    if let Some(at) = expires_at {
        tx.expire(&pk, at)?;
    }
    tx.put_until(&pk, STATUS, status, expires_at)?;
    // Written anew it would stay for ever.
    if tx.get::<ClientId>(&pk, CLIENT)?.as_ref() != Some(&status.client) {
        tx.put(&pk, CLIENT, &status.client)?;
    }
    tx.place(&pk, STATUS, &status_places(status))?;
    tx.change("execution", Some(&status.client), status.plan.as_str())?;
    Ok(())
}

pub(super) fn outcome_list(plan: &PlanId, outcome: DeviceOutcome) -> String {
    format!("results/{plan}/{}", outcome.as_str())
}

pub(super) fn put_device_row(tx: &Tx<'_>, row: &DeviceRow) -> StoreResult<()> {
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
