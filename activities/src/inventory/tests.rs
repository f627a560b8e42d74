use contracts::{
    activities::inventory::{
        GetDeviceInput, LeaseInput, LeaseResult, SyncClientInput, SyncPageInput, SyncPageResult,
    },
    failures,
};
use serde_json::{Value, json};
use temporalio_sdk::testing::ActivityEnvironment;
use wiremock::{Mock, ResponseTemplate, matchers::body_string_contains};

use super::{InventoryActivities, InventorySyncActivities};
use crate::testing::{CLIENT, World, client, environment, failure};

async fn answer(world: &World, query: &str, data: Value, times: u64) {
    Mock::given(body_string_contains(query))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": data })))
        .up_to_n_times(times)
        .mount(&world.server)
        .await;
}

async fn sites(world: &World, sites: Value) {
    let data = json!({ "getClientSiteList": { "sites": sites, "listInfo": { "hasMore": null } } });
    answer(world, "getClientSiteList", data, 1).await;
}

async fn devices(world: &World, has_more: Value, id: &str, site: &str) {
    let asset = json!({
        "assetId": id, "name": "PC", "client": { "accountId": CLIENT }, "site": { "id": site },
        "platform": "Windows 11", "platformCategory": "WORKSTATION", "status": "ONLINE",
    });
    let data =
        json!({ "getAssetList": { "assets": [asset], "listInfo": { "hasMore": has_more } } });
    answer(world, "getAssetList", data, 1).await;
}

fn sync(world: &World) -> ActivityEnvironment {
    environment(InventorySyncActivities::new(&world.deps))
}

fn page(page: u32) -> SyncPageInput {
    SyncPageInput {
        client: client(),
        page,
        max_age_secs: 300,
        wanted: vec![],
    }
}

#[tokio::test]
async fn a_look_at_the_snapshot_says_whether_it_can_become_younger() {
    let world = World::new().await;
    let activities = environment(InventoryActivities::new(&world.deps));
    let flags = &world.deps.store.counters;
    let away = async || {
        let input = GetDeviceInput {
            device: "41".parse().unwrap(),
        };
        let look = activities.run(InventoryActivities::get_device, input).await;
        look.unwrap().away_since
    };
    assert_eq!(away().await, None, "nobody has ever had trouble");
    let now = world.deps.clock.now();
    let open = json!({ "state": "open", "since": now, "until": now, "by": "x@1" }).to_string();
    flags
        .set_flag("breaker/superops", Some(&open))
        .await
        .unwrap();
    assert_eq!(away().await, Some(now));
    let closed = json!({ "state": "closed", "by": "x@1" }).to_string();
    flags
        .set_flag("breaker/superops", Some(&closed))
        .await
        .unwrap();
    assert_eq!(away().await, None);
}

#[tokio::test]
async fn an_unknown_client_is_invalid_input_about_its_field() {
    let world = World::new().await;
    let errors = json!({ "data": null, "errors": [{ "message": "no", "extensions": {
        "clientError": [{ "code": "entity_does_not_exist" }] } }] });
    Mock::given(body_string_contains("getClient"))
        .respond_with(ResponseTemplate::new(200).set_body_json(errors))
        .mount(&world.server)
        .await;
    let input = SyncClientInput { client: client() };
    let failed = failure(
        sync(&world)
            .run(InventorySyncActivities::sync_client, input)
            .await,
    );
    assert_eq!(failed.type_name(), Some(failures::INVALID_INPUT));
    assert!(
        failed
            .to_string()
            .starts_with(&format!("client: `{CLIENT}`")),
        "{failed}"
    );
}

#[tokio::test]
async fn devices_get_the_zone_of_their_site_and_the_last_page_ends_the_walk() {
    let world = World::new().await;
    let inventory = &world.deps.store.inventory;
    sites(
        &world,
        json!([
            { "id": "71", "name": "Mill Lane", "timezoneCode": "Europe/Berlin", "hq": true },
            { "id": "72", "name": "HQ", "timezoneCode": "America/New_York", "hq": false },
            { "id": "73", "name": "Odd", "timezoneCode": "Mars/Olympus", "hq": null },
        ]),
    )
    .await;
    let written = sync(&world)
        .run(InventorySyncActivities::sync_sites_page, page(1))
        .await
        .unwrap();
    assert_eq!((written.rows, written.has_more), (3, false));
    let record = inventory.get_client(&client()).await.unwrap().unwrap();
    assert_eq!(record.time_zone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(record.sites.len(), 2);

    devices(&world, json!(true), "41", "72").await;
    devices(&world, json!(null), "42", "73").await;
    let activities = sync(&world);
    let first = activities
        .run(InventorySyncActivities::sync_devices_page, page(1))
        .await
        .unwrap();
    assert_eq!(
        first,
        SyncPageResult {
            rows: 1,
            has_more: true,
            fresh: false,
            missing: vec![],
        }
    );
    assert_eq!(
        inventory
            .get_client(&client())
            .await
            .unwrap()
            .unwrap()
            .synced_at,
        None
    );
    let last = activities
        .run(InventorySyncActivities::sync_devices_page, page(2))
        .await
        .unwrap();
    assert!(!last.has_more && !last.fresh);
    let zone = async |id: &str| {
        inventory
            .get_device(&id.parse().unwrap())
            .await
            .unwrap()
            .unwrap()
            .time_zone
    };
    assert_eq!(zone("41").await.as_deref(), Some("America/New_York"));
    assert_eq!(zone("42").await, None);
    let record = inventory.get_client(&client()).await.unwrap().unwrap();
    assert_eq!(record.synced_at, Some(world.deps.clock.now()));

    let again = activities
        .run(InventorySyncActivities::sync_devices_page, page(1))
        .await
        .unwrap();
    assert!(again.fresh, "a young snapshot is good enough");
}

#[tokio::test]
async fn a_page_is_read_for_some_devices_only_while_one_of_them_was_not_seen() {
    let world = World::new().await;
    let wanted = |ids: &[&str]| SyncPageInput {
        wanted: ids.iter().map(|id| id.parse().unwrap()).collect(),
        ..page(1)
    };
    devices(&world, json!(true), "41", "72").await;
    let activities = sync(&world);
    let read = async |input| {
        let answer = activities.run(InventorySyncActivities::sync_devices_page, input);
        answer.await.unwrap()
    };
    let first = read(wanted(&["41", "42"])).await;
    assert_eq!((first.rows, first.fresh), (1, false));
    assert_eq!(first.missing, ["42".parse().unwrap()]);
    // There is no second answer: nothing may be asked.
    let again = read(wanted(&["41"])).await;
    assert!(again.fresh && again.missing.is_empty(), "{again:?}");
}

#[tokio::test]
async fn before_a_first_walk_has_ended_nothing_is_fresh() {
    let world = World::new().await;
    devices(&world, json!(true), "41", "72").await;
    devices(&world, json!(true), "41", "72").await;
    for _ in 0..2 {
        let found = sync(&world)
            .run(InventorySyncActivities::sync_devices_page, page(1))
            .await
            .unwrap();
        assert!(!found.fresh && found.has_more);
    }
}

#[tokio::test]
async fn one_owner_at_a_time_has_the_lease() {
    let world = World::new().await;
    let activities = environment(InventoryActivities::new(&world.deps));
    let lease = |owner: &str| LeaseInput {
        device: "41".parse().unwrap(),
        owner: owner.to_owned(),
        life_secs: 60,
    };
    let taken = activities
        .run(InventoryActivities::acquire_lease, lease("a"))
        .await
        .unwrap();
    assert!(matches!(taken, LeaseResult::Held { .. }));
    let other = activities
        .run(InventoryActivities::acquire_lease, lease("b"))
        .await
        .unwrap();
    assert!(matches!(other, LeaseResult::HeldBy { owner, .. } if owner == "a"));
    activities
        .run(InventoryActivities::release_lease, lease("b"))
        .await
        .unwrap();
    let other = activities
        .run(InventoryActivities::acquire_lease, lease("b"))
        .await
        .unwrap();
    assert!(
        matches!(other, LeaseResult::HeldBy { .. }),
        "only the owner gives it back"
    );
    activities
        .run(InventoryActivities::release_lease, lease("a"))
        .await
        .unwrap();
    let other = activities
        .run(InventoryActivities::acquire_lease, lease("b"))
        .await
        .unwrap();
    assert!(matches!(other, LeaseResult::Held { .. }));
}
