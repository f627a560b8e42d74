//! Learns templates from a stream of messages.

use std::hash::{BuildHasherDefault, DefaultHasher};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{
    SHAPES,
    parameter::Parameter,
    places::{Places, View, views},
    shape::{HOLE, Shape},
    template::{Fingerprint, Template, text_of},
};

/// Shapes that are remembered although a template already covers them: only for speed.
const COVERED: usize = SHAPES / 4;
/// Coarse templates: first word and nothing else.
const COARSE: usize = 500;

/// Where a miner has put a message. Its fingerprint may still change when templates merge, so a
/// handle is resolved as late as possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u32);

impl Handle {
    /// Returns it as a number, for storing many.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// Makes it from its number again.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// What a miner has seen, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Messages in all.
    pub messages: u64,
    /// Messages longer than is read.
    pub cut: u64,
    /// Messages that are not UTF-8.
    pub not_utf8: u64,
    /// Messages of a new shape that came when there was no room for more.
    pub coarse: u64,
}

/// What is known of a shape beside its key.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The template it is part of; itself when it is one.
    pub(super) parent: u32,
    pub(super) fingerprint: Fingerprint,
    pub(super) parameters: Vec<Parameter>,
    pub(super) messages: u64,
    pub(super) role: Role,
}

/// Why a shape is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    /// It was new.
    Own,
    /// A template that existed covers it.
    Covered,
    /// It takes what has no room.
    Coarse,
}

/// Learns templates; its memory grows with templates, up to [`SHAPES`].
#[derive(Debug, Default)]
pub struct Miner {
    pub(super) shapes: IndexMap<Box<str>, Known, BuildHasherDefault<DefaultHasher>>,
    pub(super) counts: Counts,
    places: Places,
    buffer: Shape,
    own: usize,
    covered: usize,
    coarse: usize,
}

impl Miner {
    /// Makes a miner that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a message, of any bytes.
    pub fn observe(&mut self, message: &[u8]) -> Handle {
        self.counts.messages += 1;
        // The lexer reads no further than this, so nothing else has to be text.
        let cut = message.len() > super::MESSAGE_BYTES;
        let head = &message[..message.len().min(super::MESSAGE_BYTES)];
        self.counts.cut += u64::from(cut);
        let mut shape = std::mem::take(&mut self.buffer);
        match std::str::from_utf8(head) {
            Ok(text) => shape.read(text),
            // The limit may lie within a character.
            Err(error) if cut && error.error_len().is_none() => {
                shape.read(&String::from_utf8_lossy(&head[..error.valid_up_to()]))
            }
            Err(_) => {
                self.counts.not_utf8 += 1;
                shape.read(&String::from_utf8_lossy(head))
            }
        };
        let handle = self.place(&shape);
        self.buffer = shape;
        handle
    }

    fn place(&mut self, shape: &Shape) -> Handle {
        if let Some((index, _, known)) = self.shapes.get_full_mut(shape.key()) {
            known.messages += 1;
            if known.parameters != shape.parameters() {
                widen(&mut known.parameters, shape.parameters());
            }
            return handle(index);
        }
        self.place_new(shape)
    }

    fn place_new(&mut self, shape: &Shape) -> Handle {
        let covering = views(shape.key()).find_map(|view| self.shapes.get_index_of(&*view.key));
        if let Some(template) = covering.filter(|index| self.shapes[*index].role == Role::Own) {
            if self.covered < COVERED {
                let parent = handle(template).0;
                return self.add(shape, parent, Role::Covered);
            }
            self.shapes[template].messages += 1;
            return handle(template);
        }
        if self.own >= SHAPES {
            return self.place_coarse(shape);
        }
        let new = handle(self.shapes.len()).0;
        let added = self.add(shape, new, Role::Own);
        self.settle(new);
        added
    }

    fn place_coarse(&mut self, shape: &Shape) -> Handle {
        self.counts.coarse += 1;
        let first = shape.key().split(' ').next().unwrap_or_default();
        let mut key = format!("{first} {HOLE} {HOLE}");
        if !self.shapes.contains_key(&*key) && self.coarse >= COARSE {
            key = format!("{HOLE} {HOLE}");
        }
        if let Some((index, _, known)) = self.shapes.get_full_mut(&*key) {
            known.messages += 1;
            return handle(index);
        }
        let parent = handle(self.shapes.len()).0;
        let holes = vec![Parameter::Value; key.matches(HOLE).count()];
        self.insert(
            &key,
            Known {
                parent,
                fingerprint: Fingerprint::of_key(&key),
                parameters: holes,
                messages: 1,
                role: Role::Coarse,
            },
        )
    }

    fn add(&mut self, shape: &Shape, parent: u32, role: Role) -> Handle {
        self.insert(
            shape.key(),
            Known {
                parent,
                fingerprint: Fingerprint::of_key(shape.key()),
                parameters: shape.parameters().to_vec(),
                messages: 1,
                role,
            },
        )
    }

    fn insert(&mut self, key: &str, known: Known) -> Handle {
        match known.role {
            Role::Own => self.own += 1,
            Role::Covered => self.covered += 1,
            Role::Coarse => self.coarse += 1,
        }
        handle(self.shapes.insert_full(key.into(), known).0)
    }

    /// Merges a new shape with those it makes a template with, and that template in turn.
    fn settle(&mut self, new: u32) {
        let mut next = Some(new);
        while let Some(at) = next.take() {
            let key = self.key(at).to_owned();
            for shape in self.places.of(&key) {
                self.merge(shape, at);
            }
            for view in views(&key) {
                let Some(shapes) = self.places.note(&view, at) else {
                    continue;
                };
                next = Some(self.generalise(&view, at, &shapes));
                break;
            }
        }
    }

    /// Makes the template that shapes have in common.
    fn generalise(&mut self, view: &View<'_>, at: u32, shapes: &[u32]) -> u32 {
        let mut parameters = self.shapes[at as usize].parameters.clone();
        parameters.insert(view.holes_before.min(parameters.len()), Parameter::Word);
        let template = handle(self.shapes.len()).0;
        self.insert(
            &view.key,
            Known {
                parent: template,
                fingerprint: Fingerprint::of_key(&view.key),
                parameters,
                messages: 0,
                role: Role::Own,
            },
        );
        // The oldest name stays, so that what was stored under it is found.
        if let Some(oldest) = shapes.iter().min() {
            self.shapes[template as usize].fingerprint = self.shapes[*oldest as usize].fingerprint;
        }
        for shape in shapes {
            self.merge(*shape, template);
        }
        template
    }

    fn merge(&mut self, shape: u32, into: u32) {
        if shape != into {
            let key = self.key(shape).to_owned();
            self.places.withdraw(&key, shape);
            self.shapes[shape as usize].parent = into;
        }
    }

    fn key(&self, shape: u32) -> &str {
        self.shapes
            .get_index(shape as usize)
            .map_or("", |(key, _)| key)
    }

    fn root(&self, mut shape: u32) -> u32 {
        while let Some((_, known)) = self.shapes.get_index(shape as usize)
            && known.parent != shape
        {
            shape = known.parent;
        }
        shape
    }

    /// Returns the fingerprint of a message as of now; none for a handle of another miner.
    #[must_use]
    pub fn fingerprint(&self, handle: Handle) -> Option<Fingerprint> {
        let (_, known) = self.shapes.get_index(self.root(handle.0) as usize)?;
        Some(known.fingerprint)
    }

    /// Returns the template of a message as of now; none for a handle of another miner.
    #[must_use]
    pub fn template(&self, handle: Handle) -> Option<Template> {
        let root = self.root(handle.0);
        let (key, known) = self.shapes.get_index(root as usize)?;
        let all = (0..self.shapes.len()).filter(|at| self.root(handle_number(*at)) == root);
        Some(Template {
            fingerprint: known.fingerprint,
            text: text_of(key, &known.parameters),
            parameters: known.parameters.clone(),
            messages: all.map(|at| self.shapes[at].messages).sum(),
        })
    }

    /// Returns all templates, oldest first.
    #[must_use]
    pub fn templates(&self) -> Vec<Template> {
        let mut messages = vec![0; self.shapes.len()];
        for (at, known) in self.shapes.values().enumerate() {
            messages[self.root(handle_number(at)) as usize] += known.messages;
        }
        let roots = self
            .shapes
            .iter()
            .enumerate()
            .filter(|(at, (_, known))| known.parent == handle_number(*at));
        let templates = roots.map(|(at, (key, known))| Template {
            fingerprint: known.fingerprint,
            text: text_of(key, &known.parameters),
            parameters: known.parameters.clone(),
            messages: messages[at],
        });
        templates.collect()
    }

    /// Returns what was seen.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns how many shapes are remembered, which its memory grows with.
    #[must_use]
    pub fn state_size(&self) -> usize {
        self.shapes.len()
    }

    /// Takes shapes that were known before; those that stand alone look for partners again.
    pub(super) fn restore(shapes: Vec<(Box<str>, Known)>, counts: Counts) -> Self {
        let mut miner = Self {
            counts,
            ..Self::default()
        };
        for (key, known) in shapes {
            miner.insert(&key, known);
        }
        for at in 0..handle_number(miner.shapes.len()) {
            let known = &miner.shapes[at as usize];
            if known.parent == at && known.role == Role::Own {
                let key = miner.key(at).to_owned();
                for view in views(&key) {
                    // They did not make a template then, so they do not now.
                    let _ = miner.places.note(&view, at);
                }
            }
        }
        miner
    }
}

fn widen(known: &mut [Parameter], seen: &[Parameter]) {
    for (known, seen) in known.iter_mut().zip(seen) {
        *known = known.or(*seen);
    }
}

fn handle_number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn handle(index: usize) -> Handle {
    Handle(handle_number(index))
}
