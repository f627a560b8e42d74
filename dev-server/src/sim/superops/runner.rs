//! Time: script runs, restarts and patch scans as tasks.

use std::sync::Arc;

use domain::{
    ids::KbId,
    script::{ScriptMode, ScriptOutcome, ScriptReport},
};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    alerts,
    arguments::ScriptArgs,
    callback,
    device::{Activity, Luck, is_for, refusal},
    world::{Inner, LogEntry, Run, SCRIPT_ID, World},
};

/// Starts what runs by itself, and goes on with what a stop interrupted.
pub(super) fn start(world: &Arc<World>) {
    for (index, id) in (0u32..).zip(world.running.keys()) {
        world.tasks.spawn(scans(
            Arc::clone(world),
            id.clone(),
            f64::from(index % 97) / 97.0,
        ));
    }
    let (runs, rebooting) = {
        let inner = world.lock();
        let runs: Vec<String> = inner.state.runs.keys().cloned().collect();
        let rebooting = inner
            .state
            .devices
            .iter()
            .filter(|(_, d)| d.rebooting)
            .map(|(id, _)| id.clone());
        (runs, rebooting.collect::<Vec<_>>())
    };
    for run in runs {
        world.tasks.spawn(play(Arc::clone(world), run));
    }
    for device in rebooting {
        let away = Arc::clone(world);
        world
            .tasks
            .spawn(async move { come_back(&away, &device).await });
    }
    world.tasks.spawn(alerts::watch_offline(Arc::clone(world)));
    world.tasks.spawn(alerts::make_noise(Arc::clone(world)));
    world.tasks.spawn(Arc::clone(world).keep_saving());
}

/// Accepts a run: records its activity and starts it. Returns the id of the run.
pub(super) fn accept(
    world: &Arc<World>,
    device: &str,
    script_id: &str,
    arguments: Value,
) -> String {
    let now = world.now();
    let job = ScriptArgs::parse(&arguments)
        .ok()
        .map(|args| (args.job_id, args.mode, args.kb));
    let run = world.change(|inner| {
        let run = inner.new_id();
        let activity = inner.new_id();
        let online = inner.is_online(device);
        if let Some(state) = inner.state.devices.get_mut(device) {
            state.activities.push(Activity {
                id: activity,
                run: run.clone(),
                script_id: script_id.to_owned(),
                name: World::script_name(script_id).unwrap_or_default().to_owned(),
                status: if online { "Running" } else { "Pending" }.to_owned(),
                created: now,
            });
        }
        let entry = Run {
            device: device.to_owned(),
            script_id: script_id.to_owned(),
            arguments,
        };
        inner.state.runs.insert(run.clone(), entry);
        let (job_id, mode, kb) = job.map_or((None, None, None), |(j, m, k)| (Some(j), Some(m), k));
        inner.log(LogEntry {
            at: now,
            device: device.to_owned(),
            action: if online { "run_accepted" } else { "run_queued" }.to_owned(),
            job_id,
            kb: kb.map(|kb| kb.digits().to_owned()),
            detail: mode.map(|mode| mode.to_string()),
        });
        run
    });
    world.tasks.spawn(play(Arc::clone(world), run.clone()));
    run
}

/// One run from start to report. Interrupted anywhere, it can be played again.
async fn play(world: Arc<World>, run_id: String) {
    let Some(run) = world.lock().state.runs.get(&run_id).cloned() else {
        return;
    };
    let Some(running) = world.running.get(&run.device) else {
        return;
    };
    let turn = tokio::select! {
        () = world.stop.cancelled() => return,
        turn = running.one_script_at_a_time.lock() => turn,
    };
    if !world.wait_until(|inner| inner.is_online(&run.device)).await {
        return;
    }
    set_status(&world, &run, &run_id, "Running");
    if run.script_id != SCRIPT_ID {
        if world.pass(10.0).await {
            end(&world, &run, &run_id, "Completed").await;
        }
        return;
    }
    let args = match ScriptArgs::parse(&run.arguments) {
        Ok(args) => args,
        Err(problem) => {
            note(&world, &run.device, None, "bad_arguments", Some(problem));
            return end(&world, &run, &run_id, "Failed").await;
        }
    };
    let Some(report) = act(&world, &run.device, &args).await else {
        return;
    };
    let failed = report.outcome == ScriptOutcome::Failed;
    let down = world
        .lock()
        .state
        .devices
        .get(&run.device)
        .is_some_and(|d| d.rebooting);
    let status = if failed { "Failed" } else { "Completed" };
    set_status(&world, &run, &run_id, status);
    let reporting = async {
        callback::report(&world, &args, &report, down).await;
        // Until here a stop of the simulator makes the script report again.
        if !world.stop.is_cancelled() {
            end(&world, &run, &run_id, status).await;
        }
    };
    if down {
        let returning = async {
            come_back(&world, &run.device).await;
            drop(turn);
        };
        tokio::join!(reporting, returning);
    } else {
        drop(turn);
        reporting.await;
    }
}

/// What the script does on the device; nothing when the simulator stops first.
async fn act(world: &Arc<World>, device: &str, args: &ScriptArgs) -> Option<ScriptReport> {
    let job = Some(args);
    if !is_for(args, device) {
        note(world, device, job, "wrong_device", None);
        return Some(refusal(
            args,
            ScriptOutcome::Failed,
            "these arguments are for another device",
            world.now(),
        ));
    }
    let finished = world
        .lock()
        .state
        .devices
        .get(device)
        .and_then(|d| d.jobs.get(&args.job_id).cloned());
    if let Some(report) = finished {
        note(world, device, job, "replayed", Some(args.mode.to_string()));
        return Some(report);
    }
    if !args.in_window(world.now()) {
        note(
            world,
            device,
            job,
            "outside_window",
            Some(args.mode.to_string()),
        );
        return Some(refusal(
            args,
            ScriptOutcome::OutsideWindow,
            "outside its window, nothing was done",
            world.now(),
        ));
    }
    note(
        world,
        device,
        job,
        "run_started",
        Some(args.mode.to_string()),
    );
    let timing = &world.fleet.timing;
    let seconds = match args.mode {
        ScriptMode::Install => timing.install_secs,
        ScriptMode::Uninstall => timing.uninstall_secs,
        ScriptMode::Check | ScriptMode::Verify | ScriptMode::Evidence | ScriptMode::Reboot => {
            timing.check_secs
        }
    };
    if !world.pass(seconds_of(seconds) * world.pace(device)).await {
        return None;
    }
    let now = world.now();
    let kb = args.kb.as_ref().map(KbId::digits);
    let report = world.change(|inner| {
        let luck = Luck {
            fails: args.mode == ScriptMode::Install
                && kb.is_some_and(|kb| inner.faults.installation_fails(kb, device)),
            breaks: kb.and_then(|kb| inner.faults.breaks(kb, device)),
            not_removable: kb
                .and_then(|kb| inner.faults.kbs.get(kb))
                .is_some_and(|fault| fault.not_removable),
            evidence_fails: inner.faults.device(device).evidence_fails,
            evidence_too_large: inner.faults.device(device).evidence_too_large,
        };
        let state = inner.state.devices.get_mut(device)?;
        let (report, effects) = state.play(args, &world.catalog, &luck, now);
        inner.apply(device, Some(&args.job_id), kb, effects, now);
        if args.mode == ScriptMode::Install && inner.faults.device(device).offline_after_install {
            if let Some(state) = inner.state.devices.get_mut(device) {
                state.go_offline(now);
            }
            if let Some(fault) = inner.faults.devices.get_mut(device) {
                fault.offline_after_install = false;
            }
            inner.log(LogEntry {
                at: now,
                device: device.to_owned(),
                action: "went_offline".to_owned(),
                job_id: Some(args.job_id.clone()),
                kb: None,
                detail: None,
            });
        }
        Some(report)
    });
    world.save().await;
    report
}

/// Waits for a restart to end, unless a fault keeps the device away; a scan follows.
async fn come_back(world: &Arc<World>, device: &str) {
    if !world
        .pass(seconds_of(world.fleet.timing.reboot_secs) * world.pace(device))
        .await
    {
        return;
    }
    let now = world.now();
    let back = world.change(|inner| {
        !inner.faults.device(device).never_back_after_reboot && boot(inner, device, now)
    });
    if let Some(running) = world.running.get(device).filter(|_| back) {
        running.restarted.notify_one();
    }
    world.save().await;
}

/// Ends a restart, if there is one.
pub(super) fn boot(inner: &mut Inner, device: &str, now: Timestamp) -> bool {
    let Some(state) = inner.state.devices.get_mut(device).filter(|d| d.rebooting) else {
        return false;
    };
    let effects = state.boot(now);
    inner.apply(device, None, None, effects, now);
    true
}

/// The agent scans every so often, and some time after a restart; not while offline.
async fn scans(world: Arc<World>, device: String, first: f64) {
    let interval = seconds_of(world.fleet.timing.scan_interval_secs) * world.pace(&device);
    let Some(running) = world.running.get(&device) else {
        return;
    };
    let mut wait = interval * (0.1 + 0.9 * first);
    loop {
        let after_restart = tokio::select! {
            passed = world.pass(wait) => if passed { false } else { return },
            () = running.restarted.notified() => true,
        };
        if after_restart
            && !world
                .pass(seconds_of(world.fleet.timing.scan_after_reboot_secs))
                .await
        {
            return;
        }
        if !world.wait_until(|inner| inner.is_online(&device)).await {
            return;
        }
        scan(&world, &device);
        wait = interval;
    }
}

/// One patch scan, unless a fault swallows it.
pub(super) fn scan(world: &World, device: &str) {
    let now = world.now();
    world.change(|inner| {
        if inner.faults.stale_scans.contains(device) {
            return;
        }
        let Some(state) = inner.state.devices.get_mut(device) else {
            return;
        };
        if state.scan(now) {
            inner.log(LogEntry {
                at: now,
                device: device.to_owned(),
                action: "scanned".to_owned(),
                job_id: None,
                kb: None,
                detail: Some("the patch list changed".to_owned()),
            });
        }
    });
}

fn set_status(world: &World, run: &Run, run_id: &str, status: &str) {
    world.change(|inner| {
        let Some(device) = inner.state.devices.get_mut(&run.device) else {
            return;
        };
        if let Some(activity) = device.activities.iter_mut().find(|a| a.run == run_id) {
            status.clone_into(&mut activity.status);
        }
    });
}

async fn end(world: &World, run: &Run, run_id: &str, status: &str) {
    set_status(world, run, run_id, status);
    world.change(|inner| inner.state.runs.remove(run_id));
    world.save().await;
}

fn note(
    world: &World,
    device: &str,
    args: Option<&ScriptArgs>,
    action: &str,
    detail: Option<String>,
) {
    let entry = LogEntry {
        at: world.now(),
        device: device.to_owned(),
        action: action.to_owned(),
        job_id: args.map(|a| a.job_id.clone()),
        kb: args
            .and_then(|a| a.kb.as_ref())
            .map(|kb| kb.digits().to_owned()),
        detail,
    };
    world.change(|inner| inner.log(entry));
}

fn seconds_of(seconds: u64) -> f64 {
    seconds as f64
}
