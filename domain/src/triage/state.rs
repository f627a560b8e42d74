//! A triage in a form that can be stored.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::fingerprint::{Miner, MinerState};

/// The form that is written. A reader refuses others.
const VERSION: u32 = 1;

/// Names the form in what is stored.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Version;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Self),
            other => Err(D::Error::custom(format!(
                "version {other} of triage is not allowed: {VERSION}"
            ))),
        }
    }
}

/// The miner has a form of its own.
pub(super) mod miner {
    use super::{Deserialize, Deserializer, Error, Miner, MinerState, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        miner: &Miner,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        miner.state().serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Miner, D::Error> {
        let state = MinerState::deserialize(deserializer)?;
        Miner::try_from(state).map_err(D::Error::custom)
    }
}
