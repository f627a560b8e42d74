//! Everything on one machine: the real Temporal server, simulators of the outside systems, the
//! worker, and a demo fleet.

pub mod aws_local;
pub mod callbacks;
pub mod data_dir;
pub mod demo;
pub mod links;
pub mod options;
pub mod process;
pub mod sim;
pub mod simulators;
pub mod stack;
pub mod table;
pub mod temporal;
pub mod worker;

/// Tells people what happens.
pub type Say = std::sync::Arc<dyn Fn(&str) + Send + Sync>;
