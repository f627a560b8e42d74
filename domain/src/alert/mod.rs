//! Alerts of any source: what a source says of one, what is kept of it, and which news that makes.
//!
//! A source repeats itself: the same alert is seen at every poll. [`Alert::take`] tells what is new. News
//! go to the triage of a client as [`Event`]s that carry all it needs, so that it never depends on what
//! became of the alert meanwhile.

mod alertmanager;
mod intake;
mod news;
mod plain;
mod text;

#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClientId, DeviceId},
    input::Problem,
    machine::{Machines, Meant},
};

pub use self::{
    alertmanager::read_alertmanager,
    intake::{Intake, IntakeCounts, Labels},
    news::{Event, EventKind, Taken},
    plain::read_plain,
    text::{clean, key_of},
};

/// Bytes of a title that are kept.
pub const TITLE_BYTES: usize = 1_024;
/// Bytes of a description that are kept.
pub const DESCRIPTION_BYTES: usize = 4_096;
/// Bytes of a name, an address or a site that are kept.
pub const NAME_BYTES: usize = 200;

/// Where an alert comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertSource {
    /// The RMM.
    Superops,
    /// Prometheus Alertmanager.
    Alertmanager,
    /// Any tool that sends our plain form.
    Plain,
}

impl AlertSource {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Superops, Self::Alertmanager, Self::Plain];

    /// Whether we ask it what is open; the others speak when they want to.
    #[must_use]
    pub fn is_asked(self) -> bool {
        self == Self::Superops
    }

    /// Returns the word of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superops => "superops",
            Self::Alertmanager => "alertmanager",
            Self::Plain => "plain",
        }
    }
}

impl fmt::Display for AlertSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AlertSource {
    type Err = Problem;

    fn from_str(word: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|source| source.as_str() == word);
        found.ok_or_else(|| Problem::new("source", word, Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// Names an alert: its source and the source's own id, such as `superops/4411092338412`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AlertId {
    source: AlertSource,
    text: String,
}

impl AlertId {
    /// Longest id of a source.
    const LONGEST: usize = 128;

    /// Makes one.
    ///
    /// # Errors
    /// When the source's id is empty, too long, or has other characters than ids have.
    pub fn new(source: AlertSource, own: &str) -> Result<Self, Problem> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if own.is_empty() || own.len() > Self::LONGEST || !own.chars().all(allowed) {
            let allowed = format!("1 to {} letters, digits and -_.:", Self::LONGEST);
            return Err(Problem::new("id", own, allowed));
        }
        Ok(Self {
            source,
            text: format!("{source}/{own}"),
        })
    }

    /// Returns the source.
    #[must_use]
    pub fn source(&self) -> AlertSource {
        self.source
    }

    /// Returns the whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the source's own id.
    #[must_use]
    pub fn own(&self) -> &str {
        &self.text[self.source.as_str().len() + 1..]
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for AlertId {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let form = "a source, / and an id, such as superops/4411092338412";
        let parts = text.split_once('/');
        let (source, own) = parts.ok_or_else(|| Problem::new("alert", text, form))?;
        Self::new(source.parse()?, own)
    }
}

impl TryFrom<String> for AlertId {
    type Error = Problem;

    fn try_from(text: String) -> Result<Self, Problem> {
        text.parse()
    }
}

impl From<AlertId> for String {
    fn from(id: AlertId) -> Self {
        id.text
    }
}

/// How bad a source says it is; the words of tenants and tools vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertSeverity {
    /// It does not say, or in words we do not know.
    Unknown,
    /// For information.
    Low,
    /// To look at.
    Medium,
    /// Something fails.
    High,
    /// Something is down.
    Critical,
}

impl AlertSeverity {
    /// Reads the word of a source.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "critical" | "fatal" | "emergency" | "disaster" | "page" => Self::Critical,
            "high" | "error" | "major" => Self::High,
            "medium" | "warning" | "warn" | "average" | "minor" => Self::Medium,
            "low" | "info" | "information" | "informational" | "notice" | "none" => Self::Low,
            _ => Self::Unknown,
        }
    }

    /// Returns the word of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What was kept before this was noted is of sources that say when alerts are over.
fn lasting() -> bool {
    true
}

/// What a source says of an alert at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Its name.
    pub id: AlertId,
    /// The client it is about.
    pub client: ClientId,
    /// The device, where the source knows ours.
    pub device: Option<DeviceId>,
    /// The name of the machine, for people; also what alerts of other tools have instead of a device.
    pub host: Option<String>,
    /// The network address.
    pub address: Option<String>,
    /// The site.
    pub site: Option<String>,
    /// What it says. Untrusted.
    pub title: String,
    /// More of it. Untrusted.
    pub description: String,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// Whether it is over, and when that was, if the source knows.
    pub cleared: Option<Option<Timestamp>>,
    /// Whether its source says when it is over; otherwise it is of the moment.
    #[serde(default = "lasting")]
    pub lasting: bool,
    /// How often it happened.
    pub occurrences: u32,
    /// When the source said this.
    pub seen_at: Timestamp,
}

impl Sighting {
    /// Puts the device in the place of its name, where a tool has said that. Returns a name that several
    /// devices have, and how many.
    pub fn recognise(&mut self, machines: &Machines) -> Option<(String, usize)> {
        // Who is asked knows our devices.
        if self.id.source().is_asked() {
            return None;
        }
        let device = self.device.as_ref().map(DeviceId::as_str);
        let mut several = None;
        // A tool may say `device` and mean a disk.
        for name in device.into_iter().chain(self.host.as_deref()) {
            match machines.find(name) {
                Meant::Device(id) => {
                    self.device = Some(id.clone());
                    return None;
                }
                Meant::OneOf(count) => several = several.or(Some((name.to_owned(), count))),
                Meant::Nobody => {}
            }
        }
        several
    }
}

/// An alert as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What its source said last; times are not later than they were seen.
    #[serde(flatten)]
    pub said: Sighting,
    /// When it was first seen.
    pub first_seen_at: Timestamp,
    /// When it was over, as far as we know.
    pub cleared_at: Option<Timestamp>,
    /// Why it is taken as over; absent of those that were over before this was noted.
    #[serde(default)]
    pub closing: Option<Closing>,
    /// Walks over everything that is open which did not find it, since it was last seen.
    #[serde(default)]
    pub missed: u32,
    /// When the last of them began.
    #[serde(default)]
    pub missed_by: Option<Timestamp>,
    /// News it made so far.
    pub news: u32,
    /// Where triage has put it.
    #[serde(default)]
    pub placement: Option<Placement>,
}

impl Alert {
    /// Returns true until it is over.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.cleared_at.is_none()
    }

    /// Names the machine: the device where there is one, otherwise the host; empty when unknown.
    #[must_use]
    pub fn machine(&self) -> &str {
        machine(self.said.device.as_ref(), self.said.host.as_deref())
    }
}

fn machine<'a>(device: Option<&'a DeviceId>, host: Option<&'a str>) -> &'a str {
    device.map_or_else(|| host.unwrap_or_default(), DeviceId::as_str)
}

/// Why an alert is taken as over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closing {
    /// Its source says so.
    Cleared,
    /// Its source, when asked for all that is open, does not name it any more.
    Missed,
    /// Its source has not spoken of it for a long time, or it was of the moment.
    Unheard,
}

impl Closing {
    /// Says why in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Cleared => "its source says so",
            Self::Missed => "its source does not list it any more",
            Self::Unheard => "its source has not spoken of it any more",
        }
    }
}

/// Since when an active alert has to have been heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeardSince {
    /// One that lasts until its source says that it is over.
    pub lasting: Timestamp,
    /// One of the moment.
    pub of_moment: Timestamp,
}

/// Where triage has put an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The incident, by its number at the client.
    #[serde(default)]
    pub incident: Option<u64>,
    /// Why it is there, or in none.
    pub treatment: Treatment,
    /// The kind of alert it is: the fingerprint of its title.
    pub kind: String,
    /// When it was put there.
    pub at: Timestamp,
}

/// What triage did with an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Treatment {
    /// It is in an incident.
    Incident,
    /// It says the same of the same machine as another one that is active.
    Duplicate {
        /// The other one.
        of: AlertId,
    },
    /// It waits: alerts like it use to be over soon.
    Held {
        /// Until then.
        until: Timestamp,
        /// Why.
        why: String,
    },
    /// It comes and goes; only the first of it counts.
    Flapping {
        /// Times within the last hour.
        times: u32,
    },
    /// It is usual here, and only gathered.
    Routine {
        /// About so often a day.
        per_day: u32,
    },
    /// A rule of people silences it.
    Silenced {
        /// The rule.
        rule: String,
        /// Until then, if the rule ends.
        until: Option<Timestamp>,
    },
    /// What it depends on is down.
    Inhibited {
        /// That machine.
        by: String,
    },
    /// A patch wave has announced it.
    Expected {
        /// The plan.
        plan: crate::ids::PlanId,
        /// Until then it may last.
        until: Timestamp,
    },
    /// It was over before anybody had to know.
    Passed,
}

impl Treatment {
    /// Whether it counts in an incident, or in a digest of what is usual.
    #[must_use]
    pub fn counts(&self) -> bool {
        matches!(self, Self::Incident | Self::Routine { .. })
    }

    /// Whether it is in the incident of another alert, without counting.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        matches!(
            self,
            Self::Duplicate { .. } | Self::Inhibited { .. } | Self::Flapping { .. }
        )
    }
}
