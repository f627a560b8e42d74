//! Local times and time zones as people write them.

use jiff::tz::TimeZone;

use crate::input::Problem;

pub(super) const MINUTES_PER_DAY: u16 = 24 * 60;
const ALLOWED_ZONE: &str = "an IANA name such as Europe/Berlin";

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
