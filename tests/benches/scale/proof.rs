//! That every device was patched once: by the simulator's own log and the audit trail.

use std::collections::BTreeMap;

use autoops_tests::{chain::whole_chain, ground::Ground};
use contracts::ids;
use serde_json::Value;

use crate::fleet::{KB, PLAN};

/// Checks all devices; returns how many script starts were sent again.
pub(crate) async fn prove(ground: &Ground, devices: &[String]) -> usize {
    let installed = ground.simulator_log("installed").await;
    assert!(
        installed.iter().all(|row| row["kb"] == KB),
        "another update was installed"
    );
    let by_device = count(&installed, "device");
    assert_eq!(by_device.len(), devices.len(), "devices with the update");
    for device in devices {
        assert_eq!(
            by_device.get(device.as_str()),
            Some(&1),
            "installations on {device}"
        );
    }
    let removed = ground.simulator_log("uninstalled").await;
    assert!(removed.is_empty(), "{removed:?}");
    let ran = ground.simulator_log("run_started").await;
    for (job, times) in count(&ran, "job_id") {
        assert_eq!(times, 1, "{job} ran more than once");
    }
    for device in devices {
        let chain = format!("device-patch/{PLAN}/{device}");
        let what = told(ground, &chain).await;
        assert_eq!(what, ["install_started", "device_verified"], "{chain}");
    }
    let chain = ids::patch_deployment(&PLAN.parse().unwrap());
    let what = told(ground, &chain).await;
    let times = |word: &str| what.iter().filter(|what| *what == word).count();
    assert_eq!(times("ring_opened"), 5, "{chain}");
    assert_eq!(times("deployment_finished"), 1, "{chain}");
    let accepted = ground.simulator_log("run_accepted").await;
    accepted.len() - count(&accepted, "job_id").len()
}

fn count<'a>(rows: &'a [Value], field: &str) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts
            .entry(row[field].as_str().unwrap_or_default())
            .or_default() += 1;
    }
    counts
}

/// Reads a chain; returns what it tells.
async fn told(ground: &Ground, chain: &str) -> Vec<String> {
    let entries = whole_chain(&ground.store, chain).await.into_iter();
    entries.map(|entry| entry.record.what).collect()
}
