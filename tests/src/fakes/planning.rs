//! How the fake plans are made: the real rule for rings, revisions kept in the model.

use contracts::{
    activities::plans::{
        LoadPageInput, LoadPageResult, PageDevice, ResolveResult, SealInput, SealResult,
    },
    deployment::{PlanRef, RingRef},
};
use domain::{
    device::Device,
    evidence::EvidenceRule,
    guardrail::ForbiddenDevice,
    ids::DeviceId,
    input::{InvalidInput, Problem},
    outcome::DeviceOutcome,
    plan::{PAGE_SIZE, PlanDocument, PlanRequest, PlannedActions, PlannedDevice},
    rings,
    risk::DeviceSummary,
};

use crate::model::{Model, Row};

fn select(
    model: &Model,
    request: &PlanRequest,
    removed: &[DeviceId],
) -> Result<Vec<Device>, InvalidInput> {
    for (i, id) in request.devices.ids.iter().enumerate() {
        if !model.devices.contains_key(id) {
            let field = format!("devices.ids[{i}]");
            return Err(InvalidInput::one(Problem::new(
                field,
                id,
                "a device of the client",
            )));
        }
    }
    let meant = |device: &Device| {
        request.devices.all
            || request.devices.ids.contains(&device.id)
            || (!request.devices.tags.is_empty() && request.devices.tags.is_subset(&device.tags))
    };
    let known = model.devices.values().map(|d| d.device.clone());
    Ok(known
        .filter(|d| meant(d) && !removed.contains(&d.id))
        .collect())
}

fn assign(
    model: &Model,
    devices: &[Device],
    request: &PlanRequest,
) -> Result<Vec<PlannedDevice>, InvalidInput> {
    let mut planned = rings::assign(&devices.iter().collect::<Vec<_>>(), &request.rings)?;
    for device in &mut planned {
        device.evidence =
            request.evidence == EvidenceRule::Required || model.forensic.contains(&device.id);
    }
    Ok(planned)
}

fn marked(planned: &[PlannedDevice]) -> u32 {
    let marked = planned.iter().filter(|device| device.evidence);
    u32::try_from(marked.count()).unwrap_or(u32::MAX)
}

fn ring_refs(request: &PlanRequest, planned: &[PlannedDevice]) -> Vec<RingRef> {
    let names: Vec<String> = if request.rings.is_empty() {
        vec!["all".to_owned()]
    } else {
        request.rings.iter().map(|r| r.name.clone()).collect()
    };
    let sized = names.into_iter().enumerate().map(|(index, name)| {
        let count = planned.iter().filter(|p| p.ring as usize == index).count();
        RingRef {
            name,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            pages: u32::try_from(count.div_ceil(PAGE_SIZE)).unwrap_or(u32::MAX),
        }
    });
    sized.collect()
}

pub(super) fn resolve(
    model: &Model,
    request: &PlanRequest,
    removed: &[DeviceId],
) -> Result<ResolveResult, InvalidInput> {
    let devices = select(model, request, removed)?;
    let planned = assign(model, &devices, request)?;
    let total = u32::try_from(model.devices.len()).unwrap_or(u32::MAX);
    let most = request.limits.detail_probes as usize;
    Ok(ResolveResult {
        devices: DeviceSummary::of(&devices, total),
        rings: ring_refs(request, &planned),
        probes: devices.iter().take(most).map(|d| d.id.clone()).collect(),
        evidence_first: marked(&planned),
        probes_are_all: devices.len() <= most,
    })
}

pub(super) fn seal(model: &mut Model, input: &SealInput) -> Result<SealResult, InvalidInput> {
    let request = &input.request;
    let mut devices = select(model, request, &input.removed)?;
    let before = devices.len();
    devices.retain(|d| !model.forbidden.contains(&d.id));
    let document = PlanDocument {
        devices: assign(model, &devices, request)?,
        actions: PlannedActions {
            install: request.patches.iter().map(|p| p.kb.clone()).collect(),
            reboot: request.reboot,
        },
        windows: request.windows.clone(),
        blackouts: request.blackouts.clone(),
        time_zone: request.time_zone.clone(),
        deadline: request.deadline,
        rollback: request.rollback,
        evidence_waived: request.evidence.waiver().cloned(),
    };
    let mut decision = model.decision();
    decision.forbidden = model
        .forbidden
        .iter()
        .map(|device| ForbiddenDevice {
            device: device.clone(),
            policies: vec!["test/policy".to_owned()],
        })
        .collect();
    let last = model.plans.get(&(input.revision - 1));
    let difference = last.map_or_else(Vec::new, |last| last.difference(&document));
    let plan = PlanRef {
        id: input.plan.clone(),
        revision: input.revision,
        hash: document.hash().unwrap(),
        rings: ring_refs(request, &document.devices),
        evidence_first: document.evidence_first(),
    };
    model.plans.insert(input.revision, document);
    Ok(SealResult {
        plan,
        decision,
        forbidden_count: u32::try_from(before - devices.len()).unwrap_or(u32::MAX),
        difference,
    })
}

pub(super) fn load_page(model: &Model, input: &LoadPageInput) -> LoadPageResult {
    let ring = model.plans[&input.revision]
        .devices
        .iter()
        .filter(|p| p.ring == input.ring);
    let page = ring.skip(input.page as usize * PAGE_SIZE).take(PAGE_SIZE);
    let devices = page.map(|planned| {
        let row = model.rows.get(&planned.id);
        let deferred = |row: &&Row| row.result.outcome == DeviceOutcome::Deferred;
        PageDevice {
            id: planned.id.clone(),
            // Only looked up when the deployment knows that there are any.
            evidence_first: input.evidence && planned.evidence,
            evidence: row.and_then(|r| r.result.evidence.clone()),
            settled: row.filter(|r| !deferred(r)).map(|r| r.result.outcome),
            attempts: row.filter(deferred).map_or(0, |r| r.attempt),
            installed: row
                .filter(deferred)
                .map_or_else(Vec::new, super::plans::installed),
        }
    });
    LoadPageResult {
        devices: devices.collect(),
    }
}
