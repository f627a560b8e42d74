//! Counts while devices come by: no more than one of them is held at a time.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    ApprovalReport, Due, Fate, Fates, MOST_NAMED, PlanReport, Report, Standing, Totals,
    UpdateReport,
};
use crate::{
    campaign::{Campaign, CampaignPlan, PlanAdvice, PlanState},
    deployment::DeploymentStatus,
    ids::{DeviceId, KbId, PlanId},
    outcome::{DeviceOutcome, DeviceResult},
};

/// The newest end of a device in a plan.
#[derive(Debug, Clone, Copy)]
pub struct SeenDevice<'a> {
    /// How it ended.
    pub result: &'a DeviceResult,
    /// Index of the ring.
    pub ring: u32,
    /// Attempt, from 1.
    pub attempt: u32,
    /// When it was written.
    pub at: Timestamp,
}

/// A plan and device, and what became of them: a line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLine {
    /// Plan.
    pub plan: PlanId,
    /// Device.
    pub device: DeviceId,
    /// What became of it.
    pub fate: Fate,
    /// Its outcome; absent while it has none.
    #[serde(default)]
    pub outcome: Option<DeviceOutcome>,
    /// A few words for people.
    #[serde(default)]
    pub detail: String,
    /// What became of each update.
    pub updates: Vec<(KbId, Fate)>,
    /// Index of the ring.
    #[serde(default)]
    pub ring: Option<u32>,
    /// Attempt, from 1.
    #[serde(default)]
    pub attempt: Option<u32>,
    /// When the outcome was written.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// Makes a report: a plan, then its devices, then the next plan.
#[derive(Debug)]
pub struct ReportBuilder {
    report: Report,
    /// What a model said of plans.
    advice: BTreeMap<PlanId, PlanAdvice>,
    /// Devices that the plan under way was drafted for, and that have not come by.
    missing: u64,
}

impl ReportBuilder {
    /// Begins with what the campaign itself says.
    #[must_use]
    pub fn new(campaign: &Campaign, at: Timestamp) -> Self {
        let left_out = campaign.left_out.iter().map(|left| left.pairs).sum();
        let report = Report {
            campaign: campaign.id.clone(),
            client: campaign.client.clone(),
            workflow_id: campaign.workflow_id.clone(),
            drafted_at: campaign.drafted_at,
            written_at: at,
            totals: Totals {
                client_devices: campaign.devices,
                left_out,
                ..Totals::default()
            },
            plans: Vec::new(),
            degraded: campaign.degraded(),
            updates: BTreeMap::new(),
            look_after: Vec::new(),
            left_out: campaign.left_out.clone(),
            unread: campaign.unread,
            without_facts: campaign.without_facts.clone(),
            software: campaign.software.clone(),
        };
        let advice = campaign.advice.as_ref();
        Self {
            report,
            advice: advice
                .map(|advice| advice.plans.clone())
                .unwrap_or_default(),
            missing: 0,
        }
    }

    /// Goes on to a plan; `status` is that of its deployment, when there is one.
    pub fn plan(&mut self, plan: &CampaignPlan, status: Option<&DeploymentStatus>) {
        self.end_plan();
        self.missing = plan.devices;
        let standing = standing(&plan.state, status);
        for patch in &plan.ranked.patches {
            let update = self.report.updates.entry(patch.kb.clone());
            let update = update.or_insert_with(|| UpdateReport {
                title: patch.title.clone(),
                ..UpdateReport::default()
            });
            update.plans += 1;
            update.closes = update.closes.max(patch.closes);
        }
        self.report.plans.push(PlanReport {
            plan: plan.plan.clone(),
            patches: plan.ranked.patches.clone(),
            devices: Fates::default(),
            band: plan.ranked.band,
            due_day: plan.ranked.due,
            due: Due::of(plan.ranked.due, &standing, day(self.report.written_at)),
            approval: status.and_then(approval),
            reasons: plan.ranked.reasons.clone(),
            impact: plan.ranked.impact.clone(),
            schedule: plan.ranked.schedule.clone(),
            advice: self.advice.get(&plan.plan).cloned(),
            standing,
        });
    }

    /// Returns the plan under way, as far as it was counted.
    #[must_use]
    pub fn current(&self) -> Option<&PlanReport> {
        self.report.plans.last()
    }

    /// Counts a device of the plan that has ended; `None` before the first plan.
    pub fn seen(&mut self, device: SeenDevice<'_>) -> Option<DeviceLine> {
        let DeviceResult {
            device: id,
            outcome,
            detail,
            patches,
            evidence: _,
        } = device.result;
        let mut line = self.line(id, Some(*outcome))?;
        for (kb, fate) in &mut line.updates {
            if let Some(patch) = patches.iter().find(|patch| patch.kb == *kb) {
                // A device that is on the stragglers lane is not over, whatever its updates say.
                let over = self.report.plans.last()?.standing.is_over();
                *fate = Fate::of(Some(patch.outcome), over);
            }
        }
        line.detail.clone_from(detail);
        line.ring = Some(device.ring);
        line.attempt = Some(device.attempt);
        line.at = Some(device.at);
        self.count(&line);
        Some(line)
    }

    /// Counts a device of the plan that has not ended; `None` before the first plan.
    pub fn unseen(&mut self, device: &DeviceId) -> Option<DeviceLine> {
        let line = self.line(device, None)?;
        self.count(&line);
        Some(line)
    }

    /// Ends with the sums.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.end_plan();
        let Report { plans, totals, .. } = &mut self.report;
        for plan in plans {
            totals.devices.merge(&plan.devices);
            *totals.due.entry(plan.due).or_default() += 1;
        }
        for update in self.report.updates.values() {
            self.report.totals.pairs.merge(&update.devices);
        }
        self.report
    }

    fn line(&self, device: &DeviceId, outcome: Option<DeviceOutcome>) -> Option<DeviceLine> {
        let plan = self.report.plans.last()?;
        let fate = Fate::of(outcome, plan.standing.is_over());
        let updates = plan.patches.iter().map(|patch| (patch.kb.clone(), fate));
        Some(DeviceLine {
            plan: plan.plan.clone(),
            device: device.clone(),
            fate,
            outcome,
            detail: String::new(),
            updates: updates.collect(),
            ring: None,
            attempt: None,
            at: None,
        })
    }

    fn count(&mut self, line: &DeviceLine) {
        self.missing = self.missing.saturating_sub(1);
        let report = &mut self.report;
        if let Some(plan) = report.plans.last_mut() {
            plan.devices.add(line.fate, 1);
        }
        for (kb, fate) in &line.updates {
            report
                .updates
                .entry(kb.clone())
                .or_default()
                .devices
                .add(*fate, 1);
        }
        if line.fate.needs_somebody() && report.look_after.len() < MOST_NAMED {
            report.look_after.push(line.clone());
        }
    }

    /// Devices whose names the store has forgotten count all the same.
    fn end_plan(&mut self) {
        let missing = std::mem::take(&mut self.missing);
        let Some(plan) = self.report.plans.last_mut() else {
            return;
        };
        let fate = Fate::of(None, plan.standing.is_over());
        plan.devices.add(fate, missing);
        for patch in &plan.patches {
            let update = self.report.updates.entry(patch.kb.clone()).or_default();
            update.devices.add(fate, missing);
        }
    }
}

/// The day in UTC: campaigns count so.
pub(super) fn day(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// A deployment that is known was started, even if nobody has noted it at the campaign.
fn standing(state: &PlanState, status: Option<&DeploymentStatus>) -> Standing {
    match (status, state) {
        (Some(status), _) => match status.outcome {
            // The last word about a deployment is written when it ends.
            Some(outcome) => Standing::Ended {
                outcome,
                at: status.updated_at,
            },
            None => Standing::Open {
                stage: status.stage,
                note: status.note.clone(),
            },
        },
        (None, PlanState::Waiting) => Standing::Waiting,
        (None, PlanState::Started { .. }) => Standing::Unknown,
        (None, PlanState::Refused { why }) => Standing::Refused { why: why.clone() },
    }
}

fn approval(status: &DeploymentStatus) -> Option<ApprovalReport> {
    let request = status.approval.as_ref()?;
    Some(ApprovalReport {
        role: request.role,
        quorum: request.quorum,
        asked_at: request.opened_at,
        deadline: request.deadline,
        is_open: status.needs_approval,
        approved_by: status.approved_by.clone(),
    })
}
