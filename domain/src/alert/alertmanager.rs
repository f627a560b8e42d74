//! The webhook of Prometheus Alertmanager, version 4 of its payload
//! (<https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>).

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    AlertSource,
    intake::{Intake, Labels, MOST, Raw, first},
    text::key_of,
};
use crate::input::{InvalidInput, Problem};

const VERSION: &str = "4";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    version: String,
    #[serde(default)]
    truncated_alerts: u64,
    alerts: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    status: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Timestamp,
    #[serde(default)]
    ends_at: Option<Timestamp>,
    #[serde(default)]
    fingerprint: String,
}

/// Reads a request of Alertmanager. An alert that cannot be read is left out and told; the others are
/// taken. `now` is when it came.
///
/// # Errors
/// When the whole is not what Alertmanager sends.
pub fn read_alertmanager(
    body: &[u8],
    labels: &Labels,
    now: Timestamp,
) -> Result<Intake, InvalidInput> {
    let allowed = "the JSON of an Alertmanager webhook";
    let begun = Intake::begin::<Payload>(body);
    let (mut intake, payload) =
        begun.map_err(|error| InvalidInput::one(Problem::new("body", error, allowed)))?;
    if payload.version != VERSION {
        let problem = Problem::new("version", payload.version, VERSION);
        return Err(InvalidInput::one(problem));
    }
    intake.counts.beyond = payload.truncated_alerts;
    for (index, alert) in payload.alerts.into_iter().enumerate() {
        let at = format!("alerts[{index}]");
        match serde_json::from_value::<One>(alert) {
            Ok(one) => one.add(&at, labels, &mut intake, now),
            Err(error) => intake.refuse(Problem::new(at, error, "an alert of Alertmanager")),
        }
    }
    intake.keep_oldest(MOST);
    Ok(intake)
}

impl One {
    fn add(&self, at: &str, names: &Labels, intake: &mut Intake, now: Timestamp) {
        let cleared = match self.status.as_str() {
            "firing" => None,
            // A zero time stands for "not known".
            "resolved" => Some(self.ends_at.filter(|at| at.as_second() > 0)),
            other => {
                let field = format!("{at}.status");
                return intake.refuse(Problem::new(field, other, "firing or resolved"));
            }
        };
        let label = |name: &str| self.labels.get(name).map(String::as_str);
        let note = |name: &str| self.annotations.get(name).map(String::as_str);
        let host = first(&self.labels, &names.host).map(without_port);
        let named = |text: &&str| !text.trim().is_empty();
        let title = note("summary").filter(named).or(label("alertname"));
        let description = note("description").or(note("message"));
        let made;
        let id = if self.fingerprint.is_empty() {
            let parts = self.labels.iter().flat_map(|(name, text)| [name, text]);
            made = key_of(&parts.map(String::as_str).collect::<Vec<_>>());
            &made
        } else {
            &self.fingerprint
        };
        let raw = Raw {
            id: Some(id),
            client: first(&self.labels, &names.client),
            device: first(&self.labels, &names.device),
            host,
            address: host.filter(|host| host.parse::<IpAddr>().is_ok()),
            site: first(&self.labels, &names.site),
            title: title.unwrap_or_default(),
            description: description.unwrap_or_default(),
            severity: label("severity").unwrap_or_default(),
            raised_at: Some(self.starts_at),
            cleared,
            lasting: true,
            occurrences: None,
        };
        intake.add(AlertSource::Alertmanager, at, &raw, now);
    }
}

/// `web01:9100` is `web01`, `[::1]:9100` is `::1`; an address of version 6 stays as it is.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.parse::<u16>().is_ok() => name,
        _ => host,
    }
}
