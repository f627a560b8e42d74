//! Our own form, for tools that can send JSON: an object, or a list of them.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    AlertSource,
    intake::{Intake, MOST, Raw},
};
use crate::input::{InvalidInput, Problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    client: Option<String>,
    #[serde(default)]
    device: Option<String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    site: Option<String>,
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    raised_at: Option<Timestamp>,
    #[serde(default)]
    cleared: Option<bool>,
    #[serde(default)]
    cleared_at: Option<Timestamp>,
    #[serde(default)]
    lasting: Option<bool>,
    #[serde(default)]
    occurrences: Option<u32>,
}

/// Reads alerts in our own form: one object or a list. An alert that cannot be read is left out and told;
/// the others are taken. `now` is when they came; an alert that says no time was raised then.
///
/// # Errors
/// When the whole is neither an object nor a list.
pub fn read_plain(body: &[u8], now: Timestamp) -> Result<Intake, InvalidInput> {
    let wrong = |value: String| {
        let allowed = "a JSON object with `client` and `title`, or a list of such objects";
        InvalidInput::one(Problem::new("body", value, allowed))
    };
    let begun = Intake::begin::<Value>(body);
    let (mut intake, body) = begun.map_err(|error| wrong(error.to_string()))?;
    let alerts = match body {
        Value::Array(alerts) => alerts,
        Value::Object(_) => vec![body],
        other => return Err(wrong(other.to_string())),
    };
    for (index, alert) in alerts.into_iter().enumerate() {
        let at = format!("alerts[{index}]");
        let one: One = match serde_json::from_value(alert) {
            Ok(one) => one,
            Err(error) => {
                let allowed = "id, client, device, host, address, site, title, description, severity, raised_at, cleared, cleared_at, lasting, occurrences";
                intake.refuse(Problem::new(at, error, allowed));
                continue;
            }
        };
        let is_over = one.cleared.unwrap_or_default() || one.cleared_at.is_some();
        // A tool that speaks of the end of an alert, even to say that it is not over, will say when it is.
        let speaks_of_it = one.cleared.is_some() || one.cleared_at.is_some();
        let raw = Raw {
            id: one.id.as_deref(),
            client: one.client.as_deref(),
            device: one.device.as_deref(),
            host: one.host.as_deref(),
            address: one.address.as_deref(),
            site: one.site.as_deref(),
            title: &one.title,
            description: &one.description,
            severity: &one.severity,
            raised_at: one.raised_at,
            cleared: is_over.then_some(one.cleared_at),
            lasting: one.lasting.unwrap_or(speaks_of_it),
            occurrences: one.occurrences,
        };
        intake.add(AlertSource::Plain, &at, &raw, now);
    }
    intake.keep_oldest(MOST);
    Ok(intake)
}
