//! Workflow and job ids: builders and parsers side by side. Ids say what they are, deduplicate, and
//! carry no names.

use domain::{
    ids::{ClientId, DeviceId, JobId, KbId, PlanId, ScheduleName},
    script::ScriptMode,
    triage::IncidentKey,
};

use jiff::{Timestamp, civil::Date};

use crate::{device::Intent, schedule::ScheduleKind};

const DEPLOYMENT: &str = "patch-deployment/";
const DEVICE: &str = "device-patch/";
const SEAL: &str = "daily-seal/";
const INCIDENT: &str = "incident/";
/// Length of what the server appends to the id of a scheduled workflow: `-2026-12-01T04:00:00Z`.
const APPENDED: usize = 21;

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

/// Builds the workflow id of the triage of a client: one at a time.
#[must_use]
pub fn alert_processing(client: &ClientId) -> String {
    format!("alert-processing/{client}")
}

/// Builds the workflow id of the answer to an incident.
#[must_use]
pub fn incident(key: &IncidentKey) -> String {
    format!("{INCIDENT}{key}")
}

/// Reads the incident out of the workflow id of its answer.
#[must_use]
pub fn incident_of(workflow_id: &str) -> Option<IncidentKey> {
    workflow_id.strip_prefix(INCIDENT)?.parse().ok()
}

/// What a schedule starts, under one id. The server appends the time of each run to it, so a parser
/// of these ids takes both forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    kind: ScheduleKind,
    client: Option<ClientId>,
    name: ScheduleName,
}

impl Scheduled {
    /// Names it; `None` when the kind needs a client and there is none, or the other way round.
    #[must_use]
    pub fn new(kind: ScheduleKind, client: Option<ClientId>, name: ScheduleName) -> Option<Self> {
        (kind.needs_client() == client.is_some()).then_some(Self { kind, client, name })
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> ScheduleKind {
        self.kind
    }

    /// Returns the client, where the kind has one.
    #[must_use]
    pub fn client(&self) -> Option<&ClientId> {
        self.client.as_ref()
    }

    /// Returns the name of the schedule.
    #[must_use]
    pub fn name(&self) -> &ScheduleName {
        &self.name
    }

    /// Builds the workflow id without a time: `patch-campaign/{client}/{name}` or
    /// `daily-seal/{name}`.
    #[must_use]
    pub fn workflow_id(&self) -> String {
        let Self { kind, client, name } = self;
        match client {
            Some(client) => format!("{kind}/{client}/{name}"),
            None => format!("{kind}/{name}"),
        }
    }

    /// Reads a workflow id, and the time that the server has appended to it.
    #[must_use]
    pub fn of_workflow(workflow_id: &str) -> Option<(Self, Option<Timestamp>)> {
        let (path, at) = match split_time(workflow_id) {
            Some((path, at)) => (path, Some(at)),
            None => (workflow_id, None),
        };
        let (kind, rest) = path.split_once('/')?;
        let kind: ScheduleKind = kind.parse().ok()?;
        let (client, name) = match rest.split_once('/') {
            Some((client, name)) => (Some(client.parse().ok()?), name),
            None => (None, rest),
        };
        Some((Self::new(kind, client, name.parse().ok()?)?, at))
    }
}

/// Takes off the time; no name of ours has colons or capital letters in it.
fn split_time(workflow_id: &str) -> Option<(&str, Timestamp)> {
    let (path, time) = workflow_id.split_at_checked(workflow_id.len().checked_sub(APPENDED)?)?;
    Some((path, time.strip_prefix('-')?.parse().ok()?))
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

    proptest::proptest! {
        #[test]
        fn a_scheduled_id_reads_back_with_and_without_a_time(
            kind in proptest::sample::select(&ScheduleKind::ALL[..]),
            client in "[A-Za-z0-9_-]{1,40}",
            name in "[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,9}){0,3}",
            second in 0_i64..4_102_444_800,
        ) {
            let client = kind.needs_client().then(|| client.parse().unwrap());
            let scheduled = Scheduled::new(kind, client, name.parse().unwrap()).unwrap();
            let plain = scheduled.workflow_id();
            proptest::prop_assert_eq!(Scheduled::of_workflow(&plain), Some((scheduled.clone(), None)));
            let at = Timestamp::from_second(second).unwrap();
            let appended = format!("{plain}-{at}");
            proptest::prop_assert_eq!(Scheduled::of_workflow(&appended), Some((scheduled, Some(at))));
        }
    }

    #[test]
    fn ids_of_schedules_say_what_they_are() {
        let id = "patch-campaign/7000000000000000001/weekly-2026-12-01T04:00:00Z";
        let (scheduled, at) = Scheduled::of_workflow(id).unwrap();
        assert_eq!(scheduled.kind(), ScheduleKind::PatchCampaign);
        assert_eq!(scheduled.client().unwrap().as_str(), "7000000000000000001");
        assert_eq!(scheduled.name().as_str(), "weekly");
        assert_eq!(at, Some("2026-12-01T04:00:00Z".parse().unwrap()));
        for other in [
            "daily-seal/2026-11-28",
            "daily-seal/7/nightly",
            "patch-campaign/weekly",
            "intel-sync/",
            "intel-sync/feeds-2026-12-01T04:00:00",
            "intel-sync/feeds-2026-13-01T04:00:00Z",
            "daily-seal/äöüäöüäöüäöü",
            "patch-deployment/weekly",
        ] {
            assert_eq!(Scheduled::of_workflow(other), None, "{other}");
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
