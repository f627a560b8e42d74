mod exceptions;

use contracts::campaign::CampaignLimits;
use domain::{campaign::PlanState, vulnerability::nvd_json};
use serde_json::{Value, json};
use wiremock::{Mock, ResponseTemplate, matchers::body_string_contains};

use super::*;
use crate::testing::{World, client, environment};

fn row(kb: &str, status: &str) -> Value {
    json!({ "installationStatus": status, "patchDetail": { "title": format!("update {kb}"),
        "severity": "Critical", "category": "Security Updates", "kbNumbers": [{ "kbNumber": kb }] } })
}

/// Plays the patch list of every device.
async fn lists(world: &World, rows: &[Value]) {
    let data = json!({ "getAssetPatchDetails": { "assetPatches": rows, "listInfo": { "hasMore": null } } });
    Mock::given(body_string_contains("getAssetPatchDetails"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": data })))
        .mount(&world.server)
        .await;
}

fn draft_input() -> DraftInput {
    DraftInput {
        campaign: "c-1".parse().unwrap(),
        client: client(),
        workflow_id: "patch-campaign/7/x".into(),
        requested_by: None,
        rules: domain::campaign::CampaignRules {
            devices_per_plan: 2,
            ..Default::default()
        },
        plan: domain::campaign::PlanTemplate::default(),
    }
}

#[tokio::test]
async fn what_devices_miss_becomes_plans_that_are_there_once() {
    let world = World::new().await;
    world.seed(4).await;
    lists(
        &world,
        &[row("5034441", "NewOrMissing"), row("5034122", "Installed")],
    )
    .await;
    let steps = environment(CampaignActivities::new(&world.deps));
    let reads = environment(PatchListActivities::new(&world.deps));
    let input = NextListsInput {
        client: client(),
        older_secs: 60,
        after: None,
        kind: ListKind::Patches,
    };
    let due = steps
        .run(CampaignActivities::next_lists, input.clone())
        .await
        .unwrap();
    assert_eq!((due.devices.len(), due.next), (4, None));
    for device in due.devices {
        let input = ReadListInput {
            client: client(),
            device,
            page: 1,
        };
        let read = reads.run(PatchListActivities::read_patch_list, input).await;
        assert_eq!(read.unwrap().missing, 1);
    }
    let due = steps
        .run(CampaignActivities::next_lists, input)
        .await
        .unwrap();
    assert_eq!(due.devices, []);
    let drafted = steps
        .run(CampaignActivities::draft, draft_input())
        .await
        .unwrap();
    assert_eq!((drafted.pairs, drafted.unread), (4, 0));
    let again = steps
        .run(CampaignActivities::draft, draft_input())
        .await
        .unwrap();
    assert_eq!(again, drafted);
    let next = |limits| NextPlanInput {
        campaign: "c-1".parse().unwrap(),
        client: client(),
        number: 0,
        limits,
    };
    let plan = steps.run(
        CampaignActivities::next_plan,
        next(CampaignLimits::default()),
    );
    let NextPlanResult::Start(request) = plan.await.unwrap() else {
        panic!("there is room");
    };
    assert_eq!(request.id, "c-1-1".parse().ok());
    assert!(request.approval.required);
    let noted = NotePlanInput {
        campaign: "c-1".parse().unwrap(),
        number: 0,
        plan: None,
        state: PlanState::Started {
            at: world.deps.clock.now(),
        },
    };
    steps
        .run(CampaignActivities::note_plan, noted)
        .await
        .unwrap();
    let full = CampaignLimits {
        most_open_of_client: 1,
        ..CampaignLimits::default()
    };
    let held = steps.run(CampaignActivities::next_plan, next(full)).await;
    assert!(
        matches!(held.unwrap(), NextPlanResult::Held(_)),
        "one has begun"
    );
    // Its deployment has not sealed its plan yet; the next campaign leaves its pairs out.
    let second = DraftInput {
        campaign: "c-2".parse().unwrap(),
        ..draft_input()
    };
    let second = steps.run(CampaignActivities::draft, second).await.unwrap();
    let taken = request.devices.ids.len() as u64;
    assert_eq!((second.pairs, second.left_out), (4 - taken, taken));
}

/// What NVD says of Chrome, which CISA lists.
fn chrome(world: &World) -> Vec<domain::vulnerability::record::VulnerabilityRecord> {
    let page = json!({ "totalResults": 1, "startIndex": 0, "vulnerabilities": [{ "cve": {
        "id": "CVE-2024-4761", "published": "2024-05-14T00:00:00.000", "cisaExploitAdd": "2024-05-16",
        "configurations": [{ "nodes": [{ "operator": "OR", "cpeMatch": [{ "vulnerable": true,
            "criteria": "cpe:2.3:a:google:chrome:*:*:*:*:*:*:*:*", "versionEndExcluding": "124.0.6367.207" }] }] }] } }] });
    let read = nvd_json::read(page.to_string().as_bytes(), world.deps.clock.now());
    read.unwrap().records
}

#[tokio::test]
async fn what_programs_have_is_in_the_campaign_and_a_device_without_a_list_is_named() {
    let world = World::new().await;
    world.seed(3).await;
    lists(&world, &[]).await;
    let facts = &world.deps.store.vulnerabilities;
    facts.merge_vulnerabilities(chrome(&world)).await.unwrap();
    let rows = json!([
        { "id": "1", "software": { "name": "Google Chrome" }, "version": "123.0.6312.86" },
        { "id": "2", "software": { "name": "Larkfield Ledger" }, "version": "4" },
        { "id": "3", "software": null, "version": "4" },
    ]);
    for (page, more) in [(1, json!(true)), (2, json!(null))] {
        let data = json!({ "getAssetSoftwareList": { "assetSoftwares": rows, "listInfo": { "hasMore": more } } });
        Mock::given(body_string_contains("getAssetSoftwareList"))
            .and(body_string_contains(format!("\"page\":{page}")))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": data })))
            .mount(&world.server)
            .await;
    }
    let steps = environment(CampaignActivities::new(&world.deps));
    let reads = environment(PatchListActivities::new(&world.deps));
    let input = NextListsInput {
        client: client(),
        older_secs: 60,
        after: None,
        kind: ListKind::Software,
    };
    let before = steps.run(CampaignActivities::draft, draft_input()).await;
    assert_eq!(before.unwrap().vulnerable_products, 0);
    let campaigns = &world.deps.store.campaigns;
    let kept = campaigns.get_campaign(&draft_input().campaign).await;
    assert_eq!(kept.unwrap().unwrap().software, None, "nothing was read");

    let due = steps
        .run(CampaignActivities::next_lists, input.clone())
        .await;
    let mut due = due.unwrap().devices;
    assert_eq!(due.len(), 3);
    let unread = due.pop().unwrap();
    for device in due {
        for page in 1..=2 {
            let input = ReadListInput {
                client: client(),
                device: device.clone(),
                page,
            };
            let read = reads.run(PatchListActivities::read_software_list, input);
            let read = read.await.unwrap();
            assert_eq!((read.programs, read.flaws), (2, 1));
            assert_eq!(read.has_more, page == 1);
        }
    }
    let due = steps.run(CampaignActivities::next_lists, input).await;
    assert_eq!(due.unwrap().devices, [unread]);
    let second = DraftInput {
        campaign: "c-2".parse().unwrap(),
        ..draft_input()
    };
    let drafted = steps.run(CampaignActivities::draft, second.clone()).await;
    assert_eq!(drafted.unwrap().vulnerable_products, 1);
    let kept = campaigns.get_campaign(&second.campaign).await.unwrap();
    let found = kept.unwrap().software.unwrap();
    assert_eq!((found.devices, found.unread), (2, 1));
    assert_eq!((found.programs, found.unmatched, found.flaws), (4, 2, 4));
    assert_eq!((found.findings, found.uncertain_findings), (2, 0));
    let chrome = &found.products[0];
    assert!(chrome.in_kev && chrome.overdue, "{chrome:?}");
    assert_eq!(chrome.fixed_in.as_deref(), Some("124.0.6367.207"));

    let client = client();
    let record = facts.get_vulnerabilities(&chrome.cves).await.unwrap();
    let now = world.deps.clock.now();
    let affected = clients::software::affected(&world.deps.store, &client, &record[0], now).await;
    let affected = affected.unwrap();
    assert_eq!((affected.devices, affected.unread), (3, 1));
    assert_eq!(affected.affected.len(), 2);
}

#[tokio::test]
async fn a_software_list_without_an_end_is_cut_and_says_so() {
    let world = World::new().await;
    world.seed(1).await;
    let rows = json!([{ "id": "1", "software": { "name": "Google Chrome" }, "version": "1" }]);
    let data = json!({ "getAssetSoftwareList": { "assetSoftwares": rows, "listInfo": { "hasMore": true } } });
    Mock::given(body_string_contains("getAssetSoftwareList"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": data })))
        .mount(&world.server)
        .await;
    let steps = environment(CampaignActivities::new(&world.deps));
    let due = NextListsInput {
        client: client(),
        older_secs: 60,
        after: None,
        kind: ListKind::Software,
    };
    let due = steps.run(CampaignActivities::next_lists, due).await;
    let device = due.unwrap().devices.remove(0);
    let reads = environment(PatchListActivities::new(&world.deps));
    for page in 1..=MOST_SOFTWARE_PAGES {
        let input = ReadListInput {
            client: client(),
            device: device.clone(),
            page,
        };
        let read = reads.run(PatchListActivities::read_software_list, input);
        assert_eq!(read.await.unwrap().has_more, page < MOST_SOFTWARE_PAGES);
    }
    let inventory = &world.deps.store.inventory;
    let list = inventory.get_software_lists(&[device]).await.unwrap();
    assert_eq!((list[0].programs.len(), list[0].beyond), (1, 1));
}
