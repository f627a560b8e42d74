//! The contract with our device script: `SuperOps` can only run scripts, so patches are installed,
//! checked and removed by `AutoOps-Device`, which reports to our callback.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    evidence::StoredEvidence,
    ids::{DeviceId, JobId, KbId},
};

/// Header of a callback: `v1=hex(HMAC-SHA256(token, timestamp + "." + body))`.
pub const SIGNATURE_HEADER: &str = "x-autoops-signature";
/// Header of a callback: Unix seconds, the `timestamp` of the signature.
pub const TIMESTAMP_HEADER: &str = "x-autoops-timestamp";
/// Exact name of the script in `SuperOps`.
pub const SCRIPT_NAME: &str = "AutoOps-Device";
/// Runtime variables the script must declare, in order; without all of them we refuse to run it.
pub const SCRIPT_VARIABLES: [&str; 9] = [
    "mode",
    "kb",
    "jobId",
    "device",
    "notBefore",
    "notAfter",
    "services",
    "callbackUrl",
    "token",
];

/// What the script is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptMode {
    /// Is the KB applicable, installed, is there room, is a restart pending?
    Check,
    /// Install the KB; never restarts.
    Install,
    /// Restart the device.
    Reboot,
    /// Is the KB installed now, do the named services run?
    Verify,
    /// Remove the KB; never restarts.
    Uninstall,
    /// Collect evidence before a restart may destroy it.
    Evidence,
}

impl ScriptMode {
    /// Returns the word the script expects.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Install => "install",
            Self::Reboot => "reboot",
            Self::Verify => "verify",
            Self::Uninstall => "uninstall",
            Self::Evidence => "evidence",
        }
    }

    /// Returns true when the mode changes the device.
    #[must_use]
    pub fn changes_device(self) -> bool {
        matches!(self, Self::Install | Self::Reboot | Self::Uninstall)
    }
}

impl fmt::Display for ScriptMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ScriptMode {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, String> {
        [Self::Check, Self::Install, Self::Reboot, Self::Verify, Self::Uninstall, Self::Evidence]
            .into_iter()
            .find(|mode| mode.as_str() == value)
            .ok_or_else(|| format!("mode: `{value}` is not allowed: check, install, reboot, verify, uninstall or evidence"))
    }
}

/// How one run of the script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptOutcome {
    /// Did what it was asked to do.
    Succeeded,
    /// Tried and failed; `exit_code` and `log` say why.
    Failed,
    /// Started before `notBefore` or after `notAfter`, and therefore did nothing.
    OutsideWindow,
    /// The KB does not apply to this device.
    NotApplicable,
    /// A newer update that contains this KB is installed.
    Superseded,
    /// Windows refuses to remove this KB.
    NotRemovable,
}

/// State of one Windows service, as the script saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Service name, such as `Spooler`.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
}

/// What the script posts to our callback (body of the request, JSON in camel case).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScriptReport {
    /// The job this is the answer to.
    pub job_id: JobId,
    /// `SuperOps` `assetId` of the device.
    pub device: DeviceId,
    /// What it was asked to do.
    pub mode: ScriptMode,
    /// The KB, for all modes but `reboot` and `evidence`.
    #[serde(default)]
    pub kb: Option<KbId>,
    /// How it ended.
    pub outcome: ScriptOutcome,
    /// Exit code of the installer; 0 and 3010 are success.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// A restart is needed to finish.
    #[serde(default)]
    pub reboot_required: bool,
    /// Whether the KB is installed now, if the script could tell.
    #[serde(default)]
    pub installed: Option<bool>,
    /// State of the services it was asked about.
    #[serde(default)]
    pub services: Vec<ServiceState>,
    /// When it finished, UTC, by the device's clock.
    pub finished_at: Timestamp,
    /// Tail of its log, at most 4 KiB; untrusted text.
    #[serde(default)]
    pub log: String,
    /// Where what it collected is kept. The script posts the evidence itself; the receiver keeps it and
    /// puts this in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<StoredEvidence>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_what_the_script_posts() {
        let report: ScriptReport = serde_json::from_str(
            r#"{"jobId":"p/1/1/install-0","device":"81","mode":"install","kb":"5034441","outcome":"succeeded",
                "exitCode":3010,"rebootRequired":true,"finishedAt":"2026-11-01T10:00:00Z"}"#,
        )
        .unwrap();
        assert!(report.reboot_required);
        assert_eq!(report.kb.unwrap().to_string(), "KB5034441");
    }
}
