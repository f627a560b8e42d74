//! Places of shapes where words change: when shapes differ in one word only, which words stood there.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
};

use super::{lexer::is_sign, shape::HOLE, words};

/// Different words that make a place a parameter.
const WORDS: usize = 8;
/// ... when all of them look made for machines, such as `cluster_var_backup`.
const IDENTIFIERS: usize = 4;
/// ... when the word before announces a value, as in `for NAME from`.
const ANNOUNCED: usize = 3;
/// ... when the word after goes on as after a name as well.
const BETWEEN: usize = 2;
/// Words that a shape must keep beside the place.
const KEPT: usize = 2;
/// Words of a shape that are looked at.
const LOOKED_AT: usize = 32;

/// One way to see a shape: as a template with one more parameter.
#[derive(Debug)]
pub(super) struct View<'a> {
    /// The key with the place left open.
    pub(super) key: String,
    /// The word that stands in the place.
    word: &'a str,
    announced: bool,
    continued: bool,
    first: bool,
    /// How many parameters lie before the place.
    pub(super) holes_before: usize,
}

/// Returns the ways to see a shape.
pub(super) fn views(key: &str) -> impl Iterator<Item = View<'_>> {
    let is_word = |token: &str| !token.starts_with(HOLE) && !is_sign_token(token);
    let words = key.split(' ').filter(|token| is_word(token)).count();
    let enough = words > KEPT;
    let mut at = 0;
    let mut before = "";
    let mut holes = 0;
    let tokens = key.split(' ').map(move |token| {
        let seen = (at, before, holes, token);
        at += token.len() + 1;
        before = token;
        holes += usize::from(token.starts_with(HOLE));
        seen
    });
    tokens
        .filter(move |(_, _, _, token)| enough && is_word(token))
        .take(LOOKED_AT)
        .map(move |(at, before, holes_before, word)| View {
            key: format!("{}{HOLE}{}", &key[..at], &key[at + word.len()..]),
            word,
            announced: words::announces_a_value(before),
            continued: goes_on_after_a_name(next(key, at + word.len())),
            first: at == 0,
            holes_before,
        })
}

fn goes_on_after_a_name(next: &str) -> bool {
    matches!(next, "[" | "(") || words::follows_a_name(next)
}

/// Returns the token behind a blank.
fn next(key: &str, blank: usize) -> &str {
    let rest = key.get(blank + 1..).unwrap_or_default();
    rest.split(' ').next().unwrap_or_default()
}

fn is_sign_token(token: &str) -> bool {
    token.len() == 1 && is_sign(token.as_bytes()[0])
}

#[derive(Debug, Default)]
struct Place {
    key: Box<str>,
    shapes: Vec<u32>,
    identifiers: bool,
}

/// The open places of all shapes.
#[derive(Debug, Default)]
pub(super) struct Places {
    open: HashMap<u64, Place, BuildHasherDefault<DefaultHasher>>,
}

impl Places {
    fn slot(&self, key: &str) -> u64 {
        self.open.hasher().hash_one(key)
    }

    /// Notes a word in a place. Returns the shapes that are one template now, if there are enough.
    pub(super) fn note(&mut self, view: &View<'_>, shape: u32) -> Option<Vec<u32>> {
        let slot = self.slot(&view.key);
        let place = self.open.entry(slot).or_insert_with(|| Place {
            key: view.key.as_str().into(),
            shapes: Vec::new(),
            identifiers: true,
        });
        // Two keys in one slot: the later one has no place. It is rare and costs one merge.
        if *place.key != *view.key {
            return None;
        }
        place.shapes.push(shape);
        place.identifiers &= !view.first && words::is_identifier(view.word);
        let needed = if view.announced && view.continued {
            BETWEEN
        } else if view.announced {
            ANNOUNCED
        } else if place.identifiers {
            IDENTIFIERS
        } else {
            WORDS
        };
        (place.shapes.len() >= needed).then(|| place.shapes.clone())
    }

    /// Returns the shapes that have one word where this key has a parameter.
    pub(super) fn of(&self, key: &str) -> Vec<u32> {
        let place = self.open.get(&self.slot(key));
        let place = place.filter(|place| *place.key == *key);
        place.map(|place| place.shapes.clone()).unwrap_or_default()
    }

    /// Forgets the places of a shape that is part of a template now.
    pub(super) fn withdraw(&mut self, key: &str, shape: u32) {
        for view in views(key) {
            let slot = self.slot(&view.key);
            if let Some(place) = self.open.get_mut(&slot) {
                place.shapes.retain(|known| *known != shape);
                if place.shapes.is_empty() {
                    self.open.remove(&slot);
                }
            }
        }
    }
}
