//! Plans: from a request to a sealed plan by reference, and its devices page by page.

use std::convert::Infallible;

use domain::{
    evidence::StoredEvidence,
    guardrail::GuardrailDecision,
    ids::{ClientId, DeviceId, KbId, PlanId},
    outcome::DeviceOutcome,
    plan::PlanRequest,
    risk::DeviceSummary,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::{
    activities::policy::Figures,
    deployment::{Cursor, PlanRef, RingRef},
};

/// Asks whether a request makes sense in itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckInput {
    /// The request.
    pub request: PlanRequest,
    /// Start of the deployment that asks for the first time: its plan id must be new to the store.
    /// Absent for a change of its plan.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
}

/// Asks which devices a request means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveInput {
    /// Plan.
    pub plan: PlanId,
    /// The request.
    pub request: PlanRequest,
    /// Devices left out by amendments.
    #[serde(default)]
    pub removed: Vec<DeviceId>,
}

/// What a request means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveResult {
    /// Devices, counted.
    pub devices: DeviceSummary,
    /// Rings as they would be.
    pub rings: Vec<RingRef>,
    /// Devices whose patch lists tell the details of the patches, spread over the plan.
    pub probes: Vec<DeviceId>,
    /// Devices that evidence is taken of first.
    #[serde(default)]
    pub evidence_first: u32,
    /// Probes are all devices of the plan: a KB that none of them lists is unknown.
    pub probes_are_all: bool,
}

/// Asks to seal a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealInput {
    /// Plan.
    pub plan: PlanId,
    /// Revision to write, from 1.
    pub revision: u32,
    /// The request with amendments applied.
    pub request: PlanRequest,
    /// Devices left out by amendments.
    #[serde(default)]
    pub removed: Vec<DeviceId>,
    /// Figures guardrails are asked with.
    pub figures: Figures,
}

/// A sealed plan and what guardrails said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealResult {
    /// Reference; rings are empty when guardrails forbid it.
    pub plan: PlanRef,
    /// The decision; its list of forbidden devices is cut to 50.
    pub decision: GuardrailDecision,
    /// Devices taken out in all.
    pub forbidden_count: u32,
    /// How it differs from the revision before.
    pub difference: Vec<String>,
}

/// Names a page of a ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadPageInput {
    /// Plan.
    pub plan: PlanId,
    /// Revision.
    pub revision: u32,
    /// Ring index.
    pub ring: u32,
    /// Page, from 0.
    pub page: u32,
    /// The plan has devices that evidence is taken of first: they are looked up.
    #[serde(default)]
    pub evidence: bool,
}

/// A page of a ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadPageResult {
    /// Devices in order.
    pub devices: Vec<PageDevice>,
}

/// A device of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageDevice {
    /// Device.
    pub id: DeviceId,
    /// How it ended under an earlier revision, if it did; it is not touched again.
    #[serde(default)]
    pub settled: Option<DeviceOutcome>,
    /// Attempts made under earlier revisions that came to nothing.
    #[serde(default)]
    pub attempts: u32,
    /// KBs these attempts have put on the device all the same.
    #[serde(default)]
    pub installed: Vec<KbId>,
    /// Evidence is taken of it first.
    #[serde(default)]
    pub evidence_first: bool,
    /// Evidence that these attempts have taken.
    #[serde(default)]
    pub evidence: Option<StoredEvidence>,
}

/// Asks for stragglers that can be tried now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StragglersInput {
    /// Plan.
    pub plan: PlanId,
    /// Revision.
    pub revision: u32,
    /// At most so many.
    pub limit: u32,
    /// Only devices in front of this position of the revision: the others' turn is still to come.
    pub before: Cursor,
}

/// Stragglers that can be tried now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StragglersResult {
    /// Online now, with an open window.
    pub ready: Vec<Straggler>,
    /// Waiting in all, the ready ones included.
    pub waiting: u32,
}

/// A straggler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Straggler {
    /// Device.
    pub device: DeviceId,
    /// Its ring.
    pub ring: u32,
    /// Attempts so far.
    pub attempts: u32,
    /// How the last attempt ended.
    pub outcome: DeviceOutcome,
    /// KBs this plan has put on the device, and nobody else.
    #[serde(default)]
    pub installed: Vec<KbId>,
    /// Evidence is taken of it first.
    #[serde(default)]
    pub evidence_first: bool,
    /// Evidence that earlier attempts have taken.
    #[serde(default)]
    pub evidence: Option<StoredEvidence>,
}

/// Names a plan, for steps that work through it page by page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanPageInput {
    /// Plan.
    pub plan: PlanId,
    /// Where the page before ended.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// What giving up stragglers came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveUpResult {
    /// Devices that are now unreached.
    pub given_up: u32,
    /// Where to go on; absent when done.
    pub cursor: Option<String>,
}

/// Devices this plan patched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledResult {
    /// Devices.
    pub devices: Vec<Straggler>,
    /// Where to go on; absent when done.
    pub cursor: Option<String>,
}

/// Asks what became of device runs that have been silent for long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckChildrenInput {
    /// Plan.
    pub plan: PlanId,
    /// Client: a letter about a lost run must not depend on what else is in the store.
    pub client: ClientId,
    /// Patches of the plan.
    pub kbs: Vec<KbId>,
    /// Runs: workflow id, device, ring, attempt.
    pub runs: Vec<ChildRun>,
}

/// A device run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildRun {
    /// Workflow id.
    pub workflow_id: String,
    /// Device.
    pub device: DeviceId,
    /// Ring index.
    pub ring: u32,
    /// Attempt.
    pub attempt: u32,
}

/// Runs that are over although nobody told us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckChildrenResult {
    /// Device, attempt and how it ended; a run that ended without a result needs a human.
    pub ended: Vec<EndedChild>,
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedChild {
    /// Device.
    pub device: DeviceId,
    /// Attempt.
    pub attempt: u32,
    /// How it ended.
    pub outcome: DeviceOutcome,
}

/// Asks how two revisions of a plan differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceInput {
    /// Plan.
    pub plan: PlanId,
    /// Hash the person meant.
    pub meant: String,
    /// Hash that is asked about now.
    pub current: String,
}

/// How they differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceResult {
    /// In words; says so when the meant hash was never a plan of this deployment.
    pub difference: Vec<String>,
}

/// Plans.
#[derive(Debug)]
pub struct PlanActivities;

#[activity_definitions]
impl PlanActivities {
    /// Checks the structure of a request; findings are invalid input. An activity, because windows
    /// are computed with the time zone database.
    #[activity(name = "plans.check")]
    pub fn check(_: CheckInput) -> Result<(), Infallible> {
        unimplemented!()
    }

    /// Finds the devices of a request in the inventory. Unknown devices, unmatched tags and rings
    /// without devices are invalid input.
    #[activity(name = "plans.resolve")]
    pub fn resolve(_: ResolveInput) -> Result<ResolveResult, Infallible> {
        unimplemented!()
    }

    /// Asks guardrails device by device, takes forbidden ones out, writes the exact plan.
    #[activity(name = "plans.seal")]
    pub fn seal(_: SealInput) -> Result<SealResult, Infallible> {
        unimplemented!()
    }

    /// Reads a page of a ring.
    #[activity(name = "plans.load_page")]
    pub fn load_page(_: LoadPageInput) -> Result<LoadPageResult, Infallible> {
        unimplemented!()
    }

    /// Finds stragglers that are online with an open window.
    #[activity(name = "plans.next_stragglers")]
    pub fn next_stragglers(_: StragglersInput) -> Result<StragglersResult, Infallible> {
        unimplemented!()
    }

    /// Writes waiting stragglers down as unreached.
    #[activity(name = "plans.give_up_stragglers")]
    pub fn give_up_stragglers(_: PlanPageInput) -> Result<GiveUpResult, Infallible> {
        unimplemented!()
    }

    /// Lists the devices this plan patched.
    #[activity(name = "plans.list_installed")]
    pub fn list_installed(_: PlanPageInput) -> Result<InstalledResult, Infallible> {
        unimplemented!()
    }

    /// Asks what became of silent device runs.
    #[activity(name = "plans.check_children")]
    pub fn check_children(_: CheckChildrenInput) -> Result<CheckChildrenResult, Infallible> {
        unimplemented!()
    }

    /// Says how two revisions differ.
    #[activity(name = "plans.difference")]
    pub fn difference(_: DifferenceInput) -> Result<DifferenceResult, Infallible> {
        unimplemented!()
    }
}

pub use plan_activities::{
    Check, CheckChildren, Difference, GiveUpStragglers, ListInstalled, LoadPage, NextStragglers,
    Resolve, Seal,
};
