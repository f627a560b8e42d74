//! The inventory: devices, their online snapshot, leases.

use std::convert::Infallible;

use domain::{
    device::Device,
    ids::{ClientId, DeviceId},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// Names a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncClientInput {
    /// Client.
    pub client: ClientId,
}

/// Names a page of a client's sites or devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncPageInput {
    /// Client.
    pub client: ClientId,
    /// From 1.
    pub page: u32,
    /// A snapshot younger than this many seconds is good enough.
    pub max_age_secs: u64,
    /// Devices it is read for; for all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<DeviceId>,
}

/// What a page walk found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncPageResult {
    /// Rows written.
    pub rows: u32,
    /// Go on with the next page.
    pub has_more: bool,
    /// The snapshot was young enough, or somebody else is reading it.
    pub fresh: bool,
    /// Wanted devices about which the snapshot is still old.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<DeviceId>,
}

/// Names a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetDeviceInput {
    /// Device.
    pub device: DeviceId,
}

/// A device of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetDeviceResult {
    /// The device; absent when the inventory does not know it.
    pub device: Option<Device>,
    /// Since when `SuperOps` does not answer: the snapshot stands still, and proves nothing.
    #[serde(default)]
    pub away_since: Option<Timestamp>,
}

/// Asks for a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseInput {
    /// Device.
    pub device: DeviceId,
    /// Workflow id of the owner.
    pub owner: String,
    /// Life of the lease in seconds, unless renewed.
    pub life_secs: u64,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum LeaseResult {
    /// It is yours.
    Held {
        /// Until then, unless renewed.
        until: Timestamp,
    },
    /// Somebody else works on the device.
    HeldBy {
        /// Workflow id of the owner.
        owner: String,
        /// Until then, unless renewed.
        until: Timestamp,
    },
}

/// Inventory.
#[derive(Debug)]
pub struct InventoryActivities;

#[activity_definitions]
impl InventoryActivities {
    /// Reads a client from `SuperOps` into the store; one request. An unknown client is invalid input.
    #[activity(name = "inventory.sync_client")]
    pub fn sync_client(_: SyncClientInput) -> Result<(), Infallible> {
        unimplemented!()
    }

    /// Reads one page of a client's sites into the store; one request.
    #[activity(name = "inventory.sync_sites_page")]
    pub fn sync_sites_page(_: SyncPageInput) -> Result<SyncPageResult, Infallible> {
        unimplemented!()
    }

    /// Reads one page of a client's devices into the store; one request.
    #[activity(name = "inventory.sync_devices_page")]
    pub fn sync_devices_page(_: SyncPageInput) -> Result<SyncPageResult, Infallible> {
        unimplemented!()
    }

    /// Reads a device of the snapshot; no request.
    #[activity(name = "inventory.get_device")]
    pub fn get_device(_: GetDeviceInput) -> Result<GetDeviceResult, Infallible> {
        unimplemented!()
    }

    /// Takes or renews the lease of a device.
    #[activity(name = "inventory.acquire_lease")]
    pub fn acquire_lease(_: LeaseInput) -> Result<LeaseResult, Infallible> {
        unimplemented!()
    }

    /// Gives the lease of a device back.
    #[activity(name = "inventory.release_lease")]
    pub fn release_lease(_: LeaseInput) -> Result<(), Infallible> {
        unimplemented!()
    }
}

pub use inventory_activities::{
    AcquireLease, GetDevice, ReleaseLease, SyncClient, SyncDevicesPage, SyncSitesPage,
};
