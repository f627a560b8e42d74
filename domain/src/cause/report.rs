//! What is written down about the cause of an incident: suspects, the evidence they rest on, and what a
//! model said about it. Every reason names a piece of evidence that is in the same report.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Because, Measured};
use crate::{
    advice::IncidentAdvice,
    alert::{AlertId, AlertSeverity},
    campaign::Degraded,
    ids::{DeviceId, KbId, PlanId},
    software::Program,
};

/// A machine that may be the cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspectMachine {
    /// Device id or host name.
    pub machine: String,
    /// Its share of all suspicion.
    pub share_permille: u16,
    /// Why; never empty.
    pub because: Vec<Because>,
}

/// A patch wave that has reached a machine of the incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// The plan.
    pub plan: PlanId,
    /// Index of the ring.
    pub ring: u32,
    /// What was installed, the first of it.
    pub kbs: Vec<KbId>,
    /// The device.
    pub device: DeviceId,
    /// Whether what it had announced did not clear in time.
    pub left_over: bool,
    /// When it reached the device.
    pub since: Timestamp,
}

/// How busy a device is, as the RMM says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Processor.
    pub cpu_permille: Option<u16>,
    /// Memory.
    pub memory_permille: Option<u16>,
    /// The fullest disk.
    pub disk_permille: Option<u16>,
}

/// Script runs on a device, as the RMM lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptRuns {
    /// Runs within the day before.
    pub runs: u32,
    /// Those of them that failed.
    pub failed: u32,
    /// The newest.
    pub newest: Option<Timestamp>,
    /// When they ran, the newest first, at most [`Self::TIMES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<Timestamp>,
}

impl ScriptRuns {
    /// Times that are kept.
    pub const TIMES: usize = 20;
}

/// What a piece of evidence is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fact {
    /// The first alert of a machine.
    Alert {
        /// Its name.
        alert: AlertId,
        /// Device id or host name.
        machine: String,
        /// What it says, shortened. Untrusted.
        title: String,
        /// How bad it is.
        severity: AlertSeverity,
        /// When it was raised.
        at: Timestamp,
    },
    /// A recent change.
    Wave(Wave),
    /// How busy a device was when it was asked.
    Figures {
        /// The device.
        device: DeviceId,
        /// When it was asked.
        at: Timestamp,
        /// The figures.
        #[serde(flatten)]
        figures: Figures,
    },
    /// What ran on a device.
    Scripts {
        /// The device.
        device: DeviceId,
        /// When it was asked.
        at: Timestamp,
        /// The runs.
        #[serde(flatten)]
        runs: ScriptRuns,
    },
    /// What is measured on a device, around the time of the first alert.
    Metrics {
        /// The device.
        device: DeviceId,
        /// When it was asked.
        at: Timestamp,
        /// What was measured.
        measured: Vec<Measured>,
    },
    /// Installed programs that alerts of a device speak of.
    Software {
        /// The device.
        device: DeviceId,
        /// When its list was read.
        at: Timestamp,
        /// Programs on the list.
        listed: u64,
        /// Those that alerts speak of.
        programs: Vec<Program>,
    },
    /// An incident of the past that looked alike.
    Past(Past),
}

impl Fact {
    /// Names the machine it is about, if it is about one.
    #[must_use]
    pub fn machine(&self) -> Option<&str> {
        match self {
            Self::Alert { machine, .. } => Some(machine),
            Self::Wave(wave) => Some(wave.device.as_str()),
            Self::Figures { device, .. }
            | Self::Scripts { device, .. }
            | Self::Metrics { device, .. }
            | Self::Software { device, .. } => Some(device.as_str()),
            Self::Past(_) => None,
        }
    }
}

/// An incident of the past that looked alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Its name.
    pub incident: String,
    /// How alike, in the space that the report names ([`Compared`]).
    pub likeness_permille: u16,
    /// What it was, as a template.
    pub title: String,
    /// What was behind it, if that was found.
    pub cause: Option<String>,
    /// How it ended.
    pub what_worked: Option<String>,
    /// When it was over.
    pub closed_at: Timestamp,
}

/// Why incidents were compared by rule although there is an embedding model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByRule {
    /// Vectors of the model are still being made for what is remembered.
    NotReady,
    /// Nothing that its alerts say may be sent out.
    NoWords,
    /// The budget is used up, or the service is.
    NoBudget,
    /// The model did not answer, or not in a usable way.
    Unavailable,
}

impl ByRule {
    /// Returns the words for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotReady => "vectors of the embedding model are still being made",
            Self::NoWords => "its alerts hold no known words",
            Self::NoBudget => "the budget of the embedding model is used up",
            Self::Unavailable => "the embedding model did not answer",
        }
    }
}

/// How incidents of the past were compared with this one: always in one space.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compared {
    /// The embedding model whose vectors were compared; none: those of the rule.
    pub model: Option<String>,
    /// Why it was the rule, when there is a model.
    pub by_rule: Option<ByRule>,
    /// Tokens spent.
    pub tokens: u64,
}

/// A piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Names it in this report, such as `alert_1`.
    pub id: String,
    /// What it is.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What a model said, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrative {
    /// Plain text, capped; still untrusted.
    pub text: String,
    /// The machine it points to; one of the suspects.
    pub machine: Option<String>,
    /// Whether it says that the evidence names no cause.
    pub abstain: bool,
    /// Evidence it relies on; each is in the report.
    pub evidence: Vec<String>,
    /// The model.
    pub model: Option<String>,
}

/// What came of asking a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// What it said.
    pub narrative: Option<Narrative>,
    /// Why it said nothing: then the reasons of the rule stand alone.
    pub degraded: Option<Degraded>,
    /// Tokens spent.
    pub tokens: u64,
    /// What it named that does not exist, shortened.
    pub dropped: Vec<String>,
}

/// What is known of the cause of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseReport {
    /// The version of the incident it is about.
    pub version: u32,
    /// When it was looked for.
    pub at: Timestamp,
    /// How likely the first suspect is the cause.
    pub confidence_permille: u16,
    /// Whether the evidence is too weak to name one.
    pub abstain: bool,
    /// The most suspect first.
    pub suspects: Vec<SuspectMachine>,
    /// What it rests on.
    pub evidence: Vec<Piece>,
    /// Whether incidents of the past could be looked at.
    pub memory_asked: bool,
    /// How they were compared; none in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// Whether suspect devices may be measured: Prometheus is set up for this client.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub measurable: bool,
    /// What a model added; none before it was asked.
    #[serde(default)]
    pub told: Option<Told>,
    /// What is advised on what belongs together; none before anything was near the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<IncidentAdvice>,
}

impl CauseReport {
    /// Reads one that was stored with an incident; none when there is none, or one of another form.
    #[must_use]
    pub fn of(stored: Option<&serde_json::Value>) -> Option<Self> {
        serde_json::from_value(stored?.clone()).ok()
    }

    /// Lists the machines it speaks of, suspects first.
    #[must_use]
    pub fn machines(&self) -> Vec<&str> {
        let suspects = self.suspects.iter().map(|one| one.machine.as_str());
        let others = self
            .evidence
            .iter()
            .filter_map(|piece| piece.fact.machine());
        let mut machines: Vec<&str> = Vec::new();
        for machine in suspects.chain(others) {
            if !machines.contains(&machine) {
                machines.push(machine);
            }
        }
        machines
    }

    /// Lists incidents of the past that looked alike.
    pub fn past(&self) -> impl Iterator<Item = &Past> {
        self.evidence.iter().filter_map(|piece| match &piece.fact {
            Fact::Past(past) => Some(past),
            _ => None,
        })
    }

    /// Returns when the first alert was raised.
    #[must_use]
    pub fn begun(&self) -> Option<Timestamp> {
        let raised = self.evidence.iter().filter_map(|piece| match &piece.fact {
            Fact::Alert { at, .. } => Some(*at),
            _ => None,
        });
        raised.min()
    }

    /// Adds what is measured on a device. What is unusual becomes a reason when it is a suspect.
    pub fn add_measured(&mut self, device: &DeviceId, at: Timestamp, measured: Vec<Measured>) {
        if measured.is_empty() {
            return;
        }
        let unusual = measured.iter().filter(|one| one.is_unusual());
        let reasons: Vec<String> = unusual.map(Measured::words).collect();
        let fact = Fact::Metrics {
            device: device.clone(),
            at,
            measured,
        };
        let Some(evidence) = self.add("metrics", fact) else {
            return;
        };
        let mut suspects = self.suspects.iter_mut();
        if let Some(suspect) = suspects.find(|one| one.machine == device.as_str()) {
            suspect
                .because
                .extend(reasons.into_iter().map(|text| Because {
                    evidence: evidence.clone(),
                    text,
                }));
        }
    }

    /// Adds evidence and returns its name; what is there of the same kind and device stays.
    pub fn add(&mut self, name: &str, fact: Fact) -> Option<String> {
        let same = |piece: &Piece| {
            std::mem::discriminant(&piece.fact) == std::mem::discriminant(&fact)
                && piece.fact.machine() == fact.machine()
        };
        if self.evidence.iter().any(same) {
            return None;
        }
        let named = self.evidence.iter().filter(|piece| {
            let number = piece.id.strip_prefix(name);
            number.is_some_and(|rest| rest.starts_with('_'))
        });
        let id = format!("{name}_{}", named.count() + 1);
        self.evidence.push(Piece {
            id: id.clone(),
            fact,
        });
        Some(id)
    }

    /// Says in one line what is behind it; none while it abstains.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let first = self.suspects.first().filter(|_| !self.abstain)?;
        let because = first.because.iter().map(|one| one.text.as_str());
        let because = because.collect::<Vec<_>>().join("; ");
        Some(format!("{}: {because}", first.machine))
    }
}
