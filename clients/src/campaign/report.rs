//! Writes the report of a campaign as objects: `.csv`, `.software.csv` where software lists were read,
//! `.html` and, when these are there, `.json`. Devices are read page by page, and held as lines of the table only: storage takes an object
//! whole ([`crate::objects::LARGEST`]).

use std::collections::BTreeSet;

use bytes::Bytes;
use domain::{
    campaign::{
        Campaign,
        report::{DeviceLine, DeviceTable, Fates, PlanReport, Report, ReportBuilder, SeenDevice},
    },
    failure::{Classify, FailureKind},
    ids::{ClientId, DeviceId, PlanId},
    input::{InvalidInput, Problem},
};
use jiff::Timestamp;

use super::PAGE;
use crate::{
    objects::{Created, ObjectKey, Objects, ObjectsError},
    store::{Store, StoreError},
};

/// Most reports of one campaign in one minute.
const MOST_A_MINUTE: u32 = 50;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The storage of objects failed.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// What was asked for does not exist.
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
    /// It cannot be put into a file.
    #[error("the report cannot be written as {kind}")]
    Unwritable {
        /// Which file.
        kind: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Classify for ReportError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Objects(error) => error.kind(),
            Self::Invalid(_) => FailureKind::InvalidInput,
            Self::Unwritable { .. } => FailureKind::Bug,
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => error.may_pass(),
            other => other.kind().is_retryable(),
        }
    }
}

/// A report that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Campaign.
    pub campaign: PlanId,
    /// Its objects.
    pub keys: ReportKeys,
    /// False when all of it was there before, byte by byte.
    pub is_new: bool,
    /// Plans.
    pub plans: u64,
    /// Devices of plans.
    pub devices: Fates,
}

/// Objects of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportKeys {
    /// Sums, plans, updates.
    pub json: ObjectKey,
    /// A line for each plan and device.
    pub csv: ObjectKey,
    /// A page for people.
    pub html: ObjectKey,
    /// A line for each product with vulnerabilities; absent when no software list was read.
    pub software: Option<ObjectKey>,
}

/// Counts a campaign, and writes what became of it; the newest one of the client when none is
/// named, and `None` when the client has none. A repeat finds its own objects; when more has happened
/// meanwhile, it makes others, so that the three always belong together.
///
/// # Errors
/// `Invalid` when the client has no such campaign; otherwise when the store or the storage fails.
pub async fn write(
    store: &Store,
    objects: &Objects,
    (client, campaign): (&ClientId, Option<&PlanId>),
    at: Timestamp,
    alive: &(dyn Fn() + Sync),
) -> Result<Option<Written>, ReportError> {
    let Some(campaign) = find(store, client, campaign).await? else {
        return Ok(None);
    };
    let counting = Counting {
        store,
        builder: ReportBuilder::new(&campaign, at),
        table: DeviceTable::new().map_err(|error| unwritable("CSV", error))?,
        alive,
    };
    let (report, table) = counting.all(&campaign).await?;
    let (keys, is_new) = put(objects, &report, table.into(), alive).await?;
    Ok(Some(Written {
        keys,
        is_new,
        plans: report.plans.len() as u64,
        devices: report.totals.devices,
        campaign: report.campaign,
    }))
}

/// Finds the newest campaign of a client.
///
/// # Errors
/// When the store fails.
pub async fn newest(store: &Store, client: &ClientId) -> Result<Option<Campaign>, StoreError> {
    let newest = store.campaigns.list_campaigns(client, None, 1).await?;
    Ok(newest.items.into_iter().next())
}

async fn find(
    store: &Store,
    client: &ClientId,
    campaign: Option<&PlanId>,
) -> Result<Option<Campaign>, ReportError> {
    let Some(id) = campaign else {
        return Ok(newest(store, client).await?);
    };
    let found = store.campaigns.get_campaign(id).await?;
    // Whether others have one of this name is not said.
    let found = found.filter(|campaign| campaign.client == *client);
    let unknown = || {
        let allowed = format!("a campaign of client {client}, not older than 90 days");
        InvalidInput::one(Problem::new("campaign", id, allowed))
    };
    Ok(Some(found.ok_or_else(unknown)?))
}

struct Counting<'a> {
    store: &'a Store,
    builder: ReportBuilder,
    table: DeviceTable,
    alive: &'a (dyn Fn() + Sync),
}

impl Counting<'_> {
    async fn all(mut self, campaign: &Campaign) -> Result<(Report, Vec<u8>), ReportError> {
        for (number, plan) in campaign.in_order() {
            let status = self.store.executions.get_status(&plan.plan).await?;
            self.builder.plan(plan, status.as_ref());
            self.devices(&campaign.id, number, &plan.plan).await?;
        }
        let table = self.table.finish();
        let table = table.map_err(|error| unwritable("CSV", error))?;
        Ok((self.builder.finish(), table))
    }

    /// Devices that have ended, then those that have not.
    async fn devices(
        &mut self,
        campaign: &PlanId,
        number: u32,
        plan: &PlanId,
    ) -> Result<(), ReportError> {
        let request = self.store.campaigns.campaign_request(campaign, number);
        let request = request.await?;
        let ids = request.map(|request| request.devices.ids);
        let mut unseen: BTreeSet<DeviceId> = ids.into_iter().flatten().collect();
        let mut cursor: Option<String> = None;
        loop {
            let rows = &self.store.executions;
            let page = rows.list_device_rows(plan, None, cursor.as_deref(), PAGE);
            let page = page.await?;
            for row in &page.items {
                unseen.remove(&row.result.device);
                let line = self.builder.seen(SeenDevice {
                    result: &row.result,
                    ring: row.ring,
                    attempt: row.attempt,
                    at: row.at,
                });
                self.line(line)?;
            }
            (self.alive)();
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        for device in &unseen {
            let line = self.builder.unseen(device);
            self.line(line)?;
        }
        Ok(())
    }

    fn line(&mut self, line: Option<DeviceLine>) -> Result<(), ReportError> {
        let plan: Option<&PlanReport> = self.builder.current();
        if let (Some(plan), Some(line)) = (plan, line) {
            let added = self.table.add(plan, &line);
            added.map_err(|error| unwritable("CSV", error))?;
        }
        Ok(())
    }
}

/// Writes one after the other, so that what a try left behind that has died is the beginning of one
/// report and never a mixture of two.
async fn put(
    objects: &Objects,
    report: &Report,
    csv: Bytes,
    alive: &(dyn Fn() + Sync),
) -> Result<(ReportKeys, bool), ReportError> {
    let json = report.to_json();
    let json: Bytes = json.map_err(|error| unwritable("JSON", error))?.into();
    let html: Bytes = report.to_html().into();
    let software = report.software_table();
    let software: Option<Bytes> = software
        .map_err(|error| unwritable("CSV", error))?
        .map(Into::into);
    let mut number = 1;
    loop {
        let key = |ending| {
            let when = (report.written_at, number);
            ObjectKey::campaign_report(&report.client, &report.campaign, when, ending)
        };
        let keys = ReportKeys {
            json: key("json")?,
            csv: key("csv")?,
            html: key("html")?,
            software: match software {
                Some(_) => Some(key("software.csv")?),
                None => None,
            },
        };
        let mut files = vec![(&keys.csv, &csv), (&keys.html, &html)];
        files.extend(keys.software.iter().zip(&software));
        files.push((&keys.json, &json));
        match create(objects, &files, alive).await {
            Err(ObjectsError::Conflict { .. }) if number < MOST_A_MINUTE => number += 1,
            written => return Ok((keys, written?)),
        }
    }
}

async fn create(
    objects: &Objects,
    files: &[(&ObjectKey, &Bytes)],
    alive: &(dyn Fn() + Sync),
) -> Result<bool, ObjectsError> {
    let mut is_new = false;
    for (key, body) in files {
        alive();
        is_new |= objects.create(key, (*body).clone()).await? == Created::Now;
    }
    Ok(is_new)
}

fn unwritable(
    kind: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> ReportError {
    ReportError::Unwritable {
        kind,
        source: Box::new(source),
    }
}
