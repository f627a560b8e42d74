//! Microsoft's documents, one a month: those that changed since they were read.

use std::collections::BTreeMap;

use clients::intel::Intel;
use contracts::{
    activities::intel::{Asked, ListReleasesInput, ListReleasesResult},
    intel::{IntelSource, ReadingCounts},
};
use domain::vulnerability::cvrf::Release;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Reader, tell, too_soon};
use crate::failure::Outcome;

const MSRC: IntelSource = IntelSource::Msrc;

/// What is remembered of the documents.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Documents {
    asked_at: Option<Timestamp>,
    /// Which state of each was read, by id.
    read: BTreeMap<String, Timestamp>,
    /// Still to be read, oldest first.
    pending: Vec<Release>,
}

pub(super) async fn list(
    intel: &Intel,
    reader: &Reader,
    input: &ListReleasesInput,
) -> Outcome<Asked<ListReleasesResult>> {
    let now = reader.clock.now();
    let (known, seen): (Documents, _) = reader.recall(MSRC).await?;
    if let Some(next) = too_soon(known.asked_at, input.pause_secs, now) {
        // A run that stopped in the middle left some.
        return Ok(if known.pending.is_empty() {
            Asked::TooSoon { next }
        } else {
            Asked::Read(ListReleasesResult {
                releases: known.pending,
                counts: ReadingCounts::default(),
            })
        });
    }
    let (mut releases, flaws) = intel.msrc_releases().await?;
    tell(MSRC, &flaws);
    let counts = ReadingCounts {
        requests: 1,
        flaws: flaws.len() as u64,
        ..ReadingCounts::default()
    };
    releases.sort_by(|a, b| (a.changed, &a.id).cmp(&(b.changed, &b.id)));
    let old = releases.len().saturating_sub(input.months as usize);
    releases.drain(..old);
    releases.retain(|release| known.read.get(&release.id) < Some(&release.changed));
    let documents = Documents {
        asked_at: Some(now),
        pending: releases.clone(),
        ..known
    };
    reader.remember(MSRC, &documents, seen).await?;
    Ok(Asked::Read(ListReleasesResult { releases, counts }))
}

pub(super) async fn read(
    intel: &Intel,
    reader: &Reader,
    release: Release,
) -> Outcome<ReadingCounts> {
    let now = reader.clock.now();
    let document = intel.msrc_document(&release.id, now).await?;
    let mut counts = reader.take(MSRC, document.records, &document.flaws).await?;
    let updates = reader.facts().merge_updates(document.updates);
    counts.changed += updates.await?;
    // Another run may have moved it: then what that one knows is added to.
    loop {
        let (mut known, seen): (Documents, _) = reader.recall(MSRC).await?;
        known.pending.retain(|pending| pending.id != release.id);
        let at = known.read.entry(release.id.clone());
        let at = at.or_insert(release.changed);
        *at = release.changed.max(*at);
        if reader.remember(MSRC, &known, seen).await? {
            return Ok(counts);
        }
    }
}
