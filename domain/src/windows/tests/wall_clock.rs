//! A second reading of the rules, to judge the first by: whole minutes, and what clocks on the wall
//! show. Nothing of it is shared with the code under test.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

use crate::plan::{BlackoutSpec, WindowSpec};

/// Minutes since 1970: of real time, or as a clock shows them.
pub(super) type Minute = i64;

const DAY: Minute = 24 * 60;

/// A night on which the clock jumps.
struct Change {
    at: Minute,
    /// What the clock was ahead of UTC, and what it is from now on.
    before: Minute,
    after: Minute,
}

impl Change {
    fn is_forward(&self) -> bool {
        self.after > self.before
    }

    /// Whether this local time is skipped or comes twice.
    fn is_odd(&self, local: Minute) -> bool {
        let (old, new) = (self.at + self.before, self.at + self.after);
        (old.min(new)..old.max(new)).contains(&local)
    }
}

/// A clock on the wall of a site, for some weeks before a day and more than a year after it.
pub(super) struct WallClock {
    first: Minute,
    changes: Vec<Change>,
}

impl WallClock {
    pub(super) fn of(zone: &str, day: Timestamp) -> Self {
        let zone = TimeZone::get(zone).unwrap();
        let start = day - SignedDuration::from_hours(24 * 30);
        let end = day + SignedDuration::from_hours(24 * 400);
        let ahead = |at| Minute::from(zone.to_offset(at).seconds()) / 60;
        let changes = zone
            .following(start)
            .map(|change| change.timestamp())
            .take_while(|at| *at < end)
            .map(|at| Change {
                at: minute_of(at),
                before: ahead(at - SignedDuration::from_secs(1)),
                after: ahead(at),
            });
        Self {
            first: ahead(start),
            changes: changes.collect(),
        }
    }

    pub(super) fn reads(&self, at: Minute) -> Minute {
        let last = self.changes.iter().rev().find(|change| change.at <= at);
        at + last.map_or(self.first, |change| change.after)
    }

    /// Whether the clock has just jumped, so that it shows what a steady clock would not.
    pub(super) fn is_confused(&self, at: Minute) -> bool {
        self.changes.iter().any(|change| {
            (change.at..change.at + (change.after - change.before).abs()).contains(&at)
        })
    }

    /// Whether a time has come; one that is odd is read from a clock nobody has set.
    fn has_come(&self, local: Minute, at: Minute) -> bool {
        match self.odd(local) {
            Some(change) => at + change.before >= local,
            None => self.reads(at) >= local,
        }
    }

    /// As [`Self::has_come`], but what is skipped has come as soon as it is skipped.
    fn has_begun(&self, local: Minute, at: Minute) -> bool {
        match self.odd(local) {
            Some(change) if !change.is_forward() => at + change.before >= local,
            _ => self.reads(at) >= local,
        }
    }

    /// As [`Self::has_come`], but what comes twice has come when it comes again.
    fn is_over(&self, local: Minute, at: Minute) -> bool {
        match self.odd(local) {
            Some(change) if change.is_forward() => at + change.before >= local,
            Some(change) => at + change.after >= local,
            None => self.reads(at) >= local,
        }
    }

    fn odd(&self, local: Minute) -> Option<&Change> {
        self.changes.iter().find(|change| change.is_odd(local))
    }
}

struct Window {
    days: BTreeSet<Minute>,
    from: Minute,
    to: Minute,
}

/// The windows and blackouts of a plan beside such a clock.
pub(super) struct Rules {
    pub(super) clock: WallClock,
    windows: Vec<Window>,
    blackouts: Vec<(Minute, Minute)>,
}

impl Rules {
    pub(super) fn of(clock: WallClock, windows: &[WindowSpec], blackouts: &[BlackoutSpec]) -> Self {
        let window = |spec: &WindowSpec| {
            let (from, to) = (time_of(&spec.from), time_of(&spec.to));
            Window {
                days: spec.days.iter().map(|day| *day as Minute).collect(),
                from,
                to: if to > from { to } else { to + DAY },
            }
        };
        Self {
            clock,
            windows: windows.iter().map(window).collect(),
            blackouts: blackouts
                .iter()
                .map(|cut| (local_minute(cut.from), local_minute(cut.to)))
                .collect(),
        }
    }

    /// Whether devices may be touched.
    pub(super) fn allow(&self, at: Minute) -> bool {
        let blacked_out = |(from, to): &(Minute, Minute)| {
            self.clock.has_begun(*from, at) && !self.clock.is_over(*to, at)
        };
        let in_window = |(from, to): (Minute, Minute)| {
            self.clock.has_come(from, at) && !self.clock.has_come(to, at)
        };
        !self.blackouts.iter().any(blacked_out)
            && (self.windows.is_empty() || self.occurrences(at).any(in_window))
    }

    /// Whether the wall clock shows a time inside a window.
    pub(super) fn wall_clock_in_window(&self, at: Minute) -> bool {
        let shown = self.clock.reads(at);
        self.windows.is_empty()
            || self
                .occurrences(at)
                .any(|(from, to)| (from..to).contains(&shown))
    }

    /// Whether the wall clock shows a time inside a blackout.
    pub(super) fn wall_clock_in_blackout(&self, at: Minute) -> bool {
        let shown = self.clock.reads(at);
        self.blackouts
            .iter()
            .any(|(from, to)| (*from..*to).contains(&shown))
    }

    /// Whether a window ends or a blackout begins at this minute.
    pub(super) fn something_closes(&self, at: Minute) -> bool {
        self.occurrences(at)
            .any(|(_, to)| self.clock.has_come(to, at) && !self.clock.has_come(to, at - 1))
            || self.blackouts.iter().any(|(from, _)| {
                self.clock.has_begun(*from, at) && !self.clock.has_begun(*from, at - 1)
            })
    }

    /// Where windows of the last days begin and end on the wall clock.
    fn occurrences(&self, at: Minute) -> impl Iterator<Item = (Minute, Minute)> {
        let today = self.clock.reads(at).div_euclid(DAY);
        (today - 2..=today).flat_map(move |day| {
            // 1970 began on a Thursday.
            let weekday = (day + 3).rem_euclid(7);
            self.windows
                .iter()
                .filter(move |window| window.days.is_empty() || window.days.contains(&weekday))
                .map(move |window| (day * DAY + window.from, day * DAY + window.to))
        })
    }
}

pub(super) fn minute_of(at: Timestamp) -> Minute {
    assert_eq!(at.as_second() % 60, 0, "{at} is not a whole minute");
    at.as_second() / 60
}

pub(super) fn timestamp_of(minute: Minute) -> Timestamp {
    Timestamp::from_second(minute * 60).unwrap()
}

/// What a clock shows, as minutes.
fn local_minute(local: DateTime) -> Minute {
    minute_of(TimeZone::UTC.to_timestamp(local).unwrap())
}

fn time_of(text: &str) -> Minute {
    let (hour, minute) = text.split_once(':').unwrap();
    hour.parse::<Minute>().unwrap() * 60 + minute.parse::<Minute>().unwrap()
}
