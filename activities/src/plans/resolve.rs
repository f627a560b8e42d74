//! Which devices a request means, and in which ring each is.

use std::collections::{BTreeMap, BTreeSet};

use clients::{campaign, store::Store};
use contracts::{
    activities::plans::{ResolveInput, ResolveResult},
    deployment::RingRef,
};
use domain::{
    device::Device,
    evidence::EvidenceRule,
    ids::DeviceId,
    input::{InvalidInput, Problem},
    plan::{DeviceSelector, PAGE_SIZE, PlanRequest, PlannedDevice, RingSpec},
    plan_check, rings,
    risk::DeviceSummary,
};
use jiff::{SignedDuration, Timestamp};

use super::{PlanActivities, devices_of};
use crate::failure::Outcome;

/// A device that the last whole walk did not see for so long is gone from `SuperOps`.
const GONE_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// The devices a request means, before guardrails.
#[derive(Debug)]
pub(super) struct Selection {
    /// Devices, without the ones left out by amendments.
    pub(super) devices: Vec<Device>,
    /// Where each belongs.
    pub(super) planned: Vec<PlannedDevice>,
    /// Devices of the client in all.
    pub(super) client_total: u32,
}

impl PlanActivities {
    pub(super) async fn find_devices(&self, input: &ResolveInput) -> Outcome<ResolveResult> {
        let selection = select(
            &self.store,
            &input.request,
            &input.removed,
            self.clock.now(),
        )
        .await?;
        let probes = probes(&selection, input.request.limits.detail_probes);
        let worth_asking = worth_asking(&selection.devices).len();
        Ok(ResolveResult {
            devices: DeviceSummary::of(&selection.devices, selection.client_total),
            rings: ring_refs(&input.request.rings, &selection.planned),
            evidence_first: marked(&selection.planned),
            probes_are_all: probes.len() == worth_asking,
            probes,
        })
    }
}

/// Checks a request and finds its devices.
///
/// Rings are judged over everything the request names: an amendment or a guardrail that empties a
/// ring later leaves it empty and is no error.
pub(super) async fn select(
    store: &Store,
    request: &PlanRequest,
    removed: &[DeviceId],
    now: Timestamp,
) -> Outcome<Selection> {
    plan_check::check(request, now)?;
    let all = present_devices(store, request).await?;
    let client_total = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let named = matching(&request.devices, &all)?;
    check_ring_devices(request, &named)?;
    let whole = rings::assign(&named, &request.rings)?;
    let left: Vec<&Device> = named
        .into_iter()
        .filter(|device| !removed.contains(&device.id))
        .collect();
    if left.is_empty() {
        let problem = Problem::new(
            "devices",
            "no device",
            "at least one device that was not left out",
        );
        return Err(InvalidInput::one(problem).into());
    }
    let mut planned = reassign(&left, &request.rings, &whole);
    let left: Vec<Device> = left.into_iter().cloned().collect();
    mark(store, request, &left, &mut planned).await?;
    Ok(Selection {
        devices: left,
        planned,
        client_total,
    })
}

/// Marks the devices that evidence is taken of first. Under a waiver they stay marked: who approves it
/// has to see what is waived.
async fn mark(
    store: &Store,
    request: &PlanRequest,
    devices: &[Device],
    planned: &mut [PlannedDevice],
) -> Outcome<()> {
    if request.evidence == EvidenceRule::Required {
        planned.iter_mut().for_each(|device| device.evidence = true);
        return Ok(());
    }
    let first = campaign::evidence_first(store, &request.patches, devices).await?;
    for device in planned {
        device.evidence = first.contains(&device.id);
    }
    Ok(())
}

/// Counts the marked ones.
pub(super) fn marked(planned: &[PlannedDevice]) -> u32 {
    let marked = planned.iter().filter(|device| device.evidence);
    u32::try_from(marked.count()).unwrap_or(u32::MAX)
}

async fn present_devices(store: &Store, request: &PlanRequest) -> Outcome<Vec<Device>> {
    let record = store.inventory.get_client(&request.client).await?;
    let synced_at = record.and_then(|record| record.synced_at);
    let oldest = synced_at.and_then(|at| at.checked_sub(GONE_AFTER).ok());
    let mut devices = devices_of(store, &request.client).await?;
    devices.retain(|device| oldest.is_none_or(|oldest| device.seen_at >= oldest));
    Ok(devices)
}

/// Puts what is left of a plan into rings. Shares are taken of what is left; when that would empty
/// a ring, everything stays where it was. Marks stay.
pub(super) fn reassign(
    left: &[&Device],
    specs: &[RingSpec],
    before: &[PlannedDevice],
) -> Vec<PlannedDevice> {
    let marked: BTreeSet<&DeviceId> = before
        .iter()
        .filter(|planned| planned.evidence)
        .map(|planned| &planned.id)
        .collect();
    let assigned = rings::assign(left, specs).map(|mut planned| {
        for device in &mut planned {
            device.evidence = marked.contains(&device.id);
        }
        planned
    });
    assigned.unwrap_or_else(|_| {
        let ids: BTreeSet<&DeviceId> = left.iter().map(|device| &device.id).collect();
        before
            .iter()
            .filter(|planned| ids.contains(&planned.id))
            .cloned()
            .collect()
    })
}

/// Devices named by id and those that carry all the tags.
fn matching<'a>(
    selector: &DeviceSelector,
    all: &'a [Device],
) -> Result<Vec<&'a Device>, InvalidInput> {
    let mut chosen: BTreeMap<&DeviceId, &Device> = BTreeMap::new();
    let by_id: BTreeMap<&DeviceId, &Device> =
        all.iter().map(|device| (&device.id, device)).collect();
    let mut problems = Vec::new();
    for (i, id) in selector.ids.iter().enumerate() {
        match by_id.get(id) {
            Some(device) => {
                chosen.insert(&device.id, device);
            }
            None => problems.push(Problem::new(
                format!("devices.ids[{i}]"),
                id,
                "the assetId of a device that SuperOps lists for this client",
            )),
        }
    }
    if !selector.tags.is_empty() {
        let tagged: Vec<_> = all
            .iter()
            .filter(|device| selector.tags.is_subset(&device.tags))
            .collect();
        if tagged.is_empty() {
            let tags: Vec<_> = selector.tags.iter().map(String::as_str).collect();
            let allowed =
                "tags (lower case) that at least one device of this client carries together";
            problems.push(Problem::new("devices.tags", tags.join(", "), allowed));
        }
        chosen.extend(tagged.into_iter().map(|device| (&device.id, device)));
    }
    if selector.all {
        chosen.extend(all.iter().map(|device| (&device.id, device)));
        if chosen.is_empty() {
            problems.push(Problem::new(
                "devices.all",
                "no device",
                "a client with devices in SuperOps",
            ));
        }
    }
    InvalidInput::when(problems)?;
    Ok(chosen.into_values().collect())
}

/// A ring may name only devices that the request selects.
fn check_ring_devices(request: &PlanRequest, named: &[&Device]) -> Result<(), InvalidInput> {
    let ids: BTreeSet<&DeviceId> = named.iter().map(|device| &device.id).collect();
    let mut problems = Vec::new();
    for (i, ring) in request.rings.iter().enumerate() {
        for (j, id) in ring
            .devices
            .iter()
            .enumerate()
            .filter(|(_, id)| !ids.contains(id))
        {
            let field = format!("rings[{i}].devices[{j}]");
            problems.push(Problem::new(field, id, "a device that `devices` selects"));
        }
    }
    InvalidInput::when(problems)
}

/// Names and sizes of the rings.
pub(super) fn ring_refs(specs: &[RingSpec], planned: &[PlannedDevice]) -> Vec<RingRef> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for device in planned {
        *counts.entry(device.ring).or_default() += 1;
    }
    let names: Vec<&str> = if specs.is_empty() {
        vec!["all"]
    } else {
        specs.iter().map(|ring| ring.name.as_str()).collect()
    };
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (0_u32..)
        .zip(names)
        .map(|(index, name)| {
            let count = counts.get(&index).copied().unwrap_or_default();
            let pages = count.div_ceil(PAGE_SIZE);
            RingRef {
                name: name.to_owned(),
                count: number(count),
                pages: number(pages),
            }
        })
        .collect()
}

/// Devices whose patch list can name a KB; all, when there is no Windows device.
fn worth_asking(devices: &[Device]) -> BTreeSet<&DeviceId> {
    let windows: BTreeSet<_> = devices
        .iter()
        .filter(|device| device.platform.is_windows())
        .map(|device| &device.id)
        .collect();
    if windows.is_empty() {
        devices.iter().map(|device| &device.id).collect()
    } else {
        windows
    }
}

/// Chooses devices in turn from each ring, and within a ring spread over it.
fn probes(selection: &Selection, most: u32) -> Vec<DeviceId> {
    let worth = worth_asking(&selection.devices);
    let mut rings: BTreeMap<u32, Vec<&DeviceId>> = BTreeMap::new();
    for device in selection
        .planned
        .iter()
        .filter(|planned| worth.contains(&planned.id))
    {
        rings.entry(device.ring).or_default().push(&device.id);
    }
    let candidates = rings.values().map(Vec::len).sum();
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(candidates);
    let mut shares = vec![0_usize; rings.len()];
    let mut left = most;
    while left > 0 {
        for (share, devices) in shares.iter_mut().zip(rings.values()) {
            if left > 0 && *share < devices.len() {
                *share += 1;
                left -= 1;
            }
        }
    }
    let spread = |(devices, share): (Vec<&DeviceId>, usize)| -> Vec<DeviceId> {
        (0..share)
            .map(|i| devices[i * devices.len() / share].clone())
            .collect()
    };
    rings.into_values().zip(shares).flat_map(spread).collect()
}
