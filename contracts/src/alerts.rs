//! Workflows `AlertIngest`, `AlertProcessing` and `IncidentResponse`.

use std::collections::BTreeMap;

use domain::{
    cause::CauseReport,
    ids::{ClientId, KbId, PlanId},
    input::{InvalidInput, Problem},
    triage::{Closing, IncidentKey, IncidentRecord},
    unwritten::Unwritten,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Input of a reading of alerts; all may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertIngestInput {
    /// How far before the newest known alert is read again, in seconds: lists of the RMM may show an alert late.
    pub overlap_secs: u64,
    /// How often everything that is open is walked over, in seconds: only this shows what has cleared.
    pub walk_secs: u64,
    /// Pages that are read at most in one go; the next reading goes on.
    pub most_pages: u32,
    /// An alert of another tool that says when alerts are over is taken as over when it was not heard of for so
    /// long, in seconds: its word was lost.
    pub unheard_secs: u64,
    /// An alert of a tool that never says so is of the moment: it is over when it was not heard of for so long,
    /// in seconds.
    pub moment_secs: u64,
    /// How the triage of clients with news is done.
    pub processing: ProcessingWaits,
}

impl Default for AlertIngestInput {
    fn default() -> Self {
        Self {
            overlap_secs: 600,
            walk_secs: 600,
            most_pages: 20,
            unheard_secs: 86_400,
            moment_secs: 60,
            processing: ProcessingWaits::default(),
        }
    }
}

impl AlertIngestInput {
    /// Says what cannot be used.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.processing.problems("processing.");
        if !(1..=500).contains(&self.most_pages) {
            problems.push(Problem::new("most_pages", self.most_pages, "1 to 500"));
        }
        let week = 7 * 86_400;
        for (field, value, least, allowed) in [
            ("overlap_secs", self.overlap_secs, 0, "at most a week"),
            ("walk_secs", self.walk_secs, 0, "at most a week"),
            ("unheard_secs", self.unheard_secs, 1, "1 second to a week"),
            ("moment_secs", self.moment_secs, 1, "1 second to a week"),
        ] {
            if !(least..=week).contains(&value) {
                problems.push(Problem::new(field, value, allowed));
            }
        }
        problems
    }
}

/// What a reading of alerts came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertIngestResult {
    /// Pages that were read.
    pub pages: u32,
    /// Alerts on them.
    pub alerts: u64,
    /// Alerts that were not known.
    pub new: u64,
    /// Alerts of which something changed.
    pub changed: u64,
    /// Alerts that are taken as over because walks did not find them.
    pub cleared: u64,
    /// Alerts of other tools that are taken as over because they were not heard of.
    pub unheard: u64,
    /// Whether everything open was walked over.
    pub walked: bool,
    /// Clients whose triage has something to do.
    pub clients: u64,
    /// Why it ended early, if it did.
    pub failed: Option<String>,
}

/// Times of triage, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessingWaits {
    /// News wait so long, so that alerts that are read page by page come in order.
    pub lag_secs: u64,
    /// News of one turn, at most.
    pub news: u32,
    /// A new run begins after so many events.
    pub continue_after_events: u32,
    /// Times of the workflow that answers an incident.
    pub response: ResponseWaits,
}

impl Default for ProcessingWaits {
    fn default() -> Self {
        Self {
            lag_secs: 10,
            // Each turn reads and writes all that is active of a client: in a burst few large ones are quicker.
            news: 4_000,
            continue_after_events: 4_000,
            response: ResponseWaits::default(),
        }
    }
}

impl ProcessingWaits {
    /// Says what cannot be used; `at` begins the names of fields.
    #[must_use]
    pub fn problems(&self, at: &str) -> Vec<Problem> {
        let mut problems = self.response.problems(&format!("{at}response."));
        let figures = [
            ("lag_secs", self.lag_secs, 0, 600),
            ("news", self.news.into(), 1, 5_000),
            (
                "continue_after_events",
                self.continue_after_events.into(),
                50,
                10_000,
            ),
        ];
        for (field, value, least, most) in figures {
            if !(least..=most).contains(&value) {
                problems.push(Problem::new(
                    format!("{at}{field}"),
                    value,
                    format!("{least} to {most}"),
                ));
            }
        }
        problems
    }
}

/// Times of the answer to an incident, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseWaits {
    /// Before the cause is looked for: the first alerts of an incident come together.
    pub settle_secs: u64,
    /// Between two looks for the cause, when there is news.
    pub again_secs: u64,
    /// How often an open incident without news is looked at.
    pub look_secs: u64,
    /// Devices that are asked for evidence, at most.
    pub suspects: u32,
    /// A new run begins after so many events.
    pub continue_after_events: u32,
}

impl Default for ResponseWaits {
    fn default() -> Self {
        Self {
            settle_secs: 30,
            again_secs: 600,
            look_secs: 3_600,
            suspects: 3,
            continue_after_events: 2_000,
        }
    }
}

impl ResponseWaits {
    /// Says what cannot be used; `at` begins the names of fields.
    #[must_use]
    pub fn problems(&self, at: &str) -> Vec<Problem> {
        let week = 7 * 86_400;
        let figures = [
            ("settle_secs", self.settle_secs, 0, week),
            ("again_secs", self.again_secs, 1, week),
            ("look_secs", self.look_secs, 1, week),
            ("suspects", self.suspects.into(), 0, 10),
            (
                "continue_after_events",
                self.continue_after_events.into(),
                50,
                10_000,
            ),
        ];
        let wrong = figures
            .into_iter()
            .filter(|(_, value, least, most)| !(least..=most).contains(&value));
        wrong
            .map(|(field, value, least, most)| {
                Problem::new(format!("{at}{field}"), value, format!("{least} to {most}"))
            })
            .collect()
    }
}

/// Input of the triage of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertProcessingInput {
    /// Client.
    pub client: ClientId,
    /// Times.
    #[serde(default)]
    pub waits: ProcessingWaits,
    /// What the runs before did; only the workflow itself may set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry: Option<AlertProcessingResult>,
}

impl AlertProcessingInput {
    /// Says what cannot be used.
    ///
    /// # Errors
    /// Names each field.
    pub fn check(&self) -> Result<(), InvalidInput> {
        InvalidInput::when(self.waits.problems("waits."))
    }
}

/// What the triage of a client did until there was nothing left to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertProcessingResult {
    /// Turns.
    pub turns: u64,
    /// News of alerts.
    pub news: u64,
    /// Orders of people.
    pub orders: u64,
    /// Incidents that were delivered, each time.
    pub delivered: u64,
}

/// Signal `news` of `AlertProcessing`: there is something to do. Of `IncidentResponse`: the incident has
/// changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewsInput {
    /// The version of the incident.
    pub version: u32,
}

/// Input of the answer to an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentResponseInput {
    /// The incident.
    pub incident: IncidentKey,
    /// Times.
    #[serde(default)]
    pub waits: ResponseWaits,
    /// State of the run before; only the workflow itself may set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry: Option<ResponseCarry>,
}

/// What a run hands to the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseCarry {
    /// The newest version it knows of.
    pub version: u32,
    /// What it has looked into.
    pub looked_into: Option<LookedInto>,
    /// When it asked last what belongs together.
    pub advised_at: Option<Timestamp>,
    /// Plans that it has told to halt.
    pub halts: Vec<HaltAsked>,
    /// The first moments are over.
    pub settled: bool,
    /// What could finally not be written down.
    pub unwritten: Unwritten,
}

/// What the answer to an incident has looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedInto {
    /// The version.
    pub version: u32,
    /// When.
    pub at: Timestamp,
    /// Hash of what the cause rests on: machines, titles, suspects.
    pub facts: String,
}

/// A deployment that was told to halt because of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltAsked {
    /// The plan.
    pub plan: PlanId,
    /// The update that is suspected.
    pub kb: Option<KbId>,
    /// Why, for people.
    pub reason: String,
    /// Whether it was reached; false when it is over.
    pub reached: bool,
}

/// How the answer to an incident ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum IncidentResponseResult {
    /// It is over.
    Closed {
        /// Why.
        #[serde(flatten)]
        closing: Closing,
    },
    /// Another one has taken it in.
    MergedInto {
        /// That one.
        incident: IncidentKey,
    },
    /// People ended the workflow; the incident stays as it is, and news of it start another one.
    Cancelled,
}

/// Answer of query `status` of `IncidentResponse`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IncidentResponseStatus {
    /// What it does, in a word.
    pub stage: String,
    /// The incident as it was read last, shortened.
    pub incident: Option<IncidentRecord>,
    /// What is behind it.
    #[serde(default)]
    pub cause: Option<CauseReport>,
    /// Deployments that were told to halt.
    #[serde(default)]
    pub halts: Vec<HaltAsked>,
    /// What could not be done, by step.
    #[serde(default)]
    pub problems: BTreeMap<String, String>,
}

impl IncidentResponseInput {
    /// Says what cannot be used.
    ///
    /// # Errors
    /// Names each field.
    pub fn check(&self) -> Result<(), InvalidInput> {
        InvalidInput::when(self.waits.problems("waits."))
    }
}
