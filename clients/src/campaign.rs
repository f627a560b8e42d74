//! Gathers what a campaign is made of from the store; asks no outside system.

pub mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    campaign::{self, Campaign, Facts, PatchList, PlanState},
    device::Device,
    ids::{ClientId, CveId, DeviceId, KbId},
    ledger::Verdict,
    plan::PatchSelector,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    intel::Catalogue,
    ledger::Ledger,
    store::{StatusFilter, Store, StoreResult},
};

const PAGE: usize = 200;
/// Verdicts of the ledger that are read at the same time.
const VERDICTS_AT_ONCE: usize = 16;
/// Replaced updates are followed so far back.
const LONGEST_CHAIN: usize = 60;
/// Campaigns whose plans may not have been sealed yet.
const RECENT: usize = 5;

/// Reads all about a client.
///
/// # Errors
/// When the store cannot be read.
pub async fn gather(store: &Store, client: &ClientId) -> StoreResult<Facts> {
    let (mut facts, mut known) = (Facts::default(), BTreeSet::new());
    let mut cursor: Option<String> = None;
    loop {
        let page = store
            .inventory
            .list_devices(client, cursor.as_deref(), PAGE);
        let page = page.await?;
        let ids: Vec<DeviceId> = page.items.iter().map(|device| device.id.clone()).collect();
        let mut lists = store.inventory.get_patch_lists(&ids).await?;
        let missing = lists.iter().flat_map(|list| &list.missing);
        let missing = missing.map(|patch| patch.kb.clone()).collect();
        updates(store, missing, &mut known, &mut facts).await?;
        // Most of a list is what was installed long ago. It is kept where it ends a chain.
        for list in &mut lists {
            list.installed.retain(|kb| known.contains(kb));
        }
        add_lists(lists, &mut facts);
        facts.devices.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let ids = facts.updates.values().flat_map(|update| &update.cves);
    vulnerabilities(store, ids.cloned().collect(), &mut facts).await?;
    facts.histories = Catalogue::histories(store).await?;
    facts.open = open_pairs(store, client).await?;
    facts.ledger = ledger(store, &facts).await?;
    let known = store.inventory.get_client(client).await?;
    facts.time_zone = known.and_then(|known| known.time_zone);
    Ok(facts)
}

/// Says of which of these devices evidence has to be taken before the patches of a plan are installed.
///
/// # Errors
/// When the store cannot be read.
pub async fn evidence_first(
    store: &Store,
    patches: &[PatchSelector],
    devices: &[Device],
) -> StoreResult<BTreeSet<DeviceId>> {
    let (mut facts, mut known) = (Facts::default(), BTreeSet::new());
    let kbs = patches.iter().map(|patch| patch.kb.clone()).collect();
    updates(store, kbs, &mut known, &mut facts).await?;
    let named = patches.iter().flat_map(|patch| &patch.cves);
    let known = facts.updates.values().flat_map(|update| &update.cves);
    let ids = named.chain(known).cloned().collect();
    vulnerabilities(store, ids, &mut facts).await?;
    if !campaign::may_ask_for_evidence(&facts) {
        return Ok(BTreeSet::new());
    }
    let ids: Vec<DeviceId> = devices.iter().map(|device| device.id.clone()).collect();
    for chunk in ids.chunks(PAGE) {
        add_lists(store.inventory.get_patch_lists(chunk).await?, &mut facts);
    }
    facts.devices = devices.to_vec();
    Ok(campaign::evidence_first(&facts, patches))
}

fn add_lists(lists: Vec<PatchList>, facts: &mut Facts) {
    let lists = lists.into_iter().map(|list| (list.device.clone(), list));
    facts.lists.extend(lists);
}

/// These updates, and those they replace. `known`: all that were asked for or named until now.
async fn updates(
    store: &Store,
    mut wanted: BTreeSet<KbId>,
    known: &mut BTreeSet<KbId>,
    facts: &mut Facts,
) -> StoreResult<()> {
    for _ in 0..LONGEST_CHAIN {
        let kbs: Vec<KbId> = wanted.difference(known).cloned().collect();
        if kbs.is_empty() {
            break;
        }
        wanted.clear();
        for chunk in kbs.chunks(PAGE) {
            for update in store.vulnerabilities.get_updates(chunk).await? {
                wanted.extend(update.supersedes.iter().cloned());
                facts.updates.insert(update.kb.clone(), update);
            }
        }
        known.extend(kbs);
    }
    known.append(&mut wanted);
    Ok(())
}

/// What devices of all clients say of the missing updates.
async fn ledger(store: &Store, facts: &Facts) -> StoreResult<BTreeMap<KbId, Verdict>> {
    let missing = facts.lists.values().flat_map(|list| &list.missing);
    let kbs: BTreeSet<KbId> = missing.map(|patch| patch.kb.clone()).collect();
    // Four reads each, which do not wait for each other.
    let verdicts = stream::iter(kbs).map(|kb| async move {
        let verdict = Ledger::new(store).verdict(&kb).await?;
        StoreResult::Ok((kb, verdict))
    });
    verdicts
        .buffer_unordered(VERDICTS_AT_ONCE)
        .try_collect()
        .await
}

async fn vulnerabilities(
    store: &Store,
    ids: BTreeSet<CveId>,
    facts: &mut Facts,
) -> StoreResult<()> {
    let ids: Vec<_> = ids.into_iter().collect();
    for chunk in ids.chunks(PAGE) {
        let found = store.vulnerabilities.get_vulnerabilities(chunk).await?;
        let found = found.into_iter().map(|record| (record.id.clone(), record));
        facts.vulnerabilities.extend(found);
    }
    Ok(())
}

/// What open deployments work on: by their sealed plans, and by campaigns whose plans are not sealed
/// yet.
async fn open_pairs(store: &Store, client: &ClientId) -> StoreResult<BTreeSet<(DeviceId, KbId)>> {
    let mut pairs = BTreeSet::new();
    let filter = StatusFilter {
        client: Some(client.clone()),
        open: true,
        ..StatusFilter::default()
    };
    let mut cursor: Option<String> = None;
    loop {
        let page = store
            .executions
            .list_statuses(&filter, cursor.as_deref(), PAGE);
        let page = page.await?;
        for status in page.items.iter().filter(|status| status.revision > 0) {
            let plan = store.executions.get_plan(&status.plan, status.revision);
            if let Some(plan) = plan.await? {
                let devices = plan.document.devices.into_iter().map(|device| device.id);
                add(&mut pairs, devices, &plan.document.actions.install);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let recent = store.campaigns.list_campaigns(client, None, RECENT).await?;
    for campaign in &recent.items {
        unsealed(store, campaign, &mut pairs).await?;
    }
    Ok(pairs)
}

async fn unsealed(
    store: &Store,
    campaign: &Campaign,
    pairs: &mut BTreeSet<(DeviceId, KbId)>,
) -> StoreResult<()> {
    for (number, plan) in (0..).zip(&campaign.plans) {
        if !matches!(plan.state, PlanState::Started { .. }) {
            continue;
        }
        let status = store.executions.get_status(&plan.plan).await?;
        if status.is_some_and(|status| status.revision > 0 || status.outcome.is_some()) {
            continue;
        }
        if let Some(request) = store
            .campaigns
            .campaign_request(&campaign.id, number)
            .await?
        {
            let kbs: Vec<KbId> = request.patches.iter().map(|p| p.kb.clone()).collect();
            add(pairs, request.devices.ids.into_iter(), &kbs);
        }
    }
    Ok(())
}

fn add(
    pairs: &mut BTreeSet<(DeviceId, KbId)>,
    devices: impl Iterator<Item = DeviceId>,
    kbs: &[KbId],
) {
    for device in devices {
        pairs.extend(kbs.iter().map(|kb| (device.clone(), kb.clone())));
    }
}

/// Counts open deployments: of the client, and of all. One that a campaign of the client has just
/// started counts before it has written anything.
///
/// # Errors
/// When the store cannot be read.
pub async fn open_deployments(store: &Store, client: &ClientId) -> StoreResult<(u32, u32)> {
    let mut begun = 0;
    let recent = store.campaigns.list_campaigns(client, None, RECENT).await?;
    for plan in recent.items.iter().flat_map(|campaign| &campaign.plans) {
        let is_started = matches!(plan.state, PlanState::Started { .. });
        if is_started && store.executions.get_status(&plan.plan).await?.is_none() {
            begun += 1;
        }
    }
    let of_client = written_open(store, Some(client)).await?;
    let of_all = written_open(store, None).await?;
    Ok((of_client + begun, of_all + begun))
}

/// A few more than any limit are enough.
async fn written_open(store: &Store, client: Option<&ClientId>) -> StoreResult<u32> {
    let filter = StatusFilter {
        client: client.cloned(),
        open: true,
        ..StatusFilter::default()
    };
    let page = store.executions.list_statuses(&filter, None, 1000).await?;
    Ok(u32::try_from(page.items.len()).unwrap_or(u32::MAX))
}
