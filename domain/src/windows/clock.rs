//! What the local clock does: days, minutes, and the nights on which it jumps.

use jiff::{
    Span, Timestamp,
    civil::{self, Date, DateTime, Time},
    tz::{AmbiguousOffset, TimeZone},
};

use crate::plan::Weekday;

/// "Compatible": a skipped local time moves forward, a doubled one is the first.
pub(super) fn real_time(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(local).compatible().ok()
}

/// When the clock first reads this time or a later one: where a blackout begins.
pub(super) fn first_reached(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let AmbiguousOffset::Gap { .. } = ambiguous.offset() else {
        return ambiguous.earlier().ok();
    };
    // Read with the offset to come, a skipped time lies before the jump.
    let before_the_jump = ambiguous.earlier().ok()?;
    let jump = zone.following(before_the_jump).next()?;
    Some(jump.timestamp())
}

/// When it is past for good: where a blackout ends.
pub(super) fn last_reached(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(local).later().ok()
}

pub(super) fn at_minutes(day: Date, minutes: u16) -> Option<DateTime> {
    let midnight = day.to_datetime(Time::midnight());
    midnight
        .checked_add(Span::new().minutes(i64::from(minutes)))
        .ok()
}

pub(super) fn weekday(day: &Weekday) -> civil::Weekday {
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
