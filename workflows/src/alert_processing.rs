//! Workflow `AlertProcessing`: the triage of one client, turn by turn, for as long as something waits:
//! news, a held alert, the rank or the end of an incident. Each incident that changed is delivered to its own
//! workflow. It ends when nothing waits; the reading of alerts starts it again.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

use contracts::{
    activities::alerts::{Deliver, DeliverInput, Triage, TriageInput, TriageResult},
    alerts::{AlertProcessingInput, AlertProcessingResult, NewsInput},
    message::Message,
    search,
};
use domain::input::InvalidInput;
use jiff::Timestamp;
use temporalio_workflow::{
    ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView,
    WorkflowResult, WorkflowTermination, join_all, workflow, workflow_methods,
};

use crate::{
    clock,
    failure::{self, ended},
    options,
    show::show,
};

/// Incidents that are delivered at the same time.
const AT_ONCE: usize = 10;

/// Input of a triage, or what is wrong with it; and what it did so far.
#[workflow]
#[derive(Debug)]
pub struct AlertProcessing {
    input: Result<AlertProcessingInput, InvalidInput>,
    done: AlertProcessingResult,
    /// News that nobody has looked at.
    news: bool,
}

#[workflow_methods]
impl AlertProcessing {
    #[init]
    fn new(_: &WorkflowContextView, input: Message<AlertProcessingInput>) -> Self {
        let input = input.into_result();
        let input = input.and_then(|input| input.check().map(|()| input));
        let done = input.as_ref().ok().and_then(|input| input.carry.clone());
        Self {
            input,
            done: done.unwrap_or_default(),
            news: false,
        }
    }

    /// Does turns until nothing waits.
    #[run(name = "AlertProcessing")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<AlertProcessingResult> {
        let input = ctx.state(|processing| processing.input.clone());
        let input = input.map_err(failure::invalid_input)?;
        let client = search::CLIENT.value_set(input.client.to_string());
        ctx.upsert_search_attributes(vec![client]);
        let work = Work { ctx, input };
        work.go().await
    }

    /// There is something to do.
    #[signal(name = "news")]
    pub fn news(&mut self, _: &mut SyncWorkflowContext<Self>, _: Message<NewsInput>) {
        self.news = true;
    }

    /// What was done so far.
    #[query(name = "status")]
    pub fn status(&self, _: &WorkflowContextView) -> AlertProcessingResult {
        self.done.clone()
    }
}

struct Work<'a> {
    ctx: &'a WorkflowContext<AlertProcessing>,
    input: AlertProcessingInput,
}

impl Work<'_> {
    async fn go(&self) -> WorkflowResult<AlertProcessingResult> {
        loop {
            self.continue_if_due()?;
            self.ctx.state_mut(|processing| processing.news = false);
            let turn = self.turn().await?;
            self.deliver(&turn).await?;
            if turn.more {
                continue;
            }
            // News that are too young are looked at when they are old enough.
            let lag = self.input.waits.lag_secs;
            let woken = self.ctx.state(|processing| processing.news);
            let due = if woken {
                Some(clock::after(clock::now(self.ctx), lag.max(1)))
            } else {
                turn.next_due
            };
            let Some(due) = due else {
                show(self.ctx, "done", self.details(&turn, None));
                return Ok(self.ctx.state(|processing| processing.done.clone()));
            };
            show(self.ctx, "waiting", self.details(&turn, Some(due)));
            clock::wait(self.ctx, due, "next turn", true, |s: &AlertProcessing| {
                s.news && !woken
            })
            .await;
            if self.ctx.cancellation_token().is_cancelled() {
                return Ok(self.ctx.state(|processing| processing.done.clone()));
            }
        }
    }

    async fn turn(&self) -> Result<TriageResult, WorkflowTermination> {
        let input = TriageInput {
            client: self.input.client.clone(),
            lag_secs: self.input.waits.lag_secs,
            news: self.input.waits.news,
        };
        let how = options::triage("a turn of triage");
        let turn = ended(self.ctx.execute_activity(Triage, input, how).await)?;
        self.ctx.state_mut(|processing| {
            processing.done.turns += 1;
            processing.done.news += turn.news;
            processing.done.orders += turn.orders;
        });
        show(self.ctx, "triage", self.details(&turn, None));
        Ok(turn)
    }

    async fn deliver(&self, turn: &TriageResult) -> Result<(), WorkflowTermination> {
        for some in turn.undelivered.chunks(AT_ONCE) {
            let each = some.iter().map(|one| {
                let input = DeliverInput {
                    incident: one.incident.clone(),
                    version: one.version,
                    waits: self.input.waits.response,
                };
                let how = options::store(format!("tell incident {}", one.incident));
                self.ctx.execute_activity(Deliver, input, how)
            });
            for told in join_all(each.collect::<Vec<_>>()).await {
                ended(told)?;
                self.ctx
                    .state_mut(|processing| processing.done.delivered += 1);
            }
        }
        Ok(())
    }

    fn continue_if_due(&self) -> Result<(), WorkflowTermination> {
        if !options::is_long(self.ctx, self.input.waits.continue_after_events) {
            return Ok(());
        }
        let input = AlertProcessingInput {
            carry: Some(self.ctx.state(|processing| processing.done.clone())),
            ..self.input.clone()
        };
        self.ctx
            .continue_as_new(Message::from(input), ContinueAsNewOptions::default())?;
        Ok(())
    }

    fn details(&self, turn: &TriageResult, due: Option<Timestamp>) -> String {
        let AlertProcessingResult {
            turns,
            news,
            orders,
            delivered,
        } = self.ctx.state(|processing| processing.done.clone());
        let mut details = format!(
            "| Turns | News of alerts | Orders of people | Delivered | Active alerts |\n| ---: | ---: | ---: | ---: | ---: |\n| {turns} | {news} | {orders} | {delivered} | {} |\n",
            turn.active
        );
        if let Some(due) = due {
            details += &format!("\nNext turn at {due:.0}, or when there is news.\n");
        }
        details
    }
}
