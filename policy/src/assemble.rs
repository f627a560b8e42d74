//! From a policy set to validated Cedar policies.

use std::{collections::BTreeMap, str::FromStr};

use cedar_policy::{
    Policy, PolicyId, PolicySet as CedarSet, Schema, ValidationMode, Validator, ffi::DetailedError,
};

use crate::{
    check::{PolicyProblem, Position, RESERVED},
    compile,
    need::{self, Asked},
    set::PolicySet,
};

const SCHEMA_TEXT: &str = include_str!("schema.cedarschema");
const AUTHORITY_TEXT: &str = include_str!("authority.cedar");
/// Id of the policy that lets everything run that nothing forbids, when people agree.
pub(crate) const MAY_RUN: &str = "builtin/may-run";
/// Field of the expert text.
const CEDAR: &str = "cedar";

/// What assembling makes of a set.
pub(crate) struct Assembled {
    pub(crate) schema: Schema,
    pub(crate) policies: CedarSet,
    /// What each policy about devices asks of an approval.
    pub(crate) needs: BTreeMap<PolicyId, Asked>,
    /// Some policy names a device, so devices that look alike may get different answers.
    pub(crate) names_devices: bool,
}

/// Compiles, parses and validates a set whose form was checked.
///
/// # Errors
/// With all problems.
pub(crate) fn assemble(set: &PolicySet) -> Result<Assembled, Vec<PolicyProblem>> {
    let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA_TEXT).map_err(|error| {
        vec![problem(
            "",
            "schema",
            "",
            DetailedError::from(&error).message,
            None,
        )]
    })?;
    let mut parts = Parts {
        set,
        policies: CedarSet::new(),
        fields: BTreeMap::new(),
        problems: Vec::new(),
    };
    parts.text("authority", AUTHORITY_TEXT);
    parts.one(
        MAY_RUN,
        "default_need",
        &compile::may_run(set.default_need.as_ref().unwrap_or(&need::FLOOR)),
    );
    for (i, rule) in set.rules.iter().enumerate() {
        parts.one(&rule.id, &format!("rules[{i}]"), &compile::rule(rule));
    }
    if let Some(text) = &set.cedar {
        parts.text(CEDAR, text);
    }
    let needs = parts.read_annotations();
    parts.validate(&schema);
    if !parts.problems.is_empty() {
        return Err(parts.problems);
    }
    let names_devices = set
        .cedar
        .as_ref()
        .is_some_and(|text| text.contains("Device"));
    Ok(Assembled {
        schema,
        policies: parts.policies,
        needs,
        names_devices,
    })
}

struct Parts<'a> {
    set: &'a PolicySet,
    policies: CedarSet,
    /// Where each policy comes from.
    fields: BTreeMap<PolicyId, String>,
    problems: Vec<PolicyProblem>,
}

impl Parts<'_> {
    /// Adds a policy made of one rule.
    fn one(&mut self, id: &str, field: &str, text: &str) {
        match Policy::parse(Some(PolicyId::new(id)), text) {
            Ok(policy) => self.add(policy, field),
            Err(error) => {
                let message = DetailedError::from(&error).message;
                self.problems.push(problem(id, field, text, message, None));
            }
        }
    }

    /// Adds all policies of a text, by their `@id` or else their number.
    fn text(&mut self, field: &str, text: &str) {
        let parsed = match CedarSet::from_str(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let detail = DetailedError::from(&error);
                self.problems.push(located("", field, text, &detail));
                return;
            }
        };
        for template in parsed.templates() {
            let allowed = "policies without slots such as ?principal";
            self.problems.push(problem(
                "",
                field,
                &template.to_string(),
                allowed.to_owned(),
                None,
            ));
        }
        let number = |policy: &Policy| -> usize {
            policy
                .id()
                .to_string()
                .trim_start_matches("policy")
                .parse()
                .unwrap_or(usize::MAX)
        };
        let mut policies: Vec<_> = parsed.policies().cloned().collect();
        policies.sort_by_key(number);
        for policy in policies {
            let name = policy.annotation("id").map_or_else(
                || format!("{field}-{}", number(&policy).saturating_add(1)),
                str::to_owned,
            );
            if field == CEDAR && RESERVED.iter().any(|prefix| name.starts_with(prefix)) {
                let allowed = "an @id that does not begin with builtin/ or authority/";
                self.problems
                    .push(problem(&name, field, &name, allowed.to_owned(), None));
                continue;
            }
            let id = self.free(&name);
            self.add(policy.new_id(id), field);
        }
    }

    /// Returns the name, or with a number behind it when another policy has it already.
    fn free(&self, name: &str) -> PolicyId {
        let numbered = (2..).map(|n| format!("{name}~{n}"));
        let mut names = std::iter::once(name.to_owned())
            .chain(numbered)
            .map(PolicyId::new);
        let free = names.find(|id| !self.fields.contains_key(id));
        free.unwrap_or_else(|| PolicyId::new(name))
    }

    fn add(&mut self, policy: Policy, field: &str) {
        let id = policy.id().clone();
        match self.policies.add(policy) {
            Ok(()) => {
                self.fields.insert(id, field.to_owned());
            }
            Err(error) => {
                let id = id.to_string();
                self.problems
                    .push(problem(&id, field, &id, error.to_string(), None));
            }
        }
    }

    fn read_annotations(&mut self) -> BTreeMap<PolicyId, Asked> {
        let mut needs = BTreeMap::new();
        for policy in self.policies.policies() {
            match Asked::read(policy.annotations()) {
                Ok(asked) => {
                    needs.insert(policy.id().clone(), asked);
                }
                Err(wrong) => {
                    let field = self.fields.get(policy.id()).map_or("", String::as_str);
                    self.problems
                        .extend(wrong.into_iter().map(|(name, value, allowed)| {
                            problem(
                                policy.id().as_ref(),
                                &format!("{field}.@{name}"),
                                &value,
                                allowed,
                                None,
                            )
                        }));
                }
            }
        }
        needs
    }

    fn validate(&mut self, schema: &Schema) {
        let result =
            Validator::new(schema.clone()).validate(&self.policies, ValidationMode::Strict);
        for error in result.validation_errors() {
            let id = error.policy_id();
            let field = self.fields.get(id).map_or("", String::as_str);
            let detail = DetailedError::from(error);
            let found = match &self.set.cedar {
                Some(text) if field == CEDAR => located(id.as_ref(), field, text, &detail),
                _ => problem(id.as_ref(), field, "", detail.message, None),
            };
            self.problems.push(found);
        }
        let place = |p: &PolicyProblem| (p.field.clone(), p.rule.clone(), p.position);
        self.problems.sort_by_key(place);
        // Cedar says the same once for each action.
        self.problems
            .dedup_by(|a, b| a == b || (a.position.is_some() && place(a) == place(b)));
    }
}

fn problem(
    rule: &str,
    field: &str,
    value: &str,
    allowed: String,
    position: Option<Position>,
) -> PolicyProblem {
    let value = value.chars().take(120).collect();
    PolicyProblem {
        rule: rule.to_owned(),
        field: field.to_owned(),
        value,
        allowed,
        position,
    }
}

/// Makes a problem of what Cedar says about a place in a text.
fn located(rule: &str, field: &str, text: &str, detail: &DetailedError) -> PolicyProblem {
    let place = std::iter::once(detail)
        .chain(&detail.related)
        .find_map(|d| d.source_locations.first());
    let range = place.map(|label| label.loc.start..label.loc.end);
    let snippet = range
        .clone()
        .and_then(|range| text.get(range))
        .unwrap_or_default();
    let position = range
        .and_then(|range| text.get(..range.start))
        .map(|before| Position {
            line: before.matches('\n').count() + 1,
            column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
        });
    let message = match &detail.help {
        Some(help) => format!("{} ({help})", detail.message),
        None => detail.message.clone(),
    };
    problem(rule, field, snippet, message, position)
}
