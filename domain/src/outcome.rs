//! How it ended: for one device, and for the whole deployment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    evidence::StoredEvidence,
    ids::{DeviceId, KbId},
};

/// How a device ended. `Deferred` is not an end: the device moves to the stragglers lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceOutcome {
    /// A scan made after the installation lists the patch as installed.
    Verified,
    /// The script on the device says installed; the confirming scan has not come yet.
    VerifiedByScript,
    /// Was installed before we came.
    AlreadyInstalled,
    /// The patch does not apply to it.
    NotApplicable,
    /// A newer update that contains it is installed.
    Superseded,
    /// Failed, and was brought back to where it was.
    RolledBack,
    /// Failed, and was left as it is because the plan asks for no rollback.
    Failed,
    /// The script reported success, a later scan says missing.
    ReportedMissing,
    /// Nobody but a person can say or mend its state.
    NeedsHuman,
    /// Offline through its window; nothing was done.
    Deferred,
    /// Never reachable until the deadline.
    Unreached,
    /// Guardrails forbade it at the last moment.
    Forbidden,
    /// Ended by abort or cancellation before anything was done to it.
    Aborted,
}

impl DeviceOutcome {
    /// Returns true when something was attempted on the device, which is what gates count.
    #[must_use]
    pub fn was_attempted(self) -> bool {
        self.is_success() || self.is_failure()
    }

    /// Returns true when the device carries the patch because of us.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Verified | Self::VerifiedByScript)
    }

    /// Returns true when the attempt went wrong.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(
            self,
            Self::RolledBack | Self::Failed | Self::ReportedMissing | Self::NeedsHuman
        )
    }

    /// Returns true when the device needs nothing more from this plan.
    #[must_use]
    pub fn is_settled_without_work(self) -> bool {
        matches!(
            self,
            Self::AlreadyInstalled | Self::NotApplicable | Self::Superseded
        )
    }

    /// Returns true when nothing is left to do or to confirm.
    #[must_use]
    pub fn is_final_good(self) -> bool {
        self == Self::Verified || self.is_settled_without_work()
    }

    /// Returns the word used on the wire and in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::VerifiedByScript => "verified_by_script",
            Self::AlreadyInstalled => "already_installed",
            Self::NotApplicable => "not_applicable",
            Self::Superseded => "superseded",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::ReportedMissing => "reported_missing",
            Self::NeedsHuman => "needs_human",
            Self::Deferred => "deferred",
            Self::Unreached => "unreached",
            Self::Forbidden => "forbidden",
            Self::Aborted => "aborted",
        }
    }
}

/// How one patch ended on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchResult {
    /// The KB.
    pub kb: KbId,
    /// How it ended.
    pub outcome: DeviceOutcome,
    /// A few words for people.
    pub detail: String,
}

/// How a device ended, with what is needed to explain it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceResult {
    /// The device.
    pub device: DeviceId,
    /// The outcome that matters most over its patches.
    pub outcome: DeviceOutcome,
    /// A few words for people.
    pub detail: String,
    /// Patch by patch.
    #[serde(default)]
    pub patches: Vec<PatchResult>,
    /// Evidence that was taken of it under this plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<StoredEvidence>,
}

/// Devices per outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutcomeCounts(pub BTreeMap<DeviceOutcome, u32>);

impl OutcomeCounts {
    /// Counts one device.
    pub fn add(&mut self, outcome: DeviceOutcome) {
        *self.0.entry(outcome).or_default() += 1;
    }

    /// Counts several devices of one outcome.
    pub fn add_many(&mut self, outcome: DeviceOutcome, devices: u32) {
        if devices > 0 {
            *self.0.entry(outcome).or_default() += devices;
        }
    }

    /// Takes one device out, because its outcome changed.
    pub fn take(&mut self, outcome: DeviceOutcome) {
        if let Some(devices) = self.0.get_mut(&outcome) {
            *devices = devices.saturating_sub(1);
            if *devices == 0 {
                self.0.remove(&outcome);
            }
        }
    }

    /// Adds another count.
    pub fn merge(&mut self, other: &Self) {
        for (outcome, devices) in &other.0 {
            self.add_many(*outcome, *devices);
        }
    }

    /// Returns the devices of one outcome.
    #[must_use]
    pub fn of(&self, outcome: DeviceOutcome) -> u32 {
        self.0.get(&outcome).copied().unwrap_or_default()
    }

    /// Returns the devices whose outcome passes a test.
    #[must_use]
    pub fn matching(&self, test: impl Fn(DeviceOutcome) -> bool) -> u32 {
        self.0
            .iter()
            .filter(|(outcome, _)| test(**outcome))
            .map(|(_, n)| n)
            .sum()
    }

    /// Returns all devices counted.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.0.values().sum()
    }
}

/// How a deployment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentOutcome {
    /// Every device that needed it is verified.
    Verified,
    /// Done, but some need a human, were never reached, or no scan has confirmed them.
    Incomplete,
    /// A person said no.
    Rejected,
    /// Nobody answered in time.
    TimedOut,
    /// Guardrails forbid it.
    Forbidden,
    /// A gate did not open, or devices failed; what failed was rolled back.
    RolledBack,
    /// A person ended it, or it was cancelled.
    Aborted,
    /// It could not be started or carried on: its input or the facts do not fit.
    Refused,
}

impl DeploymentOutcome {
    /// Returns the exit status of the starter: 0 all verified, 2 rejected or timed out, 3 failed and
    /// rolled back, 4 some need a human or were never reached, 5 aborted, 1 refused.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Verified => 0,
            Self::Rejected | Self::TimedOut | Self::Forbidden => 2,
            Self::RolledBack => 3,
            Self::Incomplete => 4,
            Self::Aborted => 5,
            Self::Refused => 1,
        }
    }

    /// Judges a deployment that ran to its end by its devices.
    #[must_use]
    pub fn of_finished(counts: &OutcomeCounts, stopped_by_gate: bool) -> Self {
        use DeviceOutcome as D;
        let open = counts.matching(|o| {
            matches!(
                o,
                D::NeedsHuman
                    | D::Unreached
                    | D::Deferred
                    | D::Failed
                    | D::ReportedMissing
                    | D::VerifiedByScript
            )
        });
        if open > 0 {
            Self::Incomplete
        } else if stopped_by_gate || counts.of(D::RolledBack) > 0 {
            Self::RolledBack
        } else if counts.of(D::Aborted) > 0 {
            Self::Aborted
        } else if counts.of(D::Forbidden) > 0 {
            Self::Incomplete
        } else {
            Self::Verified
        }
    }

    /// Returns the word used on the wire and in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Incomplete => "incomplete",
            Self::Rejected => "rejected",
            Self::TimedOut => "timed_out",
            Self::Forbidden => "forbidden",
            Self::RolledBack => "rolled_back",
            Self::Aborted => "aborted",
            Self::Refused => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(DeviceOutcome, u32)]) -> OutcomeCounts {
        OutcomeCounts(pairs.iter().copied().collect())
    }

    #[test]
    fn only_devices_that_a_scan_confirmed_make_a_verified_deployment() {
        use DeviceOutcome as D;
        let good = counts(&[(D::Verified, 10), (D::AlreadyInstalled, 2)]);
        assert_eq!(
            DeploymentOutcome::of_finished(&good, false).exit_status(),
            0
        );
        let unreached = counts(&[(D::Verified, 10), (D::Unreached, 1)]);
        assert_eq!(
            DeploymentOutcome::of_finished(&unreached, false).exit_status(),
            4
        );
        let unconfirmed = counts(&[(D::Verified, 10), (D::VerifiedByScript, 1)]);
        assert_eq!(
            DeploymentOutcome::of_finished(&unconfirmed, false).exit_status(),
            4
        );
        let rolled = counts(&[(D::Verified, 10), (D::RolledBack, 1)]);
        assert_eq!(
            DeploymentOutcome::of_finished(&rolled, false).exit_status(),
            3
        );
        let both = counts(&[(D::NeedsHuman, 1), (D::RolledBack, 1)]);
        assert_eq!(DeploymentOutcome::of_finished(&both, true).exit_status(), 4);
    }

    #[test]
    fn a_device_that_was_never_touched_is_not_an_attempt() {
        assert!(!DeviceOutcome::Deferred.was_attempted());
        assert!(!DeviceOutcome::AlreadyInstalled.was_attempted());
        assert!(DeviceOutcome::NeedsHuman.was_attempted());
    }
}
