//! Watching devices in flight: what they report, what they do not, and the snapshot they wait for.

use contracts::{
    activities::plans::{CheckChildren, CheckChildrenInput, ChildRun},
    deployment::DeviceFinished,
    device::Intent,
};
use domain::{failure::FailureKind, outcome::DeviceOutcome};
use jiff::Timestamp;
use temporalio_workflow::WorkflowTermination;

use super::{Story, children::Start, rings::Rounds};
use crate::{clock, failure::Failed, options};

/// Progress of devices is shown at most this often.
const SHOW_EVERY_SECS: u64 = 2;

impl Story {
    /// The run exists already: it was started before a crash or reset, so its result is read.
    pub(super) async fn read_result_of(&self, start: &Start) -> Result<(), WorkflowTermination> {
        let runs = vec![self.child_run(start.device.clone(), start.attempt, start.intent)];
        self.check_children(runs).await
    }

    pub(super) async fn check_children(
        &self,
        runs: Vec<ChildRun>,
    ) -> Result<(), WorkflowTermination> {
        let input = CheckChildrenInput {
            plan: self.s(|s| s.plan_id.clone()),
            runs,
        };
        let answer = self
            .call(
                CheckChildren,
                input,
                options::store("ask about silent devices"),
            )
            .await
            .map_err(Failed::into_termination)?;
        self.s_mut(|s| {
            for ended in answer.ended {
                s.carry.finished.push(DeviceFinished {
                    device: ended.device,
                    attempt: ended.attempt,
                    outcome: ended.outcome,
                    needs_new_approval: false,
                });
            }
        });
        Ok(())
    }

    /// Asks what became of the devices in flight: one may have ended without a word.
    pub(super) async fn ask_about_flights(&self) -> Result<(), WorkflowTermination> {
        let flying = self.s(|s| s.carry.in_flight.clone());
        let runs: Vec<_> = flying
            .into_iter()
            .map(|(device, flight)| {
                let intent = if flight.undoes.is_some() {
                    Intent::RollBack
                } else {
                    Intent::Install
                };
                self.child_run(device, flight.attempt, intent)
            })
            .collect();
        if runs.is_empty() {
            return Ok(());
        }
        self.check_children(runs).await
    }

    /// Waits for news; meanwhile keeps the online snapshot young and asks about silent devices.
    pub(super) async fn wait_a_round(
        &self,
        rounds: &mut Rounds,
        until: Option<Timestamp>,
        summary: &str,
    ) -> Result<(), WorkflowTermination> {
        self.refresh_snapshot(rounds).await;
        if self.s(|s| s.carry.walk.is_some()) {
            return Ok(());
        }
        let now = clock::now(&self.ctx);
        let silence = self.s(|s| s.request.waits.script_timeout_secs);
        let check_at = self.s_mut(|s| *s.carry.check_at.get_or_insert(clock::after(now, silence)));
        if now >= check_at {
            self.s_mut(|s| s.carry.check_at = None);
            self.ask_about_flights().await?;
            return Ok(());
        }
        let mut next = check_at;
        let stragglers_at = self.s(|s| s.carry.stragglers_at);
        for candidate in [until, rounds.refresh_at, stragglers_at]
            .into_iter()
            .flatten()
        {
            if candidate > now {
                next = next.min(candidate);
            }
        }
        self.wait_for_news(next, summary).await;
        Ok(())
    }

    /// Reads the device list again when it is old, one reader per client: devices wait for it. A page
    /// at a time, so that a long list does not hold up the rings.
    pub(super) async fn refresh_snapshot(&self, rounds: &mut Rounds) {
        let now = clock::now(&self.ctx);
        let walk = self.s_mut(|s| s.carry.walk.take());
        if walk.is_none() && rounds.refresh_at.is_some_and(|at| now < at) {
            return;
        }
        let needed = self.s(|s| !s.carry.in_flight.is_empty() || s.carry.status.stragglers > 0);
        let age = self.s(|s| s.request.waits.inventory_secs);
        if needed {
            let how = options::inventory_refresh("read devices");
            let read = self.read_device_page(walk.unwrap_or(1), age, how).await;
            // The next round makes a missed refresh good.
            let away = matches!(&read, Err(failed) if failed.is(FailureKind::Unavailable));
            rounds.away_since = away.then(|| rounds.away_since.unwrap_or(now));
            if let Ok(Some(next)) = read {
                self.s_mut(|s| s.carry.walk = Some(next));
                return;
            }
        }
        rounds.refresh_at = Some(clock::after(clock::now(&self.ctx), age));
    }

    /// Counts what devices have reported; a repeat finds nothing in flight and is ignored.
    pub(super) async fn count_finished(&self) {
        let finished = self.s_mut(|s| std::mem::take(&mut s.carry.finished));
        let mut counted = false;
        let mut asks_anew = false;
        for done in finished {
            counted |= self.s_mut(|s| {
                let known = s
                    .carry
                    .in_flight
                    .get(&done.device)
                    .is_some_and(|f| f.attempt == done.attempt);
                if !known {
                    return false;
                }
                let Some(flight) = s.carry.in_flight.remove(&done.device) else {
                    return false;
                };
                let status = &mut s.carry.status;
                if done.outcome == DeviceOutcome::Deferred {
                    status.stragglers += 1;
                    return true;
                }
                if let Some(before) = flight.undoes {
                    status.counts.take(before);
                }
                status.counts.add(done.outcome);
                if let Some(ring) = status.rings.get_mut(flight.ring as usize) {
                    if let Some(before) = flight.undoes {
                        ring.counts.take(before);
                    }
                    ring.counts.add(done.outcome);
                }
                true
            });
            asks_anew |= done.needs_new_approval;
        }
        if asks_anew && self.s(|s| s.carry.turn_asked.is_none()) {
            self.ask_anew("guardrails now ask for more".to_owned())
                .await;
        }
        // Not for every device: a deployment of thousands would fill its history with it.
        let due = self.s(|s| {
            s.carry.in_flight.is_empty()
                || clock::now(&self.ctx) >= clock::after(s.carry.status.updated_at, SHOW_EVERY_SECS)
        });
        if counted && due {
            self.show().await;
        }
    }
}
