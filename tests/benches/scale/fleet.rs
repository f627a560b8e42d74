//! What is patched: one client, one update that needs a restart, five rings.

use autoops_tests::fleet::client;
use dev_server::sim::superops::FleetSpec;
use serde_json::{Value, json};

/// Needs a restart, so that a run has every step, and so that a scan follows each installation.
pub(crate) const KB: &str = "5034122";
pub(crate) const PLAN: &str = "scale";
/// Who approves.
pub(crate) const PERSON: &str = "lee";
const CLIENT: &str = "7000000001";
const FIRST_DEVICE: u64 = 4_100_000_000_000_000_001;
/// Simulated seconds between two patch scans that nothing has caused: none in a run.
const SCAN_SECS: u64 = 365 * 24 * 3600;
/// SuperOps tells times in whole seconds: a scan has to come later than that to be told apart from
/// the installation.
const SCAN_AFTER_REAL_SECS: f64 = 2.0;

pub(crate) fn devices(count: u32) -> Vec<String> {
    (0..u64::from(count))
        .map(|n| (FIRST_DEVICE + n).to_string())
        .collect()
}

pub(crate) fn fleet(devices: &[String], speed: f64) -> FleetSpec {
    let mut fleet = FleetSpec::small(0);
    fleet.timing.scan_interval_secs = SCAN_SECS;
    fleet.timing.scan_after_reboot_secs = (SCAN_AFTER_REAL_SECS * speed) as u64;
    fleet.clients = vec![client(CLIENT, "A large client".to_owned(), devices, KB)];
    fleet.check().unwrap();
    fleet
}

/// The input of the deployment: always open, no soak, one approval. The online snapshot is read
/// again every few seconds, as real devices take minutes where these take a second.
pub(crate) fn plan() -> Value {
    let gate = json!({ "soak_secs": 0 });
    let mut rings: Vec<Value> = [1, 9, 20, 30]
        .map(|p| json!({ "name": format!("{p} percent"), "percent": p, "gate": gate }))
        .into();
    rings.push(json!({ "name": "rest", "rest": true, "gate": gate }));
    json!({
        "id": PLAN, "client": CLIENT, "requested_by": "tim",
        "patches": [{ "kb": KB, "cves": ["CVE-2024-20666"] }], "devices": { "all": true },
        "rings": rings,
        "health": { "online_within_secs": 1800, "soak_secs": 0 },
        "approval": { "required": true, "quorum": 1, "timeout_secs": 3600 },
        "limits": { "max_in_flight": 50 },
        "waits": {
            "online_poll_secs": 1, "callback_secs": 30, "script_poll_secs": 10, "script_timeout_secs": 600,
            "verify_poll_secs": 2, "verify_secs": 600, "rescan_settle_secs": 0, "restart_grace_secs": 0,
            "lease_poll_secs": 1, "inventory_secs": 5, "straggler_poll_secs": 5, "max_wait_secs": 3600,
            "pause_poll_secs": 1, "call_secs": 10,
        },
    })
}
