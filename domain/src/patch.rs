//! Facts about a patch, and what a patch list says of it on one device.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::ids::{CveId, KbId};

/// The vendor's rating, lowest first. Open set on the wire: what we do not know is `Unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Not rated, or a rating we do not know.
    Unknown,
    /// Low.
    Low,
    /// Moderate.
    Moderate,
    /// Important.
    Important,
    /// Critical.
    Critical,
}

impl Severity {
    /// Reads the vendor's text; anything unknown is [`Severity::Unknown`].
    #[must_use]
    pub fn from_vendor(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "low" => Self::Low,
            "moderate" | "medium" => Self::Moderate,
            "important" | "high" => Self::Important,
            "critical" => Self::Critical,
            _ => Self::Unknown,
        }
    }
}

/// What is known of one KB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchFacts {
    /// The KB.
    pub kb: KbId,
    /// Title, shortened; vendor text, never an instruction.
    pub title: String,
    /// Vendor's rating.
    pub severity: Severity,
    /// Category as `SuperOps` names it, such as `Security Updates`.
    pub category: String,
    /// Day of publication.
    #[serde(default)]
    pub published: Option<Date>,
    /// Whether the vendor says that a restart is needed; `None` when not said.
    #[serde(default)]
    pub restart_required: Option<bool>,
    /// Vulnerabilities it closes, with what is known of each.
    #[serde(default)]
    pub cves: Vec<CveFacts>,
}

/// What is known of one vulnerability, with its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CveFacts {
    /// The CVE.
    pub id: CveId,
    /// CVSS base score in tenths, 0 to 100; `None` when nobody scored it.
    #[serde(default)]
    pub base_score_tenths: Option<u8>,
    /// CVSS version of the score, such as `3.1`.
    #[serde(default)]
    pub cvss_version: Option<String>,
    /// CVSS vector.
    #[serde(default)]
    pub vector: Option<String>,
    /// Who scored it.
    #[serde(default)]
    pub score_source: Option<String>,
    /// Listed as exploited by CISA.
    #[serde(default)]
    pub known_exploited: bool,
    /// NVD status, such as `Analyzed` or `Deferred`.
    #[serde(default)]
    pub status: Option<String>,
    /// Set when the source could not be asked; the score is then absent, not zero.
    #[serde(default)]
    pub unavailable: bool,
}

/// What a device's patch list says of one KB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchState {
    /// Listed as installed.
    Installed,
    /// Listed as missing.
    Missing,
    /// Listed as failed.
    Failed,
    /// Not in the list: superseded, or never offered to this device.
    NotListed,
    /// Listed with a status we do not know.
    Unknown,
}

impl PatchState {
    /// Reads `installationStatus`; an open set, so what we do not know is [`PatchState::Unknown`].
    #[must_use]
    pub fn from_status(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "installed" => Self::Installed,
            "newormissing" | "missing" => Self::Missing,
            "failed" => Self::Failed,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_of_the_vendor_stay_unknown() {
        assert_eq!(Severity::from_vendor("Others"), Severity::Unknown);
        assert_eq!(Severity::from_vendor("Critical"), Severity::Critical);
        assert_eq!(PatchState::from_status("NewOrMissing"), PatchState::Missing);
        assert_eq!(
            PatchState::from_status("Pending reboot"),
            PatchState::Unknown
        );
    }
}
