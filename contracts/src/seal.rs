//! Workflow `DailySeal`.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Input of a seal; all of it may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DailySealInput {
    /// Last day to seal, in UTC; yesterday when absent.
    pub through: Option<Date>,
    /// How long one try may take, in seconds.
    pub try_secs: u64,
    /// How long all tries may take, in seconds.
    pub give_up_secs: u64,
}

impl Default for DailySealInput {
    fn default() -> Self {
        Self {
            through: None,
            try_secs: 3600,
            give_up_secs: 20 * 3600,
        }
    }
}

/// What a seal came to.
pub type DailySealResult = crate::activities::seal::SealResult;
