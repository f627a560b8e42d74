//! Waiting for the lease and the window, and waiting as such.

use contracts::{
    activities::{
        inventory::{AcquireLease, LeaseInput, LeaseResult},
        windows::{NextOpening, NextOpeningInput},
    },
    device::DeviceStage,
};
use domain::outcome::DeviceOutcome;
use jiff::Timestamp;

use super::attempt::{Attempt, Ends, OpenWindow};
use crate::{
    clock::{self, Woken},
    device_patch::DevicePatch,
    options,
};

/// Pauses between two tries or looks grow up to this many times their first.
pub(super) const MAX_BACKOFF: u64 = 8;
/// Events after which a run waits no longer; plans that would come near are refused.
const MAX_EVENTS: u32 = 9000;

/// Events after which a paused run makes way for a later attempt, which needs the rest of them.
const MAX_PAUSED_EVENTS: u32 = 3000;

impl Attempt {
    /// Takes the device's lease: one worker on a device. Waiting for it is a visible state.
    pub(super) async fn wait_for_lease(&self, window: OpenWindow) -> Result<(), Ends> {
        let patience = clock::after(clock::now(&self.ctx), self.input.waits.script_timeout_secs);
        let give_up = window
            .closes_at
            .map_or(patience, |closes| closes.min(patience));
        loop {
            match self.try_lease().await? {
                LeaseResult::Held { .. } => return Ok(()),
                LeaseResult::HeldBy { owner, until } => {
                    self.stage(
                        DeviceStage::WaitingForLease,
                        &format!("held by {owner} until {until:.0}"),
                    );
                    if clock::now(&self.ctx) >= give_up {
                        return Err(Ends::with(
                            DeviceOutcome::Deferred,
                            format!("held by {owner}"),
                        ));
                    }
                }
            }
            let next = clock::after(clock::now(&self.ctx), self.input.waits.lease_poll_secs);
            self.pause_until(next, "device lease").await?;
        }
    }

    async fn try_lease(&self) -> Result<LeaseResult, Ends> {
        let input = LeaseInput {
            device: self.input.device.clone(),
            owner: self.ctx.workflow_id().to_owned(),
            life_secs: self.input.waits.lease_secs,
        };
        let answer = self
            .write(|| AcquireLease, input, "take the lease")
            .await
            .map_err(|e| Ends::failed("the lease could not be taken", &e))?;
        if let LeaseResult::Held { until } = answer {
            self.ctx.state_mut(|s| s.leased_until = Some(until));
        }
        Ok(answer)
    }

    /// Waits for the maintenance window, by a durable timer.
    pub(super) async fn wait_for_window(&self) -> Result<OpenWindow, Ends> {
        loop {
            if !self.untouched() && self.hurried() {
                return Err(Ends::with(
                    DeviceOutcome::Deferred,
                    "aborted before its next window",
                ));
            }
            let now = clock::now(&self.ctx);
            if self.input.deadline.is_some_and(|deadline| now >= deadline) {
                return Err(Ends::with(
                    DeviceOutcome::Deferred,
                    "the deadline has passed",
                ));
            }
            let input = NextOpeningInput {
                client: self.input.client.clone(),
                device: Some(self.input.device.clone()),
                time_zone: self.input.time_zone.clone(),
                windows: self.input.windows.clone(),
                blackouts: self.input.blackouts.clone(),
                from: now,
            };
            let answer = self
                .call(NextOpening, input, options::store("compute the window"))
                .await
                .map_err(|e| Ends::failed("the window could not be computed", &e))?;
            let Some(opening) = answer.opening else {
                return Err(Ends::with(
                    DeviceOutcome::Deferred,
                    "no maintenance window opens",
                ));
            };
            if opening.opens_at <= now {
                return Ok(OpenWindow {
                    closes_at: opening.closes_at,
                });
            }
            if self
                .input
                .deadline
                .is_some_and(|deadline| opening.opens_at > deadline)
            {
                return Err(Ends::with(
                    DeviceOutcome::Deferred,
                    "the next window opens after the deadline",
                ));
            }
            self.stage(
                DeviceStage::WaitingForWindow,
                &format!("opens {:.0}", opening.opens_at),
            );
            self.pause_until(opening.opens_at, "maintenance window")
                .await?;
        }
    }

    /// Waits out a look at what pauses everything, a person or a `SuperOps` that is away, as long as
    /// the window is open; it costs no attempt.
    pub(super) async fn wait_while_paused(
        &self,
        window: OpenWindow,
        why: &str,
    ) -> Result<(), Ends> {
        self.stage(DeviceStage::Preflight, &format!("paused: {why}"));
        let now = clock::now(&self.ctx);
        let next = clock::after(now, self.input.waits.pause_poll_secs);
        let closes = window.closes_at.unwrap_or(Timestamp::MAX);
        let is_long = self.ctx.history_length() >= MAX_PAUSED_EVENTS;
        if now >= closes || is_long {
            return Err(Ends::with(
                DeviceOutcome::Deferred,
                format!("paused: {why}"),
            ));
        }
        self.pause_until(next.min(closes), "pause").await?;
        // It may have gone meanwhile.
        self.wait_until_online(window).await
    }

    /// Keeps the lease alive once it is due. A lost lease means that somebody else may be at it.
    pub(super) async fn renew_lease(&self) -> Result<(), Ends> {
        let now = clock::now(&self.ctx);
        let due = |until| now >= self.input.waits.lease_renewal_due(until);
        if !self.ctx.state(|s| s.leased_until).is_some_and(due) {
            return Ok(());
        }
        match self.try_lease().await? {
            LeaseResult::Held { .. } => Ok(()),
            LeaseResult::HeldBy { owner, .. } if self.untouched() => Err(Ends::with(
                DeviceOutcome::Deferred,
                format!("held by {owner}"),
            )),
            LeaseResult::HeldBy { owner, .. } => Err(Ends::human(format!(
                "lost the lease of the device to {owner}"
            ))),
        }
    }

    /// Waits, and keeps the lease alive meanwhile. Before anything was done to the device, a stop
    /// ends the run; afterwards an abort only cuts the wait short, because a device must not be left
    /// half done.
    pub(super) async fn pause_until(&self, until: Timestamp, summary: &str) -> Result<(), Ends> {
        self.pause_unless(until, summary, |_| false).await
    }

    /// As [`Self::pause_until`], and ends when `news` has come.
    pub(super) async fn pause_unless(
        &self,
        until: Timestamp,
        summary: &str,
        news: impl Fn(&DevicePatch) -> bool,
    ) -> Result<(), Ends> {
        let half_life = self.input.waits.lease_half_life_secs();
        loop {
            self.heed_stop()?;
            self.mind_history()?;
            let now = clock::now(&self.ctx);
            if now >= until || self.ctx.state(&news) {
                return Ok(());
            }
            let (leased, told) = self.ctx.state(|s| (s.leased_until.is_some(), s.stop));
            let next = if leased {
                clock::after(now, half_life).min(until)
            } else {
                until
            };
            let heed = !self.ctx.cancellation_token().is_cancelled();
            let wakes = |s: &DevicePatch| s.stop > told || news(s);
            let woken = clock::wait(&self.ctx, next, summary, heed, wakes).await;
            if woken != Woken::Time && !self.untouched() && self.hurried() {
                return Ok(());
            }
            self.renew_lease().await?;
        }
    }

    /// The server ends a run whose history grows without end; it is better to say so before.
    pub(super) fn mind_history(&self) -> Result<(), Ends> {
        if self.ctx.history_length() < MAX_EVENTS {
            return Ok(());
        }
        Err(Ends::human(
            "its waits were too many for one run; look at the device before doing anything",
        ))
    }
}
