//! Workflow `PatchDeployment`: input, result, signals, updates.

use std::collections::BTreeMap;

use domain::{
    approval::{Answer, ApprovalBook, Choice},
    deployment::{DeploymentMetrics, DeploymentStatus},
    evidence::Waiver,
    guardrail::{ApprovalNeed, Verdict},
    ids::{DeviceId, KbId, PersonId, PlanId, RequestId},
    outcome::{DeploymentOutcome, DeviceOutcome, OutcomeCounts},
    plan::{PAGE_SIZE, PlanChange, PlanDocument, PlanRequest, PlannedDevice},
    triage::IncidentKey,
    unwritten::Unwritten,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{activities::policy::Figures, device::Intent};

/// Wire name of the workflow.
pub const WORKFLOW_TYPE: &str = "PatchDeployment";
/// Longest reason a person may give, in characters.
pub const MAX_REASON: usize = 500;

/// Input of `PatchDeployment`: the request, and from the second run on what the first carried over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeploymentInput {
    /// What is asked for.
    #[serde(flatten)]
    pub request: PlanRequest,
    /// State of the run before; only the workflow itself may set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carry: Option<Box<Carry>>,
}

impl From<PlanRequest> for DeploymentInput {
    fn from(request: PlanRequest) -> Self {
        Self {
            request,
            carry: None,
        }
    }
}

// Written by hand: `flatten` and `deny_unknown_fields` do not go together, and a typo in a field
// name must be refused.
impl<'de> Deserialize<'de> for DeploymentInput {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut value = serde_json::Value::deserialize(deserializer)?;
        let carry = value.as_object_mut().and_then(|map| map.remove("carry"));
        let carry = carry
            .map(serde_json::from_value)
            .transpose()
            .map_err(|e| D::Error::custom(format!("carry: {e}")))?;
        let request = domain::input::from_json(&value).map_err(D::Error::custom)?;
        Ok(Self { request, carry })
    }
}

/// Name and size of a ring of a sealed plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingRef {
    /// Name.
    pub name: String,
    /// Devices in it.
    pub count: u32,
    /// Pages of device ids in the store.
    pub pages: u32,
}

/// A sealed plan by reference; its devices are in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRef {
    /// Plan.
    pub id: PlanId,
    /// From 1, one more with each amendment.
    pub revision: u32,
    /// Plan hash: what an approver signs.
    pub hash: String,
    /// Rings in order.
    pub rings: Vec<RingRef>,
    /// Devices that evidence is taken of first.
    #[serde(default)]
    pub evidence_first: u32,
}

/// The approval a plan runs under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// Plan hash that was cleared.
    pub plan_hash: String,
    /// What guardrails asked for; `Auto` when nobody had to be asked.
    pub verdict: Verdict,
}

/// A device that is being worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Attempt.
    pub attempt: u32,
    /// Ring index.
    pub ring: u32,
    /// When it was started.
    pub since: Timestamp,
    /// Runs in the stragglers lane: its ring does not wait for it.
    #[serde(default)]
    pub straggler: bool,
    /// Set for a rollback: how the installation it undoes had ended.
    #[serde(default)]
    pub undoes: Option<DeviceOutcome>,
}

impl InFlight {
    /// What its run is for.
    #[must_use]
    pub fn intent(&self) -> Intent {
        match self.undoes {
            Some(_) => Intent::RollBack,
            None => Intent::Install,
        }
    }
}

/// A message that arrived and is not worked off yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Pending {
    /// A decision on an approval.
    Decision {
        /// Names it.
        decision_id: String,
        /// Yes or no.
        choice: Choice,
        /// As it was sent.
        input: DecisionInput,
        /// The request that was open when it came.
        open_then: Option<RequestId>,
        /// When it came.
        at: Timestamp,
    },
    /// A control.
    Control {
        /// As it was sent.
        input: ControlInput,
        /// What is asked.
        action: domain::people::ControlAction,
        /// Update waiting for the answer.
        id: String,
        /// When it came.
        at: Timestamp,
    },
    /// A new plan.
    Amend {
        /// As it was sent.
        input: AmendInput,
        /// Update waiting for the answer.
        id: String,
        /// When it came.
        at: Timestamp,
    },
    /// A waiver of evidence.
    Waive {
        /// As it was sent.
        input: WaiveInput,
        /// Update waiting for the answer.
        id: String,
        /// When it came.
        at: Timestamp,
    },
    /// More time for approvers.
    Extend {
        /// As it was sent.
        input: ExtendInput,
        /// Update waiting for the answer.
        id: String,
        /// When it came.
        at: Timestamp,
    },
    /// Something that could not be read; it is written to the audit trail.
    Malformed {
        /// Signal it came by.
        signal: String,
        /// What is wrong with it.
        problem: String,
        /// When it came.
        at: Timestamp,
    },
}

/// What people are asked for, while they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// What policy and plan ask for.
    pub need: ApprovalNeed,
    /// Policy that asks.
    pub policy_version: String,
}

/// Who lets devices be patched without evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Waivers {
    /// For every device.
    pub all: Option<Waiver>,
    /// For one device each.
    pub devices: BTreeMap<DeviceId, Waiver>,
}

impl Waivers {
    /// Returns the waiver that holds for a device.
    #[must_use]
    pub fn of(&self, device: &DeviceId) -> Option<&Waiver> {
        self.devices.get(device).or(self.all.as_ref())
    }
}

/// Everything a run hands to the next one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carry {
    /// Where it stands.
    pub status: DeploymentStatus,
    /// Sealed plan.
    pub plan: Option<PlanRef>,
    /// Figures of the last assessment.
    pub figures: Option<Figures>,
    /// Approval it runs under.
    pub cleared: Option<Cleared>,
    /// What people are being asked for.
    #[serde(default)]
    pub asking: Option<Asking>,
    /// Approval state.
    pub book: ApprovalBook,
    /// Requests opened so far.
    pub requests: u32,
    /// Next ring, page and position in the page.
    pub cursor: Cursor,
    /// Devices being worked on.
    pub in_flight: BTreeMap<DeviceId, InFlight>,
    /// Devices left out by amendments.
    pub removed: Vec<DeviceId>,
    /// Messages not worked off yet.
    pub inbox: Vec<Pending>,
    /// Answers to controls, newest last, for repeated deliveries.
    pub control_answers: Vec<(String, ControlAnswer)>,
    /// Audit entries written so far: the ordinal of the next key.
    pub audit_ordinal: u32,
    /// Messages read so far: the ordinal of the next decision by hand.
    pub message_ordinal: u64,
    /// Who changed the plan last: under four eyes nobody approves a change of their own.
    #[serde(default)]
    pub amended_by: Option<PersonId>,
    /// Stopped by a gate.
    pub stopped_by_gate: bool,
    /// What the plan patched is being undone.
    #[serde(default)]
    pub rolling_back: bool,
    /// Why it cannot go on, once devices have been worked on.
    #[serde(default)]
    pub broken: Option<String>,
    /// Paused by a person.
    pub paused: bool,
    /// Halted, and why.
    pub halted: Option<String>,
    /// Since when people were told that it is halted.
    pub halted_at: Option<Timestamp>,
    /// Aborted by.
    pub aborted: Option<String>,
    /// When the approval was over.
    pub cleared_at: Option<Timestamp>,
    /// When the open gate's soak ends.
    pub soak_until: Option<Timestamp>,
    /// Seconds of waiting for people.
    pub approval_secs: i64,
    /// Guardrails or a change of the plan ask for another turn through planning and approval.
    pub turn_asked: Option<String>,
    /// The ring at the cursor has passed its start check.
    pub ring_open: bool,
    /// Results reported by devices, not worked off yet.
    pub finished: Vec<DeviceFinished>,
    /// When the rings were done and only stragglers are left.
    pub rings_done_at: Option<Timestamp>,
    /// When stragglers are looked for again.
    #[serde(default)]
    pub stragglers_at: Option<Timestamp>,
    /// When silent device runs are asked about.
    #[serde(default)]
    pub check_at: Option<Timestamp>,
    /// Where reading the device list again has come to.
    #[serde(default)]
    pub walk: Option<Walk>,
    /// First page of the device list on which devices in flight were found last.
    #[serde(default)]
    pub found_on: Option<u32>,
    /// Who lets devices be patched without evidence.
    #[serde(default)]
    pub waivers: Waivers,
    /// Devices that wait for a person because evidence could not be taken, and why; not told yet.
    #[serde(default)]
    pub without_evidence: BTreeMap<DeviceId, String>,
    /// What could finally not be written down.
    #[serde(default)]
    pub unwritten: Unwritten,
}

/// A round over the pages of the device list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// Page it began with.
    pub from: u32,
    /// Next page.
    pub page: u32,
    /// Devices in flight that were not found yet.
    pub missing: u32,
    /// First page on which one was.
    pub found_on: Option<u32>,
}

/// Position in a sealed plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// Ring index.
    pub ring: u32,
    /// Page of the ring.
    pub page: u32,
    /// Devices of the page already started.
    pub position: u32,
}

impl Cursor {
    /// Returns the position of every device of a sealed plan.
    #[must_use]
    pub fn places(plan: &PlanDocument) -> BTreeMap<DeviceId, Self> {
        let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let place = |device: &PlannedDevice| {
            let index = seen.entry(device.ring).or_default();
            let place = Self {
                ring: device.ring,
                page: count(*index / PAGE_SIZE),
                position: count(*index % PAGE_SIZE),
            };
            *index += 1;
            (device.id.clone(), place)
        };
        plan.devices.iter().map(place).collect()
    }
}

/// Result of `PatchDeployment`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentResult {
    /// How it ended.
    pub outcome: DeploymentOutcome,
    /// A few words.
    pub detail: String,
    /// Devices per outcome.
    pub counts: OutcomeCounts,
    /// Hash of the plan that ran.
    pub plan_hash: Option<String>,
    /// Measures; absent when nothing ran.
    #[serde(default)]
    pub metrics: Option<DeploymentMetrics>,
}

/// Signals `approve` and `reject`, and (with request and hash required) update `decide`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionInput {
    /// Who decides.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Names this decision; a repeat with the same id has no second effect.
    #[serde(default)]
    pub decision_id: Option<String>,
    /// Request meant.
    #[serde(default)]
    pub request_id: Option<RequestId>,
    /// Plan meant.
    #[serde(default)]
    pub plan_hash: Option<String>,
    /// Signature of the API; absent when sent by hand.
    #[serde(default)]
    pub proof: Option<String>,
}

/// Update `decide`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideInput {
    /// Yes or no.
    pub choice: Choice,
    /// Who decides.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Names this decision.
    #[serde(default)]
    pub decision_id: Option<String>,
    /// Request meant.
    pub request_id: RequestId,
    /// Plan meant.
    pub plan_hash: String,
    /// Signature of the API.
    #[serde(default)]
    pub proof: Option<String>,
}

/// Signals `pause`, `resume`, `abort`, `halt`; update `control` takes the action beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlInput {
    /// Who asks.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// The update that broke something; only for `halt`.
    #[serde(default)]
    pub kb: Option<KbId>,
    /// The incident that an agent halts for; only for `halt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentKey>,
    /// Signature of the API; absent when sent by hand.
    #[serde(default)]
    pub proof: Option<String>,
}

impl ControlInput {
    /// Halts what installs an update that was stopped for all clients, in the name of who has stopped
    /// it. With it goes the name of the request: a deployment that hears it again does nothing more.
    #[must_use]
    pub fn halt_for_all(by: &str, reason: &str, kb: &KbId, epoch: i64) -> (String, Self) {
        let input = Self {
            by: by.to_owned(),
            reason: Some(format!("over all clients: {reason}")),
            kb: Some(kb.clone()),
            incident: None,
            proof: None,
        };
        (format!("{by}-{kb}-{epoch}"), input)
    }
}

/// Update `amend`, also accepted as a signal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmendInput {
    /// Who asks.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// What changes.
    pub change: PlanChange,
    /// Signature of the API; absent when sent by hand.
    #[serde(default)]
    pub proof: Option<String>,
}

/// Update `extend_approval`, also accepted as a signal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtendInput {
    /// Who asks.
    pub by: String,
    /// Seconds to add to the deadline of the open request, 1 to 30 days.
    pub by_secs: u64,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Signature of the API; absent when sent by hand.
    #[serde(default)]
    pub proof: Option<String>,
}

/// Signal `waive_evidence`; update `request_waive_evidence` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaiveInput {
    /// Who waives it.
    pub by: String,
    /// Why; has to be given.
    #[serde(default)]
    pub reason: Option<String>,
    /// Only this device; all of the plan when absent.
    #[serde(default)]
    pub device: Option<DeviceId>,
    /// Signature of the API; absent when sent by hand.
    #[serde(default)]
    pub proof: Option<String>,
}

/// Signal `evidence_missing` of a device run: it waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceMissing {
    /// Device.
    pub device: DeviceId,
    /// Why evidence could not be taken.
    pub why: String,
}

/// Answer to a control, waiver, amendment or extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ControlAnswer {
    /// It takes effect.
    Done {
        /// What happens now.
        note: String,
    },
    /// It changes nothing in this state.
    NothingToDo {
        /// Why.
        note: String,
    },
    /// The person may not.
    NotAllowed {
        /// Why.
        reason: String,
    },
    /// It could not be read or used.
    Refused {
        /// What is wrong.
        problem: String,
    },
}

/// Answer of update `decide`.
pub type DecideAnswer = Answer;

/// What an approval asks of people, after policy and request are put together.
#[must_use]
pub fn stricter_need(
    policy: Option<&ApprovalNeed>,
    spec: &domain::plan::ApprovalSpec,
) -> Option<ApprovalNeed> {
    let base = match policy {
        Some(need) => need.clone(),
        None if spec.required => ApprovalNeed {
            role: domain::people::Role::Approver,
            quorum: 1,
            timeout_secs: 24 * 3600,
            escalation: None,
            on_timeout: domain::guardrail::OnTimeout::Reject,
            four_eyes: false,
        },
        None => return None,
    };
    let timeout_secs = spec
        .timeout_secs
        .map_or(base.timeout_secs, |t| t.min(base.timeout_secs));
    let escalation = match (spec.escalate_after_secs, base.escalation) {
        (Some(after), Some(escalation)) => Some(domain::guardrail::Escalation {
            after_secs: after.min(escalation.after_secs),
            ..escalation
        }),
        (Some(after_secs), None) => Some(domain::guardrail::Escalation {
            after_secs,
            role: domain::people::Role::Lead,
        }),
        (None, escalation) => escalation,
    };
    Some(ApprovalNeed {
        role: spec.role.map_or(base.role, |role| role.max(base.role)),
        quorum: spec
            .quorum
            .map_or(base.quorum, |quorum| quorum.max(base.quorum)),
        timeout_secs,
        escalation: escalation.filter(|e| e.after_secs < timeout_secs),
        // Rejecting is stricter than asking again.
        on_timeout: match (base.on_timeout, spec.on_timeout) {
            (_, Some(domain::guardrail::OnTimeout::Reject)) => domain::guardrail::OnTimeout::Reject,
            (policy, _) => policy,
        },
        four_eyes: base.four_eyes,
    })
}

/// Signal `device_finished` of `DevicePatch` to its deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFinished {
    /// Device.
    pub device: DeviceId,
    /// Attempt.
    pub attempt: u32,
    /// How it ended.
    pub outcome: DeviceOutcome,
    /// Guardrails have become stricter than the approval it ran under.
    #[serde(default)]
    pub needs_new_approval: bool,
}

#[cfg(test)]
mod tests {
    use domain::{guardrail::OnTimeout, people::Role, plan::ApprovalSpec};

    use super::*;

    fn request() -> serde_json::Value {
        serde_json::json!({
            "client": "7", "patches": [{"kb": "KB5034441"}], "devices": {"ids": ["81"]}
        })
    }

    #[test]
    fn a_request_by_hand_is_an_input_and_a_typo_is_refused() {
        let input: DeploymentInput = serde_json::from_value(request()).unwrap();
        assert!(input.carry.is_none());
        let mut typo = request();
        typo["windoes"] = serde_json::json!([]);
        let error = serde_json::from_value::<DeploymentInput>(typo)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("windoes") && error.contains("windows"),
            "{error}"
        );
    }

    #[test]
    fn a_request_can_only_make_the_policy_stricter() {
        let policy = ApprovalNeed {
            role: Role::Lead,
            quorum: 2,
            timeout_secs: 100,
            escalation: None,
            on_timeout: OnTimeout::Reject,
            four_eyes: true,
        };
        let spec = ApprovalSpec {
            role: Some(Role::Viewer),
            quorum: Some(1),
            timeout_secs: Some(1000),
            on_timeout: Some(OnTimeout::Hold),
            ..ApprovalSpec::default()
        };
        assert_eq!(stricter_need(Some(&policy), &spec), Some(policy));
        assert_eq!(stricter_need(None, &ApprovalSpec::default()), None);
        let asked = ApprovalSpec {
            required: true,
            ..ApprovalSpec::default()
        };
        assert_eq!(stricter_need(None, &asked).unwrap().role, Role::Approver);
    }
}
