//! The runtime variables of our script, as a run gets them.

use std::fmt;

use domain::{
    ids::{DeviceId, JobId, KbId},
    script::ScriptMode,
};
use jiff::Timestamp;
use serde_json::Value;

/// Arguments of one run.
#[derive(Clone)]
pub(super) struct ScriptArgs {
    pub(super) mode: ScriptMode,
    pub(super) kb: Option<KbId>,
    pub(super) job_id: JobId,
    pub(super) device: DeviceId,
    pub(super) not_before: Option<Timestamp>,
    pub(super) not_after: Option<Timestamp>,
    pub(super) services: Vec<String>,
    pub(super) callback_url: String,
    pub(super) token: String,
}

impl fmt::Debug for ScriptArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptArgs")
            .field("mode", &self.mode)
            .field("kb", &self.kb)
            .field("job_id", &self.job_id)
            .finish_non_exhaustive()
    }
}

impl ScriptArgs {
    /// Reads `[{"name": "mode", "value": "install"}, …]`, also as JSON text.
    pub(super) fn parse(arguments: &Value) -> Result<Self, String> {
        let inner: Value;
        let list = match arguments {
            Value::String(text) => {
                inner = serde_json::from_str(text).map_err(|e| e.to_string())?;
                &inner
            }
            other => other,
        };
        let items = list.as_array().ok_or("the arguments are not a list")?;
        let get = |name: &str| {
            let value = items
                .iter()
                .find(|item| item["name"] == name)
                .map(|item| &item["value"]);
            match value {
                Some(Value::String(text)) => text.trim().to_owned(),
                Some(Value::Number(number)) => number.to_string(),
                _ => String::new(),
            }
        };
        let time = |name: &str| match get(name) {
            text if text.is_empty() => Ok(None),
            text => text.parse().map(Some).map_err(|e| format!("{name}: {e}")),
        };
        let kb = match get("kb") {
            text if text.is_empty() => None,
            text => Some(text.parse::<KbId>().map_err(|e| e.to_string())?),
        };
        Ok(Self {
            mode: get("mode").parse()?,
            kb,
            job_id: get("jobId").parse().map_err(|e| format!("{e}"))?,
            device: get("device").parse().map_err(|e| format!("{e}"))?,
            not_before: time("notBefore")?,
            not_after: time("notAfter")?,
            services: clients::services::read(&get("services")).map_err(|e| e.to_string())?,
            callback_url: get("callbackUrl"),
            token: get("token"),
        })
    }

    /// The window is kept on the device: a run may have waited for days.
    pub(super) fn in_window(&self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|t| now >= t) && self.not_after.is_none_or(|t| now <= t)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_window_is_inclusive_and_the_token_is_not_shown() {
        let args = ScriptArgs::parse(&json!([
            { "name": "mode", "value": "install" }, { "name": "kb", "value": "5034441" }, { "name": "jobId", "value": "p/1" },
            { "name": "device", "value": "41" }, { "name": "notBefore", "value": "2024-01-01T00:00:00Z" },
            { "name": "notAfter", "value": "2024-01-01T01:00:00Z" }, { "name": "token", "value": "s3cret" }
        ]))
        .unwrap();
        let at = |text: &str| text.parse().unwrap();
        assert!(
            args.in_window(at("2024-01-01T00:00:00Z"))
                && args.in_window(at("2024-01-01T01:00:00Z"))
        );
        assert!(!args.in_window(at("2024-01-01T01:00:01Z")));
        assert!(!format!("{args:?}").contains("s3cret"));
    }

    #[test]
    fn services_travel_encoded_and_a_plain_list_is_refused() {
        let read = |services: &str| {
            ScriptArgs::parse(&json!([
                { "name": "mode", "value": "verify" }, { "name": "jobId", "value": "p/1" },
                { "name": "device", "value": "41" }, { "name": "services", "value": services }
            ]))
        };
        let args = read("U3Bvb2xlcixNU1NRTCRB").unwrap();
        assert_eq!(args.services, ["Spooler", "MSSQL$A"]);
        let error = read("Spooler,MSSQL$A").unwrap_err();
        assert!(error.contains("services"), "{error}");
    }

    #[test]
    fn a_wrong_mode_is_named() {
        let error = ScriptArgs::parse(&json!([{ "name": "mode", "value": "format" }])).unwrap_err();
        assert!(error.contains("`format`"), "{error}");
    }
}
