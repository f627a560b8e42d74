//! What one process tells the others about a system: a flag in the store.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::{Counters, StoreResult};

/// How long a note counts after its time: clocks differ, and a probe takes a moment. Later, the
/// process that wrote it has died or has nothing to ask.
const GRACE: Duration = Duration::from_secs(15);

/// State of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum State {
    /// Calls go through.
    Closed = 0,
    /// One call is let through, to see.
    HalfOpen = 1,
    /// Calls are refused.
    Open = 2,
}

impl State {
    /// Returns the word used in the store and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// What a process has last said about a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// State of the breaker.
    pub state: State,
    /// Since when the system does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it is asked again, or its probe is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What was seen last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_error: String,
    /// Which process says so.
    pub by: String,
}

impl Note {
    pub(super) fn closed() -> Self {
        Self {
            state: State::Closed,
            since: None,
            until: None,
            last_error: String::new(),
            by: process(),
        }
    }

    /// Returns true when it says nothing any more: its time is long past.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let end = self.until.map(|until| until.checked_add(GRACE));
        self.state != State::Closed && end.is_none_or(|end| end.is_ok_and(|end| end < now))
    }

    /// Returns since when the system does not answer, if that holds now.
    #[must_use]
    pub fn away_since(&self, now: Timestamp) -> Option<Timestamp> {
        self.since
            .filter(|_| self.state != State::Closed && !self.is_stale(now))
    }

    pub(super) async fn write(&self, upstream: &str, counters: &dyn Counters) -> StoreResult<()> {
        let text = serde_json::to_string(self).unwrap_or_default();
        counters.set_flag(&flag(upstream), Some(&text)).await
    }
}

/// Reads what was last said about a system; nothing when nobody ever had trouble with it.
///
/// # Errors
/// When the store cannot be read.
pub async fn read_note(counters: &dyn Counters, upstream: &str) -> StoreResult<Option<Note>> {
    let text = counters.get_flag(&flag(upstream)).await?;
    // A newer version may write what this one cannot read: then nothing is known.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

fn flag(upstream: &str) -> String {
    format!("breaker/{upstream}")
}

/// Names this process.
pub(super) fn process() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(|path| path.file_stem());
    let name = name.map_or("autoops".into(), |name| name.to_string_lossy());
    format!("{name}@{}", std::process::id())
}
