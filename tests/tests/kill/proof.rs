//! That nothing was lost and nothing done twice: by the simulator's own log, the audit trail and the
//! store.

use std::{collections::BTreeMap, time::Duration};

use clients::store::LetterFilter;
use contracts::ids;
use domain::outcome::{DeploymentOutcome, DeviceOutcome};
use jiff::Timestamp;
use serde_json::Value;

use autoops_tests::{chain::whole_chain, ground::Ground};

use crate::{
    fleet::{Job, KB},
    rollout::Rollout,
};

/// What the simulator has seen, by action and device.
pub(crate) struct Seen(BTreeMap<&'static str, Vec<Value>>);

impl Seen {
    pub(crate) async fn by(ground: &Ground) -> Self {
        let mut seen = BTreeMap::new();
        for action in [
            "installed",
            "rebooting",
            "run_started",
            "run_accepted",
            "uninstalled",
        ] {
            seen.insert(action, ground.simulator_log(action).await);
        }
        Self(seen)
    }

    pub(crate) fn rows<'a>(
        &'a self,
        action: &str,
        device: &'a str,
    ) -> impl Iterator<Item = &'a Value> {
        let rows = self.0[action].iter();
        rows.filter(move |row| row["device"] == device)
    }

    /// Script starts that a device was sent more than once, because the answer to one was lost.
    pub(crate) fn repeated_starts(&self) -> usize {
        let mut starts = BTreeMap::<&str, usize>::new();
        for row in &self.0["run_accepted"] {
            *starts
                .entry(row["job_id"].as_str().unwrap_or_default())
                .or_default() += 1;
        }
        starts.values().map(|count| count - 1).sum()
    }
}

/// Checks a deployment that is over.
pub(crate) async fn prove(ground: &Ground, seen: &Seen, rollout: &Rollout) {
    let job = &rollout.job;
    let result = rollout.result(ground).await;
    assert_eq!(
        result.outcome,
        DeploymentOutcome::Verified,
        "{}: {result:?}",
        job.plan
    );
    let verified = result.counts.of(DeviceOutcome::Verified) as usize;
    assert_eq!(verified, job.devices.len(), "{}: {result:?}", job.plan);
    for device in &job.devices {
        devices_did_it_once(seen, device);
    }
    approvals_and_rings_count_once(ground, job).await;
    let attempts = store_is_tidy(ground, job, DeviceOutcome::Verified).await;
    assert!(attempts.iter().all(|attempt| *attempt == 1), "{attempts:?}");
}

fn devices_did_it_once(seen: &Seen, device: &str) {
    let installed: Vec<_> = seen.rows("installed", device).collect();
    assert_eq!(installed.len(), 1, "{device}: {installed:?}");
    assert_eq!(installed[0]["kb"], KB, "{device}");
    assert_eq!(seen.rows("uninstalled", device).count(), 0, "{device}");
    assert_eq!(seen.rows("rebooting", device).count(), 1, "{device}");
    jobs_ran_once(seen, device);
}

/// Checks that no script job of a device ran twice.
pub(crate) fn jobs_ran_once(seen: &Seen, device: &str) {
    let mut jobs: Vec<_> = seen
        .rows("run_started", device)
        .map(|row| row["job_id"].to_string())
        .collect();
    let all = jobs.len();
    jobs.sort_unstable();
    jobs.dedup();
    assert_eq!(jobs.len(), all, "{device}: a job ran twice: {jobs:?}");
}

async fn approvals_and_rings_count_once(ground: &Ground, job: &Job) {
    let chain = ids::patch_deployment(&job.plan.parse().unwrap());
    let entries = whole_chain(&ground.store, &chain).await;
    let times = |what: &str| {
        entries
            .iter()
            .filter(|entry| entry.record.what == what)
            .count()
    };
    let counted: Vec<_> = entries
        .iter()
        .filter(|entry| entry.record.what == "decision_counted")
        .map(|entry| serde_json::to_value(&entry.record.actor).unwrap()["name"].clone())
        .collect();
    assert_eq!(counted, job.people, "{chain}");
    // The repeats are told as what they are.
    let repeats = (job.sent as usize - 1) * job.people.len();
    assert!(times("decision_duplicate") >= repeats, "{chain}");
    assert_eq!(times("ring_opened"), job.rings(), "{chain}");
    for once in [
        "deployment_started",
        "plan_sealed",
        "approval_opened",
        "deployment_finished",
    ] {
        assert_eq!(times(once), 1, "{chain}: {once}");
    }
    for device in &job.devices {
        let chain = format!("device-patch/{}/{device}", job.plan);
        let entries = whole_chain(&ground.store, &chain).await;
        let what: Vec<_> = entries.iter().map(|e| e.record.what.as_str()).collect();
        assert_eq!(what, ["install_started", "device_verified"], "{chain}");
    }
}

/// Checks that each device has one row, which says how it ended, and that nothing is left over. Returns the
/// attempts of the rows, lowest first.
pub(crate) async fn store_is_tidy(ground: &Ground, job: &Job, ended: DeviceOutcome) -> Vec<u32> {
    let plan = job.plan.parse().unwrap();
    let executions = &ground.store.executions;
    let rows = executions.list_device_rows(&plan, None, None, 500).await;
    let rows = rows.unwrap().items;
    assert_eq!(rows.len(), job.devices.len(), "{plan}: {rows:?}");
    for row in &rows {
        assert_eq!(row.result.outcome, ended, "{plan}: {row:?}");
    }
    let mut attempts: Vec<_> = rows.iter().map(|row| row.attempt).collect();
    attempts.sort_unstable();
    let status = executions.get_status(&plan).await.unwrap().unwrap();
    assert!(
        !status.needs_approval && status.rings.iter().all(|ring| ring.in_flight == 0),
        "{plan}: {status:?}"
    );
    let letters = executions
        .list_dead_letters(&LetterFilter::default(), None, 500)
        .await
        .unwrap()
        .items;
    let letters: Vec<_> = letters
        .iter()
        .filter(|letter| letter.workflow_id.contains(&format!("/{plan}")))
        .collect();
    assert!(letters.is_empty(), "{plan}: {letters:?}");
    for device in &job.devices {
        let device = device.parse().unwrap();
        let inventory = &ground.store.inventory;
        let lease = inventory
            .acquire_lease(&device, "kill", Duration::from_secs(1), Timestamp::now())
            .await
            .unwrap();
        let free = matches!(lease, clients::store::Lease::Held { .. });
        assert!(free, "{plan}: {lease:?}");
        inventory.release_lease(&device, "kill").await.unwrap();
    }
    attempts
}
