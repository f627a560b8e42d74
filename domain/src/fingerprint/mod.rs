//! Fingerprints of messages: which template a message was written with, and which words are parameters.
//!
//! Two stages, one configuration for every source. [`Shape`] reads one message alone: words that are
//! values by their form (numbers, addresses, paths, ...) or by their place (`key=value`, `user NAME`)
//! become typed parameters. [`Miner`] looks at many: a place that holds ever new words between the
//! same neighbours is a parameter too, so the shapes that differ only there are one template.
//!
//! Streaming like Drain (He et al., ICWS 2017), with its tree replaced by exact shapes and a rule for
//! merging in the spirit of Brain (Yu et al., TSC 2023).

mod composite;
mod lexer;
mod miner;
mod parameter;
mod places;
mod shape;
mod state;
mod template;
mod words;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use self::{
    miner::{Counts, Handle, Miner},
    parameter::Parameter,
    shape::Shape,
    state::{MinerState, StateError},
    template::{Fingerprint, Template},
};

/// Bytes of a message that are read; what follows is counted and left out.
pub const MESSAGE_BYTES: usize = 4_096;

/// Shapes a miner remembers; messages of a new shape beyond it share a coarse template.
pub const SHAPES: usize = 20_000;
