//! Workflow `AlertIngest`: new and changed alerts of the whole tenant into the store, then somebody to do the
//! triage of each client that has news. Runs every minute; alerts stay in the store, so its history is short
//! however many there are.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

use contracts::{
    activities::alerts::{
        Backlog, BeginPoll, BeginPollInput, BusyClients, BusyClientsInput, EndPoll, EndPollInput,
        MissAlerts, MissAlertsInput, ReadAlerts, ReadAlertsInput, ReadAlertsResult, WalkPlace,
    },
    alerts::{AlertIngestInput, AlertIngestResult, AlertProcessingInput, NewsInput},
    ids,
    message::Message,
};
use domain::{ids::ClientId, input::InvalidInput};
use jiff::Timestamp;
use temporalio_workflow::{
    ChildWorkflowStartError, SignalWorkflowOptions, StartChildWorkflowExecutionFailedCause,
    WorkflowCancellationToken, WorkflowContext, WorkflowContextView, WorkflowIdReusePolicy,
    WorkflowResult, workflow, workflow_methods,
};

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

/// How far new alerts were read.
enum Read {
    /// Until what is known; when the newest was raised.
    All(Option<Timestamp>),
    /// Pages were left.
    Until(Backlog),
}

/// Notes what the page of a walk had; says whether pages follow it.
fn came_to(place: &mut WalkPlace, read: &ReadAlertsResult) -> bool {
    place.oldest = place.oldest.into_iter().chain(read.oldest).min();
    read.has_more
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
            Read::Until(backlog) => (None, Some(backlog)),
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

    /// Reads pages from the newest on, until what is known. When pages are left, the next reading takes what
    /// is newer and goes on where this one has stopped.
    async fn new_ones(
        &self,
        until: Option<Timestamp>,
        backlog: Option<Backlog>,
    ) -> Result<Read, Failed> {
        let mut newest = backlog.and_then(|left| left.newest);
        let mut page = 1;
        for _ in 0..self.input.most_pages {
            let read = self.page(page, false).await?;
            newest = newest.max(read.newest);
            // The first reading takes the newest page; a walk takes what is open.
            let known = until.is_none_or(|until| read.oldest.is_none_or(|oldest| oldest < until));
            if !read.has_more || known {
                return Ok(Read::All(newest));
            }
            page += 1;
            if let Some(left) = backlog
                && page < left.page
                && read.oldest <= left.newest
            {
                page = left.page;
            }
        }
        Ok(Read::Until(Backlog { page, newest }))
    }

    /// Reads everything that is open, and looks what was not there. `false` when pages were left.
    async fn walk(&self, place: &mut WalkPlace) -> Result<bool, Failed> {
        let mut has_more = place.page == 0 || self.find(place).await?;
        let mut left = self.input.most_pages;
        while has_more {
            if left == 0 {
                return Ok(false);
            }
            left -= 1;
            let read = self.page(place.page + 1, true).await?;
            place.page += 1;
            has_more = came_to(place, &read);
        }
        let mut after = None;
        loop {
            let input = MissAlertsInput {
                walk_began: place.began,
                after,
            };
            let how = options::store("alerts that are gone");
            let missed = self.ctx.execute_activity(MissAlerts, input, how).await;
            let missed = missed.map_err(|error| Failed::of(&error))?;
            self.ctx
                .state_mut(|ingest| ingest.done.cleared += missed.cleared);
            after = missed.next;
            if after.is_none() {
                break;
            }
        }
        self.ctx.state_mut(|ingest| ingest.done.walked = true);
        Ok(true)
    }

    /// Finds the page on which a walk goes on: the last one it has read, or an earlier one when so many alerts
    /// have ended since that their rows have moved over its beginning. Says whether pages follow it.
    async fn find(&self, place: &mut WalkPlace) -> Result<bool, Failed> {
        let mut back = 1;
        loop {
            let read = self.page(place.page, true).await?;
            if place.page == 1 || read.newest >= place.oldest {
                return Ok(came_to(place, &read));
            }
            place.page = place.page.saturating_sub(back).max(1);
            back *= 2;
        }
    }

    async fn page(&self, page: u32, walk: bool) -> Result<ReadAlertsResult, Failed> {
        let input = ReadAlertsInput { page, walk };
        let which = if walk { "open alerts" } else { "alerts" };
        let how = options::alerts(format!("{which}, page {page}"));
        let read = self.ctx.execute_activity(ReadAlerts, input, how).await;
        let read = read.map_err(|error| Failed::of(&error))?;
        self.ctx.state_mut(|ingest| {
            ingest.done.pages += 1;
            ingest.done.alerts += read.alerts;
            ingest.done.new += read.new;
            ingest.done.changed += read.changed;
        });
        Ok(read)
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
            walked,
            clients,
            failed,
        } = self.ctx.state(|ingest| ingest.done.clone());
        let walked = if walked { "yes" } else { "no" };
        let mut details = format!(
            "| Pages | Alerts | new | changed | gone | Walked over all | Clients |\n| ---: | ---: | ---: | ---: | ---: | --- | ---: |\n| {pages} | {alerts} | {new} | {changed} | {cleared} | {walked} | {clients} |\n"
        );
        if let Some(failed) = failed {
            details += &format!("\nEnded early: {failed}\n");
        }
        show(self.ctx, stage, details);
    }
}
