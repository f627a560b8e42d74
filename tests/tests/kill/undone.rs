//! The worker dies again and again while a deployment is undone on all its devices: each update is removed once.

use std::time::Duration;

use autoops_tests::{chain::whole_chain, ground::Memory};
use contracts::ids;
use domain::outcome::{DeploymentOutcome, DeviceOutcome};
use serde_json::json;

use crate::{
    effort::{Dice, Effort, Machine},
    field::Field,
    fleet::{Job, OTHER_KB},
    proof::{Seen, jobs_ran_once, store_is_tidy},
};

/// Most events between two kills.
const FAR: u64 = 60;
const FIRST: &str = "7000000001001";
const SECOND: &str = "7000000001002";
const LONGEST: Duration = Duration::from_secs(240);

#[test]
fn a_worker_killed_at_any_moment_of_a_rollback_removes_each_update_once() {
    let _shared = Machine::shared(1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let effort = Effort::of_this_run();
        let mut dice = Dice(effort.seed);
        // The third device fails alone in its ring, and the two of the ring before are undone with it.
        let mut job = Job::lied_to("undone", 0, 3, |plan| {
            plan["health"]["services"] = json!(["Spooler"]);
            plan["rollback"] = json!({ "scope": "all_devices" });
            let last = plan["rings"][0].clone();
            let mut first = json!({ "name": "first", "devices": [FIRST, SECOND] });
            first["gate"] = last["gate"].clone();
            plan["rings"] = json!([first, last]);
        });
        assert_eq!(job.devices[..2], [FIRST, SECOND]);
        job.kb = OTHER_KB;
        let mut field =
            Field::start(vec![job.clone()], Memory::None, LONGEST * effort.patience).await;
        // Nothing is installed before it is approved.
        let whom = json!({ "devices": job.devices, "kb": job.kb });
        field.ground.play("breaks_every_third", &whom).await;
        let kills = field.kill_now_and_then(&mut dice, FAR, effort.kills).await;
        let seen = Seen::by(&field.ground).await;
        let result = field.rollouts[0].result(&field.ground).await;
        assert_eq!(result.outcome, DeploymentOutcome::RolledBack, "{result:?}");
        for device in &job.devices {
            for action in ["installed", "uninstalled"] {
                let rows: Vec<_> = seen.rows(action, device).collect();
                assert_eq!(rows.len(), 1, "{device}: {rows:?}");
            }
            jobs_ran_once(&seen, device);
        }
        // A rollback counts as an attempt after the one that it undoes.
        let attempts = store_is_tidy(&field.ground, &job, DeviceOutcome::RolledBack).await;
        assert_eq!(attempts, [1, 2, 2]);
        let chain = ids::patch_deployment(&job.plan.parse().unwrap());
        let entries = whole_chain(&field.ground.store, &chain).await;
        for once in ["rollback_started", "deployment_finished"] {
            let entries = entries.iter().filter(|entry| entry.record.what == once);
            assert_eq!(entries.count(), 1, "{once}");
        }
        assert!(kills >= 8, "it was over after {kills} kills");
        let table = format!(
            "| Seed | Devices | Events | Kills | Script starts sent again | Seconds |\n\
             | ---: | ---: | ---: | ---: | ---: | ---: |\n| {} | 3 | {} | {kills} | {} | {} |\n",
            effort.seed,
            field.events(),
            seen.repeated_starts(),
            field.begin.elapsed().as_secs()
        );
        autoops_tests::report::written("kills-undone", &table);
        field.ground.stop().await;
    });
}
