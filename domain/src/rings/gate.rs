//! Gates: whether a ring went well enough for the next one.

use serde::{Deserialize, Serialize};

use crate::plan::GateSpec;

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
pub(super) const LN: [i64; 101] = [
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
