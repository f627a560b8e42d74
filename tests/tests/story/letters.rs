//! Devices that need a person, from the letter to the repaired and patched device.

use serde_json::{Value, json};

use crate::dev::{Dev, PATIENCE};

const DEVICE: &str = "4100000000000000003";
const OTHER: &str = "4100000000000000004";
const PLAN: &str = "for-a-person";

/// Waits of this story are short: what is waited for here never comes.
fn plan(dev: &Dev, id: &str, devices: &[&str]) -> String {
    let plan = json!({
        "id": id, "client": "7000000000000000001", "requested_by": "tim",
        "patches": [{ "kb": "KB5034441" }],
        "devices": { "ids": devices },
        "rings": [{ "name": "all", "rest": true, "gate": { "success_percent": 0, "soak_secs": 0 } }],
        "health": { "online_within_secs": 60, "soak_secs": 0 },
        "approval": { "required": true },
        "waits": {
            "online_poll_secs": 1, "callback_secs": 1, "script_poll_secs": 1, "script_timeout_secs": 30,
            "verify_poll_secs": 1, "verify_secs": 4, "rescan_settle_secs": 0, "lease_poll_secs": 1,
            "inventory_secs": 2, "restart_grace_secs": 1,
        },
    });
    let path = dev.folder().join(format!("{id}.json"));
    std::fs::write(&path, plan.to_string()).unwrap();
    path.display().to_string()
}

fn letters(dev: &Dev, more: &[&str]) -> Vec<Value> {
    let args = [&["dead-letters", "list", "--json"], more].concat();
    let text = dev.autoops(&args).succeeds();
    serde_json::from_str(&text).unwrap()
}

fn id_of(letters: &[Value], device: &str) -> String {
    let letter = letters.iter().find(|letter| letter["device"] == device);
    letter.unwrap()["id"].as_str().unwrap().to_owned()
}

fn installed(dev: &Dev, device: &str) -> usize {
    let log = dev.simulator_log("installed");
    log.iter().filter(|row| row.contains(device)).count()
}

/// Runs a plan whose devices all need a person, and lists them.
fn ends_with_letters(dev: &Dev, id: &str, devices: &[&str]) -> Vec<Value> {
    dev.autoops(&["patch", "start", "--plan", &plan(dev, id, devices)])
        .succeeds();
    dev.autoops(&["approve", id, "--by", "dana"]).succeeds();
    dev.autoops_for(&["wait", id], PATIENCE).fails_with(4);
    letters(dev, &["--kind", "device-needs-human"])
}

/// Nothing is approved by retrying, and the update is as often on the device as before; then it runs to its
/// good end.
fn approved_and_verified(dev: &Dev, retried: &str, device: &str, before: usize) {
    dev.until("the retry waits for an approval", || {
        dev.autoops(&["list", "--needs-approval"])
            .succeeds()
            .contains(retried)
    });
    assert_eq!(installed(dev, device), before);
    dev.autoops(&["approve", retried, "--by", "dana"])
        .succeeds();
    let device = format!("devices/{device}");
    dev.until("the retry has ended", || {
        dev.change_simulator(&device, &json!({ "scan_now": true }));
        let status = dev.autoops(&["status", retried, "--json"]).succeeds();
        let status: Value = serde_json::from_str(&status).unwrap();
        status["stage"] == "done"
    });
    let ended = dev.autoops_for(&["wait", retried], PATIENCE).succeeds();
    assert!(ended.contains("verified"), "{ended}");
}

/// A script installs, and nobody hears of it: the retry finds what is there.
pub(crate) fn are_retried_without_doing_anything_twice(dev: &Dev) {
    let whom = json!({ "devices": [OTHER] });
    // A scan that comes by chance would prove the installation.
    for scenario in ["silent_scripts", "stale_scans"] {
        dev.change_simulator(&format!("scenarios/{scenario}"), &whom);
    }
    let open = ends_with_letters(dev, "unheard", &[OTHER]);
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(installed(dev, OTHER), 1);
    let calm = json!({ "drop_callbacks": { "devices": [] }, "stale_scans": [] });
    dev.change_simulator("faults", &calm);
    let retry = [
        "dead-letters",
        "retry",
        &id_of(&open, OTHER),
        "--by",
        "tim",
        "--json",
    ];
    let retry: Value = serde_json::from_str(&dev.autoops(&retry).succeeds()).unwrap();
    approved_and_verified(dev, retry["plan"].as_str().unwrap(), OTHER, 1);
    assert_eq!(installed(dev, OTHER), 1, "not a second time");
    assert!(letters(dev, &[]).is_empty());
}

pub(crate) fn are_listed_retried_and_dropped(dev: &Dev) {
    // Nothing is started, and SuperOps does not say so.
    let lost = json!({ "ambiguous_writes": { "count": 100_000, "applied": false } });
    dev.change_simulator("faults", &lost);
    let open = ends_with_letters(dev, PLAN, &[DEVICE, OTHER]);
    assert_eq!(open.len(), 2, "{open:?}");
    let (id, other) = (id_of(&open, DEVICE), id_of(&open, OTHER));
    let table = dev.autoops(&["dead-letters", "list"]).succeeds();
    assert!(table.contains(&id) && table.contains(&other), "{table}");
    let shown = dev.autoops(&["dead-letters", "show", &id]).succeeds();
    for part in [
        &format!("device-patch/{PLAN}/{DEVICE}"),
        "cause: ",
        "/install-5034441-0",
        "KB5034441",
    ] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }

    let gone = [
        "dead-letters",
        "drop",
        &other,
        "--reason",
        "sent to the dump",
    ];
    let by = |who: &'static str| [&gone[..], &["--by", who]].concat();
    let refused = dev.autoops(&by("vic")).fails_with(1);
    assert!(refused.contains("needs the role technician"), "{refused}");
    dev.autoops(&by("tim")).succeeds();
    let late = dev.autoops(&by("dana")).fails_with(1);
    assert!(late.contains("dropped by tim"), "{late}");
    let unknown = dev
        .autoops(&["dead-letters", "show", "0123456789ab"])
        .fails_with(1);
    assert!(
        unknown.contains("no dead letter `0123456789ab`"),
        "{unknown}"
    );

    dev.change_simulator("faults", &json!({ "ambiguous_writes": null }));
    let retry = |who| dev.autoops(&["dead-letters", "retry", &id, "--by", who, "--json"]);
    let first: Value = serde_json::from_str(&retry("tim").succeeds()).unwrap();
    assert_eq!(first["started"], true);
    let retried = first["plan"].as_str().unwrap();
    assert!(retry("tim").succeeds().contains(retried));
    let second = retry("dana").fails_with(1);
    assert!(
        second.contains("by tim") && second.contains(retried),
        "{second}"
    );
    assert!(letters(dev, &[]).is_empty());
    assert_eq!(letters(dev, &["--all"]).len(), 2);

    approved_and_verified(dev, retried, DEVICE, 0);
    assert_eq!((installed(dev, DEVICE), installed(dev, OTHER)), (1, 0));
    let trail = dev.autoops(&["audit", "show", PLAN]).succeeds();
    assert!(
        trail.contains("dead letter retried") && trail.contains("dead letter dropped"),
        "{trail}"
    );
    dev.autoops(&["audit", "verify"]).succeeds();
}
