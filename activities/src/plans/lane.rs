//! The stragglers lane, and lists of devices by how they ended.

use std::collections::BTreeMap;

use clients::store::{DeviceRow, SealedPlan};
use contracts::{
    activities::plans::{
        GiveUpResult, InstalledResult, PlanPageInput, Straggler, StragglersInput, StragglersResult,
    },
    deployment::Cursor,
};
use domain::{
    device::Device,
    ids::KbId,
    outcome::{DeviceOutcome, DeviceResult},
    windows,
};
use jiff::Timestamp;

use super::{PlanActivities, ROWS, evidence_first, sealed};
use crate::failure::Outcome;

/// Marks rows that were given up, so that a second try counts the same devices.
const GIVEN_UP: &str = "given up: never reachable inside its window";

impl PlanActivities {
    pub(super) async fn stragglers(&self, input: &StragglersInput) -> Outcome<StragglersResult> {
        let plan = sealed(&self.store, &input.plan, input.revision).await?;
        let (places, first) = (Cursor::places(&plan.document), evidence_first(&plan));
        let stops = self
            .guardrails
            .stops(&plan.request.client, &plan.document.actions.install)
            .await?;
        let limit = if stops.any() {
            0
        } else {
            usize::try_from(input.limit).unwrap_or(usize::MAX)
        };
        let mut windows = WindowsNow::new(self, &plan).await?;
        let mut found = StragglersResult {
            ready: Vec::new(),
            waiting: 0,
        };
        let mut cursor = None;
        loop {
            let executions = &self.store.executions;
            let deferred = Some(DeviceOutcome::Deferred);
            let page = executions
                .list_device_rows(&input.plan, deferred, cursor.as_deref(), ROWS)
                .await?;
            for row in page.items {
                // Left out of this revision, or its turn is still to come with its page.
                let Some(place) = places
                    .get(&row.result.device)
                    .filter(|place| **place < input.before)
                else {
                    continue;
                };
                found.waiting += 1;
                if found.ready.len() < limit && self.is_ready(&row, &mut windows).await? {
                    found.ready.push(Straggler {
                        ring: place.ring,
                        evidence_first: first.contains(&row.result.device),
                        ..straggler(row)
                    });
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    async fn is_ready(&self, row: &DeviceRow, windows: &mut WindowsNow<'_>) -> Outcome<bool> {
        let device = self.store.inventory.get_device(&row.result.device).await?;
        match device.filter(|device| device.online) {
            Some(device) => windows.are_open(&device),
            None => Ok(false),
        }
    }

    /// One page of all rows, not of the deferred ones: those become fewer while they are worked on,
    /// and a retry has to count what the try before it already wrote.
    pub(super) async fn give_up(&self, input: &PlanPageInput) -> Outcome<GiveUpResult> {
        let executions = &self.store.executions;
        let page = executions
            .list_device_rows(&input.plan, None, input.cursor.as_deref(), ROWS)
            .await?;
        let mut given_up = 0;
        for row in page.items {
            let result = &row.result;
            if result.outcome == DeviceOutcome::Deferred {
                executions
                    .put_device_row(unreached(row, self.clock.now()))
                    .await?;
                given_up += 1;
            } else if result.outcome == DeviceOutcome::Unreached && result.detail == GIVEN_UP {
                given_up += 1;
            }
        }
        Ok(GiveUpResult {
            given_up,
            cursor: page.next,
        })
    }

    pub(super) async fn installed(&self, input: &PlanPageInput) -> Outcome<InstalledResult> {
        let executions = &self.store.executions;
        let page = executions
            .list_device_rows(&input.plan, None, input.cursor.as_deref(), ROWS)
            .await?;
        let patched = page
            .items
            .into_iter()
            .filter(|row| !installed_by_us(row).is_empty());
        Ok(InstalledResult {
            devices: patched.map(straggler).collect(),
            cursor: page.next,
        })
    }
}

pub(super) fn installed_by_us(row: &DeviceRow) -> Vec<KbId> {
    let ours = row
        .result
        .patches
        .iter()
        .filter(|patch| patch.outcome.is_success());
    ours.map(|patch| patch.kb.clone()).collect()
}

fn straggler(row: DeviceRow) -> Straggler {
    Straggler {
        installed: installed_by_us(&row),
        device: row.result.device,
        ring: row.ring,
        attempts: row.attempt,
        outcome: row.result.outcome,
        evidence_first: false,
        evidence: row.result.evidence,
    }
}

fn unreached(row: DeviceRow, at: Timestamp) -> DeviceRow {
    DeviceRow {
        attempt: row.attempt + 1,
        result: DeviceResult {
            outcome: DeviceOutcome::Unreached,
            detail: GIVEN_UP.to_owned(),
            ..row.result
        },
        at,
        ..row
    }
}

/// Whether the windows of a plan are open now, computed once per time zone.
struct WindowsNow<'a> {
    plan: &'a SealedPlan,
    client_zone: Option<String>,
    now: Timestamp,
    known: BTreeMap<String, bool>,
}

impl<'a> WindowsNow<'a> {
    async fn new(activities: &PlanActivities, plan: &'a SealedPlan) -> Outcome<Self> {
        let client = activities
            .store
            .inventory
            .get_client(&plan.request.client)
            .await?;
        Ok(Self {
            plan,
            client_zone: client.and_then(|client| client.time_zone),
            now: activities.clock.now(),
            known: BTreeMap::new(),
        })
    }

    fn are_open(&mut self, device: &Device) -> Outcome<bool> {
        let document = &self.plan.document;
        let site = device.time_zone.as_deref();
        let zone = windows::zone_for(
            document.time_zone.as_deref(),
            site,
            self.client_zone.as_deref(),
        );
        if let Some(open) = self.known.get(zone) {
            return Ok(*open);
        }
        let open = windows::is_open(&document.windows, &document.blackouts, zone, self.now)?;
        self.known.insert(zone.to_owned(), open);
        Ok(open)
    }
}
