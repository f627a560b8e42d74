//! From installation to verified: install, restart, ask the script, wait for the scan, watch health.

use std::collections::BTreeMap;

use contracts::{
    activities::superops::{CriticalAlerts, CriticalAlertsInput},
    device::{DeviceStage, Stop},
};
use domain::{
    ids::KbId,
    outcome::{DeviceOutcome, PatchResult},
    patch::PatchState,
    plan::RebootPolicy,
    script::{ScriptMode, ScriptOutcome, ScriptReport},
    triage::Step,
};
use jiff::Timestamp;

use super::{
    attempt::{Attempt, Ends, OpenWindow, state_of, summary_of},
    script::{Job, Ran},
    snapshot::{Patience, Seen},
};
use crate::{clock, options};

/// What an installation left behind.
enum Installed {
    /// On the device, as far as the script knows.
    Yes { reboot_required: bool },
    /// Not on the device; the result is final.
    No(DeviceOutcome, String),
    /// Nobody knows; the scan has to say.
    Perhaps(String),
}

impl Attempt {
    /// Installs all wanted KBs, restarts once, verifies each, watches health, and undoes what failed.
    pub(super) async fn install_and_verify(
        &self,
        window: OpenWindow,
        wanted: &[KbId],
        patches: &mut Vec<PatchResult>,
    ) -> Result<Ends, Ends> {
        let mut on_device = Vec::new();
        let mut in_doubt = BTreeMap::new();
        let mut reboot_required = false;
        self.announce(Step::Change { kbs: wanted.len() }).await;
        for kb in wanted {
            self.heed_stop()?;
            if let Some(why) = self.stop() {
                patches.push(left_out(kb, why));
                continue;
            }
            self.renew_lease().await?;
            self.stage(DeviceStage::Installing, &format!("installing {kb}"));
            match self.install(kb, window).await? {
                Installed::Yes {
                    reboot_required: needed,
                } => {
                    reboot_required |= needed;
                    on_device.push(kb.clone());
                }
                // A failure before must stay visible, so it is not hidden behind "put off".
                Installed::No(DeviceOutcome::Deferred, why)
                    if on_device.is_empty() && !patches.iter().any(|p| p.outcome.is_failure()) =>
                {
                    return Err(Ends::with(DeviceOutcome::Deferred, why));
                }
                Installed::No(outcome, detail) => {
                    patches.push(PatchResult {
                        kb: kb.clone(),
                        outcome,
                        detail,
                    });
                }
                Installed::Perhaps(why) => {
                    in_doubt.insert(kb.clone(), why);
                    on_device.push(kb.clone());
                }
            }
        }
        if on_device.is_empty() {
            return Ok(summary_of(patches));
        }
        let since = clock::now(&self.ctx);
        if let Err(trouble) = self.restart_if_asked(reboot_required, Some(window)).await? {
            return self.undo(&on_device, &trouble, patches).await;
        }
        let mut checked = self.ask_script(&on_device).await?;
        if checked.values().any(|report| report.reboot_required) {
            // The installer did not say so, or its report was lost.
            if let Err(trouble) = self.restart_if_asked(true, Some(window)).await? {
                return self.undo(&on_device, &trouble, patches).await;
            }
            checked = self.ask_script(&on_device).await?;
        }
        if let Some(trouble) = self.health_trouble(&checked, since).await? {
            return self.undo(&on_device, &trouble, patches).await;
        }
        self.end_announcement().await;
        let patience = self.patience(self.input.waits.verify_secs, clock::now(&self.ctx));
        for kb in &on_device {
            let said = checked.get(kb).and_then(|r| r.installed);
            let doubt = in_doubt.get(kb);
            let result = self
                .confirm_by_scan(kb, (since, patience), said, doubt)
                .await?;
            patches.push(result);
        }
        Ok(summary_of(patches))
    }

    async fn install(&self, kb: &KbId, window: OpenWindow) -> Result<Installed, Ends> {
        let job = Job {
            mode: ScriptMode::Install,
            kb: Some(kb),
            not_after: window.closes_at,
        };
        let report = match self.run_job(job).await? {
            Ran::Reported(report) => report,
            Ran::FailedSilently => {
                return self
                    .after_failed_install(kb, "the script failed without a report")
                    .await;
            }
            Ran::Unknown => return Ok(Installed::Perhaps("the script did not report".to_owned())),
            Ran::NotSent(reason) => {
                let (outcome, detail) = match self.stop() {
                    Some(why) => stopped_before(why),
                    None => (
                        DeviceOutcome::Deferred,
                        format!("not started before its window closed: {reason}"),
                    ),
                };
                return Ok(Installed::No(outcome, detail));
            }
            Ran::NotStarted(why) => {
                return Ok(Installed::No(
                    DeviceOutcome::NeedsHuman,
                    format!("not started: {why}"),
                ));
            }
            Ran::Barred(ends) => return Ok(Installed::No(ends.outcome, ends.detail)),
        };
        Ok(match report.outcome {
            ScriptOutcome::Succeeded => Installed::Yes {
                reboot_required: report.reboot_required,
            },
            ScriptOutcome::NotApplicable => Installed::No(
                DeviceOutcome::NotApplicable,
                "it does not apply to this device".to_owned(),
            ),
            ScriptOutcome::Superseded => Installed::No(
                DeviceOutcome::Superseded,
                "a newer update contains it".to_owned(),
            ),
            ScriptOutcome::OutsideWindow => Installed::No(
                DeviceOutcome::Deferred,
                "the device took the job up after its window had closed".to_owned(),
            ),
            ScriptOutcome::Failed | ScriptOutcome::NotRemovable => {
                let why = format!("installation failed{}", exit_words(&report));
                match report.installed {
                    Some(false) => Installed::No(
                        self.clean_failure(),
                        format!("{why}, nothing was left behind"),
                    ),
                    _ => return self.after_failed_install(kb, &why).await,
                }
            }
        })
    }

    /// A failed installation whose remains are unknown is removed, then asked about.
    async fn after_failed_install(&self, kb: &KbId, why: &str) -> Result<Installed, Ends> {
        self.note_trouble(std::slice::from_ref(kb));
        if !self.input.roll_back_failures {
            return Ok(Installed::No(DeviceOutcome::Failed, why.to_owned()));
        }
        let (outcome, detail) = self.remove(kb, why).await?;
        Ok(Installed::No(outcome, detail))
    }

    /// A failure that left nothing behind has brought the device back to where it was.
    fn clean_failure(&self) -> DeviceOutcome {
        if self.input.roll_back_failures {
            DeviceOutcome::RolledBack
        } else {
            DeviceOutcome::Failed
        }
    }

    /// Restarts by policy; `Err` inside says what is wrong with the device afterwards. With a window
    /// it restarts inside it, or inside a later one; an undoing does not wait for one.
    pub(super) async fn restart_if_asked(
        &self,
        required: bool,
        window: Option<OpenWindow>,
    ) -> Result<Result<(), String>, Ends> {
        let restart = match self.input.reboot {
            RebootPolicy::Never => false,
            RebootPolicy::IfNeeded => required,
            RebootPolicy::Always => true,
        };
        if !restart {
            return Ok(Ok(()));
        }
        self.run_restart(window).await?;
        self.announce_later(Step::Restart).await;
        // The script reports as its last act, and the restart begins a little later: an "online" of
        // until then is from before it.
        let down = clock::after(clock::now(&self.ctx), self.input.waits.restart_grace_secs);
        let patience = self.patience(self.input.health.online_within_secs, down);
        let back = self
            .poll_snapshot(patience, "back after restart", |device| {
                let seen = device.last_communicated_at.unwrap_or(device.seen_at);
                device.online && seen > down
            })
            .await?;
        match back {
            Seen::Passed => Ok(Ok(())),
            Seen::Failed => Ok(Err(format!(
                "not back online within {} s after its restart",
                self.input.health.online_within_secs
            ))),
            Seen::Unknown => Err(Ends::human(
                "restarted, and the device list could not be read since",
            )),
        }
    }

    /// Starts the restart, however long `SuperOps` is away; one that does not fit into its window any
    /// more waits for the next.
    async fn run_restart(&self, mut window: Option<OpenWindow>) -> Result<(), Ends> {
        loop {
            let over = |w: &OpenWindow| w.closes_at.is_some_and(|at| at <= clock::now(&self.ctx));
            if window.as_ref().is_some_and(over) {
                let next = self.wait_for_window().await.map_err(|ends| {
                    Ends::human(format!("installed, and not restarted: {}", ends.detail))
                })?;
                window = Some(next);
            }
            self.renew_lease().await?;
            self.stage(DeviceStage::Rebooting, "restarting");
            let not_after = window.and_then(|w| w.closes_at);
            self.announce(Step::Restart).await;
            let job = Job {
                mode: ScriptMode::Reboot,
                kb: None,
                not_after,
            };
            match self.run_job(job).await? {
                Ran::NotSent(_) if not_after.is_some() && !self.hurried() => {}
                Ran::NotStarted(why) | Ran::NotSent(why) => {
                    return Err(Ends::human(format!(
                        "the restart could not be started: {why}"
                    )));
                }
                Ran::Reported(report)
                    if report.outcome == ScriptOutcome::OutsideWindow
                        && let Some(closes) = not_after
                        && !self.hurried() =>
                {
                    // By its own clock, which may be ahead of ours: another start now would be too late
                    // as well.
                    self.pause_until(closes, "next maintenance window").await?;
                }
                Ran::Reported(report) if report.outcome != ScriptOutcome::Succeeded => {
                    return Err(Ends::human(format!(
                        "the restart failed{}",
                        exit_words(&report)
                    )));
                }
                Ran::Barred(ends) => return Err(ends),
                Ran::Reported(_) | Ran::FailedSilently | Ran::Unknown => return Ok(()),
            }
        }
    }

    /// Asks the script on the device what is installed, and how the services are.
    async fn ask_script(&self, kbs: &[KbId]) -> Result<BTreeMap<KbId, ScriptReport>, Ends> {
        self.stage(DeviceStage::Verifying, "asking the script on the device");
        let mut reports = BTreeMap::new();
        for kb in kbs {
            self.renew_lease().await?;
            let job = Job {
                mode: ScriptMode::Verify,
                kb: Some(kb),
                not_after: None,
            };
            if let Ran::Reported(report) = self.run_job(job).await? {
                reports.insert(kb.clone(), report);
            }
        }
        Ok(reports)
    }

    /// A patch counts when a scan made after the installation says so. While `SuperOps` is away nobody
    /// can know of one.
    async fn confirm_by_scan(
        &self,
        kb: &KbId,
        (since, mut patience): (Timestamp, Patience),
        script_says: Option<bool>,
        doubt: Option<&String>,
    ) -> Result<PatchResult, Ends> {
        let result = |outcome, detail: String| {
            Ok(PatchResult {
                kb: kb.clone(),
                outcome,
                detail,
            })
        };
        let settled = clock::after(since, self.input.waits.rescan_settle_secs);
        let mut looked_at = None;
        loop {
            let look = self.look().await?;
            let scanned = look.device.last_reported_at.filter(|at| *at > since);
            if scanned.is_some()
                && scanned != looked_at
                && let Some(rows) = self.patch_rows().await?
            {
                looked_at = scanned;
                let state = state_of(&rows, kb);
                if state == PatchState::Installed {
                    return result(
                        DeviceOutcome::Verified,
                        "a scan after the installation says installed".to_owned(),
                    );
                }
                let late_enough = scanned.is_some_and(|at| at > settled);
                if late_enough
                    && script_says == Some(true)
                    && matches!(state, PatchState::Missing | PatchState::Failed)
                {
                    return result(
                        DeviceOutcome::ReportedMissing,
                        "the script said installed, a later scan says missing".to_owned(),
                    );
                }
            }
            let now = clock::now(&self.ctx);
            if self.hurried() || patience.judge(&look, now).is_some() {
                break;
            }
            let waits = look.away_since.map_or_else(
                || format!("waiting for a scan made after {since:.0}"),
                |away| format!("SuperOps does not answer since {away:.0}; scans are read later"),
            );
            self.stage(DeviceStage::Verifying, &waits);
            let next = clock::after(now, self.input.waits.verify_poll_secs);
            self.pause_until(next.min(patience.ends(now)), "confirming scan")
                .await?;
        }
        match script_says {
            Some(true) => result(
                DeviceOutcome::VerifiedByScript,
                "the script says installed, no scan has confirmed it yet".to_owned(),
            ),
            Some(false) => result(
                DeviceOutcome::NeedsHuman,
                "the script says not installed after its installation".to_owned(),
            ),
            None => result(
                DeviceOutcome::NeedsHuman,
                doubt
                    .cloned()
                    .unwrap_or_else(|| "neither script nor scan confirm it".to_owned()),
            ),
        }
    }

    /// Healthy: named services run, online, no new critical alert during the soak.
    async fn health_trouble(
        &self,
        checked: &BTreeMap<KbId, ScriptReport>,
        since: Timestamp,
    ) -> Result<Option<String>, Ends> {
        let stopped = |report: &ScriptReport| {
            report
                .services
                .iter()
                .find(|s| !s.running)
                .map(|s| format!("service {} does not run", s.name))
        };
        if let Some(trouble) = checked.values().find_map(stopped) {
            return Ok(Some(trouble));
        }
        self.stage(DeviceStage::WatchingHealth, "watching for critical alerts");
        let soak_ends = clock::after(clock::now(&self.ctx), self.input.health.soak_secs);
        self.pause_until(soak_ends, "health soak").await?;
        let input = CriticalAlertsInput {
            device: self.input.device.clone(),
            since,
        };
        let read = self.read(
            || CriticalAlerts,
            input,
            options::superops_read("look for critical alerts"),
            "alerts could not be read",
        );
        let Some(answer) = read.await? else {
            return Err(Ends::human("installed, and alerts could not be read since"));
        };
        let alerts = answer.alerts;
        if !alerts.is_empty() {
            return Ok(Some(format!(
                "{} new critical alerts: {}",
                alerts.len(),
                alerts.join(", ")
            )));
        }
        let within = self.input.health.online_within_secs;
        let patience = self.patience(within, clock::now(&self.ctx));
        let online = self
            .poll_snapshot(patience, "device online", |device| {
                device.online && device.seen_at > since
            })
            .await?;
        match online {
            Seen::Passed => Ok(None),
            Seen::Failed => Ok(Some("offline after its installation".to_owned())),
            Seen::Unknown => Err(Ends::human(
                "installed, and the device list could not be read since",
            )),
        }
    }
}

/// A patch that the deployment's stop came before.
fn left_out(kb: &KbId, why: Stop) -> PatchResult {
    let (outcome, detail) = stopped_before(why);
    PatchResult {
        kb: kb.clone(),
        outcome,
        detail,
    }
}

fn stopped_before(why: Stop) -> (DeviceOutcome, String) {
    let (outcome, detail) = match why {
        Stop::StandDown => (
            DeviceOutcome::Deferred,
            "put off: the deployment stands still",
        ),
        Stop::Stopped | Stop::Aborted => {
            (DeviceOutcome::Aborted, "stopped before it was installed")
        }
    };
    (outcome, detail.to_owned())
}

fn exit_words(report: &ScriptReport) -> String {
    report
        .exit_code
        .map_or_else(String::new, |code| format!(" with exit code {code}"))
}
