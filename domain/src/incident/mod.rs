//! Incidents: which alerts belong together, and which incident a person should read first.
//!
//! A kind of alert on a device comes in episodes, parted by quiet. What is rare starts an incident or
//! joins one that has just opened, by time, topology, text and change; what is routine is gathered in
//! digests. An incident is ranked once, half an hour after it opened, by how surprising its alerts are
//! and by what happened close to it. All of one client; pure, so the time is that of the alerts.

mod correlator;
mod habits;
mod input;
mod joining;
mod lifecycle;
mod link;
mod live;
mod names;
mod near;
mod network;
mod people;
mod ranking;
mod record;
mod state;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use self::{
    correlator::Correlator,
    input::{Alert, Change, Counts, Stakes, Topology},
    link::{ENOUGH, Link},
    near::{Comparison, Side},
    people::CannotSplit,
    ranking::{Priority, Reason},
    record::{Incident, IncidentId, State},
};

/// Milliseconds.
type Millis = i64;

const SECOND: Millis = 1_000;

/// What starts within this time of an incident's first alert may join it, if it is of the moment.
const WINDOW: Millis = 10 * SECOND;
/// Silence that ends an episode, and an incident whose alerts do not say when they clear.
const QUIET: Millis = 60 * SECOND;
/// A kind of alert with this many episodes a day on a device, or more, is routine there, unless told otherwise.
pub const ROUTINE_PER_DAY: u32 = 8;
/// Routine alerts of this time are one digest.
const DIGEST: Millis = 300 * SECOND;
/// An incident is ranked so long after its first alert: what happens around it can be seen by then.
pub const RANKED_AFTER_SECS: i64 = 1_800;
/// An incident that was cleared opens again when its alert returns within this time.
const REOPEN: Millis = 3_600 * SECOND;
