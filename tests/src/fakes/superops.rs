//! `SuperOps`: patch lists, the device script with its reports, alerts.

use std::sync::Arc;

use contracts::activities::superops::{
    CriticalAlertsInput, CriticalAlertsResult, FindRunInput, FindRunResult, ListPatchesInput,
    ListPatchesResult, PatchRow, RunScriptInput, RunScriptResult, RunState,
};
use domain::{
    patch::{PatchFacts, Severity},
    script::ScriptReport,
};
use temporalio_client::{Client, UntypedSignal, UntypedWorkflow, WorkflowSignalOptions};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    devices::Start,
    faults::failure,
    wire,
    world::{World, Worlds},
};

/// `SuperOps`.
#[derive(Debug)]
pub struct FakeSuperOps(Arc<Worlds>);

impl FakeSuperOps {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakeSuperOps {
    /// Reads a patch list.
    #[activity(definition = contracts::activities::superops::ListPatches)]
    pub async fn list_patches(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ListPatchesInput,
    ) -> Result<ListPatchesResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        answers(&world)?;
        let rows = world.read(|m| {
            let device = m.devices.get(&input.device)?;
            let rows = input.kbs.iter().filter_map(|kb| {
                Some(PatchRow {
                    facts: facts(kb),
                    state: device.state_of(kb)?,
                    failed_message: None,
                })
            });
            Some(rows.collect())
        });
        Ok(ListPatchesResult {
            rows: rows.unwrap_or_default(),
            has_more: false,
        })
    }

    /// Starts the script; its report comes as a signal, as from the callback receiver.
    #[activity(definition = contracts::activities::superops::RunScript)]
    pub async fn run_script(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: RunScriptInput,
    ) -> Result<RunScriptResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        answers(&world)?;
        let start = world.change(|m| {
            m.scripts.push(input.clone());
            let device = m.devices.get_mut(&input.device);
            device
                .and_then(|d| d.starts.pop_front())
                .unwrap_or(Start::Accepted)
        });
        let ran = match start {
            Start::Throttled => {
                return Err(failure("superops.throttled", "too many requests", true));
            }
            Start::AnswerLost { ran } => ran,
            Start::Accepted => true,
        };
        if ran {
            let workflow = ctx.info().workflow_id.clone().unwrap_or_default();
            tokio::spawn(run_on_device(world, ctx.client(), workflow, input));
        }
        if start == Start::Accepted {
            return Ok(RunScriptResult {
                action_config_id: "1".to_owned(),
            });
        }
        Err(failure("superops.ambiguous", "the answer was lost", false))
    }

    /// Reads the activity rows of a device.
    #[activity(definition = contracts::activities::superops::FindRun)]
    pub async fn find_run(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: FindRunInput,
    ) -> Result<FindRunResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        answers(&world)?;
        let state = world.read(|m| {
            let device = m.devices.get(&input.device);
            device.map_or(RunState::NotFound, |d| d.newest_run(input.since))
        });
        Ok(FindRunResult { state })
    }

    /// Lists critical alerts.
    #[activity(definition = contracts::activities::superops::CriticalAlerts)]
    pub async fn critical_alerts(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: CriticalAlertsInput,
    ) -> Result<CriticalAlertsResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        answers(&world)?;
        let alerts = world.read(|m| m.devices.get(&input.device).map(|d| d.alerts.clone()));
        Ok(CriticalAlertsResult {
            alerts: alerts.unwrap_or_default(),
        })
    }
}

/// While it is left alone nothing is sent to it.
pub(super) fn answers(world: &World) -> Result<(), ActivityError> {
    if world.read(|m| m.superops_away) {
        return Err(failure("superops.unavailable", "not asked", true));
    }
    Ok(())
}

fn facts(kb: &domain::ids::KbId) -> PatchFacts {
    PatchFacts {
        kb: kb.clone(),
        title: "Cumulative Update".to_owned(),
        severity: Severity::Important,
        category: "Security Updates".to_owned(),
        published: Some(jiff::civil::date(2026, 10, 13)),
        restart_required: Some(true),
        cves: Vec::new(),
    }
}

async fn run_on_device(world: Arc<World>, client: Client, workflow: String, input: RunScriptInput) {
    world.until_a_run_may_begin(&input.device).await;
    let done = world.change(|m| {
        // A run queued for a device that is offline does not start.
        let device = m
            .devices
            .get_mut(&input.device)
            .filter(|d| d.device.online)?;
        Some((device.run(&input), device.takes))
    });
    let Some((report, takes)) = done else { return };
    tokio::time::sleep(takes).await;
    world.until_reports_may_come(&input.device).await;
    let lost = world.change(|m| {
        let Some(device) = m.devices.get_mut(&input.device) else {
            return true;
        };
        for job in device.jobs.iter_mut().filter(|job| job.id == input.job) {
            job.reported = true;
        }
        device.reports_get_lost
    });
    if !lost {
        deliver(&client, &workflow, &report).await;
    }
}

async fn deliver(client: &Client, workflow: &str, report: &ScriptReport) {
    let input = wire::json(&serde_json::to_value(report).unwrap());
    let handle = client.get_workflow_handle::<UntypedWorkflow>(workflow);
    let signal = UntypedSignal::new("script_finished");
    if let Err(error) = handle
        .signal(signal, input, WorkflowSignalOptions::default())
        .await
    {
        // The run did not wait for it any longer.
        tracing::debug!(%error, workflow, "a report came too late");
    }
}
