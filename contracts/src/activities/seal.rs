//! Sealing the audit trail.

use std::convert::Infallible;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// What to seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealInput {
    /// Last day, in UTC.
    pub through: Date,
}

/// The newest seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealResult {
    /// Its number, from 1.
    pub sequence: u64,
    /// Its hash: the daily root of the audit trail.
    pub root: String,
    /// Last day it looked at, in UTC.
    pub through: Date,
    /// False when it was there before: nothing was left to seal.
    pub is_new: bool,
    /// Copies of entries that it names.
    pub parts: u64,
    /// Entries in them.
    pub entries: u64,
}

/// Seals.
#[derive(Debug)]
pub struct SealActivities;

#[activity_definitions]
impl SealActivities {
    /// Copies what was written down into write-once storage, and seals it.
    #[activity(name = "audit.seal")]
    pub fn seal(_: SealInput) -> Result<SealResult, Infallible> {
        unimplemented!()
    }
}

pub use seal_activities::Seal;
