use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{
    device::{Basis, Criticality, Exposure, Known, Platform},
    plan::GateSpec,
};

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

pub(super) fn fleet(size: usize) -> Vec<Device> {
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
