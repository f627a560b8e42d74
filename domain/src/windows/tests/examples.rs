//! Windows and blackouts as people use them, each with the expected times.

use super::*;
use crate::windows::zone_for;

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
