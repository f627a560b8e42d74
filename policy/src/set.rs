//! Policies as people write them: a form, stored as versions that are never overwritten.

use std::collections::BTreeSet;

use domain::{
    canonical,
    device::{Criticality, Exposure},
    guardrail::{ActionType, ApprovalNeed},
    ids::{ClientId, KbId},
    input::{self, InvalidInput, Problem},
};
use serde::{Deserialize, Serialize};

use crate::{assemble::assemble, check, need};

/// Version of the form itself; another one is refused.
pub const SCHEMA: u32 = 1;

const DEFAULT_SET: &str = include_str!("default.json");

/// A set of policies: the default one, that of a client, or both merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySet {
    /// Version of the form, [`SCHEMA`].
    #[serde(default = "current_schema")]
    pub schema: u32,
    /// Hash of the content; always computed, see [`PolicySet::sealed`].
    #[serde(default)]
    pub version: String,
    /// Whose it is; the default set has none.
    #[serde(default)]
    pub client: Option<ClientId>,
    /// What every approval asks for at least, also where no rule asks for more.
    #[serde(default)]
    pub default_need: Option<ApprovalNeed>,
    /// The rules; their order does not matter.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Cedar policies written by an expert, each with an `@id`.
    #[serde(default)]
    pub cedar: Option<String>,
}

/// One rule of the form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names it in decisions.
    pub id: String,
    /// Why it is there, for people.
    #[serde(default)]
    pub description: String,
    /// What it does.
    pub effect: Effect,
    /// What it is about; every action when empty.
    #[serde(default)]
    pub actions: BTreeSet<ActionType>,
    /// When it applies; always when empty.
    #[serde(default)]
    pub when: Conditions,
}

/// What a rule does. Forbid beats approval, approval beats unattended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Must not run.
    Forbid,
    /// May run only when people agree.
    RequireApproval(ApprovalNeed),
    /// May run unattended, unless another rule asks for more.
    AllowUnattended,
}

/// Conditions of a rule; all that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// The device has one of these tags.
    pub device_tags_any: BTreeSet<String>,
    /// The device has none of these tags.
    pub device_tags_none: BTreeSet<String>,
    /// The device matters this much or more.
    pub criticality_at_least: Option<Criticality>,
    /// How reachable the device is.
    pub exposure: Option<Exposure>,
    /// Risk of doing it, per mille.
    pub risk_at_least: Option<u16>,
    /// Risk of doing it, per mille.
    pub risk_below: Option<u16>,
    /// Risk of leaving it, per mille.
    pub urgency_at_least: Option<u16>,
    /// Share of the evidence that was known, per mille.
    pub confidence_below: Option<u16>,
    /// No model was available.
    pub degraded: Option<bool>,
    /// More devices than this are touched in all.
    pub blast_radius_over: Option<u32>,
    /// It would leave the maintenance window.
    pub outside_window: Option<bool>,
    /// A restart may happen.
    pub may_reboot: Option<bool>,
    /// A vulnerability it closes is known to be exploited.
    pub known_exploited: Option<bool>,
    /// Autonomy earned so far, 1 to 3.
    pub autonomy_below: Option<u8>,
    /// One of these patches is among those to install.
    pub kbs: BTreeSet<KbId>,
}

fn current_schema() -> u32 {
    SCHEMA
}

impl Default for PolicySet {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            version: String::new(),
            client: None,
            default_need: None,
            rules: Vec::new(),
            cedar: None,
        }
    }
}

impl PolicySet {
    /// Returns the set that applies where nothing else was written.
    ///
    /// # Panics
    /// Never: a test reads the built-in text.
    #[must_use]
    pub fn built_in() -> Self {
        let value = serde_json::from_str(DEFAULT_SET).expect("the built-in policies are JSON");
        Self::from_json(&value).expect("the built-in policies are valid")
    }

    /// Reads a set, checks it and computes its version; a version in the input is ignored.
    ///
    /// # Errors
    /// Names every wrong field.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, InvalidInput> {
        let set: Self = input::from_json(value)?;
        if set.schema != SCHEMA {
            let problem = Problem::new("schema", set.schema, format!("{SCHEMA}"));
            return Err(InvalidInput::one(problem));
        }
        InvalidInput::when(set.validate().into_iter().map(Problem::from).collect())?;
        Ok(set.sealed())
    }

    /// Returns the set with its version: the hash of its content.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.version = self.content_version();
        self
    }

    /// Returns the hash of the content, whatever `version` says.
    #[must_use]
    pub fn content_version(&self) -> String {
        let content = Self {
            version: String::new(),
            ..self.clone()
        };
        // Plain structs, lists and text are always JSON; a reader would see the word.
        canonical::content_hash(&content).unwrap_or_else(|error| format!("unhashable: {error}"))
    }

    /// Lists all problems: of the rules by rule and field, of the Cedar text by line and column.
    #[must_use]
    pub fn validate(&self) -> Vec<check::PolicyProblem> {
        self.problems(false)
    }

    /// Returns whose set it is, as it stands before the ids of merged rules.
    pub(crate) fn owner(&self) -> &str {
        self.client.as_ref().map_or("client", ClientId::as_str)
    }

    pub(crate) fn problems(&self, merged: bool) -> Vec<check::PolicyProblem> {
        let mut problems = check::rules(self, merged);
        // Rules that are wrong as a form are left out of what Cedar is asked.
        let rest = if problems.is_empty() {
            self.clone()
        } else {
            Self {
                rules: Vec::new(),
                default_need: None,
                ..self.clone()
            }
        };
        if let Err(more) = assemble(&rest) {
            problems.extend(more);
        }
        problems
    }
}

/// Lays the set of a client over the default one. Its rules are added, their ids begin with the
/// client's: so what forbids or asks for more wins, wherever it stands. The stricter default need of
/// both counts.
#[must_use]
pub fn merge(default: &PolicySet, client: &PolicySet) -> PolicySet {
    let owner = client.owner();
    let theirs = client.rules.iter().cloned().map(|rule| Rule {
        id: format!("{owner}/{}", rule.id),
        ..rule
    });
    let needs = [&default.default_need, &client.default_need];
    let texts: Vec<_> = [&default.cedar, &client.cedar]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    PolicySet {
        schema: SCHEMA,
        version: String::new(),
        client: client.client.clone(),
        default_need: need::strictest_need(needs.into_iter().flatten()),
        rules: default.rules.iter().cloned().chain(theirs).collect(),
        cedar: (!texts.is_empty()).then(|| texts.join("\n")),
    }
    .sealed()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Position;

    fn fields(value: Value) -> Vec<String> {
        let error = PolicySet::from_json(&value).unwrap_err();
        error
            .problems
            .into_iter()
            .map(|problem| problem.field)
            .collect()
    }

    fn rule(change: Value) -> Value {
        let mut rule = json!({ "id": "r", "effect": "forbid", "when": {} });
        for (key, value) in change.as_object().unwrap() {
            rule[key] = value.clone();
        }
        json!({ "rules": [rule] })
    }

    #[test]
    fn the_built_in_set_is_valid_and_has_a_stable_version() {
        let set = PolicySet::built_in();
        assert_eq!(set.version.len(), 64);
        let again = PolicySet::from_json(&serde_json::to_value(&set).unwrap()).unwrap();
        assert_eq!(again, set);
        let mut changed = set.clone();
        changed.rules[0].description = "other".into();
        assert_ne!(changed.sealed().version, set.version);
    }

    #[test]
    fn a_wrong_shape_is_named() {
        assert_eq!(fields(json!({ "rulez": [] })), ["rulez"]);
        assert_eq!(
            fields(rule(json!({ "when": { "risk_at_lest": 3 } }))),
            ["rules[0].when.risk_at_lest"]
        );
        assert_eq!(
            fields(rule(json!({ "effect": "allow" }))),
            ["rules[0].effect"]
        );
        assert_eq!(fields(json!({ "schema": 2 })), ["schema"]);
    }

    #[test]
    fn every_wrong_field_of_every_rule_is_named_at_once() {
        let need = json!({ "role": "viewer", "quorum": 0, "timeout_secs": 60, "escalation": { "after_secs": 60, "role": "lead" } });
        let set = json!({ "rules": [
            { "id": "a b", "effect": "forbid", "when": { "risk_at_least": 600, "risk_below": 300 } },
            { "id": "b", "effect": { "require_approval": need } },
            { "id": "b", "effect": "forbid", "when": { "confidence_below": 1001, "autonomy_below": 4, "device_tags_any": [""] } },
            { "id": "authority/decide", "effect": "forbid" },
        ]});
        assert_eq!(
            fields(set),
            [
                "rules[0].id",
                "rules[0].when.risk_below",
                "rules[1].effect.require_approval.role",
                "rules[1].effect.require_approval.quorum",
                "rules[1].effect.require_approval.escalation.after_secs",
                "rules[2].id",
                "rules[2].when.device_tags_any",
                "rules[2].when.confidence_below",
                "rules[2].when.autonomy_below",
                "rules[3].id",
            ]
        );
    }

    #[test]
    fn a_problem_names_its_rule() {
        let mut set = PolicySet::built_in();
        set.rules[3].when.autonomy_below = Some(9);
        let problem = set.validate().remove(0);
        assert_eq!(
            (problem.rule.as_str(), problem.field.as_str()),
            ("degraded", "rules[3].when.autonomy_below")
        );
        assert!(
            problem
                .to_string()
                .starts_with("rule `degraded`: rules[3].when.autonomy_below"),
            "{problem}"
        );
    }

    fn cedar(text: &str) -> Vec<crate::PolicyProblem> {
        PolicySet {
            cedar: Some(text.to_owned()),
            ..PolicySet::default()
        }
        .validate()
    }

    #[test]
    fn expert_text_that_does_not_parse_is_refused_with_its_position() {
        let problems = cedar("@id(\"x\")\nforbid (principal, action, resource)\n  wen { true };");
        assert_eq!(problems[0].field, "cedar");
        assert_eq!(
            problems[0].position,
            Some(Position { line: 3, column: 3 }),
            "{}",
            problems[0]
        );
    }

    #[test]
    fn expert_text_that_does_not_validate_is_refused_with_its_position() {
        let problems = cedar(
            "// comment\n@id(\"x\")\nforbid (principal, action in Action::\"run\", resource)\nwhen { context.risc > 3 };",
        );
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].rule, "x");
        assert_eq!(
            problems[0].position.map(|p| p.line),
            Some(4),
            "{}",
            problems[0]
        );
        assert!(
            problems[0].value.contains("context.risc"),
            "{}",
            problems[0]
        );
    }

    #[test]
    fn expert_text_must_not_take_our_ids_use_slots_or_mistype_annotations() {
        let forbid = "forbid (principal, action in Action::\"run\", resource);";
        assert_eq!(
            cedar(&format!("@id(\"authority/decide\") {forbid}"))[0].rule,
            "authority/decide"
        );
        assert_eq!(
            cedar(&format!("@quorun(\"2\") {forbid}"))[0].field,
            "cedar.@quorun"
        );
        assert_eq!(
            cedar("permit (principal == ?principal, action, resource);")[0].field,
            "cedar"
        );
        assert_eq!(cedar(&format!("{forbid} {forbid}")), []);
    }

    #[test]
    fn two_sets_that_fit_alone_also_fit_together() {
        let set = |owner: Option<&str>| PolicySet {
            client: owner.map(|owner| owner.parse().unwrap()),
            rules: (0..300)
                .map(|n| Rule {
                    id: format!("r{n}"),
                    description: String::new(),
                    effect: Effect::Forbid,
                    actions: BTreeSet::new(),
                    when: Conditions::default(),
                })
                .collect(),
            cedar: Some(format!("// {}", "x".repeat(20 * 1024))),
            ..PolicySet::default()
        };
        let (default, client) = (set(None), set(Some("7")));
        assert_eq!((default.validate(), client.validate()), (vec![], vec![]));
        assert!(crate::Engine::compile(&merge(&default, &client)).is_ok());
        let alone = PolicySet {
            rules: [default.rules, client.rules].concat(),
            cedar: merge(&set(None), &set(Some("7"))).cedar,
            ..PolicySet::default()
        };
        let problems = alone.validate();
        let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(fields[..2], ["rules", "cedar"]);
    }

    #[test]
    fn merged_sets_keep_all_rules_and_say_whose_they_are() {
        let client = PolicySet {
            client: Some("7".parse().unwrap()),
            rules: vec![Rule {
                id: "do-not-patch".into(),
                description: String::new(),
                effect: Effect::Forbid,
                actions: BTreeSet::new(),
                when: Conditions::default(),
            }],
            ..PolicySet::default()
        };
        let default = PolicySet::built_in();
        let merged = merge(&default, &client);
        assert_eq!(merged.rules.len(), default.rules.len() + 1);
        assert_eq!(merged.rules.last().unwrap().id, "7/do-not-patch");
        assert_eq!(merged.default_need, default.default_need);
        assert!(crate::Engine::compile(&merged).is_ok());
        assert_eq!(
            merged.validate()[0].field,
            format!("rules[{}].id", default.rules.len())
        );
    }
}
