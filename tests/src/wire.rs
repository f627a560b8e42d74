//! Payloads as the `temporal` CLI makes them: plain JSON.

use serde::de::DeserializeOwned;
use serde_json::Value;
use temporalio_common::{data_converters::RawValue, protos::temporal::api::common::v1::Payload};

/// Makes a payload of bytes that claim to be JSON.
#[must_use]
pub fn payload(data: Vec<u8>) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data,
        ..Payload::default()
    }
}

/// Makes the argument of a signal, update or workflow.
#[must_use]
pub fn json(value: &Value) -> RawValue {
    RawValue::new(vec![payload(value.to_string().into_bytes())])
}

/// Reads an answer.
#[must_use]
pub fn read<T: DeserializeOwned>(raw: &RawValue) -> T {
    let data = raw
        .payloads
        .first()
        .map_or(b"null".as_slice(), |p| p.data.as_slice());
    serde_json::from_slice(data)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(data)))
}
