//! Evidence of devices: which runs take it, who does without it, and telling people that it is missing.

use contracts::{
    activities::notify::NoticeKind,
    deployment::{ControlAnswer, WaiveInput},
    device::{EvidenceNeed, Intent, WaiverInput},
};
use domain::{
    audit::Actor,
    deployment::Stage,
    evidence::{StoredEvidence, Waiver},
    people::ControlAction,
};
use temporalio_workflow::{SignalWorkflowOptions, WorkflowCancellationToken, join_all};

use super::{Story, children::Start, inbox::About, state::State};
use crate::device_patch::{DevicePatch, needed_reason};

/// Devices that may be named one by one: all of it is carried over.
const MAX_WAIVERS: usize = 100;
/// Devices that a notice names.
const MAX_NAMED: usize = 10;

/// What the store knows of the evidence of a device.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// The plan asks for it.
    pub(super) first: bool,
    /// An earlier attempt has it.
    pub(super) stored: Option<StoredEvidence>,
}

/// Says what a run has to do about evidence.
pub(super) fn evidence_need(state: &State, start: &Start) -> EvidenceNeed {
    if let Some(stored) = &start.evidence.stored {
        return EvidenceNeed::Stored(stored.clone());
    }
    if start.intent == Intent::RollBack || !start.evidence.first {
        return EvidenceNeed::NotNeeded;
    }
    let ordered = state.carry.waivers.of(&start.device).cloned();
    let planned = || state.request.evidence.waiver().map(Waiver::from);
    ordered
        .or_else(planned)
        .map_or(EvidenceNeed::First, EvidenceNeed::Waived)
}

impl Story {
    pub(super) async fn work_off_waive(&self, input: &WaiveInput) -> ControlAnswer {
        let action = ControlAction::WaiveEvidence;
        let reason = match needed_reason(input.reason.as_deref()) {
            Ok(reason) => reason,
            Err(problem) => {
                let problem = problem.to_string();
                self.audit_refused(action.as_str(), &problem).await;
                return ControlAnswer::Refused { problem };
            }
        };
        let about = About {
            kb: None,
            incident: None,
            device: input.device.as_ref(),
        };
        let allowed = self
            .allow(action, &input.by, Some(&reason), about, input.proof.clone())
            .await;
        let (by, identity, _) = match allowed {
            Ok(allowed) => allowed,
            Err(answer) => return answer,
        };
        let waiver = Waiver {
            by,
            reason,
            identity,
        };
        if let Some(answer) = self.s_mut(|s| keep(s, input, &waiver)) {
            return answer;
        }
        let actor = Actor::Person {
            name: waiver.by.to_string(),
            identity,
        };
        let detail = serde_json::json!({ "why": waiver.reason, "device": input.device });
        self.audit("control_waive_evidence", actor, vec![], detail)
            .await;
        let told = self.pass_waiver_on(input, &waiver).await;
        ControlAnswer::Done {
            note: format!("told {told} runs in flight; it holds for later ones, too"),
        }
    }

    /// Runs that are over already cannot be told, and need not be.
    async fn pass_waiver_on(&self, input: &WaiveInput, waiver: &Waiver) -> usize {
        let flying = self.s(|s| s.carry.in_flight.clone());
        let meant = flying.into_iter().filter(|(device, flight)| {
            let named = input.device.as_ref();
            flight.undoes.is_none() && named.is_none_or(|named| named == device)
        });
        let runs: Vec<_> = meant
            .map(|(device, flight)| {
                let run = self.child_run(device, flight.attempt, Intent::Install);
                self.ctx.external_workflow(run.workflow_id, None)
            })
            .collect();
        let telling = runs.iter().map(|run| {
            let waiver = WaiverInput {
                by: waiver.by.to_string(),
                reason: waiver.reason.clone(),
                device: input.device.clone(),
                proof: input.proof.clone(),
            };
            let options = SignalWorkflowOptions::builder()
                .cancellation_token(WorkflowCancellationToken::new())
                .build();
            run.signal(DevicePatch::waive_evidence, waiver.into(), options)
        });
        let told = join_all(telling).await;
        told.iter().filter(|told| told.is_ok()).count()
    }

    /// Tells people which devices wait for them, those that came together in one notice.
    pub(super) async fn tell_of_missing_evidence(&self) {
        let missing = self.s_mut(|s| std::mem::take(&mut s.carry.without_evidence));
        if missing.is_empty() {
            return;
        }
        let named = missing.iter().take(MAX_NAMED);
        let named: Vec<_> = named
            .map(|(device, why)| format!("{device} ({why})"))
            .collect();
        let words = format!(
            "no evidence could be taken of {} devices, which wait for a decision: {}",
            missing.len(),
            named.join(", ")
        );
        let detail = serde_json::json!({ "devices": missing });
        self.audit("evidence_missing", Actor::Workflow, vec![], detail)
            .await;
        self.notify(NoticeKind::EvidenceMissing, words, vec![])
            .await;
    }
}

/// Keeps a waiver, or says why it changes nothing.
fn keep(state: &mut State, input: &WaiveInput, waiver: &Waiver) -> Option<ControlAnswer> {
    let carry = &mut state.carry;
    let nothing = |note: &str| {
        Some(ControlAnswer::NothingToDo {
            note: note.to_owned(),
        })
    };
    if carry.status.stage == Stage::Done || carry.aborted.is_some() {
        return nothing("the deployment is over or ending");
    }
    if carry
        .plan
        .as_ref()
        .is_none_or(|plan| plan.evidence_first == 0)
    {
        return nothing("the plan takes no evidence of any device");
    }
    let Some(device) = &input.device else {
        carry.waivers.all = Some(waiver.clone());
        return None;
    };
    let devices = &mut carry.waivers.devices;
    if devices.len() >= MAX_WAIVERS && !devices.contains_key(device) {
        let problem =
            format!("device: `{device}` is not allowed: at most {MAX_WAIVERS} devices one by one");
        return Some(ControlAnswer::Refused { problem });
    }
    devices.insert(device.clone(), waiver.clone());
    None
}
