//! The windows and blackouts of one plan as stretches of real time.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use super::{
    Opening, clock,
    text::{MINUTES_PER_DAY, parse_time, parse_zone},
};
use crate::{
    input::{InvalidInput, Problem},
    plan::{BlackoutSpec, WindowSpec},
};

/// A stretch of real time; no end means for ever.
type Stretch = (Timestamp, Option<Timestamp>);

struct Window {
    days: Vec<civil::Weekday>,
    from: u16,
    /// Minutes after the midnight on which `from` counts; more than a day when it crosses midnight.
    to: u16,
}

pub(super) struct Calendar {
    zone: TimeZone,
    windows: Vec<Window>,
    /// Sorted by start, none empty.
    blackouts: Vec<(Timestamp, Timestamp)>,
}

impl Calendar {
    pub(super) fn read(
        windows: &[WindowSpec],
        blackouts: &[BlackoutSpec],
        zone: &str,
    ) -> Result<Self, InvalidInput> {
        let mut problems = Vec::new();
        let zone = parse_zone(zone, "time_zone").unwrap_or_else(|problem| {
            problems.push(problem);
            TimeZone::UTC
        });
        let mut read = Vec::new();
        for (i, window) in windows.iter().enumerate() {
            let from = parse_time(&window.from, &format!("windows[{i}].from"), false);
            let to = parse_time(&window.to, &format!("windows[{i}].to"), true);
            match (from, to) {
                (Ok(from), Ok(to)) => {
                    let to = if to <= from { to + MINUTES_PER_DAY } else { to };
                    read.push(Window {
                        days: window.days.iter().map(clock::weekday).collect(),
                        from,
                        to,
                    });
                }
                (from, to) => problems.extend([from.err(), to.err()].into_iter().flatten()),
            }
        }
        let mut cuts = Vec::new();
        for (i, blackout) in blackouts.iter().enumerate() {
            let ends = (
                clock::first_reached(&zone, blackout.from),
                clock::last_reached(&zone, blackout.to),
            );
            match ends {
                _ if blackout.to <= blackout.from => problems.push(Problem::new(
                    format!("blackouts[{i}].to"),
                    blackout.to,
                    "a time after `from`",
                )),
                // One that lies wholly in skipped time may take no time at all.
                (Some(from), Some(to)) if from < to => cuts.push((from, to)),
                (Some(_), Some(_)) => {}
                _ => problems.push(Problem::new(
                    format!("blackouts[{i}]"),
                    blackout.from,
                    "a time between the years -9998 and 9998",
                )),
            }
        }
        cuts.sort_unstable();
        InvalidInput::when(problems)?;
        Ok(Self {
            zone,
            windows: read,
            blackouts: cuts,
        })
    }

    /// Returns the first opening that ends after `now`, looking `days` ahead.
    pub(super) fn first_opening(&self, now: Timestamp, days: i64) -> Option<Opening> {
        let allowed = if self.windows.is_empty() {
            vec![(now, None)]
        } else {
            merge(self.window_stretches(now, days))
        };
        allowed
            .into_iter()
            .flat_map(|stretch| self.without_blackouts(stretch))
            .find(|(_, end)| end.is_none_or(|end| end > now))
            .map(|(start, end)| Opening {
                opens_at: start.max(now),
                closes_at: end,
            })
    }

    /// Stretches of all windows that open from the day before yesterday (local) on.
    fn window_stretches(&self, now: Timestamp, days: i64) -> Vec<Stretch> {
        let today = self.zone.to_datetime(now).date();
        let mut stretches = Vec::new();
        for offset in -2..=days + 1 {
            let Ok(day) = today.checked_add(SignedDuration::from_hours(24 * offset)) else {
                continue;
            };
            for window in &self.windows {
                if !window.days.is_empty() && !window.days.contains(&day.weekday()) {
                    continue;
                }
                let real = |minutes| {
                    clock::at_minutes(day, minutes).and_then(|t| clock::real_time(&self.zone, t))
                };
                // The clock may jump past the end before it reaches the moved start.
                if let (Some(start), Some(end)) = (real(window.from), real(window.to))
                    && start < end
                {
                    stretches.push((start, Some(end)));
                }
            }
        }
        stretches
    }

    /// Cuts the blackouts out of one stretch.
    fn without_blackouts(&self, (mut start, end): Stretch) -> Vec<Stretch> {
        let mut left = Vec::new();
        let before_end = |at: Timestamp| end.is_none_or(|end| at < end);
        for &(from, to) in &self.blackouts {
            if to <= start || !before_end(from) {
                continue;
            }
            if from > start {
                left.push((start, Some(from)));
            }
            start = start.max(to);
        }
        if before_end(start) {
            left.push((start, end));
        }
        left
    }

    pub(super) fn next_blackout(&self, after: Timestamp) -> Option<Timestamp> {
        self.blackouts
            .iter()
            .map(|(from, _)| *from)
            .find(|from| *from > after)
    }
}

/// Joins stretches that touch or overlap.
fn merge(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    stretches.sort_unstable_by_key(|(start, _)| *start);
    let mut merged: Vec<Stretch> = Vec::new();
    for (start, end) in stretches {
        match merged.last_mut() {
            Some((_, last)) if last.is_none_or(|last| start <= last) => {
                *last = match (*last, end) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                };
            }
            _ => merged.push((start, end)),
        }
    }
    merged
}
