//! The engine: policies compiled and validated once, then asked about devices.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use cedar_policy::{Authorizer, Decision, Effect, Policy, PolicyId, Response, Schema};
use domain::{
    guardrail::{ForbiddenDevice, GuardedDevice, GuardrailDecision, GuardrailFacts, Verdict},
    ids::{ClientId, DeviceId},
};

use crate::{
    assemble::{Assembled, MAY_RUN, assemble},
    check::{self, InvalidPolicies},
    entities,
    need::{self, Asked},
    set::PolicySet,
};

/// Compiled policies of one version.
pub struct Engine {
    authorizer: Authorizer,
    built: Assembled,
    version: String,
    client: Option<ClientId>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("version", &self.version)
            .field("client", &self.client)
            .finish()
    }
}

/// A policy that had a say about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedPolicy {
    /// Its id.
    pub id: String,
    /// `forbid`, `require_approval`, `allow_unattended` or `may_run`.
    pub effect: &'static str,
    /// Why it is there.
    pub description: String,
}

/// What the policies say about one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceExplanation {
    /// The device.
    pub device: DeviceId,
    /// What holds for it.
    pub verdict: Verdict,
    /// Policies behind it, by id.
    pub matched: Vec<MatchedPolicy>,
    /// Evaluation errors.
    pub errors: Vec<String>,
}

/// What the policies say about devices of one kind.
#[derive(Clone, Default)]
struct Answer {
    forbidden: bool,
    auto: bool,
    policies: BTreeSet<PolicyId>,
    errors: Vec<String>,
}

impl Engine {
    /// Compiles a set and validates it against the schema.
    ///
    /// # Errors
    /// With all problems.
    pub fn compile(set: &PolicySet) -> Result<Self, InvalidPolicies> {
        if !check::rules(set, true).is_empty() {
            return Err(InvalidPolicies {
                problems: set.problems(true),
            });
        }
        let built = assemble(set).map_err(|problems| InvalidPolicies { problems })?;
        Ok(Self {
            authorizer: Authorizer::new(),
            built,
            version: set.content_version(),
            client: set.client.clone(),
        })
    }

    /// Returns the version of the policy set.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Decides about a plan: the strictest answer over its devices, after those that are forbidden
    /// were taken out. Without a device that is left, or with any evaluation error: forbidden.
    #[must_use]
    pub fn decide(&self, facts: &GuardrailFacts, devices: &[GuardedDevice]) -> GuardrailDecision {
        let mut forbidden = Vec::new();
        let mut errors = BTreeSet::new();
        let (mut asking, mut running, mut refusing) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut left = 0_usize;
        for (device, answer) in devices.iter().zip(self.answers(facts, devices)) {
            errors.extend(answer.errors);
            if answer.forbidden {
                let policies = names(&answer.policies);
                refusing.extend(answer.policies);
                forbidden.push(ForbiddenDevice {
                    device: device.id.clone(),
                    policies,
                });
                continue;
            }
            left += 1;
            if answer.auto {
                running.extend(answer.policies);
            } else {
                asking.extend(answer.policies);
            }
        }
        let (verdict, policies) = if left == 0 || !errors.is_empty() {
            (Verdict::Forbidden, refusing)
        } else if asking.is_empty() {
            (Verdict::Auto, running)
        } else {
            (
                Verdict::NeedsApproval(need::strictest(self.asked(&asking))),
                asking,
            )
        };
        GuardrailDecision {
            verdict,
            policies: names(&policies),
            policy_version: self.version.clone(),
            forbidden,
            errors: errors.into_iter().collect(),
        }
    }

    /// Says device by device which policies had a say, to try a question out.
    #[must_use]
    pub fn explain(
        &self,
        facts: &GuardrailFacts,
        devices: &[GuardedDevice],
    ) -> Vec<DeviceExplanation> {
        let answers = self.answers(facts, devices);
        devices
            .iter()
            .zip(answers)
            .map(|(device, answer)| DeviceExplanation {
                device: device.id.clone(),
                verdict: if answer.forbidden {
                    Verdict::Forbidden
                } else if answer.auto {
                    Verdict::Auto
                } else {
                    Verdict::NeedsApproval(need::strictest(self.asked(&answer.policies)))
                },
                matched: answer
                    .policies
                    .iter()
                    .map(|id| self.matched(id, answer.forbidden))
                    .collect(),
                errors: answer.errors,
            })
            .collect()
    }

    fn asked(&self, ids: &BTreeSet<PolicyId>) -> impl Iterator<Item = &Asked> {
        ids.iter().filter_map(|id| self.built.needs.get(id))
    }

    fn matched(&self, id: &PolicyId, forbidden: bool) -> MatchedPolicy {
        let effect = match self.built.policies.policy(id).map(Policy::effect) {
            Some(Effect::Forbid) if forbidden => "forbid",
            Some(Effect::Forbid) => "require_approval",
            _ if *id == PolicyId::new(MAY_RUN) => "may_run",
            _ => "allow_unattended",
        };
        let description = self.annotation(id, "description").unwrap_or_default();
        MatchedPolicy {
            id: id.to_string(),
            effect,
            description,
        }
    }

    /// Answers for each device; devices that look alike to every policy are asked about once.
    fn answers(&self, facts: &GuardrailFacts, devices: &[GuardedDevice]) -> Vec<Answer> {
        let mut known: BTreeMap<_, Answer> = BTreeMap::new();
        devices
            .iter()
            .map(|device| {
                let own = self.built.names_devices.then_some(&device.id);
                let key = (&device.tags, device.criticality, device.exposure, own);
                known
                    .entry(key)
                    .or_insert_with(|| self.answer(facts, device))
                    .clone()
            })
            .collect()
    }

    fn answer(&self, facts: &GuardrailFacts, device: &GuardedDevice) -> Answer {
        let mut answer = Answer::default();
        if let Some(owner) = self.client.as_ref().filter(|owner| **owner != facts.client) {
            answer.errors.push(format!(
                "policies of client {owner} asked about client {}",
                facts.client
            ));
        }
        for unattended in [false, true] {
            let response =
                match entities::device_question(facts, device, unattended, &self.built.schema) {
                    Ok(asked) => self.respond(asked),
                    Err(error) => {
                        answer.errors.push(error);
                        continue;
                    }
                };
            let diagnostics = response.diagnostics();
            answer
                .errors
                .extend(diagnostics.errors().map(ToString::to_string));
            let allowed = response.decision() == Decision::Allow;
            let reasons = diagnostics.reason().cloned();
            if !unattended && !allowed {
                answer.forbidden = true;
                answer.policies = reasons.collect();
                break;
            }
            if unattended && allowed {
                answer.auto = true;
                answer.policies.clear();
            }
            answer.policies.extend(reasons);
        }
        answer.forbidden |= !answer.errors.is_empty();
        answer
    }

    pub(crate) fn respond(&self, (request, entities): entities::Asked) -> Response {
        self.authorizer
            .is_authorized(&request, &self.built.policies, &entities)
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.built.schema
    }

    pub(crate) fn annotation(&self, id: &PolicyId, key: &str) -> Option<String> {
        self.built.policies.annotation(id, key).map(str::to_owned)
    }
}

fn names(ids: &BTreeSet<PolicyId>) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use domain::{
        device::{Criticality, Exposure},
        guardrail::{ActionType, ApprovalNeed, Escalation},
        people::Role,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::{Conditions, Effect as RuleEffect, Rule, merge, need::FLOOR};

    static DEFAULT: LazyLock<Engine> =
        LazyLock::new(|| Engine::compile(&PolicySet::built_in()).unwrap());

    type Change = fn(&mut GuardrailFacts);

    fn facts() -> GuardrailFacts {
        GuardrailFacts {
            action: ActionType::InstallPatch,
            client: "7".parse().unwrap(),
            kbs: BTreeSet::from(["KB5034441".parse().unwrap()]),
            risk_permille: 200,
            urgency_permille: 300,
            confidence_permille: 900,
            degraded: false,
            blast_radius: 3,
            inside_window: true,
            may_reboot: true,
            known_exploited: false,
            autonomy_level: 2,
        }
    }

    fn device(id: &str, tags: &[&str]) -> GuardedDevice {
        GuardedDevice {
            id: id.parse().unwrap(),
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            criticality: Criticality::Normal,
            exposure: Exposure::Internal,
        }
    }

    fn need(decision: &GuardrailDecision) -> &ApprovalNeed {
        match &decision.verdict {
            Verdict::NeedsApproval(need) => need,
            other => panic!("{other:?}"),
        }
    }

    fn with_cedar(text: &str) -> Engine {
        let set = PolicySet {
            cedar: Some(text.to_owned()),
            ..PolicySet::built_in()
        };
        Engine::compile(&set).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn low_risk_inside_a_window_runs_unattended() {
        let decision = DEFAULT.decide(&facts(), &[device("1", &[])]);
        assert_eq!(decision.verdict, Verdict::Auto);
        assert_eq!(decision.policies, ["low-risk-unattended"]);
        assert_eq!(decision.policy_version, PolicySet::built_in().version);
    }

    #[test]
    fn anything_that_is_not_small_and_sure_needs_an_approver_and_says_why() {
        let cases: [(Change, &str); 6] = [
            (|f| f.risk_permille = 300, MAY_RUN),
            (|f| f.degraded = true, "degraded"),
            (|f| f.confidence_permille = 699, "low-confidence"),
            (|f| f.blast_radius = 26, "wide-blast-radius"),
            (|f| f.inside_window = false, "outside-window"),
            (|f| f.autonomy_level = 1, "autonomy-not-earned"),
        ];
        for (change, policy) in cases {
            let mut facts = facts();
            change(&mut facts);
            let decision = DEFAULT.decide(&facts, &[device("1", &[])]);
            assert_eq!(need(&decision), &FLOOR, "{policy}");
            assert!(
                decision.policies.iter().any(|id| id == policy),
                "{decision:?}"
            );
        }
    }

    #[test]
    fn a_critical_device_or_high_risk_needs_a_lead_and_four_eyes() {
        let critical = GuardedDevice {
            criticality: Criticality::Critical,
            ..device("1", &[])
        };
        let decision = DEFAULT.decide(&facts(), &[critical]);
        assert!(need(&decision).role == Role::Lead && need(&decision).four_eyes);
        let risky = GuardrailFacts {
            risk_permille: 600,
            ..facts()
        };
        let decision = DEFAULT.decide(&risky, &[device("1", &[])]);
        assert!(need(&decision).role == Role::Lead && need(&decision).four_eyes);
        let decision = DEFAULT.decide(&facts(), &[device("1", &["domain-controller"])]);
        assert!(need(&decision).role == Role::Lead && !need(&decision).four_eyes);
    }

    #[test]
    fn the_strictest_over_rules_and_devices_wins() {
        let exposed = GuardedDevice {
            exposure: Exposure::Exposed,
            ..device("1", &[])
        };
        let controller = device("2", &["domain-controller"]);
        let facts = GuardrailFacts {
            known_exploited: true,
            ..facts()
        };
        let decision = DEFAULT.decide(&facts, &[exposed, controller, device("3", &[])]);
        assert_eq!(need(&decision).role, Role::Lead);
        assert_eq!(
            need(&decision).escalation,
            Some(Escalation {
                after_secs: 3600,
                role: Role::Lead
            })
        );
        assert_eq!(
            decision.policies,
            [MAY_RUN, "domain-controller", "exploited-and-exposed"]
        );
    }

    #[test]
    fn forbidden_devices_are_taken_out_and_listed() {
        let devices = [device("1", &[]), device("2", &["do-not-patch"])];
        let decision = DEFAULT.decide(&facts(), &devices);
        assert_eq!(decision.verdict, Verdict::Auto);
        assert_eq!(
            decision.forbidden,
            [ForbiddenDevice {
                device: "2".parse().unwrap(),
                policies: vec!["do-not-patch".into()]
            }]
        );
        let decision = DEFAULT.decide(&facts(), &devices[1..]);
        assert_eq!(decision.verdict, Verdict::Forbidden);
        assert_eq!(decision.policies, ["do-not-patch"]);
        assert_eq!(DEFAULT.decide(&facts(), &[]).verdict, Verdict::Forbidden);
    }

    #[test]
    fn undoing_runs_unattended_even_without_a_model() {
        let facts = GuardrailFacts {
            action: ActionType::RollBackPatch,
            degraded: true,
            autonomy_level: 0,
            ..facts()
        };
        assert_eq!(
            DEFAULT.decide(&facts, &[device("1", &[])]).verdict,
            Verdict::Auto
        );
    }

    #[test]
    fn an_evaluation_error_forbids_everything() {
        // Fits the schema, overflows when evaluated: Cedar would skip the policy and allow.
        for effect in [
            "permit (principal, action in Action::\"run\"",
            "forbid (principal, action in Action::\"run_unattended\"",
        ] {
            let engine = with_cedar(&format!(
                "@id(\"overflow\") {effect}, resource) when {{ context.blast_radius * 9223372036854775807 > 5 }};"
            ));
            let decision = engine.decide(&facts(), &[device("1", &[]), device("2", &[])]);
            assert_eq!(decision.verdict, Verdict::Forbidden, "{effect}");
            assert!(decision.errors[0].contains("overflow"), "{decision:?}");
            let small = GuardrailFacts {
                blast_radius: 1,
                ..facts()
            };
            assert!(engine.decide(&small, &[device("1", &[])]).errors.is_empty());
        }
    }

    #[test]
    fn expert_text_may_name_a_device_and_ask_for_more() {
        let engine = with_cedar(
            "@id(\"vip\") @role(\"lead\") @quorum(\"2\") @timeout_secs(\"600\")
             forbid (principal, action in Action::\"run_unattended\", resource == Device::\"2\");",
        );
        let decision = engine.decide(&facts(), &[device("1", &[]), device("2", &[])]);
        assert_eq!(decision.policies, [MAY_RUN, "vip"]);
        let need = need(&decision);
        assert_eq!(
            (need.role, need.quorum, need.timeout_secs),
            (Role::Lead, 2, 600)
        );
        assert_eq!(need.escalation, None, "it would come after the time-out");
        let explained = engine.explain(&facts(), &[device("1", &[]), device("2", &[])]);
        assert_eq!(explained[0].verdict, Verdict::Auto);
        assert_eq!(explained[1].matched[1].effect, "require_approval");
    }

    #[test]
    fn an_explanation_names_the_rules_and_why_they_are_there() {
        let explained = DEFAULT.explain(
            &facts(),
            &[device("1", &["do-not-patch"]), device("2", &[])],
        );
        assert_eq!(
            explained[0].matched,
            [MatchedPolicy {
                id: "do-not-patch".into(),
                effect: "forbid",
                description: "Devices tagged do-not-patch are never touched.".into()
            }]
        );
        assert_eq!(explained[1].matched[0].effect, "allow_unattended");
    }

    #[test]
    fn policies_of_a_client_add_to_the_default_and_bind_that_client_only() {
        let client = PolicySet {
            client: Some("7".parse().unwrap()),
            rules: vec![rule("freeze", RuleEffect::Forbid, Conditions::default())],
            ..PolicySet::default()
        };
        let engine = Engine::compile(&merge(&PolicySet::built_in(), &client)).unwrap();
        let decision = engine.decide(&facts(), &[device("1", &[])]);
        assert_eq!(
            (decision.verdict, decision.policies),
            (Verdict::Forbidden, vec!["7/freeze".to_owned()])
        );
        let other = GuardrailFacts {
            client: "8".parse().unwrap(),
            ..facts()
        };
        assert!(engine.decide(&other, &[device("1", &[])]).errors[0].contains("client 7"));
    }

    fn rule(id: &str, effect: RuleEffect, when: Conditions) -> Rule {
        Rule {
            id: id.into(),
            description: String::new(),
            effect,
            actions: BTreeSet::new(),
            when,
        }
    }

    /// True when the second answer is at least as strict in every respect.
    fn at_least_as_strict(before: &Verdict, after: &Verdict) -> bool {
        match (before, after) {
            (Verdict::NeedsApproval(a), Verdict::NeedsApproval(b)) => {
                b.role >= a.role
                    && b.quorum >= a.quorum
                    && b.timeout_secs <= a.timeout_secs
                    && b.four_eyes >= a.four_eyes
                    && (a.on_timeout != domain::guardrail::OnTimeout::Reject
                        || a.on_timeout == b.on_timeout)
            }
            _ => after.strictness() >= before.strictness(),
        }
    }

    prop_compose! {
        fn any_facts()(
            action in prop::sample::select(vec![ActionType::InstallPatch, ActionType::RebootDevice, ActionType::RollBackPatch]),
            risk_permille in 0_u16..=1000, confidence_permille in 500_u16..=1000, blast_radius in 1_u32..60,
            degraded: bool, inside_window: bool, known_exploited: bool, autonomy_level in 0_u8..=3,
        ) -> GuardrailFacts {
            GuardrailFacts {
                action, risk_permille, confidence_permille, blast_radius, degraded, inside_window,
                known_exploited, autonomy_level, ..facts()
            }
        }
    }

    prop_compose! {
        fn any_device()(
            criticality in prop::sample::select(vec![Criticality::Low, Criticality::Normal, Criticality::High, Criticality::Critical]),
            exposed: bool,
            tags in prop::collection::btree_set(prop::sample::select(vec!["domain-controller", "do-not-patch", "a"]), 0..3),
        ) -> GuardedDevice {
            let exposure = if exposed { Exposure::Exposed } else { Exposure::Internal };
            GuardedDevice { criticality, exposure, ..device("1", &tags.into_iter().collect::<Vec<_>>()) }
        }
    }

    prop_compose! {
        fn any_strict_rule()(
            forbid: bool, role in prop::sample::select(vec![Role::Technician, Role::Approver, Role::Lead]),
            quorum in 1_u32..4, timeout_secs in 1000_u64..200_000, four_eyes: bool, hold: bool,
            after in prop::option::of(1_u64..1000),
            risk_at_least in prop::option::of(0_u16..=1000), degraded: Option<bool>, tag: bool,
            criticality_at_least in prop::option::of(Just(Criticality::High)),
        ) -> Rule {
            let on_timeout = if hold { domain::guardrail::OnTimeout::Hold } else { domain::guardrail::OnTimeout::Reject };
            let escalation = after.map(|after_secs| Escalation { after_secs, role: Role::Lead });
            let effect = if forbid {
                RuleEffect::Forbid
            } else {
                RuleEffect::RequireApproval(ApprovalNeed { role, quorum, timeout_secs, escalation, on_timeout, four_eyes })
            };
            let device_tags_any = if tag { BTreeSet::from(["a".to_owned()]) } else { BTreeSet::new() };
            rule("added", effect, Conditions { risk_at_least, degraded, criticality_at_least, device_tags_any, ..Conditions::default() })
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_rule_that_forbids_or_asks_never_makes_it_looser(
            facts in any_facts(), device in any_device(), added in any_strict_rule(),
        ) {
            let mut set = PolicySet::built_in();
            set.rules.push(added);
            let before = DEFAULT.decide(&facts, std::slice::from_ref(&device));
            let after = Engine::compile(&set).unwrap().decide(&facts, &[device]);
            prop_assert!(before.errors.is_empty() && after.errors.is_empty());
            prop_assert!(at_least_as_strict(&before.verdict, &after.verdict), "{before:?} then {after:?}");
        }

        #[test]
        fn a_plan_is_as_strict_as_its_strictest_device_that_is_left(
            facts in any_facts(), devices in prop::collection::vec(any_device(), 1..5),
        ) {
            let whole = DEFAULT.decide(&facts, &devices);
            for device in &devices {
                let one = DEFAULT.decide(&facts, std::slice::from_ref(device));
                if one.verdict != Verdict::Forbidden {
                    prop_assert!(at_least_as_strict(&one.verdict, &whole.verdict));
                }
            }
        }
    }
}
