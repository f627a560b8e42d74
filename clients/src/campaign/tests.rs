use std::collections::BTreeSet;

use domain::{
    device::Platform,
    patch::{PatchFacts, Severity},
    vulnerability::cvrf::Update,
};
use jiff::Timestamp;

use super::*;

fn kb(number: u32) -> KbId {
    number.to_string().parse().unwrap()
}

fn client() -> ClientId {
    "7".parse().unwrap()
}

/// A device that misses one update and has others.
async fn device(store: &Store, number: u32, missing: u32, installed: &[u32]) -> DeviceId {
    let (id, at): (DeviceId, _) = (
        format!("{number:05}").parse().unwrap(),
        Timestamp::UNIX_EPOCH,
    );
    let platform = Platform::WindowsWorkstation;
    let device = Device::new(id.clone(), client(), platform, BTreeSet::new(), at);
    store.inventory.put_devices(&[device]).await.unwrap();
    let list = PatchList {
        device: id.clone(),
        client: client(),
        read_at: at,
        missing: vec![PatchFacts {
            kb: kb(missing),
            title: "an update".to_owned(),
            severity: Severity::Critical,
            category: "Security Updates".to_owned(),
            published: None,
            restart_required: None,
            cves: vec![],
        }],
        installed: installed.iter().map(|number| kb(*number)).collect(),
    };
    store.inventory.put_patch_page(list, 1, true).await.unwrap();
    id
}

#[tokio::test]
async fn of_what_is_installed_only_the_ends_of_chains_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::embedded(&folder.path().join("store.db")).unwrap();
    let replaces = [(5_000_003, 5_000_002), (5_000_002, 5_000_001)];
    let updates = replaces.map(|(newer, older)| Update {
        kb: kb(newer),
        cves: BTreeSet::new(),
        supersedes: [kb(older)].into(),
        restart: None,
        published: None,
    });
    store
        .vulnerabilities
        .merge_updates(updates.into())
        .await
        .unwrap();
    // On the first page of devices nothing leads to the chain.
    for number in 0..200 {
        device(&store, number, 5_000_009, &[5_000_001, 4_900_000]).await;
    }
    // The oldest of the chain is named by the one before it, and known by nothing else.
    let last = device(&store, 90_000, 5_000_003, &[5_000_001, 4_900_000]).await;
    let facts = gather(&store, &client()).await.unwrap();
    assert_eq!(facts.devices.len(), 201);
    assert_eq!(facts.lists[&last].installed, [kb(5_000_001)].into());
    let first = &facts.lists[&facts.devices[0].id];
    assert_eq!(first.installed, BTreeSet::new());
    let verdicts: Vec<&KbId> = facts.ledger.keys().collect();
    assert_eq!(verdicts, [&kb(5_000_003), &kb(5_000_009)]);
    assert!(
        facts
            .ledger
            .values()
            .all(|verdict| verdict.as_str() == "go")
    );
}
