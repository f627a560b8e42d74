//! CISA's catalogue: read whole, but only when it changed.

use std::collections::BTreeSet;

use clients::intel::{Catalogue, Intel};
use contracts::{
    activities::intel::Asked,
    intel::{IntelSource, ReadingCounts},
};
use domain::{ids::CveId, vulnerability::kev::taken_back};

use super::{Reader, too_soon};
use crate::failure::Outcome;

const KEV: IntelSource = IntelSource::Kev;

pub(super) async fn read(
    intel: &Intel,
    reader: &Reader,
    pause_secs: u64,
) -> Outcome<Asked<ReadingCounts>> {
    let now = reader.clock.now();
    let (known, seen): (Catalogue, _) = reader.recall(KEV).await?;
    if let Some(next) = too_soon(known.asked_at, pause_secs, now) {
        return Ok(Asked::TooSoon { next });
    }
    let Some((kev, mark)) = intel.kev(&known.mark).await? else {
        let again = Catalogue {
            asked_at: Some(now),
            ..known
        };
        reader.remember(KEV, &again, seen).await?;
        return Ok(Asked::Read(ReadingCounts {
            requests: 1,
            ..ReadingCounts::default()
        }));
    };
    let mut records = kev.records(now);
    let listed: BTreeSet<CveId> = records.iter().map(|record| record.id.clone()).collect();
    let gone = known.listed.difference(&listed);
    records.extend(gone.map(|id| taken_back(id.clone(), now)));
    let counts = reader.take(KEV, records, kev.problems()).await?;
    let catalogue = Catalogue {
        mark,
        version: kev.version().to_owned(),
        asked_at: Some(now),
        listed,
        histories: kev.histories().clone(),
    };
    reader.remember(KEV, &catalogue, seen).await?;
    Ok(Asked::Read(counts))
}
