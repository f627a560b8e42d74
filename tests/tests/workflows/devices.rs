//! What can happen on a device, and around the script that runs on it.

use autoops_tests::{FakeDevice, Install, Scan, Start, World, plan::KB, run, site};
use domain::{
    outcome::{DeploymentOutcome, DeviceOutcome},
    patch::PatchState,
    plan::PlanRequest,
    script::{ScriptMode, ScriptOutcome},
};
use jiff::Timestamp;

/// Deploys to one device and checks how that ends.
async fn one(
    name: &str,
    turn: impl FnOnce(&mut FakeDevice),
    change: impl FnOnce(&mut PlanRequest),
    expected: DeviceOutcome,
) -> std::sync::Arc<World> {
    let site = site().await;
    let world = World::new(site, name, 1);
    world.change(|m| turn(m.device("81")));
    let deployment = world.deploy(site, change).await;
    deployment.result().await;
    let row = world.read(|m| m.rows.values().next().cloned()).unwrap();
    assert_eq!(row.result.outcome, expected, "{:?}", row.result);
    world
}

fn impatient(request: &mut PlanRequest) {
    request.waits.callback_secs = 1;
    request.waits.script_timeout_secs = 3;
}

macro_rules! ends {
    ($($name:ident: $plan:literal, $turn:expr, $change:expr => $outcome:ident;)*) => {$(
        #[test]
        fn $name() {
            run(async { one($plan, $turn, $change, DeviceOutcome::$outcome).await; });
        }
    )*};
}

ends! {
    a_patch_that_is_there_already_is_not_installed: "already",
        |d| { d.patches.insert(KB.parse().unwrap(), PatchState::Installed); }, |_| {} => AlreadyInstalled;
    a_patch_that_a_newer_one_contains_is_superseded: "superseded",
        |d| d.install = Install::Ends(ScriptOutcome::Superseded), |_| {} => Superseded;
    a_patch_that_does_not_apply_is_a_result_of_its_own: "not-applicable",
        |d| d.install = Install::Ends(ScriptOutcome::NotApplicable), |_| {} => NotApplicable;
    a_failure_that_left_nothing_behind_counts_as_rolled_back: "clean-failure",
        |d| d.install = Install::Fails { installed: Some(false) }, |_| {} => RolledBack;
    a_restart_is_made_when_the_installer_asks: "restart",
        |d| d.needs_restart = true, |_| {} => Verified;
    a_stopped_service_is_rolled_back: "service-down",
        |d| d.stopped_service = Some("Spooler".to_owned()),
        |r| r.health.services = vec!["Spooler".to_owned()] => RolledBack;
    a_new_critical_alert_is_rolled_back: "alert",
        |d| d.alerts = vec!["91".to_owned()], |r| r.health.soak_secs = 1 => RolledBack;
    what_windows_refuses_to_remove_needs_a_human: "not-removable",
        |d| { d.alerts = vec!["91".to_owned()]; d.uninstall = ScriptOutcome::NotRemovable; }, |_| {} => NeedsHuman;
    a_device_that_never_comes_back_needs_a_human: "never-back",
        |d| { d.needs_restart = true; d.comes_back = false; },
        |r| { impatient(r); r.health.online_within_secs = 1; } => NeedsHuman;
    a_scan_that_says_missing_is_believed: "reported-missing",
        |d| d.scan = Scan::SaysMissing, |_| {} => ReportedMissing;
    without_a_scan_the_word_of_the_script_is_marked_as_such: "no-scan",
        |d| d.scan = Scan::Never, |r| r.waits.verify_secs = 1 => VerifiedByScript;
}

#[test]
fn an_unknown_patch_on_one_of_the_devices_does_not_apply_to_it() {
    run(async {
        let site = site().await;
        let world = World::new(site, "listed-by-one", 2);
        world.change(|m| m.device("82").patches.clear());
        let deployment = world.deploy(site, |_| {}).await;
        let result = deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::NotApplicable), 1);
    });
}

#[test]
fn an_ambiguous_start_waits_for_the_report_before_anything_else() {
    run(async {
        let ran = Start::AnswerLost { ran: true };
        let lost = |d: &mut FakeDevice| d.starts = [ran].into();
        let world = one("ambiguous-ran", lost, |_| {}, DeviceOutcome::Verified).await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 1);
    });
}

#[test]
fn an_ambiguous_start_that_left_no_trace_is_made_again_with_the_same_job() {
    run(async {
        let ran = Start::AnswerLost { ran: false };
        let lost = |d: &mut FakeDevice| d.starts = [ran].into();
        let world = one(
            "ambiguous-not-run",
            lost,
            impatient,
            DeviceOutcome::Verified,
        )
        .await;
        let jobs: Vec<_> = world.read(|m| {
            let installs = m.scripts.iter().filter(|s| s.mode == ScriptMode::Install);
            installs.map(|s| s.job.clone()).collect()
        });
        assert_eq!(jobs.len(), 2);
        assert_eq!(jobs[0], jobs[1]);
        assert!(world.read(|m| m.calls_of("superops.find_run") >= 1));
    });
}

#[test]
fn a_start_nobody_can_confirm_is_not_repeated_without_end() {
    run(async {
        let never = |d: &mut FakeDevice| d.starts = [Start::AnswerLost { ran: false }; 9].into();
        let world = one(
            "never-confirmed",
            never,
            impatient,
            DeviceOutcome::NeedsHuman,
        )
        .await;
        let installs: Vec<_> = world.read(|m| {
            let installs = m.scripts.iter().filter(|s| s.mode == ScriptMode::Install);
            installs.map(|s| s.not_after).collect()
        });
        assert_eq!(installs.len(), 3);
        // A device that was offline may take up the last one until then.
        assert!(installs[2] <= Timestamp::now());
    });
}

#[test]
fn a_lost_report_is_made_good_by_the_activity_row_and_the_scan() {
    run(async {
        let lost = |d: &mut FakeDevice| d.reports_get_lost = true;
        let world = one("report-lost", lost, impatient, DeviceOutcome::Verified).await;
        // It may be asked again, but only for the job it has done already.
        let jobs = world.read(|m| {
            let installs = m.scripts.iter().filter(|s| s.mode == ScriptMode::Install);
            installs
                .map(|s| s.job.to_string())
                .collect::<std::collections::BTreeSet<_>>()
        });
        assert_eq!(jobs.len(), 1, "{jobs:?}");
    });
}

#[test]
fn a_start_that_is_throttled_is_made_again() {
    run(async {
        let busy = |d: &mut FakeDevice| d.starts = [Start::Throttled].into();
        let world = one("throttled", busy, |_| {}, DeviceOutcome::Verified).await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 2);
    });
}
