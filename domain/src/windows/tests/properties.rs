//! What holds for all windows, judged minute by minute by a second reading of the rules.

use jiff::{Span, civil::DateTime, tz::TimeZone};
use proptest::prelude::*;

use super::{
    wall_clock::{Minute, Rules, WallClock, minute_of, timestamp_of},
    *,
};
use crate::windows::{HORIZON_DAYS, Opening, clock::real_time, is_open};

fn any_window() -> impl Strategy<Value = WindowSpec> {
    (
        prop::collection::btree_set(0_usize..7, 0..4),
        0_u16..1440,
        0_u16..=1440,
    )
        .prop_map(|(days, from, to)| weekly(days, from, to))
}

fn weekly(days: impl IntoIterator<Item = usize>, from: u16, to: u16) -> WindowSpec {
    use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    let all = [Mon, Tue, Wed, Thu, Fri, Sat, Sun];
    let time = |m: u16| format!("{:02}:{:02}", m / 60, m % 60);
    WindowSpec {
        days: days.into_iter().map(|d| all[d]).collect(),
        from: time(from),
        to: time(to),
    }
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

/// Clocks that jump, forward and back, by an hour, half an hour and a day; and a leap day.
const SPECIAL_DAYS: [(&str, &str); 8] = [
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("UTC", "2028-02-29T12:00:00Z"),
];

#[derive(Debug, Clone)]
struct Case {
    zone: &'static str,
    windows: Vec<WindowSpec>,
    blackouts: Vec<BlackoutSpec>,
    from: Minute,
}

impl Case {
    fn rules(&self) -> Rules {
        let clock = WallClock::of(self.zone, timestamp_of(self.from));
        Rules::of(clock, &self.windows, &self.blackouts)
    }

    fn opening(&self, from: Minute) -> Option<Opening> {
        let from = timestamp_of(from);
        next_opening(&self.windows, &self.blackouts, self.zone, from).unwrap()
    }
}

/// Small hours above all, since that is when clocks jump.
fn quarter() -> impl Strategy<Value = u16> {
    prop_oneof![3 => 0_u16..20, 1 => 0_u16..96].prop_map(|quarter| quarter * 15)
}

fn window_by_quarters() -> impl Strategy<Value = WindowSpec> {
    let days = prop_oneof![Just(vec![]), prop::collection::vec(0_usize..7, 1..4)];
    (days, quarter(), quarter()).prop_map(|(days, from, to)| weekly(days, from, to))
}

/// From two days before a special day to two days after; `long` in quarters of an hour.
fn case_near_a_special_day(long: std::ops::Range<i64>) -> impl Strategy<Value = Case> {
    let start = prop_oneof![-192_i64..192, -8_i64..8];
    let length = prop_oneof![1_i64..8, 1_i64..20, long];
    (
        prop::sample::select(SPECIAL_DAYS.to_vec()),
        prop::collection::vec(window_by_quarters(), 0..4),
        prop::collection::vec((start, length), 0..4),
        -2 * 1440_i64..2 * 1440,
    )
        .prop_map(|((zone, day), windows, cuts, shift)| {
            let local = TimeZone::get(zone).unwrap().to_datetime(at(day));
            let cut = |(start, length): (i64, i64)| BlackoutSpec {
                from: local + Span::new().minutes(15 * start),
                to: local + Span::new().minutes(15 * (start + length)),
                reason: String::new(),
            };
            Case {
                zone,
                windows,
                blackouts: cuts.into_iter().map(cut).collect(),
                from: minute_of(at(day)) + shift,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(112))]

    #[test]
    fn an_opening_is_the_first_allowed_stretch_and_no_minute_of_it_is_forbidden(
        case in case_near_a_special_day(20..480),
    ) {
        let rules = case.rules();
        let found = case.opening(case.from).expect("windows come back every week");
        let opens = minute_of(found.opens_at);
        for minute in case.from..opens {
            prop_assert!(!rules.allow(minute), "opens too late: {}", timestamp_of(minute));
        }
        let looked_at = opens + 2 * 1440;
        let closes = found.closes_at.map_or(looked_at, minute_of);
        for minute in opens..closes.min(looked_at) {
            let when = timestamp_of(minute);
            prop_assert!(rules.allow(minute), "not allowed: {when}");
            prop_assert!(!rules.wall_clock_in_blackout(minute), "in a blackout: {when}");
            prop_assert!(
                rules.wall_clock_in_window(minute) || rules.clock.is_confused(minute),
                "outside its windows: {when}"
            );
        }
        if found.closes_at.is_some() {
            prop_assert!(!rules.allow(closes), "closes too early: {}", timestamp_of(closes));
            prop_assert!(rules.allow(closes - 1));
            prop_assert!(rules.something_closes(closes), "no reason: {}", timestamp_of(closes));
        }
    }

    #[test]
    fn asked_again_inside_an_opening_the_answer_is_its_rest(
        case in case_near_a_special_day(20..480), later in 0_i64..600,
    ) {
        let found = case.opening(case.from).expect("windows come back every week");
        let opens = minute_of(found.opens_at);
        prop_assert_eq!(case.opening(opens), Some(found));
        let last = found.closes_at.map_or(Minute::MAX, |end| minute_of(end) - 1);
        let inside = (opens + later).min(last);
        let rest = Opening { opens_at: timestamp_of(inside), ..found };
        prop_assert_eq!(case.opening(inside), Some(rest));
    }

    #[test]
    fn asked_later_it_never_opens_earlier(
        case in case_near_a_special_day(20..480), later in 1_i64..4 * 1440,
    ) {
        let first = case.opening(case.from).expect("windows come back every week");
        let second = case.opening(case.from + later).expect("windows come back every week");
        prop_assert!(first.opens_at <= second.opens_at);
        if case.from + later <= minute_of(first.opens_at) {
            prop_assert_eq!(first, second);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_never_opens_has_no_allowed_moment_within_the_horizon(
        case in case_near_a_special_day(300 * 96..500 * 96),
    ) {
        let rules = case.rules();
        let end = match case.opening(case.from) {
            Some(found) => minute_of(found.opens_at),
            None => case.from + HORIZON_DAYS * 1440,
        };
        // Everything begins and ends with a quarter of an hour.
        for minute in (case.from..end).step_by(15) {
            prop_assert!(!rules.allow(minute), "{}", timestamp_of(minute));
        }
    }
}
