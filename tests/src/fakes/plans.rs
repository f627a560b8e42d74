//! Plans: rings are assigned by the real rule, revisions are kept in the model.

use std::{collections::BTreeSet, sync::Arc};

use contracts::activities::plans::{
    CheckChildrenInput, CheckChildrenResult, CheckInput, DifferenceInput, DifferenceResult,
    EndedChild, GiveUpResult, InstalledResult, LoadPageInput, LoadPageResult, PlanPageInput,
    ResolveInput, ResolveResult, SealInput, SealResult, Straggler, StragglersInput,
    StragglersResult,
};
use contracts::deployment::Cursor;
use domain::{
    ids::{DeviceId, KbId},
    outcome::DeviceOutcome,
    plan_check,
};
use jiff::Timestamp;
use temporalio_client::{UntypedWorkflow, WorkflowDescribeOptions, WorkflowExecutionStatus};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use super::{
    invalid,
    planning::{load_page, resolve, seal},
};
use crate::{model::Row, world::Worlds};

/// Plans.
#[derive(Debug)]
pub struct FakePlans(Arc<Worlds>);

impl FakePlans {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakePlans {
    /// Checks a request by the real rules.
    #[activity(definition = contracts::activities::plans::Check)]
    pub async fn check(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: CheckInput,
    ) -> Result<(), ActivityError> {
        plan_check::check(&input.request, Timestamp::now()).map_err(|e| invalid(&e))
    }

    /// Finds devices in the model.
    #[activity(definition = contracts::activities::plans::Resolve)]
    pub async fn resolve(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ResolveInput,
    ) -> Result<ResolveResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        world
            .read(|m| resolve(m, &input.request, &input.removed))
            .map_err(|e| invalid(&e))
    }

    /// Takes forbidden devices out and keeps the exact plan.
    #[activity(definition = contracts::activities::plans::Seal)]
    pub async fn seal(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: SealInput,
    ) -> Result<SealResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        world.change(|m| seal(m, &input)).map_err(|e| invalid(&e))
    }

    /// Reads a page of a ring.
    #[activity(definition = contracts::activities::plans::LoadPage)]
    pub async fn load_page(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: LoadPageInput,
    ) -> Result<LoadPageResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        Ok(world.read(|m| load_page(m, &input)))
    }

    /// Finds stragglers that are online.
    #[activity(definition = contracts::activities::plans::NextStragglers)]
    pub async fn next_stragglers(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: StragglersInput,
    ) -> Result<StragglersResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        Ok(world.read(|m| {
            let plan = &m.plans[&input.revision];
            let places = Cursor::places(plan);
            let marked = plan.devices.iter().filter(|d| d.evidence);
            let marked: BTreeSet<_> = marked.map(|d| &d.id).collect();
            let waiting = m.rows.iter().filter(|(id, row)| {
                row.result.outcome == DeviceOutcome::Deferred
                    && places.get(*id).is_some_and(|place| *place < input.before)
            });
            let waiting: Vec<_> = waiting.collect();
            let ready = waiting
                .iter()
                .filter(|(id, _)| m.devices[*id].device.online);
            StragglersResult {
                waiting: u32::try_from(waiting.len()).unwrap_or(u32::MAX),
                ready: ready
                    .take(input.limit as usize)
                    .map(|(id, row)| Straggler {
                        evidence_first: marked.contains(id),
                        ..straggler(id, row)
                    })
                    .collect(),
            }
        }))
    }

    /// Writes waiting stragglers down as unreached.
    #[activity(definition = contracts::activities::plans::GiveUpStragglers)]
    pub async fn give_up_stragglers(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: PlanPageInput,
    ) -> Result<GiveUpResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        Ok(world.change(|m| {
            for row in m.rows.values_mut() {
                if row.result.outcome == DeviceOutcome::Deferred {
                    row.result.outcome = DeviceOutcome::Unreached;
                    row.attempt += 1;
                    m.given_up += 1;
                }
            }
            GiveUpResult {
                given_up: m.given_up,
                cursor: None,
            }
        }))
    }

    /// Lists patched devices.
    #[activity(definition = contracts::activities::plans::ListInstalled)]
    pub async fn list_installed(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: PlanPageInput,
    ) -> Result<InstalledResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        Ok(world.read(|m| {
            let patched = m.rows.iter().filter(|(_, row)| !installed(row).is_empty());
            InstalledResult {
                devices: patched.map(|(id, row)| straggler(id, row)).collect(),
                cursor: None,
            }
        }))
    }

    /// Asks the server which device runs are over.
    #[activity(definition = contracts::activities::plans::CheckChildren)]
    pub async fn check_children(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: CheckChildrenInput,
    ) -> Result<CheckChildrenResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        let mut ended = Vec::new();
        for run in input.runs {
            let client = ctx.client();
            let handle = client.get_workflow_handle::<UntypedWorkflow>(run.workflow_id.as_str());
            let described = handle.describe(WorkflowDescribeOptions::default()).await;
            let runs = described.is_ok_and(|d| d.status() == WorkflowExecutionStatus::Running);
            if !runs {
                let row = world.read(|m| m.rows.get(&run.device).cloned());
                let row = row.filter(|row| row.attempt >= run.attempt);
                let outcome = row.map_or(DeviceOutcome::NeedsHuman, |row| row.result.outcome);
                ended.push(EndedChild {
                    device: run.device,
                    attempt: run.attempt,
                    outcome,
                });
            }
        }
        Ok(CheckChildrenResult { ended })
    }

    /// Says how two revisions differ.
    #[activity(definition = contracts::activities::plans::Difference)]
    pub async fn difference(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: DifferenceInput,
    ) -> Result<DifferenceResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        Ok(world.read(|m| {
            let by_hash = |hash: &str| {
                m.plans
                    .values()
                    .find(|p| p.hash().ok().as_deref() == Some(hash))
            };
            let difference = match (by_hash(&input.meant), by_hash(&input.current)) {
                (Some(meant), Some(current)) => meant.difference(current),
                _ => vec!["never a plan of this deployment".to_owned()],
            };
            DifferenceResult { difference }
        }))
    }
}

pub(super) fn installed(row: &Row) -> Vec<KbId> {
    let ours = row.result.patches.iter().filter(|p| p.outcome.is_success());
    ours.map(|p| p.kb.clone()).collect()
}

fn straggler(id: &DeviceId, row: &Row) -> Straggler {
    Straggler {
        installed: installed(row),
        device: id.clone(),
        ring: row.ring,
        attempts: row.attempt,
        outcome: row.result.outcome,
        evidence_first: false,
        evidence: row.result.evidence.clone(),
    }
}
