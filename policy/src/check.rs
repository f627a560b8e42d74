//! Checks of the form: every problem names its rule and field.

use std::{collections::BTreeSet, fmt};

use domain::{
    guardrail::ApprovalNeed,
    input::{InvalidInput, Problem},
    people::Role,
    windows,
};

use crate::{
    need::MAX_QUORUM,
    set::{Conditions, Effect, PolicySet},
};

/// Ids that begin with this are ours.
pub(crate) const RESERVED: [&str; 2] = ["builtin/", "authority/"];
const MAX_ID: usize = 64;
const MAX_TAG: usize = 64;
const MAX_DESCRIPTION: usize = 500;
const MAX_RULES: usize = 500;
const MAX_CEDAR: usize = 32 * 1024;

/// A place in the Cedar text, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// One thing that is wrong with a policy set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProblem {
    /// Id of the rule or Cedar policy; empty when it is about the whole set.
    pub rule: String,
    /// Path of the field, such as `rules[1].when.risk_below`.
    pub field: String,
    /// The value that was refused.
    pub value: String,
    /// What is allowed, or what Cedar says.
    pub allowed: String,
    /// Where, in the Cedar text.
    pub position: Option<Position>,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rule.is_empty() {
            write!(f, "rule `{}`: ", self.rule)?;
        }
        f.write_str(&self.field)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, " line {line} column {column}")?;
        }
        write!(f, ": `{}` is not allowed: {}", self.value, self.allowed)
    }
}

impl From<PolicyProblem> for Problem {
    fn from(problem: PolicyProblem) -> Self {
        let mut allowed = problem.allowed;
        if let Some(Position { line, column }) = problem.position {
            allowed = format!("line {line} column {column}: {allowed}");
        }
        if !problem.rule.is_empty() {
            allowed = format!("{allowed} (rule `{}`)", problem.rule);
        }
        Problem::new(problem.field, problem.value, allowed)
    }
}

/// All problems of a policy set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidPolicies {
    /// At least one.
    pub problems: Vec<PolicyProblem>,
}

impl fmt::Display for InvalidPolicies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}

impl From<InvalidPolicies> for InvalidInput {
    fn from(error: InvalidPolicies) -> Self {
        Self {
            problems: error.problems.into_iter().map(Problem::from).collect(),
        }
    }
}

/// Lists what is wrong with the rules of a set. In a merged one, ids may begin with its owner's, and
/// it may be as large as its parts are together: two sets that fit were each accepted alone, and
/// the second one to be written must not make the first unusable.
pub(crate) fn rules(set: &PolicySet, merged: bool) -> Vec<PolicyProblem> {
    let mut found = Findings {
        rule: String::new(),
        at: String::new(),
        problems: Vec::new(),
    };
    if !merged && set.rules.len() > MAX_RULES {
        found.add(
            "rules",
            set.rules.len(),
            format!("at most {MAX_RULES} rules"),
        );
    }
    let cedar = set.cedar.as_ref().filter(|_| !merged);
    if let Some(text) = cedar.filter(|text| text.len() > MAX_CEDAR) {
        found.add(
            "cedar",
            format!("{} bytes", text.len()),
            format!("at most {MAX_CEDAR} bytes"),
        );
    }
    if let Some(need) = &set.default_need {
        check_need(need, "default_need", &mut found);
    }
    let mut ids = BTreeSet::new();
    for (i, rule) in set.rules.iter().enumerate() {
        found.rule.clone_from(&rule.id);
        found.at = format!("rules[{i}].");
        let prefix = format!("{}/", set.owner());
        let id = rule
            .id
            .strip_prefix(prefix.as_str())
            .filter(|_| merged)
            .unwrap_or(&rule.id);
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if id.is_empty() || id.len() > MAX_ID || !id.chars().all(plain) {
            found.add("id", &rule.id, "1 to 64 letters, digits and . _ -");
        } else if !ids.insert(&rule.id) {
            found.add("id", &rule.id, "an id no other rule has");
        }
        found.text("description", &rule.description, 0, MAX_DESCRIPTION);
        if let Effect::RequireApproval(need) = &rule.effect {
            check_need(need, "effect.require_approval", &mut found);
        }
        check_conditions(&rule.when, &mut found);
    }
    found.problems
}

struct Findings {
    rule: String,
    at: String,
    problems: Vec<PolicyProblem>,
}

impl Findings {
    fn add(&mut self, field: &str, value: impl fmt::Display, allowed: impl Into<String>) {
        self.problems.push(PolicyProblem {
            rule: self.rule.clone(),
            field: format!("{}{field}", self.at),
            value: value.to_string(),
            allowed: allowed.into(),
            position: None,
        });
    }

    fn text(&mut self, field: &str, value: &str, least: usize, most: usize) {
        let length = value.chars().count();
        if !(least..=most).contains(&length) || value.chars().any(char::is_control) {
            self.add(
                field,
                value,
                format!("{least} to {most} printable characters"),
            );
        }
    }
}

fn check_need(need: &ApprovalNeed, at: &str, found: &mut Findings) {
    if need.role == Role::Viewer {
        found.add(
            &format!("{at}.role"),
            "viewer",
            "technician, approver or lead",
        );
    }
    if !(1..=MAX_QUORUM).contains(&need.quorum) {
        found.add(
            &format!("{at}.quorum"),
            need.quorum,
            format!("1 to {MAX_QUORUM}"),
        );
    }
    let most = windows::HORIZON_DAYS.unsigned_abs() * 24 * 3600;
    if !(1..=most).contains(&need.timeout_secs) {
        found.add(
            &format!("{at}.timeout_secs"),
            need.timeout_secs,
            format!("1 to {most} seconds"),
        );
    }
    if let Some(escalation) = &need.escalation {
        if escalation.after_secs >= need.timeout_secs {
            let allowed = format!("less than the time-out, {} seconds", need.timeout_secs);
            found.add(
                &format!("{at}.escalation.after_secs"),
                escalation.after_secs,
                allowed,
            );
        }
        if escalation.role < need.role {
            let allowed = format!("{} or higher", need.role.as_str());
            found.add(
                &format!("{at}.escalation.role"),
                escalation.role.as_str(),
                allowed,
            );
        }
    }
}

fn check_conditions(when: &Conditions, found: &mut Findings) {
    for tag in &when.device_tags_any {
        found.text("when.device_tags_any", tag, 1, MAX_TAG);
        if when.device_tags_none.contains(tag) {
            found.add(
                "when.device_tags_none",
                tag,
                "a tag that `device_tags_any` does not ask for",
            );
        }
    }
    for tag in &when.device_tags_none {
        found.text("when.device_tags_none", tag, 1, MAX_TAG);
    }
    for (field, value, least) in [
        ("when.risk_at_least", when.risk_at_least, 0),
        ("when.risk_below", when.risk_below, 1),
        ("when.urgency_at_least", when.urgency_at_least, 0),
        ("when.confidence_below", when.confidence_below, 1),
    ] {
        if let Some(value) = value.filter(|value| !(least..=1000).contains(value)) {
            found.add(field, value, format!("{least} to 1000 per mille"));
        }
    }
    if let (Some(from), Some(below)) = (when.risk_at_least, when.risk_below)
        && below <= from
    {
        found.add(
            "when.risk_below",
            below,
            format!("more than risk_at_least, {from}"),
        );
    }
    if let Some(level) = when.autonomy_below.filter(|level| !(1..=3).contains(level)) {
        found.add("when.autonomy_below", level, "1 to 3");
    }
}
