//! Plans, states of deployments, device rows.

use super::*;

pub(super) async fn a_sealed_plan_is_kept_once_and_read_by_page(store: Store) {
    let size = u32::try_from(PAGE_SIZE).unwrap();
    let executions = &store.executions;
    let first = sealed("p", 1, &[1, 2 * size + 1], 10);
    let second = sealed("p", 2, &[3], 20);
    executions.put_plan(first.clone()).await.unwrap();
    executions.put_plan(first.clone()).await.expect("a retry");
    executions.put_plan(second.clone()).await.unwrap();
    let other = executions
        .put_plan(sealed("p", 1, &[1], 30))
        .await
        .unwrap_err();
    assert!(matches!(other, StoreError::Conflict { .. }), "{other}");
    let forged = executions
        .put_plan(SealedPlan {
            revision: 3,
            hash: "0".into(),
            ..first.clone()
        })
        .await;
    assert!(matches!(forged, Err(StoreError::Invalid { .. })));
    assert_eq!(
        executions.get_plan(&plan("p"), 1).await.unwrap().as_ref(),
        Some(&first)
    );
    assert_eq!(
        executions
            .find_plan(&plan("p"), &second.hash)
            .await
            .unwrap(),
        Some(second)
    );
    assert_eq!(executions.find_plan(&plan("p"), "0").await.unwrap(), None);
    let mut ids = executions.plan_page(&plan("p"), 1, 0, 0).await.unwrap();
    for page in 0..4 {
        ids.extend(executions.plan_page(&plan("p"), 1, 1, page).await.unwrap());
    }
    assert_eq!(
        ids,
        first
            .document
            .devices
            .into_iter()
            .map(|d| d.id)
            .collect::<Vec<_>>()
    );
    let unknown = executions.plan_page(&plan("p"), 9, 0, 0).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { .. }), "{unknown}");
}

pub(super) async fn an_older_status_is_ignored_and_lists_follow_the_newest(store: Store) {
    let executions = &store.executions;
    let kb = "5034441".parse().unwrap();
    let newer = status("p", "7", Stage::AwaitingApproval, 0, 20);
    executions.put_status(newer.clone(), None).await.unwrap();
    executions
        .put_status(status("p", "7", Stage::Planning, 0, 10), None)
        .await
        .unwrap();
    assert_eq!(
        executions.get_status(&plan("p")).await.unwrap(),
        Some(newer)
    );
    let waiting = StatusFilter {
        client: Some(client("7")),
        needs_approval: true,
        open: true,
    };
    assert_eq!(
        executions
            .list_statuses(&waiting, None, 10)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        executions.open_deployments_of(&kb).await.unwrap(),
        [plan("p")]
    );
    executions
        .put_status(status("p", "7", Stage::Done, 0, 30), None)
        .await
        .unwrap();
    assert!(
        executions
            .list_statuses(&waiting, None, 10)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert!(
        executions
            .open_deployments_of(&kb)
            .await
            .unwrap()
            .is_empty()
    );
    let all = executions
        .list_statuses(&StatusFilter::default(), None, 10)
        .await
        .unwrap();
    assert_eq!((all.items.len(), all.items[0].stage), (1, Stage::Done));
}

pub(super) async fn lists_come_page_by_page_without_loss(store: Store) {
    let mut roll = dice(7);
    for i in 0..57_u32 {
        let of = if i.is_multiple_of(3) { "8" } else { "7" };
        // Many start in the same second.
        let started = i64::try_from(roll(9)).unwrap();
        store
            .executions
            .put_status(
                status(&format!("p{i}"), of, Stage::Deploying, started, 100),
                None,
            )
            .await
            .unwrap();
    }
    store
        .inventory
        .put_devices(&(0..450).map(|n| device(n, "7", 0)).collect::<Vec<_>>())
        .await
        .unwrap();
    for (of, expected) in [(None, 57), (Some("8"), 19)] {
        let filter = StatusFilter {
            client: of.map(client),
            needs_approval: false,
            open: true,
        };
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = store
                .executions
                .list_statuses(&filter, cursor.as_deref(), 10)
                .await
                .unwrap();
            seen.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            // A write between two pages neither repeats nor hides a row.
            let moved = status("p4", "7", Stage::Soaking, 3, 200);
            let moved = DeploymentStatus {
                started_at: seen_start(&store).await,
                ..moved
            };
            store.executions.put_status(moved, None).await.unwrap();
        }
        assert_eq!(
            seen.iter().map(|s| &s.plan).collect::<BTreeSet<_>>().len(),
            expected
        );
        assert_eq!(seen.len(), expected);
        assert!(
            seen.is_sorted_by(|a, b| a.started_at >= b.started_at),
            "newest first"
        );
    }
    let (mut seen, mut cursor) = (0, None);
    loop {
        let page = store
            .inventory
            .list_devices(&client("7"), cursor.as_deref(), 100)
            .await
            .unwrap();
        assert_eq!(page.items[0].id, device_id(seen));
        seen += u32::try_from(page.items.len()).unwrap();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, 450);
}

async fn seen_start(store: &Store) -> Timestamp {
    store
        .executions
        .get_status(&plan("p4"))
        .await
        .unwrap()
        .unwrap()
        .started_at
}

pub(super) async fn a_device_row_is_written_once_per_attempt(store: Store) {
    use DeviceOutcome as D;
    let executions = &store.executions;
    executions
        .put_device_row(row(1, 1, D::Deferred))
        .await
        .unwrap();
    executions
        .put_device_row(DeviceRow {
            at: at(9),
            ..row(1, 1, D::Deferred)
        })
        .await
        .expect("a retry");
    let changed = executions
        .put_device_row(row(1, 1, D::Verified))
        .await
        .unwrap_err();
    assert!(
        matches!(&changed, StoreError::Conflict { what } if what.contains("00001")),
        "{changed}"
    );
    executions
        .put_device_row(row(1, 2, D::Verified))
        .await
        .unwrap();
    executions
        .put_device_row(row(1, 1, D::Deferred))
        .await
        .expect("an earlier attempt is ignored");
    executions
        .put_device_row(row(2, 1, D::Deferred))
        .await
        .unwrap();
    let newest = executions
        .get_device_row(&plan("p"), &device_id(1))
        .await
        .unwrap();
    assert_eq!(newest, Some(row(1, 2, D::Verified)));
    let deferred = executions
        .list_device_rows(&plan("p"), Some(D::Deferred), None, 10)
        .await
        .unwrap();
    assert_eq!(deferred.items, [row(2, 1, D::Deferred)]);
    let page = executions
        .list_device_rows(&plan("p"), None, None, 1)
        .await
        .unwrap();
    assert_eq!(page.items, [row(1, 2, D::Verified)]);
    let page = executions
        .list_device_rows(&plan("p"), None, page.next.as_deref(), 1)
        .await
        .unwrap();
    assert_eq!(
        (page.items, page.next),
        (vec![row(2, 1, D::Deferred)], None)
    );
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_what_is_past_its_time_goes_with_all_that_belongs_to_it() {
    let (_folder, path) = file();
    let store = Store::embedded(&path).unwrap();
    let executions = &store.executions;
    executions
        .put_plan(sealed("p", 1, &[700], 0))
        .await
        .unwrap();
    for n in 0..700 {
        executions
            .put_device_row(row(n, 1, DeviceOutcome::Verified))
            .await
            .unwrap();
    }
    executions
        .put_status(status("p", "7", Stage::Done, 0, 10), Some(at(100)))
        .await
        .unwrap();
    executions
        .put_status(status("q", "7", Stage::Done, 0, 10), Some(at(200)))
        .await
        .unwrap();
    store.upkeep.sweep_expired(at(99)).await.unwrap();
    assert!(executions.get_status(&plan("p")).await.unwrap().is_some());
    assert!(store.upkeep.sweep_expired(at(100)).await.unwrap() > 700);
    assert_eq!(executions.get_status(&plan("p")).await.unwrap(), None);
    assert_eq!(executions.get_plan(&plan("p"), 1).await.unwrap(), None);
    let rows = executions
        .list_device_rows(&plan("p"), Some(DeviceOutcome::Verified), None, 10)
        .await
        .unwrap();
    assert!(rows.items.is_empty());
    let left = executions
        .list_statuses(&StatusFilter::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(left.items.len(), 1);
}
