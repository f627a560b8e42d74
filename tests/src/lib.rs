//! Harness of the tests: one real Temporal server per test binary, today's workflows, and fake
//! activities that work on a small model of the world, one model per test.
//!
//! A test makes a [`World`], turns its knobs, starts a [`Deployment`] in it and waits for what it
//! expects to see. Nothing sleeps: waits are for conditions, and end with words about what was there.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a harness that cannot go on has to fail the test"
)]

pub mod chain;
pub mod cut;
pub mod deployment;
pub mod devices;
pub mod fakes;
pub mod faults;
pub mod fleet;
pub mod ground;
pub mod histories;
pub mod incident;
pub mod model;
pub mod plan;
pub mod report;
pub mod scale;
pub mod server;
pub mod wire;
pub mod world;

pub use deployment::Deployment;
pub use devices::{Evidence, FakeDevice, Install, Scan, Start};
pub use faults::{Fault, Lost};
pub use model::{Model, OpeningIn};
pub use server::{Site, run, site};
pub use world::World;
