//! Sources that are asked by CVE: which ones are due, and the asking.

use std::collections::BTreeSet;

use clients::intel::Intel;
use contracts::{
    activities::intel::{DUE_PAGE, NextDueInput, NextDueResult},
    intel::{IntelSource, ReadingCounts},
};
use domain::{
    ids::CveId,
    vulnerability::record::{Source, VulnerabilityRecord},
};

use super::{Reader, too_soon};
use crate::failure::{Outcome, bug};

/// Records that are looked at for one answer.
const LOOKED_AT: usize = 2000;
const PAGE: usize = 200;

fn remembered_as(source: IntelSource) -> Source {
    match source {
        IntelSource::Kev => Source::Kev,
        IntelSource::Msrc => Source::Msrc,
        IntelSource::Nvd => Source::Nvd,
        IntelSource::CveServices => Source::Cna,
        IntelSource::Epss => Source::Epss,
    }
}

pub(super) async fn next(reader: &Reader, input: &NextDueInput) -> Outcome<NextDueResult> {
    let now = reader.clock.now();
    let source = remembered_as(input.source);
    let is_due = |record: &VulnerabilityRecord| {
        let last = record.read_at.get(&source).copied();
        !record.rejected && too_soon(last, input.older_secs, now).is_none()
    };
    let mut due = Vec::new();
    let mut after = input.after.as_ref().map(ToString::to_string);
    for _ in 0..LOOKED_AT / PAGE {
        let page = reader.facts().list_followed(after.as_deref(), PAGE).await?;
        for record in page.items {
            if is_due(&record) {
                due.push(record.id.clone());
            }
            if due.len() == DUE_PAGE {
                return Ok(NextDueResult {
                    next: Some(record.id),
                    cves: due,
                });
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let next = after.map(|id| id.parse());
    Ok(NextDueResult {
        next: next
            .transpose()
            .map_err(|_| bug("the list of followed vulnerabilities has a place that is no CVE"))?,
        cves: due,
    })
}

pub(super) async fn record(intel: &Intel, reader: &Reader, cve: CveId) -> Outcome<ReadingCounts> {
    let now = reader.clock.now();
    let (record, flaws) = match intel.cve_record(&cve, now).await? {
        Some(reading) => (reading.record, reading.flaws),
        // Reserved, or too new: asked again when it is due.
        None => (VulnerabilityRecord::new(cve), Vec::new()),
    };
    let record = asked(record, Source::Cna, now);
    reader
        .take(IntelSource::CveServices, vec![record], &flaws)
        .await
}

pub(super) async fn predictions(
    intel: &Intel,
    reader: &Reader,
    cves: &[CveId],
) -> Outcome<ReadingCounts> {
    let now = reader.clock.now();
    let answer = intel.epss(cves, now).await?;
    let mut records = answer.records;
    let wanted: BTreeSet<&CveId> = cves.iter().collect();
    records.retain(|record| wanted.contains(&record.id));
    let predicted: BTreeSet<CveId> = records.iter().map(|record| record.id.clone()).collect();
    let absent = cves.iter().filter(|cve| !predicted.contains(cve));
    let absent = absent.map(|cve| asked(VulnerabilityRecord::new(cve.clone()), Source::Epss, now));
    let absent: Vec<_> = absent.collect();
    let unknown = absent.len() as u64;
    records.extend(absent);
    let mut counts = reader
        .take(IntelSource::Epss, records, &answer.flaws)
        .await?;
    counts.read -= unknown;
    Ok(counts)
}

fn asked(
    mut record: VulnerabilityRecord,
    source: Source,
    at: jiff::Timestamp,
) -> VulnerabilityRecord {
    record.read_at.insert(source, at);
    record
}
