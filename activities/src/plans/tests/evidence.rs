//! Which devices of a plan evidence is taken of first.

use domain::{
    campaign::PatchList,
    evidence::StoredEvidence,
    ids::{CveId, KbId},
    vulnerability::{
        cvrf::Update,
        deadline::{Automatable, TechnicalImpact},
        record::{Exploited, Said, Source, VulnerabilityRecord},
    },
};

use super::*;

const KB: &str = "KB5034441";

fn said<T>(value: T, source: Source) -> Said<T> {
    Said {
        value,
        source,
        at: Timestamp::UNIX_EPOCH,
        because: None,
    }
}

/// The update closes something that is exploited and gives full control, but has no script that hits
/// every target: where it cannot be reached from the internet it asks for no evidence.
async fn exploited(world: &World) {
    let cve: CveId = "CVE-2026-0003".parse().unwrap();
    let mut record = VulnerabilityRecord::new(cve.clone());
    record.automatable.say(said(Automatable::No, Source::Cna));
    record.impact.say(said(TechnicalImpact::Total, Source::Cna));
    let listed = Exploited {
        listed: true,
        since: None,
        due: None,
        ransomware: false,
    };
    record.exploited.say(said(listed, Source::Kev));
    let update = Update {
        kb: KB.parse().unwrap(),
        cves: [cve].into(),
        supersedes: std::collections::BTreeSet::new(),
        restart: None,
        published: None,
    };
    let facts = &world.deps.store.vulnerabilities;
    facts.merge_vulnerabilities(vec![record]).await.unwrap();
    facts.merge_updates(vec![update]).await.unwrap();
}

/// Devices 1 to 4 can be reached from the internet; on device 2 the update is installed.
async fn forensic_world() -> World {
    let world = world().await;
    exploited(&world).await;
    let inventory = &world.deps.store.inventory;
    let exposed: Vec<_> = (1..=4)
        .map(|number| {
            let mut tags = device(number).tags;
            tags.insert("exposure:exposed".to_owned());
            let bare = device(number);
            let seen = bare.seen_at;
            domain::device::Device {
                online: true,
                ..domain::device::Device::new(bare.id, bare.client, bare.platform, tags, seen)
            }
        })
        .collect();
    inventory.put_devices(&exposed).await.unwrap();
    let list = PatchList {
        device: id(2),
        client: client(),
        read_at: Timestamp::UNIX_EPOCH,
        missing: Vec::new(),
        installed: [KB.parse::<KbId>().unwrap()].into(),
    };
    inventory.put_patch_page(list, 1, true).await.unwrap();
    world
}

async fn marked(world: &World, revision: u32, changes: Value) -> (u32, Vec<u32>) {
    let sealed = world
        .plans()
        .run(PlanActivities::seal, seal(revision, changes))
        .await
        .unwrap();
    let stored = world
        .deps
        .store
        .executions
        .get_plan(&plan(), revision)
        .await;
    let document = stored.unwrap().unwrap().document;
    let marked = document.devices.iter().filter(|d| d.evidence);
    let mut marked: Vec<u32> = marked.map(|d| d.id.as_str().parse().unwrap()).collect();
    marked.sort_unstable();
    (sealed.plan.evidence_first, marked)
}

#[tokio::test]
async fn devices_are_marked_where_the_deadline_of_what_is_closed_asks_for_evidence() {
    let world = forensic_world().await;
    let resolved = world
        .plans()
        .run(PlanActivities::resolve, resolve(json!({})))
        .await
        .unwrap();
    assert_eq!(resolved.evidence_first, 3);
    assert_eq!(marked(&world, 1, json!({})).await, (3, vec![1, 3, 4]));
    let required = json!({ "evidence": "required" });
    let (count, all) = marked(&world, 2, required).await;
    assert_eq!((count, all.len()), (10, 10));
    // Who approves a waiver sees what is waived.
    let waived = json!({ "evidence": { "waived": { "by": "lee", "reason": "imaged" } } });
    assert_eq!(marked(&world, 3, waived).await, (3, vec![1, 3, 4]));
    let stored = world.deps.store.executions.get_plan(&plan(), 3).await;
    let waiver = stored.unwrap().unwrap().document.evidence_waived.unwrap();
    assert_eq!((waiver.by.as_str(), &*waiver.reason), ("lee", "imaged"));
}

#[tokio::test]
async fn marks_stay_when_guardrails_take_devices_out_and_rings_are_made_anew() {
    let world = forensic_world().await;
    forbid_servers(&world).await;
    let (count, devices) = marked(&world, 1, json!({ "rings": rings() })).await;
    assert_eq!((count, devices), (1, vec![4]), "odd ones are servers");
}

#[tokio::test]
async fn an_update_of_which_nothing_is_known_marks_no_device() {
    let world = world().await;
    assert_eq!(marked(&world, 1, json!({})).await, (0, vec![]));
}

#[tokio::test]
async fn a_page_says_which_devices_come_first_and_what_earlier_attempts_have() {
    let world = forensic_world().await;
    marked(&world, 1, json!({})).await;
    let stored = StoredEvidence {
        key: "logs/evidence/7/p/3/evidence-all-0.json".to_owned(),
        sha256: "00".to_owned(),
        bytes: 9,
    };
    let mut tried = row(3, 0, 1, DeviceOutcome::Deferred);
    tried.result.evidence = Some(stored.clone());
    let executions = &world.deps.store.executions;
    executions.put_device_row(tried).await.unwrap();
    let page = async |evidence| {
        let input = LoadPageInput {
            plan: plan(),
            revision: 1,
            ring: 0,
            page: 0,
            evidence,
        };
        let page = world.plans().run(PlanActivities::load_page, input).await;
        page.unwrap().devices
    };
    let devices = page(true).await;
    let first = devices.iter().filter(|d| d.evidence_first);
    let mut first: Vec<_> = first.map(|d| d.id.clone()).collect();
    first.sort_unstable();
    assert_eq!(first, [id(1), id(3), id(4)]);
    let third = devices.iter().find(|d| d.id == id(3)).unwrap();
    assert_eq!(third.evidence.as_ref(), Some(&stored));
    assert!(page(false).await.iter().all(|d| !d.evidence_first));
    let waiting = StragglersInput {
        plan: plan(),
        revision: 1,
        limit: 9,
        before: Cursor {
            ring: 9,
            ..Cursor::default()
        },
    };
    let lane = world
        .plans()
        .run(PlanActivities::next_stragglers, waiting)
        .await
        .unwrap();
    assert_eq!(lane.ready.len(), 1);
    assert!(lane.ready[0].evidence_first);
    assert_eq!(lane.ready[0].evidence.as_ref(), Some(&stored));
}
