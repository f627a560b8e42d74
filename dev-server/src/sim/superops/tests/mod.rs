//! The simulation on a clock that tests move, and the wire with the real client.

mod alerts;
mod devices;
mod wire;
