//! Sealing: guardrails take devices out, what is left is written down under its hash.

use std::collections::BTreeSet;

use clients::store::SealedPlan;
use contracts::{
    activities::plans::{SealInput, SealResult},
    deployment::PlanRef,
};
use domain::{
    device::Device,
    guardrail::{ActionType, GuardrailDecision, Verdict},
    plan::{PlanDocument, PlanRequest, PlannedActions, PlannedDevice, RebootPolicy},
};

use super::{
    PlanActivities,
    resolve::{Selection, reassign, ring_refs, select},
};
use crate::{
    failure::{Outcome, bug_because},
    guardrails::{MAX_LISTED, Question, cut, guarded},
};

impl PlanActivities {
    pub(super) async fn write_plan(&self, input: SealInput) -> Outcome<SealResult> {
        let request = &input.request;
        let selection = select(&self.store, request, &input.removed, self.clock.now()).await?;
        let decision = self.decide(&input, &selection.devices).await?;
        let forbidden_count = u32::try_from(decision.forbidden.len()).unwrap_or(u32::MAX);
        let planned = allowed(&selection, request, &decision);
        let document = document(request, planned);
        let hash = document
            .hash()
            .map_err(|error| bug_because("a plan cannot be hashed", error))?;
        let mut plan = PlanRef {
            id: input.plan.clone(),
            revision: input.revision,
            hash: hash.clone(),
            rings: Vec::new(),
        };
        if decision.verdict == Verdict::Forbidden {
            return Ok(SealResult {
                plan,
                decision: cut(decision),
                forbidden_count,
                difference: Vec::new(),
            });
        }
        plan.rings = ring_refs(&request.rings, &document.devices);
        let difference = self.since_last(&input, &document).await?;
        let sealed = SealedPlan {
            plan: input.plan,
            revision: input.revision,
            hash,
            request: input.request,
            document,
        };
        self.store.executions.put_plan(sealed).await?;
        Ok(SealResult {
            plan,
            decision: cut(decision),
            forbidden_count,
            difference,
        })
    }

    async fn decide(&self, input: &SealInput, devices: &[Device]) -> Outcome<GuardrailDecision> {
        let question = Question {
            action: ActionType::InstallPatch,
            client: &input.request.client,
            kbs: input
                .request
                .patches
                .iter()
                .map(|patch| patch.kb.clone())
                .collect(),
            figures: input.figures,
            // Devices are touched only in what the plan says is its window.
            inside_window: true,
            may_reboot: input.request.reboot != RebootPolicy::Never,
        };
        self.guardrails
            .decide(question, devices.iter().map(guarded).collect())
            .await
    }

    async fn since_last(&self, input: &SealInput, document: &PlanDocument) -> Outcome<Vec<String>> {
        let Some(before) = input
            .revision
            .checked_sub(1)
            .filter(|revision| *revision > 0)
        else {
            return Ok(Vec::new());
        };
        let before = self.store.executions.get_plan(&input.plan, before).await?;
        let mut difference = before
            .map(|before| before.document.difference(document))
            .unwrap_or_default();
        difference.truncate(MAX_LISTED);
        Ok(difference)
    }
}

/// Rings of the devices that are not forbidden.
fn allowed(
    selection: &Selection,
    request: &PlanRequest,
    decision: &GuardrailDecision,
) -> Vec<PlannedDevice> {
    if decision.forbidden.is_empty() {
        return selection.planned.clone();
    }
    let forbidden: BTreeSet<_> = decision
        .forbidden
        .iter()
        .map(|forbidden| &forbidden.device)
        .collect();
    let left: Vec<&Device> = selection
        .devices
        .iter()
        .filter(|device| !forbidden.contains(&device.id))
        .collect();
    reassign(&left, &request.rings, &selection.planned)
}

fn document(request: &PlanRequest, devices: Vec<PlannedDevice>) -> PlanDocument {
    PlanDocument {
        devices,
        actions: PlannedActions {
            install: request
                .patches
                .iter()
                .map(|patch| patch.kb.clone())
                .collect(),
            reboot: request.reboot,
        },
        windows: request.windows.clone(),
        blackouts: request.blackouts.clone(),
        time_zone: request.time_zone.clone(),
        deadline: request.deadline,
        rollback: request.rollback,
    }
}
