//! Gathers from the store what installed programs have; asks no outside system.

use std::collections::{BTreeSet, HashMap};

use domain::{
    device::Device,
    ids::{ClientId, DeviceId},
    software::{Catalogue, Family, Matcher, SoftwareList, SoftwareSummary, Tally},
    vulnerability::{
        cpe::Product, deadline::Deadline, kev::Histories, record::VulnerabilityRecord,
    },
};
use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use crate::{
    intel::Catalogue as KevCatalogue,
    store::{Store, StoreResult},
};

const PAGE: usize = 200;

/// Sums up what the programs of devices have; `None` when no software list of them was ever read. Lists
/// are held page by page, records of the products that are installed all at once.
///
/// # Errors
/// When the store cannot be read.
pub async fn summary(
    store: &Store,
    devices: &[Device],
    histories: Histories,
    now: Timestamp,
) -> StoreResult<Option<SoftwareSummary>> {
    let mut records = Records::new(histories, now);
    let mut tally = Tally::default();
    let mut is_known = false;
    for page in devices.chunks(PAGE) {
        let mut lists = lists(store, page).await?;
        for device in page {
            let Some(list) = lists.remove(&device.id) else {
                tally.unread();
                continue;
            };
            is_known = true;
            records.of_list(store, device, &list).await?;
            tally.add(&mut records.matcher, device, &list);
        }
    }
    Ok(is_known.then(|| tally.finish(&records.matcher)))
}

async fn lists(store: &Store, devices: &[Device]) -> StoreResult<HashMap<DeviceId, SoftwareList>> {
    let ids: Vec<DeviceId> = devices.iter().map(|device| device.id.clone()).collect();
    let lists = store.inventory.get_software_lists(&ids).await?;
    let lists = lists.into_iter().map(|list| (list.device.clone(), list));
    Ok(lists.collect())
}

/// Records of the products that have been asked for.
struct Records {
    matcher: Matcher,
    read: BTreeSet<Option<Product>>,
}

impl Records {
    fn new(histories: Histories, now: Timestamp) -> Self {
        Self {
            matcher: Matcher::new(Catalogue::built_in(), histories, now),
            read: BTreeSet::new(),
        }
    }

    /// Reads what is known of the products of a list, and has not been read yet.
    async fn of_list(
        &mut self,
        store: &Store,
        device: &Device,
        list: &SoftwareList,
    ) -> StoreResult<()> {
        let products = self.matcher.products(Family::from(device.platform), list);
        // What is in many products is listed apart.
        let wanted = products.into_iter().map(Some).chain([None]);
        for product in wanted {
            if self.read.insert(product.clone()) {
                self.of_product(store, product.as_ref()).await?;
            }
        }
        Ok(())
    }

    async fn of_product(&mut self, store: &Store, product: Option<&Product>) -> StoreResult<()> {
        let facts = &store.vulnerabilities;
        let mut cursor: Option<String> = None;
        loop {
            let page = facts.list_of_product(product, cursor.as_deref(), PAGE);
            let page = page.await?;
            page.items
                .into_iter()
                .for_each(|record| self.matcher.add(record));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

/// A device that has a vulnerability by one of its programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Affected {
    /// Device.
    pub device: DeviceId,
    /// Its name.
    pub device_name: String,
    /// Program.
    pub program: String,
    /// Its version.
    pub version: Option<String>,
    /// False when nobody can say.
    pub is_certain: bool,
    /// By when it has to be closed.
    pub band: Deadline,
    /// That day.
    pub due: Option<Date>,
    /// That day is over.
    pub overdue: bool,
    /// First version without it, where one is named.
    pub fixed_in: Option<String>,
    /// The criterion that fits.
    pub why: String,
}

/// Which devices of a client have a vulnerability by their programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AffectedDevices {
    /// Devices of the client.
    pub devices: u64,
    /// Of these, how many have no software list: nothing is known of their programs.
    pub unread: u64,
    /// Those that have it, or may have it.
    pub affected: Vec<Affected>,
}

/// Looks at the programs of all devices of a client for one vulnerability.
///
/// # Errors
/// When the store cannot be read.
pub async fn affected(
    store: &Store,
    client: &ClientId,
    record: &VulnerabilityRecord,
    now: Timestamp,
) -> StoreResult<AffectedDevices> {
    let mut records = Records::new(KevCatalogue::histories(store).await?, now);
    records.matcher.add(record.clone());
    let mut found = AffectedDevices::default();
    let mut cursor: Option<String> = None;
    loop {
        let page = store
            .inventory
            .list_devices(client, cursor.as_deref(), PAGE);
        let page = page.await?;
        let mut lists = lists(store, &page.items).await?;
        for device in &page.items {
            found.devices += 1;
            match lists.remove(&device.id) {
                Some(list) => found.add(&mut records.matcher, device, &list),
                None => found.unread += 1,
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

impl AffectedDevices {
    fn add(&mut self, matcher: &mut Matcher, device: &Device, list: &SoftwareList) {
        matcher.judge(Family::from(device.platform), list);
        let findings = matcher.findings(device, list);
        self.affected.extend(findings.map(|finding| Affected {
            device: device.id.clone(),
            device_name: device.name.clone(),
            program: finding.program.name.clone(),
            version: finding.program.version.clone(),
            is_certain: finding.verdict.is_certain,
            band: finding.band,
            due: finding.due,
            overdue: finding.overdue,
            fixed_in: finding.verdict.fixed_in.clone(),
            why: finding.verdict.why.clone(),
        }));
    }
}
