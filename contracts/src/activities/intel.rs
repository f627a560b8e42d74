//! Reading sources of vulnerability facts: one request each, what it says goes into the store.

use std::convert::Infallible;

use domain::{ids::CveId, vulnerability::cvrf::Release};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::intel::{IntelSource, ReadingCounts};

/// Most CVEs in one answer of `intel.next_due`: one question to EPSS has that many.
pub const DUE_PAGE: usize = 100;

/// When a source may be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseInput {
    /// It is left alone for so many seconds after a complete reading.
    pub pause_secs: u64,
}

/// What a request for a whole source came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked<T> {
    /// It was read a short while ago and not asked.
    TooSoon {
        /// When it may be read again.
        next: Timestamp,
    },
    /// It was asked.
    Read(T),
}

/// Which documents of Microsoft are new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReleasesInput {
    /// As in [`PauseInput`].
    pub pause_secs: u64,
    /// Most documents, the newest.
    pub months: u32,
}

/// Documents that changed since they were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReleasesResult {
    /// Oldest first.
    pub releases: Vec<Release>,
    /// Facts.
    pub counts: ReadingCounts,
}

/// Names a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadReleaseInput {
    /// The document.
    pub release: Release,
}

/// Asks for the next page of what NVD modified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadNvdPageInput {
    /// As in [`PauseInput`].
    pub pause_secs: u64,
    /// Where the very first window begins.
    pub since: Timestamp,
}

/// A page of NVD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadNvdPageResult {
    /// There is more to read, at once.
    pub more: bool,
    /// Facts.
    pub counts: ReadingCounts,
}

/// Asks which followed vulnerabilities a source was not asked about for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextDueInput {
    /// The source.
    pub source: IntelSource,
    /// Those that were read longer ago than so many seconds.
    pub older_secs: u64,
    /// Where the last page ended.
    #[serde(default)]
    pub after: Option<CveId>,
}

/// Vulnerabilities that are due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextDueResult {
    /// At most [`DUE_PAGE`].
    pub cves: Vec<CveId>,
    /// Where to go on; absent at the end.
    pub next: Option<CveId>,
}

/// Names a CVE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRecordInput {
    /// CVE.
    pub cve: CveId,
}

/// Names CVEs, at most [`DUE_PAGE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadPredictionsInput {
    /// CVEs.
    pub cves: Vec<CveId>,
}

/// Sources without a queue of their own.
#[derive(Debug)]
pub struct IntelActivities;

#[activity_definitions]
impl IntelActivities {
    /// Reads CISA's catalogue, if it changed.
    #[activity(name = "intel.read_kev")]
    pub fn read_kev(_: PauseInput) -> Result<Asked<ReadingCounts>, Infallible> {
        unimplemented!()
    }

    /// Lists Microsoft's documents that changed.
    #[activity(name = "intel.list_releases")]
    pub fn list_releases(_: ListReleasesInput) -> Result<Asked<ListReleasesResult>, Infallible> {
        unimplemented!()
    }

    /// Reads one of Microsoft's documents.
    #[activity(name = "intel.read_release")]
    pub fn read_release(_: ReadReleaseInput) -> Result<ReadingCounts, Infallible> {
        unimplemented!()
    }

    /// Finds followed vulnerabilities that a source has to be asked about; asks the store only.
    #[activity(name = "intel.next_due")]
    pub fn next_due(_: NextDueInput) -> Result<NextDueResult, Infallible> {
        unimplemented!()
    }

    /// Reads one CVE record.
    #[activity(name = "intel.read_record")]
    pub fn read_record(_: ReadRecordInput) -> Result<ReadingCounts, Infallible> {
        unimplemented!()
    }

    /// Asks for predictions.
    #[activity(name = "intel.read_predictions")]
    pub fn read_predictions(_: ReadPredictionsInput) -> Result<ReadingCounts, Infallible> {
        unimplemented!()
    }
}

/// NVD, on its own queue.
#[derive(Debug)]
pub struct IntelNvdActivities;

#[activity_definitions]
impl IntelNvdActivities {
    /// Reads the next page of what NVD modified.
    #[activity(name = "intel.read_nvd_page")]
    pub fn read_nvd_page(_: ReadNvdPageInput) -> Result<Asked<ReadNvdPageResult>, Infallible> {
        unimplemented!()
    }
}

pub use intel_activities::{
    ListReleases, NextDue, ReadKev, ReadPredictions, ReadRecord, ReadRelease,
};
pub use intel_nvd_activities::ReadNvdPage;
