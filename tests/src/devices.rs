//! A device of the model, and what the device script does on it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use contracts::activities::superops::{RunScriptInput, RunState};
use domain::{
    device::{Device, Platform},
    evidence::StoredEvidence,
    ids::{ClientId, DeviceId, JobId, KbId},
    patch::PatchState,
    script::{ScriptMode, ScriptOutcome, ScriptReport, ServiceState},
};
use jiff::{SignedDuration, Timestamp};

/// What an installation comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    /// It works.
    Works,
    /// It fails, and the script says this about what is left.
    Fails {
        /// Whether the patch is on the device.
        installed: Option<bool>,
    },
    /// It ends without doing anything.
    Ends(ScriptOutcome),
}

/// What becomes of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// It is collected and kept.
    Kept,
    /// The script cannot collect it.
    Fails,
    /// It is reported without being kept.
    Forgotten,
}

/// What patch scans say after an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// What is so.
    Confirms,
    /// Missing, whatever is so.
    SaysMissing,
    /// Nothing: no scan is made.
    Never,
}

/// What the call that starts the script answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Accepted.
    Accepted,
    /// The answer is lost.
    AnswerLost {
        /// Whether it was started all the same.
        ran: bool,
    },
    /// Too many requests.
    Throttled,
}

/// A device with its knobs.
#[derive(Debug, Clone)]
pub struct FakeDevice {
    /// As the inventory knows it.
    pub device: Device,
    /// Its patch list.
    pub patches: BTreeMap<KbId, PatchState>,
    /// Installations ask for a restart.
    pub needs_restart: bool,
    /// What installations come to.
    pub install: Install,
    /// What removals come to.
    pub uninstall: ScriptOutcome,
    /// What becomes of evidence.
    pub evidence: Evidence,
    /// It comes back after a restart.
    pub comes_back: bool,
    /// A service that has stopped.
    pub stopped_service: Option<String>,
    /// Critical alerts.
    pub alerts: Vec<String>,
    /// What scans say.
    pub scan: Scan,
    /// Answers to the next starts of the script; accepted when there is none.
    pub starts: VecDeque<Start>,
    /// Reports are not delivered.
    pub reports_get_lost: bool,
    /// Its reports wait.
    pub holds_report: bool,
    /// Runs wait before they begin, as while it is offline.
    pub holds_runs: bool,
    /// How far its clock is ahead.
    pub clock_ahead: SignedDuration,
    /// How long the script works.
    pub takes: Duration,
    /// The snapshot is as old as this time and says offline.
    pub last_snapshot: Option<Timestamp>,
    /// Updates that were really installed, each time; a script that finds its update there installs nothing.
    pub installed: Vec<KbId>,
    /// What the list said last: it stands still while `SuperOps` is away.
    listed: Option<Device>,
    pub(crate) jobs: Vec<Job>,
}

/// A run of the script.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) started_at: Timestamp,
    pub(crate) reported: bool,
    pub(crate) report: ScriptReport,
}

impl FakeDevice {
    /// Makes a Windows workstation that is online and lacks the given patches.
    #[must_use]
    pub fn new(id: DeviceId, client: ClientId, missing: &[KbId]) -> Self {
        let (platform, seen) = (Platform::WindowsWorkstation, Timestamp::UNIX_EPOCH);
        let device = Device {
            name: format!("ws-{id}"),
            os_version: "10.0.19045".to_owned(),
            online: true,
            ..Device::new(id, client, platform, [].into(), seen)
        };
        Self {
            device,
            patches: missing
                .iter()
                .map(|kb| (kb.clone(), PatchState::Missing))
                .collect(),
            needs_restart: false,
            install: Install::Works,
            uninstall: ScriptOutcome::Succeeded,
            evidence: Evidence::Kept,
            comes_back: true,
            stopped_service: None,
            alerts: Vec::new(),
            scan: Scan::Confirms,
            starts: VecDeque::new(),
            reports_get_lost: false,
            holds_report: false,
            holds_runs: false,
            clock_ahead: SignedDuration::ZERO,
            takes: Duration::ZERO,
            last_snapshot: None,
            installed: Vec::new(),
            listed: None,
            jobs: Vec::new(),
        }
    }

    /// The snapshot of now.
    pub(crate) fn seen(&self) -> Device {
        if let Some(seen_at) = self.last_snapshot {
            return Device {
                online: false,
                last_communicated_at: Some(seen_at),
                last_reported_at: None,
                seen_at,
                ..self.device.clone()
            };
        }
        let now = Timestamp::now();
        let online = self.device.online;
        let scans = online && self.scan != Scan::Never;
        Device {
            last_communicated_at: online.then_some(now),
            last_reported_at: scans.then_some(now),
            seen_at: now,
            ..self.device.clone()
        }
    }

    /// The snapshot of now; of before, while nobody reads the list.
    pub(crate) fn look(&mut self, is_old: bool) -> Device {
        let seen = self.seen();
        match &self.listed {
            Some(listed) if is_old && self.last_snapshot.is_none() => listed.clone(),
            _ => self.listed.insert(seen).clone(),
        }
    }

    pub(crate) fn state_of(&self, kb: &KbId) -> Option<PatchState> {
        let state = *self.patches.get(kb)?;
        Some(match (state, self.scan) {
            (PatchState::Installed, Scan::SaysMissing) => PatchState::Missing,
            // Of what a script has installed the list knows by a scan only.
            (PatchState::Installed, Scan::Never) if self.installed.contains(kb) => {
                PatchState::Missing
            }
            (state, _) => state,
        })
    }

    /// Runs the script; a job that ran before has its first result.
    pub(crate) fn run(&mut self, input: &RunScriptInput) -> ScriptReport {
        if let Some(job) = self.jobs.iter().find(|job| job.id == input.job) {
            return job.report.clone();
        }
        let report = self.work(input);
        self.jobs.push(Job {
            id: input.job.clone(),
            started_at: report.finished_at,
            reported: false,
            report: report.clone(),
        });
        report
    }

    fn work(&mut self, input: &RunScriptInput) -> ScriptReport {
        let mut report = ScriptReport {
            job_id: input.job.clone(),
            device: input.device.clone(),
            mode: input.mode,
            kb: input.kb.clone(),
            outcome: ScriptOutcome::Succeeded,
            exit_code: Some(0),
            reboot_required: false,
            installed: None,
            services: Vec::new(),
            finished_at: Timestamp::now(),
            log: String::new(),
            evidence: None,
        };
        if Timestamp::now() + self.clock_ahead > input.not_after {
            report.outcome = ScriptOutcome::OutsideWindow;
            return report;
        }
        match (input.mode, &input.kb) {
            (ScriptMode::Install, Some(kb)) => match self.install {
                Install::Works => {
                    let before = self.patches.insert(kb.clone(), PatchState::Installed);
                    if before != Some(PatchState::Installed) {
                        self.installed.push(kb.clone());
                    }
                    report.installed = Some(true);
                    report.reboot_required = self.needs_restart;
                }
                Install::Fails { installed } => {
                    let state = if installed == Some(false) {
                        PatchState::Failed
                    } else {
                        PatchState::Installed
                    };
                    self.patches.insert(kb.clone(), state);
                    report.outcome = ScriptOutcome::Failed;
                    report.exit_code = Some(1603);
                    report.installed = installed;
                }
                Install::Ends(outcome) => report.outcome = outcome,
            },
            (ScriptMode::Uninstall, Some(kb)) => {
                report.outcome = self.uninstall;
                if self.uninstall == ScriptOutcome::Succeeded {
                    self.patches.insert(kb.clone(), PatchState::Missing);
                }
            }
            (ScriptMode::Verify, Some(kb)) => {
                report.installed = Some(self.patches.get(kb) == Some(&PatchState::Installed));
                report.services = input
                    .services
                    .iter()
                    .map(|name| ServiceState {
                        name: name.clone(),
                        running: self.stopped_service.as_ref() != Some(name),
                    })
                    .collect();
            }
            (ScriptMode::Evidence, _) => match self.evidence {
                Evidence::Kept => report.evidence = Some(kept(input)),
                Evidence::Fails => report.outcome = ScriptOutcome::Failed,
                Evidence::Forgotten => {}
            },
            (ScriptMode::Reboot, _) => self.device.online = self.comes_back,
            _ => {}
        }
        report
    }

    /// How often the script did something in a mode.
    #[must_use]
    pub fn ran(&self, mode: ScriptMode) -> usize {
        let did = |job: &&Job| {
            job.report.mode == mode && job.report.outcome != ScriptOutcome::OutsideWindow
        };
        self.jobs.iter().filter(did).count()
    }

    /// The list was read anew.
    pub(crate) fn list(&mut self) {
        self.listed = Some(self.seen());
    }

    /// What the activity rows of the device say.
    pub(crate) fn newest_run(&self, since: Timestamp) -> RunState {
        let skew = SignedDuration::from_secs(2);
        let newest = self
            .jobs
            .iter()
            .rev()
            .find(|job| job.started_at + skew >= since);
        match newest {
            None => RunState::NotFound,
            Some(job) if job.reported || self.reports_get_lost => RunState::Completed,
            Some(_) => RunState::Running,
        }
    }
}

/// What the receiver puts in the place of evidence.
fn kept(input: &RunScriptInput) -> StoredEvidence {
    StoredEvidence {
        key: format!("logs/evidence/7001/{}.json", input.job),
        sha256: "beef".repeat(16),
        bytes: 4711,
    }
}
