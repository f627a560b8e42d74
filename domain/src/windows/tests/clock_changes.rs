//! Nights on which the clock jumps, and days that most years do not have.

use super::*;

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";
const LORD_HOWE: &str = "Australia/Lord_Howe";
const APIA: &str = "Pacific/Apia";

#[test]
fn a_night_that_loses_an_hour_is_an_hour_shorter() {
    let night = [window(&[Weekday::Sat], "22:00", "04:00")];
    assert_eq!(
        opening(&night, &[], BERLIN, "2026-03-28T12:00:00Z"),
        span("2026-03-28T21:00:00Z", "2026-03-29T02:00:00Z")
    );
    assert_eq!(
        opening(&night, &[], NEW_YORK, "2026-03-07T12:00:00Z"),
        span("2026-03-08T03:00:00Z", "2026-03-08T08:00:00Z")
    );
}

#[test]
fn a_night_that_gains_an_hour_is_an_hour_longer() {
    let night = [window(&[Weekday::Sat], "22:00", "04:00")];
    assert_eq!(
        opening(&night, &[], BERLIN, "2026-10-24T12:00:00Z"),
        span("2026-10-24T20:00:00Z", "2026-10-25T03:00:00Z")
    );
    assert_eq!(
        opening(&night, &[], NEW_YORK, "2026-10-31T12:00:00Z"),
        span("2026-11-01T02:00:00Z", "2026-11-01T09:00:00Z")
    );
}

#[test]
fn lord_howe_moves_its_clock_by_half_an_hour() {
    // 2026-10-04: 02:00 (+10:30) becomes 02:30 (+11), so 02:10 is 02:40.
    assert_eq!(
        opening(
            &[window(&[Weekday::Sun], "02:10", "04:00")],
            &[],
            LORD_HOWE,
            "2026-10-02T00:00:00Z"
        ),
        span("2026-10-03T15:40:00Z", "2026-10-03T17:00:00Z")
    );
    // 2026-04-05: 02:00 (+11) becomes 01:30 (+10:30); the first 01:45 is +11.
    assert_eq!(
        opening(
            &[window(&[Weekday::Sun], "01:45", "03:00")],
            &[],
            LORD_HOWE,
            "2026-04-03T00:00:00Z"
        ),
        span("2026-04-04T14:45:00Z", "2026-04-04T16:30:00Z")
    );
}

#[test]
fn the_friday_that_samoa_skipped_was_its_saturday() {
    // After Thursday 2011-12-29 (-10) came Saturday 2011-12-31 (+14).
    for day in [Weekday::Fri, Weekday::Sat] {
        assert_eq!(
            opening(
                &[window(&[day], "10:00", "12:00")],
                &[],
                APIA,
                "2011-12-29T00:00:00Z"
            ),
            span("2011-12-30T20:00:00Z", "2011-12-30T22:00:00Z")
        );
    }
    assert_eq!(
        opening(
            &[window(&[Weekday::Thu], "22:00", "04:00")],
            &[],
            APIA,
            "2011-12-29T20:00:00Z"
        ),
        span("2011-12-30T08:00:00Z", "2011-12-30T14:00:00Z")
    );
    // Entered two days after it began, by the calendar.
    assert_eq!(
        opening(
            &[window(&[Weekday::Thu], "20:00", "12:00")],
            &[],
            APIA,
            "2011-12-30T20:00:00Z"
        ),
        span("2011-12-30T20:00:00Z", "2011-12-30T22:00:00Z")
    );
}

#[test]
fn a_window_wholly_in_the_skipped_hour_does_not_open_that_night() {
    let sunday = [window(&[Weekday::Sun], "02:00", "03:00")];
    assert_eq!(
        opening(&sunday, &[], BERLIN, "2026-03-28T12:00:00Z"),
        span("2026-04-05T00:00:00Z", "2026-04-05T01:00:00Z")
    );
}

#[test]
fn a_blackout_that_begins_in_the_skipped_hour_begins_when_the_clock_jumps() {
    let night = [window(&[], "01:00", "05:00")];
    let cut = [blackout("2026-03-29T02:30", "2026-03-29T03:15")];
    assert_eq!(
        opening(&night, &cut, BERLIN, "2026-03-28T12:00:00Z"),
        span("2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z")
    );
    // 03:05 on the wall.
    assert_eq!(
        opening(&night, &cut, BERLIN, "2026-03-29T01:05:00Z"),
        span("2026-03-29T01:15:00Z", "2026-03-29T03:00:00Z")
    );
}

#[test]
fn a_blackout_of_skipped_time_alone_cuts_nothing() {
    let night = [window(&[], "01:00", "05:00")];
    let cut = [blackout("2026-03-29T02:30", "2026-03-29T03:00")];
    assert_eq!(
        opening(&night, &cut, BERLIN, "2026-03-28T12:00:00Z"),
        span("2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z")
    );
    let no_friday = [blackout("2011-12-30T00:00", "2011-12-31T00:00")];
    assert_eq!(
        opening(&[], &no_friday, APIA, "2011-12-30T09:00:00Z"),
        Some(("2011-12-30T09:00:00Z".to_owned(), None))
    );
}

#[test]
fn a_blackout_that_ends_in_the_doubled_hour_lasts_until_its_second_end() {
    let night = [window(&[], "00:00", "05:00")];
    let cut = [blackout("2026-10-25T01:00", "2026-10-25T02:30")];
    assert_eq!(
        opening(&night, &cut, BERLIN, "2026-10-24T12:00:00Z"),
        span("2026-10-24T22:00:00Z", "2026-10-24T23:00:00Z")
    );
    // 02:40 on the wall, for the first time.
    assert_eq!(
        opening(&night, &cut, BERLIN, "2026-10-25T00:40:00Z"),
        span("2026-10-25T01:30:00Z", "2026-10-25T04:00:00Z")
    );
}

#[test]
fn a_leap_day_is_entered_and_left_across_midnight() {
    let nights = [window(&[Weekday::Mon, Weekday::Tue], "22:00", "02:00")];
    assert_eq!(
        opening(&nights, &[], "UTC", "2028-02-28T12:00:00Z"),
        span("2028-02-28T22:00:00Z", "2028-02-29T02:00:00Z")
    );
    assert_eq!(
        opening(&nights, &[], "UTC", "2028-02-29T02:00:00Z"),
        span("2028-02-29T22:00:00Z", "2028-03-01T02:00:00Z")
    );
    // 2027 has none.
    assert_eq!(
        opening(
            &[window(&[Weekday::Sun], "22:00", "02:00")],
            &[],
            "UTC",
            "2027-02-28T12:00:00Z"
        ),
        span("2027-02-28T22:00:00Z", "2027-03-01T02:00:00Z")
    );
}

#[test]
fn a_blackout_of_the_leap_day_cuts_both_nights_at_midnight() {
    let nights = [window(&[], "22:00", "02:00")];
    let cut = [blackout("2028-02-29T00:00", "2028-03-01T00:00")];
    assert_eq!(
        opening(&nights, &cut, BERLIN, "2028-02-28T12:00:00Z"),
        span("2028-02-28T21:00:00Z", "2028-02-28T23:00:00Z")
    );
    assert_eq!(
        opening(&nights, &cut, BERLIN, "2028-02-28T23:00:00Z"),
        span("2028-02-29T23:00:00Z", "2028-03-01T01:00:00Z")
    );
}

#[test]
fn a_window_whose_every_occurrence_is_blacked_out_never_opens() {
    let saturday = [window(&[Weekday::Sat], "10:00", "12:00")];
    let first: jiff::civil::DateTime = "2026-03-07T09:00".parse().unwrap();
    let mut cuts: Vec<_> = (0..54)
        .map(|week| {
            let from = first + jiff::Span::new().weeks(week);
            let to = from + jiff::Span::new().hours(4);
            blackout(&from.to_string(), &to.to_string())
        })
        .collect();
    let now = "2026-03-01T00:00:00Z";
    assert_eq!(opening(&saturday, &cuts, "UTC", now), None);
    cuts.remove(51);
    assert_eq!(
        opening(&saturday, &cuts, "UTC", now),
        span("2027-02-27T10:00:00Z", "2027-02-27T12:00:00Z")
    );
}
