//! What a miner knows, in a form that can be stored.

use serde::{Deserialize, Serialize};

use super::{
    miner::{Counts, Known, Miner, Role},
    parameter::Parameter,
    template::Fingerprint,
};

/// The form that is written. A reader refuses others.
const VERSION: u32 = 1;

/// What a miner knows: with it, messages have the same fingerprints after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinerState {
    version: u32,
    shapes: Vec<ShapeState>,
    counts: Counts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ShapeState {
    key: Box<str>,
    parent: u32,
    fingerprint: Fingerprint,
    parameters: Vec<Parameter>,
    messages: u64,
    role: Role,
}

/// A stored state that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Written by another version.
    #[error("version {found} is not allowed: {VERSION}")]
    Version {
        /// What it says.
        found: u32,
    },
    /// A shape is part of none that exists, or of itself by a detour.
    #[error("shape {shape}: parent {parent} is not allowed: a shape that is not part of this one")]
    Parent {
        /// Its number.
        shape: usize,
        /// What it says.
        parent: u32,
    },
    /// A key is there twice.
    #[error("shape {shape}: its key is there already")]
    Twice {
        /// Its number.
        shape: usize,
    },
}

impl Miner {
    /// Returns what it knows.
    #[must_use]
    pub fn state(&self) -> MinerState {
        let shapes = self.shapes.iter().map(|(key, known)| ShapeState {
            key: key.clone(),
            parent: known.parent,
            fingerprint: known.fingerprint,
            parameters: known.parameters.clone(),
            messages: known.messages,
            role: known.role,
        });
        MinerState {
            version: VERSION,
            shapes: shapes.collect(),
            counts: self.counts,
        }
    }
}

impl TryFrom<MinerState> for Miner {
    type Error = StateError;

    fn try_from(state: MinerState) -> Result<Self, StateError> {
        if state.version != VERSION {
            return Err(StateError::Version {
                found: state.version,
            });
        }
        check(&state.shapes)?;
        let shapes = state.shapes.into_iter().map(|shape| {
            let known = Known {
                parent: shape.parent,
                fingerprint: shape.fingerprint,
                parameters: shape.parameters,
                messages: shape.messages,
                role: shape.role,
            };
            (shape.key, known)
        });
        Ok(Self::restore(shapes.collect(), state.counts))
    }
}

/// Tells whether every shape ends at a template.
fn check(shapes: &[ShapeState]) -> Result<(), StateError> {
    let mut keys = std::collections::BTreeSet::new();
    for (at, shape) in shapes.iter().enumerate() {
        if !keys.insert(&shape.key) {
            return Err(StateError::Twice { shape: at });
        }
        let bad = StateError::Parent {
            shape: at,
            parent: shape.parent,
        };
        let mut current = at;
        for step in 0.. {
            let next = usize::try_from(shapes[current].parent).unwrap_or(usize::MAX);
            if next >= shapes.len() || step > shapes.len() {
                return Err(bad);
            }
            if next == current {
                break;
            }
            current = next;
        }
    }
    Ok(())
}
