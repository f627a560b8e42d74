//! Dead letters: what nobody but a person can bring to an end, why, and what may be done about it.

use std::{collections::BTreeSet, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    ids::{ClientId, DeviceId, JobId, KbId, PersonId, PlanId},
    plan::{DeviceSelector, PlanRequest, RingSpec},
};

/// Digits of an id: short enough to be typed.
const ID_DIGITS: usize = 12;
/// Longest plan id.
const MAX_PLAN_ID: usize = 64;
/// Stands between a plan and what its retry is named after.
const RETRY: &str = "-retry-";
/// Longest cause that is kept, in characters.
pub(crate) const MAX_CAUSE: usize = 1000;
/// Script runs that are named at most, the last ones.
const MAX_JOBS: usize = 20;

/// What it is about.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum LetterKind {
    /// Nobody but a person can say or mend the state of a device.
    #[default]
    DeviceNeedsHuman,
    /// What was installed on a device could not be undone.
    DeviceRollbackFailed,
    /// People could not be told something.
    NoticeUndelivered,
    /// A deployment wound down because something failed for good.
    DeploymentBroken,
    /// A deployment was given up before any device was touched.
    DeploymentRefused,
    /// Something was done, and the store refused the record of it for good.
    RecordRefused,
    /// A seal, a report or a campaign gave up.
    WorkflowFailed,
}

impl LetterKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::DeviceNeedsHuman,
        Self::DeviceRollbackFailed,
        Self::NoticeUndelivered,
        Self::DeploymentBroken,
        Self::DeploymentRefused,
        Self::RecordRefused,
        Self::WorkflowFailed,
    ];

    /// Returns the word used on the wire and in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeviceNeedsHuman => "device_needs_human",
            Self::DeviceRollbackFailed => "device_rollback_failed",
            Self::NoticeUndelivered => "notice_undelivered",
            Self::DeploymentBroken => "deployment_broken",
            Self::DeploymentRefused => "deployment_refused",
            Self::RecordRefused => "record_refused",
            Self::WorkflowFailed => "workflow_failed",
        }
    }

    /// Says why this kind is not retried, when it is not.
    #[must_use]
    pub fn why_no_retry(self) -> Option<&'static str> {
        match self {
            Self::DeviceNeedsHuman
            | Self::DeploymentBroken
            | Self::DeploymentRefused
            | Self::WorkflowFailed => None,
            Self::DeviceRollbackFailed => Some(
                "what was installed could not be undone, so a person has to look at the device first; then drop the letter, and start a new plan if the device is fit for one",
            ),
            Self::NoticeUndelivered => Some(
                "nothing is sent again by itself: tell the people what the cause says, then drop the letter",
            ),
            Self::RecordRefused => Some(
                "the work was done and only its record is missing: keep the history of the workflow, which has it, mend what the cause names, then drop the letter",
            ),
        }
    }
}

impl FromStr for LetterKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.replace('-', "_");
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| format!("allowed is {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// What became of a letter. It changes once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum LetterState {
    /// Nobody has done anything about it.
    #[default]
    Open,
    /// A new plan tries again, or the workflow itself.
    Retried {
        /// Who asked for it.
        by: PersonId,
        /// When.
        at: Timestamp,
        /// The new plan; absent when the workflow itself was started again.
        #[serde(default)]
        plan: Option<PlanId>,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
        /// When the workflow itself was started again: nobody else remembers that for so long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started: Option<Timestamp>,
    },
    /// It needs nothing more from us.
    Dropped {
        /// Who said so.
        by: PersonId,
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}

impl LetterState {
    /// Returns true while somebody has to do something about it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::Open
    }

    /// Returns the word used in tables.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Retried { .. } => "retried",
            Self::Dropped { .. } => "dropped",
        }
    }

    /// Returns true when the other one says the same, and that the workflow was started, which this one
    /// does not say yet.
    #[must_use]
    pub fn is_started_by(&self, other: &Self) -> bool {
        let mut told = self.clone();
        match (&mut told, other) {
            (
                Self::Retried {
                    plan: None,
                    started: started @ None,
                    ..
                },
                Self::Retried {
                    started: at @ Some(_),
                    ..
                },
            ) => *started = *at,
            _ => return false,
        }
        told == *other
    }

    /// Returns true when the same person says the same again: it has its effect already.
    #[must_use]
    pub fn is_said_again_by(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Retried { by, plan, .. },
                Self::Retried {
                    by: again,
                    plan: same,
                    ..
                },
            ) => by == again && plan == same,
            (
                Self::Dropped { by, reason, .. },
                Self::Dropped {
                    by: again,
                    reason: same,
                    ..
                },
            ) => by == again && reason == same,
            _ => false,
        }
    }
}

impl fmt::Display for LetterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Retried {
                by,
                at,
                plan: Some(plan),
                ..
            } => write!(f, "retried by {by} at {at:.0} as plan {plan}"),
            Self::Retried { by, at, .. } => write!(f, "retried by {by} at {at:.0}"),
            Self::Dropped { by, at, reason } => write!(f, "dropped by {by} at {at:.0}: {reason}"),
        }
    }
}

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Names it, made of workflow and step: a repeated step writes one letter.
    pub id: String,
    /// What it is about.
    #[serde(default)]
    pub kind: LetterKind,
    /// Client.
    pub client: ClientId,
    /// Plan.
    #[serde(default)]
    pub plan: Option<PlanId>,
    /// Device, if it is about one.
    #[serde(default)]
    pub device: Option<DeviceId>,
    /// Patches that are not finished.
    #[serde(default)]
    pub kbs: Vec<KbId>,
    /// Workflow it came from.
    pub workflow_id: String,
    /// Why, in words.
    pub cause: String,
    /// The last script runs on the device.
    #[serde(default)]
    pub jobs: Vec<JobId>,
    /// When.
    pub at: Timestamp,
    /// What a retry starts again, where that is the workflow itself, or asks for again under another id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Rerun>,
    /// What became of it.
    #[serde(default)]
    pub state: LetterState,
}

/// A workflow that is started again under its own id: what it has done, it finds done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rerun {
    /// Wire name of the workflow.
    pub workflow: String,
    /// Its input.
    pub input: serde_json::Value,
}

impl DeadLetter {
    /// Makes an open letter of a step of a workflow.
    #[must_use]
    pub fn new(
        kind: LetterKind,
        client: ClientId,
        (workflow_id, step): (&str, &str),
        cause: &str,
        at: Timestamp,
    ) -> Self {
        Self {
            id: short_hash(&format!("{workflow_id}\n{step}")),
            kind,
            client,
            plan: None,
            device: None,
            kbs: Vec::new(),
            workflow_id: workflow_id.to_owned(),
            cause: cause.chars().take(MAX_CAUSE).collect(),
            jobs: Vec::new(),
            at,
            again: None,
            state: LetterState::Open,
        }
    }

    /// Names the last of these script runs.
    #[must_use]
    pub fn with_jobs(mut self, jobs: &[JobId]) -> Self {
        self.jobs = jobs[jobs.len().saturating_sub(MAX_JOBS)..].to_vec();
        self
    }

    /// Returns the id of the plan that tries again, always the same one: it can be started once only.
    #[must_use]
    pub fn retry_plan(&self, plan: &PlanId) -> PlanId {
        // The retry of a retry is not named after both.
        let whole = plan.as_str();
        let stem = whole.split_once(RETRY).map_or(whole, |(stem, _)| stem);
        let key = short_hash(&self.id);
        let cut = &stem[..stem.len().min(MAX_PLAN_ID - RETRY.len() - key.len())];
        // Fits by construction: both parts are made of what a plan id allows.
        format!("{cut}{RETRY}{key}")
            .parse()
            .unwrap_or_else(|_| plan.clone())
    }

    /// Makes the request of the plan that tries again: what the sealed plan says about how, for
    /// these devices and what is not finished on them, in one ring.
    #[must_use]
    pub fn retry_request(
        &self,
        sealed: &PlanRequest,
        id: PlanId,
        devices: Vec<DeviceId>,
        by: &PersonId,
        now: Timestamp,
    ) -> PlanRequest {
        let wanted: BTreeSet<_> = self.kbs.iter().collect();
        let mut request = sealed.clone();
        request.id = Some(id);
        request.requested_by = Some(by.clone());
        request
            .patches
            .retain(|patch| wanted.is_empty() || wanted.contains(&patch.kb));
        request.devices = DeviceSelector {
            ids: devices,
            ..DeviceSelector::default()
        };
        request.rings = vec![RingSpec {
            name: "retry".to_owned(),
            rest: true,
            gate: sealed
                .rings
                .last()
                .map(|ring| ring.gate)
                .unwrap_or_default(),
            ..RingSpec::default()
        }];
        request.deadline = sealed.deadline.filter(|deadline| *deadline > now);
        request
    }
}

fn short_hash(text: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(text.as_bytes()));
    digits.truncate(ID_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn letter(step: &str) -> DeadLetter {
        DeadLetter {
            kbs: vec!["KB5034122".parse().unwrap()],
            ..DeadLetter::new(
                LetterKind::DeviceNeedsHuman,
                "7".parse().unwrap(),
                ("device-patch/p/81", step),
                "disk full",
                Timestamp::UNIX_EPOCH,
            )
        }
    }

    fn sealed() -> PlanRequest {
        serde_json::from_value(json!({
            "id": "p", "client": "7", "requested_by": "tim",
            "patches": [{ "kb": "KB5034441" }, { "kb": "KB5034122", "cves": ["CVE-2024-20666"] }],
            "devices": { "tags": ["pilot"] },
            "rings": [{ "name": "canary", "percent": 10 }, { "name": "rest", "rest": true, "gate": { "success_percent": 80 } }],
            "windows": [{ "from": "22:00", "to": "04:00" }],
            "deadline": "2026-12-01T00:00:00Z",
            "health": { "services": ["Spooler"] },
            "approval": { "required": true },
            "waits": { "verify_secs": 7 },
        }))
        .unwrap()
    }

    #[test]
    fn the_same_step_makes_the_same_id_and_it_can_be_typed() {
        assert_eq!(letter("result").id, letter("result").id);
        assert_ne!(letter("result").id, letter("other").id);
        assert_eq!(letter("result").id.len(), 12);
    }

    #[test]
    fn a_letter_of_before_still_reads_as_an_open_one() {
        let old = json!({
            "id": "device-patch/p/81/result", "client": "7", "workflow_id": "device-patch/p/81",
            "cause": "disk full", "at": "2026-11-03T10:00:00Z",
        });
        let read: DeadLetter = serde_json::from_value(old).unwrap();
        assert!(read.state.is_open() && read.kind == LetterKind::DeviceNeedsHuman);
        let plan = read.retry_plan(&"p".parse().unwrap());
        assert!(plan.as_str().starts_with("p-retry-"), "{plan}");
    }

    #[test]
    fn every_state_reads_back_and_says_who() {
        let at: Timestamp = "2026-11-03T10:00:00Z".parse().unwrap();
        let retried = LetterState::Retried {
            by: "tim".parse().unwrap(),
            at,
            plan: "p-retry-1".parse().ok(),
            reason: None,
            started: None,
        };
        let rerun = LetterState::Retried {
            by: "tim".parse().unwrap(),
            at,
            plan: None,
            reason: None,
            started: Some(at),
        };
        let dropped = LetterState::Dropped {
            by: "lee".parse().unwrap(),
            at,
            reason: "replaced".to_owned(),
        };
        for state in [
            LetterState::Open,
            retried.clone(),
            rerun.clone(),
            dropped.clone(),
        ] {
            let text = serde_json::to_string(&state).unwrap();
            assert_eq!(serde_json::from_str::<LetterState>(&text).unwrap(), state);
        }
        assert_eq!(
            retried.to_string(),
            "retried by tim at 2026-11-03T10:00:00Z as plan p-retry-1"
        );
        assert_eq!(rerun.to_string(), "retried by tim at 2026-11-03T10:00:00Z");
        assert!(dropped.to_string().ends_with("replaced"), "{dropped}");
    }

    #[test]
    fn that_a_workflow_was_started_is_added_once_to_what_was_said() {
        let at: Timestamp = "2026-11-03T10:00:00Z".parse().unwrap();
        let retried = |by: &str, plan: Option<&str>, started| LetterState::Retried {
            by: by.parse().unwrap(),
            at,
            plan: plan.map(|plan| plan.parse().unwrap()),
            reason: None,
            started,
        };
        let (marked, done) = (retried("tim", None, None), retried("tim", None, Some(at)));
        assert!(marked.is_started_by(&done));
        let plan = Some("p-retry-1");
        for (state, other) in [
            (&done, &done),
            (&done, &marked),
            (&marked, &marked),
            (&marked, &retried("dana", None, Some(at))),
            (&LetterState::Open, &done),
            (&retried("tim", plan, None), &retried("tim", plan, Some(at))),
        ] {
            assert!(!state.is_started_by(other), "{state:?} {other:?}");
        }
    }

    #[test]
    fn the_plan_of_a_retry_fits_and_a_retry_of_it_does_not_grow() {
        let long: PlanId = "a".repeat(64).parse().unwrap();
        let first = letter("result").retry_plan(&long);
        assert_eq!(first.as_str().len(), 64);
        assert_eq!(first, letter("result").retry_plan(&long));
        let second = letter("second").retry_plan(&first);
        assert_ne!(first, second);
        assert_eq!(second.as_str().matches(RETRY).count(), 1);
        assert_ne!(letter("result").retry_plan(&"p".parse().unwrap()), long);
    }

    #[test]
    fn a_retry_is_about_one_device_and_what_is_not_finished_on_it() {
        let sealed = sealed();
        let before: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let by: PersonId = "dana".parse().unwrap();
        let make = |now| {
            letter("result").retry_request(
                &sealed,
                "p-retry-1".parse().unwrap(),
                vec!["81".parse().unwrap()],
                &by,
                now,
            )
        };
        let request = make(before);
        assert_eq!(request.patches, sealed.patches[1..]);
        assert_eq!(request.devices.ids.len(), 1);
        assert!(request.devices.tags.is_empty());
        assert_eq!(request.rings.len(), 1);
        assert_eq!(request.rings[0].gate.success_percent, 80);
        assert_eq!(request.requested_by, Some(by.clone()));
        assert_eq!(request.deadline, sealed.deadline);
        assert_eq!(
            (
                &request.windows,
                &request.health,
                &request.approval,
                &request.waits
            ),
            (
                &sealed.windows,
                &sealed.health,
                &sealed.approval,
                &sealed.waits
            )
        );
        let late = make("2026-12-02T00:00:00Z".parse().unwrap());
        assert_eq!(late.deadline, None, "one that is past is left out");
        crate::plan_check::check(&late, before).unwrap();
    }

    #[test]
    fn an_unknown_kind_is_told_which_there_are() {
        assert_eq!(
            "device-needs-human".parse(),
            Ok(LetterKind::DeviceNeedsHuman)
        );
        let words = "lost".parse::<LetterKind>().unwrap_err();
        assert!(words.contains("notice_undelivered"), "{words}");
        for kind in LetterKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
