//! Rollback as compensation: remove, restart, prove it gone. What cannot be undone needs a human.

use contracts::device::DeviceStage;
use domain::{
    ids::KbId,
    outcome::{DeviceOutcome, PatchResult},
    script::{ScriptMode, ScriptOutcome},
    triage::Step,
};

use super::{
    attempt::{Attempt, Ends, summary_of},
    script::{Job, Ran},
};

impl Attempt {
    /// Undoes the patches of a device in trouble, newest first, if the plan says so.
    pub(super) async fn undo(
        &self,
        kbs: &[KbId],
        trouble: &str,
        patches: &mut Vec<PatchResult>,
    ) -> Result<Ends, Ends> {
        self.note_trouble(kbs);
        self.audit("device_unhealthy", kbs, trouble).await;
        patches.retain(|p| !kbs.contains(&p.kb));
        for kb in kbs.iter().rev() {
            let (outcome, detail) = if self.input.roll_back_failures {
                self.remove(kb, trouble).await?
            } else {
                (DeviceOutcome::Failed, trouble.to_owned())
            };
            patches.push(PatchResult {
                kb: kb.clone(),
                outcome,
                detail,
            });
        }
        Ok(summary_of(patches))
    }

    /// A run whose only purpose is to undo what this plan installed.
    pub(super) async fn roll_back_all(&self, patches: &mut Vec<PatchResult>) -> Result<Ends, Ends> {
        for kb in self.input.kbs.iter().rev() {
            let (outcome, detail) = self.remove(kb, "the deployment was stopped").await?;
            patches.push(PatchResult {
                kb: kb.clone(),
                outcome,
                detail,
            });
        }
        Ok(summary_of(patches))
    }

    /// Removes one KB and proves it gone. Whatever ends it early leaves the mark that it is not.
    pub(super) async fn remove(
        &self,
        kb: &KbId,
        why: &str,
    ) -> Result<(DeviceOutcome, String), Ends> {
        let before = self
            .ctx
            .state_mut(|s| std::mem::replace(&mut s.rollback_failed, true));
        let (outcome, detail) = self.remove_and_ask(kb, why).await?;
        if outcome == DeviceOutcome::RolledBack {
            self.ctx.state_mut(|s| s.rollback_failed = before);
        }
        Ok((outcome, detail))
    }

    async fn remove_and_ask(&self, kb: &KbId, why: &str) -> Result<(DeviceOutcome, String), Ends> {
        self.renew_lease().await?;
        self.stage(DeviceStage::RollingBack, &format!("removing {kb}: {why}"));
        self.announce(Step::Change { kbs: 1 }).await;
        let human = |what: &str| (DeviceOutcome::NeedsHuman, format!("{why}; {what}"));
        let job = Job {
            mode: ScriptMode::Uninstall,
            kb: Some(kb),
            not_after: None,
        };
        let report = match self.run_job(job).await? {
            Ran::Reported(report) => report,
            Ran::NotStarted(reason) | Ran::NotSent(reason) => {
                return Ok(human(&format!(
                    "the removal could not be started: {reason}"
                )));
            }
            Ran::FailedSilently | Ran::Unknown => return Ok(human("the removal did not report")),
            Ran::Barred(ends) => return Err(ends),
        };
        match report.outcome {
            ScriptOutcome::Succeeded | ScriptOutcome::NotApplicable => {}
            ScriptOutcome::NotRemovable => return Ok(human("Windows refuses to remove it")),
            ScriptOutcome::Failed | ScriptOutcome::OutsideWindow | ScriptOutcome::Superseded => {
                return Ok(human("the removal failed"));
            }
        }
        if let Err(trouble) = self.restart_if_asked(report.reboot_required, None).await? {
            return Ok(human(&format!("after the removal: {trouble}")));
        }
        let job = Job {
            mode: ScriptMode::Verify,
            kb: Some(kb),
            not_after: None,
        };
        Ok(match self.run_job(job).await? {
            Ran::Reported(report) if report.installed == Some(false) => {
                (DeviceOutcome::RolledBack, format!("{why}; removed"))
            }
            Ran::Reported(_) => human("it is still installed after its removal"),
            _ => human("nobody could confirm its removal"),
        })
    }
}
