//! The inventory: clients, devices, leases.

use std::sync::Arc;

use contracts::activities::inventory::{
    GetDeviceInput, GetDeviceResult, LeaseInput, LeaseResult, SyncClientInput, SyncPageInput,
    SyncPageResult,
};
use domain::input::{InvalidInput, Problem};
use jiff::{SignedDuration, Timestamp};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use super::{invalid, superops};
use crate::{devices::FakeDevice, world::Worlds};

/// What the store knows of devices.
#[derive(Debug)]
pub struct FakeSnapshot(Arc<Worlds>);

impl FakeSnapshot {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakeSnapshot {
    /// Reads a device; every look sees it as it is now, unless nobody can read the list.
    #[activity(definition = contracts::activities::inventory::GetDevice)]
    pub async fn get_device(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: GetDeviceInput,
    ) -> Result<GetDeviceResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        let (device, away) = world.change(|m| {
            let away = m.superops_away;
            let device = m.devices.get_mut(&input.device);
            let is_old = away || m.looks_wait_for_a_walk;
            (device.map(|d| d.look(is_old)), away)
        });
        Ok(GetDeviceResult {
            device,
            away_since: away.then(Timestamp::now),
        })
    }

    /// Takes or renews a lease.
    #[activity(definition = contracts::activities::inventory::AcquireLease)]
    pub async fn acquire_lease(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: LeaseInput,
    ) -> Result<LeaseResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        Ok(world.change(|m| {
            let now = Timestamp::now();
            if let Some((owner, until)) = m.leases.get(&input.device)
                && *owner != input.owner
                && *until > now
            {
                return LeaseResult::HeldBy {
                    owner: owner.clone(),
                    until: *until,
                };
            }
            let life = SignedDuration::from_secs(i64::try_from(input.life_secs).unwrap_or(60));
            let until = now + life;
            m.leases.insert(input.device, (input.owner, until));
            LeaseResult::Held { until }
        }))
    }

    /// Gives a lease back; somebody else's stays.
    #[activity(definition = contracts::activities::inventory::ReleaseLease)]
    pub async fn release_lease(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: LeaseInput,
    ) -> Result<(), ActivityError> {
        let world = self.0.of(&ctx)?;
        world.change(|m| {
            m.leases
                .retain(|device, (owner, _)| *device != input.device || *owner != input.owner);
        });
        Ok(())
    }
}

/// Walks over the inventory of `SuperOps`.
#[derive(Debug)]
pub struct FakeSync(Arc<Worlds>);

impl FakeSync {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakeSync {
    /// Knows one client.
    #[activity(definition = contracts::activities::inventory::SyncClient)]
    pub async fn sync_client(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: SyncClientInput,
    ) -> Result<(), ActivityError> {
        let world = self.0.of(&ctx)?;
        if world.read(|m| m.client_known && m.client == input.client) {
            return Ok(());
        }
        let problem = Problem::new("client", input.client, "a client that SuperOps knows");
        Err(invalid(&InvalidInput::one(problem)))
    }

    /// One page.
    #[activity(definition = contracts::activities::inventory::SyncSitesPage)]
    pub async fn sync_sites_page(
        self: Arc<Self>,
        _ctx: ActivityContext,
        _input: SyncPageInput,
    ) -> Result<SyncPageResult, ActivityError> {
        Ok(SyncPageResult {
            rows: 1,
            has_more: false,
            fresh: false,
            missing: vec![],
        })
    }

    /// Two pages, so that paging is walked.
    #[activity(definition = contracts::activities::inventory::SyncDevicesPage)]
    pub async fn sync_devices_page(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: SyncPageInput,
    ) -> Result<SyncPageResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        superops::answers(&world)?;
        let pages = world.change(|m| {
            if m.looks_wait_for_a_walk {
                m.every_device(FakeDevice::list);
            }
            m.pages_of_a_refresh
        });
        let is_refresh = input.max_age_secs > 0;
        let has_more = input.page < if is_refresh { pages } else { 2 };
        // Devices in flight are on the last page.
        Ok(SyncPageResult {
            rows: 1,
            has_more,
            fresh: false,
            missing: input.wanted.into_iter().filter(|_| has_more).collect(),
        })
    }
}
