//! The shared snapshot of devices: looking at it until a device passes a test, and when a device that
//! does not may be judged.

use contracts::{
    activities::inventory::{GetDevice, GetDeviceInput},
    device::{DeviceStage, Intent},
};
use domain::{device::Device, outcome::DeviceOutcome};
use jiff::Timestamp;

use super::{
    attempt::{Attempt, Ends, OpenWindow},
    waits::MAX_BACKOFF,
};
use crate::{clock, options};

/// What snapshots say about a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It passed the test in time.
    Passed,
    /// A snapshot made after the time was over says no.
    Failed,
    /// No snapshot was made since: nobody knows.
    Unknown,
}

/// A look at the snapshot.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) device: Device,
    /// Since when nobody can make a younger one.
    pub(super) away_since: Option<Timestamp>,
}

/// How long a device may take, and when it is judged afterwards: not by an old snapshot, and not while
/// `SuperOps` is away. After an outage it has all of its time again: agents come back one by one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    give_up: Timestamp,
    /// What is waited for; only for the time itself when absent.
    proof: Option<Proof>,
    /// Whether `SuperOps` was away at the last look.
    was_away: bool,
    /// Since when it has answered at each look after the time was over.
    answers_since: Option<Timestamp>,
}

/// A snapshot that proves something.
#[derive(Debug, Clone, Copy)]
struct Proof {
    /// How long the device may take while `SuperOps` answers.
    allowed_secs: u64,
    /// How long a younger snapshot may take then.
    within_secs: u64,
}

impl Patience {
    /// Waits until then, and no longer.
    pub(super) fn until(give_up: Timestamp) -> Self {
        Self {
            give_up,
            proof: None,
            was_away: false,
            answers_since: None,
        }
    }

    /// Waits so long from then on, and after it for a snapshot that proves something.
    fn until_proved(from: Timestamp, proof: Proof) -> Self {
        Self {
            proof: Some(proof),
            ..Self::until(clock::after(from, proof.allowed_secs))
        }
    }

    /// Judges a device that has not passed; nothing as long as it is waited for.
    pub(super) fn judge(&mut self, look: &Look, now: Timestamp) -> Option<Seen> {
        if let Some(proof) = self.proof {
            if look.away_since.is_some() {
                (self.was_away, self.answers_since) = (true, None);
                return None;
            }
            if std::mem::take(&mut self.was_away) {
                self.give_up = self.give_up.max(clock::after(now, proof.allowed_secs));
            }
        }
        if now < self.give_up {
            return None;
        }
        if look.device.seen_at >= self.give_up {
            return Some(Seen::Failed);
        }
        let Some(proof) = self.proof else {
            return Some(Seen::Unknown);
        };
        let since = *self.answers_since.get_or_insert(now);
        (now >= clock::after(since, proof.within_secs)).then_some(Seen::Unknown)
    }

    /// Says after which time nothing has to be waited for, as far as that is known.
    pub(super) fn ends(&self, now: Timestamp) -> Timestamp {
        if now < self.give_up {
            return self.give_up;
        }
        let within = self.proof.map_or(0, |proof| proof.within_secs);
        let proved = |since| clock::after(since, within);
        self.answers_since.map_or(Timestamp::MAX, proved)
    }
}

impl Attempt {
    /// How long what was done to the device may take to show; an outage does not count.
    pub(super) fn patience(&self, secs: u64, from: Timestamp) -> Patience {
        let proof = Proof {
            allowed_secs: secs,
            within_secs: self.input.waits.script_timeout_secs,
        };
        Patience::until_proved(from, proof)
    }

    /// Waits until the shared snapshot says online, as long as the window is open. A rollback has no
    /// later lane to run in: it waits for `SuperOps`, too.
    pub(super) async fn wait_until_online(&self, window: OpenWindow) -> Result<(), Ends> {
        let secs = self.input.waits.script_timeout_secs;
        let patience = self.patience(secs, clock::now(&self.ctx));
        let patience = match self.input.intent {
            Intent::RollBack => patience,
            Intent::Install => {
                let longest = patience.give_up;
                Patience::until(window.closes_at.map_or(longest, |at| at.min(longest)))
            }
        };
        match self
            .poll_snapshot(patience, "device online", |device| device.online)
            .await?
        {
            Seen::Passed => Ok(()),
            Seen::Failed | Seen::Unknown => Err(Ends::with(
                DeviceOutcome::Deferred,
                "offline while its window was open",
            )),
        }
    }

    /// Looks at the shared snapshot until a device passes a test; nobody polls `SuperOps` for it.
    pub(super) async fn poll_snapshot(
        &self,
        mut patience: Patience,
        summary: &str,
        test: impl Fn(&Device) -> bool,
    ) -> Result<Seen, Ends> {
        let mut interval = self.input.waits.online_poll_secs;
        loop {
            let look = self.look().await?;
            if test(&look.device) {
                return Ok(Seen::Passed);
            }
            let now = clock::now(&self.ctx);
            if let Some(seen) = patience.judge(&look, now) {
                return Ok(seen);
            }
            if now >= patience.give_up && self.hurried() {
                return Ok(Seen::Unknown);
            }
            self.show_waiting(&look);
            // Before the next snapshot there is nothing new to see.
            let snapshot = clock::after(look.device.seen_at, self.input.waits.inventory_secs);
            let next = clock::after(now, interval).max(snapshot);
            self.pause_until(next.min(patience.ends(now)), summary)
                .await?;
            interval = (interval * 2).min(self.input.waits.online_poll_secs * MAX_BACKOFF);
        }
    }

    fn show_waiting(&self, look: &Look) {
        if let Some(since) = look.away_since {
            self.note(&format!(
                "SuperOps does not answer since {since:.0}; the device list is read later"
            ));
        } else if !look.device.online {
            let since = look
                .device
                .last_communicated_at
                .map_or("unknown".to_owned(), |t| format!("{t:.0}"));
            self.stage(
                DeviceStage::WaitingForDevice,
                &format!("offline, last seen {since}"),
            );
        }
    }

    /// Looks at the device in the shared snapshot.
    pub(super) async fn look(&self) -> Result<Look, Ends> {
        let input = GetDeviceInput {
            device: self.input.device.clone(),
        };
        let answer = self
            .call(GetDevice, input, options::store("read the online snapshot"))
            .await
            .map_err(|e| Ends::failed("the inventory could not be read", &e))?;
        let device = answer
            .device
            .ok_or_else(|| Ends::human("the inventory no longer knows this device"))?;
        Ok(Look {
            device,
            away_since: answer.away_since,
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::device::Platform;

    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    fn look(seen: i64, away: bool) -> Look {
        let (id, client) = ("81".parse().unwrap(), "7001".parse().unwrap());
        let platform = Platform::WindowsWorkstation;
        Look {
            device: Device::new(id, client, platform, [].into(), at(seen)),
            away_since: away.then(|| at(seen)),
        }
    }

    /// What each look at a time comes to: when it is made, how old the snapshot is, and whether
    /// `SuperOps` is away.
    fn judged(looks: &[(i64, i64, bool)]) -> Vec<Option<Seen>> {
        let proof = Proof {
            allowed_secs: 100,
            within_secs: 50,
        };
        let mut patience = Patience::until_proved(at(0), proof);
        let judge =
            |(now, seen, away): &(i64, i64, bool)| patience.judge(&look(*seen, *away), at(*now));
        looks.iter().map(judge).collect()
    }

    #[test]
    fn a_snapshot_of_after_the_time_decides_and_one_of_before_does_not() {
        let looks = [(99, 99, false), (100, 99, false), (120, 110, false)];
        assert_eq!(judged(&looks), [None, None, Some(Seen::Failed)]);
    }

    #[test]
    fn a_list_that_nobody_reads_although_superops_answers_is_not_waited_for_without_end() {
        let looks = [(100, 10, false), (149, 10, false), (150, 10, false)];
        assert_eq!(judged(&looks), [None, None, Some(Seen::Unknown)]);
    }

    #[test]
    fn nothing_is_judged_while_superops_is_away_or_has_only_just_come_back() {
        let looks = [
            (110, 10, false),
            (140, 10, true),
            (9000, 10, true),
            (9001, 10, false),
            (9100, 10, false),
            (9101, 10, false),
            (9150, 10, false),
            (9151, 10, false),
        ];
        let mut told = vec![None; 7];
        told.push(Some(Seen::Unknown));
        assert_eq!(judged(&looks), told);
    }

    #[test]
    fn an_agent_that_is_not_back_with_superops_has_all_of_its_time_again() {
        let looks = [
            (10, 9, true),
            (9000, 9, true),
            (9001, 9001, false),
            (9100, 9090, false),
            (9101, 9101, false),
        ];
        let mut told = vec![None; 4];
        told.push(Some(Seen::Failed));
        assert_eq!(judged(&looks), told);
    }
}
