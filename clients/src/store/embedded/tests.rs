//! What only the file can get wrong; what every adapter must do is in `store::conformance`.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use domain::audit::{self, Actor, AuditRecord};
use jiff::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::store::{Store, StoreError};

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
                supported: 1
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
fn a_file_of_another_program_is_refused() {
    let (_folder, path) = file();
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    let error = Store::embedded(&path).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
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

/// Not a check but a figure: `cargo test -p autoops-clients appends_per_second -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn appends_per_second() {
    const WRITERS: u32 = 64;
    const EACH: u32 = 150;
    for handles in [1, 2] {
        let (_folder, path) = file();
        let stores: Vec<_> = (0..handles)
            .map(|_| Store::embedded(&path).unwrap())
            .collect();
        let started = Instant::now();
        let writer = |w: u32| {
            let store = stores[w as usize % stores.len()].clone();
            tokio::spawn(async move {
                for i in 0..EACH {
                    store
                        .actions
                        .append_audit(record(&format!("w{w}"), &format!("k{i}")))
                        .await
                        .unwrap();
                }
            })
        };
        let tasks: Vec<_> = (0..WRITERS).map(writer).collect();
        for task in tasks {
            task.await.unwrap();
        }
        let rate = f64::from(WRITERS * EACH) / started.elapsed().as_secs_f64();
        println!("{rate:.0} appends per second with {WRITERS} writers over {handles} handles");
        for w in 0..WRITERS {
            let chain = format!("w{w}");
            let entries = stores[0].actions.read_chain(&chain, 0, 1000).await.unwrap();
            assert_eq!(entries.len(), EACH as usize);
            audit::verify(&chain, None, &entries).unwrap();
        }
    }
}
