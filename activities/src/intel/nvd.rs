//! What NVD modified, window by window and page by page.
//!
//! Rows move to earlier places when one of them is modified again and so leaves the window: then the
//! whole becomes smaller, and the next page begins that much earlier. A row may be read twice, none is
//! left out.

use clients::nvd::Nvd;
use contracts::{
    activities::intel::{Asked, ReadNvdPageInput, ReadNvdPageResult},
    intel::{IntelSource, ReadingCounts},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Reader, too_soon};
use crate::failure::Outcome;

const NVD: IntelSource = IntelSource::Nvd;
/// NVD allows windows of 120 days.
const LONGEST: SignedDuration = SignedDuration::from_hours(119 * 24);
/// What was modified just before a window ended may be seen a little later.
const OVERLAP: SignedDuration = SignedDuration::from_mins(10);

/// What is remembered of NVD.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Progress {
    /// All that was modified until then is read.
    through: Option<Timestamp>,
    /// When all there was had been read.
    done_at: Option<Timestamp>,
    /// The window that is being read.
    window: Option<Window>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Window {
    from: Timestamp,
    to: Timestamp,
    /// It reaches until the time when it was opened.
    last: bool,
    /// Place of the next page.
    next: u64,
    /// Rows, as the last page said.
    total: Option<u64>,
}

impl Window {
    fn open(known: &Progress, since: Timestamp, now: Timestamp) -> Self {
        let from = known.through.map_or(since, |through| through - OVERLAP);
        let end = from.checked_add(LONGEST).unwrap_or(now);
        Self {
            from: from.min(now),
            to: end.min(now),
            last: end >= now,
            next: 0,
            total: None,
        }
    }

    /// Goes on after a page; `None` when that was the last one.
    fn after(&self, rows: u64, total: u64) -> Option<Self> {
        let gone = self.total.unwrap_or(total).saturating_sub(total);
        let next = (self.next + rows).saturating_sub(gone);
        let stuck = rows == 0 && gone == 0;
        (next < total && !stuck).then(|| Self {
            next,
            total: Some(total),
            ..self.clone()
        })
    }
}

pub(super) async fn page(
    nvd: &Nvd,
    reader: &Reader,
    input: &ReadNvdPageInput,
) -> Outcome<Asked<ReadNvdPageResult>> {
    let now = reader.clock.now();
    let (mut known, seen): (Progress, _) = reader.recall(NVD).await?;
    let window = match known.window.take() {
        Some(window) => window,
        None => match too_soon(known.done_at, input.pause_secs, now) {
            Some(next) => return Ok(Asked::TooSoon { next }),
            None => Window::open(&known, input.since, now),
        },
    };
    let page = nvd
        .modified((window.from, window.to), window.next, now)
        .await?;
    let (rows, total) = (page.rows, page.total);
    let counts: ReadingCounts = reader.take(NVD, page.records, &page.flaws).await?;
    known.window = window.after(rows, total);
    if known.window.is_none() {
        known.through = known.through.max(Some(window.to));
        if window.last {
            known.done_at = Some(now);
        }
    }
    let more = known.window.is_some() || !window.last;
    // Another run that was faster has read the same page; the next call goes on from there.
    let moved = reader.remember(NVD, &known, seen).await?;
    Ok(Asked::Read(ReadNvdPageResult {
        more: more || !moved,
        counts,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn long_times_are_read_in_windows_that_overlap() {
        let now = at("2026-11-28T00:00:00Z");
        let mut known = Progress::default();
        let first = Window::open(&known, at("2026-06-01T00:00:00Z"), now);
        assert!(!first.last && first.to < now);
        known.through = Some(first.to);
        let second = Window::open(&known, at("2026-06-01T00:00:00Z"), now);
        assert!(second.last && second.from < first.to && second.to == now);
        let future = Window::open(&Progress::default(), at("2027-01-01T00:00:00Z"), now);
        assert!(future.from <= future.to);
    }

    #[test]
    fn a_row_that_leaves_the_window_moves_the_next_page_back() {
        let window = Window::open(
            &Progress::default(),
            at("2026-11-01T00:00:00Z"),
            at("2026-11-28T00:00:00Z"),
        );
        let second = window.after(2000, 4100).unwrap();
        assert_eq!(second.next, 2000);
        let third = second.after(2000, 4090).unwrap();
        assert_eq!(third.next, 3990);
        assert!(third.after(100, 4090).is_none());
        // One that says there is more and gives nothing is not asked for ever.
        assert!(second.after(0, 4100).is_none());
    }
}
