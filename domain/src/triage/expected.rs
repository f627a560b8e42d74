//! What a patch wave announces, so that it is not taken for trouble, and what is left over is.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Symptom;
use crate::{
    ids::{DeviceId, KbId, PlanId},
    plan::{HealthSpec, Waits},
};

/// What a device of a patch wave is going to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The plan.
    pub plan: PlanId,
    /// Index of the ring.
    pub ring: u32,
    /// The attempt at the device, from 1.
    pub attempt: u32,
    /// What is installed.
    pub kbs: Vec<KbId>,
    /// The device.
    pub device: DeviceId,
    /// What it may show.
    pub symptoms: Vec<Symptom>,
    /// From then on.
    pub from: Timestamp,
    /// What is still there after this is no longer expected.
    pub until: Timestamp,
}

/// How long after its wave an alert on a device of it is suspected to come from it.
pub const SUSPECTED: SignedDuration = SignedDuration::from_hours(24);

/// What a wave is about to do to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Installs or removes so many updates, one after the other.
    Change {
        /// Updates.
        kbs: usize,
    },
    /// Restarts it, and watches its health.
    Restart,
}

impl Step {
    /// Returns what a device may show meanwhile. One that does not answer although nobody restarts it is news.
    #[must_use]
    pub fn symptoms(self) -> &'static [Symptom] {
        match self {
            Self::Change { .. } => &[Symptom::Service, Symptom::Load],
            Self::Restart => &Symptom::ALL,
        }
    }

    /// Returns how long that may go on, by the plan: each script as long as it may run; a restart until the
    /// device has to be online again, which is also when the wave itself calls it unhealthy.
    #[must_use]
    pub fn lasts(self, health: &HealthSpec, waits: &Waits) -> SignedDuration {
        let secs = match self {
            Self::Change { kbs } => waits
                .script_timeout_secs
                .saturating_mul(u64::try_from(kbs.max(1)).unwrap_or(u64::MAX)),
            Self::Restart => waits
                .restart_grace_secs
                .saturating_add(health.online_within_secs),
        };
        seconds(secs)
    }
}

fn seconds(secs: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(secs).unwrap_or(i64::MAX))
}

impl Expectation {
    /// Announces the next step of the wave instead of the one before: only what this one explains is explained.
    pub fn move_to(&mut self, step: Step, health: &HealthSpec, waits: &Waits, now: Timestamp) {
        let end = now.checked_add(step.lasts(health, waits));
        self.symptoms = step.symptoms().to_vec();
        self.until = end.unwrap_or(Timestamp::MAX);
    }

    /// The wave is done with the device: what it caused has [`Waits::alerts_grace_secs`] to clear, and then is
    /// left over. Never later than what was announced before.
    pub fn end(&mut self, waits: &Waits, now: Timestamp) {
        let end = now.checked_add(seconds(waits.alerts_grace_secs));
        self.until = self.until.min(end.unwrap_or(Timestamp::MAX));
    }

    /// Tells whether it explains an alert with such a title on its device.
    #[must_use]
    pub fn explains(&self, machine: &str, title: &str, at: Timestamp) -> bool {
        self.device.as_str() == machine
            && self.from <= at
            && at <= self.until
            && self.symptoms.iter().any(|symptom| symptom.is_in(title))
    }

    /// Tells whether an alert on its device may come from it, expected or not.
    #[must_use]
    pub fn is_suspect(&self, machine: &str, at: Timestamp) -> bool {
        let end = self.until.checked_add(SUSPECTED).unwrap_or(Timestamp::MAX);
        self.device.as_str() == machine && self.from <= at && at <= end
    }
}

/// An update that an incident may come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Suspect {
    /// The plan.
    pub plan: PlanId,
    /// Index of the ring.
    pub ring: u32,
    /// What was installed.
    pub kbs: Vec<KbId>,
    /// The device.
    pub device: DeviceId,
    /// Whether the wave had announced the alert, which then did not clear in time. Such a wave halts.
    pub left_over: bool,
    /// When the wave reached the device.
    pub since: Timestamp,
}

impl Suspect {
    /// Names it for people: `suspect: KB5034441, ring 2`.
    #[must_use]
    pub fn words(&self) -> String {
        let kbs = self.kbs.iter().map(ToString::to_string);
        let kbs = kbs.collect::<Vec<_>>().join(", ");
        format!("suspect: {kbs}, ring {}", self.ring + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    fn announced() -> Expectation {
        Expectation {
            plan: "p".parse().unwrap(),
            ring: 0,
            attempt: 1,
            kbs: vec!["KB5034441".parse().unwrap()],
            device: "81".parse().unwrap(),
            symptoms: vec![],
            from: at(0),
            until: at(0),
        }
    }

    fn explains(wave: &Expectation, title: &str, minute: i64) -> bool {
        wave.explains("81", title, at(minute))
    }

    #[test]
    fn an_installation_stops_services_and_is_busy_but_takes_no_device_down() {
        let mut wave = announced();
        let step = Step::Change { kbs: 2 };
        wave.move_to(step, &HealthSpec::default(), &Waits::default(), at(0));
        assert_eq!(wave.until, at(2 * 2 * 60), "two scripts of two hours");
        assert!(explains(&wave, "Service Spooler stopped", 5));
        assert!(explains(&wave, "CPU usage is 99 %", 5));
        assert!(!explains(&wave, "Device is offline", 5));
        assert!(!explains(&wave, "Device restarted", 5));
    }

    #[test]
    fn a_restart_is_announced_for_as_long_as_the_device_may_be_away() {
        let mut wave = announced();
        let (health, waits) = (HealthSpec::default(), Waits::default());
        wave.move_to(Step::Change { kbs: 1 }, &health, &waits, at(0));
        wave.move_to(Step::Restart, &health, &waits, at(10));
        let online_again = at(10) + SignedDuration::from_secs(90 + 1800);
        assert_eq!((wave.from, wave.until), (at(0), online_again));
        for title in ["Device is offline", "Device restarted", "Service X stopped"] {
            assert!(explains(&wave, title, 11), "{title}");
        }
        // Its removal explains no device that does not come back.
        wave.move_to(Step::Change { kbs: 1 }, &health, &waits, at(42));
        assert!(!explains(&wave, "Device is offline", 43));
    }

    #[test]
    fn what_ends_early_leaves_a_grace_and_never_more_than_was_announced() {
        let waits = Waits::default();
        let mut wave = announced();
        wave.until = at(60);
        wave.end(&waits, at(10));
        let grace = SignedDuration::from_secs(i64::try_from(waits.alerts_grace_secs).unwrap());
        assert_eq!(wave.until, at(10) + grace);
        wave.end(&waits, at(59));
        assert_eq!(wave.until, at(10) + grace);
        let longest = Waits {
            alerts_grace_secs: u64::MAX,
            ..waits
        };
        wave.end(&longest, at(59));
        assert_eq!(wave.until, at(10) + grace);
    }
}
