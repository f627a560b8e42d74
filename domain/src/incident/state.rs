//! A correlator in a form that can be stored: it serialises as a whole, and goes on after a restart as
//! if nothing had happened. These are the parts that do not serialise by themselves.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
