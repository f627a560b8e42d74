//! Rings: which device is patched when, and whether a ring went well enough for the next one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    device::Device,
    ids::DeviceId,
    input::{InvalidInput, Problem},
    plan::{GateSpec, PlannedDevice, RingSpec},
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

/// Devices of a ring that were attempted, and how many of those failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingCounts {
    /// Something was done to them and has ended; includes those that failed.
    pub attempted: u32,
    /// Of these, failed.
    pub failed: u32,
}

/// What a gate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum GateState {
    /// Not enough is known.
    Undecided,
    /// The next ring may start, after the soak time.
    Open,
    /// The ring went wrong: start no further device.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

/// Judges a ring.
///
/// `ring_size`: devices of the ring that can be attempted, so without those that needed nothing or
/// were forbidden; devices that are offline count. `finished`: no device of the ring is in work or
/// waits for its turn now.
///
/// - It opens only when finished, with `min_devices` attempted (or all, if the ring has fewer), and
///   `success_percent` of the attempted succeeded. Finished with too few attempted, it stays
///   undecided: the rest is offline, and that proves nothing.
/// - It fails as soon as it cannot open any more, even if all devices to come succeed.
/// - It fails before that when few attempts already show a bad update: Wald's sequential probability
///   ratio test (A. Wald, "Sequential Tests of Statistical Hypotheses", Annals of Mathematical
///   Statistics 16, 1945). p0 = the allowed failure rate, `100 - success_percent`; p1 = p0 + 25
///   percentage points, at most 99; alpha = 5 % (a good update is stopped), beta = 10 % (a bad one
///   goes on). It stops when `f ln(p1/p0) + (n-f) ln((1-p1)/(1-p0)) >= ln((1-beta)/alpha) = ln 18`,
///   and two failed at least. With 95 % required: 2 of 4, 3 of 11, 4 of 17. The other boundary is not
///   used: an update is never declared good early.
///
/// With `success_percent` 100 the first failure fails the gate.
#[must_use]
pub fn gate(spec: &GateSpec, ring_size: u32, counts: &RingCounts, finished: bool) -> GateState {
    let attempted = counts.attempted;
    let failed = counts.failed.min(attempted);
    let allowed_percent = 100 - u64::from(spec.success_percent.min(100));
    let too_many = |of: u32| u64::from(failed) * 100 > allowed_percent * u64::from(of);
    let fail = |why: &str| GateState::Failed {
        reason: format!(
            "{failed} of {attempted} attempted devices failed, {}% must succeed: {why}",
            spec.success_percent
        ),
    };
    if too_many(ring_size.max(attempted)) {
        return fail("it cannot be reached any more");
    }
    if finished {
        let needed = spec.min_devices.min(ring_size);
        return if too_many(attempted) && attempted >= needed {
            fail("the ring is finished")
        } else if attempted >= needed {
            GateState::Open
        } else if obviously_bad(allowed_percent, attempted, failed) {
            fail("so many among so few are no accident")
        } else {
            GateState::Undecided
        };
    }
    if obviously_bad(allowed_percent, attempted, failed) {
        return fail("so many among so few are no accident");
    }
    GateState::Undecided
}

/// Wald's test in integers, so that every machine and every replay decides alike.
fn obviously_bad(allowed_percent: u64, attempted: u32, failed: u32) -> bool {
    const WORSE_BY: usize = 25;
    let Ok(p0) = usize::try_from(allowed_percent) else {
        return false;
    };
    let p1 = (p0 + WORSE_BY).min(99);
    if p0 == 0 || p1 <= p0 || failed < 2 {
        return false;
    }
    let for_bad = i64::from(failed) * (LN[p1] - LN[p0]);
    let for_good = i64::from(attempted - failed) * (LN[100 - p0] - LN[100 - p1]);
    for_bad - for_good >= LN[18]
}

/// `1000 ln(k)`, rounded, for k from 1 to 100; the first entry is not used.
#[rustfmt::skip]
const LN: [i64; 101] = [
    0, 0, 693, 1_099, 1_386, 1_609, 1_792, 1_946, 2_079, 2_197, 2_303, 2_398,
    2_485, 2_565, 2_639, 2_708, 2_773, 2_833, 2_890, 2_944, 2_996, 3_045, 3_091, 3_135,
    3_178, 3_219, 3_258, 3_296, 3_332, 3_367, 3_401, 3_434, 3_466, 3_497, 3_526, 3_555,
    3_584, 3_611, 3_638, 3_664, 3_689, 3_714, 3_738, 3_761, 3_784, 3_807, 3_829, 3_850,
    3_871, 3_892, 3_912, 3_932, 3_951, 3_970, 3_989, 4_007, 4_025, 4_043, 4_060, 4_078,
    4_094, 4_111, 4_127, 4_143, 4_159, 4_174, 4_190, 4_205, 4_220, 4_234, 4_248, 4_263,
    4_277, 4_290, 4_304, 4_317, 4_331, 4_344, 4_357, 4_369, 4_382, 4_394, 4_407, 4_419,
    4_431, 4_443, 4_454, 4_466, 4_477, 4_489, 4_500, 4_511, 4_522, 4_533, 4_543, 4_554,
    4_564, 4_575, 4_585, 4_595, 4_605,
];

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::device::{Basis, Criticality, Exposure, Known, Platform};

    fn device(id: &str, tags: &[&str]) -> Device {
        Device {
            id: id.parse().unwrap(),
            client: "7".parse().unwrap(),
            site: None,
            name: id.to_owned(),
            platform: Platform::WindowsWorkstation,
            os_version: String::new(),
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            criticality: Known {
                value: Criticality::Normal,
                basis: Basis::Inferred,
            },
            exposure: Known {
                value: Exposure::Internal,
                basis: Basis::Inferred,
            },
            time_zone: None,
            online: true,
            last_communicated_at: None,
            last_reported_at: None,
            seen_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn fleet(size: usize) -> Vec<Device> {
        (0..size)
            .map(|i| {
                device(
                    &format!("{}", 1000 + i),
                    if i % 4 == 0 { &["server"] } else { &[] },
                )
            })
            .collect()
    }

    fn percent(value: u8) -> RingSpec {
        RingSpec {
            name: format!("{value}%"),
            percent: Some(value),
            ..RingSpec::default()
        }
    }

    fn count(value: u32) -> RingSpec {
        RingSpec {
            name: format!("{value}"),
            count: Some(value),
            ..RingSpec::default()
        }
    }

    fn rest() -> RingSpec {
        RingSpec {
            name: "rest".into(),
            rest: true,
            ..RingSpec::default()
        }
    }

    fn sizes(devices: &[Device], rings: &[RingSpec]) -> Vec<usize> {
        let planned = assign(&devices.iter().collect::<Vec<_>>(), rings).unwrap();
        (0..rings.len().max(1))
            .map(|i| planned.iter().filter(|d| d.ring as usize == i).count())
            .collect()
    }

    fn fields(devices: &[Device], rings: &[RingSpec]) -> Vec<String> {
        let error = assign(&devices.iter().collect::<Vec<_>>(), rings).unwrap_err();
        error.problems.into_iter().map(|p| p.field).collect()
    }

    #[test]
    fn percent_is_of_all_devices_and_rounded_up() {
        assert_eq!(
            sizes(&fleet(21), &[percent(5), percent(20), rest()]),
            [2, 5, 14]
        );
        assert_eq!(
            sizes(&fleet(10), &[percent(34), percent(33), percent(33)]),
            [4, 4, 2]
        );
        assert_eq!(sizes(&fleet(3), &[]), [3]);
    }

    #[test]
    fn a_device_is_in_the_first_ring_that_claims_it() {
        let named = RingSpec {
            name: "named".into(),
            devices: vec!["1000".parse().unwrap()],
            ..RingSpec::default()
        };
        let servers = RingSpec {
            name: "servers".into(),
            tags: BTreeSet::from(["server".into()]),
            ..RingSpec::default()
        };
        assert_eq!(sizes(&fleet(8), &[named, servers, rest()]), [1, 1, 6]);
    }

    #[test]
    fn the_order_of_the_input_does_not_matter_and_a_canary_ring_mixes_ids() {
        let devices = fleet(100);
        let forward: Vec<_> = devices.iter().collect();
        let backward: Vec<_> = devices.iter().rev().collect();
        let rings = [count(10), rest()];
        let planned = assign(&forward, &rings).unwrap();
        assert_eq!(planned, assign(&backward, &rings).unwrap());
        let canaries: Vec<u32> = planned
            .iter()
            .filter(|d| d.ring == 0)
            .map(|d| d.id.as_str().parse().unwrap())
            .collect();
        let near = canaries.iter().filter(|id| **id < 1010).count();
        assert!(
            near <= 3 && canaries.iter().max() > Some(&1080),
            "{canaries:?}"
        );
    }

    #[test]
    fn an_empty_ring_and_devices_without_a_ring_are_named() {
        let nobody = RingSpec {
            name: "x".into(),
            tags: BTreeSet::from(["none".into()]),
            ..RingSpec::default()
        };
        assert_eq!(
            fields(&fleet(4), &[percent(50), nobody]),
            ["rings[1]", "rings"]
        );
        assert_eq!(fields(&fleet(1), &[percent(5), rest()]), ["rings[1]"]);
        assert_eq!(fields(&[], &[]), ["devices"]);
    }

    fn spec(min_devices: u32, success_percent: u8) -> GateSpec {
        GateSpec {
            min_devices,
            success_percent,
            ..GateSpec::default()
        }
    }

    fn state(spec: GateSpec, ring: u32, attempted: u32, failed: u32, finished: bool) -> GateState {
        gate(&spec, ring, &RingCounts { attempted, failed }, finished)
    }

    fn failed(state: &GateState) -> bool {
        matches!(state, GateState::Failed { .. })
    }

    #[test]
    fn the_table_holds_logarithms() {
        for k in 1..=100_u8 {
            let exact = f64::from(k).ln() * 1000.0;
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let stored = LN[usize::from(k)] as f64;
            assert!((stored - exact).abs() <= 0.5, "{k}");
        }
    }

    #[test]
    fn a_finished_ring_opens_by_its_rate() {
        assert_eq!(state(spec(1, 95), 40, 40, 2, true), GateState::Open);
        assert!(failed(&state(spec(1, 95), 40, 40, 3, true)));
        assert_eq!(state(spec(1, 95), 40, 40, 2, false), GateState::Undecided);
    }

    #[test]
    fn too_few_attempts_prove_nothing_unless_the_ring_has_no_more() {
        assert_eq!(state(spec(5, 95), 10, 4, 0, true), GateState::Undecided);
        assert_eq!(state(spec(5, 95), 4, 4, 0, true), GateState::Open);
        assert_eq!(state(spec(5, 95), 0, 0, 0, true), GateState::Open);
        assert_eq!(state(spec(5, 95), 10, 0, 0, true), GateState::Undecided);
    }

    #[test]
    fn with_a_hundred_percent_the_first_failure_fails() {
        assert!(failed(&state(spec(1, 100), 500, 1, 1, false)));
        assert_eq!(
            state(spec(1, 100), 500, 499, 0, false),
            GateState::Undecided
        );
    }

    #[test]
    fn it_fails_as_soon_as_the_rate_cannot_be_reached() {
        assert_eq!(state(spec(1, 90), 10, 1, 1, false), GateState::Undecided);
        assert!(failed(&state(spec(1, 90), 10, 9, 2, false)));
    }

    #[test]
    fn a_bad_update_is_stopped_after_few_devices() {
        for (attempted, failures) in [(2, 2), (4, 2), (11, 3), (17, 4)] {
            assert!(
                failed(&state(spec(1, 95), 1000, attempted, failures, false)),
                "{failures} of {attempted}"
            );
            assert_eq!(
                state(spec(1, 95), 1000, attempted + 3, failures, false),
                GateState::Undecided
            );
        }
        assert_eq!(state(spec(1, 95), 1000, 1, 1, false), GateState::Undecided);
        assert_eq!(state(spec(1, 0), 1000, 50, 50, false), GateState::Undecided);
    }

    proptest! {
        #[test]
        fn assignment_covers_each_device_once(
            size in 1_usize..80,
            shares in prop::collection::vec(1_u8..30, 0..4),
        ) {
            let devices = fleet(size);
            let mut rings: Vec<_> = shares.into_iter().map(percent).collect();
            rings.push(rest());
            if let Ok(planned) = assign(&devices.iter().collect::<Vec<_>>(), &rings) {
                let ids: BTreeSet<_> = planned.iter().map(|d| d.id.clone()).collect();
                prop_assert_eq!(ids.len(), size);
                prop_assert_eq!(planned.len(), size);
                let sorted = planned.is_sorted();
                prop_assert!(sorted);
            }
        }

        #[test]
        fn it_never_opens_on_too_few_or_before_the_end(
            min in 0_u32..20, success in 0_u8..=100, ring in 0_u32..200,
            attempted in 0_u32..200, failures in 0_u32..200, finished: bool,
        ) {
            let attempted = attempted.min(ring);
            let counts = RingCounts { attempted, failed: failures.min(attempted) };
            if gate(&spec(min, success), ring, &counts, finished) == GateState::Open {
                prop_assert!(finished && attempted >= min.min(ring));
                let succeeded = u64::from(attempted - counts.failed);
                prop_assert!(succeeded * 100 >= u64::from(success) * u64::from(attempted));
            }
        }

        #[test]
        fn more_failures_never_make_it_better(
            min in 0_u32..20, success in 0_u8..=100, ring in 1_u32..200,
            attempted in 0_u32..200, failures in 0_u32..200, more in 0_u32..50, finished: bool,
        ) {
            let attempted = attempted.min(ring);
            let few = failures.min(attempted);
            let many = (few + more).min(attempted);
            let before = state(spec(min, success), ring, attempted, few, finished);
            let after = state(spec(min, success), ring, attempted, many, finished);
            if failed(&before) {
                prop_assert!(failed(&after));
            }
            if after == GateState::Open {
                prop_assert_eq!(before, GateState::Open);
            }
        }

        #[test]
        fn stopping_early_never_stops_what_would_open(
            success in 0_u8..=100, attempted in 0_u32..200, failures in 0_u32..200,
        ) {
            let failures = failures.min(attempted);
            if state(spec(1, success), attempted, attempted, failures, true) == GateState::Open {
                let early = state(spec(1, success), attempted, attempted, failures, false);
                prop_assert_eq!(early, GateState::Undecided);
            }
        }
    }
}
