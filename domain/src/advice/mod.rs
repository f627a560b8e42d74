//! Advice on what belongs together: two incidents that are one, or machines that are no part of one.
//!
//! A rule finds what nearly joined and what hardly did, by the parts that alerts join by
//! ([`crate::incident::Link`]). A model may say what it makes of that. Advice never acts: people merge and split.

mod near_misses;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    campaign::Degraded,
    canonical,
    incident::{ENOUGH, Link},
    triage::IncidentKey,
};

pub use self::near_misses::{Known, NEAR, near_misses};

/// So far from the limit of joining, in per mille, people or a model are asked.
pub const MARGIN: u16 = 150;

/// What may be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "proposal")]
pub enum Proposal {
    /// This incident is one with an older one.
    Merge {
        /// The older one, which stays.
        into: IncidentKey,
    },
    /// These machines are no part of it.
    Split {
        /// Device ids or host names.
        machines: Vec<String>,
    },
}

impl Proposal {
    /// Returns the command by which a person does it; none when a machine has a name that a command line
    /// could read as something else. `why` is a text of ours.
    #[must_use]
    pub fn command(&self, incident: &IncidentKey, why: &str) -> Option<String> {
        let plain = |text: &str, more: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if !plain(&incident.to_string(), "_-") {
            return None;
        }
        let what = match self {
            Self::Merge { into } => format!("merge {incident} --into {into}"),
            Self::Split { machines } => {
                if !machines.iter().all(|machine| plain(machine, "._:-")) {
                    return None;
                }
                format!("split {incident} --machine {}", machines.join(","))
            }
        };
        let why = Some(why).filter(|why| plain(why, " ,.%"));
        Some(format!(
            "autoops incidents {what} --by NAME --reason '{}'",
            why.unwrap_or("as advised")
        ))
    }
}

/// Something that is near the limit of joining.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Names it in this advice, such as `merge_1`.
    pub id: String,
    /// What may be done.
    #[serde(flatten)]
    pub proposal: Proposal,
    /// The parts of the rule.
    pub link: Link,
    /// How far apart both began, in seconds.
    pub apart_secs: u64,
}

impl Candidate {
    /// Says what the rule sees, in words of ours.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = self.link.in_common();
        if words.is_empty() {
            words.push("nothing in common but the time");
        }
        let apart = match self.apart_secs {
            secs @ 0..120 => format!("{secs} s apart"),
            secs => format!("{} min apart", secs / 60),
        };
        format!("{}, {apart}", words.join(", "))
    }

    /// Lists the parts: the id of each as evidence, its value.
    #[must_use]
    pub fn parts(&self) -> [(String, u16); 4] {
        let number = self.id.rsplit_once('_').map_or("0", |(_, number)| number);
        [
            ("time", self.link.time),
            ("network", self.link.topology),
            ("words", self.link.text),
            ("change", self.link.change),
        ]
        .map(|(part, value)| (format!("{part}_{number}"), value))
    }
}

/// What an alert says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Names it in this advice, such as `alert_1`.
    pub id: String,
    /// The incident it is in.
    pub incident: IncidentKey,
    /// The machine, where it is looked at by machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Its title, shortened. Untrusted.
    pub title: String,
}

/// What a model makes of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It should be done.
    Advise,
    /// It should not.
    Against,
    /// The evidence does not tell.
    Abstain,
}

impl Verdict {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Advise, Self::Against, Self::Abstain];

    /// Returns the word of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Advise => "advise",
            Self::Against => "against",
            Self::Abstain => "abstain",
        }
    }
}

/// What a model said of a candidate, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// The candidate; it is in the same advice.
    pub candidate: String,
    /// What should be done.
    pub verdict: Verdict,
    /// Why: plain text, capped; still untrusted.
    pub reason: String,
    /// What that rests on; each is in the same advice.
    pub evidence: Vec<String>,
}

/// What is nearly joined or hardly so, and what a model makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentAdvice {
    /// 1, 2, 3 … with each set of candidates.
    pub round: u32,
    /// When.
    pub at: Timestamp,
    /// Hash of the set of candidates: the same one is not asked about again.
    pub asked: String,
    /// What the rule found, in its order; empty when nothing is near the limit any more.
    pub candidates: Vec<Candidate>,
    /// What alerts say, as far as it was looked at.
    pub alerts: Vec<Said>,
    /// What the model said; candidates it says nothing of are those it abstains from.
    pub opinions: Vec<Opinion>,
    /// The model.
    pub model: Option<String>,
    /// Why no model said anything: then what the rule found is told.
    pub degraded: Option<Degraded>,
    /// Tokens spent.
    pub tokens: u64,
    /// What the model named that does not exist, shortened.
    pub dropped: Vec<String>,
}

impl IncidentAdvice {
    /// Returns the hash of a set of candidates.
    ///
    /// # Errors
    /// Never for what they can hold.
    pub fn hash_of(candidates: &[Candidate]) -> Result<String, serde_json::Error> {
        let proposals: Vec<&Proposal> = candidates.iter().map(|one| &one.proposal).collect();
        canonical::content_hash(&proposals)
    }

    /// Returns what the model said of a candidate.
    #[must_use]
    pub fn opinion(&self, candidate: &Candidate) -> Option<&Opinion> {
        let mut opinions = self.opinions.iter();
        opinions.find(|one| one.candidate == candidate.id)
    }
}

/// From this score on, incidents nearly joined.
const NEARLY: u16 = ENOUGH - MARGIN;
/// Below this score, machines hardly did.
const HARDLY: u16 = ENOUGH + MARGIN;
