//! What a patch wave announces, so that it is not taken for trouble, and what is left over is.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::{DeviceId, KbId, PlanId};

/// A kind of sign that an installation or a restart gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Symptom {
    /// The device does not answer.
    Down,
    /// It was restarted.
    Restart,
    /// A service stopped.
    Service,
    /// Processor, memory or disk are busy.
    Load,
}

impl Symptom {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Down, Self::Restart, Self::Service, Self::Load];

    /// Words of titles that speak of it: one of the first, and one of the second where there are any.
    fn words(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Down => (
                &[
                    "offline",
                    "down",
                    "unreachable",
                    "heartbeat",
                    "no response",
                    "not responding",
                    "not reachable",
                    "not communicating",
                    "lost contact",
                    "connection lost",
                    "agent disconnected",
                ],
                &[],
            ),
            Self::Restart => (
                &[
                    "reboot",
                    "restart",
                    "booted",
                    "unexpected shutdown",
                    "uptime",
                ],
                &[],
            ),
            Self::Service => (
                &["service", "daemon", "process"],
                &[
                    "stopped",
                    "not running",
                    "failed",
                    "terminated",
                    "crashed",
                    "hung",
                ],
            ),
            Self::Load => (
                &[
                    "cpu",
                    "processor",
                    "memory",
                    "disk queue",
                    "disk active",
                    "load average",
                    "i/o",
                ],
                &[],
            ),
        }
    }

    /// Returns the kinds of signs that a title speaks of.
    pub fn of(title: &str) -> impl Iterator<Item = Self> {
        let title = title.to_lowercase();
        Self::ALL.into_iter().filter(move |symptom| {
            let (any, and) = symptom.words();
            let has = |words: &[&str]| words.iter().any(|word| has_word(&title, word));
            has(any) && (and.is_empty() || has(and))
        })
    }

    /// Returns the word of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Restart => "restart",
            Self::Service => "service",
            Self::Load => "load",
        }
    }
}

/// The word begins a word of the text: `down` is in `downtime`, not in `breakdown`.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric())
    })
}

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

impl Expectation {
    /// Tells whether it explains an alert with such a title on its device.
    #[must_use]
    pub fn explains(&self, machine: &str, title: &str, at: Timestamp) -> bool {
        self.device.as_str() == machine
            && self.from <= at
            && at <= self.until
            && Symptom::of(title).any(|symptom| self.symptoms.contains(&symptom))
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
