//! Workflow `PatchCampaign`: from what the devices of a client miss to deployments. Reads inventory and
//! patch lists, ranks, makes plans, starts their deployments in order while there is room, and ends: a
//! deployment lives on without its campaign.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

use contracts::{
    activities::{
        campaign::{
            Draft, DraftInput, ListKind, NextLists, NextListsInput, NextPlan, NextPlanInput,
            NextPlanResult, NotePlan, NotePlanInput, Prioritise, PrioritiseInput, ReadListInput,
            ReadPatchList, ReadSoftwareList,
        },
        inventory::{SyncClient, SyncClientInput, SyncDevicesPage, SyncPageInput, SyncSitesPage},
    },
    campaign::{
        CampaignCarry, CampaignCounts, CampaignStep, PatchCampaignInput, PatchCampaignResult,
    },
    deployment::DeploymentInput,
    ids,
    message::Message,
    schedule::ScheduleKind,
    search,
};
use domain::{
    campaign::{Degraded, PlanState, campaign_id},
    ids::DeviceId,
    input::InvalidInput,
    plan::PlanRequest,
};
use temporalio_workflow::{
    ActivityExecutionError, ChildWorkflowStartError, ContinueAsNewOptions,
    StartChildWorkflowExecutionFailedCause, WorkflowContext, WorkflowContextView, WorkflowResult,
    WorkflowTermination, join_all, workflow, workflow_methods,
};

use crate::{
    clock,
    failure::{self, ended},
    letters, options,
    patch_deployment::PatchDeployment,
    show::show,
};

/// Input of a campaign, or what is wrong with it; and where it stands.
#[workflow]
#[derive(Debug)]
pub struct PatchCampaign {
    input: Result<PatchCampaignInput, InvalidInput>,
    carry: Option<CampaignCarry>,
}

#[workflow_methods]
impl PatchCampaign {
    #[init]
    fn new(_: &WorkflowContextView, input: Message<PatchCampaignInput>) -> Self {
        let input = input.into_result();
        Self {
            carry: input.as_ref().ok().and_then(|input| input.carry.clone()),
            input,
        }
    }

    /// Finds and starts.
    #[run(name = "PatchCampaign")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<PatchCampaignResult> {
        let now = clock::now(ctx);
        let input = ctx.state(|campaign| campaign.input.clone());
        let checked = input.and_then(|input| {
            let mut problems = input.rules.problems();
            problems.extend(input.limits.problems());
            if let Err(found) = input.plan.check(&input.client, now) {
                problems.extend(found.problems);
            }
            InvalidInput::when(problems).map(|()| input)
        });
        let input = checked.map_err(failure::invalid_input)?;
        let carry = ctx.state(|campaign| campaign.carry.clone());
        let workflow_id = ctx.workflow_id().to_owned();
        let carry = carry.unwrap_or_else(|| CampaignCarry {
            id: campaign_id(&workflow_id, now),
            step: CampaignStep::Inventory { page: 1 },
            done: CampaignCounts::default(),
        });
        let client = search::CLIENT.value_set(input.client.to_string());
        ctx.upsert_search_attributes(vec![client]);
        let mut work = Work {
            ctx,
            input: PatchCampaignInput {
                carry: None,
                ..input
            },
            workflow_id,
            carry,
        };
        match work.go().await {
            Ok(result) => Ok(result),
            Err(why) => Err(work.leave_letter(why).await),
        }
    }

    /// Where it stands.
    #[query(name = "status")]
    pub fn status(&self, _: &WorkflowContextView) -> Option<CampaignCarry> {
        self.carry.clone()
    }
}

/// What became of the next plan.
enum Started {
    /// Its deployment was started, or could not be.
    One,
    /// There is no room for it.
    Held(String),
    /// There is none.
    NoneLeft,
}

struct Work<'a> {
    ctx: &'a WorkflowContext<PatchCampaign>,
    input: PatchCampaignInput,
    workflow_id: String,
    carry: CampaignCarry,
}

impl Work<'_> {
    async fn go(&mut self) -> WorkflowResult<PatchCampaignResult> {
        let mut held = None;
        loop {
            self.show();
            self.continue_if_due()?;
            let next = match self.carry.step.clone() {
                CampaignStep::Inventory { page } => self.inventory(page).await?,
                CampaignStep::Lists { after } => self.lists(ListKind::Patches, after).await?,
                CampaignStep::Software { after } => self.lists(ListKind::Software, after).await?,
                CampaignStep::Draft => self.draft().await?,
                CampaignStep::Prioritise => self.prioritise().await,
                CampaignStep::Start { next } if next < self.carry.done.plans => {
                    match self.start(next).await? {
                        Started::One => CampaignStep::Start { next: next + 1 },
                        Started::NoneLeft => break,
                        Started::Held(why) => {
                            held = Some(why);
                            break;
                        }
                    }
                }
                CampaignStep::Start { .. } => break,
            };
            self.carry.step = next;
        }
        show(self.ctx, "done", self.details(held.as_deref()));
        Ok(PatchCampaignResult {
            campaign: self.carry.id.clone(),
            counts: self.carry.done,
            held,
            ended_at: clock::now(self.ctx),
        })
    }

    /// A retry goes on where it stands.
    async fn leave_letter(&self, why: WorkflowTermination) -> WorkflowTermination {
        let input = self.next_input();
        let (client, kind) = (&self.input.client, ScheduleKind::PatchCampaign);
        letters::left(self.ctx, Some(client), kind, input, why).await
    }

    /// The client and its sites before the first page of devices.
    async fn inventory(&self, page: u32) -> Result<CampaignStep, WorkflowTermination> {
        let client = self.input.client.clone();
        let of = |page| SyncPageInput {
            client: client.clone(),
            page,
            max_age_secs: 0,
            wanted: vec![],
        };
        if page == 1 {
            let known = SyncClientInput {
                client: client.clone(),
            };
            let how = options::inventory("read the client");
            ended(self.ctx.execute_activity(SyncClient, known, how).await)?;
            for page in 1.. {
                let how = options::inventory(format!("read sites, page {page}"));
                let read = self.ctx.execute_activity(SyncSitesPage, of(page), how);
                if !ended(read.await)?.has_more {
                    break;
                }
            }
        }
        let how = options::inventory(format!("read devices, page {page}"));
        let read = self.ctx.execute_activity(SyncDevicesPage, of(page), how);
        Ok(if ended(read.await)?.has_more {
            CampaignStep::Inventory { page: page + 1 }
        } else {
            CampaignStep::Lists { after: None }
        })
    }

    /// Lists of a page of devices. One that cannot be read does not hold the others up: its device is
    /// ranked by the list before, or counted as unread; and what software lists say is for people.
    async fn lists(
        &mut self,
        kind: ListKind,
        after: Option<DeviceId>,
    ) -> Result<CampaignStep, WorkflowTermination> {
        let limits = self.input.limits;
        let (older_secs, summary) = match kind {
            ListKind::Patches => (limits.list_secs, "whose patch lists are old"),
            ListKind::Software => (limits.software_secs, "whose software lists are old"),
        };
        let input = NextListsInput {
            client: self.input.client.clone(),
            older_secs,
            after,
            kind,
        };
        let how = options::store(summary);
        let due = ended(self.ctx.execute_activity(NextLists, input, how).await)?;
        for some in due.devices.chunks(limits.lists_at_once.max(1) as usize) {
            let reads = some.iter().map(|device| self.list(kind, device));
            for read in join_all(reads.collect::<Vec<_>>()).await {
                let done = &mut self.carry.done;
                match (kind, read) {
                    (ListKind::Patches, Ok(_)) => done.lists += 1,
                    (ListKind::Patches, Err(_)) => done.lists_failed += 1,
                    (ListKind::Software, Ok(flaws)) => {
                        done.software_lists += 1;
                        done.software_flaws += flaws;
                    }
                    (ListKind::Software, Err(_)) => done.software_failed += 1,
                }
            }
        }
        Ok(match (kind, due.next) {
            (ListKind::Patches, after @ Some(_)) => CampaignStep::Lists { after },
            (ListKind::Software, after @ Some(_)) => CampaignStep::Software { after },
            (ListKind::Patches, None) if limits.software_secs > 0 => {
                CampaignStep::Software { after: None }
            }
            (_, None) => CampaignStep::Draft,
        })
    }

    /// Returns how many rows could not be read.
    async fn list(&self, kind: ListKind, device: &DeviceId) -> Result<u64, ActivityExecutionError> {
        let mut flaws = 0;
        for page in 1.. {
            let input = ReadListInput {
                client: self.input.client.clone(),
                device: device.clone(),
                page,
            };
            let has_more = match kind {
                ListKind::Patches => {
                    let how = options::patch_list(format!("patch list of {device}, page {page}"));
                    let read = self.ctx.execute_activity(ReadPatchList, input, how);
                    read.await?.has_more
                }
                ListKind::Software => {
                    let what = format!("software list of {device}, page {page}");
                    let how = options::software_list(what);
                    let read = self.ctx.execute_activity(ReadSoftwareList, input, how);
                    let read = read.await?;
                    flaws += u64::from(read.flaws);
                    read.has_more
                }
            };
            if !has_more {
                break;
            }
        }
        Ok(flaws)
    }

    async fn draft(&mut self) -> Result<CampaignStep, WorkflowTermination> {
        let input = DraftInput {
            campaign: self.carry.id.clone(),
            client: self.input.client.clone(),
            workflow_id: self.workflow_id.clone(),
            requested_by: self.input.requested_by.clone(),
            rules: self.input.rules.clone(),
            plan: self.input.plan.clone(),
        };
        let how = options::drafting("rank and make plans");
        let drafted = ended(self.ctx.execute_activity(Draft, input, how).await)?;
        let done = &mut self.carry.done;
        (done.plans, done.pairs) = (drafted.plans, drafted.pairs);
        (done.left_out, done.unread) = (drafted.left_out, drafted.unread);
        done.vulnerable_products = drafted.vulnerable_products;
        Ok(CampaignStep::Prioritise)
    }

    /// Asks a model about the order of the plans. Whatever comes of it, the plans are started: without
    /// a model in the order of the rule, marked degraded.
    async fn prioritise(&mut self) -> CampaignStep {
        let ask = self.input.limits.ask_model;
        let mut unasked = (!ask).then_some(Degraded::SwitchedOff);
        self.carry.done.degraded = true;
        loop {
            let input = PrioritiseInput {
                campaign: self.carry.id.clone(),
                unasked,
            };
            let how = match unasked {
                None => options::model("ask the model about the order of the plans"),
                Some(_) => options::noting("note that the model is not asked"),
            };
            match self.ctx.execute_activity(Prioritise, input, how).await {
                Ok(advised) => {
                    let done = &mut self.carry.done;
                    (done.moved, done.tokens) = (advised.moved, advised.tokens);
                    done.degraded = advised.degraded;
                    break;
                }
                Err(_) if unasked.is_none() => unasked = Some(Degraded::Unavailable),
                Err(_) => break,
            }
        }
        CampaignStep::Start { next: 0 }
    }

    /// Starts a deployment; says why it did not when there is no room.
    async fn start(&mut self, number: u32) -> Result<Started, WorkflowTermination> {
        let input = NextPlanInput {
            campaign: self.carry.id.clone(),
            client: self.input.client.clone(),
            number,
            limits: self.input.limits,
        };
        let how = options::store(format!("plan {}", number + 1));
        let request = match ended(self.ctx.execute_activity(NextPlan, input, how).await)? {
            NextPlanResult::Held(why) => return Ok(Started::Held(why)),
            NextPlanResult::NoneLeft => return Ok(Started::NoneLeft),
            NextPlanResult::Start(request) => *request,
        };
        let plan = request.id.clone();
        let state = match self.deploy(request).await {
            Ok(()) => PlanState::Started {
                at: clock::now(self.ctx),
            },
            Err(why) => PlanState::Refused { why },
        };
        let is_started = matches!(state, PlanState::Started { .. });
        let noted = NotePlanInput {
            campaign: self.carry.id.clone(),
            number,
            plan,
            state,
        };
        let how = options::store(format!("note plan {}", number + 1));
        ended(self.ctx.execute_activity(NotePlan, noted, how).await)?;
        // Only now: a retry is given what is not noted again.
        let done = &mut self.carry.done;
        match is_started {
            true => done.started += 1,
            false => done.refused += 1,
        }
        Ok(Started::One)
    }

    async fn deploy(&self, request: PlanRequest) -> Result<(), String> {
        let Some(plan) = request.id.clone() else {
            return Err("the plan has no name".to_owned());
        };
        let summary = format!("plan {plan} of campaign {}", self.carry.id);
        let started = self.ctx.start_child_workflow(
            PatchDeployment::run,
            Message::from(DeploymentInput::from(request)),
            options::child(ids::patch_deployment(&plan), summary, &self.input.client),
        );
        match started.await {
            Ok(_) => Ok(()),
            // By this campaign, before the answer was lost: names are its own.
            Err(ChildWorkflowStartError::StartFailed {
                cause: StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists,
                ..
            }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn continue_if_due(&self) -> Result<(), WorkflowTermination> {
        let limit = self.input.limits.continue_after_events;
        if !options::is_long(self.ctx, limit) {
            return Ok(());
        }
        let input = Message::from(self.next_input());
        self.ctx
            .continue_as_new(input, ContinueAsNewOptions::default())?;
        Ok(())
    }

    /// Input of a run that goes on from here.
    fn next_input(&self) -> PatchCampaignInput {
        PatchCampaignInput {
            carry: Some(self.carry.clone()),
            ..self.input.clone()
        }
    }

    fn show(&self) {
        let carry = self.carry.clone();
        let stage = match &carry.step {
            CampaignStep::Inventory { .. } => "inventory",
            CampaignStep::Lists { .. } => "lists",
            CampaignStep::Software { .. } => "software",
            CampaignStep::Draft => "planning",
            CampaignStep::Prioritise => "prioritising",
            CampaignStep::Start { .. } => "starting",
        };
        self.ctx.state_mut(|campaign| campaign.carry = Some(carry));
        show(self.ctx, stage, self.details(None));
    }

    fn details(&self, held: Option<&str>) -> String {
        let CampaignCounts {
            lists,
            lists_failed,
            software_lists,
            software_failed,
            software_flaws: _,
            vulnerable_products,
            plans,
            pairs,
            left_out,
            unread,
            moved,
            tokens,
            degraded,
            started,
            refused,
        } = self.carry.done;
        let mut details = format!(
            "Campaign `{}`\n\n| Patch lists read | failed | never read | Plans | Pairs | left out | Started | refused |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n| {lists} | {lists_failed} | {unread} | {plans} | {pairs} | {left_out} | {started} | {refused} |\n",
            self.carry.id
        );
        if software_lists + software_failed + vulnerable_products > 0 {
            details += &format!(
                "\nSoftware lists read: {software_lists}, failed: {software_failed}; products with vulnerabilities, for people: {vulnerable_products}\n"
            );
        }
        details += &match (&self.carry.step, degraded) {
            (CampaignStep::Start { .. }, true) => {
                "\nOrder: by rule alone (degraded: no model had a say)\n".to_owned()
            }
            (CampaignStep::Start { .. }, false) => format!(
                "\nOrder: by rule, {moved} plans moved by the model within bounds, {tokens} tokens\n"
            ),
            (CampaignStep::Prioritise, _) => "\nThe model is asked about the order\n".to_owned(),
            _ => String::new(),
        };
        if let Some(held) = held {
            details += &format!("\nHeld: {held}\n");
        }
        details
    }
}
