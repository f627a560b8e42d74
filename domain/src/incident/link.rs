//! Why an alert belongs to an incident: four parts, each in per mille.

use serde::{Deserialize, Serialize};

use super::Millis;

/// The parts of a decision to put an alert into an incident, in per mille.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// How close in time: 1000 at the incident's first alert, 500 at the end of its window.
    pub time: u16,
    /// How close in the network: same device 1000, one depends on the other 900, same address 800,
    /// same site 300.
    pub topology: u16,
    /// How alike the words: same kind 1000, half the share of common words otherwise.
    pub text: u16,
    /// Whether the same recent change touched both devices.
    pub change: u16,
}

/// From this score on, an alert joins.
pub const ENOUGH: u16 = 450;

pub(super) const SAME_DEVICE: u16 = 1_000;
pub(super) const DEPENDS: u16 = 900;
pub(super) const SAME_ADDRESS: u16 = 800;
pub(super) const SAME_SITE: u16 = 300;

impl Link {
    /// Returns the score: time, weighed with the chance that at least one of the others is right.
    #[must_use]
    pub fn score(self) -> u16 {
        let other = |part: u16| 1_000 - u64::from(part.min(1_000));
        let none = other(self.topology) * other(self.text) * other(self.change);
        let any = 1_000 - none / 1_000_000;
        u16::try_from(u64::from(self.time.min(1_000)) * any / 1_000).unwrap_or(1_000)
    }

    /// Returns how close in time two moments are: 1000 when they are one, 500 at the end of the window, 0 after
    /// it.
    pub(super) fn time_of(age: Millis, window: Millis) -> u16 {
        if age >= window {
            return 0;
        }
        u16::try_from(1_000 - 500 * age / window).unwrap_or(0)
    }

    /// Returns how alike words are that share so much.
    pub(super) fn text_of(likeness: u16) -> u16 {
        match likeness {
            1_000 => likeness,
            other => other / 2,
        }
    }

    /// Returns the reason in words.
    #[must_use]
    pub fn words(self) -> String {
        let mut reasons = self.in_common();
        reasons.push("at the same time");
        reasons.join(", ")
    }

    /// Lists what two sides have in common besides the time, in words.
    #[must_use]
    pub fn in_common(self) -> Vec<&'static str> {
        let mut reasons = Vec::new();
        match self.topology {
            SAME_DEVICE.. => reasons.push("same device"),
            DEPENDS.. => reasons.push("one depends on the other"),
            SAME_ADDRESS.. => reasons.push("same address"),
            SAME_SITE.. => reasons.push("same site"),
            _ => {}
        }
        match self.text {
            1_000.. => reasons.push("same kind of alert"),
            300.. => reasons.push("similar words"),
            _ => {}
        }
        if self.change > 0 {
            reasons.push("same recent change");
        }
        reasons
    }
}
