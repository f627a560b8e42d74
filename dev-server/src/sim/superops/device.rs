//! One simulated device: what is on it, what the RMM knows of it, and our script playing on it.
//! No clock and no I/O in here.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ids::{DeviceId, JobId, KbId},
    script::{ScriptMode, ScriptOutcome, ScriptReport, ServiceState},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    arguments::ScriptArgs,
    evidence,
    faults::Breaks,
    fleet::{DeviceSpec, PatchSpec},
};

/// What is true on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actual {
    /// Not installed.
    Missing,
    /// Installed; takes effect with the next restart.
    PendingReboot,
    /// Installed and in effect.
    Installed,
}

/// One update on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchEntry {
    /// What is true.
    pub actual: Actual,
    /// What the last patch scan said: installed or not.
    pub listed_installed: bool,
    /// Day it came into effect.
    pub installed_on: Option<Date>,
}

/// A script run in the activity list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Activity id.
    pub id: String,
    /// Run it belongs to.
    pub run: String,
    /// Script.
    pub script_id: String,
    /// Name of the script.
    pub name: String,
    /// `Pending` while the device is offline, then `Running`, then `Completed` or `Failed`.
    pub status: String,
    /// When it was recorded.
    pub created: Timestamp,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceState {
    /// Connected.
    pub online: bool,
    /// Away for a restart.
    pub rebooting: bool,
    /// Something waits for a restart.
    pub pending_reboot: bool,
    /// Tags of the custom field.
    pub tags: Vec<String>,
    /// Updates by KB digits.
    pub patches: BTreeMap<String, PatchEntry>,
    /// What updates broke, by KB digits.
    pub broken_by: BTreeMap<String, Breaks>,
    /// Services that somebody stopped.
    pub stopped_services: BTreeSet<String>,
    /// Finished jobs of our script: the marker files on the device.
    pub jobs: BTreeMap<JobId, ScriptReport>,
    /// What finished jobs have collected, as their reports carry it.
    #[serde(default)]
    pub evidence: BTreeMap<JobId, String>,
    /// Activity, oldest first.
    pub activities: Vec<Activity>,
    /// Last start.
    pub booted_at: Timestamp,
    /// Last sign of life while offline.
    pub last_communicated: Timestamp,
    /// Last patch scan.
    pub last_reported: Timestamp,
}

/// Something a play did that the world has to note or act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Log(&'static str),
    /// An update (KB digits) broke something.
    Broke(String, Breaks),
    /// Its removal repaired it.
    Repaired(String),
}

/// What the faults say about this installation or removal.
#[derive(Debug, Clone, Default)]
pub(super) struct Luck {
    pub(super) fails: bool,
    pub(super) breaks: Option<Breaks>,
    pub(super) not_removable: bool,
    pub(super) evidence_fails: bool,
    pub(super) evidence_too_large: bool,
}

impl DeviceState {
    pub(super) fn new(spec: &DeviceSpec, now: Timestamp) -> Self {
        let entry = |actual, day| PatchEntry {
            actual,
            listed_installed: actual == Actual::Installed,
            installed_on: day,
        };
        let missing = spec
            .missing
            .iter()
            .map(|kb| (kb.clone(), entry(Actual::Missing, None)));
        let installed = spec
            .installed
            .iter()
            .map(|kb| (kb.clone(), entry(Actual::Installed, Some(day(now)))));
        Self {
            online: spec.online,
            rebooting: false,
            pending_reboot: false,
            tags: spec.tags.clone(),
            patches: missing.chain(installed).collect(),
            broken_by: BTreeMap::new(),
            stopped_services: BTreeSet::new(),
            jobs: BTreeMap::new(),
            evidence: BTreeMap::new(),
            activities: Vec::new(),
            booted_at: now,
            last_communicated: now,
            last_reported: now,
        }
    }

    /// The receiver takes no evidence of this size: the report says so, now and when it is asked again.
    pub(super) fn evidence_was_too_large(&mut self, job: &JobId) -> Option<ScriptReport> {
        self.evidence.remove(job)?;
        let report = self.jobs.get_mut(job)?;
        report.outcome = ScriptOutcome::Failed;
        report.exit_code = None;
        "the receiver refused the evidence as too large".clone_into(&mut report.log);
        Some(report.clone())
    }

    /// Plays the script to its end. The caller has checked window and job before.
    pub(super) fn play(
        &mut self,
        args: &ScriptArgs,
        catalog: &BTreeMap<String, PatchSpec>,
        luck: &Luck,
        now: Timestamp,
    ) -> (ScriptReport, Vec<Effect>) {
        let mut effects = Vec::new();
        let kb = args.kb.as_ref().map_or("", KbId::digits);
        let patch = catalog.get(kb).filter(|_| self.patches.contains_key(kb));
        let (outcome, exit_code, log) = match (args.mode, patch) {
            (ScriptMode::Reboot, _) => {
                self.rebooting = true;
                self.go_offline(now);
                effects.push(Effect::Log("rebooting"));
                (
                    ScriptOutcome::Succeeded,
                    Some(0),
                    "restarting now".to_owned(),
                )
            }
            (ScriptMode::Evidence, _) if luck.evidence_fails => (
                ScriptOutcome::Failed,
                Some(1),
                "evidence cannot be collected".to_owned(),
            ),
            (ScriptMode::Evidence, _) => {
                let packed = evidence::collect(self, args, now, luck.evidence_too_large);
                let log = format!("collected {} bytes, packed", packed.len());
                self.evidence.insert(args.job_id.clone(), packed);
                effects.push(Effect::Log("evidence_taken"));
                (ScriptOutcome::Succeeded, Some(0), log)
            }
            (_, None) => (
                ScriptOutcome::NotApplicable,
                None,
                "the update does not apply to this device".to_owned(),
            ),
            (ScriptMode::Check | ScriptMode::Verify, Some(patch)) => {
                if self.superseded(patch) {
                    (
                        ScriptOutcome::Superseded,
                        Some(0),
                        "a newer update contains it".to_owned(),
                    )
                } else {
                    (
                        ScriptOutcome::Succeeded,
                        Some(0),
                        format!("KB{kb}: {:?}; free space 41 GB", self.actual(kb)),
                    )
                }
            }
            (ScriptMode::Install, Some(patch)) => self.install(patch, luck, now, &mut effects),
            (ScriptMode::Uninstall, Some(patch)) => self.uninstall(patch, luck, &mut effects),
        };
        let installed = match self.actual(kb) {
            _ if matches!(args.mode, ScriptMode::Reboot | ScriptMode::Evidence) => None,
            Some(Actual::Installed) => Some(true),
            Some(Actual::PendingReboot) => None,
            Some(Actual::Missing) => Some(false),
            None => None,
        };
        let report = ScriptReport {
            job_id: args.job_id.clone(),
            device: args.device.clone(),
            mode: args.mode,
            kb: args.kb.clone(),
            outcome,
            exit_code,
            reboot_required: self.pending_reboot,
            installed,
            services: args
                .services
                .iter()
                .map(|name| ServiceState {
                    name: name.clone(),
                    running: self.runs(name),
                })
                .collect(),
            finished_at: now,
            log,
            evidence: None,
        };
        self.jobs.insert(args.job_id.clone(), report.clone());
        (report, effects)
    }

    fn install(
        &mut self,
        patch: &PatchSpec,
        luck: &Luck,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> (ScriptOutcome, Option<i64>, String) {
        if self.superseded(patch) {
            return (
                ScriptOutcome::Superseded,
                Some(0),
                "a newer update contains it".to_owned(),
            );
        }
        if self.actual(&patch.kb) != Some(Actual::Missing) {
            effects.push(Effect::Log("already_installed"));
            return (
                ScriptOutcome::Succeeded,
                Some(0),
                "already installed".to_owned(),
            );
        }
        if luck.fails {
            effects.push(Effect::Log("install_failed"));
            return (
                ScriptOutcome::Failed,
                Some(-2_147_023_293),
                "installation failed: 0x80070643".to_owned(),
            );
        }
        effects.push(Effect::Log("installed"));
        if let Some(breaks) = &luck.breaks {
            self.broken_by.insert(patch.kb.clone(), breaks.clone());
        }
        if patch.restart_required {
            self.set(&patch.kb, Actual::PendingReboot, None);
            self.pending_reboot = true;
            return (
                ScriptOutcome::Succeeded,
                Some(3010),
                "installed, a restart is needed".to_owned(),
            );
        }
        self.set(&patch.kb, Actual::Installed, Some(day(now)));
        effects.extend(
            luck.breaks
                .clone()
                .map(|breaks| Effect::Broke(patch.kb.clone(), breaks)),
        );
        (ScriptOutcome::Succeeded, Some(0), "installed".to_owned())
    }

    fn uninstall(
        &mut self,
        patch: &PatchSpec,
        luck: &Luck,
        effects: &mut Vec<Effect>,
    ) -> (ScriptOutcome, Option<i64>, String) {
        if self.actual(&patch.kb) == Some(Actual::Missing) {
            return (
                ScriptOutcome::Succeeded,
                Some(0),
                "not installed, nothing to remove".to_owned(),
            );
        }
        if luck.not_removable {
            effects.push(Effect::Log("not_removable"));
            return (
                ScriptOutcome::NotRemovable,
                Some(-2_146_498_523),
                "0x800f0825: permanent, cannot be removed".to_owned(),
            );
        }
        self.set(&patch.kb, Actual::Missing, None);
        effects.push(Effect::Log("uninstalled"));
        if self.broken_by.remove(&patch.kb).is_some() {
            effects.push(Effect::Repaired(patch.kb.clone()));
        }
        if patch.restart_required {
            self.pending_reboot = true;
            return (
                ScriptOutcome::Succeeded,
                Some(3010),
                "removed, a restart is needed".to_owned(),
            );
        }
        (ScriptOutcome::Succeeded, Some(0), "removed".to_owned())
    }

    /// Comes back from a restart: what waited for it takes effect.
    pub(super) fn boot(&mut self, now: Timestamp) -> Vec<Effect> {
        self.rebooting = false;
        self.online = true;
        self.pending_reboot = false;
        self.booted_at = now;
        self.last_communicated = now;
        self.stopped_services.clear();
        let mut effects = vec![Effect::Log("came_back")];
        for (kb, entry) in &mut self.patches {
            if entry.actual == Actual::PendingReboot {
                entry.actual = Actual::Installed;
                entry.installed_on = Some(day(now));
                effects.extend(
                    self.broken_by
                        .get(kb)
                        .cloned()
                        .map(|breaks| Effect::Broke(kb.clone(), breaks)),
                );
            }
        }
        effects
    }

    /// The agent's patch scan: only now does the RMM learn what is true. Returns whether the list changed.
    pub(super) fn scan(&mut self, now: Timestamp) -> bool {
        let mut changed = false;
        for entry in self.patches.values_mut() {
            let installed = entry.actual == Actual::Installed;
            changed |= entry.listed_installed != installed;
            entry.listed_installed = installed;
        }
        self.last_reported = now;
        self.last_communicated = now;
        changed
    }

    pub(super) fn go_offline(&mut self, now: Timestamp) {
        if self.online {
            self.last_communicated = now;
        }
        self.online = false;
    }

    pub(super) fn set(&mut self, kb: &str, actual: Actual, installed_on: Option<Date>) {
        let entry = self.patches.entry(kb.to_owned()).or_insert(PatchEntry {
            actual,
            listed_installed: false,
            installed_on,
        });
        entry.actual = actual;
        entry.installed_on = installed_on;
    }

    fn actual(&self, kb: &str) -> Option<Actual> {
        self.patches.get(kb).map(|entry| entry.actual)
    }

    fn superseded(&self, patch: &PatchSpec) -> bool {
        let newer = patch
            .superseded_by
            .as_deref()
            .and_then(|kb| self.actual(kb));
        newer == Some(Actual::Installed) && self.actual(&patch.kb) == Some(Actual::Missing)
    }

    /// A broken update stops its services once it is in effect.
    pub(super) fn runs(&self, service: &str) -> bool {
        let same = |name: &String| name.eq_ignore_ascii_case(service);
        let broken = self.broken_by.iter().any(|(kb, breaks)| {
            self.actual(kb) == Some(Actual::Installed) && breaks.services.iter().any(same)
        });
        !broken && !self.stopped_services.iter().any(same)
    }
}

pub(super) fn day(now: Timestamp) -> Date {
    now.to_zoned_datetime(TimeZone::UTC).date()
}

/// A report of a run that did nothing.
pub(super) fn refusal(
    args: &ScriptArgs,
    outcome: ScriptOutcome,
    log: &str,
    now: Timestamp,
) -> ScriptReport {
    ScriptReport {
        job_id: args.job_id.clone(),
        device: args.device.clone(),
        mode: args.mode,
        kb: args.kb.clone(),
        outcome,
        exit_code: None,
        reboot_required: false,
        installed: None,
        services: Vec::new(),
        finished_at: now,
        log: log.to_owned(),
        evidence: None,
    }
}

/// Whether the arguments are for this device.
pub(super) fn is_for(args: &ScriptArgs, device: &str) -> bool {
    args.device.as_str() == device && device.parse::<DeviceId>().is_ok()
}
