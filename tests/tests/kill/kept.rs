//! What deployments leave behind beside their rows and chains: the ledger of bad patches, announcements to
//! triage, leases.

use std::time::Duration;

use autoops_tests::{chain::whole_chain, ground::Ground};
use clients::{
    ledger::{Ledger, chain_of},
    store::Lease,
};
use domain::ids::DeviceId;
use jiff::Timestamp;

use crate::fleet::{Job, KB};

/// Long enough to see who has a lease.
const LOOK: Duration = Duration::from_secs(1);

/// What is announced of the devices of a deployment, and who still has them.
pub(crate) async fn of_devices(ground: &Ground, job: &Job) -> Vec<String> {
    let devices = job.devices.iter().map(|device| device.parse().unwrap());
    let devices: Vec<DeviceId> = devices.collect();
    let announced = ground.store.alerts.get_expectations(&devices).await;
    let announced = announced.unwrap();
    let mut left: Vec<_> = announced
        .iter()
        .map(|wave| {
            format!(
                "announced {} of {} attempt {}: {:?} {:?}",
                wave.plan, wave.device, wave.attempt, wave.kbs, wave.symptoms
            )
        })
        .collect();
    for device in &devices {
        let lease = ground
            .store
            .inventory
            .acquire_lease(device, "nobody", LOOK, Timestamp::now());
        left.push(match lease.await.unwrap() {
            Lease::Held { .. } => format!("lease of {device} is free"),
            Lease::HeldBy { owner, .. } => format!("lease of {device}: {owner}"),
        });
    }
    left
}

/// What was counted of the update, and what that led to.
pub(crate) async fn in_the_ledger(ground: &Ground) -> Vec<String> {
    let kb = KB.parse().unwrap();
    let page = Ledger::new(&ground.store).page(&kb).await.unwrap();
    assert!(page.all.good > 0 && page.all.bad > 0, "{page:?}");
    let mut left = vec![format!(
        "ledger of {kb}, epoch {}: all {:?}, builds {:?}, stopped {:?}",
        page.epoch, page.all, page.builds, page.stopped
    )];
    let chain = chain_of(&kb);
    let entries = whole_chain(&ground.store, &chain).await;
    left.extend(
        entries
            .iter()
            .map(|entry| format!("{chain} {} {:?}", entry.record.what, entry.record.actor)),
    );
    left
}
