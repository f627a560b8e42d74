//! The README's story, driven through the real programs: `autoops-dev` with its worker and
//! simulators, `autoops`, and the temporal command line.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "story/campaign.rs"]
mod campaign;
#[path = "story/dev.rs"]
mod dev;
#[path = "story/letters.rs"]
mod letters;
#[path = "story/readme.rs"]
mod readme;
#[path = "story/storm.rs"]
mod storm;

use dev::{Dev, PATIENCE};
use dev_server::aws_local;

/// Replaces the id of the example plan, which may be started once only.
fn plan_with_id(dev: &Dev, id: &str) -> String {
    let text = std::fs::read_to_string(dev::example_plan()).unwrap();
    let changed: Vec<_> = text
        .lines()
        .map(|l| {
            if l.starts_with("id:") {
                format!("id: {id}")
            } else {
                l.to_owned()
            }
        })
        .collect();
    let path = dev.folder().join(format!("{id}.yaml"));
    std::fs::write(&path, changed.join("\n")).unwrap();
    path.display().to_string()
}

#[test]
fn the_readme_is_followed_from_the_first_plan_to_the_last() {
    let dev = Dev::start("readme");
    let asked_about = |plan: &str| {
        dev.until("the plan is listed as waiting for approval", || {
            dev.autoops(&["list", "--needs-approval"])
                .succeeds()
                .contains(plan)
        });
    };

    let [start, approve, wait, again, audit] =
        readme::blocks("## What you will see: the first deployment");
    dev.follow(&start);
    asked_about("first-plan");
    // Before the approval nothing is touched.
    assert_eq!(dev.simulator_log("installed").len(), 0);
    dev.follow(&approve);
    let waited = dev.follow(&wait);
    assert_eq!(
        waited.matches("4100000000000000").count(),
        12,
        "a row per device:\n{waited}"
    );
    assert!(waited.contains("\n0\n"), "{waited}");
    let installed = dev.simulator_log("installed");
    assert_eq!(
        installed.len(),
        24,
        "two updates on twelve devices, once each"
    );
    dev.follow(&again);
    let audit = dev.follow(&audit);
    for step in [
        "plan sealed",
        "approval opened",
        "decision counted",
        "gate opened",
        "deployment finished",
    ] {
        assert!(audit.contains(step), "{step} is missing:\n{audit}");
    }
    assert!(
        audit.contains("dana") && audit.contains("claimed"),
        "{audit}"
    );
    assert!(
        audit.contains("every chain and every seal holds"),
        "{audit}"
    );

    let [look, stop, approve] = readme::blocks("### More to try");
    assert!(dev.follow(&look).contains("first-plan"));
    dev.follow(&stop);
    dev.follow(&approve);

    let [start, approve] = readme::blocks("### With the `temporal` CLI alone");
    dev.follow(&start);
    asked_about("by-hand");
    let result = dev.follow(&approve);
    assert!(result.contains("verified"), "{result}");
    dev.stop();
}

#[test]
fn a_deployment_goes_on_after_everything_was_stopped_in_the_middle() {
    goes_on_after_everything_was_stopped(Dev::start("resume"));
}

#[test]
fn a_deployment_goes_on_with_its_records_in_dynamodb() {
    if aws_local::is_skipped() {
        return;
    }
    let dev = Dev::start_with("dynamodb", &["--store", "aws-local"]);
    goes_on_after_everything_was_stopped(dev);
}

fn goes_on_after_everything_was_stopped(dev: Dev) {
    let plan = plan_with_id(&dev, "resumed-plan");
    dev.autoops(&["patch", "start", "--plan", &plan]).succeeds();
    dev.autoops(&["approve", "resumed-plan", "--by", "dana"])
        .succeeds();
    dev.until("a device has been installed", || {
        !dev.simulator_log("installed").is_empty()
    });

    let dev = dev.restart();
    let waited = dev
        .autoops_for(&["wait", "resumed-plan", "--json"], PATIENCE)
        .succeeds();
    assert!(waited.contains("verified"), "{waited}");
    let mut installed = dev.simulator_log("installed");
    let all = installed.len();
    installed.sort();
    installed.dedup();
    assert_eq!(
        (installed.len(), all),
        (24, 24),
        "each update once per device"
    );
    let today = &jiff::Timestamp::now().to_string()[..10];
    let sealed = dev.autoops(&["audit", "seal", "--through", today]);
    assert!(sealed.succeeds().contains("seal 1 until"));
    let verified = dev.autoops(&["audit", "verify"]).succeeds();
    assert!(
        verified.contains("checked 1 seals") && verified.contains("every seal holds"),
        "{verified}"
    );
    dev.stop();
}

#[test]
fn superops_goes_down_in_the_middle_and_no_device_fails() {
    let dev = Dev::start("outage");
    dev.autoops(&["health"]).succeeds();
    let plan = plan_with_id(&dev, "outage-plan");
    dev.autoops(&["patch", "start", "--plan", &plan]).succeeds();
    dev.until("the plan waits for approval", || {
        dev.autoops(&["list", "--needs-approval"])
            .succeeds()
            .contains("outage-plan")
    });
    // Five failures open the breaker, the first probe fails, the second one is answered.
    let down = serde_json::json!({ "fail_next": { "count": 6, "with": "http500" } });
    dev.change_simulator("faults", &down);
    dev.autoops(&["approve", "outage-plan", "--by", "dana"])
        .succeeds();
    dev.until("health says that superops is away", || {
        let (status, told) = dev.autoops(&["health"]).ends();
        status == Some(1)
            && told.contains("error: superops does not answer")
            && told.contains("HTTP 500")
    });
    let waited = dev
        .autoops_for(&["wait", "outage-plan", "--json"], PATIENCE)
        .succeeds();
    assert!(waited.contains("verified"), "{waited}");
    let health = dev.autoops(&["health", "--json"]).succeeds();
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    assert_eq!(health["healthy"], true, "{health}");
    assert_eq!(health["upstreams"][0]["name"], "superops", "{health}");
    assert_eq!(health["upstreams"][0]["state"], "closed", "{health}");
    dev.stop();
}

#[test]
fn what_cannot_be_done_is_said_in_one_clear_line_and_what_needs_a_person_is_listed() {
    let dev = Dev::start("refused");
    let start = [
        "patch",
        "start",
        "--client",
        "7000000000000000001",
        "--tag",
        "pilot",
        "--requested-by",
        "tim",
    ];
    let with = |extra: &[&'static str]| [&start[..], extra].concat();

    let unknown_kb = dev
        .autoops(&with(&["--kb", "KB9999999", "--id", "unknown-kb"]))
        .fails_with(1);
    assert!(
        unknown_kb.contains("patches[0].kb") && unknown_kb.contains("KB9999999"),
        "{unknown_kb}"
    );
    let unknown_device = dev
        .autoops(&with(&[
            "--kb",
            "KB5034441",
            "--device",
            "4199999999999999999",
            "--id",
            "unknown-device",
        ]))
        .fails_with(1);
    assert!(
        unknown_device.contains("devices.ids[0]"),
        "{unknown_device}"
    );
    let rejected_by_hand =
        r#"{"client":"7000000000000000001","patches":[],"devices":{"tags":["pilot"]}}"#;
    dev.temporal(&[
        "workflow",
        "start",
        "--type",
        "PatchDeployment",
        "--task-queue",
        "autoops",
        "--workflow-id",
        "patch-deployment/by-hand",
        "--input",
        rejected_by_hand,
    ])
    .succeeds();
    let by_hand = dev
        .autoops_for(&["wait", "by-hand"], PATIENCE)
        .fails_with(1);
    assert!(by_hand.contains("patches"), "{by_hand}");

    let plan = plan_with_id(&dev, "turned-down");
    dev.autoops(&["patch", "start", "--plan", &plan]).succeeds();
    let not_allowed = dev
        .autoops(&["approve", "turned-down", "--by", "vic"])
        .fails_with(1);
    assert!(
        not_allowed.contains("vic") || not_allowed.contains("role"),
        "{not_allowed}"
    );
    dev.autoops(&[
        "reject",
        "turned-down",
        "--by",
        "dana",
        "--reason",
        "not this week",
    ])
    .succeeds();
    dev.autoops_for(&["wait", "turned-down"], PATIENCE)
        .fails_with(2);

    let nowhere = dev
        .autoops_at("127.0.0.1:9", &["status", "turned-down", "--live"])
        .fails_with(1);
    assert!(
        nowhere.contains("no Temporal server") && !nowhere.contains("panicked"),
        "{nowhere}"
    );
    letters::are_listed_retried_and_dropped(&dev);
    letters::are_retried_without_doing_anything_twice(&dev);
    dev.stop();
}
