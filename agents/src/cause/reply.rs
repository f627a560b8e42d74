//! Reads what a model said of a cause. Whatever it says: known suspects, known evidence, plain text.

use std::collections::BTreeSet;

use domain::cause::{CauseReport, Narrative};
use serde_json::Value;

use super::listed;
use crate::{
    check::{MAX_DROPPED, MAX_DROPPED_CHARS, ReplyProblem, clean},
    labels,
};

/// The most characters kept of a narrative.
const MAX_NARRATIVE: usize = 800;
const FIELDS: [&str; 4] = ["abstain", "machine", "narrative", "evidence"];

/// What a model said, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCause {
    narrative: Narrative,
    dropped: Vec<String>,
}

impl ModelCause {
    /// Names the model that answered. Returns what it said, and what nobody can use of it, shortened.
    #[must_use]
    pub fn by(self, model: impl Into<String>) -> (Narrative, Vec<String>) {
        let narrative = Narrative {
            model: Some(model.into()),
            ..self.narrative
        };
        (narrative, self.dropped)
    }
}

/// Reads a reply about an incident. Evidence that does not exist is dropped, and so is a machine that is no
/// suspect. Labels of machines in the narrative become their names.
///
/// # Errors
/// When it has the wrong shape, names no evidence that exists, explains nothing, or neither abstains nor
/// names a suspect.
pub fn parse_reply(json: &Value, report: &CauseReport) -> Result<ModelCause, ReplyProblem> {
    let wrong = |problem: &str| ReplyProblem::of(problem);
    let fields = json
        .as_object()
        .ok_or_else(|| wrong("it is not a JSON object"))?;
    if fields.keys().any(|field| !FIELDS.contains(&field.as_str())) {
        let known = FIELDS.join(", ");
        return Err(ReplyProblem::of(format!(
            "it may only have the fields {known}"
        )));
    }
    let abstain = json["abstain"]
        .as_bool()
        .ok_or_else(|| wrong("abstain is not true or false"))?;
    let named = json["machine"]
        .as_str()
        .ok_or_else(|| wrong("machine is not text"))?
        .trim();
    let text = json["narrative"]
        .as_str()
        .ok_or_else(|| wrong("narrative is not text"))?;
    let ids = json["evidence"].as_array();
    let ids: Option<Vec<&str>> = ids.and_then(|ids| ids.iter().map(Value::as_str).collect());
    let ids = ids.ok_or_else(|| wrong("evidence is not a list of ids"))?;

    let exists: BTreeSet<&str> = listed(report).map(|piece| piece.id.as_str()).collect();
    let (mut kept, mut dropped) = (BTreeSet::new(), BTreeSet::new());
    let mut drop = |what: &str| {
        if dropped.len() < MAX_DROPPED {
            dropped.insert(clean(what, MAX_DROPPED_CHARS));
        }
    };
    for id in ids.into_iter().map(str::trim) {
        if exists.contains(id) {
            kept.insert(id.to_owned());
        } else {
            drop(id);
        }
    }
    let place = (0..report.suspects.len()).find(|place| labels::machine(*place).as_str() == named);
    if place.is_none() && !named.is_empty() {
        drop(named);
    }
    let dropped: Vec<String> = dropped.into_iter().collect();
    let unusable = |problem: &str| ReplyProblem {
        problem: problem.to_owned(),
        dropped: dropped.clone(),
    };
    if kept.is_empty() {
        return Err(unusable(
            "evidence names no id of the list; copy at least one id exactly",
        ));
    }
    let machine = place.map(|place| report.suspects[place].machine.clone());
    if machine.is_none() && !abstain {
        return Err(unusable(
            "machine is none of the suspects; copy a label exactly, or abstain",
        ));
    }
    let text = clean(
        &labels::named(text, &labels::of_machines(&report.machines())),
        MAX_NARRATIVE,
    );
    if text.is_empty() {
        return Err(unusable("narrative is empty"));
    }
    let narrative = Narrative {
        text,
        // Who abstains points to nobody.
        machine: machine.filter(|_| !abstain),
        abstain,
        evidence: kept.into_iter().collect(),
        model: None,
    };
    Ok(ModelCause { narrative, dropped })
}
