//! Sources of vulnerability facts: two exploited vulnerabilities, one document, three pages of NVD.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use contracts::{
    activities::intel::{
        Asked, ListReleasesInput, ListReleasesResult, NextDueInput, NextDueResult, PauseInput,
        ReadNvdPageInput, ReadNvdPageResult, ReadPredictionsInput, ReadRecordInput,
        ReadReleaseInput,
    },
    intel::ReadingCounts,
};
use domain::vulnerability::cvrf::Release;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::world::Worlds;

/// Pages of NVD.
pub const NVD_PAGES: u32 = 3;
/// The vulnerabilities that are followed.
pub const FOLLOWED: [&str; 2] = ["CVE-2024-0001", "CVE-2024-0002"];

fn counts(read: u64) -> ReadingCounts {
    ReadingCounts {
        requests: 1,
        read,
        changed: read,
        flaws: 0,
    }
}

/// Sources without a queue of their own.
#[derive(Debug)]
pub struct FakeIntel(Arc<Worlds>);

/// NVD.
#[derive(Debug)]
pub struct FakeIntelNvd {
    worlds: Arc<Worlds>,
    /// Pages that were read, by workflow.
    read: Mutex<BTreeMap<String, u32>>,
}

impl FakeIntel {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

impl FakeIntelNvd {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self {
            worlds,
            read: Mutex::default(),
        }
    }
}

#[activities]
impl FakeIntel {
    /// Reads CISA's catalogue.
    #[activity(definition = contracts::activities::intel::ReadKev)]
    pub async fn read_kev(
        self: Arc<Self>,
        ctx: ActivityContext,
        _: PauseInput,
    ) -> Result<Asked<ReadingCounts>, ActivityError> {
        self.0.of(&ctx)?;
        Ok(Asked::Read(counts(2)))
    }

    /// Lists Microsoft's documents.
    #[activity(definition = contracts::activities::intel::ListReleases)]
    pub async fn list_releases(
        self: Arc<Self>,
        ctx: ActivityContext,
        _: ListReleasesInput,
    ) -> Result<Asked<ListReleasesResult>, ActivityError> {
        self.0.of(&ctx)?;
        let release = Release {
            id: "2024-May".into(),
            changed: jiff::Timestamp::UNIX_EPOCH,
        };
        Ok(Asked::Read(ListReleasesResult {
            releases: vec![release],
            counts: counts(0),
        }))
    }

    /// Reads one of Microsoft's documents.
    #[activity(definition = contracts::activities::intel::ReadRelease)]
    pub async fn read_release(
        self: Arc<Self>,
        ctx: ActivityContext,
        _: ReadReleaseInput,
    ) -> Result<ReadingCounts, ActivityError> {
        self.0.of(&ctx)?;
        Ok(counts(2))
    }

    /// Finds followed vulnerabilities: one in each page.
    #[activity(definition = contracts::activities::intel::NextDue)]
    pub async fn next_due(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: NextDueInput,
    ) -> Result<NextDueResult, ActivityError> {
        self.0.of(&ctx)?;
        let [first, second] = FOLLOWED.map(|id| id.parse().unwrap());
        Ok(match input.after {
            None => NextDueResult {
                cves: vec![first],
                next: FOLLOWED[0].parse().ok(),
            },
            Some(_) => NextDueResult {
                cves: vec![second],
                next: None,
            },
        })
    }

    /// Reads one CVE record.
    #[activity(definition = contracts::activities::intel::ReadRecord)]
    pub async fn read_record(
        self: Arc<Self>,
        ctx: ActivityContext,
        _: ReadRecordInput,
    ) -> Result<ReadingCounts, ActivityError> {
        self.0.of(&ctx)?;
        Ok(counts(1))
    }

    /// Asks for predictions.
    #[activity(definition = contracts::activities::intel::ReadPredictions)]
    pub async fn read_predictions(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ReadPredictionsInput,
    ) -> Result<ReadingCounts, ActivityError> {
        self.0.of(&ctx)?;
        Ok(counts(input.cves.len() as u64))
    }
}

#[activities]
impl FakeIntelNvd {
    /// Reads the next page of what NVD modified.
    #[activity(definition = contracts::activities::intel::ReadNvdPage)]
    pub async fn read_nvd_page(
        self: Arc<Self>,
        ctx: ActivityContext,
        _: ReadNvdPageInput,
    ) -> Result<Asked<ReadNvdPageResult>, ActivityError> {
        self.worlds.of(&ctx)?;
        let id = ctx.info().workflow_id.clone().unwrap_or_default();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let read = read.entry(id).or_default();
        *read += 1;
        Ok(Asked::Read(ReadNvdPageResult {
            more: *read < NVD_PAGES,
            counts: counts(10),
        }))
    }
}
