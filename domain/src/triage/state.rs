//! A triage in a form that can be stored.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::fingerprint::{Miner, MinerState};

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
