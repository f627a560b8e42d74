//! Answering an incident: its cause, what devices say, and what is remembered of it.

use std::convert::Infallible;

use domain::{
    campaign::Degraded,
    cause::{CauseReport, Figures, Measured, ScriptRuns},
    ids::DeviceId,
    triage::IncidentKey,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// Asks for the cause of an incident by rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainInput {
    /// The incident.
    pub incident: IncidentKey,
}

/// Names a suspect device that is asked for evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookInput {
    /// The device.
    pub device: DeviceId,
}

/// How busy a device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiguresResult {
    /// When it was asked.
    pub at: Timestamp,
    /// The figures.
    pub figures: Figures,
}

/// What ran on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptRunsResult {
    /// When it was asked.
    pub at: Timestamp,
    /// The runs.
    pub runs: ScriptRuns,
}

/// Names a suspect device of an incident that is to be measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureInput {
    /// The incident.
    pub incident: IncidentKey,
    /// The device.
    pub device: DeviceId,
}

/// What is measured on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsResult {
    /// When it was asked.
    pub at: Timestamp,
    /// What was found; nothing when the device is not measured.
    pub measured: Vec<Measured>,
}

/// What a suspect device said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// The device.
    pub device: DeviceId,
    /// How busy it is; none when it could not be asked.
    #[serde(default)]
    pub figures: Option<FiguresResult>,
    /// What ran on it; none when it could not be asked.
    #[serde(default)]
    pub scripts: Option<ScriptRunsResult>,
    /// What is measured on it; none when it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsResult>,
}

/// Asks a model what it makes of the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NarrateInput {
    /// The incident.
    pub incident: IncidentKey,
    /// The version whose cause was looked for.
    pub version: u32,
    /// What devices said.
    #[serde(default)]
    pub looked: Vec<Looked>,
    /// Why the model is not asked.
    #[serde(default)]
    pub unasked: Option<Degraded>,
}

/// Asks for advice on what belongs together: this incident and others, and its machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdviseInput {
    /// The incident.
    pub incident: IncidentKey,
    /// Why the model is not asked.
    #[serde(default)]
    pub unasked: Option<Degraded>,
}

/// Names an incident that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberInput {
    /// The incident.
    pub incident: IncidentKey,
}

/// What became of remembering an incident.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RememberResult {
    /// Whether it is remembered.
    pub kept: bool,
    /// Why not.
    pub why: Option<String>,
    /// Tokens that an embedding model took for it.
    pub tokens: u64,
}

/// Causes of incidents.
#[derive(Debug)]
pub struct IncidentActivities;

#[activity_definitions]
impl IncidentActivities {
    /// Looks for the cause of an incident by rule, and writes it down.
    #[activity(name = "incidents.explain")]
    pub fn explain(_: ExplainInput) -> Result<CauseReport, Infallible> {
        unimplemented!()
    }

    /// Adds what devices said, asks a model what it makes of it, and writes it down.
    #[activity(name = "incidents.narrate")]
    pub fn narrate(_: NarrateInput) -> Result<CauseReport, Infallible> {
        unimplemented!()
    }

    /// Looks for what nearly joined the incident or hardly did, asks a model what it makes of it when that has
    /// changed, and writes it down.
    #[activity(name = "incidents.advise")]
    pub fn advise(_: AdviseInput) -> Result<CauseReport, Infallible> {
        unimplemented!()
    }

    /// Remembers an incident that is over, for those that look alike.
    #[activity(name = "incidents.remember")]
    pub fn remember(_: RememberInput) -> Result<RememberResult, Infallible> {
        unimplemented!()
    }

    /// Asks what is measured on a suspect device; one request for each query of the configuration.
    #[activity(name = "incidents.read_metrics")]
    pub fn read_metrics(_: MeasureInput) -> Result<MetricsResult, Infallible> {
        unimplemented!()
    }

    /// Asks how busy a device is; one request.
    #[activity(name = "superops.read_figures")]
    pub fn read_figures(_: LookInput) -> Result<FiguresResult, Infallible> {
        unimplemented!()
    }

    /// Asks which scripts ran on a device; one request.
    #[activity(name = "superops.read_script_runs")]
    pub fn read_script_runs(_: LookInput) -> Result<ScriptRunsResult, Infallible> {
        unimplemented!()
    }
}

pub use incident_activities::{
    Advise, Explain, Narrate, ReadFigures, ReadMetrics, ReadScriptRuns, Remember,
};
