//! One run of the device script: start it once, wait for its report, and when the start was
//! ambiguous or the report does not come, read back before anything else.

use contracts::activities::superops::{FindRun, FindRunInput, RunState};
use domain::{
    ids::{JobId, KbId},
    script::{ScriptMode, ScriptOutcome, ScriptReport},
};
use jiff::Timestamp;

use super::{
    attempt::{Attempt, Ends},
    start::Started,
};
use crate::{
    clock::{self, Woken},
    options,
};

/// Starts of one job that may have run: our script is idempotent by job id, others are never repeated.
const MAX_STARTS: u32 = 3;

/// What is known after a script run.
#[derive(Debug)]
pub(super) enum Ran {
    /// It reported.
    Reported(ScriptReport),
    /// `SuperOps` says it failed, and it did not report.
    FailedSilently,
    /// It was started, and nobody knows what came of it.
    Unknown,
    /// `SuperOps` was too busy or away to take it for as long as it could wait; it has not run.
    NotSent(String),
    /// Guardrails say no more that it may.
    Barred(Ends),
    /// `SuperOps` refused it.
    NotStarted(String),
}

/// What to run.
#[derive(Debug, Clone)]
pub(super) struct Job<'a> {
    pub(super) mode: ScriptMode,
    pub(super) kb: Option<&'a KbId>,
    pub(super) not_after: Option<Timestamp>,
}

impl Attempt {
    /// Runs the script once and waits for what came of it.
    pub(super) async fn run_job(&self, job: Job<'_>) -> Result<Ran, Ends> {
        let Some(id) = self.next_job(&job) else {
            return Err(Ends::human(
                "the job id does not fit: plan and device ids are too long",
            ));
        };
        self.ctx.state_mut(|s| s.jobs.push(id.clone()));
        // A row of the script says that it has run; one of the same minute may be of the job before.
        let (mut has_run, mut was_taken, mut starts, mut pause) = (false, false, 0, 0);
        let mut unseen = None;
        while starts < MAX_STARTS {
            let (started, began) = self
                .start_script(&job, &id, has_run || unseen.is_some())
                .await?;
            // Each start has all the time of a script: an outage before it does not count.
            let longest = clock::after(began, self.input.waits.script_timeout_secs);
            was_taken |= matches!(started, Started::Yes);
            let seen = match started {
                Started::Yes => self.await_report(&id, began, longest).await?,
                Started::Perhaps => {
                    let now = clock::now(&self.ctx);
                    let patience = clock::after(now, self.input.waits.callback_secs).min(longest);
                    let first = unseen.map_or(began, |start: Unseen| start.began);
                    self.read_back(&id, first, patience, longest).await?
                }
                // Only its first result could not be asked for.
                Started::No(_) | Started::NotSent(_) | Started::Barred(_) if has_run => {
                    return Ok(Ran::Unknown);
                }
                Started::No(why) => {
                    return self.unless_begun(&id, unseen, Ran::NotStarted(why)).await;
                }
                Started::NotSent(why) => {
                    return self.unless_begun(&id, unseen, Ran::NotSent(why)).await;
                }
                Started::Barred(ends) => {
                    return self.unless_begun(&id, unseen, Ran::Barred(ends)).await;
                }
            };
            match seen {
                Seen::Report(report) => return Ok(Ran::Reported(*report)),
                Seen::Failed => return Ok(Ran::FailedSilently),
                Seen::Nothing => return Ok(Ran::Unknown),
                // No sign of it, or its report was lost: the same job again. The device answers it
                // with its first result, should it have run.
                Seen::NeverStarted if !was_taken && self.has_to_be_done(job.mode) => {
                    if let Some(why) = self.bear_loss(&job, &mut pause).await? {
                        return Ok(Ran::NotSent(why));
                    }
                    continue;
                }
                Seen::NeverStarted if job.mode == ScriptMode::Install && !has_run => {
                    let first = unseen.map_or(began, |start| start.began);
                    let closes = job.not_after.map_or(longest, |at| at.min(longest));
                    unseen = Some(Unseen {
                        began: first,
                        closes,
                    });
                }
                Seen::NeverStarted => {}
                Seen::ReportLost => (has_run, unseen) = (true, None),
            }
            starts += 1;
        }
        self.unless_begun(&id, unseen, Ran::Unknown).await
    }

    /// Says whether the device would be left half done without it: of an installation a scan tells as well,
    /// of a removal only the script.
    fn has_to_be_done(&self, mode: ScriptMode) -> bool {
        match mode {
            ScriptMode::Reboot | ScriptMode::Uninstall => true,
            ScriptMode::Verify => self.ctx.state(|s| s.rollback_failed),
            ScriptMode::Check | ScriptMode::Evidence | ScriptMode::Install => false,
        }
    }

    /// Names the job: repeated steps, such as a second restart, get a number of their own.
    fn next_job(&self, job: &Job<'_>) -> Option<JobId> {
        let mut ordinal = 0;
        loop {
            let id = self.run.job(job.mode, job.kb, ordinal)?;
            if !self.ctx.state(|s| s.jobs.contains(&id)) {
                return Some(id);
            }
            ordinal += 1;
        }
    }

    /// Waits for the report; after `callback_secs` also reads the activity row.
    async fn await_report(
        &self,
        id: &JobId,
        began: Timestamp,
        longest: Timestamp,
    ) -> Result<Seen, Ends> {
        let patience = clock::after(clock::now(&self.ctx), self.input.waits.callback_secs);
        let mut next = patience.min(longest);
        loop {
            if let Some(report) = self.wait_for_report(id, next).await? {
                return Ok(Seen::Report(Box::new(report)));
            }
            let state = self.find_run(began).await?;
            let now = clock::now(&self.ctx);
            match state {
                RunState::Failed => return Ok(Seen::Failed),
                RunState::Completed => return Ok(Seen::ReportLost),
                RunState::Running | RunState::NotFound | RunState::Unknown => {
                    if now >= longest {
                        return Ok(Seen::Nothing);
                    }
                }
            }
            next = clock::after(now, self.input.waits.script_poll_secs).min(longest);
        }
    }

    /// An installation that is not started again may have been started before: a device that was offline
    /// takes it up as long as it may. Only after that it counts as what it is `otherwise`.
    async fn unless_begun(
        &self,
        id: &JobId,
        unseen: Option<Unseen>,
        otherwise: Ran,
    ) -> Result<Ran, Ends> {
        let Some(start) = unseen else {
            return Ok(otherwise);
        };
        // A row, or a report, of the last moment comes a little later.
        let patience = clock::after(start.closes, self.input.waits.callback_secs);
        self.note(&format!(
            "the answer of its start was lost; until {patience:.0} it may still begin"
        ));
        let longest = clock::after(patience, self.input.waits.script_timeout_secs);
        Ok(
            match self.read_back(id, start.began, patience, longest).await? {
                // Too late for the device: what keeps it from another start is the better reason.
                Seen::Report(report)
                    if report.outcome == ScriptOutcome::OutsideWindow
                        && !matches!(otherwise, Ran::Unknown) =>
                {
                    otherwise
                }
                Seen::Report(report) => Ran::Reported(*report),
                Seen::Failed => Ran::FailedSilently,
                Seen::ReportLost | Seen::Nothing => Ran::Unknown,
                Seen::NeverStarted => otherwise,
            },
        )
    }

    /// After an ambiguous start: waits for the callback, then looks for the activity row.
    async fn read_back(
        &self,
        id: &JobId,
        began: Timestamp,
        patience: Timestamp,
        longest: Timestamp,
    ) -> Result<Seen, Ends> {
        if let Some(report) = self.wait_for_report(id, patience).await? {
            return Ok(Seen::Report(Box::new(report)));
        }
        match self.find_run(began).await? {
            RunState::NotFound => Ok(Seen::NeverStarted),
            // An abort does not wait for SuperOps.
            RunState::Unknown if self.hurried() => Ok(Seen::Nothing),
            _ => self.await_report(id, began, longest).await,
        }
    }

    async fn wait_for_report(
        &self,
        id: &JobId,
        until: Timestamp,
    ) -> Result<Option<ScriptReport>, Ends> {
        let half_life = self.input.waits.lease_half_life_secs();
        loop {
            let now = clock::now(&self.ctx);
            let next = clock::after(now, half_life).min(until);
            // The script is running: cancellation waits for its end.
            let woken = clock::wait(
                &self.ctx,
                next,
                "script report",
                false,
                |s: &super::DevicePatch| s.reports.contains_key(id),
            )
            .await;
            if let Some(report) = self.ctx.state(|s| s.reports.get(id).cloned()) {
                return Ok(Some(report));
            }
            if woken != Woken::News && clock::now(&self.ctx) >= until {
                return Ok(None);
            }
            self.renew_lease().await?;
        }
    }

    async fn find_run(&self, since: Timestamp) -> Result<RunState, Ends> {
        let input = FindRunInput {
            device: self.input.device.clone(),
            since,
        };
        let read = self.read(
            || FindRun,
            input,
            options::script_read("read the script run back"),
            "the script run could not be read back",
        );
        Ok(read.await?.map_or(RunState::Unknown, |answer| answer.state))
    }
}

/// Starts of a job whose answers were lost, and of which there was no sign.
#[derive(Clone, Copy)]
struct Unseen {
    /// The first was sent then.
    began: Timestamp,
    /// The device does not begin the last after that.
    closes: Timestamp,
}

/// What was seen of a started job.
enum Seen {
    Report(Box<ScriptReport>),
    /// `SuperOps` says it failed.
    Failed,
    /// `SuperOps` says it is over, and its report has not come.
    ReportLost,
    /// There is no sign of it.
    NeverStarted,
    /// It did not end in time.
    Nothing,
}
