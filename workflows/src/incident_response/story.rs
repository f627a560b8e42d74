//! The story of an answer.

use contracts::{
    activities::{
        alerts::{CloseIncident, CloseIncidentInput, LoadIncident, LoadIncidentInput},
        incidents::{Remember, RememberInput},
    },
    alerts::{IncidentResponseInput, IncidentResponseResult, IncidentResponseStatus},
    message::Message,
};
use domain::{
    cause::CauseReport,
    triage::{IncidentRecord, IncidentStatus},
};
use temporalio_workflow::{
    ContinueAsNewOptions, WorkflowContext, WorkflowResult, WorkflowTermination,
};

use super::IncidentResponse;
use crate::{
    clock::{self, Woken},
    failure::{Failed, ended},
    options,
};

pub(super) struct Story<'a> {
    pub(super) ctx: &'a WorkflowContext<IncidentResponse>,
    pub(super) input: IncidentResponseInput,
}

impl Story<'_> {
    pub(super) async fn go(&self) -> WorkflowResult<IncidentResponseResult> {
        loop {
            self.continue_if_due()?;
            self.ctx.state_mut(|answer| answer.news = false);
            let mut record = self.load().await?;
            if record.may_close().is_some() {
                self.stage("closing");
                record = self.close(&record).await?;
            }
            if let Some(end) = end_of(&record) {
                self.remember(&record).await;
                // What came meanwhile may have opened it again.
                if self.has_news() {
                    continue;
                }
                self.stage("done");
                return Ok(end);
            }
            self.halt_suspects(&record).await;
            if self.settle().await == Woken::Cancelled {
                return Ok(self.cancelled());
            }
            // With news it is read again first.
            if !self.has_news() {
                let has_looked = self.look_if_due(&record).await;
                self.advise_if_due(&record, has_looked).await;
            }
            if self.wait(&record).await == Woken::Cancelled {
                return Ok(self.cancelled());
            }
        }
    }

    async fn load(&self) -> Result<IncidentRecord, WorkflowTermination> {
        let input = LoadIncidentInput {
            incident: self.input.incident.clone(),
        };
        let how = options::store("read the incident");
        let record = ended(self.ctx.execute_activity(LoadIncident, input, how).await)?;
        self.keep(&record);
        Ok(record)
    }

    /// Closes it, on condition that nothing is newer than what was read.
    async fn close(&self, record: &IncidentRecord) -> Result<IncidentRecord, WorkflowTermination> {
        let input = CloseIncidentInput {
            incident: self.input.incident.clone(),
            version: record.version,
        };
        let how = options::store("close the incident");
        let record = ended(self.ctx.execute_activity(CloseIncident, input, how).await)?;
        self.keep(&record);
        Ok(record)
    }

    /// Remembers it; nothing depends on that.
    async fn remember(&self, record: &IncidentRecord) {
        if !matches!(record.status, IncidentStatus::Closed { .. }) {
            return;
        }
        let input = RememberInput {
            incident: self.input.incident.clone(),
        };
        let how = options::noting("remember the incident");
        match self.ctx.execute_activity(Remember, input, how).await {
            Ok(kept) => self.note("memory", kept.why),
            Err(error) => self.note("memory", Some(Failed::of(&error).message)),
        }
    }

    /// Waits until the first alerts are together; news do not end it.
    async fn settle(&self) -> Woken {
        if self.ctx.state(|answer| answer.carry.settled) {
            return Woken::Time;
        }
        let secs = self.input.waits.settle_secs;
        let until = clock::after(clock::now(self.ctx), secs);
        self.stage("settling");
        let woken = clock::wait(self.ctx, until, "first alerts", true, |_| false).await;
        if woken == Woken::Time {
            self.ctx.state_mut(|answer| answer.carry.settled = true);
        }
        woken
    }

    /// Waits for news, for the time to look again, or for a look without news.
    async fn wait(&self, record: &IncidentRecord) -> Woken {
        let now = clock::now(self.ctx);
        let look = clock::after(now, self.input.waits.look_secs);
        let due = self.due_again(record).map_or(look, |again| again.min(look));
        self.stage("waiting");
        clock::wait(self.ctx, due, "next look", true, |answer| answer.news).await
    }

    fn cancelled(&self) -> IncidentResponseResult {
        self.stage("cancelled");
        IncidentResponseResult::Cancelled
    }

    fn has_news(&self) -> bool {
        self.ctx.state(|answer| answer.news)
    }

    fn keep(&self, record: &IncidentRecord) {
        self.ctx.state_mut(|answer| {
            answer.carry.version = answer.carry.version.max(record.version);
            answer.status.cause = CauseReport::of(record.cause.as_ref());
            answer.status.incident = Some(IncidentRecord {
                // It is shown once.
                cause: None,
                ..record.clone()
            });
        });
    }

    /// Shows what a step could not do, or that it could.
    pub(super) fn note(&self, step: &str, problem: Option<String>) {
        self.ctx.state_mut(|answer| {
            let problems = &mut answer.status.problems;
            match problem {
                Some(problem) => problems.insert(step.to_owned(), problem),
                None => problems.remove(step),
            };
        });
        self.show();
    }

    pub(super) fn status(&self) -> IncidentResponseStatus {
        self.ctx.state(|answer| answer.status.clone())
    }

    fn continue_if_due(&self) -> Result<(), WorkflowTermination> {
        if !options::is_long(self.ctx, self.input.waits.continue_after_events) {
            return Ok(());
        }
        let input = IncidentResponseInput {
            carry: Some(self.ctx.state(|answer| answer.carry.clone())),
            ..self.input.clone()
        };
        self.ctx
            .continue_as_new(Message::from(input), ContinueAsNewOptions::default())?;
        Ok(())
    }
}

/// Says how it has ended; none while it is open.
fn end_of(record: &IncidentRecord) -> Option<IncidentResponseResult> {
    match &record.status {
        IncidentStatus::Open => None,
        IncidentStatus::Closed { closing, .. } => Some(IncidentResponseResult::Closed {
            closing: closing.clone(),
        }),
        IncidentStatus::MergedInto { incident } => Some(IncidentResponseResult::MergedInto {
            incident: incident.clone(),
        }),
    }
}
