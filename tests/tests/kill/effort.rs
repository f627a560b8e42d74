//! How much is tried, and by which chance.

use std::{
    str::FromStr,
    sync::{Condvar, Mutex, PoisonError},
};

/// Real programs of so many grounds are at work at the same time: more get in each other's way.
const SHARES: usize = 4;
static TAKEN: Mutex<usize> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

/// A part of the machine, until it is dropped. Who has to be quick has all of it.
pub(crate) struct Machine(usize);

impl Machine {
    /// Waits for all of it.
    pub(crate) fn alone() -> Self {
        Self::take(SHARES)
    }

    /// Waits for room for so many grounds.
    pub(crate) fn shared(grounds: usize) -> Self {
        Self::take(grounds)
    }

    fn take(shares: usize) -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = GIVEN_BACK
            .wait_while(taken, |taken| *taken + shares > SHARES)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += shares;
        Self(shares)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        GIVEN_BACK.notify_all();
    }
}

/// Set for larger samples.
const CHAOS: &str = "AUTOOPS_CHAOS";
/// Set to sample other moments.
const SEED: &str = "AUTOOPS_KILL_SEED";
const USUAL_SEED: u64 = 20_260_101;
/// Set to let another number of alerts come at once.
const BURST: &str = "AUTOOPS_BURST";

/// What is tried.
pub(crate) struct Effort {
    /// How much longer than usual everything may take.
    pub(crate) patience: u32,
    /// Percent of the places of the small deployment that have to be hit in that time: a busy machine
    /// does not come to all in a usual run.
    pub(crate) least: usize,
    /// Kills in the life of a bigger deployment, at most.
    pub(crate) kills: u32,
    /// Bigger deployments, one after the other.
    pub(crate) rounds: u32,
    /// Restarts of the server, at most.
    pub(crate) restarts: u32,
    pub(crate) seed: u64,
    /// Alerts that come at once.
    pub(crate) alerts: u32,
}

impl Effort {
    pub(crate) fn of_this_run() -> Self {
        let seed = given(SEED).unwrap_or(USUAL_SEED);
        let burst = given(BURST);
        let chaos = std::env::var_os(CHAOS).is_some_and(|value| !value.is_empty());
        println!("{SEED}={seed}");
        let usual = Self {
            patience: 1,
            least: 60,
            kills: 20,
            rounds: 1,
            restarts: 8,
            seed,
            alerts: burst.unwrap_or(2_000),
        };
        if !chaos {
            return usual;
        }
        Self {
            patience: 6,
            least: 98,
            kills: 60,
            rounds: 3,
            restarts: 40,
            seed,
            alerts: burst.unwrap_or(100_000),
        }
    }
}

/// Reads a variable, if it is set.
fn given<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    let read = text.parse();
    Some(read.unwrap_or_else(|_| panic!("{name}: `{text}` is not allowed: a whole number")))
}

/// splitmix64: the same numbers on every machine.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number from `least` to `most`.
    pub(crate) fn from(&mut self, least: u64, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        least + (z ^ (z >> 31)) % (most - least + 1)
    }
}
