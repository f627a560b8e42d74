//! Telling triage what this run is going to do to the device, so that alerts of it are not taken for trouble;
//! and that it is done, so that what is left over is.

use contracts::activities::alerts::{Expect, ExpectInput};
use domain::triage::{Expectation, Step};

use jiff::{SignedDuration, Timestamp};

use super::attempt::Attempt;
use crate::{clock, options};

/// A delay of less is not announced anew.
const NOTICEABLY: SignedDuration = SignedDuration::from_mins(1);

impl Attempt {
    /// Announces the next step before it begins.
    pub(super) async fn announce(&self, step: Step) {
        let wave = self.next(step);
        self.tell_triage(wave, "announce alerts").await;
    }

    fn next(&self, step: Step) -> Expectation {
        let now = clock::now(&self.ctx);
        let before = self.ctx.state(|s| s.announced.clone());
        let mut wave = before.unwrap_or_else(|| Expectation {
            plan: self.input.plan.clone(),
            ring: self.input.ring,
            attempt: self.input.attempt,
            kbs: self.input.kbs.clone(),
            device: self.input.device.clone(),
            symptoms: Vec::new(),
            from: now,
            until: now,
        });
        wave.move_to(step, &self.input.health, &self.input.waits, now);
        wave
    }

    /// Announces a step anew when its script took long to begin: what it causes comes as much later.
    pub(super) async fn announce_later(&self, step: Step) {
        let known = self
            .ctx
            .state(|s| s.announced.as_ref().map(|wave| wave.until));
        let mut wave = self.next(step);
        wave.until = wave.until.checked_sub(NOTICEABLY).unwrap_or(Timestamp::MIN);
        if known.is_none_or(|until| until < wave.until) {
            self.announce(step).await;
        }
    }

    /// Brings what was announced to its end: the device is healthy, or the run is over.
    pub(super) async fn end_announcement(&self) {
        let Some(mut wave) = self.ctx.state(|s| s.announced.clone()) else {
            return;
        };
        let until = wave.until;
        wave.end(&self.input.waits, clock::now(&self.ctx));
        if wave.until < until {
            self.tell_triage(wave, "no more alerts are expected").await;
        }
    }

    /// A device is patched whether triage knows of it or not.
    async fn tell_triage(&self, wave: Expectation, summary: &str) {
        self.ctx.state_mut(|s| s.announced = Some(wave.clone()));
        let input = ExpectInput { expectation: wave };
        let told = self.call(Expect, input, options::announcing(summary)).await;
        if let Err(failed) = told {
            self.note(&format!("alerts were not announced: {}", failed.message));
        }
    }
}
