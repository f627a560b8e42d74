//! Writing what goes to other workflows.

use contracts::converter;
use serde::Serialize;
use temporalio_common::data_converters::{
    GenericPayloadConverter, RawValue, SerializationContext, SerializationContextData,
};

use crate::failure::{Outcome, bug_because};

/// Writes a message as its receiver reads it.
pub(crate) fn encode<T: Serialize + Send + Sync + 'static>(message: &T) -> Outcome<RawValue> {
    let converter = converter::data_converter();
    let converter = converter.payload_converter();
    let context = SerializationContext::new(&SerializationContextData::None, converter);
    let payload = converter
        .to_payload(&context, message)
        .map_err(|error| bug_because("a message cannot be written", error))?;
    Ok(RawValue::new(vec![payload]))
}
