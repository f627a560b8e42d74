//! What a model said of the order of a campaign, and what became of it.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Campaign, CampaignPlan, PlanState};
use crate::ids::PlanId;

/// Plans that a model is asked about, from the most urgent on.
pub const MOST_ASKED: usize = 8;

/// Why the order is that of the rule, and nobody has explained it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Degraded {
    /// Nobody was asked, or nothing could be written down.
    NotAsked,
    /// The campaign's input says so.
    SwitchedOff,
    /// There is no model.
    NoModel,
    /// The model did not answer.
    Unavailable,
    /// Its answer could not be used, and neither could the repaired one.
    Unusable,
}

impl Degraded {
    /// Returns the words for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "no model was asked",
            Self::SwitchedOff => "the model is switched off for this campaign",
            Self::NoModel => "there is no model",
            Self::Unavailable => "the model did not answer",
            Self::Unusable => "the answer of the model could not be used",
        }
    }
}

impl fmt::Display for Degraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a model said of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignAdvice {
    /// When.
    pub at: Timestamp,
    /// Why it is the rule's order alone; absent when a model has looked at it.
    #[serde(default)]
    pub degraded: Option<Degraded>,
    /// Model that answered.
    #[serde(default)]
    pub model: Option<String>,
    /// Tokens spent, in and out; an answer that was known costs none.
    pub tokens: u64,
    /// Plans it was asked about, from the first on.
    pub asked: u32,
    /// Plans in their final order.
    pub order: Vec<PlanId>,
    /// What it said of plans.
    #[serde(default)]
    pub plans: BTreeMap<PlanId, PlanAdvice>,
    /// What it said and nobody can use, shortened: plans and evidence that do not exist, moves
    /// without evidence.
    #[serde(default)]
    pub dropped: Vec<String>,
}

/// What a model said of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanAdvice {
    /// Explanation: plain text, capped; untrusted.
    pub explanation: String,
    /// Evidence it relies on; each exists.
    pub evidence: Vec<String>,
    /// What became of its wish to move the plan; absent when it had none.
    #[serde(default)]
    pub moved: Option<Moved>,
}

/// A wish to move a plan, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Places up it was asked for; negative means down.
    pub asked: i64,
    /// Places up from its place by rule, when all wishes were granted as far as bounds allow.
    pub places: i64,
}

impl Moved {
    /// Says it in words.
    #[must_use]
    pub fn words(self) -> String {
        let way = |places: i64| if places > 0 { "up" } else { "down" };
        let (asked, size) = (self.asked, self.places.unsigned_abs());
        match self.places {
            0 => format!(
                "the model asked to move it {} {}, it stays where the rules put it",
                way(asked),
                asked.unsigned_abs()
            ),
            places => format!("moved {} {size} by the model", way(places)),
        }
    }
}

impl Campaign {
    /// Returns the plans in their final order, each with its place by rule.
    #[must_use]
    pub fn in_order(&self) -> Vec<(u32, &CampaignPlan)> {
        let order = self.advice.iter().flat_map(|advice| &advice.order);
        let order: BTreeMap<&PlanId, usize> = order.zip(0..).collect();
        let mut plans: Vec<(u32, &CampaignPlan)> = (0..).zip(&self.plans).collect();
        plans.sort_by_key(|(place, plan)| {
            let last = order.get(&plan.plan).copied().unwrap_or(usize::MAX);
            (last, *place)
        });
        plans
    }

    /// Returns the plan that is started next, with its place by rule.
    #[must_use]
    pub fn next_waiting(&self) -> Option<(u32, &CampaignPlan)> {
        let mut plans = self.in_order().into_iter();
        plans.find(|(_, plan)| plan.state == PlanState::Waiting)
    }

    /// Returns true when none of its plans was started or refused.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.plans
            .iter()
            .all(|plan| plan.state == PlanState::Waiting)
    }

    /// Returns what a model said of a plan.
    #[must_use]
    pub fn advice_on(&self, plan: &PlanId) -> Option<&PlanAdvice> {
        self.advice.as_ref()?.plans.get(plan)
    }

    /// Says why the order is that of the rule alone; `None` when a model has looked at it.
    #[must_use]
    pub fn degraded(&self) -> Option<Degraded> {
        match &self.advice {
            Some(advice) => advice.degraded,
            None => Some(Degraded::NotAsked),
        }
    }
}
