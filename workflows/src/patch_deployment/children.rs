//! The sliding window of device runs: started with Abandon, they report by signal.

use contracts::{
    activities::{
        plans::{ChildRun, LoadPage, LoadPageInput},
        records::{SaveDevice, SaveDeviceInput},
    },
    deployment::{DeploymentInput, DeviceFinished, InFlight},
    device::{DevicePatchInput, Intent, Stop, StopInput},
    ids::DeviceRun,
};
use domain::{
    audit::Actor,
    deployment::Stage,
    guardrail::Verdict,
    ids::{DeviceId, KbId},
    outcome::{DeviceOutcome, DeviceResult},
    plan::BlackoutSpec,
};
use temporalio_workflow::{
    ChildWorkflowOptions, ChildWorkflowStartError, ContinueAsNewOptions, SignalWorkflowOptions,
    StartChildWorkflowExecutionFailedCause, WorkflowCancellationToken, WorkflowTermination,
    join_all,
};

use super::{
    Story,
    evidence::{Evidence, evidence_need},
    rings::Rounds,
};
use crate::{clock, device_patch::DevicePatch, failure::Failed, options};

/// A device run to start.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) device: DeviceId,
    pub(super) ring: u32,
    pub(super) attempt: u32,
    pub(super) intent: Intent,
    pub(super) undoes: Option<DeviceOutcome>,
    pub(super) straggler: bool,
    /// Only these KBs; all of the plan when absent.
    pub(super) kbs: Option<Vec<KbId>>,
    /// KBs that earlier attempts have put on the device.
    pub(super) installed_before: Vec<KbId>,
    pub(super) evidence: Evidence,
}

impl Story {
    /// Starts as many devices of the ring as the window has room for; false when none are left.
    pub(super) async fn start_next_batch(
        &self,
        ring: u32,
        name: &str,
        rounds: &mut Rounds,
    ) -> Result<bool, WorkflowTermination> {
        let pages = self.s(|s| {
            s.carry
                .plan
                .as_ref()
                .map_or(0, |p| p.rings[ring as usize].pages)
        });
        let cursor = self.s(|s| s.carry.cursor);
        if cursor.page >= pages {
            return Ok(false);
        }
        if rounds.page.is_none() {
            rounds.page = Some(self.load_page(ring, cursor.page).await?);
        }
        let Some(page) = rounds.page.clone() else {
            return Ok(false);
        };
        let room = self.room();
        if room == 0 {
            self.stage(Stage::Deploying, rounds.note(name)).await;
            self.wait_a_round(rounds, None, "room for the next device")
                .await?;
            return Ok(true);
        }
        let next: Vec<_> = page
            .iter()
            .skip(cursor.position as usize)
            .take(room)
            .cloned()
            .collect();
        let taken = u32::try_from(next.len()).unwrap_or(u32::MAX);
        let page_done = cursor.position + taken >= u32::try_from(page.len()).unwrap_or(u32::MAX);
        self.s_mut(|s| {
            if page_done {
                s.carry.cursor.page += 1;
                s.carry.cursor.position = 0;
            } else {
                s.carry.cursor.position += taken;
            }
            for device in &next {
                // Settled under an earlier revision and counted then; the ring is counted anew.
                if let Some(outcome) = device.settled {
                    s.carry.status.rings[ring as usize].counts.add(outcome);
                }
            }
        });
        if page_done {
            rounds.page = None;
        }
        let starts = next
            .into_iter()
            // One that the stragglers lane is working on is in flight already.
            .filter(|d| d.settled.is_none() && !self.s(|s| s.carry.in_flight.contains_key(&d.id)))
            .map(|d| Start {
                device: d.id,
                ring,
                attempt: d.attempts + 1,
                intent: Intent::Install,
                undoes: None,
                straggler: false,
                kbs: None,
                installed_before: d.installed,
                evidence: Evidence {
                    first: d.evidence_first,
                    stored: d.evidence,
                },
            });
        self.start(starts.collect()).await?;
        self.show().await;
        Ok(true)
    }

    /// Returns how many more devices may be worked on.
    pub(super) fn room(&self) -> usize {
        self.s(|s| {
            (s.request.limits.max_in_flight as usize).saturating_sub(s.carry.in_flight.len())
        })
    }

    async fn load_page(
        &self,
        ring: u32,
        page: u32,
    ) -> Result<Vec<contracts::activities::plans::PageDevice>, WorkflowTermination> {
        let input = self.s(|s| LoadPageInput {
            plan: s.plan_id.clone(),
            revision: s.carry.plan.as_ref().map_or(0, |p| p.revision),
            ring,
            page,
            evidence: s.carry.plan.as_ref().is_some_and(|p| p.evidence_first > 0),
        });
        self.call(LoadPage, input, options::store("read a page of devices"))
            .await
            .map(|answer| answer.devices)
            .map_err(Failed::into_termination)
    }

    /// Starts device runs side by side and waits until the server has taken them.
    pub(super) async fn start(&self, starts: Vec<Start>) -> Result<(), WorkflowTermination> {
        let now = clock::now(&self.ctx);
        let mut pending = Vec::new();
        for start in starts {
            let input = self.device_input(&start);
            self.s_mut(|s| {
                let flight = InFlight {
                    attempt: start.attempt,
                    ring: start.ring,
                    since: now,
                    undoes: start.undoes,
                    straggler: start.straggler,
                };
                s.carry.in_flight.insert(start.device.clone(), flight)
            });
            let child = self.ctx.start_child_workflow(
                DevicePatch::run,
                contracts::message::Message::from(input),
                self.child_options(&start),
            );
            pending.push(async move { (start, child.await.map(|_| ())) });
        }
        for (start, started) in join_all(pending).await {
            match started {
                // Its result comes by signal.
                Ok(()) => {}
                Err(ChildWorkflowStartError::StartFailed {
                    cause: StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists,
                    ..
                }) => self.read_result_of(&start).await?,
                Err(error) => self.not_started(start, error.to_string()).await,
            }
        }
        Ok(())
    }

    /// A run that the server refuses for good has no end of its own to write down.
    async fn not_started(&self, start: Start, why: String) {
        let detail = serde_json::json!({ "device": start.device, "why": why });
        self.audit("device_not_started", Actor::Workflow, vec![], detail)
            .await;
        let run = self.run_of(&start);
        let input = self.s(|s| SaveDeviceInput {
            plan: run.plan.clone(),
            client: s.request.client.clone(),
            workflow_id: run.workflow_id(),
            ring: start.ring,
            attempt: start.attempt,
            result: DeviceResult {
                device: start.device.clone(),
                outcome: DeviceOutcome::NeedsHuman,
                detail: format!("its workflow could not be started: {why}"),
                patches: Vec::new(),
                evidence: start.evidence.stored.clone(),
            },
            kbs: start
                .kbs
                .clone()
                .unwrap_or_else(|| s.carry.status.kbs.clone()),
            jobs: Vec::new(),
            rollback_failed: start.intent == Intent::RollBack,
        });
        if let Err(failed) = self.write(|| SaveDevice, input, "write the result").await {
            let what = format!("result needs_human of {}", start.device);
            self.note_unwritten(|unwritten| unwritten.add_record(&what, &failed.message));
        }
        self.s_mut(|s| {
            s.carry.finished.push(DeviceFinished {
                device: start.device,
                attempt: start.attempt,
                outcome: DeviceOutcome::NeedsHuman,
                needs_new_approval: false,
            });
        });
    }

    fn child_options(&self, start: &Start) -> ChildWorkflowOptions {
        let client = self.s(|s| s.request.client.clone());
        let summary = format!("device {} attempt {}", start.device, start.attempt);
        options::child(self.run_of(start).workflow_id(), summary, &client)
    }

    fn run_of(&self, start: &Start) -> DeviceRun {
        DeviceRun {
            plan: self.s(|s| s.plan_id.clone()),
            device: start.device.clone(),
            attempt: start.attempt,
            intent: start.intent,
        }
    }

    fn device_input(&self, start: &Start) -> DevicePatchInput {
        self.s(|s| {
            let plan = s.carry.plan.as_ref();
            DevicePatchInput {
                plan: s.plan_id.clone(),
                revision: plan.map_or(0, |p| p.revision),
                plan_hash: plan.map(|p| p.hash.clone()).unwrap_or_default(),
                client: s.request.client.clone(),
                device: start.device.clone(),
                ring: start.ring,
                attempt: start.attempt,
                intent: start.intent,
                kbs: start
                    .kbs
                    .clone()
                    .unwrap_or_else(|| s.carry.status.kbs.clone()),
                installed_before: start.installed_before.clone(),
                reboot: s.request.reboot,
                roll_back_failures: s.request.rollback.enabled,
                health: s.request.health.clone(),
                windows: s.request.windows.clone(),
                blackouts: without_reasons(&s.request.blackouts),
                time_zone: s.request.time_zone.clone(),
                deadline: s.request.deadline,
                figures: s.carry.figures.unwrap_or_default(),
                cleared: s
                    .carry
                    .cleared
                    .as_ref()
                    .map_or(Verdict::Forbidden, |c| c.verdict.clone()),
                waits: s.request.waits,
                evidence: evidence_need(s, start),
            }
        })
    }

    pub(super) fn child_run(&self, device: DeviceId, attempt: u32, intent: Intent) -> ChildRun {
        let start = Start {
            device,
            ring: 0,
            attempt,
            intent,
            undoes: None,
            straggler: false,
            kbs: None,
            installed_before: Vec::new(),
            evidence: Evidence::default(),
        };
        ChildRun {
            workflow_id: self.run_of(&start).workflow_id(),
            device: start.device,
            ring: start.ring,
            attempt,
        }
    }

    /// Tells the devices in flight to stop where that is safe. What is being undone goes on, unless a person
    /// has aborted the deployment.
    pub(super) async fn stop_in_flight(&self, why: Stop) {
        let flying = self.s(|s| s.carry.in_flight.clone());
        let runs: Vec<_> = flying
            .into_iter()
            .filter(|(_, flight)| flight.undoes.is_none() || why == Stop::Aborted)
            .map(|(device, flight)| {
                let run = self.child_run(device, flight.attempt, flight.intent());
                self.ctx.external_workflow(run.workflow_id, None)
            })
            .collect();
        let told = runs.iter().map(|run| {
            let options = SignalWorkflowOptions::builder()
                .cancellation_token(WorkflowCancellationToken::new())
                .build();
            run.signal(DevicePatch::stop, StopInput { why }.into(), options)
        });
        // One that is over already cannot be told, and needs not be.
        join_all(told).await;
    }

    /// Starts a new run with everything carried over when history has grown.
    pub(super) async fn continue_as_new_if_due(&self) -> Result<(), WorkflowTermination> {
        let limit = self.s(|s| s.request.limits.continue_after_events);
        if !options::is_long(&self.ctx, limit) {
            return Ok(());
        }
        // What came in is worked off first, and updates answer: an answer cannot cross over.
        self.answer_everybody().await;
        // A cancellation does not cross over by itself.
        self.heed_cancel();
        let input = self.s(|s| DeploymentInput {
            request: s.request.clone(),
            carry: Some(Box::new(s.carry.clone())),
        });
        self.ctx
            .continue_as_new(input.into(), ContinueAsNewOptions::default())?;
        Ok(())
    }
}

/// Devices need the times; the words are for people, and long.
fn without_reasons(blackouts: &[BlackoutSpec]) -> Vec<BlackoutSpec> {
    blackouts
        .iter()
        .map(|b| BlackoutSpec {
            reason: String::new(),
            ..b.clone()
        })
        .collect()
}
