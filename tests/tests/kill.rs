//! Nothing is lost and nothing is done twice, wherever the real worker process or the Temporal server
//! is killed, and whatever SuperOps and its devices do: after steno and omicron, who fail every node
//! of a saga once.
//!
//! `AUTOOPS_CHAOS=1` (`make chaos`) takes larger samples, `AUTOOPS_KILL_SEED` another sample.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "kill/burst.rs"]
mod burst;
#[path = "kill/effort.rs"]
mod effort;
#[path = "kill/evidence.rs"]
mod evidence;
#[path = "kill/field.rs"]
mod field;
#[path = "kill/fleet.rs"]
mod fleet;
#[path = "kill/kept.rs"]
mod kept;
#[path = "kill/lies.rs"]
mod lies;
#[path = "kill/moments.rs"]
mod moments;
#[path = "kill/proof.rs"]
mod proof;
#[path = "kill/rollout.rs"]
mod rollout;
#[path = "kill/sources.rs"]
mod sources;
#[path = "kill/stand.rs"]
mod stand;
#[path = "kill/sweep.rs"]
mod sweep;
#[path = "kill/trail.rs"]
mod trail;
#[path = "kill/twice.rs"]
mod twice;
#[path = "kill/undone.rs"]
mod undone;
#[path = "kill/watched.rs"]
mod watched;
