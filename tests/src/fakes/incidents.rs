//! Incidents: the real steps on the store and the memory of the world, with its model if it has one; and devices that
//! answer.

use std::sync::Arc;

use activities::{SystemClock, alerts::Alerting, incidents::IncidentActivities};
use contracts::activities::{
    alerts::{CloseIncidentInput, LoadIncidentInput},
    incidents::{
        AdviseInput, ExplainInput, FiguresResult, LookInput, MeasureInput, MetricsResult,
        NarrateInput, RememberInput, RememberResult, ScriptRunsResult,
    },
};
use domain::{
    cause::{CauseReport, Figures, Measure, Measured, ScriptRuns},
    triage::IncidentRecord,
};
use jiff::Timestamp;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::world::Worlds;

/// Incidents.
#[derive(Debug)]
pub struct FakeIncidents(Arc<Worlds>);

impl FakeIncidents {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }

    fn steps(&self, ctx: &ActivityContext) -> Result<IncidentActivities, ActivityError> {
        let world = self.0.of(ctx)?;
        let memory = Arc::clone(world.memory());
        let clock = Arc::new(SystemClock);
        let steps = IncidentActivities::without_model(world.ledger(), memory, clock);
        Ok(match world.read(|m| m.bedrock.clone()) {
            Some(model) => steps.asking(model),
            None => steps,
        })
    }

    fn alerts(&self, ctx: &ActivityContext) -> Result<Alerting, ActivityError> {
        let world = self.0.of(ctx)?;
        Ok(Alerting::on(world.ledger(), Arc::new(SystemClock)))
    }
}

#[activities]
impl FakeIncidents {
    /// Reads an incident.
    #[activity(definition = contracts::activities::alerts::LoadIncident)]
    pub async fn load(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: LoadIncidentInput,
    ) -> Result<IncidentRecord, ActivityError> {
        Ok(self.alerts(&ctx)?.load(&input.incident).await?.brief())
    }

    /// Closes an incident if nothing is new.
    #[activity(definition = contracts::activities::alerts::CloseIncident)]
    pub async fn close(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: CloseIncidentInput,
    ) -> Result<IncidentRecord, ActivityError> {
        Ok(self.alerts(&ctx)?.close(&input).await?.brief())
    }

    /// Looks for the cause by rule.
    #[activity(definition = contracts::activities::incidents::Explain)]
    pub async fn explain(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ExplainInput,
    ) -> Result<CauseReport, ActivityError> {
        let mut report = self.steps(&ctx)?.explain_one(&input).await?;
        report.measurable = self.0.of(&ctx)?.read(|m| m.measures);
        Ok(report)
    }

    /// Its processor is busy.
    #[activity(definition = contracts::activities::incidents::ReadMetrics)]
    pub async fn read_metrics(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: MeasureInput,
    ) -> Result<MetricsResult, ActivityError> {
        self.0.of(&ctx)?;
        Ok(MetricsResult {
            at: Timestamp::now(),
            measured: vec![Measured {
                name: "processor %".to_owned(),
                measure: Measure::Latency,
                before_milli: 12_000,
                during_milli: 97_000,
                over_chance_permille: 6_440,
            }],
        })
    }

    /// There is a model where the world has one.
    #[activity(definition = contracts::activities::incidents::Narrate)]
    pub async fn narrate(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: NarrateInput,
    ) -> Result<CauseReport, ActivityError> {
        self.steps(&ctx)?.narrate_one(&input).await
    }

    /// There is a model where the world has one.
    #[activity(definition = contracts::activities::incidents::Advise)]
    pub async fn advise(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: AdviseInput,
    ) -> Result<CauseReport, ActivityError> {
        self.steps(&ctx)?.advise_one(&input).await
    }

    /// Remembers an incident.
    #[activity(definition = contracts::activities::incidents::Remember)]
    pub async fn remember(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: RememberInput,
    ) -> Result<RememberResult, ActivityError> {
        self.steps(&ctx)?.remember_one(&input).await
    }
}

/// Devices that are asked for evidence.
#[derive(Debug)]
pub struct FakeLooks(Arc<Worlds>);

impl FakeLooks {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakeLooks {
    /// Its disk is nearly full.
    #[activity(definition = contracts::activities::incidents::ReadFigures)]
    pub async fn read_figures(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: LookInput,
    ) -> Result<FiguresResult, ActivityError> {
        self.0.of(&ctx)?;
        Ok(FiguresResult {
            at: Timestamp::now(),
            figures: Figures {
                cpu_permille: Some(120),
                memory_permille: Some(640),
                disk_permille: Some(990),
            },
        })
    }

    /// One of two scripts failed.
    #[activity(definition = contracts::activities::incidents::ReadScriptRuns)]
    pub async fn read_script_runs(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: LookInput,
    ) -> Result<ScriptRunsResult, ActivityError> {
        self.0.of(&ctx)?;
        let at = Timestamp::now();
        Ok(ScriptRunsResult {
            at,
            runs: ScriptRuns {
                runs: 2,
                failed: 1,
                newest: Some(at),
                times: vec![],
            },
        })
    }
}
