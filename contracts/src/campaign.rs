//! Workflows `PatchCampaign` and `CampaignReport`.

use domain::{
    campaign::{CampaignRules, PlanTemplate},
    ids::{ClientId, DeviceId, PersonId, PlanId},
    input::{InvalidInput, Problem},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Input of a campaign; all but the client may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchCampaignInput {
    /// Client.
    pub client: ClientId,
    /// Who answers for its plans.
    #[serde(default)]
    pub requested_by: Option<PersonId>,
    /// What goes, and what does not.
    #[serde(default)]
    pub rules: CampaignRules,
    /// What its plans have in common.
    #[serde(default)]
    pub plan: PlanTemplate,
    /// Sizes and times.
    #[serde(default)]
    pub limits: CampaignLimits,
    /// State of the run before; only the workflow itself may set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry: Option<CampaignCarry>,
}

/// Sizes and times of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CampaignLimits {
    /// A patch list that was read within so many seconds is good enough.
    pub list_secs: u64,
    /// A software list that was read within so many seconds is good enough; 0 reads none.
    pub software_secs: u64,
    /// Patch or software lists that are read at the same time.
    pub lists_at_once: u32,
    /// No deployment is started while the client has so many open ones.
    pub most_open_of_client: u32,
    /// No deployment is started while all clients together have so many open ones.
    pub most_open: u32,
    /// A model is asked to explain the order of the plans and, within bounds, to move some.
    pub ask_model: bool,
    /// A new run begins after so many events.
    pub continue_after_events: u32,
}

impl Default for CampaignLimits {
    fn default() -> Self {
        Self {
            list_secs: 12 * 3600,
            software_secs: 24 * 3600,
            lists_at_once: 10,
            most_open_of_client: 5,
            most_open: 50,
            ask_model: true,
            continue_after_events: 4000,
        }
    }
}

impl CampaignLimits {
    /// Says what cannot be used.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (field, value, least, most) in [
            ("lists_at_once", self.lists_at_once, 1, 50),
            ("most_open_of_client", self.most_open_of_client, 1, 500),
            ("most_open", self.most_open, 1, 1000),
            (
                "continue_after_events",
                self.continue_after_events,
                50,
                10_000,
            ),
        ] {
            if !(least..=most).contains(&value) {
                let allowed = format!("{least} to {most}");
                problems.push(Problem::new(format!("limits.{field}"), value, allowed));
            }
        }
        problems
    }
}

/// What a run hands to the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignCarry {
    /// Names the campaign.
    pub id: PlanId,
    /// Where it stands.
    pub step: CampaignStep,
    /// What was done so far.
    pub done: CampaignCounts,
}

/// Where a campaign stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum CampaignStep {
    /// Reads the inventory, from this page of devices on.
    Inventory {
        /// From 1.
        page: u32,
    },
    /// Reads patch lists.
    Lists {
        /// Where the last page of devices ended.
        #[serde(default)]
        after: Option<DeviceId>,
    },
    /// Reads software lists.
    Software {
        /// Where the last page of devices ended.
        #[serde(default)]
        after: Option<DeviceId>,
    },
    /// Ranks and makes plans.
    Draft,
    /// Asks a model about the order of the plans.
    Prioritise,
    /// Starts deployments.
    Start {
        /// Place of the next plan.
        next: u32,
    },
}

/// What a campaign did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CampaignCounts {
    /// Patch lists that were read.
    pub lists: u64,
    /// Patch lists that could not be read.
    pub lists_failed: u64,
    /// Software lists that were read.
    pub software_lists: u64,
    /// Software lists that could not be read.
    pub software_failed: u64,
    /// Rows of software lists that could not be read.
    pub software_flaws: u64,
    /// Products of programs that have vulnerabilities.
    pub vulnerable_products: u64,
    /// Plans that were drafted.
    pub plans: u32,
    /// Pairs of device and update in them.
    pub pairs: u64,
    /// Pairs that were left out.
    pub left_out: u64,
    /// Devices whose patch list was never read.
    pub unread: u64,
    /// Plans that a model has moved, within bounds.
    pub moved: u32,
    /// Tokens that a model has cost.
    pub tokens: u64,
    /// No model had a say: the order is that of the rule.
    pub degraded: bool,
    /// Deployments that were started.
    pub started: u32,
    /// Deployments that could not be started.
    pub refused: u32,
}

/// What a campaign came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchCampaignResult {
    /// Names it; the store has its plans under this name.
    pub campaign: PlanId,
    /// What it did.
    #[serde(flatten)]
    pub counts: CampaignCounts,
    /// Why plans were not started; the next campaign finds their pairs again.
    #[serde(default)]
    pub held: Option<String>,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// Input of a report; all but the client may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignReportInput {
    /// Client.
    pub client: ClientId,
    /// The campaign; the newest of the client when absent.
    #[serde(default)]
    pub campaign: Option<PlanId>,
    /// How long one try may take, in seconds.
    #[serde(default = "try_secs")]
    pub try_secs: u64,
    /// How long all tries may take, in seconds.
    #[serde(default = "give_up_secs")]
    pub give_up_secs: u64,
}

fn try_secs() -> u64 {
    1800
}

fn give_up_secs() -> u64 {
    20 * 3600
}

impl CampaignReportInput {
    /// Says what cannot be used.
    ///
    /// # Errors
    /// Names each field.
    pub fn check(&self) -> Result<(), InvalidInput> {
        let (mut problems, most) = (Vec::new(), 30 * 24 * 3600);
        for (field, value) in [
            ("try_secs", self.try_secs),
            ("give_up_secs", self.give_up_secs),
        ] {
            if !(1..=most).contains(&value) {
                problems.push(Problem::new(field, value, format!("1 to {most}")));
            }
        }
        InvalidInput::when(problems)
    }
}

/// What a report came to.
pub type CampaignReportResult = crate::activities::campaign::ReportResult;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_older_run_hands_on_is_read() {
        let older = json!({
            "client": "7", "limits": { "most_open": 3 },
            "carry": { "id": "c-1", "step": { "step": "start", "next": 2 }, "done": { "plans": 5, "started": 2 } },
        });
        let input: PatchCampaignInput = serde_json::from_value(older).unwrap();
        assert!(input.limits.ask_model, "on by default");
        let carry = input.carry.unwrap();
        assert_eq!(carry.step, CampaignStep::Start { next: 2 });
        assert_eq!(
            (carry.done.plans, carry.done.moved, carry.done.tokens),
            (5, 0, 0)
        );
        let step = serde_json::to_value(CampaignStep::Prioritise).unwrap();
        assert_eq!(step, json!({ "step": "prioritise" }));
    }

    #[test]
    fn a_note_of_an_older_run_is_read() {
        let older = json!({ "campaign": "c-1", "number": 2, "state": { "state": "waiting" } });
        let noted: crate::activities::campaign::NotePlanInput =
            serde_json::from_value(older).unwrap();
        assert_eq!((noted.number, noted.plan), (2, None));
    }
}
