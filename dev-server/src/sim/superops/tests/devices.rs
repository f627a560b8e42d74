use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{
    evidence::MAX_ENCODED_BYTES,
    script::{ScriptOutcome, ScriptReport},
};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::super::{
    Actual, AlertCause, DeviceChange, FleetSpec, SCRIPT_ID, SuperOpsHandle,
    callback::{Answer, Poster, Signed, sign},
    clock::{Clock, manual::ManualClock},
    rows, runner,
    world::World,
};

const DEVICE: &str = "4100000000000000001";

#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<ScriptReport>>);

impl Poster for Recorder {
    fn post(&self, request: Signed) -> BoxFuture<'_, Answer> {
        assert_eq!(
            request.signature,
            sign("key", &request.timestamp, &request.body)
        );
        let mut body: Value = serde_json::from_str(&request.body).unwrap();
        let evidence = body.as_object_mut().unwrap().remove("evidence");
        // As the real receiver.
        let too_large =
            evidence.is_some_and(|evidence| evidence.as_str().unwrap().len() > MAX_ENCODED_BYTES);
        if too_large {
            return Box::pin(async { Answer::TooLarge });
        }
        self.0
            .lock()
            .unwrap()
            .push(serde_json::from_value(body).unwrap());
        Box::pin(async { Answer::Taken })
    }
}

struct Stage {
    world: Arc<World>,
    clock: Arc<ManualClock>,
    reports: Arc<Recorder>,
    handle: SuperOpsHandle,
}

fn stage_with(file: Option<PathBuf>) -> Stage {
    let reports = Arc::new(Recorder::default());
    let clock = Arc::new(ManualClock::new("2024-01-15T20:00:00Z".parse().unwrap()));
    let world = World::new(
        FleetSpec::small(2),
        1.0,
        Clock::Manual(clock.clone()),
        reports.clone(),
        file,
    )
    .unwrap();
    runner::start(&world);
    Stage {
        handle: SuperOpsHandle {
            world: world.clone(),
        },
        world,
        clock,
        reports,
    }
}

fn stage() -> Stage {
    stage_with(None)
}

impl Stage {
    fn run(&self, mode: &str, kb: &str, job: &str) {
        self.run_between(mode, kb, job, "", "");
    }

    fn run_between(&self, mode: &str, kb: &str, job: &str, not_before: &str, not_after: &str) {
        let args = json!([
            { "name": "mode", "value": mode }, { "name": "kb", "value": kb }, { "name": "jobId", "value": job },
            { "name": "device", "value": DEVICE }, { "name": "notBefore", "value": not_before },
            { "name": "notAfter", "value": not_after }, { "name": "services", "value": "U3Bvb2xlcixXMzJUaW1l" },
            { "name": "callbackUrl", "value": "http://callback" }, { "name": "token", "value": "key" }
        ]);
        runner::accept(&self.world, DEVICE, SCRIPT_ID, args);
    }

    /// Runs the script and waits for its report.
    async fn report(&self, mode: &str, kb: &str, job: &str) -> ScriptReport {
        let before = self.count("callback_sent");
        self.run(mode, kb, job);
        self.logged("callback_sent", before + 1).await;
        self.reports.0.lock().unwrap().last().unwrap().clone()
    }

    fn count(&self, action: &str) -> usize {
        self.handle
            .log()
            .iter()
            .filter(|entry| entry.action == action)
            .count()
    }

    async fn logged(&self, action: &str, times: usize) {
        self.clock.run_until(|| self.count(action) >= times).await;
    }

    fn listed(&self, kb: &str) -> String {
        let rows = rows::patches(&self.world, DEVICE);
        let (_, row) = rows
            .into_iter()
            .find(|(_, row)| {
                row.patch_detail
                    .as_ref()
                    .unwrap()
                    .patch_key
                    .as_ref()
                    .unwrap()
                    .ends_with(kb)
            })
            .unwrap();
        row.installation_status.unwrap()
    }

    /// The evidence of a job, as its report carries it.
    fn packed(&self, job: &str) -> Option<String> {
        let inner = self.world.lock();
        let state = inner.state.devices.get(DEVICE)?;
        state.evidence.get(&job.parse().unwrap()).cloned()
    }

    fn faults(&self, change: &Value) {
        self.handle.set_faults(change).unwrap();
    }
}

#[tokio::test]
async fn a_second_run_of_a_job_reports_again_and_does_nothing() {
    let stage = stage();
    let first = stage.report("install", "5034441", "p/1/install-0").await;
    let second = stage.report("install", "5034441", "p/1/install-0").await;
    assert_eq!(first.outcome, ScriptOutcome::Succeeded);
    assert_eq!(first, second);
    assert_eq!((stage.count("installed"), stage.count("replayed")), (1, 1));
    let third = stage.report("install", "5034441", "p/1/install-1").await;
    assert_eq!(
        (third.exit_code, stage.count("installed")),
        (Some(0), 1),
        "another job finds it installed"
    );
}

#[tokio::test]
async fn the_patch_list_says_installed_only_after_the_scan_that_follows_the_restart() {
    let stage = stage();
    let installed = stage.report("install", "5034122", "p/install").await;
    assert_eq!(
        (
            installed.exit_code,
            installed.reboot_required,
            installed.installed
        ),
        (Some(3010), true, None)
    );
    assert_eq!(stage.listed("5034122"), "NewOrMissing");

    let reboot = stage.report("reboot", "", "p/reboot").await;
    assert_eq!(reboot.outcome, ScriptOutcome::Succeeded);
    assert!(
        !stage.world.lock().is_online(DEVICE),
        "it reports and is gone"
    );
    stage.logged("came_back", 1).await;
    let verify = stage.report("verify", "5034122", "p/verify").await;
    assert_eq!(
        (verify.installed, verify.reboot_required),
        (Some(true), false)
    );
    assert_eq!(
        stage.listed("5034122"),
        "NewOrMissing",
        "the RMM does not know yet"
    );

    stage.logged("scanned", 1).await;
    assert_eq!(stage.listed("5034122"), "Installed");
    let device = stage.handle.device(DEVICE).unwrap();
    assert!(device.last_reported > device.booted_at);
}

#[tokio::test]
async fn a_device_whose_scans_are_stale_never_shows_it() {
    let stage = stage();
    stage.faults(&json!({ "stale_scans": [DEVICE] }));
    stage.report("install", "5034441", "p/1").await;
    stage.clock.pass(Duration::from_secs(3 * 86_400)).await;
    assert_eq!(stage.listed("5034441"), "NewOrMissing");
    stage.faults(&json!({ "stale_scans": [] }));
    stage.logged("scanned", 1).await;
    assert_eq!(stage.listed("5034441"), "Installed");
}

#[tokio::test]
async fn outside_its_window_a_run_does_nothing_and_says_so() {
    let stage = stage();
    stage.run_between(
        "install",
        "5034441",
        "p/1",
        "2024-01-15T21:00:00Z",
        "2024-01-15T23:00:00Z",
    );
    stage.logged("callback_sent", 1).await;
    assert_eq!(
        stage.reports.0.lock().unwrap()[0].outcome,
        ScriptOutcome::OutsideWindow
    );
    assert_eq!(stage.count("installed"), 0);
}

#[tokio::test]
async fn a_run_on_an_offline_device_waits_and_keeps_its_window() {
    let stage = stage();
    let offline = DeviceChange {
        online: Some(false),
        ..DeviceChange::default()
    };
    let online = DeviceChange {
        online: Some(true),
        ..DeviceChange::default()
    };
    stage.handle.change_device(DEVICE, offline).unwrap();
    stage.run_between("install", "5034441", "p/1", "", "2024-01-15T22:00:00Z");
    stage.run("install", "5034122", "p/2");
    assert_eq!(stage.count("run_queued"), 2);
    stage.clock.pass(Duration::from_secs(3 * 3600)).await;
    assert_eq!(stage.count("run_started"), 0);
    stage.handle.change_device(DEVICE, online).unwrap();
    stage.logged("callback_sent", 2).await;
    assert_eq!(
        (stage.count("outside_window"), stage.count("installed")),
        (1, 1)
    );
}

#[tokio::test]
async fn an_update_that_breaks_a_service_is_repaired_by_its_removal() {
    let stage = stage();
    stage.faults(&json!({ "kbs": { "5034122": { "breaks": {} } } }));
    stage.report("install", "5034122", "p/1").await;
    assert!(stage.handle.alerts().is_empty(), "not before the restart");
    stage.report("reboot", "", "p/2").await;
    stage.logged("broke", 1).await;
    let verify = stage.report("verify", "5034122", "p/3").await;
    assert_eq!(
        verify
            .services
            .iter()
            .map(|s| s.running)
            .collect::<Vec<_>>(),
        [false, true]
    );
    let of_update = || {
        let alerts = stage.handle.alerts().into_iter();
        let mut of_update = alerts.filter(|alert| alert.cause == AlertCause::Update);
        of_update.next().unwrap()
    };
    assert_eq!(of_update().severity, "Critical");

    let removed = stage.report("uninstall", "5034122", "p/4").await;
    assert_eq!(
        (removed.outcome, removed.installed),
        (ScriptOutcome::Succeeded, Some(false))
    );
    assert!(of_update().resolved.is_some());
    assert_eq!(
        stage.handle.device(DEVICE).unwrap().patches["5034122"].actual,
        Actual::Missing
    );
}

#[tokio::test]
async fn updates_fail_and_stay_as_told() {
    let stage = stage();
    stage.faults(&json!({ "kbs": { "5034441": { "fails_on": [DEVICE] }, "5033372": { "not_removable": true } } }));
    let failed = stage.report("install", "5034441", "p/1").await;
    assert_eq!(
        (failed.outcome, failed.installed),
        (ScriptOutcome::Failed, Some(false))
    );
    let kept = stage.report("uninstall", "5033372", "p/2").await;
    assert_eq!(
        (kept.outcome, kept.installed),
        (ScriptOutcome::NotRemovable, Some(true))
    );
    let strange = stage.report("check", "5044285", "p/3").await;
    assert_eq!(strange.outcome, ScriptOutcome::NotApplicable);
}

#[tokio::test]
async fn an_older_update_is_superseded_by_an_installed_newer_one() {
    let stage = stage();
    let patches = [("5034763".to_owned(), Actual::Installed)].into();
    stage
        .handle
        .change_device(
            DEVICE,
            DeviceChange {
                patches,
                ..DeviceChange::default()
            },
        )
        .unwrap();
    let report = stage.report("install", "5034122", "p/1").await;
    assert_eq!(
        (report.outcome, stage.count("installed")),
        (ScriptOutcome::Superseded, 0)
    );
}

#[tokio::test]
async fn reports_get_lost_and_doubled_on_demand() {
    let stage = stage();
    stage.faults(&json!({ "drop_callbacks": { "count": 1 }, "duplicate_callbacks": 2 }));
    stage.run("install", "5034441", "p/1");
    stage.logged("callback_dropped", 1).await;
    assert_eq!(
        (
            stage.count("installed"),
            stage.reports.0.lock().unwrap().len()
        ),
        (1, 0)
    );
    stage.report("install", "5034441", "p/1").await;
    assert_eq!(stage.reports.0.lock().unwrap().len(), 2, "posted twice");
}

#[tokio::test]
async fn a_late_report_comes_after_the_next_one_of_its_device() {
    let stage = stage();
    stage.faults(&json!({ "late_callbacks": 1 }));
    stage.run("install", "5034441", "p/1");
    stage.logged("callback_held_back", 1).await;
    assert!(stage.reports.0.lock().unwrap().is_empty());
    stage.report("verify", "5034441", "p/2").await;
    let reports = stage.reports.0.lock().unwrap();
    let order: Vec<_> = reports.iter().map(|r| r.job_id.as_str()).collect();
    assert_eq!(order, ["p/2", "p/1"]);
}

#[tokio::test]
async fn a_device_that_vanishes_after_the_installation_gives_up_reporting() {
    let stage = stage();
    stage.faults(&json!({ "devices": { DEVICE: { "offline_after_install": true } } }));
    stage.run("install", "5034441", "p/1");
    stage.logged("callback_gave_up", 1).await;
    assert_eq!(stage.count("installed"), 1);
    assert!(stage.reports.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_device_that_never_comes_back_waits_for_a_person() {
    let stage = stage();
    stage.faults(&json!({ "devices": { DEVICE: { "never_back_after_reboot": true } } }));
    stage.report("install", "5034122", "p/1").await;
    stage.report("reboot", "", "p/2").await;
    stage.clock.pass(Duration::from_secs(86_400)).await;
    assert!(!stage.world.lock().is_online(DEVICE));
    let online = DeviceChange {
        online: Some(true),
        ..DeviceChange::default()
    };
    let device = stage.handle.change_device(DEVICE, online).unwrap();
    assert_eq!(device.patches["5034122"].actual, Actual::Installed);
}

#[tokio::test]
async fn a_run_goes_on_after_a_restart_of_the_simulator_and_installs_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("superops.json");
    let first = stage_with(Some(file.clone()));
    first.run("install", "5034441", "p/1");
    first.logged("run_started", 1).await;
    first.world.stop.cancel();
    first.world.tasks.wait().await;
    first.world.save().await;
    assert_eq!(first.count("installed"), 0);

    let fast = World::new(
        FleetSpec::small(2),
        100_000.0,
        Clock::System,
        first.reports.clone(),
        Some(file),
    )
    .unwrap();
    runner::start(&fast);
    let sent = fast.wait_until(|inner| inner.state.log.iter().any(|e| e.action == "callback_sent"));
    assert!(sent.await);
    assert_eq!(
        fast.lock()
            .state
            .log
            .iter()
            .filter(|e| e.action == "installed")
            .count(),
        1
    );
    fast.stop.cancel();
    fast.tasks.wait().await;
}

#[tokio::test]
async fn evidence_is_collected_once_and_a_device_may_fail_to_or_collect_too_much() {
    let stage = stage();
    let job = "p/1/evidence-all-0";
    let first = stage.report("evidence", "", job).await;
    let packed = stage.packed(job);
    assert_eq!(first.outcome, ScriptOutcome::Succeeded);
    assert!(packed.as_ref().is_some_and(|packed| packed.len() < 4096));
    assert_eq!(stage.report("evidence", "", job).await, first);
    assert_eq!(stage.packed(job), packed, "a repeat has the same evidence");
    assert_eq!(stage.count("evidence_taken"), 1);
    stage.faults(&json!({ "devices": { DEVICE: { "evidence_fails": true } } }));
    let failed = stage.report("evidence", "", "p/1/evidence-all-1").await;
    assert_eq!(failed.outcome, ScriptOutcome::Failed);
    stage.faults(&json!({ "devices": { DEVICE: { "evidence_too_large": true } } }));
    let job = "p/1/evidence-all-2";
    let refused = stage.report("evidence", "", job).await;
    assert_eq!(refused.outcome, ScriptOutcome::Failed);
    assert!(refused.log.contains("too large"), "{}", refused.log);
    assert_eq!(stage.report("evidence", "", job).await, refused);
}
