use super::*;

struct Desk {
    store: Store,
    _folder: tempfile::TempDir,
}

fn desk() -> Desk {
    let folder = tempfile::tempdir().unwrap();
    Desk {
        store: Store::embedded(&folder.path().join("store.db")).unwrap(),
        _folder: folder,
    }
}

fn kb() -> KbId {
    "KB5034441".parse().unwrap()
}

fn now() -> Timestamp {
    "2026-11-03T10:00:00Z".parse().unwrap()
}

async fn say(desk: &Desk, device: u32, build: &str, evidence: Evidence) -> Verdict {
    let said = Said {
        kb: &kb(),
        plan: &"first-plan".parse().unwrap(),
        device: &device.to_string().parse().unwrap(),
        build,
        evidence,
        at: now(),
    };
    Ledger::new(&desk.store).count(&said).await.unwrap()
}

async fn page(desk: &Desk) -> Page {
    Ledger::new(&desk.store).page(&kb()).await.unwrap()
}

#[tokio::test]
async fn a_device_counts_once_for_its_build_and_for_all() {
    let desk = desk();
    for _ in 0..3 {
        say(&desk, 81, "10.0.19045", Evidence::Good).await;
        say(&desk, 82, "10.0.22631", Evidence::Bad).await;
    }
    let page = page(&desk).await;
    assert_eq!(page.all, Tally { good: 1, bad: 1 });
    assert_eq!(page.builds["10.0.19045"], Tally { good: 1, bad: 0 });
    assert_eq!(page.builds["10.0.22631"], Tally { good: 0, bad: 1 });
    assert_eq!((page.last_bad, page.stopped), (Some(now()), None));
}

#[tokio::test]
async fn a_stop_is_written_down_once_and_lasts() {
    let desk = desk();
    for device in 81..86 {
        say(&desk, device, "10.0.19045", Evidence::Bad).await;
    }
    let flag = page(&desk).await.stopped.unwrap();
    assert!(flag.starts_with("ledger: 3 of 3 devices failed"), "{flag}");
    for device in 100..200 {
        let verdict = say(&desk, device, "10.0.19045", Evidence::Good).await;
        assert_eq!(verdict.reason(), flag);
    }
    let chain = desk
        .store
        .actions
        .read_chain("ledger/KB5034441", 0, 10)
        .await;
    let whats: Vec<_> = chain.unwrap().into_iter().map(|e| e.record.what).collect();
    assert_eq!(whats, ["ledger_stop"]);
}

#[tokio::test]
async fn a_flag_of_a_person_stays_as_it_was_set() {
    let desk = desk();
    let counters = &desk.store.counters;
    counters
        .set_flag("kb-stop/KB5034441", Some("lee: blue screens"))
        .await
        .unwrap();
    for device in 81..86 {
        say(&desk, device, "10.0.19045", Evidence::Bad).await;
    }
    assert_eq!(
        page(&desk).await.stopped.as_deref(),
        Some("lee: blue screens")
    );
}

#[tokio::test]
async fn it_is_held_for_a_day_after_the_last_failure() {
    let desk = desk();
    let ledger = Ledger::new(&desk.store);
    say(&desk, 81, "10.0.19045", Evidence::Bad).await;
    assert_eq!(ledger.held(&kb(), now()).await.unwrap(), None);
    say(&desk, 82, "10.0.19045", Evidence::Bad).await;
    let held = ledger.held(&kb(), now()).await.unwrap().unwrap();
    assert!(
        held.contains("2 of 2") && held.ends_with("2026-11-04T10:00:00Z"),
        "{held}"
    );
    let later = now() + HELD_FOR;
    assert_eq!(ledger.held(&kb(), later).await.unwrap(), None);
}

#[tokio::test]
async fn a_person_who_clears_it_starts_at_zero() {
    let desk = desk();
    for device in 81..84 {
        say(&desk, device, "10.0.19045", Evidence::Bad).await;
    }
    let (ledger, lee) = (Ledger::new(&desk.store), "lee".parse().unwrap());
    let cleared = ledger
        .clear(&kb(), &lee, "released anew", now())
        .await
        .unwrap();
    assert!(cleared.was_stopped.is_some());
    let page = page(&desk).await;
    assert_eq!(
        (page.epoch, page.all, page.stopped),
        (1, Tally::default(), None)
    );
    for device in 81..84 {
        say(&desk, device, "10.0.19045", Evidence::Bad).await;
    }
    let chain = desk
        .store
        .actions
        .read_chain("ledger/KB5034441", 0, 10)
        .await;
    let whats: Vec<_> = chain.unwrap().into_iter().map(|e| e.record.what).collect();
    assert_eq!(whats, ["ledger_stop", "ledger_cleared", "ledger_stop"]);
}

#[tokio::test]
async fn what_is_stored_names_no_client_and_no_device() {
    let desk = desk();
    for device in 4_100_001..4_100_004 {
        say(&desk, device, "10.0.19045", Evidence::Bad).await;
    }
    let changes = desk.store.outbox.changes_after(0, 100).await.unwrap();
    let chain = desk
        .store
        .actions
        .read_chain("ledger/KB5034441", 0, 10)
        .await;
    let all = format!("{changes:?} {:?}", chain.unwrap());
    assert!(
        !all.contains("41000") && !all.contains("first-plan"),
        "{all}"
    );
}

#[tokio::test]
async fn a_person_stops_an_update_once_and_clearing_ends_it() {
    let desk = desk();
    let (ledger, lee) = (Ledger::new(&desk.store), "lee".parse().unwrap());
    say(&desk, 81, "10.0.19045", Evidence::Bad).await;
    for reason in ["blue screens", "blue screens, again"] {
        ledger.stop_by(&kb(), &lee, reason, now()).await.unwrap();
    }
    let stopped = page(&desk).await;
    assert_eq!(stopped.stopped.as_deref(), Some("lee: blue screens"));
    assert_eq!(stopped.verdict().as_str(), "stop");
    // The ledger agrees later, and has nothing to add.
    for device in 82..86 {
        say(&desk, device, "10.0.19045", Evidence::Bad).await;
    }
    ledger.clear(&kb(), &lee, "anew", now()).await.unwrap();
    assert_eq!(page(&desk).await.stopped, None);
    // The next stop is of the next epoch, and written down again.
    let again = ledger.stop_by(&kb(), &lee, "still", now()).await.unwrap();
    assert_eq!((again.epoch, again.was_stopped), (1, None));
    let chain = desk.store.actions.read_chain(&chain_of(&kb()), 0, 10).await;
    let told: Vec<_> = chain
        .unwrap()
        .into_iter()
        .map(|entry| (entry.record.what, entry.record.detail["why"].clone()))
        .collect();
    let stop = |why: &str| ("ledger_stop".to_owned(), why.into());
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], stop("blue screens"));
    assert_eq!(told[2], stop("still"));
}

#[tokio::test]
async fn nobody_stops_an_update_in_the_name_of_the_ledger() {
    let desk = desk();
    let ledger = "ledger".parse().unwrap();
    let refused = Ledger::new(&desk.store)
        .stop_by(&kb(), &ledger, "because", now())
        .await;
    assert!(matches!(refused, Err(StoreError::Invalid { .. })));
    assert_eq!(page(&desk).await.stopped, None);
}
