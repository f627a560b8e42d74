//! Workflow `IncidentResponse`: answers one incident. Waits until its first alerts are together, looks for
//! the cause, halts a patch wave whose announced symptoms were left over, looks again when there is news, and
//! closes the incident when it is over.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

mod advising;
mod cause;
mod halting;
mod show;
mod story;
mod writing;

use contracts::{
    alerts::{
        IncidentResponseInput, IncidentResponseResult, IncidentResponseStatus, NewsInput,
        ResponseCarry,
    },
    message::Message,
    search,
};
use domain::input::InvalidInput;
use temporalio_workflow::{
    SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult, workflow,
    workflow_methods,
};

use crate::failure;
use story::Story;

/// The step of [`IncidentResponseStatus::problems`] that says what is not written down.
const AUDIT: &str = "audit";

/// Input of an answer, or what is wrong with it; and where it stands.
#[workflow]
#[derive(Debug)]
pub struct IncidentResponse {
    input: Result<IncidentResponseInput, InvalidInput>,
    carry: ResponseCarry,
    status: IncidentResponseStatus,
    /// News that nobody has looked at.
    news: bool,
}

#[workflow_methods]
impl IncidentResponse {
    #[init]
    fn new(_: &WorkflowContextView, input: Message<IncidentResponseInput>) -> Self {
        let input = input.into_result();
        let input = input.and_then(|input| input.check().map(|()| input));
        let carry = input.as_ref().ok().and_then(|input| input.carry.clone());
        let carry = carry.unwrap_or_default();
        let unwritten = carry.unwritten.cause();
        Self {
            input,
            status: IncidentResponseStatus {
                stage: "begun".to_owned(),
                halts: carry.halts.clone(),
                problems: unwritten
                    .map(|why| (AUDIT.to_owned(), why))
                    .into_iter()
                    .collect(),
                ..IncidentResponseStatus::default()
            },
            carry,
            news: false,
        }
    }

    /// Answers the incident until it is over.
    #[run(name = "IncidentResponse")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<IncidentResponseResult> {
        let input = ctx.state(|answer| answer.input.clone());
        let input = input.map_err(failure::invalid_input)?;
        let client = search::CLIENT.value_set(input.incident.client().to_string());
        ctx.upsert_search_attributes(vec![client]);
        Story { ctx, input }.go().await
    }

    /// The incident has changed.
    #[signal(name = "news")]
    pub fn news(&mut self, _: &mut SyncWorkflowContext<Self>, news: Message<NewsInput>) {
        // One that cannot be read is news all the same.
        let version = news.into_result().map_or(0, |news| news.version);
        self.carry.version = self.carry.version.max(version);
        self.news = true;
    }

    /// Where it stands.
    #[query(name = "status")]
    pub fn status(&self, _: &WorkflowContextView) -> IncidentResponseStatus {
        self.status.clone()
    }
}
