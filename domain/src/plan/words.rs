//! Reads values whose own words of refusal would mean nothing to who writes a plan: the error is
//! what is allowed instead.

use jiff::{Timestamp, civil::DateTime};
use serde::{Deserialize, Deserializer, de::Error};

fn read<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
    allowed: &str,
) -> Result<T, D::Error> {
    T::deserialize(from).map_err(|_| D::Error::custom(allowed))
}

/// Reads the percent of a ring.
pub(super) fn percent<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u8>, D::Error> {
    read(from, "1 to 100")
}

/// Reads the share of a gate.
pub(super) fn share<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    read(from, "0 to 100")
}

/// Reads an instant.
pub(super) fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    read(from, "a time such as 2026-12-01T04:00:00Z")
}

/// Reads a local time.
pub(super) fn local_time<'de, D: Deserializer<'de>>(from: D) -> Result<DateTime, D::Error> {
    read(from, "a local time such as 2026-12-20T00:00")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        input::from_json,
        plan::{PlanChange, PlanRequest},
    };

    fn request(extra: Value) -> Value {
        let mut request = json!({ "client": "7", "patches": [{ "kb": "KB5034441" }], "devices": { "all": true } });
        let Value::Object(extra) = extra else {
            panic!()
        };
        request.as_object_mut().unwrap().extend(extra);
        request
    }

    #[test]
    fn a_value_that_cannot_be_read_is_told_with_what_is_allowed() {
        for (extra, said) in [
            (
                json!({ "rings": [{ "name": "a", "percent": 300 }] }),
                "rings[0].percent: `300` is not allowed: 1 to 100",
            ),
            (
                json!({ "rings": [{ "name": "a", "rest": true, "gate": { "success_percent": "most" } }] }),
                "rings[0].gate.success_percent: `\"most\"` is not allowed: 0 to 100",
            ),
            (
                json!({ "deadline": "tomorrow" }),
                "deadline: `\"tomorrow\"` is not allowed: a time such as 2026-12-01T04:00:00Z",
            ),
            (
                json!({ "blackouts": [{ "from": "Christmas", "to": "2027-01-02T00:00" }] }),
                "blackouts[0].from: `\"Christmas\"` is not allowed: a local time such as 2026-12-20T00:00",
            ),
            (
                json!({ "waits": { "halt_secs": -1 } }),
                "waits.halt_secs: `-1` is not allowed: seconds, 0 or more",
            ),
        ] {
            let error = from_json::<PlanRequest>(&request(extra)).unwrap_err();
            assert_eq!(error.to_string(), said);
        }
        let error = from_json::<PlanChange>(&json!({ "deadline": 5 })).unwrap_err();
        assert!(error.to_string().contains("such as"), "{error}");
    }

    #[test]
    fn absent_and_null_are_left_out_and_what_is_read_is_written_alike() {
        let null = request(
            json!({ "deadline": null, "rings": [{ "name": "a", "percent": null, "rest": true }] }),
        );
        let absent = request(json!({ "rings": [{ "name": "a", "rest": true }] }));
        let read = |value: &Value| from_json::<PlanRequest>(value).unwrap();
        assert_eq!(read(&null), read(&absent));
        let full = request(json!({
            "deadline": "2026-12-01T04:00:00Z",
            "rings": [{ "name": "a", "percent": 100, "gate": { "success_percent": 80 } }],
            "blackouts": [{ "from": "2026-12-20T00:00:00", "to": "2027-01-02T00:00:00" }],
        }));
        let written = serde_json::to_value(read(&full)).unwrap();
        for field in [
            "/deadline",
            "/rings/0/percent",
            "/rings/0/gate/success_percent",
            "/blackouts/0/from",
        ] {
            assert_eq!(written.pointer(field), full.pointer(field));
        }
    }
}
