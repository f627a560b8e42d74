//! Who may approve or change what: asked of the same engine, over policies of its own
//! (`authority.cedar`) that a set may add to.

use cedar_policy::Decision;
use domain::{
    ids::{ClientId, PersonId},
    people::{Authority, ControlAction, Identity, Person, Role},
};

use crate::{engine::Engine, entities};

/// May this person do this to this deployment?
#[derive(Debug, Clone, Copy)]
pub struct AuthorityQuestion<'a> {
    /// Who; `None` when the Identities store knows nobody of that name.
    pub person: Option<&'a Person>,
    /// What.
    pub action: ControlAction,
    /// Client of the deployment.
    pub client: &'a ClientId,
    /// Least role that may decide, as the open request says; approver when absent.
    pub least_role: Option<Role>,
    /// How sure we are who speaks.
    pub identity: Identity,
    /// Whether a claim is enough: true in development.
    pub accept_claimed: bool,
    /// Who asked for the plan; under four eyes nobody may decide when this is not known.
    pub requester: Option<&'a PersonId>,
    /// The requester may not decide.
    pub four_eyes: bool,
    /// The deployment was halted, so that going on needs a lead.
    pub halted: bool,
}

impl Engine {
    /// Says whether a person may do something to a deployment, and if not, why.
    ///
    /// Pause, halt, extend, retry, drop, arrange incidents: technician. Decide: the least role of the request.
    /// Resume: technician after a pause, lead after a halt. Abort: approver. Amend, waive evidence, set alert
    /// rules: lead. Never: an unknown person, one
    /// of another client, a claimed name where claims are not accepted, the requester where four eyes
    /// are asked for, and then nobody at all when the requester is not known.
    #[must_use]
    pub fn authority(&self, question: &AuthorityQuestion<'_>) -> Authority {
        let identity = question.identity;
        let role = question.person.map_or(Role::Viewer, |person| person.role);
        match self.ask_about(question, role) {
            Ok(None) => Authority::Allowed { role, identity },
            Ok(Some(reason)) => Authority::Denied { reason, identity },
            Err(error) => Authority::Denied {
                reason: format!("policies cannot be evaluated: {error}"),
                identity,
            },
        }
    }

    /// Returns why not, or nothing when allowed.
    fn ask_about(
        &self,
        question: &AuthorityQuestion<'_>,
        role: Role,
    ) -> Result<Option<String>, String> {
        let response = self.respond(entities::person_question(question, role, self.schema())?);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(error.to_string());
        }
        if response.decision() == Decision::Allow {
            return Ok(None);
        }
        let mut reasons: Vec<String> = response
            .diagnostics()
            .reason()
            .map(|id| {
                self.annotation(id, "reason")
                    .unwrap_or_else(|| format!("policy `{id}` forbids it"))
            })
            .collect();
        reasons.sort_unstable();
        if reasons.is_empty() {
            reasons.push(self.role_is_too_low(question, role));
        }
        Ok(Some(reasons.join("; ")))
    }

    /// Finds the least role that would do by asking for it.
    fn role_is_too_low(&self, question: &AuthorityQuestion<'_>, role: Role) -> String {
        let enough = [Role::Technician, Role::Approver, Role::Lead]
            .into_iter()
            .find(|candidate| {
                entities::person_question(question, *candidate, self.schema())
                    .is_ok_and(|asked| self.respond(asked).decision() == Decision::Allow)
            });
        let action = question.action.as_str();
        match enough {
            Some(needed) => format!(
                "to {action} needs the role {}, not {}",
                needed.as_str(),
                role.as_str()
            ),
            None => format!("no policy lets anybody {action}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::LazyLock};

    use super::*;
    use crate::PolicySet;

    static ENGINE: LazyLock<Engine> =
        LazyLock::new(|| Engine::compile(&PolicySet::built_in()).unwrap());

    const ACTIONS: [ControlAction; 12] = [
        ControlAction::Decide,
        ControlAction::Pause,
        ControlAction::Resume,
        ControlAction::Halt,
        ControlAction::Abort,
        ControlAction::Amend,
        ControlAction::Extend,
        ControlAction::Retry,
        ControlAction::Drop,
        ControlAction::WaiveEvidence,
        ControlAction::ArrangeIncidents,
        ControlAction::SetAlertRules,
    ];

    fn person(role: Role) -> Person {
        Person {
            id: "dana".parse().unwrap(),
            name: "Dana".into(),
            role,
            clients: BTreeSet::new(),
        }
    }

    fn ask(
        change: impl FnOnce(&mut AuthorityQuestion<'_>),
        person: Option<&Person>,
        action: ControlAction,
    ) -> Authority {
        let client: ClientId = "7".parse().unwrap();
        let mut question = AuthorityQuestion {
            person,
            action,
            client: &client,
            least_role: None,
            identity: Identity::Proven,
            accept_claimed: false,
            requester: None,
            four_eyes: false,
            halted: false,
        };
        change(&mut question);
        ENGINE.authority(&question)
    }

    fn reason(answer: &Authority) -> &str {
        match answer {
            Authority::Denied { reason, .. } => reason,
            Authority::Allowed { .. } => "allowed",
        }
    }

    #[test]
    fn each_action_has_its_least_role() {
        use ControlAction as A;
        for action in ACTIONS {
            let least = match action {
                A::Pause | A::Halt | A::Extend | A::Resume => Role::Technician,
                A::Retry | A::Drop | A::ArrangeIncidents => Role::Technician,
                A::Decide | A::Abort => Role::Approver,
                A::Amend | A::WaiveEvidence | A::SetAlertRules => Role::Lead,
            };
            for role in [Role::Viewer, Role::Technician, Role::Approver, Role::Lead] {
                let answer = ask(|_| {}, Some(&person(role)), action);
                let allowed = matches!(answer, Authority::Allowed { .. });
                assert_eq!(allowed, role >= least, "{action:?} by {role:?}: {answer:?}");
            }
        }
    }

    #[test]
    fn after_a_halt_only_a_lead_may_go_on() {
        let answer = ask(
            |q| q.halted = true,
            Some(&person(Role::Approver)),
            ControlAction::Resume,
        );
        assert_eq!(
            reason(&answer),
            "to resume needs the role lead, not approver"
        );
        let answer = ask(
            |q| q.halted = true,
            Some(&person(Role::Lead)),
            ControlAction::Resume,
        );
        assert_eq!(
            answer,
            Authority::Allowed {
                role: Role::Lead,
                identity: Identity::Proven
            }
        );
    }

    #[test]
    fn a_request_may_ask_for_a_higher_role() {
        let answer = ask(
            |q| q.least_role = Some(Role::Lead),
            Some(&person(Role::Approver)),
            ControlAction::Decide,
        );
        assert_eq!(
            reason(&answer),
            "to decide needs the role lead, not approver"
        );
    }

    #[test]
    fn strangers_other_clients_and_mere_claims_are_denied_with_the_reason() {
        for action in ACTIONS {
            assert_eq!(
                reason(&ask(|_| {}, None, action)),
                "nobody of this name is known"
            );
            let other = Person {
                clients: BTreeSet::from(["8".parse().unwrap()]),
                ..person(Role::Lead)
            };
            assert_eq!(
                reason(&ask(|_| {}, Some(&other), action)),
                "the person does not work for this client"
            );
            let own = Person {
                clients: BTreeSet::from(["7".parse().unwrap()]),
                ..person(Role::Lead)
            };
            assert_eq!(reason(&ask(|_| {}, Some(&own), action)), "allowed");
            let claim = ask(|q| q.identity = Identity::Claimed, Some(&own), action);
            assert!(reason(&claim).starts_with("a claimed identity is not accepted"));
            let accepted = ask(
                |q| {
                    q.identity = Identity::Claimed;
                    q.accept_claimed = true;
                },
                Some(&own),
                action,
            );
            assert_eq!(
                accepted,
                Authority::Allowed {
                    role: Role::Lead,
                    identity: Identity::Claimed
                }
            );
        }
    }

    #[test]
    fn with_four_eyes_the_requester_may_not_decide_but_may_stop() {
        let me: PersonId = "dana".parse().unwrap();
        let lead = person(Role::Lead);
        let ask_as_requester = |four_eyes, action| {
            // The question borrows the requester, so it is made here.
            let client: ClientId = "7".parse().unwrap();
            ENGINE.authority(&AuthorityQuestion {
                person: Some(&lead),
                action,
                client: &client,
                least_role: None,
                identity: Identity::Proven,
                accept_claimed: false,
                requester: Some(&me),
                four_eyes,
                halted: false,
            })
        };
        let denied = ask_as_requester(true, ControlAction::Decide);
        assert_eq!(
            reason(&denied),
            "who asked for the plan may not decide on it"
        );
        assert_eq!(
            reason(&ask_as_requester(false, ControlAction::Decide)),
            "allowed"
        );
        assert_eq!(
            reason(&ask_as_requester(true, ControlAction::Halt)),
            "allowed"
        );
    }

    #[test]
    fn with_four_eyes_and_no_known_requester_nobody_may_decide_but_may_stop() {
        let lead = person(Role::Lead);
        let ask = |action| ask(|q| q.four_eyes = true, Some(&lead), action);
        assert_eq!(
            reason(&ask(ControlAction::Decide)),
            "four eyes are asked for and the plan names nobody as its requester, so nobody may decide on it"
        );
        assert_eq!(reason(&ask(ControlAction::Halt)), "allowed");
    }
}
