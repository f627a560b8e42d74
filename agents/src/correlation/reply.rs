//! Reads what a model said of what belongs together. Whatever it says: known candidates, known evidence, plain
//! text.

use std::collections::BTreeSet;

use domain::advice::{Candidate, Opinion, Verdict};
use serde_json::Value;

use super::{Asked, alerts, listed};
use crate::{
    check::{MAX_DROPPED, MAX_DROPPED_CHARS, ReplyProblem, clean},
    labels,
};

/// The most characters kept of a reason.
const MAX_REASON: usize = 400;
const FIELDS: [&str; 4] = ["candidate", "verdict", "reason", "evidence"];

/// What a model said, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelOpinions {
    /// At most one of each candidate, in the order of the candidates.
    pub opinions: Vec<Opinion>,
    /// What nobody can use, shortened; for the audit.
    pub dropped: Vec<String>,
}

/// Reads a reply. What is said of a candidate that does not exist or a second time is dropped, and so is evidence
/// that does not exist; an empty list abstains from all.
///
/// # Errors
/// When it has the wrong shape, or no entry that was given can be used.
pub fn parse_reply(json: &Value, asked: Asked<'_>) -> Result<ModelOpinions, ReplyProblem> {
    let wrong = |problem: &str| ReplyProblem::of(problem);
    let fields = json
        .as_object()
        .ok_or_else(|| wrong("it is not a JSON object"))?;
    if fields.keys().any(|field| field != "advice") {
        return Err(wrong("it may only have the field advice"));
    }
    let entries = json["advice"]
        .as_array()
        .ok_or_else(|| wrong("advice is not a list"))?;
    let mut reading = Reading {
        candidates: listed(asked).map(|(candidate, _)| candidate).collect(),
        alerts: alerts(asked).map(|(_, said)| said.id.as_str()).collect(),
        labels: asked.labels(),
        opinions: Vec::new(),
        dropped: BTreeSet::new(),
    };
    for entry in entries {
        reading.entry(entry)?;
    }
    let Reading {
        candidates,
        mut opinions,
        dropped,
        ..
    } = reading;
    let dropped = dropped.into_iter().collect();
    if opinions.is_empty() && !entries.is_empty() {
        let problem = "no entry of advice is about a candidate of the list, gives a reason, and names evidence \
                       of that candidate or of the alerts";
        return Err(ReplyProblem {
            problem: problem.to_owned(),
            dropped,
        });
    }
    opinions.sort_by_key(|one| {
        candidates
            .iter()
            .position(|known| known.id == one.candidate)
    });
    Ok(ModelOpinions { opinions, dropped })
}

struct Reading<'a> {
    candidates: Vec<&'a Candidate>,
    alerts: BTreeSet<&'a str>,
    labels: Vec<(String, String)>,
    opinions: Vec<Opinion>,
    dropped: BTreeSet<String>,
}

impl Reading<'_> {
    fn entry(&mut self, entry: &Value) -> Result<(), ReplyProblem> {
        let wrong = |problem: &str| ReplyProblem::of(problem);
        let fields = entry
            .as_object()
            .ok_or_else(|| wrong("an entry of advice is not a JSON object"))?;
        if fields.keys().any(|field| !FIELDS.contains(&field.as_str())) {
            let known = FIELDS.join(", ");
            return Err(ReplyProblem::of(format!(
                "an entry of advice may only have the fields {known}"
            )));
        }
        let text = |field: &str| entry[field].as_str().map(str::trim);
        let named = text("candidate").ok_or_else(|| wrong("candidate is not text"))?;
        let verdict = text("verdict")
            .and_then(|word| Verdict::ALL.into_iter().find(|one| one.as_str() == word))
            .ok_or_else(|| wrong("verdict is none of advise, against, abstain"))?;
        let reason = text("reason").ok_or_else(|| wrong("reason is not text"))?;
        let ids = entry["evidence"].as_array();
        let ids: Option<Vec<&str>> = ids.and_then(|ids| ids.iter().map(Value::as_str).collect());
        let ids = ids.ok_or_else(|| wrong("evidence is not a list of ids"))?;
        let mut candidates = self.candidates.iter();
        let Some(candidate) = candidates.find(|one| one.id == named).copied() else {
            self.drop(named);
            return Ok(());
        };
        let parts = candidate.parts();
        let mut evidence = BTreeSet::new();
        for id in ids.into_iter().map(str::trim) {
            if self.alerts.contains(id) || parts.iter().any(|(part, _)| part == id) {
                evidence.insert(id.to_owned());
            } else {
                self.drop(id);
            }
        }
        let reason = clean(&labels::named(reason, &self.labels), MAX_REASON);
        let is_second = self.opinions.iter().any(|one| one.candidate == named);
        let abstains = verdict == Verdict::Abstain;
        for (is_wrong, why) in [
            (is_second, "said twice"),
            (reason.is_empty() && !abstains, "without a reason"),
            (evidence.is_empty() && !abstains, "without evidence"),
        ] {
            if is_wrong {
                self.drop(&format!("{named}: {why}"));
                return Ok(());
            }
        }
        self.opinions.push(Opinion {
            candidate: candidate.id.clone(),
            verdict,
            reason,
            evidence: evidence.into_iter().collect(),
        });
        Ok(())
    }

    fn drop(&mut self, what: &str) {
        if self.dropped.len() < MAX_DROPPED {
            self.dropped.insert(clean(what, MAX_DROPPED_CHARS));
        }
    }
}
