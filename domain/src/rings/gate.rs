//! Gates: whether a ring went well enough for the next one.

use serde::{Deserialize, Serialize};

use crate::{plan::GateSpec, sequential::SequentialTest};

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

/// Asks the sequential test, in integers, so that every replay decides alike.
fn obviously_bad(allowed_percent: u64, attempted: u32, failed: u32) -> bool {
    const WORSE_BY: usize = 25;
    let Ok(p0) = usize::try_from(allowed_percent) else {
        return false;
    };
    let test = SequentialTest::new(p0, (p0 + WORSE_BY).min(99), 5, 10);
    failed >= 2 && test.is_some_and(|test| test.weight(attempted - failed, failed) >= test.upper())
}
