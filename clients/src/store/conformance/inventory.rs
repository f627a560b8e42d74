//! Devices, leases and people.

use domain::{
    campaign::PatchList,
    patch::{PatchFacts, Severity},
    software::{Program, SoftwareList},
};

use super::*;

pub(super) async fn devices_are_never_replaced_by_what_was_seen_before(store: Store) {
    let inventory = &store.inventory;
    inventory.put_devices(&[device(1, "7", 10)]).await.unwrap();
    inventory
        .put_devices(&[Device {
            online: false,
            ..device(1, "7", 5)
        }])
        .await
        .unwrap();
    assert_eq!(
        inventory.get_device(&device_id(1)).await.unwrap(),
        Some(device(1, "7", 10))
    );
    inventory.put_devices(&[device(1, "8", 20)]).await.unwrap();
    assert!(
        inventory
            .list_devices(&client("7"), None, 10)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(
        inventory
            .list_devices(&client("8"), None, 10)
            .await
            .unwrap()
            .items,
        [device(1, "8", 20)]
    );
    let acme = ClientRecord {
        id: client("8"),
        name: "Acme".into(),
        time_zone: Some("Europe/Berlin".into()),
        sites: [("s".to_owned(), "UTC".to_owned())].into(),
        synced_at: Some(at(1)),
    };
    inventory.put_client(acme.clone()).await.unwrap();
    assert_eq!(
        inventory.get_client(&client("8")).await.unwrap(),
        Some(acme)
    );
    assert_eq!(inventory.get_client(&client("7")).await.unwrap(), None);
}

pub(super) async fn a_lease_belongs_to_one_owner_until_it_ends(store: Store) {
    let (inventory, id) = (&store.inventory, device_id(1));
    let minute = Duration::from_secs(60);
    let take = |owner: &'static str, now| inventory.acquire_lease(&id, owner, minute, at(now));
    assert_eq!(take("a", 0).await.unwrap(), Lease::Held { until: at(60) });
    let held = Lease::HeldBy {
        owner: "a".into(),
        until: at(60),
    };
    assert_eq!(take("b", 59).await.unwrap(), held);
    assert_eq!(
        take("a", 30).await.unwrap(),
        Lease::Held { until: at(90) },
        "renewed"
    );
    assert_eq!(
        take("a", 10).await.unwrap(),
        Lease::Held { until: at(90) },
        "a late renewal does not shorten it"
    );
    inventory.release_lease(&id, "b").await.unwrap();
    assert_eq!(
        take("b", 89).await.unwrap(),
        Lease::HeldBy {
            owner: "a".into(),
            until: at(90)
        }
    );
    assert_eq!(
        take("b", 90).await.unwrap(),
        Lease::Held { until: at(150) },
        "expired"
    );
    inventory.release_lease(&id, "b").await.unwrap();
    assert_eq!(
        take("a", 91).await.unwrap(),
        Lease::Held { until: at(151) },
        "given back"
    );
}

pub(super) async fn people_are_read_as_written(store: Store) {
    let person = |id: &str, role| Person {
        id: id.parse().unwrap(),
        name: "N".into(),
        role,
        clients: [client("7")].into(),
    };
    for (id, role) in [
        ("lee", Role::Viewer),
        ("dana", Role::Approver),
        ("lee", Role::Lead),
    ] {
        store.identities.put_person(person(id, role)).await.unwrap();
    }
    let people = store.identities.list_people().await.unwrap();
    assert_eq!(
        people,
        [person("dana", Role::Approver), person("lee", Role::Lead)]
    );
    assert_eq!(
        store
            .identities
            .get_person(&people[1].id)
            .await
            .unwrap()
            .as_ref(),
        Some(&people[1])
    );
    assert_eq!(
        store
            .identities
            .get_person(&"nobody".parse().unwrap())
            .await
            .unwrap(),
        None
    );
}

pub(super) async fn who_is_no_longer_of_a_source_may_only_look(store: Store) {
    let identities = &store.identities;
    let person = |id: &str, role| Person {
        id: id.parse().unwrap(),
        name: "N".into(),
        role,
        clients: [client("7")].into(),
    };
    let (dana, lee) = (
        || person("dana", Role::Approver),
        || person("lee", Role::Lead),
    );
    identities
        .put_person(person("by-hand", Role::Lead))
        .await
        .unwrap();
    identities
        .put_people_of("other", vec![person("eva", Role::Lead)])
        .await
        .unwrap();
    let lowered = identities
        .put_people_of("file", vec![dana(), lee()])
        .await
        .unwrap();
    assert_eq!(lowered, []);
    let before = changes(&store, 4).await.len();
    for expected in [vec![person("lee", Role::Viewer)], vec![]] {
        let lowered = identities
            .put_people_of("file", vec![dana()])
            .await
            .unwrap();
        assert_eq!(lowered, expected, "told once");
    }
    let changes = changes(&store, before + 1).await;
    let new: Vec<_> = changes[before..].iter().map(|c| c.key.as_str()).collect();
    assert_eq!(new, ["lee"]);
    assert_eq!(
        identities.list_people().await.unwrap(),
        [
            person("by-hand", Role::Lead),
            dana(),
            person("eva", Role::Lead),
            person("lee", Role::Viewer),
        ]
    );
    identities
        .put_people_of("file", vec![dana(), lee()])
        .await
        .unwrap();
    let back = identities.get_person(&lee().id).await.unwrap();
    assert_eq!(back, Some(lee()), "put back into the file");
}

pub(super) async fn a_patch_list_is_replaced_when_its_last_page_is_there(store: Store) {
    let inventory = &store.inventory;
    let page = |missing: &[&str], read: i64| PatchList {
        device: device_id(1),
        client: client("7"),
        read_at: at(read),
        missing: missing
            .iter()
            .map(|kb| PatchFacts {
                kb: kb.parse().unwrap(),
                title: String::new(),
                severity: Severity::Critical,
                category: String::new(),
                published: None,
                restart_required: None,
                cves: vec![],
            })
            .collect(),
        installed: BTreeSet::from(["5000009".parse().unwrap()]),
    };
    let list = async || {
        let lists = inventory
            .get_patch_lists(&[device_id(1), device_id(2)])
            .await;
        let mut lists = lists.unwrap();
        let kbs = |list: PatchList| list.missing.into_iter().map(|p| p.kb).collect::<Vec<_>>();
        lists.pop().map(kbs).unwrap_or_default().len()
    };
    inventory
        .put_patch_page(page(&["5000001"], 1), 1, true)
        .await
        .unwrap();
    assert_eq!(list().await, 1);
    let lost = inventory
        .put_patch_page(page(&["5000002"], 2), 3, true)
        .await;
    assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
    inventory
        .put_patch_page(page(&["5000001"], 2), 1, false)
        .await
        .unwrap();
    inventory
        .put_patch_page(page(&["5000002"], 2), 2, false)
        .await
        .unwrap();
    assert_eq!(
        list().await,
        1,
        "the old one holds until the new one is whole"
    );
    for _ in 0..2 {
        inventory
            .put_patch_page(page(&["5000003"], 2), 3, true)
            .await
            .unwrap();
        assert_eq!(list().await, 3);
    }
    // A shorter list, from the start.
    inventory
        .put_patch_page(page(&[], 3), 1, true)
        .await
        .unwrap();
    assert_eq!(list().await, 0);
}

pub(super) async fn a_software_list_of_two_thousand_programs_is_kept_whole(store: Store) {
    let inventory = &store.inventory;
    let page = |number: u32, read: i64| {
        let programs = (0..100).map(|row| Program {
            name: format!(
                "Program {:04} {}",
                number * 100 + row,
                "of a vendor ".repeat(12)
            ),
            version: Some(format!("{number}.{row}.0")),
        });
        SoftwareList {
            device: device_id(1),
            client: client("7"),
            read_at: at(read),
            programs: programs.collect(),
            flaws: 1,
            beyond: 0,
        }
    };
    let list = async || {
        let lists = inventory
            .get_software_lists(&[device_id(1), device_id(2)])
            .await;
        lists.unwrap().pop()
    };
    let whole = page(1, 1);
    inventory
        .put_software_page(whole.clone(), 1, true)
        .await
        .unwrap();
    assert_eq!(list().await, Some(whole.clone()));
    let lost = inventory.put_software_page(page(3, 2), 3, true).await;
    assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
    let pages = 20;
    for number in 1..=pages {
        assert_eq!(list().await.as_ref(), Some(&whole), "the old one holds");
        let last = number == pages;
        // Each page twice, as after a lost answer.
        for _ in 0..2 {
            inventory
                .put_software_page(page(number, 2), number, last)
                .await
                .unwrap();
        }
    }
    let found = list().await.unwrap();
    assert_eq!(found.programs.len(), 2000);
    assert_eq!((found.read_at, found.beyond), (at(2), 0));
    assert_eq!(found.flaws, 20);
    let patches = inventory.get_patch_lists(&[device_id(1)]).await.unwrap();
    assert_eq!(patches, [], "one list is not the other");
}
