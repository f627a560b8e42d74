//! Maintenance windows and blackouts: when devices may be touched next.
//!
//! Windows are weekly, in local time; blackouts are cut out of them. What is left is a set of
//! stretches of real time, and an *opening* is the longest such stretch without a break: windows
//! that touch or overlap are one. A local time that the clock skips moves forward by what is
//! skipped, one that comes twice means the first (RFC 5545 does the same).

use jiff::{
    Span, Timestamp,
    civil::{self, Date, DateTime, Time},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

use crate::{
    input::{InvalidInput, Problem},
    plan::{BlackoutSpec, Weekday, WindowSpec},
};

/// How far ahead an opening is looked for.
pub const HORIZON_DAYS: i64 = 370;
/// Tried first, because almost every plan opens within it.
const NEAR_DAYS: i64 = 16;
/// Looked at behind that, to see where an opening ends; more than a week.
const OVERLOOK_DAYS: i64 = 15;
const MINUTES_PER_DAY: u16 = 24 * 60;
const ALLOWED_ZONE: &str = "an IANA name such as Europe/Berlin";

/// A stretch of time in which devices may be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// When it begins; now, when it is open already.
    pub opens_at: Timestamp,
    /// When it ends, exclusive. `None`: never, as without windows.
    pub closes_at: Option<Timestamp>,
}

impl Opening {
    /// Returns true when the time lies inside.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.opens_at <= at && self.closes_at.is_none_or(|end| at < end)
    }
}

/// Reads a local time of day, in minutes after midnight.
///
/// `24:00` is allowed when `is_end`, and means the midnight at the end of the day.
///
/// # Errors
/// With a problem about `field`, when it is not `HH:MM`.
pub fn parse_time(text: &str, field: &str, is_end: bool) -> Result<u16, Problem> {
    let minutes = || -> Option<u16> {
        let (hour, minute) = text.split_once(':')?;
        let two_digits = |s: &str| s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit());
        if !two_digits(hour) || !two_digits(minute) {
            return None;
        }
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        let total = hour * 60 + minute;
        let fits = minute < 60 && (total < MINUTES_PER_DAY || (is_end && total == MINUTES_PER_DAY));
        fits.then_some(total)
    };
    minutes().ok_or_else(|| {
        let last = if is_end { "24:00" } else { "23:59" };
        Problem::new(field, text, format!("a time as HH:MM, 00:00 to {last}"))
    })
}

/// Reads the name of a time zone.
///
/// # Errors
/// With a problem about `field`, when the time zone is not known.
pub fn parse_zone(name: &str, field: &str) -> Result<TimeZone, Problem> {
    TimeZone::get(name).map_err(|_| Problem::new(field, name, ALLOWED_ZONE))
}

/// Returns the zone that counts: that of the windows, else of the site, else of the client, else UTC.
#[must_use]
pub fn zone_for<'a>(
    window_zone: Option<&'a str>,
    site: Option<&'a str>,
    client: Option<&'a str>,
) -> &'a str {
    window_zone.or(site).or(client).unwrap_or("UTC")
}

/// Returns the opening that contains `now`, or the next one; `None` when there is none within
/// [`HORIZON_DAYS`]. Without windows it is always open, except in blackouts.
///
/// # Errors
/// Names the time, blackout or time zone that cannot be read.
pub fn next_opening(
    windows: &[WindowSpec],
    blackouts: &[BlackoutSpec],
    zone: &str,
    now: Timestamp,
) -> Result<Option<Opening>, InvalidInput> {
    let calendar = Calendar::read(windows, blackouts, zone)?;
    let after = |days| {
        now.saturating_add(civil_days(days))
            .unwrap_or(Timestamp::MAX)
    };
    for days in [NEAR_DAYS, HORIZON_DAYS] {
        let found = calendar.first_opening(now, days + OVERLOOK_DAYS);
        let Some(opening) = found.filter(|opening| opening.opens_at < after(days)) else {
            continue;
        };
        // Open for more than a week without a break: windows cover the week, only a blackout closes.
        let week_is_covered = opening
            .closes_at
            .is_none_or(|at| at >= after(days + OVERLOOK_DAYS));
        let closes_at = if week_is_covered {
            calendar.next_blackout(opening.opens_at)
        } else {
            opening.closes_at
        };
        return Ok(Some(Opening {
            closes_at,
            ..opening
        }));
    }
    Ok(None)
}

/// Returns true when devices may be touched at this time.
///
/// # Errors
/// As [`next_opening`].
pub fn is_open(
    windows: &[WindowSpec],
    blackouts: &[BlackoutSpec],
    zone: &str,
    now: Timestamp,
) -> Result<bool, InvalidInput> {
    Ok(next_opening(windows, blackouts, zone, now)?.is_some_and(|opening| opening.contains(now)))
}

/// A stretch of real time; no end means for ever.
type Stretch = (Timestamp, Option<Timestamp>);

struct Window {
    days: Vec<civil::Weekday>,
    from: u16,
    /// Minutes after the midnight on which `from` counts; more than a day when it crosses midnight.
    to: u16,
}

struct Calendar {
    zone: TimeZone,
    windows: Vec<Window>,
    /// Sorted by start.
    blackouts: Vec<(Timestamp, Timestamp)>,
}

impl Calendar {
    fn read(
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
                        days: window.days.iter().map(weekday).collect(),
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
                real_time(&zone, blackout.from),
                real_time(&zone, blackout.to),
            );
            match ends {
                _ if blackout.to <= blackout.from => problems.push(Problem::new(
                    format!("blackouts[{i}].to"),
                    blackout.to,
                    "a time after `from`",
                )),
                (Some(from), Some(to)) => cuts.push((from, to)),
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
    fn first_opening(&self, now: Timestamp, days: i64) -> Option<Opening> {
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
            let Ok(day) = today.checked_add(civil_days(offset)) else {
                continue;
            };
            for window in &self.windows {
                if !window.days.is_empty() && !window.days.contains(&day.weekday()) {
                    continue;
                }
                let start = at_minutes(day, window.from).and_then(|t| real_time(&self.zone, t));
                let end = at_minutes(day, window.to).and_then(|t| real_time(&self.zone, t));
                if let (Some(start), Some(end)) = (start, end)
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

    fn next_blackout(&self, after: Timestamp) -> Option<Timestamp> {
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

/// "Compatible": a skipped local time moves forward, a doubled one is the first.
fn real_time(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(local).compatible().ok()
}

fn at_minutes(day: Date, minutes: u16) -> Option<DateTime> {
    let midnight = day.to_datetime(Time::midnight());
    midnight
        .checked_add(Span::new().minutes(i64::from(minutes)))
        .ok()
}

fn civil_days(days: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_hours(24 * days)
}

fn weekday(day: &Weekday) -> civil::Weekday {
    match day {
        Weekday::Mon => civil::Weekday::Monday,
        Weekday::Tue => civil::Weekday::Tuesday,
        Weekday::Wed => civil::Weekday::Wednesday,
        Weekday::Thu => civil::Weekday::Thursday,
        Weekday::Fri => civil::Weekday::Friday,
        Weekday::Sat => civil::Weekday::Saturday,
        Weekday::Sun => civil::Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(days: &[Weekday], from: &str, to: &str) -> WindowSpec {
        WindowSpec {
            days: days.iter().copied().collect(),
            from: from.into(),
            to: to.into(),
        }
    }

    fn blackout(from: &str, to: &str) -> BlackoutSpec {
        BlackoutSpec {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            reason: String::new(),
        }
    }

    fn opening(
        windows: &[WindowSpec],
        blackouts: &[BlackoutSpec],
        zone: &str,
        now: &str,
    ) -> Option<(String, Option<String>)> {
        next_opening(windows, blackouts, zone, at(now))
            .unwrap()
            .map(|o| {
                (
                    o.opens_at.to_string(),
                    o.closes_at.map(|end| end.to_string()),
                )
            })
    }

    fn span(from: &str, to: &str) -> Option<(String, Option<String>)> {
        Some((from.to_owned(), Some(to.to_owned())))
    }

    #[test]
    fn without_windows_it_is_open_until_the_next_blackout() {
        let now = "2026-03-01T10:00:00Z";
        assert_eq!(opening(&[], &[], "UTC", now), Some((now.to_owned(), None)));
        let cut = [
            blackout("2026-03-01T09:00", "2026-03-02T00:00"),
            blackout("2026-12-24T00:00", "2027-01-02T00:00"),
        ];
        assert_eq!(
            opening(&[], &cut, "UTC", now),
            span("2026-03-02T00:00:00Z", "2026-12-24T00:00:00Z")
        );
    }

    #[test]
    fn a_window_may_cross_midnight_and_is_entered_from_its_second_day() {
        let sat = [window(&[Weekday::Sat], "22:00", "04:00")];
        assert_eq!(
            opening(&sat, &[], "UTC", "2026-03-05T12:00:00Z"),
            span("2026-03-07T22:00:00Z", "2026-03-08T04:00:00Z")
        );
        assert_eq!(
            opening(&sat, &[], "UTC", "2026-03-08T03:00:00Z"),
            span("2026-03-08T03:00:00Z", "2026-03-08T04:00:00Z")
        );
        assert_eq!(
            opening(&sat, &[], "UTC", "2026-03-08T04:00:00Z"),
            span("2026-03-14T22:00:00Z", "2026-03-15T04:00:00Z")
        );
    }

    #[test]
    fn when_clocks_go_forward_a_skipped_time_moves_forward() {
        let night = [window(&[], "02:30", "05:00")];
        // Berlin, 2026-03-29: 02:00 becomes 03:00, so 02:30 is 03:30 (+02:00).
        assert_eq!(
            opening(&night, &[], "Europe/Berlin", "2026-03-28T12:00:00Z"),
            span("2026-03-29T01:30:00Z", "2026-03-29T03:00:00Z")
        );
        // New York, 2026-03-08: 02:30 is 03:30 (-04:00).
        assert_eq!(
            opening(&night, &[], "America/New_York", "2026-03-07T20:00:00Z"),
            span("2026-03-08T07:30:00Z", "2026-03-08T09:00:00Z")
        );
    }

    #[test]
    fn when_clocks_go_back_a_doubled_time_is_the_first() {
        // Berlin, 2026-10-25: 03:00 becomes 02:00; the first 02:30 is +02:00.
        assert_eq!(
            opening(
                &[window(&[], "02:30", "03:30")],
                &[],
                "Europe/Berlin",
                "2026-10-24T12:00:00Z"
            ),
            span("2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z")
        );
        // New York, 2026-11-01: 02:00 becomes 01:00; the first 01:30 is -04:00.
        assert_eq!(
            opening(
                &[window(&[], "00:30", "01:30")],
                &[],
                "America/New_York",
                "2026-10-31T12:00:00Z"
            ),
            span("2026-11-01T04:30:00Z", "2026-11-01T05:30:00Z")
        );
    }

    #[test]
    fn a_blackout_cuts_a_window_in_two() {
        let night = [window(&[Weekday::Mon], "20:00", "24:00")];
        let cut = [blackout("2026-03-02T21:00", "2026-03-02T22:00")];
        assert_eq!(
            opening(&night, &cut, "UTC", "2026-03-02T12:00:00Z"),
            span("2026-03-02T20:00:00Z", "2026-03-02T21:00:00Z")
        );
        assert_eq!(
            opening(&night, &cut, "UTC", "2026-03-02T21:30:00Z"),
            span("2026-03-02T22:00:00Z", "2026-03-03T00:00:00Z")
        );
    }

    #[test]
    fn overlapping_blackouts_leave_nothing_between_them() {
        let cut = [
            blackout("2026-03-02T00:00", "2026-03-05T00:00"),
            blackout("2026-03-03T00:00", "2026-03-04T00:00"),
            blackout("2026-03-05T00:00", "2026-03-06T00:00"),
        ];
        assert_eq!(
            opening(&[], &cut, "UTC", "2026-03-02T12:00:00Z"),
            Some(("2026-03-06T00:00:00Z".to_owned(), None))
        );
    }

    #[test]
    fn a_leap_day_has_its_window() {
        assert_eq!(
            opening(
                &[window(&[Weekday::Tue], "10:00", "12:00")],
                &[],
                "UTC",
                "2028-02-28T12:00:00Z"
            ),
            span("2028-02-29T10:00:00Z", "2028-02-29T12:00:00Z")
        );
    }

    #[test]
    fn windows_that_touch_or_overlap_are_one_opening() {
        let touching = [
            window(&[Weekday::Sat], "22:00", "24:00"),
            window(&[Weekday::Sun], "00:00", "06:00"),
        ];
        assert_eq!(
            opening(&touching, &[], "UTC", "2026-03-07T12:00:00Z"),
            span("2026-03-07T22:00:00Z", "2026-03-08T06:00:00Z")
        );
        let overlapping = [
            window(&[Weekday::Sat], "10:00", "13:00"),
            window(&[Weekday::Sat], "11:00", "12:00"),
        ];
        assert_eq!(
            opening(&overlapping, &[], "UTC", "2026-03-07T09:00:00Z"),
            span("2026-03-07T10:00:00Z", "2026-03-07T13:00:00Z")
        );
    }

    #[test]
    fn windows_around_the_clock_close_only_for_a_blackout() {
        let always = [window(&[], "00:00", "24:00")];
        let now = "2026-03-07T12:00:00Z";
        assert_eq!(
            opening(&always, &[], "Europe/Berlin", now),
            Some((now.to_owned(), None))
        );
        let far = [blackout("2026-06-01T00:00", "2026-06-02T00:00")];
        assert_eq!(
            opening(&always, &far, "UTC", now),
            span(now, "2026-06-01T00:00:00Z")
        );
        let farther = [blackout("2029-06-01T00:00", "2029-06-02T00:00")];
        assert_eq!(
            opening(&always, &farther, "UTC", now),
            span(now, "2029-06-01T00:00:00Z")
        );
    }

    #[test]
    fn a_plan_that_is_blacked_out_for_more_than_a_year_never_opens() {
        let years = [blackout("2026-01-01T00:00", "2028-01-01T00:00")];
        let night = [window(&[], "22:00", "24:00")];
        assert_eq!(opening(&night, &years, "UTC", "2026-03-01T00:00:00Z"), None);
        assert_eq!(opening(&[], &years, "UTC", "2026-03-01T00:00:00Z"), None);
        let months = [blackout("2026-01-01T00:00", "2026-09-01T00:00")];
        assert_eq!(
            opening(&night, &months, "UTC", "2026-03-01T00:00:00Z"),
            span("2026-09-01T22:00:00Z", "2026-09-02T00:00:00Z")
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let windows = [window(&[], "24:00", "25:00"), window(&[], "7:00", "08:60")];
        let blackouts = [blackout("2026-03-02T00:00", "2026-03-02T00:00")];
        let error = next_opening(
            &windows,
            &blackouts,
            "Mars/Base",
            at("2026-01-01T00:00:00Z"),
        )
        .unwrap_err();
        let fields: Vec<_> = error.problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "time_zone",
                "windows[0].from",
                "windows[0].to",
                "windows[1].from",
                "windows[1].to",
                "blackouts[0].to"
            ]
        );
    }

    #[test]
    fn the_nearest_zone_counts() {
        assert_eq!(
            zone_for(None, Some("Asia/Tokyo"), Some("Europe/Berlin")),
            "Asia/Tokyo"
        );
        assert_eq!(zone_for(None, None, None), "UTC");
    }

    fn any_window() -> impl Strategy<Value = WindowSpec> {
        (
            prop::collection::btree_set(0_usize..7, 0..4),
            0_u16..1440,
            0_u16..=1440,
        )
            .prop_map(|(days, from, to)| {
                use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
                let all = [Mon, Tue, Wed, Thu, Fri, Sat, Sun];
                let time = |m: u16| format!("{:02}:{:02}", m / 60, m % 60);
                WindowSpec {
                    days: days.into_iter().map(|d| all[d]).collect(),
                    from: time(from),
                    to: time(to),
                }
            })
    }

    fn any_blackout() -> impl Strategy<Value = BlackoutSpec> {
        (0_i64..60 * 24 * 60, 1_i64..5 * 24 * 60).prop_map(|(start, length)| {
            let base: DateTime = "2026-03-01T00:00".parse().unwrap();
            let from = base.checked_add(Span::new().minutes(start)).unwrap();
            let to = from.checked_add(Span::new().minutes(length)).unwrap();
            BlackoutSpec {
                from,
                to,
                reason: String::new(),
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_opening_is_never_past_nor_in_a_blackout_and_is_as_long_as_it_can_be(
            windows in prop::collection::vec(any_window(), 0..4),
            blackouts in prop::collection::vec(any_blackout(), 0..4),
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
            minute in 0_i64..50 * 24 * 60,
        ) {
            let now = at("2026-03-01T00:00:00Z") + jiff::SignedDuration::from_mins(minute);
            let Some(found) = next_opening(&windows, &blackouts, zone, now).unwrap() else {
                panic!("windows come back every week");
            };
            prop_assert!(found.opens_at >= now);
            prop_assert!(found.closes_at.is_none_or(|end| end > found.opens_at));
            let tz = TimeZone::get(zone).unwrap();
            for blackout in &blackouts {
                let (from, to) = (real_time(&tz, blackout.from).unwrap(), real_time(&tz, blackout.to).unwrap());
                prop_assert!(to <= found.opens_at || found.closes_at.is_some_and(|end| end <= from));
            }
            // Open inside, closed at both edges.
            prop_assert!(is_open(&windows, &blackouts, zone, found.opens_at).unwrap());
            if let Some(end) = found.closes_at {
                prop_assert!(!is_open(&windows, &blackouts, zone, end).unwrap());
                let last = end - jiff::SignedDuration::from_secs(1);
                prop_assert_eq!(next_opening(&windows, &blackouts, zone, last).unwrap().unwrap().closes_at, Some(end));
            }
            if found.opens_at > now {
                let before = found.opens_at - jiff::SignedDuration::from_secs(1);
                prop_assert!(!is_open(&windows, &blackouts, zone, before).unwrap());
            }
        }
    }
}
