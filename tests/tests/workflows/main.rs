//! Workflows on a real Temporal server, with fake activities. One binary: one server, one link.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has to fail")]

mod advice;
mod alerts;
mod announcing;
mod approvals;
mod burst;
mod campaigns;
mod controls;
mod deploying;
mod devices;
mod durability;
mod endings;
mod evidence;
mod faults;
mod half_done;
mod incidents;
mod input;
mod ledger;
mod letters;
mod outages;
mod reading;
mod recording;
mod refusals;
mod reports;
mod restarts;
mod schedules;
mod sealing;
mod silence;
mod stale;
mod stragglers;
mod turns;
