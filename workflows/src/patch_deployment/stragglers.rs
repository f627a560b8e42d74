//! The stragglers lane: devices that stayed offline run whenever window and device allow.

use contracts::{
    activities::plans::{
        GiveUpStragglers, NextStragglers, PlanPageInput, StragglersInput, StragglersResult,
    },
    device::Intent,
};
use domain::{
    audit::Actor,
    deployment::Stage,
    outcome::DeviceOutcome,
    rings::{LaneTurn, StragglerWait, lane_turn, still_waiting},
};
use temporalio_workflow::WorkflowTermination;

use super::{Deployed, Story, children::Start, evidence::Evidence, rings::Rounds};
use crate::{clock, failure::Failed, options};

impl Story {
    /// Looks for stragglers that came back and starts them.
    pub(super) async fn start_stragglers(&self) -> Result<(), WorkflowTermination> {
        let now = clock::now(&self.ctx);
        if self.s(|s| s.carry.status.stragglers) == 0 {
            self.s_mut(|s| s.carry.stragglers_at = None);
            return Ok(());
        }
        let poll = self.s(|s| s.request.waits.straggler_poll_secs);
        let next = clock::after(now, poll);
        let due = self.s_mut(|s| *s.carry.stragglers_at.get_or_insert(next));
        let room = self.room();
        if now < due || room == 0 || self.time_for_stragglers_is_over() {
            return Ok(());
        }
        self.s_mut(|s| s.carry.stragglers_at = Some(next));
        let answer = self.next_stragglers(room).await?;
        let on_their_way = self.s(|s| {
            let flying = s.carry.in_flight.values().filter(|f| f.straggler);
            u32::try_from(flying.count()).unwrap_or(u32::MAX)
        });
        let starts: Vec<_> = answer
            .ready
            .into_iter()
            .filter(|s| !self.s(|state| state.carry.in_flight.contains_key(&s.device)))
            .map(|s| Start {
                device: s.device,
                ring: s.ring,
                attempt: s.attempts + 1,
                intent: Intent::Install,
                undoes: None,
                straggler: true,
                kbs: None,
                installed_before: s.installed,
                evidence: Evidence {
                    first: s.evidence_first,
                    stored: s.evidence,
                },
            })
            .collect();
        let started = u32::try_from(starts.len()).unwrap_or(u32::MAX);
        let left = still_waiting(answer.waiting, on_their_way, started);
        let changed = self.s_mut(|s| {
            let before = std::mem::replace(&mut s.carry.status.stragglers, left);
            before != left
        });
        self.start(starts).await?;
        if changed {
            self.show().await;
        }
        Ok(())
    }

    async fn next_stragglers(&self, limit: usize) -> Result<StragglersResult, WorkflowTermination> {
        let input = self.s(|s| StragglersInput {
            plan: s.plan_id.clone(),
            revision: s.carry.plan.as_ref().map_or(0, |p| p.revision),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            before: s.carry.cursor,
        });
        self.call(NextStragglers, input, options::store("look for stragglers"))
            .await
            .map_err(Failed::into_termination)
    }

    /// After the last ring: waits for stragglers until the deadline or the longest wait.
    pub(super) async fn finish_stragglers(
        &self,
        rounds: &mut Rounds,
    ) -> Result<Option<Deployed>, WorkflowTermination> {
        let now = clock::now(&self.ctx);
        self.s_mut(|s| {
            s.carry.rings_done_at.get_or_insert(now);
        });
        let (waiting, idle) = self.s(|s| (s.carry.status.stragglers, s.carry.in_flight.is_empty()));
        match lane_turn(waiting, idle, self.time_for_stragglers_is_over()) {
            LaneTurn::AskStore => {
                let waiting = self.next_stragglers(0).await?.waiting;
                if waiting == 0 {
                    return Ok(Some(Deployed::Through));
                }
                self.s_mut(|s| s.carry.status.stragglers = waiting);
                return Ok(None);
            }
            LaneTurn::GiveUp => {
                self.give_up_stragglers().await?;
                return Ok(Some(Deployed::Through));
            }
            LaneTurn::Wait => {}
        }
        self.stage(
            Stage::Stragglers,
            format!("{waiting} devices have been offline"),
        )
        .await;
        let until = self.straggler_wait().last_call();
        self.wait_a_round(rounds, Some(until), "stragglers").await?;
        Ok(None)
    }

    /// Returns true when stragglers are not waited for any longer.
    pub(super) fn time_for_stragglers_is_over(&self) -> bool {
        self.straggler_wait().is_over(clock::now(&self.ctx))
    }

    fn straggler_wait(&self) -> StragglerWait {
        self.s(|s| StragglerWait {
            since: s.carry.rings_done_at.or(s.carry.soak_until),
            max_wait_secs: s.request.waits.max_wait_secs,
            deadline: s.request.deadline,
        })
    }

    /// Writes the ones still waiting down as unreached.
    pub(super) async fn give_up_stragglers(&self) -> Result<(), WorkflowTermination> {
        let mut cursor = None;
        let mut given_up = 0;
        loop {
            let input = PlanPageInput {
                plan: self.s(|s| s.plan_id.clone()),
                cursor,
            };
            let answer = self
                .call(
                    GiveUpStragglers,
                    input,
                    options::store("give up stragglers"),
                )
                .await
                .map_err(Failed::into_termination)?;
            given_up += answer.given_up;
            cursor = answer.cursor;
            if cursor.is_none() {
                break;
            }
        }
        self.s_mut(|s| {
            let waiting = std::mem::take(&mut s.carry.status.stragglers);
            s.carry
                .status
                .counts
                .add_many(DeviceOutcome::Unreached, waiting);
        });
        let detail = serde_json::json!({ "devices": given_up });
        self.audit("stragglers_given_up", Actor::Workflow, vec![], detail)
            .await;
        Ok(())
    }
}
