//! What holds for all rings and gates.

use proptest::prelude::*;

use super::{tests::fleet, *};
use crate::{
    outcome::{DeviceOutcome, OutcomeCounts},
    plan::GateSpec,
};

const OUTCOMES: [DeviceOutcome; 13] = [
    DeviceOutcome::Verified,
    DeviceOutcome::VerifiedByScript,
    DeviceOutcome::AlreadyInstalled,
    DeviceOutcome::NotApplicable,
    DeviceOutcome::Superseded,
    DeviceOutcome::RolledBack,
    DeviceOutcome::Failed,
    DeviceOutcome::ReportedMissing,
    DeviceOutcome::NeedsHuman,
    DeviceOutcome::Deferred,
    DeviceOutcome::Unreached,
    DeviceOutcome::Forbidden,
    DeviceOutcome::Aborted,
];

/// One ring of any kind, for a fleet whose ids count from 1000 and whose every fourth is a server.
fn ring() -> impl Strategy<Value = RingSpec> {
    let named = prop::collection::btree_set(1000_u32..1060, 1..6);
    prop_oneof![
        (1_u8..=40).prop_map(|percent| RingSpec {
            percent: Some(percent),
            ..RingSpec::default()
        }),
        (1_u32..20).prop_map(|count| RingSpec {
            count: Some(count),
            ..RingSpec::default()
        }),
        named.prop_map(|ids| RingSpec {
            devices: ids
                .iter()
                .map(|id| id.to_string().parse().unwrap())
                .collect(),
            ..RingSpec::default()
        }),
        Just(RingSpec {
            tags: BTreeSet::from(["server".to_owned()]),
            ..RingSpec::default()
        }),
    ]
}

fn rest() -> RingSpec {
    RingSpec {
        rest: true,
        ..RingSpec::default()
    }
}

fn spec() -> impl Strategy<Value = GateSpec> {
    let success = prop_oneof![Just(95), Just(100), 0_u8..=100];
    (0_u32..30, success).prop_map(|(min_devices, success_percent)| GateSpec {
        min_devices,
        success_percent,
        ..GateSpec::default()
    })
}

/// Reports of a ring, true for a failure: of a good update, a bad one, and anything between.
fn reports() -> impl Strategy<Value = Vec<bool>> {
    (0.0..1.0_f64, 1_usize..120)
        .prop_flat_map(|(rate, size)| prop::collection::vec(prop::bool::weighted(rate), size))
}

fn counts_of(reports: &[bool]) -> RingCounts {
    let failed = reports.iter().filter(|failed| **failed).count();
    RingCounts {
        attempted: size_of(reports),
        failed: u32::try_from(failed).unwrap(),
    }
}

fn size_of<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap()
}

fn failed(state: &GateState) -> bool {
    matches!(state, GateState::Failed { .. })
}

proptest! {
    #[test]
    fn no_device_is_in_two_rings_and_none_is_lost(
        size in 1_usize..60,
        mut rings in prop::collection::vec(ring(), 0..4),
        has_rest in prop::bool::weighted(0.8),
        listed_twice in prop::collection::vec(0_usize..60, 0..3),
    ) {
        if has_rest {
            rings.push(rest());
        }
        let devices = fleet(size);
        let twice = listed_twice.iter().filter_map(|i| devices.get(*i));
        let listed: Vec<_> = devices.iter().chain(twice).collect();
        match assign(&listed, &rings) {
            Ok(planned) => {
                let mut ids: Vec<_> = planned.iter().map(|device| &device.id).collect();
                ids.sort_unstable();
                prop_assert_eq!(ids, devices.iter().map(|device| &device.id).collect::<Vec<_>>());
                let used: BTreeSet<_> = planned.iter().map(|device| device.ring as usize).collect();
                prop_assert!(used.into_iter().eq(0..rings.len().max(1)));
            }
            Err(error) => {
                let lost = error.problems.iter().any(|problem| problem.field == "rings");
                prop_assert!(!lost || !has_rest, "the rest takes all that is left: {error}");
            }
        }
    }

    #[test]
    fn it_opens_only_on_enough_attempts_and_enough_successes(
        spec in spec(), reports in reports(), offline in 0_u32..40,
    ) {
        let ring_size = size_of(&reports) + offline;
        for attempted in 0..=reports.len() {
            let counts = counts_of(&reports[..attempted]);
            if gate(&spec, ring_size, &counts, true) == GateState::Open {
                prop_assert!(counts.attempted >= spec.min_devices.min(ring_size));
                let succeeded = counts.attempted - counts.failed;
                prop_assert!(succeeded * 100 >= u32::from(spec.success_percent) * counts.attempted);
            }
            prop_assert_ne!(gate(&spec, ring_size, &counts, false), GateState::Open);
        }
    }

    #[test]
    fn what_cannot_be_reached_any_more_stays_failed(
        spec in spec(), reports in reports(), offline in 0_u32..40, idle in 0_u32..40,
    ) {
        let size = size_of(&reports) + offline;
        let hopeless = (0..=reports.len()).find(|attempted| {
            let best = size - counts_of(&reports[..*attempted]).failed;
            best * 100 < u32::from(spec.success_percent) * size
        });
        let Some(hopeless) = hopeless else {
            return Ok(());
        };
        for attempted in hopeless..=reports.len() {
            let counts = counts_of(&reports[..attempted]);
            // Devices turn out to need nothing, and the ring shrinks.
            let smaller = size.saturating_sub(idle).max(size_of(&reports));
            for (size, finished) in [(size, false), (size, true), (smaller, false), (smaller, true)] {
                prop_assert!(failed(&gate(&spec, size, &counts, finished)));
            }
        }
    }

    #[test]
    fn the_order_of_reports_does_not_matter_in_the_end(
        spec in spec(),
        (reports, shuffled) in prop::collection::vec(prop::sample::select(OUTCOMES.to_vec()), 0..80)
            .prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle())),
    ) {
        let judge = |reports: &[DeviceOutcome]| {
            let mut seen = OutcomeCounts::default();
            for outcome in reports {
                seen.add(*outcome);
            }
            let counts = RingCounts {
                attempted: seen.matching(DeviceOutcome::was_attempted),
                failed: seen.matching(DeviceOutcome::is_failure),
            };
            [false, true].map(|finished| gate(&spec, size_of(reports), &counts, finished))
        };
        prop_assert_eq!(judge(&reports), judge(&shuffled));
    }

    #[test]
    fn a_ring_that_would_open_is_never_hopeless_on_the_way(
        spec in spec(),
        (reports, shuffled) in reports()
            .prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle())),
    ) {
        let size = size_of(&reports);
        if gate(&spec, size, &counts_of(&reports), true) != GateState::Open {
            return Ok(());
        }
        for attempted in 0..=shuffled.len() {
            let counts = counts_of(&shuffled[..attempted]);
            if let GateState::Failed { reason } = gate(&spec, size, &counts, false) {
                // Only the early test may stop it: that is the price of stopping early.
                prop_assert!(reason.ends_with("no accident"), "{reason}");
            }
        }
    }
}

#[test]
fn an_early_stop_depends_on_when_the_failures_come() {
    let verdict = |failures: [usize; 2]| {
        let reports: Vec<_> = (0..60).map(|i| failures.contains(&i)).collect();
        (0..=reports.len())
            .map(|attempted| {
                let finished = attempted == reports.len();
                gate(
                    &GateSpec::default(),
                    60,
                    &counts_of(&reports[..attempted]),
                    finished,
                )
            })
            .find(|state| *state != GateState::Undecided)
            .expect("a finished ring is decided")
    };
    assert!(failed(&verdict([0, 1])));
    assert_eq!(verdict([0, 59]), GateState::Open);
}
