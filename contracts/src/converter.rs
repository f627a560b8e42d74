//! The data converter of all binaries, made in one place: encryption will be one change.

use temporalio_common::data_converters::{
    DataConverter, DefaultFailureConverter, DefaultPayloadCodec, PayloadConverter,
};

/// Makes the data converter that every client and worker of AutoOps uses.
#[must_use]
pub fn data_converter() -> DataConverter {
    DataConverter::new(
        PayloadConverter::default(),
        DefaultFailureConverter::default(),
        DefaultPayloadCodec,
    )
}
