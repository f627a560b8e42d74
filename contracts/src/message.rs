//! Messages people write by hand. A wrong shape must neither block the workflow nor vanish: it
//! arrives as a finding that names the field, and the workflow answers it.

use domain::input::{InvalidInput, Problem, from_json};
use serde::{Serialize, de::DeserializeOwned};
use temporalio_common::{
    data_converters::{
        PayloadConversionError, SerializationContext, TemporalDeserializable, TemporalSerializable,
    },
    protos::temporal::api::common::v1::Payload,
};

/// Largest message that people may send, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Largest message that is read at all: a run that continues brings its state along, and must not
/// end because of its size.
const MAX_CARRIED_BYTES: usize = 1024 * 1024;

/// A value that was read, or what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<T>(pub Result<T, InvalidInput>);

impl<T> Message<T> {
    /// Returns the value, or what is wrong with it.
    ///
    /// # Errors
    /// When what was sent could not be read.
    pub fn into_result(self) -> Result<T, InvalidInput> {
        self.0
    }
}

impl<T> From<T> for Message<T> {
    fn from(value: T) -> Self {
        Self(Ok(value))
    }
}

impl<T: Serialize> TemporalSerializable for Message<T> {
    fn to_payload(&self, _: &SerializationContext<'_>) -> Result<Payload, PayloadConversionError> {
        let value = self
            .0
            .as_ref()
            .map_err(|e| PayloadConversionError::EncodingError(e.clone().into()))?;
        let data = serde_json::to_vec(value)
            .map_err(|e| PayloadConversionError::EncodingError(e.into()))?;
        let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
        Ok(Payload {
            metadata,
            data,
            ..Payload::default()
        })
    }
}

impl<T: DeserializeOwned> TemporalDeserializable for Message<T> {
    fn from_payload(
        ctx: &SerializationContext<'_>,
        payload: Payload,
    ) -> Result<Self, PayloadConversionError> {
        Self::from_payloads(ctx, vec![payload])
    }

    fn from_payloads(
        _: &SerializationContext<'_>,
        payloads: Vec<Payload>,
    ) -> Result<Self, PayloadConversionError> {
        Ok(Self(read(&payloads)))
    }
}

fn refuse(value: String, allowed: &str) -> InvalidInput {
    InvalidInput::one(Problem::new("input", value, allowed))
}

fn too_long(bytes: usize) -> InvalidInput {
    refuse(format!("{bytes} bytes"), "at most 64 KiB of JSON")
}

fn read<T: DeserializeOwned>(payloads: &[Payload]) -> Result<T, InvalidInput> {
    let value: serde_json::Value = match payloads {
        [] => serde_json::Value::Null,
        [one] if one.data.len() > MAX_CARRIED_BYTES => return Err(too_long(one.data.len())),
        [one] => serde_json::from_slice(&one.data).map_err(|e| {
            refuse(
                String::from_utf8_lossy(&one.data).into_owned(),
                &e.to_string(),
            )
        })?,
        more => return Err(refuse(format!("{} values", more.len()), "one JSON object")),
    };
    let bytes = payloads.iter().map(|p| p.data.len()).sum::<usize>();
    // Only the workflow itself may bring state along; it checks that.
    if bytes > MAX_MESSAGE_BYTES && value.get("carry").is_none() {
        return Err(too_long(bytes));
    }
    from_json(&value)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vote {
        by: String,
    }

    fn payload(text: &str) -> Payload {
        Payload {
            data: text.as_bytes().to_vec(),
            ..Payload::default()
        }
    }

    #[test]
    fn what_was_sent_wrong_is_named_and_never_lost() {
        assert_eq!(
            read::<Vote>(&[payload(r#"{"by":"dana"}"#)]),
            Ok(Vote { by: "dana".into() })
        );
        let typo = read::<Vote>(&[payload(r#"{"bye":"dana"}"#)]).unwrap_err();
        assert!(typo.to_string().contains("bye"), "{typo}");
        assert!(read::<Vote>(&[]).is_err());
        assert!(read::<Vote>(&[payload("{")]).is_err());
        let huge = format!(r#"{{"by":"{}"}}"#, "x".repeat(MAX_MESSAGE_BYTES));
        assert!(
            read::<Vote>(&[payload(&huge)])
                .unwrap_err()
                .to_string()
                .contains("64 KiB")
        );
    }
}
