//! `SuperOps` calls about one device; one HTTP request each, but for reading a run back, which takes
//! up to [`MAX_ACTIVITY_PAGES`] on a device where much else runs.

use std::sync::{Arc, Mutex, PoisonError};

use clients::{
    callback::device_token,
    secret::Secret,
    services,
    superops::{ActivityRow, SuperOps},
};
use contracts::activities::superops::{
    CriticalAlertsInput, CriticalAlertsResult, FindRunInput, FindRunResult, ListPatchesInput,
    ListPatchesResult, PatchRow, RunScriptInput, RunScriptResult, RunState,
};
use domain::{
    failure::{Classify, FailureKind},
    script::SCRIPT_NAME,
};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    Deps,
    failure::{Outcome, bug},
};

/// Path of the callback receiver.
const CALLBACK_PATH: &str = "/callbacks/device-script";
/// How far the clocks of `SuperOps` and ours may be apart.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(2);
/// Longest failure text of the vendor that is passed on, in characters.
const MAX_FAILED_MESSAGE: usize = 300;
/// Most alerts that are named.
const MAX_ALERTS: usize = 20;
/// Most pages of activity that are read back: 300 script runs since one of ours began are not to be
/// expected, and each page is a request of the shared budget.
const MAX_ACTIVITY_PAGES: u32 = 3;

/// `SuperOps`.
#[derive(Debug)]
pub struct SuperOpsActivities {
    superops: Arc<SuperOps>,
    master_key: Secret,
    callback_url: String,
    /// Id of the device script, once it was found and its variables were checked.
    script: Mutex<Option<String>>,
}

impl SuperOpsActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            superops: Arc::clone(&deps.superops),
            master_key: deps.settings.device_master_key.clone(),
            callback_url: format!(
                "{}{CALLBACK_PATH}",
                deps.settings.callback_url.trim_end_matches('/')
            ),
            script: Mutex::new(None),
        }
    }
}

#[activities]
impl SuperOpsActivities {
    /// Reads a page of a device's patch list.
    #[activity(definition = contracts::activities::superops::ListPatches)]
    pub async fn list_patches(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ListPatchesInput,
    ) -> Result<ListPatchesResult, ActivityError> {
        Ok(self.patches(&input).await?)
    }

    /// Starts the device script. Ambiguous failures must be read back before another try.
    #[activity(definition = contracts::activities::superops::RunScript)]
    pub async fn run_script(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: RunScriptInput,
    ) -> Result<RunScriptResult, ActivityError> {
        Ok(self.start(&input).await?)
    }

    /// Reads the device's activity rows.
    #[activity(definition = contracts::activities::superops::FindRun)]
    pub async fn find_run(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: FindRunInput,
    ) -> Result<FindRunResult, ActivityError> {
        Ok(self.run_state(&input).await?)
    }

    /// Reads the device's newest alerts.
    #[activity(definition = contracts::activities::superops::CriticalAlerts)]
    pub async fn critical_alerts(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: CriticalAlertsInput,
    ) -> Result<CriticalAlertsResult, ActivityError> {
        Ok(self.alerts(&input).await?)
    }
}

impl SuperOpsActivities {
    async fn patches(&self, input: &ListPatchesInput) -> Outcome<ListPatchesResult> {
        let page = self
            .superops
            .device_patches(&input.device, input.page)
            .await?;
        let asked = page
            .items
            .into_iter()
            .filter(|row| input.kbs.contains(&row.facts.kb));
        let rows = asked.map(|row| PatchRow {
            facts: row.facts,
            state: row.state,
            failed_message: row
                .failed_message
                .map(|text| text.chars().take(MAX_FAILED_MESSAGE).collect()),
        });
        Ok(ListPatchesResult {
            rows: rows.collect(),
            has_more: page.has_more,
        })
    }

    async fn start(&self, input: &RunScriptInput) -> Outcome<RunScriptResult> {
        let master_key = self.master_key.current().await;
        if master_key.expose_secret().is_empty() {
            return Err(bug("no master key is set: any device could forge reports"));
        }
        let script = self.script_id().await?;
        let token = device_token(&master_key, &input.job, &input.device);
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let arguments = [
            ("mode", input.mode.to_string()),
            (
                "kb",
                input
                    .kb
                    .as_ref()
                    .map(|kb| kb.digits().to_owned())
                    .unwrap_or_default(),
            ),
            ("jobId", input.job.to_string()),
            ("device", input.device.to_string()),
            ("notBefore", time(input.not_before)),
            ("notAfter", time(Some(input.not_after))),
            ("services", services::written(&input.services)),
            ("callbackUrl", self.callback_url.clone()),
            ("token", token.expose_secret().to_owned()),
        ];
        let run = self
            .superops
            .run_script(&input.device, &script, &arguments)
            .await;
        if let Err(error) = &run
            && matches!(
                error.kind(),
                FailureKind::NotFound | FailureKind::InvalidInput
            )
        {
            // The script may have been replaced: look it up again before the next run.
            *self.known_script() = None;
        }
        Ok(RunScriptResult {
            action_config_id: run?.action_config_id,
        })
    }

    /// Finds the script once; one that does not take exactly our variables is never run.
    async fn script_id(&self) -> Outcome<String> {
        let known = self.known_script().clone();
        if let Some(id) = known {
            return Ok(id);
        }
        let script = self.superops.find_script(SCRIPT_NAME).await?;
        script.check_variables()?;
        *self.known_script() = Some(script.id.clone());
        Ok(script.id)
    }

    fn known_script(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads pages until one reaches back to before the run, or says that it still runs.
    async fn run_state(&self, input: &FindRunInput) -> Outcome<FindRunResult> {
        let mut rows = Vec::new();
        for number in 1..=MAX_ACTIVITY_PAGES {
            let page = self.superops.device_activity(&input.device, number).await?;
            let mut times = page.items.iter().filter_map(|row| row.created_at);
            let (first, last) = (times.next(), times.next_back());
            // A page of oldest rows first says nothing about the pages after it.
            let reaches_back =
                last.or(first).is_some_and(|at| !is_since(at, input.since)) && first >= last;
            rows.extend(page.items);
            if !page.has_more
                || reaches_back
                || newest_state(&rows, input.since) == RunState::Running
            {
                break;
            }
        }
        Ok(FindRunResult {
            state: newest_state(&rows, input.since),
        })
    }

    async fn alerts(&self, input: &CriticalAlertsInput) -> Outcome<CriticalAlertsResult> {
        let page = self.superops.device_alerts(&input.device, 1).await?;
        let new = page.items.into_iter().filter(|alert| {
            alert.severity.eq_ignore_ascii_case("critical")
                && !alert.status.eq_ignore_ascii_case("resolved")
                && alert.created_at.is_none_or(|at| is_since(at, input.since))
        });
        Ok(CriticalAlertsResult {
            alerts: new.map(|alert| alert.id).take(MAX_ALERTS).collect(),
        })
    }
}

/// Reads the state of the newest run of our script since a time. One that still runs beats any that
/// ended: rows of one minute have no order, and a job that was sent twice has two.
fn newest_state(rows: &[ActivityRow], since: Timestamp) -> RunState {
    let ours = rows
        .iter()
        .filter(|row| row.name.as_deref() == Some(SCRIPT_NAME));
    let dated = ours.filter_map(|row| Some((row.created_at?, row)));
    let mut newest: Option<(Timestamp, RunState)> = None;
    for (at, row) in dated.filter(|(at, _)| is_since(*at, since)) {
        let state = state_of(row.status.as_deref().unwrap_or_default());
        if state == RunState::Running {
            return state;
        }
        // Of rows of the same minute the first one listed counts.
        if newest.is_none_or(|(known, _)| at > known) {
            newest = Some((at, state));
        }
    }
    newest.map_or(RunState::NotFound, |(_, state)| state)
}

/// Whether something of the service's clock happened since a time of ours. A row may lack seconds: a
/// whole minute means any second of it.
fn is_since(at: Timestamp, since: Timestamp) -> bool {
    let since = since.checked_sub(CLOCK_SKEW).unwrap_or(Timestamp::MIN);
    let is_whole_minute = at.as_second().rem_euclid(60) == 0 && at.subsec_nanosecond() == 0;
    let whole_minute_of_since = since.as_second() - since.as_second().rem_euclid(60);
    at >= since || (is_whole_minute && at.as_second() >= whole_minute_of_since)
}

fn state_of(status: &str) -> RunState {
    match status.to_ascii_lowercase().as_str() {
        "running" => RunState::Running,
        "completed" => RunState::Completed,
        "failed" => RunState::Failed,
        _ => RunState::Unknown,
    }
}

#[cfg(test)]
mod tests;
