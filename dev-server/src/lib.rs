//! Everything on one machine: the real Temporal server, simulators of the outside systems, the
//! worker, and a demo fleet.

pub mod callbacks;
pub mod process;
pub mod sim;
pub mod temporal;
