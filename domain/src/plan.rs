//! What somebody asks for ([`PlanRequest`]), and the exact plan made of it ([`PlanDocument`]),
//! whose hash an approver signs.

#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp, civil::DateTime};
use serde::{Deserialize, Serialize};

use crate::{
    canonical,
    evidence::{EvidenceRule, PlanWaiver},
    guardrail::OnTimeout,
    ids::{ClientId, CveId, DeviceId, KbId, PersonId, PlanId},
    people::Role,
};

/// Most devices that a request may name one by one; more are selected by tag.
pub const MAX_INLINE_DEVICES: usize = 200;
/// Devices in one stored page of a plan.
pub const PAGE_SIZE: usize = 50;

/// A patch deployment as somebody asks for it: input of workflow `PatchDeployment`, and the plan
/// file. All durations are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Id of the plan; the workflow id is `patch-deployment/{id}`. Generated when absent.
    #[serde(default)]
    pub id: Option<PlanId>,
    /// Client whose devices are patched.
    pub client: ClientId,
    /// Who asks; a claim, as for every input by hand.
    #[serde(default)]
    pub requested_by: Option<PersonId>,
    /// What to install, in this order on each device.
    pub patches: Vec<PatchSelector>,
    /// Where.
    pub devices: DeviceSelector,
    /// In which order; one ring with everything when empty.
    #[serde(default)]
    pub rings: Vec<RingSpec>,
    /// When devices may be touched; any time when empty.
    #[serde(default)]
    pub windows: Vec<WindowSpec>,
    /// When they must not be, whatever the windows say.
    #[serde(default)]
    pub blackouts: Vec<BlackoutSpec>,
    /// IANA time zone of windows and blackouts; the device's site decides when absent.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// By when it should be done; stragglers are given up after it.
    #[serde(default, deserialize_with = "words::time")]
    pub deadline: Option<Timestamp>,
    /// Whether and when to restart.
    #[serde(default)]
    pub reboot: RebootPolicy,
    /// What to undo after a failure.
    #[serde(default)]
    pub rollback: RollbackSpec,
    /// What a healthy device looks like afterwards.
    #[serde(default)]
    pub health: HealthSpec,
    /// Of which devices evidence is taken before anything is installed.
    #[serde(default)]
    pub evidence: EvidenceRule,
    /// What the requester wants of the approval; guardrails may only make it stricter.
    #[serde(default)]
    pub approval: ApprovalSpec,
    /// Every wait of the workflow.
    #[serde(default)]
    pub waits: Waits,
    /// How much is done at once.
    #[serde(default)]
    pub limits: Limits,
}

/// How much is done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Devices worked on at once, 1 to 50: the server buffers at most 100 events of a workflow.
    pub max_in_flight: u32,
    /// Events after which the workflow continues as new; the server may ask for it earlier.
    pub continue_after_events: u32,
    /// Devices whose patch lists are read to find the details of the patches.
    pub detail_probes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_in_flight: 50,
            continue_after_events: 4000,
            detail_probes: 25,
        }
    }
}

/// One patch to install.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchSelector {
    /// The KB.
    pub kb: KbId,
    /// Vulnerabilities it closes, if known: `SuperOps` does not tell.
    #[serde(default)]
    pub cves: Vec<CveId>,
}

/// Which devices: named ones and those with all of the tags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSelector {
    /// Devices by id, at most [`MAX_INLINE_DEVICES`].
    #[serde(default)]
    pub ids: Vec<DeviceId>,
    /// Devices that carry all of these tags.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// Every device of the client.
    #[serde(default)]
    pub all: bool,
}

/// A ring: a share of the devices that are patched before the next ring may start. Exactly one of
/// `percent`, `count`, `devices`, `tags` and `rest` says which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RingSpec {
    /// Name, shown to people.
    pub name: String,
    /// Percent of all devices of the plan, 1 to 100, rounded up.
    #[serde(default, deserialize_with = "words::percent")]
    pub percent: Option<u8>,
    /// A number of devices.
    #[serde(default)]
    pub count: Option<u32>,
    /// Named devices.
    #[serde(default)]
    pub devices: Vec<DeviceId>,
    /// Devices with all of these tags.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// All that no other ring took.
    #[serde(default)]
    pub rest: bool,
    /// What must hold before the next ring starts.
    #[serde(default)]
    pub gate: GateSpec,
}

/// What must hold after a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateSpec {
    /// Devices that must have been attempted; fewer are enough when the ring has fewer.
    pub min_devices: u32,
    /// Share of attempted devices that must have succeeded, 0 to 100.
    #[serde(deserialize_with = "words::share")]
    pub success_percent: u8,
    /// How long to watch before the next ring.
    pub soak_secs: u64,
    /// What to do when the gate does not open.
    pub on_failure: OnGateFailure,
}

impl Default for GateSpec {
    fn default() -> Self {
        Self {
            min_devices: 1,
            success_percent: 95,
            soak_secs: 3600,
            on_failure: OnGateFailure::Stop,
        }
    }
}

/// What happens when a gate does not open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnGateFailure {
    /// End the deployment and undo what `rollback.scope` says.
    #[default]
    Stop,
    /// Halt and wait for a person to resume or abort.
    Hold,
}

/// A weekly maintenance window in local time; it may cross midnight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSpec {
    /// Days on which it opens; every day when empty.
    #[serde(default)]
    pub days: BTreeSet<Weekday>,
    /// Local time it opens, `HH:MM`.
    pub from: String,
    /// Local time it closes, `HH:MM`; not after `from` means the next day, `24:00` means midnight.
    pub to: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A time in which nothing may be touched, in local time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlackoutSpec {
    /// From this local time.
    #[serde(deserialize_with = "words::local_time")]
    pub from: DateTime,
    /// Until this local time.
    #[serde(deserialize_with = "words::local_time")]
    pub to: DateTime,
    /// Why, shown to people.
    #[serde(default)]
    pub reason: String,
}

/// Whether and when to restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RebootPolicy {
    /// Never; the patch may stay pending until a user restarts.
    Never,
    /// When the installer asks for it.
    #[default]
    IfNeeded,
    /// After every installation.
    Always,
}

/// What to undo after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RollbackSpec {
    /// Whether a device that failed verification or health is rolled back.
    pub enabled: bool,
    /// Which devices are rolled back when a gate stops the deployment.
    pub scope: RollbackScope,
}

impl Default for RollbackSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            scope: RollbackScope::FailedDevices,
        }
    }
}

/// Which devices are rolled back when a gate stops the deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackScope {
    /// Only those that failed; they undo themselves.
    #[default]
    FailedDevices,
    /// All that this deployment patched.
    AllDevices,
}

/// What a healthy device looks like afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSpec {
    /// Windows services that must run.
    pub services: Vec<String>,
    /// Online again within this many seconds after a restart.
    pub online_within_secs: u64,
    /// How long no new critical alert may come.
    pub soak_secs: u64,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self {
            services: Vec::new(),
            online_within_secs: 1800,
            soak_secs: 900,
        }
    }
}

/// What the requester wants of the approval. Absent fields are left to the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalSpec {
    /// Ask a person even where the policy would let it run unattended.
    pub required: bool,
    /// Least role that may decide.
    pub role: Option<Role>,
    /// How many different people.
    pub quorum: Option<u32>,
    /// How long to wait for them.
    pub timeout_secs: Option<u64>,
    /// When the next role is asked as well.
    pub escalate_after_secs: Option<u64>,
    /// What silence means.
    pub on_timeout: Option<OnTimeout>,
}

/// Every wait of the workflows, in seconds, with its production default. Tests pass small ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Waits {
    /// Between two looks at the shared online snapshot, at first; doubles up to eight times this.
    pub online_poll_secs: u64,
    /// How long a callback may take after the script was started before we read back.
    pub callback_secs: u64,
    /// Between two reads of the script's activity row.
    pub script_poll_secs: u64,
    /// How long a script may run.
    pub script_timeout_secs: u64,
    /// Between two looks at the patch list.
    pub verify_poll_secs: u64,
    /// How long to wait for the scan that confirms an installation.
    pub verify_secs: u64,
    /// A scan counts as made after the installation only when it is this much later.
    pub rescan_settle_secs: u64,
    /// Between the report of a restart and its beginning at most: an "online" of this time is from
    /// before the restart.
    pub restart_grace_secs: u64,
    /// Between two attempts to get the device's lease.
    pub lease_poll_secs: u64,
    /// Life of a lease that is not renewed.
    pub lease_secs: u64,
    /// Age of the online snapshot at which it is read again.
    pub inventory_secs: u64,
    /// Between two looks for stragglers that came back.
    pub straggler_poll_secs: u64,
    /// How long stragglers are waited for.
    pub max_wait_secs: u64,
    /// How long a halted deployment waits for a person before it is aborted.
    pub halt_secs: u64,
    /// How long a paused deployment waits between looks at the store's pause flag.
    pub pause_poll_secs: u64,
    /// How long a device whose evidence could not be taken waits for a person who waives it.
    pub evidence_decision_secs: u64,
    /// How long alerts that a wave has announced may take to clear once it is done with the device. Longer
    /// than a walk over all open alerts takes to come round: only that shows what has cleared.
    pub alerts_grace_secs: u64,
    /// Longest that one call of an activity may take; each kind of activity has a limit of its own,
    /// and the shorter one holds.
    pub call_secs: u64,
}

impl Default for Waits {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        Self {
            online_poll_secs: MINUTE,
            callback_secs: 10 * MINUTE,
            script_poll_secs: 5 * MINUTE,
            script_timeout_secs: 2 * HOUR,
            verify_poll_secs: 15 * MINUTE,
            verify_secs: DAY,
            rescan_settle_secs: 10 * MINUTE,
            restart_grace_secs: 90,
            lease_poll_secs: MINUTE,
            lease_secs: HOUR,
            inventory_secs: 5 * MINUTE,
            straggler_poll_secs: 15 * MINUTE,
            max_wait_secs: 30 * DAY,
            halt_secs: 2 * DAY,
            pause_poll_secs: 5 * MINUTE,
            evidence_decision_secs: 4 * HOUR,
            alerts_grace_secs: 15 * MINUTE,
            call_secs: 5 * MINUTE,
        }
    }
}

impl Waits {
    /// Returns how long one wait or call may take while the lease is held, in seconds.
    #[must_use]
    pub fn lease_half_life_secs(&self) -> u64 {
        (self.lease_secs / 2).max(1)
    }

    /// Says when a lease that ends at `until` is due to be renewed: a quarter of its life is over then.
    /// A wait of half a life that begins just before ends a quarter before the lease does.
    #[must_use]
    pub fn lease_renewal_due(&self, until: Timestamp) -> Timestamp {
        let life = SignedDuration::from_secs(i64::try_from(self.lease_secs).unwrap_or(i64::MAX));
        until.saturating_sub(life - life / 4).unwrap_or(until)
    }
}

/// The exact plan: what an approver signs. Canonical JSON (RFC 8785) of this is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDocument {
    /// Devices with the index of their ring, sorted by ring, then id.
    pub devices: Vec<PlannedDevice>,
    /// What is done on each of them.
    pub actions: PlannedActions,
    /// When devices may be touched.
    pub windows: Vec<WindowSpec>,
    /// When they must not be.
    pub blackouts: Vec<BlackoutSpec>,
    /// Zone of windows and blackouts, when the plan names one.
    pub time_zone: Option<String>,
    /// By when it should be done.
    pub deadline: Option<Timestamp>,
    /// What is undone after a failure.
    pub rollback: RollbackSpec,
    /// Who does without the evidence that devices are marked for; absent when it is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_waived: Option<PlanWaiver>,
}

/// A device in the plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlannedDevice {
    /// Index of its ring, from 0.
    pub ring: u32,
    /// The device.
    pub id: DeviceId,
    /// Evidence is taken of it first. Written only when true: the hash of a plan without such devices
    /// is what it was before there were any.
    #[serde(default, skip_serializing_if = "is_false")]
    pub evidence: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What is done on each device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedActions {
    /// KBs in order of installation.
    pub install: Vec<KbId>,
    /// Whether and when to restart.
    pub reboot: RebootPolicy,
}

impl PlanDocument {
    /// Returns the plan hash: SHA-256 over canonical JSON, 64 hex digits.
    ///
    /// # Errors
    /// Never for a document made of these types; the error is kept instead of a panic.
    pub fn hash(&self) -> Result<String, serde_json::Error> {
        canonical::content_hash(self)
    }

    /// Counts the devices that evidence is taken of first.
    #[must_use]
    pub fn evidence_first(&self) -> u32 {
        let marked = self.devices.iter().filter(|device| device.evidence);
        u32::try_from(marked.count()).unwrap_or(u32::MAX)
    }

    /// Says in words where another plan differs, for people who approved the other one.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Vec<String> {
        let mut words = Vec::new();
        let ids = |plan: &Self| {
            plan.devices
                .iter()
                .map(|d| d.id.clone())
                .collect::<BTreeSet<_>>()
        };
        let (mine, theirs) = (ids(self), ids(other));
        let added = theirs.difference(&mine).count();
        let removed = mine.difference(&theirs).count();
        if added > 0 {
            words.push(format!("{added} devices added"));
        }
        if removed > 0 {
            words.push(format!("{removed} devices removed"));
        }
        let rings = |plan: &Self| {
            let places = plan.devices.iter().map(|d| (d.id.clone(), d.ring));
            places.collect::<BTreeSet<_>>()
        };
        if added == 0 && removed == 0 && rings(self) != rings(other) {
            words.push("devices moved between rings".to_owned());
        }
        if let Some(changed) = self.evidence_difference(other) {
            words.push(changed);
        }
        if self.actions.install != other.actions.install {
            let list = |plan: &Self| {
                plan.actions
                    .install
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            words.push(format!("patches {} instead of {}", list(other), list(self)));
        }
        if self.actions.reboot != other.actions.reboot {
            words.push("reboot policy changed".to_owned());
        }
        if self.windows != other.windows || self.time_zone != other.time_zone {
            words.push("maintenance windows changed".to_owned());
        }
        if self.blackouts != other.blackouts {
            words.push("blackouts changed".to_owned());
        }
        if self.deadline != other.deadline {
            words.push("deadline changed".to_owned());
        }
        if self.rollback != other.rollback {
            words.push("rollback changed".to_owned());
        }
        words
    }

    fn evidence_difference(&self, other: &Self) -> Option<String> {
        let marked = |plan: &Self| {
            let marked = plan.devices.iter().filter(|device| device.evidence);
            marked
                .map(|device| device.id.clone())
                .collect::<BTreeSet<_>>()
        };
        if marked(self) == marked(other) && self.evidence_waived == other.evidence_waived {
            return None;
        }
        let said = |plan: &Self| match &plan.evidence_waived {
            Some(waiver) => format!(
                "waived on {} devices by {}: {}",
                plan.evidence_first(),
                waiver.by,
                waiver.reason
            ),
            None => format!("on {} devices", plan.evidence_first()),
        };
        Some(format!(
            "evidence first {} instead of {}",
            said(other),
            said(self)
        ))
    }
}

/// A change to a running deployment, by update `amend`. Absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanChange {
    /// New maintenance windows.
    pub windows: Option<Vec<WindowSpec>>,
    /// New blackouts.
    pub blackouts: Option<Vec<BlackoutSpec>>,
    /// New deadline.
    #[serde(deserialize_with = "words::time")]
    pub deadline: Option<Timestamp>,
    /// Devices to leave out.
    pub remove_devices: Vec<DeviceId>,
    /// New reboot policy.
    pub reboot: Option<RebootPolicy>,
    /// New rollback rule.
    pub rollback: Option<RollbackSpec>,
    /// Of which devices evidence is taken first.
    pub evidence: Option<EvidenceRule>,
}

impl PlanChange {
    /// Applies the change to a request. Devices to leave out are kept by the deployment.
    pub fn apply(&self, request: &mut PlanRequest) {
        if let Some(windows) = &self.windows {
            request.windows.clone_from(windows);
        }
        if let Some(blackouts) = &self.blackouts {
            request.blackouts.clone_from(blackouts);
        }
        if self.deadline.is_some() {
            request.deadline = self.deadline;
        }
        if let Some(reboot) = self.reboot {
            request.reboot = reboot;
        }
        if let Some(rollback) = self.rollback {
            request.rollback = rollback;
        }
        if let Some(evidence) = &self.evidence {
            request.evidence.clone_from(evidence);
        }
    }

    /// Returns true when nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
