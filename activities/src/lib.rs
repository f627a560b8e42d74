//! What workflows may do: thin adapters, one module per system, and the one place that turns a
//! failure into a retry decision.
//!
//! Each module implements declarations of `contracts::activities`. It reads its input, asks a client
//! or the store, and answers; rules live in `domain`, `policy` and `agents`.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

pub mod alerts;
pub mod approvals;
pub mod campaign;
mod deps;
mod failure;
mod guardrails;
mod heartbeat;
pub mod incidents;
pub mod intel;
pub mod inventory;
pub mod ledger;
pub mod model;
pub mod notify;
pub mod nvd;
pub mod plans;
pub mod policy;
pub mod prioritisation;
pub mod records;
mod register;
pub mod reports;
pub mod risk;
pub mod seal;
pub mod superops;
pub mod windows;
mod wire;

#[cfg(test)]
mod testing;

pub use deps::{Clock, Deps, Settings, SystemClock};
pub use failure::{Failed, Outcome};
pub use register::{QUEUES, register};
