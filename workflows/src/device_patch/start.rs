//! Starting a run of the device script, however long `SuperOps` is busy or away: what may be put off is
//! put off, and a device that has been touched waits.

use contracts::activities::superops::{RunScript, RunScriptInput, RunScriptResult};
use domain::{
    failure::FailureKind, ids::JobId, outcome::DeviceOutcome, script::ScriptMode, triage::Step,
};
use jiff::Timestamp;

use super::{
    attempt::{Attempt, Ends},
    script::Job,
    waits::MAX_BACKOFF,
};
use crate::{clock, failure::Failed, options};

/// Failures that say for sure that a script was not started, and that another try would not be.
const NEVER_SENT: [FailureKind; 4] = [
    FailureKind::Unauthorized,
    FailureKind::NotFound,
    FailureKind::InvalidInput,
    FailureKind::Conflict,
];

/// What came of starting a job.
#[derive(Debug)]
pub(super) enum Started {
    Yes,
    /// The answer was lost.
    Perhaps,
    /// `SuperOps` refused it.
    No(String),
    /// Nothing was sent until it had to be given up.
    NotSent(String),
    /// Guardrails say no more that it may.
    Barred(Ends),
}

impl Attempt {
    /// Tries until the job was taken, refused, or may have been taken. Also says when the last try began. A
    /// stop, or guardrails that changed meanwhile, end the tries of an installation. A pause ends them for a
    /// device that was touched, unless this job itself `may_have_run`.
    pub(super) async fn start_script(
        &self,
        job: &Job<'_>,
        id: &JobId,
        may_have_run: bool,
    ) -> Result<(Started, Timestamp), Ends> {
        let note = self.ctx.state(|s| s.note.clone());
        let started = self.try_to_start(job, id, may_have_run).await;
        if self.ctx.state(|s| s.note != note) {
            self.note(&note);
        }
        started
    }

    async fn try_to_start(
        &self,
        job: &Job<'_>,
        id: &JobId,
        may_have_run: bool,
    ) -> Result<(Started, Timestamp), Ends> {
        let give_up = self.give_up(job);
        let is_free = job.mode == ScriptMode::Install;
        let mut pause = 0;
        loop {
            if is_free && self.stop().is_none() {
                match self.may_still_install().await {
                    Ok(None) => {}
                    // What else was done to the device goes on.
                    Ok(Some(why)) if !self.untouched() && !may_have_run => {
                        let ends = Ends::with(DeviceOutcome::Deferred, format!("paused: {why}"));
                        return Ok((Started::Barred(ends), clock::now(&self.ctx)));
                    }
                    Ok(Some(why)) => {
                        let secs = self.input.waits.pause_poll_secs;
                        if !self.put_off(job, give_up, secs, &why).await? {
                            return Ok((Started::NotSent(why), clock::now(&self.ctx)));
                        }
                        continue;
                    }
                    Err(ends) => return Ok((Started::Barred(ends), clock::now(&self.ctx))),
                }
                // The store may have been away for hours meanwhile.
                self.renew_lease().await?;
            }
            let began = clock::now(&self.ctx);
            if is_free && self.stop().is_some() {
                let why = "the deployment was stopped".to_owned();
                return Ok((Started::NotSent(why), began));
            }
            if give_up.is_some_and(|at| began >= at) {
                let why = "answers came too late".to_owned();
                return Ok((Started::NotSent(why), began));
            }
            let failed = match self.send(job, id, began).await {
                Ok(_) => {
                    self.touch(job.mode);
                    return Ok((Started::Yes, began));
                }
                Err(failed) => failed,
            };
            // A role that lacks the call stays; a token or a subscription is renewed.
            let refused = failed.is_refusal_of_all();
            if !refused && NEVER_SENT.iter().any(|kind| failed.is(*kind)) {
                return Ok((Started::No(failed.message), began));
            }
            let busy = failed.is(FailureKind::Throttled);
            // A worker that died in the middle, or a bug of ours, leaves the same doubt as a lost
            // answer.
            if !busy && !refused && !failed.is(FailureKind::Unavailable) {
                self.touch(job.mode);
                return Ok((Started::Perhaps, began));
            }
            if self.hurried() {
                return Ok((Started::NotSent(failed.message), began));
            }
            let why = match (busy, refused) {
                (true, _) => "SuperOps is busy",
                (_, true) => "SuperOps refuses all calls",
                _ => "SuperOps does not answer",
            };
            pause = self.next_pause(pause, Some(&failed), give_up.is_some());
            if !self.put_off(job, give_up, pause, why).await? {
                return Ok((Started::NotSent(failed.message), began));
            }
        }
    }

    /// Pauses before the next try of a start; false when there is none.
    async fn put_off(
        &self,
        job: &Job<'_>,
        give_up: Option<Timestamp>,
        pause: u64,
        why: &str,
    ) -> Result<bool, Ends> {
        self.note(&format!("{why}; the {} is started later", thing(job.mode)));
        let next = clock::after(clock::now(&self.ctx), pause);
        let until = give_up.map_or(next, |at| at.min(next));
        self.pause_until(until, why).await?;
        if give_up.is_some_and(|at| clock::now(&self.ctx) >= at) {
            return Ok(false);
        }
        if let Some(step) = step_of(job.mode) {
            self.announce_later(step).await;
        }
        Ok(true)
    }

    /// Bears that `SuperOps` knows nothing of a start whose answer was lost, as when it answers questions
    /// and fails to write: pauses before the next. Says why there is none.
    pub(super) async fn bear_loss(
        &self,
        job: &Job<'_>,
        pause: &mut u64,
    ) -> Result<Option<String>, Ends> {
        const WHY: &str = "SuperOps loses what it is told to do";
        const IN_HASTE: &str = "SuperOps loses what it is told to do; it may begin all the same";
        if self.hurried() {
            return Ok(Some(IN_HASTE.to_owned()));
        }
        let note = self.ctx.state(|s| s.note.clone());
        let give_up = self.give_up(job);
        *pause = self.next_pause(*pause, None, give_up.is_some());
        let goes_on = self.put_off(job, give_up, *pause, WHY).await?;
        self.note(&note);
        Ok(match (goes_on, self.hurried()) {
            (_, true) => Some(IN_HASTE.to_owned()),
            (false, false) => Some(WHY.to_owned()),
            (true, false) => None,
        })
    }

    async fn send(
        &self,
        job: &Job<'_>,
        id: &JobId,
        began: Timestamp,
    ) -> Result<RunScriptResult, Failed> {
        let longest = clock::after(began, self.input.waits.script_timeout_secs);
        let input = RunScriptInput {
            device: self.input.device.clone(),
            job: id.clone(),
            mode: job.mode,
            kb: job.kb.cloned(),
            not_before: None,
            not_after: job.not_after.map_or(longest, |closes| closes.min(longest)),
            services: self.input.health.services.clone(),
        };
        let summary = format!("{} on {}", input.mode, input.device);
        self.call(RunScript, input, options::script_start(summary))
            .await
    }

    /// Says until when a start is tried. An installation and what goes before it can be put off. What
    /// comes after it cannot: a device must not be left half done because `SuperOps` is away, so only
    /// the end of a window ends that.
    fn give_up(&self, job: &Job<'_>) -> Option<Timestamp> {
        if !can_be_put_off(job.mode) {
            return job.not_after;
        }
        let now = clock::now(&self.ctx);
        let longest = clock::after(now, self.input.waits.script_timeout_secs);
        Some(job.not_after.map_or(longest, |closes| closes.min(longest)))
    }

    /// Pauses longer and longer, because each try stays in the history; not much longer where a window may
    /// close meanwhile. One that is only busy says by itself how long.
    fn next_pause(&self, last: u64, failed: Option<&Failed>, ends: bool) -> u64 {
        let poll = self.input.waits.script_poll_secs;
        let asked = failed
            .and_then(|failed| failed.retry_after)
            .map_or(poll, |pause| pause.as_secs().max(1));
        let busy = failed.is_some_and(|failed| failed.is(FailureKind::Throttled));
        let most = match (busy, ends) {
            (true, true) => asked,
            (true, false) | (false, true) => poll,
            (false, false) => poll.saturating_mul(MAX_BACKOFF),
        };
        asked.max(last.saturating_mul(2).min(most))
    }

    /// From here on the device may have changed.
    fn touch(&self, mode: ScriptMode) {
        if mode.changes_device() {
            self.ctx.state_mut(|s| s.touched = true);
        }
    }
}

/// Says whether a device may be left without it for now.
fn can_be_put_off(mode: ScriptMode) -> bool {
    match mode {
        ScriptMode::Check | ScriptMode::Evidence | ScriptMode::Install => true,
        ScriptMode::Verify | ScriptMode::Reboot | ScriptMode::Uninstall => false,
    }
}

fn thing(mode: ScriptMode) -> &'static str {
    match mode {
        ScriptMode::Reboot => "restart",
        ScriptMode::Uninstall => "removal",
        ScriptMode::Check | ScriptMode::Evidence | ScriptMode::Install | ScriptMode::Verify => {
            "script"
        }
    }
}

/// What triage was told of it, and is told again when it comes later.
fn step_of(mode: ScriptMode) -> Option<Step> {
    match mode {
        ScriptMode::Reboot => Some(Step::Restart),
        ScriptMode::Uninstall => Some(Step::Change { kbs: 1 }),
        ScriptMode::Check | ScriptMode::Evidence | ScriptMode::Install | ScriptMode::Verify => None,
    }
}
