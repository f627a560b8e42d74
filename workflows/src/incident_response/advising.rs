//! Advice on what belongs together: other incidents that are one with this, machines that are no part of it.
//! It is shown, and people act.

use contracts::activities::incidents::{Advise, AdviseInput};
use domain::{campaign::Degraded, triage::IncidentRecord};

use super::story::Story;
use crate::{clock, failure::Failed, options};

impl Story<'_> {
    /// Asks after each look for the cause, and otherwise once in a while: other incidents open meanwhile. The
    /// activity asks a model only when there is something new to ask about.
    pub(super) async fn advise_if_due(&self, record: &IncidentRecord, has_looked: bool) {
        let now = clock::now(self.ctx);
        let (last, has_cause) = self
            .ctx
            .state(|answer| (answer.carry.advised_at, answer.status.cause.is_some()));
        let is_time = last.is_none_or(|last| clock::after(last, self.input.waits.look_secs) <= now);
        if !record.is_answered() || !has_cause || !(has_looked || is_time) {
            return;
        }
        self.ctx
            .state_mut(|answer| answer.carry.advised_at = Some(now));
        self.stage("comparing with other incidents");
        let mut input = AdviseInput {
            incident: self.input.incident.clone(),
            unasked: None,
        };
        let how = options::model("what belongs together?");
        let asked = self.ctx.execute_activity(Advise, input.clone(), how).await;
        let advised = match asked {
            Ok(report) => Ok(report),
            Err(_) => {
                input.unasked = Some(Degraded::Unavailable);
                let how = options::noting("note what the rule is not sure of");
                self.ctx.execute_activity(Advise, input, how).await
            }
        };
        match advised {
            Ok(report) => {
                self.note("advice", None);
                self.found(&report);
            }
            Err(error) => self.note("advice", Some(Failed::of(&error).message)),
        }
    }
}
