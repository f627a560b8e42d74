//! Whose campaign it is: one client with the devices of the demo, again and again, and facts about
//! their updates as the sources give them.

use std::collections::BTreeSet;

use clients::store::Store;
use dev_server::sim::superops::{ClientSpec, FleetSpec, PatchSpec, SiteSpec};
use domain::{
    ids::{CveId, KbId},
    vulnerability::{
        cvrf::Update,
        record::{Said, Source, VulnerabilityRecord},
    },
};
use jiff::Timestamp;

pub(crate) const CLIENT: &str = "7000000001";
const SITE: &str = "7000000001000";
const FIRST_DEVICE: u64 = 4_100_000_000_000_000_001;
/// Old updates that are installed on each device; with what is missing a page of a patch list.
const OLD: u32 = 60;
/// Vulnerabilities that a cumulative update closes, as those of Windows do.
const CLOSED: u32 = 80;
const VECTORS: [&str; 2] = [
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H",
];

pub(crate) fn fleet(count: u32) -> FleetSpec {
    let mut fleet = FleetSpec::demo();
    let models: Vec<_> = fleet
        .clients
        .iter()
        .flat_map(|c| c.devices.clone())
        .collect();
    let old: Vec<String> = (0..OLD).map(|n| (4_900_000 + n).to_string()).collect();
    fleet.patches.extend(old.iter().map(|kb| PatchSpec {
        kb: kb.clone(),
        title: format!("Security Update for Microsoft Windows (KB{kb})"),
        category: "Security Updates".to_owned(),
        severity: "Important".to_owned(),
        published: "2023-06-13".to_owned(),
        restart_required: false,
        superseded_by: None,
    }));
    let devices = (0..u64::from(count)).zip(models.iter().cycle());
    let devices = devices.map(|(n, model)| {
        let mut device = model.clone();
        device.id = (FIRST_DEVICE + n).to_string();
        device.name = format!("PC-{n:05}");
        device.site = SITE.to_owned();
        device.installed.extend(old.iter().cloned());
        device
    });
    fleet.clients = vec![ClientSpec {
        id: CLIENT.to_owned(),
        name: "A large client".to_owned(),
        devices: devices.collect(),
        sites: vec![SiteSpec {
            id: SITE.to_owned(),
            name: "HQ".to_owned(),
            timezone_code: "Etc/UTC".to_owned(),
        }],
    }];
    fleet.check().unwrap();
    fleet
}

/// Puts facts about each cumulative update into the store, as reading the sources would.
pub(crate) async fn facts(store: &Store, patches: &[PatchSpec]) {
    let kb = |text: &str| text.parse::<KbId>().unwrap();
    let (mut updates, mut records) = (Vec::new(), Vec::new());
    for (at, patch) in (0..).zip(patches.iter().filter(|patch| patch.restart_required)) {
        let cves = (0..CLOSED).map(|n| format!("CVE-2024-{}", 60_000 + at * CLOSED + n));
        let cves: BTreeSet<CveId> = cves.map(|id| id.parse().unwrap()).collect();
        records.extend((0_usize..).zip(&cves).map(|(n, id)| {
            let mut record = VulnerabilityRecord::new(id.clone());
            record.vector.say(Said {
                value: VECTORS[n % VECTORS.len()].to_owned(),
                source: Source::Cna,
                at: Timestamp::now(),
                because: None,
            });
            record
        }));
        let replaced = patches.iter();
        let replaced = replaced.filter(|old| old.superseded_by.as_ref() == Some(&patch.kb));
        updates.push(Update {
            kb: kb(&patch.kb),
            cves,
            supersedes: replaced.map(|old| kb(&old.kb)).collect(),
            restart: Some(true),
            published: patch.published.parse().ok(),
        });
    }
    let facts = &store.vulnerabilities;
    facts.merge_vulnerabilities(records).await.unwrap();
    facts.merge_updates(updates).await.unwrap();
}
