//! What suspect devices say when `SuperOps` is asked about them.

use std::sync::Arc;

use clients::superops::SuperOps;
use contracts::activities::incidents::{FiguresResult, LookInput, ScriptRunsResult};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{Clock, Deps, failure::Outcome};

/// Steps that ask `SuperOps` about a suspect device.
#[derive(Debug)]
pub struct IncidentLookActivities {
    superops: Arc<SuperOps>,
    clock: Arc<dyn Clock>,
}

impl IncidentLookActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            superops: Arc::clone(&deps.superops),
            clock: Arc::clone(&deps.clock),
        }
    }

    async fn figures(&self, input: &LookInput) -> Outcome<FiguresResult> {
        let at = self.clock.now();
        let figures = self.superops.device_figures(&input.device).await?;
        Ok(FiguresResult { at, figures })
    }

    async fn script_runs(&self, input: &LookInput) -> Outcome<ScriptRunsResult> {
        let at = self.clock.now();
        let runs = self.superops.recent_scripts(&input.device, at).await?;
        Ok(ScriptRunsResult { at, runs })
    }
}

#[activities]
impl IncidentLookActivities {
    /// Asks how busy a device is; one request.
    #[activity(definition = contracts::activities::incidents::ReadFigures)]
    pub async fn read_figures(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: LookInput,
    ) -> Result<FiguresResult, ActivityError> {
        Ok(self.figures(&input).await?)
    }

    /// Asks which scripts ran on a device; one request.
    #[activity(definition = contracts::activities::incidents::ReadScriptRuns)]
    pub async fn read_script_runs(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: LookInput,
    ) -> Result<ScriptRunsResult, ActivityError> {
        Ok(self.script_runs(&input).await?)
    }
}
