//! Watching devices in flight: what they report, what they do not, and the snapshot they wait for.

use contracts::{
    activities::{
        inventory::SyncPageResult,
        plans::{CheckChildren, CheckChildrenInput, ChildRun},
    },
    deployment::{DeviceFinished, Walk},
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
        let run = self.child_run(start.device.clone(), start.attempt, start.intent);
        let ring = start.ring;
        self.check_children(vec![ChildRun { ring, ..run }]).await
    }

    pub(super) async fn check_children(
        &self,
        runs: Vec<ChildRun>,
    ) -> Result<(), WorkflowTermination> {
        let input = self.s(|s| CheckChildrenInput {
            plan: s.plan_id.clone(),
            client: s.request.client.clone(),
            kbs: s.carry.status.kbs.clone(),
            runs,
        });
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
            .map(|(device, flight)| ChildRun {
                ring: flight.ring,
                ..self.child_run(device, flight.attempt, flight.intent())
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

    /// Reads the device list again when it is old: devices wait for it. A page at a time, so that a
    /// long list does not hold up the rings, and only until all devices in flight were found, beginning
    /// where they were last: of a large fleet few are at work. For stragglers the whole list is read.
    pub(super) async fn refresh_snapshot(&self, rounds: &mut Rounds) {
        let now = clock::now(&self.ctx);
        let walk = self.s_mut(|s| s.carry.walk.take());
        if walk.is_none() && rounds.refresh_at.is_some_and(|at| now < at) {
            return;
        }
        let flying: Vec<_> = self.s(|s| s.carry.in_flight.keys().cloned().collect());
        let is_for_all = self.s(|s| {
            s.carry.status.stragglers > 0 && !s.carry.stopped_by_gate && s.carry.broken.is_none()
        });
        let age = self.s(|s| s.request.waits.inventory_secs);
        if !flying.is_empty() || is_for_all {
            let found_on = self.s(|s| s.carry.found_on);
            let (wanted, begin) = if is_for_all {
                (vec![], 1)
            } else {
                (flying, found_on.unwrap_or(1))
            };
            let walk = walk.unwrap_or_else(|| begin_walk(begin, wanted.len()));
            let how = options::inventory_refresh("read devices");
            let read = self.read_device_page(walk.page, age, wanted, how).await;
            // The next round makes a missed refresh good.
            let away = matches!(&read, Err(failed) if failed.is(FailureKind::Unavailable)
                || failed.is_refusal_of_all());
            rounds.away_since = away.then(|| rounds.away_since.unwrap_or(now));
            if let Ok(answer) = read {
                let walk = note_page(walk, &answer);
                let next = next_page(walk, &answer, is_for_all);
                self.s_mut(|s| {
                    if next.is_none() && !is_for_all {
                        s.carry.found_on = walk.found_on;
                    }
                    s.carry.walk = next;
                });
                if next.is_some() {
                    return;
                }
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

fn begin_walk(page: u32, wanted: usize) -> Walk {
    Walk {
        from: page,
        page,
        missing: count(wanted),
        found_on: None,
    }
}

fn count(devices: usize) -> u32 {
    u32::try_from(devices).unwrap_or(u32::MAX)
}

/// Notes what its page has brought.
fn note_page(walk: Walk, answer: &SyncPageResult) -> Walk {
    let missing = count(answer.missing.len());
    let found = (missing < walk.missing).then_some(walk.page);
    Walk {
        missing,
        found_on: walk.found_on.or(found),
        ..walk
    }
}

/// Goes on until everybody was found, or each page was read once.
fn next_page(walk: Walk, answer: &SyncPageResult, is_for_all: bool) -> Option<Walk> {
    if answer.fresh || (!is_for_all && answer.missing.is_empty()) {
        return None;
    }
    let page = match answer.has_more {
        true => walk.page + 1,
        false if walk.page >= walk.from => 1,
        false => return None,
    };
    (page != walk.from).then_some(Walk { page, ..walk })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(has_more: bool, missing: u32) -> SyncPageResult {
        SyncPageResult {
            rows: 100,
            has_more,
            fresh: false,
            missing: (0..missing)
                .map(|id| id.to_string().parse().unwrap())
                .collect(),
        }
    }

    /// The pages of a walk over a list of so many pages on which three devices are on these.
    fn pages(from: u32, last: u32, theirs: [u32; 3]) -> (Vec<u32>, Option<u32>) {
        let mut walk = Some(begin_walk(from, 3));
        let (mut read, mut found_on) = (vec![], None);
        while let Some(now) = walk {
            read.push(now.page);
            let missing = theirs.iter().filter(|page| !read.contains(page)).count();
            let answer = answer(now.page < last, count(missing));
            let now = note_page(now, &answer);
            found_on = now.found_on;
            walk = next_page(now, &answer, false);
        }
        (read, found_on)
    }

    #[test]
    fn a_walk_ends_where_all_are_found_and_reads_no_page_twice() {
        assert_eq!(pages(1, 5, [2, 3, 2]), (vec![1, 2, 3], Some(2)));
        assert_eq!(pages(2, 5, [2, 3, 3]), (vec![2, 3], Some(2)));
        assert_eq!(pages(4, 5, [2; 3]), (vec![4, 5, 1, 2], Some(2)));
        assert_eq!(pages(4, 5, [9; 3]), (vec![4, 5, 1, 2, 3], None));
        assert_eq!(pages(1, 3, [9; 3]), (vec![1, 2, 3], None));
        assert_eq!(pages(1, 1, [9; 3]), (vec![1], None));
        // The list has become shorter than the page it began with.
        assert_eq!(pages(9, 2, [2; 3]), (vec![9, 1, 2], Some(2)));
        assert_eq!(pages(9, 2, [99; 3]), (vec![9, 1, 2], None));
    }
}
