//! Workflow `AlertIngest`: new and changed alerts of the whole tenant into the store, then somebody to do the
//! triage of each client that has news. Runs every minute; alerts stay in the store, so its history is short
//! however many there are.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

mod pages;

use contracts::{
    activities::alerts::{
        BeginPoll, BeginPollInput, BusyClients, BusyClientsInput, EndPoll, EndPollInput,
        EndUnheard, EndUnheardInput, WalkPlace,
    },
    alerts::{AlertIngestInput, AlertIngestResult, AlertProcessingInput, NewsInput},
    ids,
    message::Message,
};
use domain::{ids::ClientId, input::InvalidInput};
use temporalio_workflow::{
    ChildWorkflowStartError, SignalWorkflowOptions, StartChildWorkflowExecutionFailedCause,
    WorkflowCancellationToken, WorkflowContext, WorkflowContextView, WorkflowIdReusePolicy,
    WorkflowResult, workflow, workflow_methods,
};

use self::pages::Read;
use crate::{
    alert_processing::AlertProcessing,
    failure::{self, Failed},
    options,
    show::show,
};

/// Input of a reading, or what is wrong with it; and what was read so far.
#[workflow]
#[derive(Debug)]
pub struct AlertIngest {
    input: Result<AlertIngestInput, InvalidInput>,
    done: AlertIngestResult,
}

#[workflow_methods]
impl AlertIngest {
    #[init]
    fn new(_: &WorkflowContextView, input: Message<Option<AlertIngestInput>>) -> Self {
        Self {
            input: input
                .into_result()
                .map(Option::unwrap_or_default)
                .and_then(|input| InvalidInput::when(input.problems()).map(|()| input)),
            done: AlertIngestResult::default(),
        }
    }

    /// Reads, and hands over.
    #[run(name = "AlertIngest")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<AlertIngestResult> {
        let input = ctx.state(|ingest| ingest.input.clone());
        let input = input.map_err(failure::invalid_input)?;
        let work = Work { ctx, input };
        // What was read before a failure is in the store: its triage does not wait for SuperOps.
        if let Err(failed) = work.read().await {
            ctx.state_mut(|ingest| ingest.done.failed = Some(failed.message));
        }
        // Of what other tools have sent, SuperOps need not say anything.
        if let Err(failed) = work.end_unheard().await {
            ctx.state_mut(|ingest| ingest.done.failed = Some(failed.message));
        }
        if let Err(failed) = work.hand_over().await {
            ctx.state_mut(|ingest| ingest.done.failed = Some(failed.message));
        }
        work.show("done");
        Ok(ctx.state(|ingest| ingest.done.clone()))
    }

    /// What was read so far.
    #[query(name = "status")]
    pub fn status(&self, _: &WorkflowContextView) -> AlertIngestResult {
        self.done.clone()
    }
}

struct Work<'a> {
    ctx: &'a WorkflowContext<AlertIngest>,
    input: AlertIngestInput,
}

impl Work<'_> {
    async fn read(&self) -> Result<(), Failed> {
        let begin = BeginPollInput {
            overlap_secs: self.input.overlap_secs,
            walk_secs: self.input.walk_secs,
        };
        let how = options::store("how far alerts were read");
        let begun = self.ctx.execute_activity(BeginPoll, begin, how).await;
        let begun = begun.map_err(|error| Failed::of(&error))?;
        self.show("reading");
        let (newest, backlog) = match self.new_ones(begun.until, begun.backlog).await? {
            Read::All(newest) => (newest, None),
            Read::Until { backlog, reached } => (reached, Some(backlog)),
        };
        let mut end = EndPollInput {
            newest,
            walked: None,
            backlog,
            walk_place: None,
        };
        let mut walk = Ok(());
        if let Some(began) = begun.walk {
            self.show("walking");
            let mut place = begun.walk_place.unwrap_or(WalkPlace {
                began,
                page: 0,
                oldest: None,
            });
            let walked = self.walk(&mut place).await;
            match walked {
                Ok(true) => end.walked = Some(began),
                // The next reading goes on where this one has stopped, for whatever reason.
                Ok(false) | Err(_) => end.walk_place = Some(place),
            }
            walk = walked.map(drop);
        }
        let how = options::store("note how far alerts were read");
        let ended = self.ctx.execute_activity(EndPoll, end, how).await;
        ended.map_err(|error| Failed::of(&error))?;
        walk
    }

    /// Ends what other tools have not spoken of any more; what pages leave, the next reading ends.
    async fn end_unheard(&self) -> Result<(), Failed> {
        let input = EndUnheardInput {
            unheard_secs: self.input.unheard_secs,
            moment_secs: self.input.moment_secs,
        };
        for _ in 0..self.input.most_pages {
            let how = options::store("alerts nobody speaks of any more");
            let ended = self.ctx.execute_activity(EndUnheard, input, how).await;
            let ended = ended.map_err(|error| Failed::of(&error))?;
            self.ctx
                .state_mut(|ingest| ingest.done.unheard += ended.ended);
            if !ended.more {
                break;
            }
        }
        Ok(())
    }

    /// Lets the triage of each client with news begin, or look at them. Where something waits for a time it
    /// only has to run: it knows when to look.
    async fn hand_over(&self) -> Result<(), Failed> {
        self.show("handing over");
        let mut after = None;
        loop {
            let input = BusyClientsInput { after };
            let how = options::store("clients with news");
            let busy = self.ctx.execute_activity(BusyClients, input, how).await;
            let busy = busy.map_err(|error| Failed::of(&error))?;
            let news = busy.clients.into_iter().map(|client| (client, true));
            let waiting = busy.waiting.into_iter().map(|client| (client, false));
            for (client, has_news) in news.chain(waiting) {
                self.begin(client, has_news).await?;
                self.ctx.state_mut(|ingest| ingest.done.clients += 1);
            }
            after = busy.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn begin(&self, client: ClientId, has_news: bool) -> Result<(), Failed> {
        let workflow_id = ids::alert_processing(&client);
        let mut how = options::child(workflow_id.clone(), "triage of alerts".to_owned(), &client);
        how.id_reuse_policy = WorkflowIdReusePolicy::AllowDuplicate;
        let input = AlertProcessingInput {
            client,
            waits: self.input.processing,
            carry: None,
        };
        let started = self
            .ctx
            .start_child_workflow(AlertProcessing::run, Message::from(input), how)
            .await;
        match started {
            Ok(_) => Ok(()),
            Err(ChildWorkflowStartError::StartFailed {
                cause: StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists,
                ..
            }) => {
                if !has_news {
                    return Ok(());
                }
                let how = SignalWorkflowOptions::builder()
                    .cancellation_token(WorkflowCancellationToken::new())
                    .summary("news".to_owned())
                    .build();
                let running = self.ctx.external_workflow(workflow_id, None);
                // One that has just ended is started by the next reading.
                let _ = running
                    .signal(AlertProcessing::news, NewsInput::default().into(), how)
                    .await;
                Ok(())
            }
            Err(error) => Err(Failed::named(error.to_string())),
        }
    }

    fn show(&self, stage: &str) {
        let AlertIngestResult {
            pages,
            alerts,
            new,
            changed,
            cleared,
            unheard,
            walked,
            clients,
            failed,
        } = self.ctx.state(|ingest| ingest.done.clone());
        let walked = if walked { "yes" } else { "no" };
        let mut details = format!(
            "| Pages | Alerts | new | changed | gone | not heard of | Walked over all | Clients |\n| ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: |\n| {pages} | {alerts} | {new} | {changed} | {cleared} | {unheard} | {walked} | {clients} |\n"
        );
        if let Some(failed) = failed {
            details += &format!("\nEnded early: {failed}\n");
        }
        show(self.ctx, stage, details);
    }
}
