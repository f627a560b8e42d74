//! What only the file can get wrong; what every adapter must do is in `store::conformance`.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use domain::{
    audit::{self, Actor, AuditRecord, ChainHead},
    failure::Classify,
};
use jiff::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;

use super::Embedded;
use crate::store::{
    Actions, Bucket, KEEP_LETTERS, LetterFilter, Records, Store, StoreError, conformance::sealed,
};

fn file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("autoops.db");
    (folder, path)
}

fn record(chain: &str, key: &str) -> AuditRecord {
    AuditRecord {
        chain: chain.into(),
        key: key.into(),
        at: Timestamp::UNIX_EPOCH,
        client: "7".parse().unwrap(),
        actor: Actor::Workflow,
        what: "step".into(),
        evidence: vec![],
        detail: serde_json::Value::Null,
        plan_hash: None,
        policy_version: None,
        tokens: None,
    }
}

#[tokio::test]
async fn records_are_still_there_after_a_restart() {
    let (_folder, path) = file();
    let entry = Store::embedded(&path)
        .unwrap()
        .actions
        .append_audit(record("w", "k"))
        .await
        .unwrap();
    let again = Store::embedded(&path).unwrap();
    assert_eq!(again.actions.read_chain("w", 0, 10).await.unwrap(), [entry]);
}

#[tokio::test]
async fn data_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (_folder, path) = file();
    let running = Store::embedded(&path).unwrap();
    running
        .actions
        .append_audit(record("w", "k"))
        .await
        .unwrap();
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let error = Store::embedded(&path).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::NewerVersion {
                found: 99,
                supported: 5
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("update this program"), "{error}");
    let write = running
        .actions
        .append_audit(record("w", "l"))
        .await
        .unwrap_err();
    assert!(
        matches!(write, StoreError::NewerVersion { .. }),
        "a process that was there before: {write}"
    );
    let read = running.actions.read_chain("w", 0, 1).await.unwrap_err();
    assert!(matches!(read, StoreError::NewerVersion { .. }), "{read}");
}

#[test]
fn a_file_of_another_program_is_refused_and_left_as_it_is() {
    for theirs in [
        "CREATE TABLE theirs (x)",
        "CREATE TABLE theirs (x); PRAGMA user_version = 99",
        "CREATE TABLE theirs (x); PRAGMA user_version = 2",
        "CREATE TABLE theirs (x); PRAGMA application_id = 7",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 3",
    ] {
        let (folder, path) = file();
        Connection::open(&path)
            .unwrap()
            .execute_batch(theirs)
            .unwrap();
        let before = std::fs::read(&path).unwrap();
        let error = Store::embedded(&path).unwrap_err();
        assert!(error.to_string().contains("another program"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "{theirs}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    let (_folder, path) = file();
    std::fs::write(
        &path,
        "not a database, but long enough to have a header of its own".repeat(20),
    )
    .unwrap();
    let error = Store::embedded(&path).unwrap_err();
    assert!(
        matches!(&error, StoreError::Corrupt { what, .. } if what.contains("autoops.db")),
        "{error}"
    );
}

#[tokio::test]
async fn a_damaged_record_is_named_by_its_key() {
    let (_folder, path) = file();
    let store = Store::embedded(&path).unwrap();
    store
        .counters
        .set_flag("pause/7", Some("why"))
        .await
        .unwrap();
    store.actions.append_audit(record("w", "k")).await.unwrap();
    let direct = Connection::open(&path).unwrap();
    direct
        .execute_batch("UPDATE items SET body = '{' WHERE sk = 'pause/7' OR sk LIKE 'e/%'")
        .unwrap();
    let error = store.counters.get_flag("pause/7").await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Corrupt { what, .. } if what.contains("pause/7")),
        "{error}"
    );
    let error = store.actions.read_chain("w", 0, 10).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Corrupt { what, .. } if what.contains("audit/w")),
        "{error}"
    );
    let append = store
        .actions
        .append_audit(record("w", "l"))
        .await
        .unwrap_err();
    assert!(
        matches!(append, StoreError::Corrupt { .. }),
        "nothing is written after a damaged entry: {append}"
    );
    assert_eq!(
        store.counters.add("n", "a", 1).await.unwrap(),
        1,
        "other records still work"
    );
}

#[tokio::test]
async fn a_page_of_a_plan_that_is_missing_is_not_taken_for_the_end_of_its_ring() {
    let (_folder, path) = file();
    let store = Store::embedded(&path).unwrap();
    let sealed = sealed("p", 1, &[1010], 0);
    store.executions.put_plan(sealed.clone()).await.unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "DELETE FROM items WHERE pk = 'plan/p' AND sk LIKE 'sheet/%' AND sk LIKE '%1'",
        )
        .unwrap();
    let page = |page| store.executions.plan_page(&sealed.plan, 1, 0, page);
    assert_eq!(page(19).await.unwrap().len(), 50);
    let error = page(20).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Corrupt { what, .. } if what.contains("page 20 of ring 0")),
        "{error}"
    );
    assert_eq!(page(21).await.unwrap(), [], "past the last");
}

#[tokio::test]
async fn a_full_disk_is_told_undoes_the_whole_write_and_is_over_when_there_is_room() {
    let (_folder, path) = file();
    let records = Records(Embedded::open(&path).unwrap());
    let store: &dyn Actions = &records;
    let first = store.append_audit(record("w", "k")).await.unwrap();
    let room_for = |pages: u32| {
        records.0.writer.write(move |tx| {
            let limit = format!("PRAGMA max_page_count = {pages}");
            let set = tx
                .connection
                .query_row(&limit, [], |row| row.get::<_, u32>(0));
            set.map_err(StoreError::of_sqlite)
        })
    };
    // No smaller than the file is.
    room_for(1).await.unwrap();
    let large = AuditRecord {
        detail: serde_json::json!("x".repeat(100_000)),
        ..record("w", "large")
    };
    let error = store.append_audit(large.clone()).await.unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(error.kind().is_retryable());
    let kept = store.read_chain("w", 0, 10).await.unwrap();
    assert_eq!(kept, std::slice::from_ref(&first));
    assert_eq!(
        store.chain_head("w").await.unwrap(),
        Some(ChainHead::of(&first))
    );
    room_for(100_000).await.unwrap();
    let second = store.append_audit(large).await.unwrap();
    assert_eq!(second.sequence, 2);
}

#[tokio::test]
async fn nothing_is_written_behind_a_cut_and_other_chains_go_on() {
    let (_folder, path) = file();
    let store = Store::embedded(&path).unwrap();
    for key in ["a", "b", "c"] {
        store.actions.append_audit(record("w", key)).await.unwrap();
    }
    let direct = Connection::open(&path).unwrap();
    direct
        .execute_batch(
            "DELETE FROM items WHERE sk = (SELECT max(sk) FROM items WHERE sk LIKE 'e/%')",
        )
        .unwrap();
    let entries = store.actions.read_chain("w", 0, 10).await.unwrap();
    let head = store.actions.chain_head("w").await.unwrap();
    let broken = audit::verify_end("w", entries.last(), head.as_ref()).unwrap_err();
    assert_eq!(broken.sequence, 3);
    let append = store
        .actions
        .append_audit(record("w", "d"))
        .await
        .unwrap_err();
    assert!(
        matches!(&append, StoreError::Corrupt { what, .. } if what.contains("end of chain")),
        "{append}"
    );
    store.actions.append_audit(record("v", "a")).await.unwrap();
    direct
        .execute_batch("UPDATE items SET body = '{' WHERE pk = 'audit-chains' AND sk = 'v'")
        .unwrap();
    let chains = store.actions.list_chains(None, 1).await.unwrap();
    let rest = store
        .actions
        .list_chains(chains.next.as_deref(), 1)
        .await
        .unwrap();
    assert_eq!(
        (chains.items, rest.items, rest.next),
        (vec!["v".to_owned()], vec!["w".to_owned()], None)
    );
}

#[tokio::test]
async fn data_of_version_1_gets_its_heads_and_days_and_keeps_its_buckets() {
    let (_folder, path) = file();
    let bucket = Bucket {
        capacity: 1,
        per: Duration::from_secs(60),
    };
    let taken = {
        let store = Store::embedded(&path).unwrap();
        for key in ["a", "b"] {
            store.actions.append_audit(record("w", key)).await.unwrap();
        }
        let now = Timestamp::UNIX_EPOCH;
        let taken = store.counters.take_token("nvd", bucket, now).await.unwrap();
        assert_eq!(taken, None);
        store.actions.read_chain("w", 0, 10).await.unwrap()
    };
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "DELETE FROM items WHERE sk = 'head' OR pk = 'audit-days';
             UPDATE items SET body = json_extract(body, '$.taken') WHERE pk = 'bucket';
             PRAGMA user_version = 1",
        )
        .unwrap();
    let store = Store::embedded(&path).unwrap();
    let head = store.actions.chain_head("w").await.unwrap();
    audit::verify_end("w", taken.last(), head.as_ref()).unwrap();
    store.actions.append_audit(record("w", "c")).await.unwrap();
    let days = store.actions.audited_days(None, None, 10).await.unwrap();
    let day = (taken[0].record.utc_day(), taken[0].record.client.clone());
    assert_eq!(days.items, [day]);
    let wait = store
        .counters
        .take_token("nvd", bucket, Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    assert_eq!(wait, Some(bucket.per));
}

#[tokio::test]
async fn dead_letters_of_version_2_are_open_ones_that_end_like_all_others() {
    let (_folder, path) = file();
    drop(Store::embedded(&path).unwrap());
    let id = "device-patch/p/81/result";
    let old = format!(
        r#"{{"id":"{id}","client":"7","workflow_id":"device-patch/p/81","cause":"disk full","at":"2026-11-03T10:00:00.5Z"}}"#
    );
    Connection::open(&path)
        .unwrap()
        .execute_batch(&format!(
            "INSERT INTO items (pk, sk, body) VALUES ('dead-letters', '{id}', '{old}');
             INSERT INTO lists (name, sort, pk, sk) VALUES ('dead-letters', '1/{id}', 'dead-letters', '{id}');
             PRAGMA user_version = 2"
        ))
        .unwrap();
    let store = Store::embedded(&path).unwrap();
    let open = LetterFilter {
        client: Some("7".parse().unwrap()),
        open: true,
        ..LetterFilter::default()
    };
    let list = async |filter: &LetterFilter| {
        let page = store.executions.list_dead_letters(filter, None, 10).await;
        page.unwrap().items.len()
    };
    assert_eq!(
        (list(&open).await, list(&LetterFilter::default()).await),
        (1, 1)
    );
    let read = store.executions.get_dead_letter(id).await.unwrap().unwrap();
    assert!(read.state.is_open() && read.cause == "disk full");
    let over = read.at + KEEP_LETTERS;
    store.upkeep.sweep_expired(over).await.unwrap();
    assert_eq!(list(&LetterFilter::default()).await, 0);
}

#[tokio::test]
async fn pages_of_version_3_are_found_in_sheets() {
    let (_folder, path) = file();
    let store = Store::embedded(&path).unwrap();
    let sealed = sealed("p", 1, &[120, 1060], 0);
    store.executions.put_plan(sealed.clone()).await.unwrap();
    let pages = async |store: &Store| {
        let mut found = Vec::new();
        for (ring, count) in [(0, 3), (1, 22)] {
            for page in 0..=count {
                let page = store.executions.plan_page(&sealed.plan, 1, ring, page);
                found.push(page.await.unwrap());
            }
        }
        found
    };
    let now = pages(&store).await;
    drop(store);
    let old = Connection::open(&path).unwrap();
    old.execute_batch("DELETE FROM items WHERE sk LIKE 'sheet/%'; PRAGMA user_version = 3")
        .unwrap();
    let number = |value: usize| format!("{value:020}");
    let mut place = 0;
    for (ring, pages) in now.split(|page| page.is_empty()).take(2).enumerate() {
        for (page, devices) in pages.iter().enumerate() {
            let key = format!("page/{}/{}/{}", number(1), number(ring), number(page));
            let body = serde_json::to_string(devices).unwrap();
            old.execute(
                "INSERT INTO items (pk, sk, body) VALUES ('plan/p', ?1, ?2)",
                [key, body],
            )
            .unwrap();
            place += 1;
        }
    }
    assert_eq!(place, 25);
    assert_eq!(pages(&Store::embedded(&path).unwrap()).await, now);
}

#[test]
fn many_processes_may_open_a_new_file_at_once() {
    let (_folder, path) = file();
    let open = || {
        let path = path.clone();
        thread::spawn(move || Store::embedded(&path).map(drop))
    };
    let threads: Vec<_> = (0..16).map(|_| open()).collect();
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
}

/// Run by the next test in processes of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a helper process"]
async fn child_process() {
    let Ok(path) = std::env::var("AUTOOPS_TEST_STORE") else {
        return;
    };
    let store = Store::embedded(path.as_ref()).unwrap();
    let append = |i: u32| {
        let store = store.clone();
        let key = format!("{}-{i}", std::process::id());
        tokio::spawn(async move { store.actions.append_audit(record("w", &key)).await.unwrap() })
    };
    let tasks: Vec<_> = (0..CHILD_APPENDS).map(append).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

const CHILD_APPENDS: u32 = 200;

#[tokio::test]
async fn several_processes_share_a_file_and_a_killed_one_leaves_it_whole() {
    let (_folder, path) = file();
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::embedded::tests::child_process",
                "--ignored",
            ])
            .env("AUTOOPS_TEST_STORE", &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let (mut killed, whole) = (start(), [start(), start()]);
    let store = Store::embedded(&path).unwrap();
    while store
        .actions
        .read_chain("w", 0, 1)
        .await
        .unwrap()
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    for mut child in whole {
        assert!(child.wait().unwrap().success());
    }
    let entries = store.actions.read_chain("w", 0, 10_000).await.unwrap();
    audit::verify("w", None, &entries).unwrap();
    assert!(
        entries.len() >= 2 * CHILD_APPENDS as usize,
        "{}",
        entries.len()
    );
    let changes = store.outbox.changes_after(0, 10_000).await.unwrap();
    assert_eq!(changes.len(), entries.len());
}
