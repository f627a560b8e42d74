//! Words and rules of AutoOps: pure, no I/O, no async, no clock, no randomness.
//!
//! A newcomer asks "why is it so?" here: what a plan is, when a ring may go on, who counts as an
//! approver, when a patch counts as verified.

pub mod advice;
pub mod alert;
pub mod approval;
pub mod audit;
pub mod campaign;
pub mod canonical;
pub mod cause;
pub mod dead_letter;
pub mod deployment;
pub mod device;
pub mod evidence;
pub mod failure;
pub mod fingerprint;
mod form;
pub mod guardrail;
pub mod ids;
pub mod incident;
pub mod input;
pub mod ledger;
pub mod machine;
pub mod outcome;
pub mod patch;
pub mod people;
pub mod plan;
pub mod plan_check;
pub mod proof;
pub mod rings;
pub mod risk;
pub mod script;
pub mod seal;
pub mod sequential;
pub mod software;
pub mod triage;
pub mod unwritten;
pub mod vulnerability;
pub mod windows;
