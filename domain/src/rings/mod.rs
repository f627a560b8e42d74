//! Rings: which device is patched when, and whether a ring went well enough for the next one.

mod gate;
#[cfg(test)]
mod properties;
mod stragglers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

pub use self::{
    gate::{GateState, RingCounts, gate},
    stragglers::{LaneTurn, StragglerWait, lane_turn, still_waiting},
};
use crate::{
    device::Device,
    ids::DeviceId,
    input::{InvalidInput, Problem},
    plan::{PlannedDevice, RingSpec},
};

/// Puts each device into exactly one ring.
///
/// Rings choose in their order, each among the devices no earlier ring took: `devices` and `tags`
/// take all that match, `percent` takes that share of *all* devices rounded up, `count` that many,
/// `rest` what is left. `percent` and `count` choose in the order of SHA-256 of the device id, so
/// that they mix sites and kinds (ids are numbered site by site), and the same devices come first
/// in every plan. Without rings, all devices are in one. The result is sorted by ring, then id.
///
/// # Errors
/// When there is no device, a ring gets none, or devices are left over.
pub fn assign(devices: &[&Device], rings: &[RingSpec]) -> Result<Vec<PlannedDevice>, InvalidInput> {
    let mut left: BTreeMap<[u8; 32], &Device> = devices
        .iter()
        .map(|device| (place(&device.id), *device))
        .collect();
    let all = left.len();
    if all == 0 {
        return Err(InvalidInput::one(Problem::new(
            "devices",
            "no device",
            "at least one device",
        )));
    }
    let whole = [RingSpec {
        name: "all".to_owned(),
        rest: true,
        ..RingSpec::default()
    }];
    let mut planned = Vec::with_capacity(all);
    let mut problems = Vec::new();
    for (index, ring) in if rings.is_empty() { &whole } else { rings }
        .iter()
        .enumerate()
    {
        let taken = choose(ring, &left, all);
        if taken.is_empty() {
            problems.push(Problem::new(
                format!("rings[{index}]"),
                &ring.name,
                format!(
                    "a ring with a device; earlier rings took {} of {all}",
                    all - left.len()
                ),
            ));
        }
        for key in taken {
            if let Some(device) = left.remove(&key) {
                let ring = u32::try_from(index).unwrap_or(u32::MAX);
                planned.push(PlannedDevice {
                    ring,
                    id: device.id.clone(),
                    evidence: false,
                });
            }
        }
    }
    if !left.is_empty() {
        let ids: BTreeSet<_> = left.values().map(|device| device.id.as_str()).collect();
        let some: Vec<_> = ids.into_iter().take(5).collect();
        problems.push(Problem::new(
            "rings",
            format!("{} devices in no ring: {}", left.len(), some.join(", ")),
            "rings that take every device, or a last ring with `rest: true`",
        ));
    }
    InvalidInput::when(problems)?;
    planned.sort_unstable();
    Ok(planned)
}

/// A fixed place for each device, that says nothing of its site.
fn place(id: &DeviceId) -> [u8; 32] {
    Sha256::digest(id.as_str().as_bytes()).into()
}

fn choose(ring: &RingSpec, left: &BTreeMap<[u8; 32], &Device>, all: usize) -> Vec<[u8; 32]> {
    let size = match (ring.percent, ring.count) {
        (Some(percent), _) => Some((all * usize::from(percent)).div_ceil(100)),
        (None, Some(count)) => Some(usize::try_from(count).unwrap_or(usize::MAX)),
        (None, None) => None,
    };
    let claims = |device: &Device| {
        ring.rest
            || ring.devices.contains(&device.id)
            || (!ring.tags.is_empty() && ring.tags.is_subset(&device.tags))
    };
    match size {
        Some(size) => left.keys().take(size).copied().collect(),
        None => left
            .iter()
            .filter(|(_, device)| claims(device))
            .map(|(key, _)| *key)
            .collect(),
    }
}
