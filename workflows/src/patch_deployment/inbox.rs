//! Working off what people have sent, between the steps of the story.

use contracts::{
    activities::{
        approvals::AuthorizeInput,
        plans::{Check, CheckInput, Resolve, ResolveInput},
    },
    deployment::{AmendInput, ControlAnswer, ControlInput, ExtendInput, Pending, Waivers},
};
use domain::{
    approval::{Answer, Choice, How, Next},
    audit::Actor,
    deployment::Stage,
    ids::{DeviceId, KbId, PersonId},
    ledger,
    people::{Authority, ControlAction, Identity},
    triage::{self, IncidentKey},
};
use jiff::Timestamp;

use super::{Story, state::State};
use crate::{approvals, clock, options};

/// Devices that amendments may leave out in all.
const MAX_REMOVED: usize = 200;
/// Longest extension of an approval, in seconds: 30 days.
const MAX_EXTENSION_SECS: u64 = 30 * 24 * 3600;

/// What an order is about, beside the deployment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct About<'a> {
    pub(super) kb: Option<&'a KbId>,
    pub(super) incident: Option<&'a IncidentKey>,
    pub(super) device: Option<&'a DeviceId>,
}

impl Story {
    /// Works off what people have sent until now. What comes meanwhile has its turn later: a flood
    /// must not keep the clock from being looked at.
    pub(super) async fn work_off_inbox(&self) {
        for _ in 0..self.s(|s| s.carry.inbox.len()) {
            let Some(pending) =
                self.s_mut(|s| (!s.carry.inbox.is_empty()).then(|| s.carry.inbox.remove(0)))
            else {
                break;
            };
            self.work_off(pending).await;
        }
        self.tell_of_missing_evidence().await;
    }

    /// Works off requests to end the deployment, out of their turn: for steps that may take hours.
    pub(super) async fn work_off_aborts(&self) {
        while let Some(pending) = self.s_mut(State::next_abort) {
            self.work_off(pending).await;
        }
    }

    async fn work_off(&self, pending: Pending) {
        match pending {
            Pending::Decision {
                decision_id,
                choice,
                input,
                open_then,
                at,
            } => {
                match approvals::read(decision_id.clone(), choice, &input, open_then.as_ref(), at) {
                    Ok(decision) => self.work_off_decision(decision).await,
                    Err(problem) => {
                        let answer = Answer::NotAllowed {
                            reason: problem.to_string(),
                        };
                        self.s_mut(|s| s.carry.book.remember(&decision_id, &answer));
                        self.audit_refused(choice_word(choice), &problem.to_string())
                            .await;
                    }
                }
            }
            Pending::Control {
                input, action, id, ..
            } => {
                let answer = self.work_off_control(action, &input).await;
                self.s_mut(|s| s.answer_control(id, answer));
            }
            Pending::Amend { input, id, .. } => {
                let answer = self.work_off_amend(&input).await;
                self.s_mut(|s| s.answer_control(id, answer));
            }
            Pending::Waive { input, id, .. } => {
                let answer = self.work_off_waive(&input).await;
                self.s_mut(|s| s.answer_control(id, answer));
            }
            Pending::Extend { input, id, at } => {
                let answer = self.work_off_extend(&input, at).await;
                self.s_mut(|s| s.answer_control(id, answer));
            }
            Pending::Malformed {
                signal, problem, ..
            } => self.audit_refused(&signal, &problem).await,
        }
    }

    pub(super) async fn audit_refused(&self, signal: &str, problem: &str) {
        let detail = serde_json::json!({ "signal": signal, "problem": problem });
        self.audit("message_refused", Actor::Workflow, vec![], detail)
            .await;
    }

    /// Asks whether the person may, and writes a "no" down.
    pub(super) async fn allow(
        &self,
        action: ControlAction,
        by: &str,
        reason: Option<&str>,
        about: About<'_>,
        proof: Option<String>,
    ) -> Result<(PersonId, Identity, Option<String>), ControlAnswer> {
        let read = approvals::person(by).and_then(|p| Ok((p, approvals::reason(reason)?)));
        let (person, reason) = match read {
            Ok(read) => read,
            Err(problem) => {
                self.audit_refused(action.as_str(), &problem.to_string())
                    .await;
                return Err(ControlAnswer::Refused {
                    problem: problem.to_string(),
                });
            }
        };
        let (client, requester) =
            self.s(|s| (s.request.client.clone(), s.request.requested_by.clone()));
        let input = AuthorizeInput {
            by: person.clone(),
            action,
            workflow_id: self.ctx.workflow_id().to_owned(),
            client,
            least_role: None,
            requester,
            four_eyes: false,
            halted: self.s(|s| s.carry.halted.is_some()),
            choice: None,
            request: None,
            plan_hash: None,
            kb: about.kb.cloned(),
            incident: about.incident.cloned(),
            device: about.device.cloned(),
            proof,
        };
        match approvals::authorize(&self.ctx, input).await {
            Authority::Allowed { identity, .. } => Ok((person, identity, reason)),
            Authority::Denied { reason, identity } => {
                let actor = Actor::Person {
                    name: person.to_string(),
                    identity,
                };
                let detail = serde_json::json!({ "action": action.as_str(), "why": reason });
                self.audit("control_not_allowed", actor, vec![], detail)
                    .await;
                Err(ControlAnswer::NotAllowed { reason })
            }
        }
    }

    async fn work_off_control(&self, action: ControlAction, input: &ControlInput) -> ControlAnswer {
        let allowed = self
            .allow(
                action,
                &input.by,
                input.reason.as_deref(),
                About {
                    kb: input.kb.as_ref(),
                    incident: input.incident.as_ref(),
                    device: None,
                },
                input.proof.clone(),
            )
            .await;
        let (person, identity, reason) = match allowed {
            Ok(allowed) => allowed,
            Err(answer) => return answer,
        };
        let why = reason.unwrap_or_else(|| "no reason given".to_owned());
        let who = format!("{person}: {why}");
        let answer = self.s_mut(|s| {
            let carry = &mut s.carry;
            if carry.status.stage == Stage::Done || carry.aborted.is_some() {
                return ControlAnswer::NothingToDo {
                    note: "the deployment is over or ending".to_owned(),
                };
            }
            let done = |note: &str| ControlAnswer::Done {
                note: note.to_owned(),
            };
            match action {
                ControlAction::Pause => {
                    carry.paused = true;
                    done("no further device is started; running ones go on")
                }
                ControlAction::Resume if carry.paused || carry.halted.is_some() => {
                    carry.paused = false;
                    carry.halted = None;
                    carry.halted_at = None;
                    done("it goes on")
                }
                ControlAction::Resume => ControlAnswer::NothingToDo {
                    note: "it is neither paused nor halted".to_owned(),
                },
                ControlAction::Abort => {
                    carry.aborted = Some(who);
                    done(
                        "no further device is started; running ones are stopped where that is safe",
                    )
                }
                ControlAction::Halt => {
                    let suspect = input
                        .kb
                        .as_ref()
                        .map_or_else(String::new, |kb| format!(" ({kb})"));
                    carry.halted = Some(format!("{who}{suspect}"));
                    done("halted; resume or abort it")
                }
                ControlAction::Decide
                | ControlAction::Amend
                | ControlAction::Extend
                | ControlAction::Retry
                | ControlAction::Drop
                | ControlAction::WaiveEvidence
                | ControlAction::ArrangeIncidents
                | ControlAction::SetAlertRules => ControlAnswer::Refused {
                    problem: "not a control".to_owned(),
                },
            }
        });
        let actor = actor_of(&person, identity, action, input);
        let kb = input.kb.iter().map(ToString::to_string);
        let incident = input.incident.iter().map(ToString::to_string);
        let evidence = kb.chain(incident).collect();
        let what = format!("control_{}", action.as_str());
        self.audit(
            &what,
            actor,
            evidence,
            serde_json::json!({ "why": why, "answer": answer }),
        )
        .await;
        if self.s(|s| s.carry.aborted.is_some()) {
            self.close_request(How::Cancelled).await;
        }
        answer
    }

    /// A new plan is checked before it replaces the old one; a refused one changes nothing.
    async fn work_off_amend(&self, input: &AmendInput) -> ControlAnswer {
        let allowed = self
            .allow(
                ControlAction::Amend,
                &input.by,
                input.reason.as_deref(),
                About::default(),
                input.proof.clone(),
            )
            .await;
        let (person, identity, reason) = match allowed {
            Ok(allowed) => allowed,
            Err(answer) => return answer,
        };
        if input.change.is_empty() {
            return ControlAnswer::Refused {
                problem: "change: `` is not allowed: at least one field".to_owned(),
            };
        }
        let ending = self.s(|s| {
            let over = matches!(s.carry.status.stage, Stage::Done | Stage::RollingBack);
            over || s.carry.aborted.is_some() || s.carry.stopped_by_gate
        });
        if ending {
            return ControlAnswer::NothingToDo {
                note: "the deployment is over or ending".to_owned(),
            };
        }
        let (plan, mut request, mut removed) = self.s(|s| {
            (
                s.plan_id.clone(),
                s.request.clone(),
                s.carry.removed.clone(),
            )
        });
        input.change.apply(&mut request);
        removed.extend(input.change.remove_devices.iter().cloned());
        removed.sort();
        removed.dedup();
        if removed.len() > MAX_REMOVED {
            let problem = format!(
                "change.remove_devices: `{} devices` is not allowed: at most {MAX_REMOVED} in all",
                removed.len()
            );
            return ControlAnswer::Refused { problem };
        }
        let check = CheckInput {
            request: request.clone(),
            started_at: None,
        };
        let mut checked = self
            .call(Check, check, options::store("check the new plan"))
            .await;
        if checked.is_ok() {
            let resolve = ResolveInput {
                plan,
                request: request.clone(),
                removed: removed.clone(),
            };
            let resolved = self.call(Resolve, resolve, options::store("resolve the new plan"));
            checked = resolved.await.map(|_| ());
        }
        if let Err(error) = checked {
            return ControlAnswer::Refused {
                problem: error.message,
            };
        }
        let why = reason.unwrap_or_else(|| "no reason given".to_owned());
        self.s_mut(|s| {
            s.carry.status.deadline = request.deadline;
            s.request = request;
            if input.change.evidence.is_some() {
                // What was waived was another rule.
                s.carry.waivers = Waivers::default();
            }
            s.carry.removed = removed;
            s.carry.amended_by = Some(person.clone());
            s.carry.turn_asked = Some(format!("amended by {person}: {why}"));
        });
        let actor = Actor::Person {
            name: person.to_string(),
            identity,
        };
        self.audit(
            "plan_amended",
            actor,
            vec![],
            serde_json::json!({ "why": why, "change": input.change }),
        )
        .await;
        self.outdate_request(Next::OtherPlan).await;
        ControlAnswer::Done {
            note: "the plan is sealed and asked about anew".to_owned(),
        }
    }

    async fn work_off_extend(&self, input: &ExtendInput, at: Timestamp) -> ControlAnswer {
        let allowed = self
            .allow(
                ControlAction::Extend,
                &input.by,
                input.reason.as_deref(),
                About::default(),
                input.proof.clone(),
            )
            .await;
        let (person, identity, _) = match allowed {
            Ok(allowed) => allowed,
            Err(answer) => return answer,
        };
        if !(1..=MAX_EXTENSION_SECS).contains(&input.by_secs) {
            let problem = format!(
                "by_secs: `{}` is not allowed: 1 to {MAX_EXTENSION_SECS}",
                input.by_secs
            );
            return ControlAnswer::Refused { problem };
        }
        // An extension that comes after the deadline must not raise the request from the dead.
        if let Some(how) = self.s_mut(|s| s.carry.book.expire(at)) {
            self.approval_closed(how).await;
        }
        let moved = self.s_mut(|s| {
            let deadline = s.carry.book.open_request()?.deadline;
            let later = clock::after(deadline, input.by_secs);
            s.carry.book.extend(later).then_some(later)
        });
        let Some(deadline) = moved else {
            return ControlAnswer::NothingToDo {
                note: "no approval request is open".to_owned(),
            };
        };
        let actor = Actor::Person {
            name: person.to_string(),
            identity,
        };
        self.audit(
            "approval_extended",
            actor,
            vec![],
            serde_json::json!({ "deadline": deadline }),
        )
        .await;
        self.approval_changed(
            contracts::activities::notify::NoticeKind::ApprovalExtended,
            "more time",
            vec![],
        )
        .await;
        ControlAnswer::Done {
            note: format!("the request is open until {deadline:.0}"),
        }
    }
}

/// The ledger and the answers to incidents halt as agents, once it is known that it was them.
fn actor_of(
    person: &PersonId,
    identity: Identity,
    action: ControlAction,
    input: &ControlInput,
) -> Actor {
    let name = person.to_string();
    let halts = action == ControlAction::Halt && input.kb.is_some();
    let is_agent = match &input.incident {
        Some(_) => name == triage::RESPONSE,
        None => name == ledger::NAME,
    };
    if halts && is_agent && identity == Identity::Proven {
        return Actor::Agent { name, model: None };
    }
    Actor::Person { name, identity }
}

pub(super) fn choice_word(choice: Choice) -> &'static str {
    match choice {
        Choice::Approve => "approve",
        Choice::Reject => "reject",
    }
}
