//! What became of a campaign: counted from the states of its deployments and devices, and written as
//! JSON, as a table for spreadsheets ([`DeviceTable`]) and as a page for people.

mod build;
mod page;
mod software;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

pub use self::{
    build::{DeviceLine, ReportBuilder, SeenDevice},
    table::DeviceTable,
};
use super::{BusinessImpact, Degraded, DraftPatch, LeftOut, PlanAdvice, ScheduleAdvice};
use crate::{
    deployment::Stage,
    ids::{ClientId, KbId, PersonId, PlanId},
    outcome::{DeploymentOutcome, DeviceOutcome},
    people::Role,
    software::SoftwareSummary,
    vulnerability::deadline::Deadline,
};

/// Most devices that a report names as those somebody has to look after; the table has all.
pub const MOST_NAMED: usize = 100;

/// What became of a campaign until now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Campaign.
    pub campaign: PlanId,
    /// Client.
    pub client: ClientId,
    /// Its workflow.
    pub workflow_id: String,
    /// When its plans were drafted.
    pub drafted_at: Timestamp,
    /// When this was counted.
    pub written_at: Timestamp,
    /// Sums over all plans.
    pub totals: Totals,
    /// Plans, in the final order of the campaign.
    pub plans: Vec<PlanReport>,
    /// Why no model had a say in that order; absent when one had.
    #[serde(default)]
    pub degraded: Option<Degraded>,
    /// Updates, by number.
    pub updates: BTreeMap<KbId, UpdateReport>,
    /// The first devices that somebody has to look after, at most [`MOST_NAMED`].
    pub look_after: Vec<DeviceLine>,
    /// Pairs that no plan holds, by reason.
    pub left_out: Vec<LeftOut>,
    /// Devices whose patch list was never read.
    pub unread: u64,
    /// Updates of which no vulnerability is known.
    pub without_facts: BTreeSet<KbId>,
    /// What installed programs have, when the plans were drafted; absent when no software list was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<SoftwareSummary>,
}

impl Report {
    /// Writes it as JSON.
    ///
    /// # Errors
    /// Never: every key of it is text.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
    }

    /// Writes a table of the products with vulnerabilities; `None` when no software list was read.
    ///
    /// # Errors
    /// Never: it is written into memory.
    pub fn software_table(&self) -> csv::Result<Option<Vec<u8>>> {
        self.software.as_ref().map(software::table).transpose()
    }
}

/// Sums over all plans of a campaign.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Devices of the client when the plans were drafted.
    pub client_devices: u64,
    /// Devices of plans; a device of two plans counts in each.
    pub devices: Fates,
    /// Pairs of device and update.
    pub pairs: Fates,
    /// Pairs that no plan holds.
    pub left_out: u64,
    /// Plans, by what became of their due day.
    pub due: BTreeMap<Due, u64>,
}

/// What became of a device or pair, as a report counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// A scan made after the installation says so.
    Verified,
    /// Installed before, replaced, or not for this device.
    NoNeed,
    /// The device says installed, no scan has confirmed it.
    Unconfirmed,
    /// Went wrong and was not undone; somebody has to look.
    Failed,
    /// Went wrong and was undone.
    RolledBack,
    /// Never reached until the deadline.
    Unreached,
    /// The deployment ended before anything was done to it.
    NotDone,
    /// Not over yet.
    Open,
}

impl Fate {
    /// Every fate, in the order in which reports show them.
    pub const ALL: [Self; 8] = [
        Self::Verified,
        Self::NoNeed,
        Self::Unconfirmed,
        Self::Failed,
        Self::RolledBack,
        Self::Unreached,
        Self::NotDone,
        Self::Open,
    ];

    /// Judges an outcome; `over` says that the deployment has ended.
    #[must_use]
    pub fn of(outcome: Option<DeviceOutcome>, over: bool) -> Self {
        use DeviceOutcome as D;
        match outcome {
            Some(D::Verified) => Self::Verified,
            Some(D::AlreadyInstalled | D::NotApplicable | D::Superseded) => Self::NoNeed,
            Some(D::VerifiedByScript) => Self::Unconfirmed,
            Some(D::Failed | D::ReportedMissing | D::NeedsHuman) => Self::Failed,
            Some(D::RolledBack) => Self::RolledBack,
            Some(D::Unreached) => Self::Unreached,
            Some(D::Forbidden | D::Aborted) => Self::NotDone,
            Some(D::Deferred) if over => Self::Unreached,
            None if over => Self::NotDone,
            Some(D::Deferred) | None => Self::Open,
        }
    }

    /// Returns the word used on the wire and in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::NoNeed => "no_need",
            Self::Unconfirmed => "unconfirmed",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Unreached => "unreached",
            Self::NotDone => "not_done",
            Self::Open => "open",
        }
    }

    /// Returns true when somebody has to look after it.
    #[must_use]
    pub fn needs_somebody(self) -> bool {
        matches!(
            self,
            Self::Unconfirmed | Self::Failed | Self::RolledBack | Self::Unreached
        )
    }
}

/// Numbers by fate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fates(pub BTreeMap<Fate, u64>);

impl Fates {
    /// Counts some.
    pub fn add(&mut self, fate: Fate, number: u64) {
        if number > 0 {
            *self.0.entry(fate).or_default() += number;
        }
    }

    /// Returns how many have this fate.
    #[must_use]
    pub fn of(&self, fate: Fate) -> u64 {
        self.0.get(&fate).copied().unwrap_or_default()
    }

    /// Returns all that were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    fn merge(&mut self, other: &Self) {
        for (fate, number) in &other.0 {
            self.add(*fate, *number);
        }
    }
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReport {
    /// Plan.
    pub plan: PlanId,
    /// Updates.
    pub patches: Vec<DraftPatch>,
    /// Where it stands.
    pub standing: Standing,
    /// Its devices.
    pub devices: Fates,
    /// The strictest deadline of its pairs.
    pub band: Deadline,
    /// The day by which it had to be over, in UTC.
    #[serde(default)]
    pub due_day: Option<Date>,
    /// What became of that day.
    pub due: Due,
    /// Who was asked, the last time.
    #[serde(default)]
    pub approval: Option<ApprovalReport>,
    /// Why it stood where it stood in the campaign.
    pub reasons: Vec<String>,
    /// What it did to the business, by rule.
    #[serde(default)]
    pub impact: Option<BusinessImpact>,
    /// When it should go, by rule.
    #[serde(default)]
    pub schedule: Option<ScheduleAdvice>,
    /// What a model said of it.
    #[serde(default)]
    pub advice: Option<PlanAdvice>,
}

/// Where a plan stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Standing {
    /// Not started; a later campaign finds its pairs again.
    Waiting,
    /// Could not be started.
    Refused {
        /// Why.
        why: String,
    },
    /// Started, and the store knows nothing of it: it has just begun, or was forgotten.
    Unknown,
    /// Its deployment is at work.
    Open {
        /// Stage.
        stage: Stage,
        /// What is waited for.
        note: String,
    },
    /// Its deployment has ended.
    Ended {
        /// How.
        outcome: DeploymentOutcome,
        /// When.
        at: Timestamp,
    },
}

impl Standing {
    /// Returns true when nothing more will be done for it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Ended { .. })
    }

    /// Returns a word for tables: the stage, or how it ended.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Refused { .. } => "not started",
            Self::Unknown => "unknown",
            Self::Open { stage, .. } => stage.as_str(),
            Self::Ended { outcome, .. } => outcome.as_str(),
        }
    }
}

/// What became of the day by which a plan had to be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// There is none: with the next upgrade.
    None,
    /// It is not over, and neither is the plan's work done.
    Ahead,
    /// All was verified by the end of it.
    Kept,
    /// All was verified after it, or the deployment has ended without.
    Missed,
    /// It is over, and the plan is not.
    Overdue,
}

impl Due {
    /// Returns the word used on the wire and in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ahead => "ahead",
            Self::Kept => "kept",
            Self::Missed => "missed",
            Self::Overdue => "overdue",
        }
    }

    /// Judges a plan; days are those of UTC, as the campaign has counted them.
    #[must_use]
    pub fn of(due: Option<Date>, standing: &Standing, today: Date) -> Self {
        let Some(due) = due else { return Self::None };
        match standing {
            Standing::Ended {
                outcome: DeploymentOutcome::Verified,
                at,
            } if build::day(*at) <= due => Self::Kept,
            Standing::Ended {
                outcome: DeploymentOutcome::Verified,
                ..
            } => Self::Missed,
            _ if today <= due => Self::Ahead,
            Standing::Ended { .. } => Self::Missed,
            _ => Self::Overdue,
        }
    }
}

/// Who was asked about a plan, and who said yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalReport {
    /// Least role that may decide.
    pub role: Role,
    /// How many different people have to approve.
    pub quorum: u32,
    /// When people were asked.
    pub asked_at: Timestamp,
    /// When silence becomes an answer.
    pub deadline: Timestamp,
    /// People are being asked.
    pub is_open: bool,
    /// Who approved.
    pub approved_by: Vec<PersonId>,
}

/// What became of an update over all plans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateReport {
    /// Its title, in the vendor's words.
    pub title: String,
    /// Most vulnerabilities that it closes in a plan.
    pub closes: u64,
    /// Plans that hold it.
    pub plans: u64,
    /// Its devices.
    pub devices: Fates,
}
