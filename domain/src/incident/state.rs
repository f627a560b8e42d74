//! A correlator in a form that can be stored: it serialises as a whole, and goes on after a restart as
//! if nothing had happened.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

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
                "version {other} is not allowed: {VERSION}"
            ))),
        }
    }
}

/// A map whose keys are no text, as a list of pairs.
pub(super) mod pairs {
    use std::{collections::HashMap, hash::Hash};

    use super::super::names::Hasher;
    use super::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<S, K, V>(
        map: &HashMap<K, V, Hasher>,
        serializer: S,
    ) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        K: Serialize,
        V: Serialize,
    {
        serializer.collect_seq(map)
    }

    pub(in super::super) fn deserialize<'de, D, K, V>(
        deserializer: D,
    ) -> Result<HashMap<K, V, Hasher>, D::Error>
    where
        D: Deserializer<'de>,
        K: Deserialize<'de> + Eq + Hash,
        V: Deserialize<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}

/// Names in order, as a list.
pub(super) mod names {
    use indexmap::IndexSet;

    use super::super::names::Hasher;
    use super::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        names: &IndexSet<Box<str>, Hasher>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(names)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<IndexSet<Box<str>, Hasher>, D::Error> {
        Ok(Vec::<Box<str>>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}
