//! Clients, devices and leases: partition `client/{id}`, and `device/{id}` with `facts`, `lease`,
//! `patches` and `software`.

use std::time::Duration;

use async_trait::async_trait;
use domain::{
    campaign::PatchList,
    device::Device,
    ids::{ClientId, DeviceId},
    software::SoftwareList,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Backend, Records,
    items::{Order, Tx},
    pages::{Paged, put_page},
};
use crate::store::{ClientRecord, Inventory, Lease, Listing, StoreError, StoreResult};

const FACTS: &str = "facts";
const LEASE: &str = "lease";
/// A device is a record, a place and a change.
const WRITES_OF_A_DEVICE: usize = 3;

#[derive(Serialize, Deserialize)]
struct LeaseRow {
    owner: String,
    until: Timestamp,
}

fn device_list(client: &ClientId) -> String {
    format!("devices/{client}")
}

fn put_device(tx: &Tx<'_>, device: &Device) -> StoreResult<()> {
    let pk = format!("device/{}", device.id);
    let stored: Option<Device> = tx.get(&pk, FACTS)?;
    if stored
        .as_ref()
        .is_some_and(|stored| stored.seen_at > device.seen_at)
    {
        return Ok(());
    }
    tx.put(&pk, FACTS, device)?;
    if stored
        .as_ref()
        .is_none_or(|stored| stored.client != device.client)
    {
        tx.place(
            &pk,
            FACTS,
            &[(device_list(&device.client), device.id.to_string())],
        )?;
    }
    let seen_again = |stored: &Device| {
        Device {
            seen_at: device.seen_at,
            ..stored.clone()
        } == *device
    };
    if !stored.as_ref().is_some_and(seen_again) {
        tx.change("device", Some(&device.client), device.id.as_str())?;
    }
    Ok(())
}

fn acquire(
    tx: &Tx<'_>,
    pk: &str,
    owner: &str,
    until: Timestamp,
    now: Timestamp,
) -> StoreResult<Lease> {
    let held: Option<LeaseRow> = tx.get(pk, LEASE)?;
    let until = match held {
        Some(held) if held.owner != owner && held.until > now => {
            return Ok(Lease::HeldBy {
                owner: held.owner,
                until: held.until,
            });
        }
        // A renewal that arrives late must not shorten the lease.
        Some(held) if held.owner == owner => until.max(held.until),
        _ => until,
    };
    tx.put_until(
        pk,
        LEASE,
        &LeaseRow {
            owner: owner.to_owned(),
            until,
        },
        Some(until),
    )?;
    Ok(Lease::Held { until })
}

#[async_trait]
impl<B: Backend> Inventory for Records<B> {
    async fn put_client(&self, client: ClientRecord) -> StoreResult<()> {
        self.0
            .write(move |tx| {
                tx.put(&format!("client/{}", client.id), FACTS, &client)?;
                tx.change("client", Some(&client.id), client.id.as_str())?;
                Ok(())
            })
            .await
    }

    async fn get_client(&self, client: &ClientId) -> StoreResult<Option<ClientRecord>> {
        let pk = format!("client/{client}");
        self.0.read(move |tx| tx.get(&pk, FACTS)).await
    }

    async fn put_devices(&self, devices: &[Device]) -> StoreResult<()> {
        for chunk in devices.chunks(B::MOST_WRITES / WRITES_OF_A_DEVICE) {
            let chunk = chunk.to_vec();
            self.0
                .write(move |tx| chunk.iter().try_for_each(|device| put_device(tx, device)))
                .await?;
        }
        Ok(())
    }

    async fn get_device(&self, device: &DeviceId) -> StoreResult<Option<Device>> {
        let pk = format!("device/{device}");
        self.0.read(move |tx| tx.get(&pk, FACTS)).await
    }

    async fn get_devices(&self, devices: &[DeviceId]) -> StoreResult<Vec<Device>> {
        let pks: Vec<_> = devices.iter().map(|id| format!("device/{id}")).collect();
        self.0.read(move |tx| tx.get_all(&pks, FACTS)).await
    }

    async fn list_devices(
        &self,
        client: &ClientId,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<Device>> {
        let (name, cursor) = (device_list(client), cursor.map(ToOwned::to_owned));
        self.0
            .read(move |tx| tx.list(&name, cursor.as_deref(), limit, Order::Ascending))
            .await
    }

    async fn acquire_lease(
        &self,
        device: &DeviceId,
        owner: &str,
        life: Duration,
        now: Timestamp,
    ) -> StoreResult<Lease> {
        let (pk, owner) = (format!("device/{device}"), owner.to_owned());
        let until = now.checked_add(life).map_err(|error| StoreError::Invalid {
            what: format!("a lease of {life:?} is too long: {error}"),
        })?;
        self.0
            .write(move |tx| acquire(tx, &pk, &owner, until, now))
            .await
    }

    async fn release_lease(&self, device: &DeviceId, owner: &str) -> StoreResult<()> {
        let (pk, owner) = (format!("device/{device}"), owner.to_owned());
        self.0
            .write(move |tx| match tx.get::<LeaseRow>(&pk, LEASE)? {
                Some(held) if held.owner == owner => tx.delete(&pk, LEASE),
                _ => Ok(()),
            })
            .await
    }

    async fn put_patch_page(&self, page: PatchList, number: u32, last: bool) -> StoreResult<()> {
        self.0
            .write(move |tx| put_page(tx, page.clone(), number, last))
            .await
    }

    async fn get_patch_lists(&self, devices: &[DeviceId]) -> StoreResult<Vec<PatchList>> {
        let pks: Vec<_> = devices.iter().map(|id| format!("device/{id}")).collect();
        self.0
            .read(move |tx| tx.get_all(&pks, PatchList::KEY))
            .await
    }

    async fn put_software_page(
        &self,
        page: SoftwareList,
        number: u32,
        last: bool,
    ) -> StoreResult<()> {
        self.0
            .write(move |tx| put_page(tx, page.clone(), number, last))
            .await
    }

    async fn get_software_lists(&self, devices: &[DeviceId]) -> StoreResult<Vec<SoftwareList>> {
        let pks: Vec<_> = devices.iter().map(|id| format!("device/{id}")).collect();
        self.0
            .read(move |tx| tx.get_all(&pks, SoftwareList::KEY))
            .await
    }
}
