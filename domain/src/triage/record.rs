//! Incidents as they are kept for people and for the workflow that answers them.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{IncidentNews, Unheard};
use crate::{
    alert::{AlertSeverity, clean},
    ids::{ClientId, PersonId},
    incident::{IncidentId, Priority, State},
    input::Problem,
};

/// Names an incident among those of all clients: client, `-` and its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IncidentKey {
    client: ClientId,
    number: IncidentId,
}

impl IncidentKey {
    /// Names one.
    #[must_use]
    pub fn new(client: ClientId, number: IncidentId) -> Self {
        Self { client, number }
    }

    /// Returns the client.
    #[must_use]
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// Returns the number at the client.
    #[must_use]
    pub fn number(&self) -> IncidentId {
        self.number
    }
}

impl fmt::Display for IncidentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.client, self.number.0)
    }
}

impl FromStr for IncidentKey {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let wrong = || {
            Problem::new(
                "incident",
                text,
                "a client, - and a number, such as 7001-12",
            )
        };
        let (client, number) = text.rsplit_once('-').ok_or_else(wrong)?;
        Ok(Self {
            client: client.parse().map_err(|_| wrong())?,
            number: IncidentId(number.parse().map_err(|_| wrong())?),
        })
    }
}

impl TryFrom<String> for IncidentKey {
    type Error = Problem;

    fn try_from(text: String) -> Result<Self, Problem> {
        text.parse()
    }
}

impl From<IncidentKey> for String {
    fn from(key: IncidentKey) -> Self {
        key.to_string()
    }
}

/// Why an incident was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum Closing {
    /// All its alerts cleared, and none came back in time.
    Cleared,
    /// All its alerts are over, and some or all of them only because they were not heard of any more.
    Unheard {
        /// Which of them.
        unheard: Unheard,
    },
    /// Its sources do not say when alerts clear, and nothing came any more.
    Quiet,
    /// A person said so.
    ByPerson {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
}

impl Closing {
    /// Says why in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Cleared => "all its alerts cleared".to_owned(),
            Self::Unheard { unheard } => match unheard {
                Unheard::All => "its alerts were not heard of any more".to_owned(),
                Unheard::Some => {
                    "some of its alerts cleared, the others were not heard of any more".to_owned()
                }
            },
            Self::Quiet => "nothing came any more".to_owned(),
            Self::ByPerson { by, reason } => format!("closed by {by}: {reason}"),
        }
    }
}

/// Where an incident stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum IncidentStatus {
    /// It is worked on.
    #[default]
    Open,
    /// It is over.
    Closed {
        /// When.
        at: Timestamp,
        /// Why.
        #[serde(flatten)]
        closing: Closing,
    },
    /// Another one has taken it in.
    MergedInto {
        /// That one.
        incident: IncidentKey,
    },
}

impl IncidentStatus {
    /// Returns the word of it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed { .. } => "closed",
            Self::MergedInto { .. } => "merged",
        }
    }
}

/// An incident as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentRecord {
    /// Its name.
    pub key: IncidentKey,
    /// 1, 2, 3 … with each news.
    pub version: u32,
    /// The last version that its workflow was told of.
    pub delivered: u32,
    /// Where it stands.
    #[serde(flatten)]
    pub status: IncidentStatus,
    /// What triage says of it.
    pub news: IncidentNews,
    /// What is behind it, once it was looked into; its form is that of the workflow that answers.
    #[serde(default)]
    pub cause: Option<serde_json::Value>,
    /// When it was first written.
    pub opened_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

impl IncidentRecord {
    /// Joins news with what is kept; `None` when they say nothing new. An incident that was closed opens
    /// again when an alert of it is active; one that was merged stays so.
    #[must_use]
    pub fn take(
        known: Option<Self>,
        client: &ClientId,
        news: IncidentNews,
        now: Timestamp,
    ) -> Option<Self> {
        let key = IncidentKey::new(client.clone(), news.incident.id);
        let merged = news.merged_into.map(|into| IncidentStatus::MergedInto {
            incident: IncidentKey::new(client.clone(), into),
        });
        let Some(known) = known else {
            let opened_at = Timestamp::from_millisecond(news.incident.opened_ms).unwrap_or(now);
            return Some(Self {
                key,
                version: 1,
                delivered: 0,
                status: merged.unwrap_or_default(),
                news,
                cause: None,
                opened_at,
                updated_at: now,
            });
        };
        let status = match (merged, &known.status) {
            (Some(merged), _) => merged,
            (None, IncidentStatus::Closed { .. }) if news.incident.live > 0 => IncidentStatus::Open,
            (None, status) => status.clone(),
        };
        if known.news == news && known.status == status {
            return None;
        }
        Some(Self {
            version: known.version + 1,
            status,
            news,
            updated_at: now,
            ..known
        })
    }

    /// Whether a workflow answers it: what is usual is only gathered.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        !self.news.incident.routine
    }

    /// Whether its workflow has not been told of the newest.
    #[must_use]
    pub fn is_undelivered(&self) -> bool {
        self.is_answered() && self.delivered < self.version
    }

    /// Says why it may be closed by itself; `None` while it may not.
    #[must_use]
    pub fn may_close(&self) -> Option<Closing> {
        if !self.news.over || self.status != IncidentStatus::Open {
            return None;
        }
        match self.news.incident.state {
            State::Cleared => Some(match self.news.unheard {
                Some(unheard) => Closing::Unheard { unheard },
                None => Closing::Cleared,
            }),
            State::Quiet | State::Open => Some(Closing::Quiet),
        }
    }

    /// Returns a title of its most surprising alerts. Untrusted.
    #[must_use]
    pub fn title(&self) -> String {
        if self.news.blackout {
            let machines = self.news.incident.devices.len() as u64 + u64::from(self.news.hidden);
            return format!("monitoring is down, or the way to it: {machines} machines are silent");
        }
        let titles = &self.news.incident.titles;
        let first = titles.first().map_or("usual alerts", String::as_str);
        match titles.len().saturating_sub(1) {
            0 => first.to_owned(),
            more => format!("{first} and {more} more"),
        }
    }

    /// Shortens it to what people look at first, so that it stays far below 64 KiB.
    #[must_use]
    pub fn brief(mut self) -> Self {
        const MOST: usize = 20;
        let news = &mut self.news;
        news.suspects.truncate(MOST);
        for suspect in &mut news.suspects {
            suspect.kbs.truncate(MOST);
        }
        let incident = &mut news.incident;
        incident.titles.truncate(MOST / 2);
        for title in &mut incident.titles {
            *title = clean(title, 200).0;
        }
        incident.devices.truncate(2 * MOST);
        incident.links.truncate(MOST);
        for rank in [&mut incident.priority, &mut news.rank_so_far] {
            for priority in rank.iter_mut() {
                priority.reasons.truncate(MOST / 2);
                for reason in &mut priority.reasons {
                    reason.text = clean(&reason.text, 400).0;
                }
            }
        }
        self
    }

    /// Returns its rank, or what that would be now.
    #[must_use]
    pub fn priority(&self) -> Option<&Priority> {
        let ranked = self.news.incident.priority.as_ref();
        ranked.or(self.news.rank_so_far.as_ref())
    }

    /// Returns points by which incidents are ordered.
    #[must_use]
    pub fn points(&self) -> u32 {
        self.priority().map_or(0, |rank| rank.points)
    }

    /// Returns the worst of its alerts.
    #[must_use]
    pub fn severity(&self) -> AlertSeverity {
        self.news.severity
    }
}

/// What a person wants done with incidents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "order")]
pub enum OrderKind {
    /// Make one of two.
    Merge {
        /// This one goes.
        from: IncidentKey,
        /// This one stays.
        into: IncidentKey,
    },
    /// Take machines out into an incident of their own.
    Split {
        /// Out of this one.
        incident: IncidentKey,
        /// Device ids or host names.
        machines: Vec<String>,
    },
    /// End it.
    Close {
        /// This one.
        incident: IncidentKey,
    },
}

impl OrderKind {
    /// Returns the word of it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Merge { .. } => "merge",
            Self::Split { .. } => "split",
            Self::Close { .. } => "close",
        }
    }

    /// Lists the incidents it is about.
    #[must_use]
    pub fn incidents(&self) -> Vec<&IncidentKey> {
        match self {
            Self::Merge { from, into } => vec![from, into],
            Self::Split { incident, .. } | Self::Close { incident } => vec![incident],
        }
    }
}

/// An order of a person about incidents of a client, carried out by its triage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Names it; the same order twice is carried out once.
    pub id: String,
    /// What to do.
    #[serde(flatten)]
    pub kind: OrderKind,
    /// Who wants it.
    pub by: PersonId,
    /// Why.
    pub reason: String,
    /// When it was given.
    pub at: Timestamp,
    /// What came of it; none while it waits.
    #[serde(default)]
    pub answer: Option<OrderAnswer>,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum OrderAnswer {
    /// It was done.
    Done {
        /// The incident that came of it: the one that stays, or the new one.
        #[serde(default)]
        incident: Option<IncidentKey>,
    },
    /// It could not be done.
    Refused {
        /// Why.
        why: String,
    },
}
