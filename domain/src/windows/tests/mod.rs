mod clock_changes;
mod examples;
mod properties;
mod wall_clock;

use jiff::Timestamp;

use super::next_opening;
use crate::plan::{BlackoutSpec, Weekday, WindowSpec};

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
