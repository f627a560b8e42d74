//! What runs by the clock: kinds of schedules, and the workflow that each starts.

use std::{fmt, str::FromStr};

use domain::input::Problem;
use serde::{Deserialize, Serialize};

/// What a schedule starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Looks for missing patches of a client and starts deployments.
    PatchCampaign,
    /// Reads what is new about vulnerabilities.
    IntelSync,
    /// Reports on the campaigns of a client.
    CampaignReport,
    /// Seals the audit trail.
    DailySeal,
    /// Reads what is new about alerts.
    AlertIngest,
}

impl ScheduleKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::PatchCampaign,
        Self::IntelSync,
        Self::CampaignReport,
        Self::DailySeal,
        Self::AlertIngest,
    ];

    /// Returns the word people write; the workflow ids of the kind begin with it, too.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PatchCampaign => "patch-campaign",
            Self::IntelSync => "intel-sync",
            Self::CampaignReport => "campaign-report",
            Self::DailySeal => "daily-seal",
            Self::AlertIngest => "alert-ingest",
        }
    }

    /// Returns the wire name of the workflow it starts.
    #[must_use]
    pub fn workflow_type(self) -> &'static str {
        match self {
            Self::PatchCampaign => "PatchCampaign",
            Self::IntelSync => "IntelSync",
            Self::CampaignReport => "CampaignReport",
            Self::DailySeal => "DailySeal",
            Self::AlertIngest => "AlertIngest",
        }
    }

    /// Returns true when it works for one client; the others work for all at once.
    #[must_use]
    pub fn needs_client(self) -> bool {
        matches!(self, Self::PatchCampaign | Self::CampaignReport)
    }

    /// Lists the words of all kinds, for messages.
    #[must_use]
    pub fn words() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for ScheduleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ScheduleKind {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| Problem::new("kind", text, Self::words()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_from_its_word_and_from_json() {
        for kind in ScheduleKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.as_str());
            assert_eq!(serde_json::from_value::<ScheduleKind>(json).unwrap(), kind);
        }
        let wrong = "weekly-seal".parse::<ScheduleKind>().unwrap_err();
        assert!(wrong.to_string().contains("intel-sync"), "{wrong}");
    }
}
