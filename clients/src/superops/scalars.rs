//! Lenient reading of what the service sends: ids as text or number, date-times in several forms.

use std::{collections::BTreeSet, sync::Mutex};

use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::Value;

/// Fields that hold ids, in objects and inside JSON scalars.
const ID_FIELDS: [&str; 8] = [
    "accountId",
    "assetId",
    "scriptId",
    "actionConfigId",
    "activityId",
    "patchId",
    "id",
    "clientId",
];

/// Turns numeric ids into text, wherever they sit. A 19-digit id does not fit a float, so this works
/// on the integer that was parsed.
pub(super) fn ids_to_text(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let (true, Some(text)) =
                    (ID_FIELDS.contains(&name.as_str()), integer_text(field))
                {
                    *field = Value::String(text);
                } else {
                    ids_to_text(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(ids_to_text),
        _ => {}
    }
}

fn integer_text(value: &Value) -> Option<String> {
    value
        .as_u64()
        .map(|n| n.to_string())
        .or_else(|| value.as_i64().map(|n| n.to_string()))
}

/// Reads a text or an integer as text; anything else, and an empty text, is nothing.
pub(super) fn text_of(value: &Value) -> Option<String> {
    value
        .as_str()
        .map(str::to_owned)
        .or_else(|| integer_text(value))
        .filter(|text| !text.is_empty())
}

/// A JSON scalar is an object, or that object as text.
pub(super) fn json_scalar(value: Value) -> Value {
    let Value::String(text) = &value else {
        return value;
    };
    match serde_json::from_str(text) {
        Ok(mut inner) => {
            ids_to_text(&mut inner);
            inner
        }
        Err(_) => value,
    }
}

/// Reads a date-time: UTC unless it names a zone; seconds and fractions may be missing.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let read = text.parse::<Timestamp>().ok().or_else(|| {
        let local: civil::DateTime = text.parse().ok()?;
        local
            .to_zoned_datetime(TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    });
    if read.is_none() && !text.is_empty() {
        warn_once("date-time", text);
    }
    read
}

/// Reads the day of a date or date-time.
pub(super) fn date(text: &str) -> Option<civil::Date> {
    let read = text.trim().get(..10).and_then(|day| day.parse().ok());
    if read.is_none() && !text.trim().is_empty() {
        warn_once("date", text);
    }
    read
}

/// Warns of a word we do not know, once per process, and of no more than 200 words.
pub(super) fn warn_once(what: &'static str, word: &str) {
    static SEEN: Mutex<BTreeSet<(&'static str, String)>> = Mutex::new(BTreeSet::new());
    let word: String = word.chars().take(80).collect();
    let Ok(mut seen) = SEEN.lock() else { return };
    if seen.len() < 200 && seen.insert((what, word.clone())) {
        tracing::warn!(superops.what = what, superops.word = %word, "superops sent a {what} that we do not know: {word:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_odd_date_forms_are_read_as_utc() {
        let same = "2022-04-10T10:15:00Z".parse::<Timestamp>().unwrap();
        for text in [
            "2022-04-10T10:15:00",
            "2022-04-10T10:15:00.000",
            "2022-04-10T10:15",
            "2022-04-10T10:15:00Z",
        ] {
            assert_eq!(timestamp(text), Some(same), "{text}");
        }
        assert_eq!(
            timestamp("2022-04-10T10:15:30.250")
                .unwrap()
                .as_millisecond()
                % 1000,
            250
        );
        assert_eq!(timestamp("yesterday"), None);
        assert_eq!(timestamp(""), None);
    }

    #[test]
    fn a_day_is_read_from_a_date_or_a_date_time() {
        let day = civil::Date::new(2022, 12, 5).ok();
        assert_eq!(date("2022-12-05"), day);
        assert_eq!(date("2022-12-05T01:02:03"), day);
        assert_eq!(date("5.12.2022"), None);
        assert_eq!(date("ää2022-12-05"), None);
    }

    #[test]
    fn a_19_digit_number_survives_as_text() {
        let mut value = serde_json::from_str(
            r#"{"client":{"accountId":7000000000000000001,"name":"x"},"list":[{"id":18446744073709551615}],"timeOut":30}"#,
        )
        .unwrap();
        ids_to_text(&mut value);
        assert_eq!(value["client"]["accountId"], "7000000000000000001");
        assert_eq!(value["list"][0]["id"], "18446744073709551615");
        assert_eq!(value["timeOut"], 30);
    }

    #[test]
    fn a_json_scalar_may_come_as_text() {
        let read = json_scalar(Value::String(
            r#"{"scriptId":4100000000000000001}"#.to_owned(),
        ));
        assert_eq!(read["scriptId"], "4100000000000000001");
    }
}
