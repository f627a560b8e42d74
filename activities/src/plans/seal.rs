//! Sealing: guardrails take devices out, what is left is written down under its hash.
//!
//! What was written stays: a retry reads the plan of the try before it, and does not make another
//! one of an inventory or policies that changed meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use clients::store::{SealedPlan, StoreError};
use contracts::{
    activities::plans::{SealInput, SealResult},
    deployment::PlanRef,
};
use domain::{
    device::Device,
    guardrail::{ActionType, GuardedDevice, GuardrailDecision, Verdict},
    ids::DeviceId,
    plan::{PlanDocument, PlanRequest, PlannedActions, PlannedDevice, RebootPolicy},
};

use super::{
    PlanActivities, devices_of,
    resolve::{Selection, reassign, ring_refs, select},
};
use crate::{
    failure::{Outcome, bug_because},
    guardrails::{MAX_LISTED, Question, cut, guarded},
    policy::with_missing,
};

impl PlanActivities {
    pub(super) async fn write_plan(&self, input: SealInput) -> Outcome<SealResult> {
        if let Some(stored) = self.sealed_before(&input).await? {
            return self.read_again(&input, stored).await;
        }
        let request = &input.request;
        let selection = select(&self.store, request, &input.removed, self.clock.now()).await?;
        let devices = selection.devices.iter().map(guarded).collect();
        let decision = self.decide(&input, devices).await?;
        let forbidden_count = count(decision.forbidden.len());
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
            evidence_first: document.evidence_first(),
        };
        let decision = cut(decision);
        if decision.verdict == Verdict::Forbidden {
            return Ok(SealResult {
                plan,
                decision,
                forbidden_count,
                difference: Vec::new(),
            });
        }
        plan.rings = ring_refs(&request.rings, &document.devices);
        let difference = self.since_last(&input, &document).await?;
        let sealed = SealedPlan {
            plan: input.plan.clone(),
            revision: input.revision,
            hash,
            request: input.request.clone(),
            removed: input.removed.clone(),
            forbidden: decision.forbidden.clone(),
            forbidden_count,
            document,
        };
        match self.store.executions.put_plan(sealed).await {
            Ok(()) => Ok(SealResult {
                plan,
                decision,
                forbidden_count,
                difference,
            }),
            // A try that was given up may have written after this one had looked.
            Err(conflict @ StoreError::Conflict { .. }) => {
                match self.sealed_before(&input).await? {
                    Some(stored) => self.read_again(&input, stored).await,
                    None => Err(conflict.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Finds what an earlier try made of the same request.
    async fn sealed_before(&self, input: &SealInput) -> Outcome<Option<SealedPlan>> {
        let executions = &self.store.executions;
        let stored = executions.get_plan(&input.plan, input.revision).await?;
        Ok(stored
            .filter(|stored| stored.request == input.request && stored.removed == input.removed))
    }

    /// Returns a plan that was written before, with what today's guardrails say about its devices.
    /// The plan stays as it is: a device that is forbidden by now is stopped where every ring and
    /// every device ask again.
    async fn read_again(&self, input: &SealInput, stored: SealedPlan) -> Outcome<SealResult> {
        let inventory: BTreeMap<DeviceId, GuardedDevice> =
            devices_of(&self.store, &input.request.client)
                .await?
                .iter()
                .map(|device| (device.id.clone(), guarded(device)))
                .collect();
        let (mut known, mut missing) = (Vec::new(), Vec::new());
        for planned in &stored.document.devices {
            match inventory.get(&planned.id) {
                Some(device) => known.push(device.clone()),
                None => missing.push(planned.id.clone()),
            }
        }
        let mut decision = with_missing(self.decide(input, known).await?, missing);
        let forbidden_count = stored.forbidden_count + count(decision.forbidden.len());
        decision.forbidden.splice(0..0, stored.forbidden);
        let rings = match decision.verdict {
            Verdict::Forbidden => Vec::new(),
            _ => ring_refs(&stored.request.rings, &stored.document.devices),
        };
        let difference = self.since_last(input, &stored.document).await?;
        Ok(SealResult {
            plan: PlanRef {
                id: stored.plan,
                revision: stored.revision,
                hash: stored.hash,
                rings,
                evidence_first: stored.document.evidence_first(),
            },
            decision: cut(decision),
            forbidden_count,
            difference,
        })
    }

    async fn decide(
        &self,
        input: &SealInput,
        devices: Vec<GuardedDevice>,
    ) -> Outcome<GuardrailDecision> {
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
        self.guardrails.decide(question, devices).await
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
        evidence_waived: request.evidence.waiver().cloned(),
    }
}

fn count(devices: usize) -> u32 {
    u32::try_from(devices).unwrap_or(u32::MAX)
}
