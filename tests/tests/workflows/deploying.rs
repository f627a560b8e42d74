//! Step 5 and on: rings, gates, pauses, ends.

use autoops_tests::{World, plan, run, site};
use domain::outcome::{DeploymentOutcome, DeviceOutcome};

#[test]
fn three_rings_are_patched_one_after_the_other_and_verified() {
    run(async {
        let site = site().await;
        let world = World::new(site, "three-rings", 6);
        let deployment = world
            .deploy(site, |r| {
                r.rings = vec![plan::ring("canary", 1), plan::ring("early", 2), plan::ring("rest", 3)];
            })
            .await;
        let result = deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 6);
    });
}
