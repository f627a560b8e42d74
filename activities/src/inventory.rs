//! The inventory: devices, their online snapshot, leases.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use clients::{
    store::{ClientRecord, Lease, Store},
    superops::{SuperOps, SuperOpsError},
};
use contracts::activities::inventory::{
    GetDeviceInput, GetDeviceResult, LeaseInput, LeaseResult, SyncClientInput, SyncPageInput,
    SyncPageResult,
};
use domain::{
    ids::{ClientId, DeviceId},
    input::{InvalidInput, Problem},
    windows::parse_zone,
};
use jiff::{SignedDuration, Timestamp};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    Clock, Deps,
    failure::{Failed, Outcome, final_error, is_left_alone},
    guardrails::superops_away_since,
};

/// What the store knows of devices; asks nobody else.
#[derive(Debug)]
pub struct InventoryActivities {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl InventoryActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            store: deps.store.clone(),
            clock: Arc::clone(&deps.clock),
        }
    }
}

#[activities]
impl InventoryActivities {
    /// Reads a device of the snapshot; no request.
    #[activity(definition = contracts::activities::inventory::GetDevice)]
    pub async fn get_device(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: GetDeviceInput,
    ) -> Result<GetDeviceResult, ActivityError> {
        let read = self.store.inventory.get_device(&input.device).await;
        Ok(GetDeviceResult {
            device: read.map_err(Failed::from)?,
            away_since: superops_away_since(&self.store, self.clock.now()).await?,
        })
    }

    /// Takes or renews the lease of a device.
    #[activity(definition = contracts::activities::inventory::AcquireLease)]
    pub async fn acquire_lease(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: LeaseInput,
    ) -> Result<LeaseResult, ActivityError> {
        let life = Duration::from_secs(input.life_secs);
        let now = self.clock.now();
        let taken = self
            .store
            .inventory
            .acquire_lease(&input.device, &input.owner, life, now)
            .await;
        Ok(match taken.map_err(Failed::from)? {
            Lease::Held { until } => LeaseResult::Held { until },
            Lease::HeldBy { owner, until } => LeaseResult::HeldBy { owner, until },
        })
    }

    /// Gives the lease of a device back.
    #[activity(definition = contracts::activities::inventory::ReleaseLease)]
    pub async fn release_lease(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: LeaseInput,
    ) -> Result<(), ActivityError> {
        let given = self
            .store
            .inventory
            .release_lease(&input.device, &input.owner)
            .await;
        Ok(given.map_err(Failed::from)?)
    }
}

/// Walks over the `SuperOps` inventory, one request per call.
#[derive(Debug)]
pub struct InventorySyncActivities {
    store: Store,
    superops: Arc<SuperOps>,
    clock: Arc<dyn Clock>,
}

impl InventorySyncActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            store: deps.store.clone(),
            superops: Arc::clone(&deps.superops),
            clock: Arc::clone(&deps.clock),
        }
    }
}

#[activities]
impl InventorySyncActivities {
    /// Reads a client from `SuperOps` into the store; an unknown client is invalid input.
    #[activity(definition = contracts::activities::inventory::SyncClient)]
    pub async fn sync_client(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: SyncClientInput,
    ) -> Result<(), ActivityError> {
        Ok(self.client(&input.client).await?)
    }

    /// Reads one page of a client's sites into the store.
    #[activity(definition = contracts::activities::inventory::SyncSitesPage)]
    pub async fn sync_sites_page(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: SyncPageInput,
    ) -> Result<SyncPageResult, ActivityError> {
        Ok(self.sites(&input).await?)
    }

    /// Reads one page of a client's devices into the store.
    #[activity(definition = contracts::activities::inventory::SyncDevicesPage)]
    pub async fn sync_devices_page(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: SyncPageInput,
    ) -> Result<SyncPageResult, ActivityError> {
        // A second try belongs to the walk that the first one claimed.
        let is_retry = ctx.info().attempt > 1;
        Ok(self.devices(&input, is_retry).await?)
    }
}

impl InventorySyncActivities {
    async fn client(&self, client: &ClientId) -> Outcome<()> {
        let found = match self.superops.get_client(client).await {
            Err(SuperOpsError::NotFound { .. }) => {
                let allowed = "the accountId of a client that SuperOps knows";
                return Err(InvalidInput::one(Problem::new("client", client, allowed)).into());
            }
            other => other?,
        };
        let record = self.record(client).await?;
        Ok(self
            .store
            .inventory
            .put_client(ClientRecord {
                name: found.name,
                ..record
            })
            .await?)
    }

    async fn sites(&self, input: &SyncPageInput) -> Outcome<SyncPageResult> {
        let page = self.superops.list_sites(&input.client, input.page).await?;
        let is_only_site = input.page == 1 && !page.has_more && page.items.len() == 1;
        let rows = page.items.len();
        let mut record = self.record(&input.client).await?;
        for site in page.items {
            let Some(zone) = site
                .time_zone
                .filter(|zone| parse_zone(zone, "timezoneCode").is_ok())
            else {
                continue;
            };
            if is_only_site || site.hq {
                record.time_zone = Some(zone.clone());
            }
            record.sites.insert(site.id, zone);
        }
        self.store.inventory.put_client(record).await?;
        Ok(SyncPageResult {
            rows: count(rows),
            has_more: page.has_more,
            fresh: false,
            missing: vec![],
        })
    }

    async fn devices(&self, input: &SyncPageInput, is_retry: bool) -> Outcome<SyncPageResult> {
        let now = self.clock.now();
        let record = self.record(&input.client).await?;
        if !input.wanted.is_empty() && self.missing(input, now).await?.is_empty() {
            return Ok(SyncPageResult {
                rows: 0,
                has_more: false,
                fresh: true,
                missing: vec![],
            });
        }
        if input.page <= 1 && !is_retry && input.wanted.is_empty() {
            let name = format!("inventory/{}", input.client);
            let age = Duration::from_secs(input.max_age_secs);
            let is_mine = self.store.counters.claim(&name, age, now).await?;
            // Before the first walk has ended there is no snapshot to be content with.
            if !is_mine && record.synced_at.is_some() {
                return Ok(SyncPageResult {
                    rows: 0,
                    has_more: false,
                    fresh: true,
                    missing: vec![],
                });
            }
        }
        let mut page = self
            .superops
            .list_devices(&input.client, input.page, now)
            .await
            .map_err(|error| {
                // The next round makes a missed refresh good: nobody waits for the end of the pause.
                if input.max_age_secs > 0 && is_left_alone(&error) {
                    final_error("superops", error)
                } else {
                    error.into()
                }
            })?;
        for device in &mut page.items {
            device.time_zone = device
                .site
                .as_ref()
                .and_then(|site| record.sites.get(site))
                .cloned();
        }
        self.store.inventory.put_devices(&page.items).await?;
        if !page.has_more {
            // Read again: sites may have been written while SuperOps was asked.
            let record = ClientRecord {
                synced_at: Some(now),
                ..self.record(&input.client).await?
            };
            self.store.inventory.put_client(record).await?;
        }
        Ok(SyncPageResult {
            rows: count(page.items.len()),
            has_more: page.has_more,
            fresh: false,
            missing: self.missing(input, now).await?,
        })
    }

    /// Wanted devices that were not seen within the age that is good enough.
    async fn missing(&self, input: &SyncPageInput, now: Timestamp) -> Outcome<Vec<DeviceId>> {
        let age = SignedDuration::from_secs(input.max_age_secs.cast_signed());
        let inventory = &self.store.inventory;
        let known = inventory.get_devices(&input.wanted).await?;
        let young = known
            .into_iter()
            .filter(|device| now.duration_since(device.seen_at) <= age);
        let young: BTreeSet<_> = young.map(|device| device.id).collect();
        let missing = input.wanted.iter().filter(|id| !young.contains(*id));
        Ok(missing.cloned().collect())
    }

    async fn record(&self, client: &ClientId) -> Outcome<ClientRecord> {
        let known = self.store.inventory.get_client(client).await?;
        Ok(known.unwrap_or_else(|| ClientRecord {
            id: client.clone(),
            name: String::new(),
            time_zone: None,
            sites: std::collections::BTreeMap::new(),
            synced_at: None,
        }))
    }
}

fn count(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
