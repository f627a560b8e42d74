//! Calling activities for a device, and what their failures mean to it.

use temporalio_common::{ActivityDefinition, data_converters::TemporalDeserializable};
use temporalio_workflow::ActivityOptions;

use contracts::device::Stop;

use super::{
    DevicePatch,
    attempt::{Attempt, Ends},
};
use crate::{call, clock, failure::Failed, options};

impl Attempt {
    /// Runs an activity.
    pub(super) async fn call<A: ActivityDefinition>(
        &self,
        activity: A,
        input: impl Into<A::Input>,
        options: ActivityOptions,
    ) -> Result<A::Output, Failed>
    where
        A::Output: TemporalDeserializable,
    {
        let longest = self.input.waits.call_secs;
        call::activity(&self.ctx, longest, activity, input, options).await
    }

    /// Runs an activity that only reads, until it answers: for hours, if need be. As long as nothing
    /// was done to the device, a stop ends the run instead; later an abort lets it be asked once more.
    /// Nothing when that passed without an answer.
    pub(super) async fn read<A: ActivityDefinition, I: Clone + Into<A::Input>>(
        &self,
        activity: impl Fn() -> A,
        input: I,
        options: ActivityOptions,
        trouble: &str,
    ) -> Result<Option<A::Output>, Ends>
    where
        A::Output: TemporalDeserializable,
    {
        loop {
            self.heed_stop()?;
            if self.hurried() {
                let once = options::once(options);
                return match self.call(activity(), input, once).await {
                    Ok(answer) => Ok(Some(answer)),
                    Err(failed) if failed.passes() => Ok(None),
                    Err(failed) => Err(Ends::failed(trouble, &failed)),
                };
            }
            let answer = call::while_wanted(
                &self.ctx,
                self.input.waits.call_secs,
                (activity(), input.clone()),
                self.in_steps(options.clone()),
                |s: &DevicePatch| s.stop == Some(Stop::Aborted) || (s.stop.is_some() && !s.touched),
                async || self.heed_stop().is_ok() && !self.hurried(),
            )
            .await;
            match answer {
                Some(Ok(answer)) => return Ok(Some(answer)),
                Some(Err(failed)) => self.bear(trouble, &failed).await?,
                // Let go for a stop: heeded above.
                None => {}
            }
        }
    }

    /// Lets a read come back often enough to keep the lease alive while `SuperOps` is away for hours.
    fn in_steps(&self, options: ActivityOptions) -> ActivityOptions {
        options::in_steps(options, self.input.waits.lease_half_life_secs())
    }

    /// Bears a failure of a read that passes by itself: the lease is renewed, and it is read again.
    async fn bear(&self, trouble: &str, failed: &Failed) -> Result<(), Ends> {
        if !failed.passes() {
            return Err(Ends::failed(trouble, failed));
        }
        // What asks for a longer pause than a step comes back at once.
        if let Some(pause) = failed.retry_after {
            let secs = pause
                .as_secs()
                .clamp(1, self.input.waits.lease_half_life_secs());
            let next = clock::after(clock::now(&self.ctx), secs);
            return self.pause_until(next, "SuperOps asks us to wait").await;
        }
        self.mind_history()?;
        self.renew_lease().await
    }
}
