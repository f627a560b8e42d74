//! Chains of the audit trail.

use domain::failure::Classify;

use super::*;

pub(super) async fn a_repeated_audit_record_is_one_entry(store: Store) {
    let first = store
        .actions
        .append_audit(record("w", "sealed"))
        .await
        .unwrap();
    let retried = record("w", "sealed");
    assert_eq!(store.actions.append_audit(retried).await.unwrap(), first);
    let second = store
        .actions
        .append_audit(record("w", "approved"))
        .await
        .unwrap();
    store
        .actions
        .append_audit(record("v", "sealed"))
        .await
        .unwrap();
    assert_eq!(
        store.actions.read_chain("w", 0, 10).await.unwrap(),
        [first.clone(), second.clone()]
    );
    assert_eq!(
        store.actions.read_chain("w", 1, 10).await.unwrap(),
        [second]
    );
    assert_eq!(
        store.actions.list_chains(None, 10).await.unwrap().items,
        ["v", "w"]
    );
    let day = "2027-01-15".parse().unwrap();
    let page = store
        .actions
        .audit_of_day(&client("7"), day, None, 2)
        .await
        .unwrap();
    assert_eq!(page.items[0], first);
    let rest = store
        .actions
        .audit_of_day(&client("7"), day, page.next.as_deref(), 2)
        .await
        .unwrap();
    assert_eq!(
        (
            rest.items.len(),
            rest.items[0].record.chain.as_str(),
            rest.next
        ),
        (1, "v", None)
    );
}

/// How long a hundred writers of one chain may take on an engine that is busy with others.
const CROWDED: Duration = Duration::from_secs(120);

/// Two handles stand for two processes.
pub(super) async fn concurrent_appends_make_one_unbroken_chain(one: Store, other: Store) {
    let append = |i: u32| {
        let store = if i.is_multiple_of(2) {
            one.clone()
        } else {
            other.clone()
        };
        // Each key is written twice, once through each handle. Where a slow engine lets too many meet, it is
        // tried later, as callers do.
        tokio::spawn(async move {
            let begin = Instant::now();
            loop {
                let entry = record("w", &format!("k{}", i / 2));
                match store.actions.append_audit(entry).await {
                    Ok(entry) => return entry,
                    Err(error) if error.kind().is_retryable() && begin.elapsed() < CROWDED => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    };
    let tasks: Vec<_> = (0..100).map(append).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let entries = one.actions.read_chain("w", 0, 1000).await.unwrap();
    assert_eq!(entries.len(), 50);
    audit::verify("w", None, &entries).unwrap();
    let head = other.actions.chain_head("w").await.unwrap();
    audit::verify_end("w", entries.last(), head.as_ref()).unwrap();
}

pub(super) async fn the_head_of_a_chain_is_its_last_entry(store: Store) {
    let actions = &store.actions;
    assert_eq!(actions.chain_head("w").await.unwrap(), None);
    for key in ["a", "b", "a"] {
        actions.append_audit(record("w", key)).await.unwrap();
    }
    actions.append_audit(record("w/2", "a")).await.unwrap();
    let entries = actions.read_chain("w", 0, 10).await.unwrap();
    assert_eq!(
        actions.chain_head("w").await.unwrap(),
        entries.last().map(ChainHead::of),
        "a retry does not move it"
    );
}

pub(super) async fn another_audit_record_under_a_known_key_is_not_lost(store: Store) {
    let actions = &store.actions;
    actions.append_audit(record("w", "k")).await.unwrap();
    let other = AuditRecord {
        what: "other".into(),
        ..record("w", "k")
    };
    let second = actions.append_audit(other.clone()).await.unwrap();
    assert_eq!((second.sequence, second.record.what.as_str()), (2, "other"));
    assert_eq!(actions.append_audit(other).await.unwrap(), second);
    let entries = actions.read_chain("w", 0, 10).await.unwrap();
    assert_eq!(entries.len(), 2);
    audit::verify("w", None, &entries).unwrap();
}

pub(super) async fn days_with_entries_are_listed_with_their_clients(store: Store) {
    let actions = &store.actions;
    let of = |who: &str, key: &str, days: i64| AuditRecord {
        client: client(who),
        at: at(days * 86_400),
        ..record("w", key)
    };
    for (who, key, days) in [
        ("8", "a", 1),
        ("7", "b", 0),
        ("7", "c", 1),
        ("7", "d", 1),
        ("7", "e", -30),
    ] {
        actions.append_audit(of(who, key, days)).await.unwrap();
    }
    let listed = async |since: Option<&str>, cursor: Option<&str>, limit| {
        let since = since.map(|day| day.parse().unwrap());
        let page = actions.audited_days(since, cursor, limit).await.unwrap();
        let days = page.items.iter().map(|(day, who)| format!("{day} {who}"));
        (days.collect::<Vec<_>>(), page.next)
    };
    let all = [
        "2026-12-16 7",
        "2027-01-15 7",
        "2027-01-16 7",
        "2027-01-16 8",
    ];
    assert_eq!(listed(None, None, 10).await.0, all);
    assert_eq!(listed(Some("2027-01-15"), None, 10).await.0, all[1..]);
    let (page, next) = listed(Some("2026-12-17"), None, 1).await;
    assert_eq!(page, all[1..2]);
    assert_eq!(
        listed(None, next.as_deref(), 10).await,
        (all[2..].iter().map(ToString::to_string).collect(), None)
    );
}
