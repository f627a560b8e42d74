//! When a schedule runs: checked, and looked ahead, as the Temporal server does it.

use std::cmp::Ordering;

use croner::{
    Cron, CronDateTime, Resolution,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
    time::{CivilDate, CivilDateTime, CivilTime, Weekday},
};
use domain::input::Problem;
use jiff::{Timestamp, ToSpan, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Shortest time between two runs, in seconds: a run is a workflow.
const LEAST_SECS: u64 = 10;
/// Longest time between two runs, in seconds.
const MOST_SECS: u64 = 366 * 24 * 3600;
/// Last year the server looks at.
const LAST_YEAR: i16 = 2100;
/// What a cron line may look like.
const CRON: &str = "five fields (minute, hour, day of month, month, day of week) of numbers, names of \
                    three letters and * , - /, such as 30 2 * * mon-fri, for a time that comes";

/// When a schedule runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At the times of a cron line, by the clock of a time zone.
    Cron(String),
    /// Every so many seconds, counted from the start of 1970 in UTC.
    EverySecs(u64),
}

impl When {
    /// Checks a cron line.
    ///
    /// # Errors
    /// With a problem about `field`, when the server would not take it or it never runs.
    pub fn cron(line: &str, field: &str) -> Result<Self, Problem> {
        let fields: Vec<_> = line.split_whitespace().collect();
        let when = Self::Cron(fields.join(" "));
        // The parser knows more signs than the server, and the server takes # for a comment.
        let plain = fields.len() == 5 && fields.iter().enumerate().all(|(i, f)| is_plain(i, f));
        // Any zone and day will do: what never comes, never comes.
        let comes = || {
            !when
                .next(&TimeZone::UTC, Timestamp::UNIX_EPOCH, 1)
                .is_empty()
        };
        match plain && comes() {
            true => Ok(when),
            false => Err(Problem::new(field, line, CRON)),
        }
    }

    /// Checks a number of seconds.
    ///
    /// # Errors
    /// With a problem about `field`, when it is too small or too big.
    pub fn every_secs(secs: u64, field: &str) -> Result<Self, Problem> {
        match (LEAST_SECS..=MOST_SECS).contains(&secs) {
            true => Ok(Self::EverySecs(secs)),
            false => Err(Problem::new(
                field,
                secs,
                format!("{LEAST_SECS} to {MOST_SECS} seconds"),
            )),
        }
    }

    /// Says it in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Cron(line) => line.clone(),
            Self::EverySecs(secs) => format!("every {secs} s"),
        }
    }

    /// Computes the next runs after a moment.
    #[must_use]
    pub fn next(&self, zone: &TimeZone, after: Timestamp, count: usize) -> Vec<Timestamp> {
        match self {
            Self::Cron(line) => match cron(line) {
                Ok(cron) => next_of(&cron, zone, after, count),
                Err(_) => vec![],
            },
            Self::EverySecs(secs) => {
                let secs = i64::try_from(*secs).unwrap_or(i64::MAX).max(1);
                let first = after.as_second().div_euclid(secs) + 1;
                (first..)
                    .map_while(|n| Timestamp::from_second(n.checked_mul(secs)?).ok())
                    .take(count)
                    .collect()
            }
        }
    }
}

/// Returns true when a field of a cron line says nothing that only one side understands.
fn is_plain(index: usize, field: &str) -> bool {
    const MONTHS: &str = "jan feb mar apr may jun jul aug sep oct nov dec";
    const DAYS: &str = "sun mon tue wed thu fri sat";
    let names = match index {
        3 => MONTHS,
        4 => DAYS,
        _ => "",
    };
    field.split([',', '-', '/']).all(|word| match word {
        "*" => true,
        word if word.starts_with(|c: char| c.is_ascii_digit()) => {
            word.chars().all(|c| c.is_ascii_digit())
        }
        word => names
            .split(' ')
            .any(|name| !name.is_empty() && name.eq_ignore_ascii_case(word)),
    })
}

/// Day of month and day of week have both to match, as on the server.
fn cron(line: &str) -> Result<Cron, CronError> {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .dom_and_dow(true)
        .build()
        .parse(line)
}

fn next_of(cron: &Cron, zone: &TimeZone, after: Timestamp, count: usize) -> Vec<Timestamp> {
    let runs = std::iter::successors(Some(after), |at| next_after(cron, zone, *at));
    runs.skip(1).take(count).collect()
}

/// Finds the next run as the server does (`service/worker/scheduler/calendar.go` of version 1.29.1),
/// the hour that a clock repeats included.
fn next_after(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let find = |from, inclusive| Some(cron.find_next_occurrence(&Wall(from), inclusive).ok()?.0);
    let mut wall = zone.to_datetime(after);
    let mut is_repeated = zone.to_datetime(after - 1.hour()).hour() == wall.hour();
    loop {
        let hour = start_of_hour(wall)?;
        let next = find(wall, false).filter(|next| next.year() <= LAST_YEAR);
        if let Some(next) = next
            && start_of_hour(next)? == hour
            && is_repeated
        {
            return Some(moment(zone, next)? + 1.hour());
        }
        let leaves_hour = match next {
            Some(next) => start_of_hour(next)? != hour,
            None => true,
        };
        if leaves_hour && !is_repeated {
            let first = find(hour, true)?;
            let length = moment(zone, hour + 1.hour())? - moment(zone, hour)?;
            if start_of_hour(first)? == hour && length.as_secs() > 3600 {
                return Some(moment(zone, first)? + 1.hour());
            }
        }
        let next = next?;
        let at = moment(zone, next)?;
        // What the clock leaps over is left out.
        if zone.to_datetime(at).hour() == next.hour() {
            return Some(at);
        }
        wall = start_of_hour(next)? + 1.hour() - 1.second();
        is_repeated = false;
    }
}

fn start_of_hour(wall: DateTime) -> Option<DateTime> {
    wall.with()
        .minute(0)
        .second(0)
        .subsec_nanosecond(0)
        .build()
        .ok()
}

/// Finds the moment of a time on the clock as Go's `time.Date` does.
fn moment(zone: &TimeZone, wall: DateTime) -> Option<Timestamp> {
    let as_utc = TimeZone::UTC.to_timestamp(wall).ok()?;
    let guess = zone.to_offset(as_utc).to_timestamp(wall).ok()?;
    zone.to_offset(guess).to_timestamp(wall).ok()
}

/// A time on the clock, without a zone.
#[derive(Debug, Clone, Copy)]
struct Wall(DateTime);

impl CronDateTime for Wall {
    fn to_civil(&self) -> CivilDateTime {
        let (year, month, day) = (self.0.year(), self.0.month(), self.0.day());
        let (hour, minute, second) = (self.0.hour(), self.0.minute(), self.0.second());
        let part = |n: i8| u32::from(n.unsigned_abs());
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(i32::from(year), part(month), part(day)),
            CivilTime::from_parts_unchecked(part(hour), part(minute), part(second)),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        let days = self.0.weekday().to_sunday_zero_offset();
        Weekday::from_days_from_sunday(u32::from(days.unsigned_abs()))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |n: u32| i8::try_from(n).map_err(|_| CronError::InvalidTime);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let wall = DateTime::new(
            year,
            part(civil.month())?,
            part(civil.day())?,
            part(civil.hour())?,
            part(civil.minute())?,
            part(civil.second())?,
            0,
        );
        let wall = wall.map_err(|_| CronError::InvalidDate)?;
        Ok(Resolution::Single(Self(wall)))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(seconds.seconds()).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(line: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let when = When::cron(line, "cron").unwrap();
        let zone = TimeZone::get(zone).unwrap();
        let next = when.next(&zone, after.parse().unwrap(), count);
        next.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_day_keeps_its_hour_over_the_change_of_the_clock() {
        assert_eq!(
            next("30 4 * * *", "Europe/Berlin", "2027-03-26T12:00:00Z", 3),
            [
                "2027-03-27T03:30:00Z",
                "2027-03-28T02:30:00Z",
                "2027-03-29T02:30:00Z"
            ]
        );
        assert_eq!(
            next(
                "0 22 * * sat,sun",
                "America/New_York",
                "2026-10-31T12:00:00Z",
                2
            ),
            ["2026-11-01T02:00:00Z", "2026-11-02T03:00:00Z"]
        );
    }

    /// As seen of the server, version 1.29.1: see the story in `tests/tests/workflows`.
    #[test]
    fn what_the_clock_leaps_over_is_left_out_and_what_it_repeats_is_as_on_the_server() {
        assert_eq!(
            next("30 2 * * *", "Europe/Berlin", "2027-03-27T00:00:00Z", 2),
            ["2027-03-27T01:30:00Z", "2027-03-29T00:30:00Z"]
        );
        assert_eq!(
            next("30 2 * * *", "Europe/Berlin", "2027-10-30T12:00:00Z", 2),
            ["2027-10-31T01:30:00Z", "2027-11-01T01:30:00Z"]
        );
        assert_eq!(
            next("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 3),
            [
                "2026-11-01T05:30:00Z",
                "2026-11-01T06:30:00Z",
                "2026-11-02T06:30:00Z"
            ]
        );
    }

    #[test]
    fn both_days_have_to_match() {
        assert_eq!(
            next("0 6 13 * fri", "UTC", "2026-01-01T00:00:00Z", 3),
            [
                "2026-02-13T06:00:00Z",
                "2026-03-13T06:00:00Z",
                "2026-11-13T06:00:00Z"
            ]
        );
    }

    #[test]
    fn seconds_are_counted_from_1970() {
        let when = When::every_secs(3600, "x").unwrap();
        let next = when.next(&TimeZone::UTC, "2026-12-01T04:00:00Z".parse().unwrap(), 2);
        assert_eq!(next[0].to_string(), "2026-12-01T05:00:00Z");
        assert_eq!(next[1].to_string(), "2026-12-01T06:00:00Z");
        for wrong in [0, 9, MOST_SECS + 1] {
            let problem = When::every_secs(wrong, "x").unwrap_err();
            assert!(problem.allowed.contains("10 to"), "{problem}");
        }
    }

    #[test]
    fn a_line_that_one_side_would_read_otherwise_is_refused() {
        for good in [
            "*/15 * * * *",
            "0 2 1,15 jan-mar *",
            "0  2 * * MON-fri",
            "5 4 * * 7",
        ] {
            When::cron(good, "cron").unwrap();
        }
        for wrong in [
            "",
            "* * * *",
            "0 0 2 * * *",
            "@daily",
            "0 2 * * 5#2",
            "0 2 L * *",
            "0 2 15W * *",
            "0 2 * * +mon",
            "0 2 ? * *",
            "60 * * * *",
            "0 2 * * monday",
            "0 2 * mon *",
            "0 0 31 2 *",
            "0 25 * * *",
            "CRON_TZ=UTC 0 2 * *",
            "1--2 * * * *",
            "* * * * fri-mon",
        ] {
            let problem = When::cron(wrong, "cron").unwrap_err();
            assert_eq!(
                (problem.field.as_str(), problem.value.as_str()),
                ("cron", wrong)
            );
        }
    }
}
