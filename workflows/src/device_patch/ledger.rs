//! Telling the ledger of bad patches what this device says of each update.

use contracts::{
    activities::ledger::{Count, CountInput},
    device::Intent,
};
use domain::{ids::KbId, ledger::Evidence, outcome::DeviceResult};

use super::attempt::Attempt;
use crate::clock;

impl Attempt {
    /// Remembers that updates failed to install, or left the device unhealthy: how it ends does not
    /// always say so.
    pub(super) fn note_trouble(&self, kbs: &[KbId]) {
        self.ctx
            .state_mut(|s| s.in_trouble.extend(kbs.iter().cloned()));
    }

    /// Tells the ledger, before the deployment hears of it: its next ring then asks a ledger that
    /// knows. A run that undoes says nothing of the update, because somebody else decided on it.
    pub(super) async fn tell_ledger(&self, result: &DeviceResult) {
        if self.input.intent == Intent::RollBack {
            return;
        }
        for kb in &self.input.kbs {
            let mut of_kb = result.patches.iter().filter(|patch| patch.kb == *kb);
            // A run that ended early has no result for it.
            let outcome = of_kb.next().map_or(result.outcome, |patch| patch.outcome);
            let in_trouble = self.ctx.state(|s| s.in_trouble.contains(kb));
            let Some(evidence) = Evidence::of(outcome, in_trouble) else {
                continue;
            };
            let input = CountInput {
                plan: self.input.plan.clone(),
                device: self.input.device.clone(),
                kb: kb.clone(),
                evidence,
                at: clock::now(&self.ctx),
            };
            let what = format!("tell the ledger of {kb}");
            if let Err(failed) = self.write(|| Count, input, &what).await {
                let what = format!("{kb}, not counted in the ledger");
                self.note_unwritten(|unwritten| unwritten.add_record(&what, &failed.message));
            }
        }
    }
}
