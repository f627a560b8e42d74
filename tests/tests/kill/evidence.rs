//! Evidence on the whole system: the real worker is killed while it is taken, one device collects more
//! than is taken, and what is kept is what the audit trail says.

use std::time::{Duration, Instant};

use autoops_tests::{
    chain::whole_chain,
    ground::{Ground, Memory},
};
use clients::{evidence::EvidenceRoom, objects::ObjectKey};
use domain::{
    evidence::{EvidenceDocument, STORED, StoredEvidence},
    outcome::DeviceOutcome as D,
};
use serde_json::{Value, json};

use crate::{
    effort::Machine,
    fleet::{Job, SPEED, fleet},
    lies::{approved_to_its_end, waits_for_people},
};

const LONGEST: Duration = Duration::from_secs(240);
const LOOK: Duration = Duration::from_millis(100);

/// When the simulator did something on a device, each time.
async fn times(ground: &Ground, action: &str, device: &str) -> Vec<String> {
    let log = ground.simulator_log(action).await;
    let of = log.iter().filter(|row| row["device"] == device);
    of.map(|row| row["at"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn evidence_is_kept_before_the_installation_though_the_worker_dies() {
    let _shared = Machine::shared(1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let required = |plan: &mut Value| {
            plan["evidence"] = json!("required");
            plan["waits"]["evidence_decision_secs"] = json!(1);
            plan["rings"] =
                json!([{ "name": "all", "rest": true, "gate": { "success_percent": 0, "soak_secs": 0 } }]);
        };
        let job = Job::lied_to("evidence", 0, 2, required);
        let mut ground =
            Ground::start(fleet(std::slice::from_ref(&job)), SPEED, Memory::None).await;
        let rollout = waits_for_people(&ground, job.clone(), LONGEST).await;
        let (good, large) = (&job.devices[0], &job.devices[1]);
        let trouble = json!({ "devices": { large: { "evidence_too_large": true } } });
        ground.trouble(&trouble).await;
        let mut rollout = rollout;
        rollout.approve_if_asked(&ground).await;
        let begin = Instant::now();
        while times(&ground, "evidence_taken", good).await.is_empty() {
            assert!(begin.elapsed() < LONGEST, "{}", ground.log_tail());
            tokio::time::sleep(LOOK).await;
        }
        ground.kill_worker().await;
        ground.start_worker();
        let rollout = approved_to_its_end(&ground, rollout, LONGEST).await;
        let result = rollout.result(&ground).await;
        assert_eq!(
            (result.counts.of(D::Verified), result.counts.of(D::NeedsHuman)),
            (1, 1),
            "{result:?}"
        );

        let taken = times(&ground, "evidence_taken", good).await;
        let installed = times(&ground, "installed", good).await;
        assert_eq!((taken.len(), installed.len()), (1, 1));
        assert!(taken[0] <= installed[0], "{taken:?} {installed:?}");
        assert!(times(&ground, "installed", large).await.is_empty());

        let (client, plan) = (job.client.parse().unwrap(), job.plan.parse().unwrap());
        let below = ObjectKey::evidence_of(&client, &plan).unwrap();
        let keys = ground.objects.list(&below).await.unwrap();
        assert_eq!(keys.len(), 1, "{keys:?}");
        let chain = whole_chain(&ground.store, &format!("device-patch/{plan}/{good}")).await;
        let stored = chain.iter().filter(|entry| entry.record.what == STORED);
        let stored: Vec<_> = stored
            .map(|entry| StoredEvidence::of_record(&entry.record).unwrap())
            .collect();
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].key, keys[0].as_str());
        // Compares the hash.
        let room = EvidenceRoom::new(ground.store.clone(), ground.objects.clone());
        let bytes = room.fetch(&stored[0]).await.unwrap();
        assert_eq!(stored[0].bytes, bytes.len() as u64);
        let job = format!("{plan}/{good}/evidence-all-0").parse().unwrap();
        EvidenceDocument::read(&bytes, &job, &good.parse().unwrap()).unwrap();
        ground.stop().await;
    });
}
