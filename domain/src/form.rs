//! Names the form in which a state is stored, as a number beside it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The form that is written. A reader refuses others.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Form<const VERSION: u32>;

impl<const VERSION: u32> Serialize for Form<VERSION> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(VERSION)
    }
}

impl<'de, const VERSION: u32> Deserialize<'de> for Form<VERSION> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            found if found == VERSION => Ok(Self),
            other => Err(D::Error::custom(format!(
                "version {other} is not allowed: {VERSION}"
            ))),
        }
    }
}
