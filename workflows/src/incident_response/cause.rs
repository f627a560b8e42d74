//! Looking for the cause: by rule, with what suspect devices say, and told by a model.

use contracts::{
    activities::incidents::{
        Explain, ExplainInput, LookInput, Looked, MeasureInput, MetricsResult, Narrate,
        NarrateInput, ReadFigures, ReadMetrics, ReadScriptRuns,
    },
    alerts::LookedInto,
};
use domain::{
    campaign::Degraded, canonical, cause::CauseReport, ids::DeviceId, triage::IncidentRecord,
};
use jiff::Timestamp;

use super::story::Story;
use crate::{clock, failure::Failed, options};

impl Story<'_> {
    /// Looks for the cause when what it rests on has changed, at most every so often. Tells whether it did and
    /// found something out.
    pub(super) async fn look_if_due(&self, record: &IncidentRecord) -> bool {
        let now = clock::now(self.ctx);
        if self.due_again(record).is_none_or(|due| due > now) {
            return false;
        }
        let looked_into = LookedInto {
            version: record.version,
            at: now,
            facts: facts_of(record),
        };
        self.ctx.state_mut(|answer| {
            answer.carry.looked_into = Some(looked_into);
        });
        self.stage("looking for the cause");
        let input = ExplainInput {
            incident: self.input.incident.clone(),
        };
        let how = options::cause("look for the cause");
        let explained = self.ctx.execute_activity(Explain, input, how).await;
        let report = match explained {
            Ok(report) => report,
            Err(error) => {
                self.note("cause", Some(Failed::of(&error).message));
                return false;
            }
        };
        self.note("cause", None);
        self.found(&report);
        if report.told.is_none() {
            let looked = self.ask_suspects(&report).await;
            self.narrate(&report, looked).await;
        }
        true
    }

    /// When to look for the cause again; none while there is no reason.
    pub(super) fn due_again(&self, record: &IncidentRecord) -> Option<Timestamp> {
        if !record.is_answered() {
            return None;
        }
        let Some(last) = self.ctx.state(|answer| answer.carry.looked_into.clone()) else {
            return Some(Timestamp::UNIX_EPOCH);
        };
        let again = clock::after(last.at, self.input.waits.again_secs);
        (last.facts != facts_of(record)).then_some(again)
    }

    /// Asks the most suspect devices for evidence. One that does not answer is left out.
    async fn ask_suspects(&self, report: &CauseReport) -> Vec<Looked> {
        let machines = report.suspects.iter().map(|one| &one.machine);
        let devices = machines.filter_map(|machine| machine.parse::<DeviceId>().ok());
        let mut looked = Vec::new();
        for device in devices.take(self.input.waits.suspects as usize) {
            self.stage("asking devices");
            let input = LookInput {
                device: device.clone(),
            };
            let how = options::evidence(format!("how busy is {device}?"));
            let figures = self.ctx.execute_activity(ReadFigures, input.clone(), how);
            let figures = figures.await.ok();
            let how = options::evidence(format!("what ran on {device}?"));
            let scripts = self.ctx.execute_activity(ReadScriptRuns, input, how);
            let scripts = scripts.await.ok();
            let metrics = match report.measurable {
                true => self.measure(&device).await,
                false => None,
            };
            if figures.is_some() || scripts.is_some() || metrics.is_some() {
                looked.push(Looked {
                    device,
                    figures,
                    scripts,
                    metrics,
                });
            }
        }
        looked
    }

    async fn measure(&self, device: &DeviceId) -> Option<MetricsResult> {
        let input = MeasureInput {
            incident: self.input.incident.clone(),
            device: device.clone(),
        };
        let how = options::measuring(format!("what is measured on {device}?"));
        let metrics = self.ctx.execute_activity(ReadMetrics, input, how);
        metrics.await.ok()
    }

    /// Lets a model tell what it makes of it; without one the reasons of the rule stand.
    async fn narrate(&self, report: &CauseReport, looked: Vec<Looked>) {
        self.stage("asking the model");
        let mut input = NarrateInput {
            incident: self.input.incident.clone(),
            version: report.version,
            looked,
            unasked: None,
        };
        let how = options::model("what does the model make of it?");
        let asked = self.ctx.execute_activity(Narrate, input.clone(), how).await;
        let told = match asked {
            Ok(report) => Ok(report),
            Err(_) => {
                input.unasked = Some(Degraded::Unavailable);
                let how = options::noting("note that the model was not asked");
                self.ctx.execute_activity(Narrate, input, how).await
            }
        };
        match told {
            Ok(report) => {
                self.note("evidence", None);
                self.found(&report);
            }
            Err(error) => self.note("evidence", Some(Failed::of(&error).message)),
        }
    }

    pub(super) fn found(&self, report: &CauseReport) {
        self.ctx
            .state_mut(|answer| answer.status.cause = Some(report.clone()));
        self.show();
    }
}

/// Hash of what the cause rests on.
fn facts_of(record: &IncidentRecord) -> String {
    let news = &record.news;
    let facts = (
        &news.incident.devices,
        &news.incident.titles,
        &news.suspects,
    );
    canonical::content_hash(&facts).unwrap_or_default()
}
