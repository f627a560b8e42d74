//! Reads what a model said of plans, and joins it with the order of the rule. Whatever it says: known
//! plans, known evidence, moves within bounds, plain text.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    campaign::{
        CampaignAdvice, CampaignPlan, Degraded, MOST_ASKED, Moved, PlanAdvice,
        order::{Slot, Wish, reorder},
    },
    ids::PlanId,
};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{evidence, label};
use crate::check::{MAX_DROPPED, MAX_DROPPED_CHARS, ReplyProblem, clean};

/// The most characters kept of an explanation.
const MAX_EXPLANATION: usize = 400;
const FIELDS: [&str; 4] = ["plan", "explanation", "up", "evidence"];
/// Larger wishes are written down as this: the bounds are far below.
const MAX_ASKED: i64 = 99;

/// What a model said, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelAdvice {
    /// By place of the plan, from 0.
    pub plans: BTreeMap<usize, SaidOfPlan>,
    /// What nobody can use, shortened; for the audit.
    pub dropped: Vec<String>,
    /// Model that answered; the caller fills it in.
    pub model: Option<String>,
}

/// What a model said of one plan, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaidOfPlan {
    /// Explanation: plain text, capped; still untrusted.
    pub explanation: String,
    /// Places up; negative means down. Not bounded yet.
    pub up: i64,
    /// Evidence it relies on; each exists.
    pub evidence: Vec<String>,
}

/// Reads a reply about the plans of a campaign, which stand in the order of the rule.
///
/// An entry about a plan that was not asked about, a second one about the same plan, and one without an
/// explanation or without evidence that exists is dropped, with its move. Evidence that does not exist is
/// dropped.
///
/// # Errors
/// When the reply has the wrong shape, or no entry is left.
pub fn parse_reply(
    json: &Value,
    plans: &[CampaignPlan],
    now: Timestamp,
) -> Result<ModelAdvice, ReplyProblem> {
    let wrong = |problem: &str| ReplyProblem::of(problem);
    let fields = json
        .as_object()
        .ok_or_else(|| wrong("it is not a JSON object"))?;
    if fields.keys().any(|field| field != "plans") {
        return Err(wrong("it may only have the field plans"));
    }
    let entries = json["plans"]
        .as_array()
        .ok_or_else(|| wrong("plans is not a list"))?;
    let places =
        (0..plans.len().min(MOST_ASKED)).map(|place| (label(place as u64 + 1).to_string(), place));
    let mut reading = Reading {
        places: places.collect(),
        evidence: evidence(plans, now).collect(),
        advice: ModelAdvice::default(),
        dropped: BTreeSet::new(),
    };
    for entry in entries {
        reading.entry(entry)?;
    }
    let Reading {
        mut advice,
        dropped,
        ..
    } = reading;
    let dropped = dropped.into_iter().collect();
    if advice.plans.is_empty() {
        let problem =
            "no entry is about a plan of the list, explains it, and names evidence of the list";
        return Err(ReplyProblem {
            problem: problem.to_owned(),
            dropped,
        });
    }
    advice.dropped = dropped;
    Ok(advice)
}

struct Reading {
    places: BTreeMap<String, usize>,
    evidence: BTreeSet<String>,
    advice: ModelAdvice,
    dropped: BTreeSet<String>,
}

impl Reading {
    fn entry(&mut self, entry: &Value) -> Result<(), ReplyProblem> {
        let wrong = |problem: &str| ReplyProblem::of(problem);
        let fields: &Map<String, Value> = entry
            .as_object()
            .ok_or_else(|| wrong("an entry of plans is not a JSON object"))?;
        if fields.keys().any(|field| !FIELDS.contains(&field.as_str())) {
            let known = FIELDS.join(", ");
            return Err(ReplyProblem::of(format!(
                "an entry of plans may only have the fields {known}"
            )));
        }
        let text = |field: &str| entry[field].as_str();
        let plan = text("plan")
            .ok_or_else(|| wrong("plan is not text"))?
            .trim();
        let explanation = text("explanation").ok_or_else(|| wrong("explanation is not text"))?;
        let up = entry["up"]
            .as_i64()
            .ok_or_else(|| wrong("up is not a whole number from -2 to 2"))?;
        let named = entry["evidence"].as_array();
        let named: Option<Vec<&str>> =
            named.and_then(|ids| ids.iter().map(Value::as_str).collect());
        let named = named.ok_or_else(|| wrong("evidence is not a list of ids"))?;
        let evidence = self.known(&named);
        let Some(place) = self.places.get(plan).copied() else {
            self.drop(plan);
            return Ok(());
        };
        let explanation = clean(explanation, MAX_EXPLANATION);
        let is_second = self.advice.plans.contains_key(&place);
        for (is_wrong, why) in [
            (is_second, "said twice"),
            (explanation.is_empty(), "not explained"),
            (evidence.is_empty(), "without evidence"),
        ] {
            if is_wrong {
                self.drop(&format!("{plan}: {why}"));
                return Ok(());
            }
        }
        let said = SaidOfPlan {
            explanation,
            up: up.clamp(-MAX_ASKED, MAX_ASKED),
            evidence,
        };
        self.advice.plans.insert(place, said);
        Ok(())
    }

    /// Keeps the evidence that exists, each once.
    fn known(&mut self, named: &[&str]) -> Vec<String> {
        let mut kept = BTreeSet::new();
        for id in named.iter().map(|id| id.trim()) {
            if self.evidence.contains(id) {
                kept.insert(id.to_owned());
            } else {
                self.drop(id);
            }
        }
        kept.into_iter().collect()
    }

    fn drop(&mut self, what: &str) {
        if self.dropped.len() < MAX_DROPPED {
            self.dropped.insert(clean(what, MAX_DROPPED_CHARS));
        }
    }
}

/// Joins the order of the rule with what a model said, or with why it said nothing: then the order
/// stands, marked degraded. The caller counts the tokens.
#[must_use]
pub fn combine(
    plans: &[CampaignPlan],
    said: Result<ModelAdvice, Degraded>,
    at: Timestamp,
) -> CampaignAdvice {
    let name = |place: &usize| plans.get(*place).map(|plan| plan.plan.clone());
    let (said, degraded) = match said {
        Ok(said) => (said, None),
        Err(why) => (ModelAdvice::default(), Some(why)),
    };
    let slots = plans.iter().map(|plan| Slot {
        band: plan.ranked.band,
        due: plan.ranked.due,
    });
    let wishes = said.plans.iter().map(|(place, said)| Wish {
        place: *place,
        up: said.up,
    });
    let asked = plans.len().min(MOST_ASKED);
    let order = reorder(
        &slots.collect::<Vec<_>>(),
        asked,
        &wishes.collect::<Vec<_>>(),
    );
    let moved = |place: usize, asked: i64| {
        let now = order.iter().position(|other| *other == place)?;
        let signed = |place: usize| i64::try_from(place).unwrap_or(i64::MAX);
        Some(Moved {
            asked,
            places: signed(place) - signed(now),
        })
    };
    let of_plan = |(place, said): (usize, SaidOfPlan)| {
        let advice = PlanAdvice {
            explanation: said.explanation,
            evidence: said.evidence,
            moved: moved(place, said.up).filter(|_| said.up != 0),
        };
        Some((name(&place)?, advice))
    };
    CampaignAdvice {
        at,
        degraded,
        model: said.model,
        tokens: 0,
        asked: u32::try_from(asked).unwrap_or(u32::MAX),
        order: order.iter().filter_map(name).collect::<Vec<PlanId>>(),
        plans: said.plans.into_iter().filter_map(of_plan).collect(),
        dropped: said.dropped,
    }
}
