//! The plan that tests start from: every wait as short as it may be.

use domain::{
    guardrail::{ApprovalNeed, OnTimeout, Verdict},
    people::Role,
    plan::{GateSpec, PlanRequest, RingSpec, Waits},
};
use serde_json::json;

use crate::model::Model;

/// The patch of most tests.
pub const KB: &str = "KB5034441";

/// Returns the request for all devices of a model, in one ring.
#[must_use]
pub fn request(model: &Model) -> PlanRequest {
    let mut request: PlanRequest = serde_json::from_value(json!({
        "client": model.client, "patches": [{ "kb": KB }], "devices": { "ids": model.devices.keys().collect::<Vec<_>>() },
        "rings": [{ "name": "all", "rest": true, "gate": { "soak_secs": 0 } }],
        "health": { "online_within_secs": 2, "soak_secs": 0 },
    }))
    .unwrap();
    request.waits = waits();
    request
}

/// Waits of a second where production waits minutes.
#[must_use]
pub fn waits() -> Waits {
    Waits {
        online_poll_secs: 1,
        callback_secs: 15,
        script_poll_secs: 1,
        script_timeout_secs: 30,
        verify_poll_secs: 1,
        verify_secs: 3,
        rescan_settle_secs: 0,
        restart_grace_secs: 0,
        lease_poll_secs: 1,
        lease_secs: 60,
        inventory_secs: 2,
        straggler_poll_secs: 1,
        max_wait_secs: 300,
        halt_secs: 300,
        pause_poll_secs: 1,
        evidence_decision_secs: 30,
        alerts_grace_secs: 1,
        call_secs: 30,
    }
}

/// Makes a ring of a number of devices whose gate opens at once.
#[must_use]
pub fn ring(name: &str, count: u32) -> RingSpec {
    let gate = GateSpec {
        soak_secs: 0,
        ..GateSpec::default()
    };
    RingSpec {
        name: name.to_owned(),
        count: Some(count),
        gate,
        ..RingSpec::default()
    }
}

/// One approver, five minutes, silence is no.
#[must_use]
pub fn need() -> ApprovalNeed {
    ApprovalNeed {
        role: Role::Approver,
        quorum: 1,
        timeout_secs: 300,
        escalation: None,
        on_timeout: OnTimeout::Reject,
        four_eyes: false,
    }
}

/// Guardrails that ask for an approval.
#[must_use]
pub fn asks(change: impl FnOnce(&mut ApprovalNeed)) -> Verdict {
    let mut need = need();
    change(&mut need);
    Verdict::NeedsApproval(need)
}
