//! The outbox.

use super::*;

/// Reads so many changes: an adapter may show them a moment later.
pub(super) async fn changes(store: &Store, count: usize) -> Vec<Change> {
    let begin = Instant::now();
    loop {
        let changes = store.outbox.changes_after(0, 100).await.unwrap();
        if changes.len() >= count || begin.elapsed() > PATIENCE {
            return changes;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn every_visible_write_is_a_change_in_order(store: Store) {
    store.actions.append_audit(record("w", "k")).await.unwrap();
    store.actions.append_audit(record("w", "k")).await.unwrap();
    store
        .executions
        .put_plan(sealed("p", 1, &[1], 0))
        .await
        .unwrap();
    // Written once; then a repeat, and one that is older.
    for updated in [10, 10, 5] {
        let status = status("p", "7", Stage::Planning, 0, updated);
        store.executions.put_status(status, None).await.unwrap();
    }
    store
        .executions
        .put_device_row(row(1, 1, DeviceOutcome::Verified))
        .await
        .unwrap();
    store
        .inventory
        .put_devices(&[device(1, "7", 0)])
        .await
        .unwrap();
    store
        .inventory
        .put_devices(&[device(1, "7", 1)])
        .await
        .unwrap();
    store.counters.set_flag("pause/7", Some("x")).await.unwrap();
    let changes = changes(&store, 6).await;
    let kinds: Vec<&str> = changes.iter().map(|c| c.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "audit",
            "plan",
            "execution",
            "device_result",
            "device",
            "flag"
        ]
    );
    assert!(changes.is_sorted_by(|a, b| a.sequence < b.sequence));
    assert_eq!(
        (changes[3].client.clone(), changes[3].key.as_str()),
        (Some(client("7")), "p/00001")
    );
    let rest = store
        .outbox
        .changes_after(changes[3].sequence, 1)
        .await
        .unwrap();
    assert_eq!(rest, changes[4..5]);
}
