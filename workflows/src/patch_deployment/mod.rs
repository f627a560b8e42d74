//! Workflow `PatchDeployment`: a plan is made, assessed, approved, deployed ring by ring, verified,
//! and undone where it fails.
//!
//! `run` reads as the story; each step is a module: `planning` (1 to 3), `asking` and `voting`
//! (4), `rings`, `gates`, `children`, `evidence`, `watching` and `stragglers` (5 to 7), `closing` (8 and 9),
//! `messages` and `inbox` (what people send), `show` (what they see), `writing` (what is written down).

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

mod asking;
mod children;
mod closing;
mod evidence;
mod gates;
mod inbox;
mod messages;
mod planning;
mod rings;
mod show;
mod state;
mod stragglers;
mod voting;
mod watching;
mod writing;

use std::cell::RefCell;

use contracts::{
    deployment::{
        AmendInput, ControlAnswer, ControlInput, DecideInput, DecisionInput, DeploymentInput,
        DeploymentResult, DeviceFinished, EvidenceMissing, ExtendInput, WaiveInput,
    },
    message::Message,
};
use domain::{
    approval::{Answer, ApprovalBook, Choice},
    deployment::DeploymentStatus,
    people::ControlAction,
};
use temporalio_common::{ActivityDefinition, data_converters::TemporalDeserializable};
use temporalio_workflow::{
    ActivityOptions, SyncWorkflowContext, WaitConditionOptions, WorkflowCancellationToken,
    WorkflowContext, WorkflowContextView, WorkflowResult, WorkflowTermination, workflow,
    workflow_methods,
};

use crate::{
    approvals::AsksPeople,
    call, clock,
    failure::{self, Failed},
};
use state::State;

type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// State of a deployment, or what is wrong with its input.
#[workflow]
#[derive(Debug)]
pub struct PatchDeployment {
    state: Result<State, String>,
}

impl AsksPeople for PatchDeployment {
    fn book(&mut self) -> &mut ApprovalBook {
        &mut self.s_mut().carry.book
    }

    fn call_secs(&self) -> u64 {
        self.s().request.waits.call_secs
    }
}

#[workflow_methods]
impl PatchDeployment {
    #[init]
    fn new(ctx: &WorkflowContextView, input: Message<DeploymentInput>) -> Self {
        Self {
            state: State::new(ctx, input),
        }
    }

    /// Runs the deployment to its end.
    #[run(name = "PatchDeployment")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<DeploymentResult> {
        if let Err(problem) = ctx.state(|s| s.state.as_ref().map(|_| ()).map_err(Clone::clone)) {
            return Err(failure::invalid_input(problem));
        }
        Story {
            ctx: ctx.clone(),
            shown: RefCell::default(),
        }
        .run()
        .await
    }

    /// A person approves.
    #[signal(name = "approve")]
    pub fn approve(&mut self, ctx: &mut SyncWorkflowContext<Self>, input: Message<DecisionInput>) {
        self.record_decision(ctx, Choice::Approve, input);
    }

    /// A person rejects.
    #[signal(name = "reject")]
    pub fn reject(&mut self, ctx: &mut SyncWorkflowContext<Self>, input: Message<DecisionInput>) {
        self.record_decision(ctx, Choice::Reject, input);
    }

    /// Stop starting devices.
    #[signal(name = "pause")]
    pub fn pause(&mut self, ctx: &mut SyncWorkflowContext<Self>, input: Message<ControlInput>) {
        self.record_control(clock::of(ctx.workflow_time()), ControlAction::Pause, input);
    }

    /// Go on after a pause or halt.
    #[signal(name = "resume")]
    pub fn resume(&mut self, ctx: &mut SyncWorkflowContext<Self>, input: Message<ControlInput>) {
        self.record_control(clock::of(ctx.workflow_time()), ControlAction::Resume, input);
    }

    /// End it.
    #[signal(name = "abort")]
    pub fn abort(&mut self, ctx: &mut SyncWorkflowContext<Self>, input: Message<ControlInput>) {
        self.record_control(clock::of(ctx.workflow_time()), ControlAction::Abort, input);
    }

    /// Stop because something is wrong.
    #[signal(name = "halt")]
    pub fn halt(&mut self, ctx: &mut SyncWorkflowContext<Self>, input: Message<ControlInput>) {
        self.record_control(clock::of(ctx.workflow_time()), ControlAction::Halt, input);
    }

    /// Change the plan, by hand; the update `amend` answers.
    #[signal(name = "change_plan")]
    pub fn change_plan(&mut self, ctx: &mut SyncWorkflowContext<Self>, input: Message<AmendInput>) {
        self.record_amend(clock::of(ctx.workflow_time()), input);
    }

    /// Give approvers more time, by hand; the update `extend_approval` answers.
    #[signal(name = "extend")]
    pub fn extend(&mut self, ctx: &mut SyncWorkflowContext<Self>, input: Message<ExtendInput>) {
        self.record_extend(clock::of(ctx.workflow_time()), input);
    }

    /// Let devices be patched without evidence.
    #[signal(name = "waive_evidence")]
    pub fn waive_evidence(
        &mut self,
        ctx: &mut SyncWorkflowContext<Self>,
        input: Message<WaiveInput>,
    ) {
        self.record_waive(clock::of(ctx.workflow_time()), input);
    }

    /// Evidence of a device could not be taken: it waits for a person.
    #[signal(name = "evidence_missing")]
    pub fn evidence_missing(
        &mut self,
        _: &mut SyncWorkflowContext<Self>,
        input: Message<EvidenceMissing>,
    ) {
        if let (Ok(missing), Ok(state)) = (input.into_result(), &mut self.state) {
            state.note_missing_evidence(missing);
        }
    }

    /// A device run has ended.
    #[signal(name = "device_finished")]
    pub fn device_finished(
        &mut self,
        _: &mut SyncWorkflowContext<Self>,
        input: Message<DeviceFinished>,
    ) {
        if let (Ok(finished), Ok(state)) = (input.into_result(), &mut self.state) {
            state.carry.finished.push(finished);
        }
    }

    /// Where it stands.
    #[query(name = "status")]
    pub fn status(&self, _: &WorkflowContextView) -> Result<DeploymentStatus, Refusal> {
        self.state
            .as_ref()
            .map(|s| s.carry.status.clone())
            .map_err(|e| e.clone().into())
    }

    /// Refuses only what cannot be read: a refused update leaves no trace in history.
    #[update_validator(decide)]
    fn validate_decide(
        &self,
        _: &WorkflowContextView,
        input: &Message<DecideInput>,
    ) -> Result<(), Refusal> {
        readable(input)
    }

    /// A person decides on exactly this request and plan, and is told what came of it.
    #[update(name = "decide")]
    pub async fn decide(
        ctx: &mut WorkflowContext<Self>,
        input: Message<DecideInput>,
    ) -> Result<Answer, Refusal> {
        let input = input.into_result()?;
        Self::usable(ctx)?;
        let id = match Self::record_decide(ctx, input) {
            Ok(id) => id,
            Err(full) => return Ok(full),
        };
        let answered = |s: &Self| s.s().carry.book.answer_to(&id).is_some();
        ctx.wait_condition_with_options(answered, detached())
            .await?;
        ctx.state(|s| s.s().carry.book.answer_to(&id).cloned())
            .ok_or_else(|| "no answer".into())
    }

    #[update_validator(request_pause)]
    fn validate_pause(
        &self,
        _: &WorkflowContextView,
        input: &Message<ControlInput>,
    ) -> Result<(), Refusal> {
        readable(input)
    }

    /// As signal `pause`, with an answer.
    #[update(name = "request_pause")]
    pub async fn request_pause(
        ctx: &mut WorkflowContext<Self>,
        input: Message<ControlInput>,
    ) -> Result<ControlAnswer, Refusal> {
        Self::control(ctx, ControlAction::Pause, input).await
    }

    #[update_validator(request_resume)]
    fn validate_resume(
        &self,
        _: &WorkflowContextView,
        input: &Message<ControlInput>,
    ) -> Result<(), Refusal> {
        readable(input)
    }

    /// As signal `resume`, with an answer.
    #[update(name = "request_resume")]
    pub async fn request_resume(
        ctx: &mut WorkflowContext<Self>,
        input: Message<ControlInput>,
    ) -> Result<ControlAnswer, Refusal> {
        Self::control(ctx, ControlAction::Resume, input).await
    }

    #[update_validator(request_abort)]
    fn validate_abort(
        &self,
        _: &WorkflowContextView,
        input: &Message<ControlInput>,
    ) -> Result<(), Refusal> {
        readable(input)
    }

    /// As signal `abort`, with an answer.
    #[update(name = "request_abort")]
    pub async fn request_abort(
        ctx: &mut WorkflowContext<Self>,
        input: Message<ControlInput>,
    ) -> Result<ControlAnswer, Refusal> {
        Self::control(ctx, ControlAction::Abort, input).await
    }

    #[update_validator(request_halt)]
    fn validate_halt(
        &self,
        _: &WorkflowContextView,
        input: &Message<ControlInput>,
    ) -> Result<(), Refusal> {
        readable(input)
    }

    /// As signal `halt`, with an answer.
    #[update(name = "request_halt")]
    pub async fn request_halt(
        ctx: &mut WorkflowContext<Self>,
        input: Message<ControlInput>,
    ) -> Result<ControlAnswer, Refusal> {
        Self::control(ctx, ControlAction::Halt, input).await
    }

    #[update_validator(request_waive_evidence)]
    fn validate_waive(
        &self,
        _: &WorkflowContextView,
        input: &Message<WaiveInput>,
    ) -> Result<(), Refusal> {
        readable(input)
    }

    /// As signal `waive_evidence`, with an answer.
    #[update(name = "request_waive_evidence")]
    pub async fn request_waive_evidence(
        ctx: &mut WorkflowContext<Self>,
        input: Message<WaiveInput>,
    ) -> Result<ControlAnswer, Refusal> {
        readable(&input)?;
        let id = Self::record_now(ctx, |s, at| s.record_waive(at, input));
        Self::control_answer(ctx, id).await
    }

    #[update_validator(amend)]
    fn validate_amend(
        &self,
        _: &WorkflowContextView,
        input: &Message<AmendInput>,
    ) -> Result<(), Refusal> {
        readable(input)
    }

    /// Changes the plan: it is sealed and approved anew.
    #[update(name = "amend")]
    pub async fn amend(
        ctx: &mut WorkflowContext<Self>,
        input: Message<AmendInput>,
    ) -> Result<ControlAnswer, Refusal> {
        readable(&input)?;
        let id = Self::record_now(ctx, |s, at| s.record_amend(at, input));
        Self::control_answer(ctx, id).await
    }

    #[update_validator(extend_approval)]
    fn validate_extend(
        &self,
        _: &WorkflowContextView,
        input: &Message<ExtendInput>,
    ) -> Result<(), Refusal> {
        readable(input)
    }

    /// Gives approvers more time; the plan and its hash stay.
    #[update(name = "extend_approval")]
    pub async fn extend_approval(
        ctx: &mut WorkflowContext<Self>,
        input: Message<ExtendInput>,
    ) -> Result<ControlAnswer, Refusal> {
        readable(&input)?;
        let id = Self::record_now(ctx, |s, at| s.record_extend(at, input));
        Self::control_answer(ctx, id).await
    }
}

impl PatchDeployment {
    async fn control(
        ctx: &mut WorkflowContext<Self>,
        action: ControlAction,
        input: Message<ControlInput>,
    ) -> Result<ControlAnswer, Refusal> {
        readable(&input)?;
        let id = Self::record_now(ctx, |s, at| s.record_control(at, action, input));
        Self::control_answer(ctx, id).await
    }

    /// A deployment with unreadable input is about to fail and answers nothing.
    fn usable(ctx: &WorkflowContext<Self>) -> Result<(), Refusal> {
        ctx.state(|s| s.state.as_ref().map(|_| ()).map_err(|e| e.clone().into()))
    }

    async fn control_answer(
        ctx: &mut WorkflowContext<Self>,
        id: String,
    ) -> Result<ControlAnswer, Refusal> {
        Self::usable(ctx)?;
        let answered = |s: &Self| s.s().answer_to_control(&id).is_some();
        ctx.wait_condition_with_options(answered, detached())
            .await?;
        ctx.state(|s| s.s().answer_to_control(&id).cloned())
            .ok_or_else(|| "no answer".into())
    }
}

/// The answer to an update comes also when the workflow is cancelled meanwhile.
fn detached() -> WaitConditionOptions {
    WaitConditionOptions::builder()
        .cancellation_token(WorkflowCancellationToken::new())
        .build()
}

fn readable<T>(input: &Message<T>) -> Result<(), Refusal> {
    input.0.as_ref().map(|_| ()).map_err(|e| e.clone().into())
}

/// One run of the story: what its steps share is the context; what lasts is in the state.
pub(crate) struct Story {
    ctx: WorkflowContext<PatchDeployment>,
    /// Search attributes as last written, so that history holds changes only.
    shown: RefCell<Vec<String>>,
}

/// What a turn through planning and approval came to.
enum Turn {
    /// Cleared: deploy.
    Go,
    /// Over before anything was deployed.
    Over(DeploymentResult),
    /// The plan changed meanwhile: once more.
    Again,
}

/// What deploying came to.
enum Deployed {
    /// All rings and stragglers are through, or it was stopped for good.
    Through,
    /// The plan changed, or guardrails ask for more.
    Again,
}

impl Story {
    /// Runs the story; one that cannot go on says so where people look, too.
    async fn run(&self) -> WorkflowResult<DeploymentResult> {
        let result = self.story().await;
        if let Err(WorkflowTermination::Failed(why)) = &result {
            self.refuse(why).await;
        }
        result
    }

    async fn story(&self) -> WorkflowResult<DeploymentResult> {
        if let Some(why) = self.s(|s| s.carry.broken.clone()) {
            let result = self.wind_down(why).await?;
            return Ok(self.close(result).await);
        }
        if let Err(why) = self.begin().await {
            let Some(over) = self.aborted_before_work() else {
                return Err(why);
            };
            return Ok(self.close(over).await);
        }
        let result = match self.deploy_and_undo().await {
            Ok(result) => result,
            Err(WorkflowTermination::Failed(why)) if self.s(State::has_worked) => {
                self.wind_down(why.to_string()).await?
            }
            Err(other) => return Err(other),
        };
        Ok(self.close(result).await)
    }

    /// From the plan to the last device; ends with what is to be told.
    async fn deploy_and_undo(&self) -> WorkflowResult<DeploymentResult> {
        while !self.s(|s| s.carry.rolling_back) {
            // A new plan counts its devices from a standstill.
            if self.s(|s| !s.is_cleared() && s.carry.in_flight.is_empty()) {
                self.continue_as_new_if_due().await?;
                match self.plan_and_ask().await? {
                    Turn::Go => {}
                    Turn::Over(result) => return Ok(result),
                    Turn::Again => continue,
                }
            }
            match self.deploy().await? {
                Deployed::Again => {}
                Deployed::Through => break,
            }
        }
        self.roll_back_if_asked().await?;
        Ok(self.judge())
    }

    /// Runs an activity that only reads and may be retried for hours: an abort does not wait for it.
    async fn read<A: ActivityDefinition>(
        &self,
        activity: A,
        input: impl Into<A::Input>,
        options: ActivityOptions,
    ) -> Result<A::Output, Failed>
    where
        A::Output: TemporalDeserializable,
    {
        if self.s(|s| s.carry.aborted.is_some()) {
            return Err(Failed::unwanted());
        }
        let longest = self.s(|s| s.request.waits.call_secs);
        let still_wanted = async || {
            self.work_off_aborts().await;
            self.heed_cancel();
            self.s(|s| s.carry.aborted.is_none())
        };
        let asked = (activity, input);
        let news = |w: &PatchDeployment| w.s().has_abort();
        call::while_wanted(&self.ctx, longest, asked, options, news, still_wanted)
            .await
            .unwrap_or_else(|| Err(Failed::unwanted()))
    }

    /// Runs an activity.
    async fn call<A: ActivityDefinition>(
        &self,
        activity: A,
        input: impl Into<A::Input>,
        options: ActivityOptions,
    ) -> Result<A::Output, Failed>
    where
        A::Output: TemporalDeserializable,
    {
        let longest = self.s(|s| s.request.waits.call_secs);
        call::activity(&self.ctx, longest, activity, input, options).await
    }

    /// Reads the state.
    fn s<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        self.ctx.state(|w| read(w.s()))
    }

    /// Changes the state.
    fn s_mut<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        self.ctx.state_mut(|w| change(w.s_mut()))
    }
}
