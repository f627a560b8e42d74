//! Maintenance windows and blackouts: when devices may be touched next.
//!
//! Windows are weekly, in local time; blackouts are cut out of them. What is left is a set of
//! stretches of real time, and an *opening* is the longest such stretch without a break: windows
//! that touch or overlap are one. A local time that the clock skips moves forward by what is
//! skipped, one that comes twice means the first (RFC 5545 does the same). A blackout is cut out
//! whole: it begins no later than the clock passes its begin, and when its end comes twice, the
//! second counts.

mod calendar;
mod clock;
#[cfg(test)]
mod tests;
mod text;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::calendar::Calendar;
pub use self::text::{parse_time, parse_zone};
use crate::{
    input::InvalidInput,
    plan::{BlackoutSpec, WindowSpec},
};

/// How far ahead an opening is looked for.
pub const HORIZON_DAYS: i64 = 370;
/// Tried first, because almost every plan opens within it.
const NEAR_DAYS: i64 = 16;
/// Looked at behind that, to see where an opening ends; more than a week.
const OVERLOOK_DAYS: i64 = 15;

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
        now.saturating_add(SignedDuration::from_hours(24 * days))
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
