//! Numbers for kinds of alerts and for devices, so that each text is kept once and their count is bounded.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher},
};

use indexmap::IndexSet;

use serde::{Deserialize, Serialize};

use super::state;
use crate::fingerprint::Shape;

/// A hasher that is the same in every process.
pub(super) type Hasher = BuildHasherDefault<DefaultHasher>;

/// Kinds and devices that are told apart; further ones share one number.
const KINDS: usize = 20_000;
const DEVICES: usize = 100_000;
/// Texts whose kind is remembered, only for speed.
const TEXTS: usize = 20_000;
/// Bytes that are kept of a name.
const SHOWN: usize = 200;

/// Stands for what has no number of its own, and for no device.
pub(super) const OTHER: u32 = u32::MAX;

#[derive(Debug, Serialize, Deserialize)]
struct Kind {
    shown: Box<str>,
    words: Box<[u64]>,
}

/// Kinds of alerts and devices by number.
///
/// The kind of an alert is the [`Shape`] of its title: titles are few and written on purpose, so words
/// that differ mean something and are not mined away.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Names {
    #[serde(skip)]
    texts: HashMap<Box<str>, u32, Hasher>,
    by_shape: HashMap<Box<str>, u32, Hasher>,
    kinds: Vec<Kind>,
    #[serde(with = "state::names")]
    devices: IndexSet<Box<str>, Hasher>,
    #[serde(skip)]
    shape: Shape,
    /// Alerts whose kind or device had no room.
    pub(super) crowded: u64,
}

impl Names {
    /// Returns the number of the kind of alert with this title.
    pub(super) fn kind(&mut self, title: &str) -> u32 {
        if let Some(kind) = self.texts.get(title) {
            return *kind;
        }
        self.shape.read(title);
        let kind = match self.by_shape.get(self.shape.key()) {
            Some(kind) => *kind,
            None if self.kinds.len() < KINDS => self.add_kind(title),
            None => {
                self.crowded += 1;
                return OTHER;
            }
        };
        if self.texts.len() < TEXTS && title.len() <= SHOWN {
            self.texts.insert(title.into(), kind);
        }
        kind
    }

    fn add_kind(&mut self, title: &str) -> u32 {
        let number = u32::try_from(self.kinds.len()).unwrap_or(OTHER);
        let key = self.shape.key();
        let words = key.split(' ').filter(|word| word.len() > 2);
        let mut words: Vec<u64> = words.map(hash).collect();
        words.sort_unstable();
        words.dedup();
        self.by_shape.insert(key.into(), number);
        self.kinds.push(Kind {
            shown: shown(title).into(),
            words: words.into(),
        });
        number
    }

    /// Returns the number of a device; [`OTHER`] when it has no name.
    pub(super) fn device(&mut self, name: &str) -> u32 {
        let name = &name[..name.floor_char_boundary(SHOWN)];
        if name.is_empty() {
            return OTHER;
        }
        let index = match self.devices.get_index_of(name) {
            Some(index) => index,
            None if self.devices.len() < DEVICES => self.devices.insert_full(name.into()).0,
            None => {
                self.crowded += 1;
                return OTHER;
            }
        };
        u32::try_from(index).unwrap_or(OTHER)
    }

    /// Returns the title that a kind was first seen with.
    pub(super) fn title(&self, kind: u32) -> &str {
        let kind = self.kinds.get(kind as usize);
        kind.map_or("alerts of many kinds", |kind| &kind.shown)
    }

    /// Returns the name of a device.
    pub(super) fn device_name(&self, device: u32) -> &str {
        let name = self.devices.get_index(device as usize);
        name.map_or("unknown device", |name| name)
    }

    /// Returns how many words two kinds share, in per mille of all their words.
    pub(super) fn likeness(&self, one: u32, other: u32) -> u16 {
        if one == other && one != OTHER {
            return 1_000;
        }
        let (Some(one), Some(other)) =
            (self.kinds.get(one as usize), self.kinds.get(other as usize))
        else {
            return 0;
        };
        let shared = one
            .words
            .iter()
            .filter(|w| other.words.binary_search(w).is_ok());
        let shared = shared.count();
        let all = one.words.len() + other.words.len() - shared;
        if all == 0 {
            return 0;
        }
        u16::try_from(shared * 1_000 / all).unwrap_or(1_000)
    }
}

fn hash(word: &str) -> u64 {
    use std::hash::BuildHasher;
    Hasher::default().hash_one(word)
}

/// Returns the start of a text without what does not show.
fn shown(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(SHOWN)];
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(shown).collect()
}
