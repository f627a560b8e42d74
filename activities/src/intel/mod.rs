//! Sources of vulnerability facts: what was read last is remembered in the store, so that a run asks
//! for what is new only and goes on where the last one stopped.

mod due;
mod kev;
mod msrc;
mod nvd;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use clients::{
    intel::Intel,
    nvd::Nvd,
    store::{ReaderState, Store, StoreError, Vulnerabilities},
};
use contracts::{
    activities::intel::{
        Asked, ListReleasesInput, ListReleasesResult, NextDueInput, NextDueResult, PauseInput,
        ReadNvdPageInput, ReadNvdPageResult, ReadPredictionsInput, ReadRecordInput,
        ReadReleaseInput,
    },
    intel::{IntelSource, ReadingCounts},
};
use domain::vulnerability::record::VulnerabilityRecord;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    Clock, Deps,
    failure::{Outcome, bug_because},
};

/// Flaws of one answer that are logged one by one.
const TOLD: usize = 20;

/// What all readers work with.
#[derive(Debug, Clone)]
struct Reader {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Reader {
    fn facts(&self) -> &dyn Vulnerabilities {
        self.store.vulnerabilities.as_ref()
    }

    /// Reads what a source's reader remembers, with its version; nothing of a first run.
    async fn recall<T: DeserializeOwned + Default>(
        &self,
        source: IntelSource,
    ) -> Outcome<(T, u64)> {
        let Some(state) = self.facts().reader_state(source.as_str()).await? else {
            return Ok((T::default(), 0));
        };
        let body = serde_json::from_value(state.body)
            .map_err(|error| bug_because("what a reader remembers cannot be read", error))?;
        Ok((body, state.version))
    }

    /// Lets a source's reader remember something; false when another one has moved it meanwhile.
    async fn remember<T: Serialize + Sync>(
        &self,
        source: IntelSource,
        body: &T,
        seen: u64,
    ) -> Outcome<bool> {
        let body = serde_json::to_value(body)
            .map_err(|error| bug_because("what a reader remembers cannot be written", error))?;
        let version = seen + 1;
        let state = ReaderState { version, body };
        match self.facts().move_reader(source.as_str(), state).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what a request brought.
    async fn take(
        &self,
        source: IntelSource,
        records: Vec<VulnerabilityRecord>,
        flaws: &[String],
    ) -> Outcome<ReadingCounts> {
        tell(source, flaws);
        let read = records.len() as u64;
        Ok(ReadingCounts {
            requests: 1,
            read,
            changed: self.facts().merge_vulnerabilities(records).await?,
            flaws: flaws.len() as u64,
        })
    }
}

/// Names what could not be read in the log, and counts it.
fn tell(source: IntelSource, flaws: &[String]) {
    let source = source.as_str();
    metrics::counter!("autoops_intel_flaws", "source" => source).increment(flaws.len() as u64);
    for flaw in flaws.iter().take(TOLD) {
        tracing::warn!(source, flaw, "a field or row of a source cannot be read");
    }
    if let Some(more) = flaws.len().checked_sub(TOLD + 1) {
        tracing::warn!(source, more = more + 1, "more flaws in the same answer");
    }
}

/// Says when a source may be read again; `None` when it may.
fn too_soon(last: Option<Timestamp>, pause_secs: u64, now: Timestamp) -> Option<Timestamp> {
    let pause = SignedDuration::from_secs(i64::try_from(pause_secs).unwrap_or(i64::MAX));
    let next = last?.checked_add(pause).unwrap_or(Timestamp::MAX);
    (next > now).then_some(next)
}

/// Sources without a queue of their own.
#[derive(Debug)]
pub struct IntelActivities {
    intel: Arc<Intel>,
    reader: Reader,
}

/// NVD.
#[derive(Debug)]
pub struct IntelNvdActivities {
    nvd: Arc<Nvd>,
    reader: Reader,
}

impl Reader {
    fn new(deps: &Deps) -> Self {
        Self {
            store: deps.store.clone(),
            clock: Arc::clone(&deps.clock),
        }
    }
}

impl IntelActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            intel: Arc::clone(&deps.intel),
            reader: Reader::new(deps),
        }
    }
}

impl IntelNvdActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            nvd: Arc::clone(&deps.nvd),
            reader: Reader::new(deps),
        }
    }
}

#[activities]
impl IntelActivities {
    /// Reads CISA's catalogue, if it changed.
    #[activity(definition = contracts::activities::intel::ReadKev)]
    pub async fn read_kev(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: PauseInput,
    ) -> Result<Asked<ReadingCounts>, ActivityError> {
        Ok(kev::read(&self.intel, &self.reader, input.pause_secs).await?)
    }

    /// Lists Microsoft's documents that changed.
    #[activity(definition = contracts::activities::intel::ListReleases)]
    pub async fn list_releases(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ListReleasesInput,
    ) -> Result<Asked<ListReleasesResult>, ActivityError> {
        Ok(msrc::list(&self.intel, &self.reader, &input).await?)
    }

    /// Reads one of Microsoft's documents.
    #[activity(definition = contracts::activities::intel::ReadRelease)]
    pub async fn read_release(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ReadReleaseInput,
    ) -> Result<ReadingCounts, ActivityError> {
        Ok(msrc::read(&self.intel, &self.reader, input.release).await?)
    }

    /// Finds followed vulnerabilities that a source has to be asked about; asks the store only.
    #[activity(definition = contracts::activities::intel::NextDue)]
    pub async fn next_due(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: NextDueInput,
    ) -> Result<NextDueResult, ActivityError> {
        Ok(due::next(&self.reader, &input).await?)
    }

    /// Reads one CVE record.
    #[activity(definition = contracts::activities::intel::ReadRecord)]
    pub async fn read_record(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ReadRecordInput,
    ) -> Result<ReadingCounts, ActivityError> {
        Ok(due::record(&self.intel, &self.reader, input.cve).await?)
    }

    /// Asks for predictions.
    #[activity(definition = contracts::activities::intel::ReadPredictions)]
    pub async fn read_predictions(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ReadPredictionsInput,
    ) -> Result<ReadingCounts, ActivityError> {
        Ok(due::predictions(&self.intel, &self.reader, &input.cves).await?)
    }
}

#[activities]
impl IntelNvdActivities {
    /// Reads the next page of what NVD modified.
    #[activity(definition = contracts::activities::intel::ReadNvdPage)]
    pub async fn read_nvd_page(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ReadNvdPageInput,
    ) -> Result<Asked<ReadNvdPageResult>, ActivityError> {
        Ok(nvd::page(&self.nvd, &self.reader, &input).await?)
    }
}
