//! Steps of a campaign.

use std::convert::Infallible;

use domain::{
    campaign::{CampaignRules, Degraded, PlanState, PlanTemplate, report::Fates},
    ids::{ClientId, DeviceId, PersonId, PlanId},
    plan::PlanRequest,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::campaign::CampaignLimits;

/// Asks whose lists have to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextListsInput {
    /// Client.
    pub client: ClientId,
    /// Those that were read longer ago than so many seconds.
    pub older_secs: u64,
    /// Where the last page ended.
    #[serde(default)]
    pub after: Option<DeviceId>,
    /// Which lists.
    #[serde(default)]
    pub kind: ListKind,
}

/// A list of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListKind {
    /// Updates.
    #[default]
    Patches,
    /// Programs.
    Software,
}

/// Devices whose lists have to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextListsResult {
    /// Some of a page of devices, perhaps none.
    pub devices: Vec<DeviceId>,
    /// Where to go on; absent at the end.
    pub next: Option<DeviceId>,
}

/// Names a page of a device's patch or software list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadListInput {
    /// Client.
    pub client: ClientId,
    /// Device.
    pub device: DeviceId,
    /// From 1.
    pub page: u32,
}

/// What a page of a patch list said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadListResult {
    /// Missing updates on it.
    pub missing: u32,
    /// Go on with the next page.
    pub has_more: bool,
}

/// What a page of a software list said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSoftwareResult {
    /// Programs on it.
    pub programs: u32,
    /// Rows that could not be read.
    pub flaws: u32,
    /// Go on with the next page.
    pub has_more: bool,
}

/// Asks for plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftInput {
    /// Names the campaign.
    pub campaign: PlanId,
    /// Client.
    pub client: ClientId,
    /// Workflow of the campaign.
    pub workflow_id: String,
    /// Who answers for the plans.
    #[serde(default)]
    pub requested_by: Option<PersonId>,
    /// What goes, and what does not.
    pub rules: CampaignRules,
    /// What plans have in common.
    pub plan: PlanTemplate,
}

/// What was drafted; the plans are in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftResult {
    /// Plans.
    pub plans: u32,
    /// Pairs of device and update in them.
    pub pairs: u64,
    /// Pairs that were left out.
    pub left_out: u64,
    /// Devices whose patch list was never read.
    pub unread: u64,
    /// Products of programs that have vulnerabilities.
    #[serde(default)]
    pub vulnerable_products: u64,
}

/// Asks for a model's advice on the order of the plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrioritiseInput {
    /// The campaign, drafted.
    pub campaign: PlanId,
    /// The model is not asked, for this reason: only that is written down.
    #[serde(default)]
    pub unasked: Option<Degraded>,
}

/// What advice came to; the advice itself is in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrioritiseResult {
    /// Plans that the model was asked about.
    pub asked: u32,
    /// Plans that it has explained.
    pub explained: u32,
    /// Plans that it has moved.
    pub moved: u32,
    /// What it said and nobody could use.
    pub dropped: u32,
    /// Tokens spent, in and out.
    pub tokens: u64,
    /// The order is that of the rule alone.
    pub degraded: bool,
}

/// Asks for the next plan to start: the first in the final order that was not started or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextPlanInput {
    /// The campaign.
    pub campaign: PlanId,
    /// Client.
    pub client: ClientId,
    /// How many were started or refused before.
    pub number: u32,
    /// How many deployments may be open.
    pub limits: CampaignLimits,
}

/// The next plan, or why it is not started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextPlanResult {
    /// Start this one.
    Start(Box<PlanRequest>),
    /// It waits for the next campaign.
    Held(String),
    /// Every plan was started or refused.
    NoneLeft,
}

/// Says what became of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotePlanInput {
    /// The campaign.
    pub campaign: PlanId,
    /// Place of the plan by rule, from 0; counts when `plan` is absent.
    pub number: u32,
    /// The plan.
    #[serde(default)]
    pub plan: Option<PlanId>,
    /// What became of it.
    pub state: PlanState,
}

/// Asks which campaign of a client is the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindNewestInput {
    /// Client.
    pub client: ClientId,
}

/// The newest campaign of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindNewestResult {
    /// The campaign; absent when there is none, or none within 90 days.
    #[serde(default)]
    pub campaign: Option<PlanId>,
}

/// Asks for the report of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportInput {
    /// Client.
    pub client: ClientId,
    /// The campaign; the newest of the client when absent.
    #[serde(default)]
    pub campaign: Option<PlanId>,
    /// When it was asked for: every try counts days by it and names objects after it.
    pub at: Timestamp,
}

/// What came of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportResult {
    /// It is there.
    Written(ReportWritten),
    /// The client has no campaign, or none within 90 days.
    NoCampaign,
}

/// A report that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportWritten {
    /// The campaign.
    pub campaign: PlanId,
    /// Keys of its objects.
    pub keys: ReportKeys,
    /// False when it was there before.
    pub is_new: bool,
    /// Plans.
    pub plans: u64,
    /// Devices of plans, by what became of them.
    pub devices: Fates,
}

/// Keys of the objects of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportKeys {
    /// Sums, plans and updates.
    pub json: String,
    /// A line for each plan and device.
    pub csv: String,
    /// A page for people.
    pub html: String,
    /// A line for each product with vulnerabilities; absent when no software list was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
}

/// Steps of a campaign.
#[derive(Debug)]
pub struct CampaignActivities;

#[activity_definitions]
impl CampaignActivities {
    /// Finds devices whose lists have to be read; asks the store only.
    #[activity(name = "campaign.next_lists")]
    pub fn next_lists(_: NextListsInput) -> Result<NextListsResult, Infallible> {
        unimplemented!()
    }

    /// Ranks what devices miss, and makes plans of it.
    #[activity(name = "campaign.draft")]
    pub fn draft(_: DraftInput) -> Result<DraftResult, Infallible> {
        unimplemented!()
    }

    /// Asks a model to explain the order of the plans and, within bounds, to move some; writes the
    /// final order.
    #[activity(name = "campaign.prioritise")]
    pub fn prioritise(_: PrioritiseInput) -> Result<PrioritiseResult, Infallible> {
        unimplemented!()
    }

    /// Reads the next plan, if there is room for its deployment.
    #[activity(name = "campaign.next_plan")]
    pub fn next_plan(_: NextPlanInput) -> Result<NextPlanResult, Infallible> {
        unimplemented!()
    }

    /// Writes down what became of a plan.
    #[activity(name = "campaign.note_plan")]
    pub fn note_plan(_: NotePlanInput) -> Result<(), Infallible> {
        unimplemented!()
    }

    /// Finds the newest campaign of a client.
    #[activity(name = "campaign.find_newest")]
    pub fn find_newest(_: FindNewestInput) -> Result<FindNewestResult, Infallible> {
        unimplemented!()
    }

    /// Writes what became of a campaign into the storage of objects.
    #[activity(name = "campaign.report")]
    pub fn report(_: ReportInput) -> Result<ReportResult, Infallible> {
        unimplemented!()
    }
}

/// Lists of devices, on the queue of the inventory.
#[derive(Debug)]
pub struct PatchListActivities;

#[activity_definitions]
impl PatchListActivities {
    /// Reads a page of a device's patch list into the store; one request.
    #[activity(name = "inventory.read_patch_list")]
    pub fn read_patch_list(_: ReadListInput) -> Result<ReadListResult, Infallible> {
        unimplemented!()
    }

    /// Reads a page of a device's software list into the store; one request.
    #[activity(name = "inventory.read_software_list")]
    pub fn read_software_list(_: ReadListInput) -> Result<ReadSoftwareResult, Infallible> {
        unimplemented!()
    }
}

pub use campaign_activities::{
    Draft, FindNewest, NextLists, NextPlan, NotePlan, Prioritise, Report,
};
pub use patch_list_activities::{ReadPatchList, ReadSoftwareList};
