//! The ledger of bad patches: how often an update went well and went wrong on an OS build over all
//! clients, counted without saying whose devices these were, and whether that is enough to stop it.

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    ids::{DeviceId, KbId, PlanId},
    outcome::DeviceOutcome,
    sequential::SequentialTest,
};

/// Who halts deployments and sets flags in the name of the ledger.
pub const NAME: &str = "ledger";
/// Stands for all clients where a record has to name one: the ledger belongs to none.
pub const PROVIDER: &str = "provider";
/// Stands for the OS build of a device whose build is not known.
pub const UNKNOWN_BUILD: &str = "unknown";

/// The test of an update: one that is all right fails on 2 % of the devices, a bad one on 10 %. Of a
/// good one 1 % are stopped (alpha), of a bad one 10 % are taken for good at first (beta).
///
/// The test and its bounds are Wald's, see [`SequentialTest`]. The rates are ours: what
/// `docs/rings.md` calls a good update fails on 1 or 2 %, a bad one on 10 % or more. Alpha is smaller
/// than in the gate of a ring, because a stop reaches all clients.
pub const TEST: SequentialTest = match SequentialTest::new(2, 10, 1, 10) {
    Some(test) => test,
    None => panic!("the rates of the ledger make no test"),
};

/// Failures from which on an update is held: one may be the device.
pub const HELD_FROM: u32 = 2;
/// How long after its last failure an update is held at most, so that a few devices without an answer
/// never keep a fleet from its patches.
pub const HELD_FOR: SignedDuration = SignedDuration::from_hours(24);

/// What a device says about an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The update is on the device, and a scan says so.
    Good,
    /// The update did not go on, or the device was in trouble afterwards.
    Bad,
}

impl Evidence {
    /// Says what an outcome tells about an update; nothing when it tells of something else: of a
    /// device that was away, of people, guardrails, or systems of ours.
    ///
    /// `in_trouble`: the installation failed, or the device was not healthy after it. A device that
    /// needs a human for another reason, such as a `SuperOps` that could not be asked, says nothing.
    #[must_use]
    pub fn of(outcome: DeviceOutcome, in_trouble: bool) -> Option<Self> {
        use DeviceOutcome as D;
        match outcome {
            D::Verified => Some(Self::Good),
            D::RolledBack | D::Failed | D::ReportedMissing => Some(Self::Bad),
            D::NeedsHuman => in_trouble.then_some(Self::Bad),
            // Not confirmed yet; or it was done by somebody else, or not at all.
            D::VerifiedByScript
            | D::AlreadyInstalled
            | D::NotApplicable
            | D::Superseded
            | D::Deferred
            | D::Unreached
            | D::Forbidden
            | D::Aborted => None,
        }
    }

    /// Returns the word used in the names of counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

/// Devices of all clients, by what they say about an update.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// It went well.
    pub good: u32,
    /// It went wrong.
    pub bad: u32,
}

impl Tally {
    /// Counts a device.
    pub fn add(&mut self, evidence: Evidence) {
        match evidence {
            Evidence::Good => self.good = self.good.saturating_add(1),
            Evidence::Bad => self.bad = self.bad.saturating_add(1),
        }
    }
}

/// Whether an update may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Verdict {
    /// Nothing speaks against it.
    Go {
        /// Counts and bounds, in words.
        reason: String,
    },
    /// Some failed, and that is not enough to say it is bad or good.
    Hold {
        /// Counts and bounds, in words.
        reason: String,
    },
    /// It is bad.
    Stop {
        /// Counts and bounds, in words.
        reason: String,
    },
}

impl Verdict {
    /// Orders verdicts: 0 go, 1 hold, 2 stop.
    #[must_use]
    pub fn strictness(&self) -> u8 {
        match self {
            Self::Go { .. } => 0,
            Self::Hold { .. } => 1,
            Self::Stop { .. } => 2,
        }
    }

    /// Returns the word used in tables.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Go { .. } => "go",
            Self::Hold { .. } => "hold",
            Self::Stop { .. } => "stop",
        }
    }

    /// Says why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Go { reason } | Self::Hold { reason } | Self::Stop { reason } => reason,
        }
    }
}

/// Judges an update by what was counted. `stopped`: why it was stopped before. A stop is final, whatever
/// is counted after it; only a person ends it. Without one, the order of the counts does not matter.
///
/// It stops at the upper bound of [`TEST`]: 3 bad of 6, 4 of 26, 5 of 46. It holds above the lower one
/// from [`HELD_FROM`] failures on. It never says that an update is good for ever: each failure counts,
/// however late. Asked after every device, it stops a good update in `alpha / (1 - beta)` = 1.1 % of
/// all cases at most (Ville's inequality).
#[must_use]
pub fn judge(tally: Tally, stopped: Option<&str>) -> Verdict {
    if let Some(reason) = stopped {
        let reason = reason.to_owned();
        return Verdict::Stop { reason };
    }
    let weight = TEST.weight(tally.good, tally.bad);
    let seen = format!(
        "{} of {} devices failed",
        tally.bad,
        u64::from(tally.good) + u64::from(tally.bad)
    );
    let bounds = format!(
        "weight {}, good from {} down, bad from {} up",
        Points(weight),
        Points(TEST.lower()),
        Points(TEST.upper())
    );
    if weight >= TEST.upper() {
        return Verdict::Stop {
            reason: format!("{seen}, no accident ({bounds})"),
        };
    }
    if weight > TEST.lower() && tally.bad >= HELD_FROM {
        return Verdict::Hold {
            reason: format!("{seen}, too few to tell ({bounds})"),
        };
    }
    Verdict::Go {
        reason: format!("{seen} ({bounds})"),
    }
}

/// Judges an update on one OS build and on all of them; the stricter verdict counts, and names the
/// build if it is about one.
#[must_use]
pub fn judge_both(build: &str, of_build: Tally, of_all: Tally, stopped: Option<&str>) -> Verdict {
    let all = judge(of_all, stopped);
    let one = judge(of_build, stopped);
    if one.strictness() <= all.strictness() {
        return all;
    }
    let reason = format!("on OS build {build} {}", one.reason());
    match one {
        Verdict::Go { .. } => Verdict::Go { reason },
        Verdict::Hold { .. } => Verdict::Hold { reason },
        Verdict::Stop { .. } => Verdict::Stop { reason },
    }
}

/// Reads the OS build off what a device reports, such as `10.0.19045` off `10.0.19045.3930`. Anything
/// else is [`UNKNOWN_BUILD`]: free text might say whose device it is.
#[must_use]
pub fn build_of(os_version: &str) -> String {
    const PARTS: usize = 3;
    const DIGITS: usize = 8;
    let text = os_version.trim();
    let is_part = |part: &str| {
        (1..=DIGITS).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let parts: Vec<_> = text.split('.').collect();
    if parts.len() < 2 || !parts.iter().all(|part| is_part(part)) {
        return UNKNOWN_BUILD.to_owned();
    }
    parts[..parts.len().min(PARTS)].join(".")
}

/// Names what a device of a plan says about an update, so that it counts once, and does not say which
/// device it is: SHA-256, so that only who knows plan and device can find it again.
#[must_use]
pub fn key_of(plan: &PlanId, device: &DeviceId, kb: &KbId) -> String {
    hex::encode(Sha256::digest(format!("{NAME}/{plan}/{device}/{kb}")))
}

/// The flag of an update that must not be installed any more.
#[must_use]
pub fn flag_of(kb: &KbId) -> String {
    format!("kb-stop/{kb}")
}

/// Writes a flag: who, then why.
#[must_use]
pub fn flagged(reason: &str) -> String {
    format!("{NAME}: {reason}")
}

/// Returns why the ledger has set a flag; nothing when somebody else has.
#[must_use]
pub fn reason_of(flag: &str) -> Option<&str> {
    flag.strip_prefix(NAME)?.strip_prefix(": ")
}

/// Thousandths, shown with two digits behind the point, cut and not rounded.
struct Points(i64);

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", size / 1000, size % 1000 / 10)
    }
}
