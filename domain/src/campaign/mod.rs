//! From what devices miss to plans: which update closes what on which device, by when, what rules leave
//! out, and which devices go together.

mod advice;
mod chain;
mod closing;
mod draft;
mod impact;
pub mod order;
pub mod report;
mod rules;
pub mod schedule;
mod template;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    canonical,
    device::Device,
    ids::{ClientId, CveId, DeviceId, KbId, PlanId},
    ledger::Verdict,
    patch::PatchFacts,
    software::SoftwareSummary,
    vulnerability::{
        cvrf::Update, deadline::Deadline, kev::Histories, record::VulnerabilityRecord,
    },
};

pub use self::{
    advice::{CampaignAdvice, Degraded, MOST_ASKED, Moved, PlanAdvice},
    closing::{evidence_first, may_ask_for_evidence},
    draft::draft,
    impact::{
        BusinessImpact, ImpactLevel, RestartEstimate, SERVER_MINUTES, Share, WORKPLACE_MINUTES,
    },
    rules::{Baseline, CampaignRules, Denied, Exception},
    schedule::{ScheduleAdvice, When},
    template::PlanTemplate,
};

/// What the patch list of a device said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchList {
    /// Device.
    pub device: DeviceId,
    /// Its client.
    pub client: ClientId,
    /// When the list was read.
    pub read_at: Timestamp,
    /// Updates that are missing or failed; without vulnerabilities, which the list does not know.
    pub missing: Vec<PatchFacts>,
    /// Updates that are installed.
    #[serde(default)]
    pub installed: BTreeSet<KbId>,
}

/// All that a draft is made of.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Devices of the client.
    pub devices: Vec<Device>,
    /// Their patch lists.
    pub lists: BTreeMap<DeviceId, PatchList>,
    /// Updates by number.
    pub updates: BTreeMap<KbId, Update>,
    /// Vulnerabilities that these updates close.
    pub vulnerabilities: BTreeMap<CveId, VulnerabilityRecord>,
    /// How often vendors and products were hit before.
    pub histories: Histories,
    /// Pairs that open deployments work on.
    pub open: BTreeSet<(DeviceId, KbId)>,
    /// What the ledger of bad patches says of missing updates.
    pub ledger: BTreeMap<KbId, Verdict>,
    /// Time zone of the client's head office, if known.
    pub time_zone: Option<String>,
}

/// Plans, the most urgent first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Plans.
    pub plans: Vec<DraftPlan>,
    /// Pairs of device and update that the plans hold.
    pub pairs: u64,
    /// Pairs that were left out, by reason, the most frequent first.
    pub left_out: Vec<LeftOut>,
    /// Devices whose patch list was never read.
    pub unread: u64,
    /// Updates of which no vulnerability is known: that is no sign that they close none.
    pub without_facts: BTreeSet<KbId>,
}

/// A plan that can be started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DraftPlan {
    /// What it does, and why it stands where it stands.
    #[serde(flatten)]
    pub ranked: RankedPlan,
    /// Devices.
    pub devices: Vec<DeviceId>,
}

/// What a plan does, and why it stands where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedPlan {
    /// Updates with the vulnerabilities they close on these devices, the most urgent first.
    pub patches: Vec<DraftPatch>,
    /// The strictest deadline of its pairs.
    pub band: Deadline,
    /// The earliest day by which a pair has to be closed; absent when that is the next upgrade.
    #[serde(default)]
    pub due: Option<Date>,
    /// That day is over.
    pub overdue: bool,
    /// Order inside the deadline, 0 to 1000; larger comes first.
    pub urgency_permille: u16,
    /// Devices have to be restarted.
    pub restart: bool,
    /// No baseline approves all of it: people are asked whatever policy says.
    pub needs_approval: bool,
    /// Why it stands where it stands.
    pub reasons: Vec<String>,
    /// What it does to the business; absent until it was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<BusinessImpact>,
    /// When it should go; absent until it was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleAdvice>,
}

/// An update of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftPatch {
    /// Update.
    pub kb: KbId,
    /// Its title, in the vendor's words.
    pub title: String,
    /// What it closes, the most urgent first; at most [`MOST_CVES`].
    pub cves: Vec<CveId>,
    /// How many it closes in all.
    pub closes: u64,
    /// Missing updates that it brings with it.
    #[serde(default)]
    pub supersedes: BTreeSet<KbId>,
}

/// Most vulnerabilities that a plan names for an update: each is looked up when the plan is assessed.
pub const MOST_CVES: usize = 20;

/// A campaign: what it found, and what became of its plans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// Names it; its plans are called after it.
    pub id: PlanId,
    /// Client.
    pub client: ClientId,
    /// Its workflow.
    pub workflow_id: String,
    /// When the plans were drafted.
    pub drafted_at: Timestamp,
    /// Pairs of device and update in the plans.
    pub pairs: u64,
    /// Devices of the client.
    pub devices: u64,
    /// Pairs that were left out, by reason.
    pub left_out: Vec<LeftOut>,
    /// Devices whose patch list was never read.
    pub unread: u64,
    /// Updates of which no vulnerability is known.
    pub without_facts: BTreeSet<KbId>,
    /// Plans in the order of the rule, the most urgent first; see [`Campaign::in_order`].
    pub plans: Vec<CampaignPlan>,
    /// What installed programs have: for people, no plan closes it. Absent when no software list was ever
    /// read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<SoftwareSummary>,
    /// What a model said of the order; absent until it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<CampaignAdvice>,
}

/// A plan of a campaign, without its devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CampaignPlan {
    /// Plan.
    pub plan: PlanId,
    /// What it does, and why it stands where it stands.
    #[serde(flatten)]
    pub ranked: RankedPlan,
    /// How many devices.
    pub devices: u64,
    /// What became of it.
    pub state: PlanState,
}

/// What became of a plan of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum PlanState {
    /// Not started; a later campaign finds its pairs again.
    Waiting,
    /// Its deployment was started.
    Started {
        /// When.
        at: Timestamp,
    },
    /// Its deployment could not be started.
    Refused {
        /// Why.
        why: String,
    },
}

impl Campaign {
    /// Makes the record of a draft, with the name of each plan.
    #[must_use]
    pub fn new(
        id: PlanId,
        client: ClientId,
        workflow_id: String,
        at: Timestamp,
        draft: &Draft,
    ) -> Self {
        let plans = draft.plans.iter().enumerate();
        let plans = plans.filter_map(|(number, plan)| {
            Some(CampaignPlan {
                plan: plan_id(&id, number)?,
                ranked: plan.ranked.clone(),
                devices: plan.devices.len() as u64,
                state: PlanState::Waiting,
            })
        });
        Self {
            plans: plans.collect(),
            id,
            client,
            workflow_id,
            drafted_at: at,
            pairs: draft.pairs,
            devices: 0,
            left_out: draft.left_out.clone(),
            unread: draft.unread,
            without_facts: draft.without_facts.clone(),
            software: None,
            advice: None,
        }
    }
}

/// Names a campaign by its workflow and its start: the same workflow id may come again.
#[must_use]
pub fn campaign_id(workflow_id: &str, started_at: Timestamp) -> PlanId {
    let hash = canonical::sha256(format!("{workflow_id}|{started_at}").as_bytes());
    let id = format!("c-{}", &hash[..16]).parse();
    id.unwrap_or_else(|_| unreachable!("letters and digits"))
}

/// Names a plan of a campaign by its place.
#[must_use]
pub fn plan_id(campaign: &PlanId, number: usize) -> Option<PlanId> {
    format!("{campaign}-{}", number + 1).parse().ok()
}

/// Pairs that were left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Why.
    pub reason: String,
    /// How many.
    pub pairs: u64,
    /// The first ones.
    pub examples: Vec<(DeviceId, KbId)>,
}
