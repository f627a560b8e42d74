//! Workflow and job ids: builders and parsers side by side. Ids say what they are, deduplicate, and
//! carry no names.

use domain::{
    ids::{ClientId, DeviceId, JobId, KbId, PlanId},
    script::ScriptMode,
};

use jiff::civil::Date;

use crate::device::Intent;

const DEPLOYMENT: &str = "patch-deployment/";
const DEVICE: &str = "device-patch/";
const SEAL: &str = "daily-seal/";
const INTEL: &str = "intel-sync/";
const CAMPAIGN: &str = "patch-campaign/";

/// Builds the workflow id of a deployment.
#[must_use]
pub fn patch_deployment(plan: &PlanId) -> String {
    format!("{DEPLOYMENT}{plan}")
}

/// Reads the plan out of the workflow id of a deployment.
#[must_use]
pub fn plan_of_deployment(workflow_id: &str) -> Option<PlanId> {
    workflow_id.strip_prefix(DEPLOYMENT)?.parse().ok()
}

/// Accepts a plan id or a workflow id of a deployment.
#[must_use]
pub fn plan_of_text(text: &str) -> Option<PlanId> {
    plan_of_deployment(text).or_else(|| text.parse().ok())
}

/// Builds the workflow id of a seal that somebody asks for: one at a time for each last day.
#[must_use]
pub fn daily_seal(through: Date) -> String {
    format!("{SEAL}{through}")
}

/// Builds the workflow id of a reading of vulnerability sources that somebody asks for.
#[must_use]
pub fn intel_sync(name: &str) -> String {
    format!("{INTEL}{name}")
}

/// Builds the workflow id of a campaign that somebody asks for.
#[must_use]
pub fn patch_campaign(client: &ClientId, name: &str) -> String {
    format!("{CAMPAIGN}{client}/{name}")
}

/// One run over one device: a first attempt, a later one from the stragglers lane, or a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRun {
    /// Plan.
    pub plan: PlanId,
    /// Device.
    pub device: DeviceId,
    /// From 1.
    pub attempt: u32,
    /// Install or roll back.
    pub intent: Intent,
}

impl DeviceRun {
    /// Builds the workflow id: `device-patch/{plan}/{device}`, with the attempt behind it from the
    /// second on, and `rollback` for a rollback.
    #[must_use]
    pub fn workflow_id(&self) -> String {
        format!("{DEVICE}{}", self.path())
    }

    fn path(&self) -> String {
        let Self {
            plan,
            device,
            attempt,
            intent,
        } = self;
        match intent {
            Intent::RollBack => format!("{plan}/{device}/rollback"),
            Intent::Install if *attempt <= 1 => format!("{plan}/{device}"),
            Intent::Install => format!("{plan}/{device}/{attempt}"),
        }
    }

    /// Builds the id of one script run: the run, the mode, the KB, and a number for a repeated step.
    #[must_use]
    pub fn job(&self, mode: ScriptMode, kb: Option<&KbId>, ordinal: u32) -> Option<JobId> {
        let kb = kb.map_or("all", KbId::digits);
        format!("{}/{mode}-{kb}-{ordinal}", self.path())
            .parse()
            .ok()
    }

    /// Reads a workflow id of a device run.
    #[must_use]
    pub fn of_workflow(workflow_id: &str) -> Option<Self> {
        Self::of_path(workflow_id.strip_prefix(DEVICE)?)
    }

    /// Reads the run out of a job id.
    #[must_use]
    pub fn of_job(job: &JobId) -> Option<Self> {
        Self::of_path(job.as_str().rsplit_once('/')?.0)
    }

    fn of_path(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        let plan = parts.next()?.parse().ok()?;
        let device = parts.next()?.parse().ok()?;
        let (attempt, intent) = match parts.next() {
            None => (1, Intent::Install),
            Some("rollback") => (1, Intent::RollBack),
            Some(number) => (number.parse().ok()?, Intent::Install),
        };
        parts.next().is_none().then_some(Self {
            plan,
            device,
            attempt,
            intent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_reads_back_from_its_workflow_and_job_id() {
        for (attempt, intent) in [
            (1, Intent::Install),
            (3, Intent::Install),
            (1, Intent::RollBack),
        ] {
            let run = DeviceRun {
                plan: "my-plan".parse().unwrap(),
                device: "4100000000000000001".parse().unwrap(),
                attempt,
                intent,
            };
            assert_eq!(
                DeviceRun::of_workflow(&run.workflow_id()).as_ref(),
                Some(&run)
            );
            let job = run
                .job(ScriptMode::Install, Some(&"KB5034441".parse().unwrap()), 0)
                .unwrap();
            assert_eq!(DeviceRun::of_job(&job).as_ref(), Some(&run));
        }
    }

    #[test]
    fn the_first_attempt_has_the_plain_id() {
        let run = DeviceRun {
            plan: "p".parse().unwrap(),
            device: "7".parse().unwrap(),
            attempt: 1,
            intent: Intent::Install,
        };
        assert_eq!(run.workflow_id(), "device-patch/p/7");
        assert_eq!(plan_of_text("patch-deployment/p"), plan_of_text("p"));
    }
}
