//! What the plans of a campaign have in common.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{DraftPlan, MOST_CVES};
use crate::{
    evidence::EvidenceRule,
    ids::{ClientId, PersonId, PlanId},
    input::{InvalidInput, Problem},
    plan::{
        ApprovalSpec, BlackoutSpec, DeviceSelector, HealthSpec, Limits, PatchSelector, PlanRequest,
        RebootPolicy, RingSpec, RollbackSpec, Waits, WindowSpec,
    },
    plan_check::{self, MAX_CVES_IN_ALL},
};

/// A plan's deadline has to leave room for a window, and windows come once a week at least.
const ROOM_DAYS: i64 = 8;

/// What the plans of a campaign have in common; each field means what it means in a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanTemplate {
    /// Rings; one for all devices when empty.
    pub rings: Vec<RingSpec>,
    /// Maintenance windows; at any time when empty.
    pub windows: Vec<WindowSpec>,
    /// Times in which nothing is changed.
    pub blackouts: Vec<BlackoutSpec>,
    /// Zone of the windows; each site's own when absent.
    pub time_zone: Option<String>,
    /// Whether devices are restarted.
    pub reboot: RebootPolicy,
    /// What is undone when it goes wrong.
    pub rollback: RollbackSpec,
    /// When a device is healthy.
    pub health: HealthSpec,
    /// Of which devices evidence is taken first.
    pub evidence: EvidenceRule,
    /// Who is asked.
    pub approval: ApprovalSpec,
    /// How long things may take.
    pub waits: Waits,
    /// Sizes.
    pub limits: Limits,
}

impl PlanTemplate {
    /// Checks what plans of it would be refused for.
    ///
    /// # Errors
    /// Names each field as in a plan, under `plan`.
    pub fn check(&self, client: &ClientId, now: Timestamp) -> Result<(), InvalidInput> {
        let named = self.rings.iter().enumerate();
        let named = named.filter(|(_, ring)| !ring.devices.is_empty());
        let mut problems: Vec<Problem> = named
            .map(|(at, ring)| {
                let allowed =
                    "none: a campaign finds its devices; use `percent`, `count` or `tags`";
                let field = format!("plan.rings[{at}].devices");
                Problem::new(field, format!("{} devices", ring.devices.len()), allowed)
            })
            .collect();
        let sample = PlanRequest {
            devices: DeviceSelector {
                all: true,
                ..DeviceSelector::default()
            },
            ..self.around(client)
        };
        if let Err(found) = plan_check::check(&sample, now) {
            // What a sample has no devices or updates for is said of real plans.
            let of_template = |problem: &Problem| !problem.field.starts_with("patches");
            problems.extend(found.problems.into_iter().filter(of_template).map(|found| {
                let field = format!("plan.{}", found.field);
                Problem { field, ..found }
            }));
        }
        InvalidInput::when(problems)
    }

    fn around(&self, client: &ClientId) -> PlanRequest {
        PlanRequest {
            id: None,
            client: client.clone(),
            requested_by: None,
            patches: Vec::new(),
            devices: DeviceSelector::default(),
            rings: self.rings.clone(),
            windows: self.windows.clone(),
            blackouts: self.blackouts.clone(),
            time_zone: self.time_zone.clone(),
            deadline: None,
            reboot: self.reboot,
            rollback: self.rollback,
            health: self.health.clone(),
            evidence: self.evidence.clone(),
            approval: self.approval.clone(),
            waits: self.waits,
            limits: self.limits,
        }
    }

    /// Makes the request of a plan.
    #[must_use]
    pub fn request(
        &self,
        id: PlanId,
        client: &ClientId,
        requested_by: Option<&PersonId>,
        plan: &DraftPlan,
        now: Timestamp,
    ) -> PlanRequest {
        let today = TimeZone::UTC.to_datetime(now).date();
        // Closer than a window is away, or over: then as soon as windows allow.
        let reachable = plan.ranked.due.filter(|due| {
            let room = today.checked_add(ROOM_DAYS.days());
            room.is_ok_and(|room| *due >= room)
        });
        let end = reachable.and_then(|due| due.tomorrow().ok());
        let deadline = end.and_then(|end| TimeZone::UTC.to_timestamp(end.into()).ok());
        let cves = MOST_CVES.min(MAX_CVES_IN_ALL / plan.ranked.patches.len().max(1));
        let patches = plan.ranked.patches.iter().map(|patch| PatchSelector {
            kb: patch.kb.clone(),
            cves: patch.cves.iter().take(cves).cloned().collect(),
        });
        let mut request = PlanRequest {
            id: Some(id),
            requested_by: requested_by.cloned(),
            patches: patches.collect(),
            devices: DeviceSelector {
                ids: plan.devices.clone(),
                ..DeviceSelector::default()
            },
            deadline,
            ..self.around(client)
        };
        request.approval.required |= plan.ranked.needs_approval;
        request
    }
}
