//! What only the file can get wrong; what every adapter must do is in `memory::conformance`.

use domain::failure::{Classify, FailureKind};
use rusqlite::Connection;

use crate::{
    memory::{
        self, Near, Outcome, Question, Record,
        conformance::{along, incident},
    },
    store::Store,
};

fn record(id: &str, axis: usize) -> Record {
    Record {
        incident: incident("7", id, "disk full"),
        rule: along(&[(axis, 1.0)]),
        model: None,
    }
}

fn question() -> Question {
    Question {
        client: "7".parse().unwrap(),
        near: Near::Rule(along(&[(0, 1.0)])),
        text: Some("disk".into()),
        limit: 10,
    }
}

#[tokio::test]
async fn incidents_are_still_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.db");
    let memory = memory::embedded(&path).unwrap();
    let many: Vec<Record> = (0..600).map(|n| record(&format!("{n}"), n % 256)).collect();
    let outcomes = memory.remember(many).await.unwrap();
    assert_eq!(outcomes, vec![Outcome::Kept; 600]);
    let before = memory.recall(&question()).await.unwrap();
    drop(memory);
    let memory = memory::embedded(&path).unwrap();
    assert_eq!(memory.recall(&question()).await.unwrap(), before);
    assert_eq!(before.len(), 10);
}

#[tokio::test]
async fn a_file_of_the_store_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("autoops.db");
    let store = Store::embedded(&path).unwrap();
    let error = memory::embedded(&path).unwrap_err();
    assert_eq!(error.kind(), FailureKind::InvalidInput);
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(store.counters.get_flag("pause").await.unwrap(), None);
}

#[tokio::test]
async fn a_newer_file_is_refused_also_while_we_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.db");
    let memory = memory::embedded(&path).unwrap();
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    for error in [
        memory::embedded(&path).unwrap_err(),
        memory.remember(vec![record("a", 0)]).await.unwrap_err(),
        memory.recall(&question()).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("newer AutoOps"), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_vector_is_named_and_never_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.db");
    let memory = memory::embedded(&path).unwrap();
    memory.remember(vec![record("a", 0)]).await.unwrap();
    Connection::open(&path)
        .unwrap()
        .execute("UPDATE vectors SET vector = x'00112233'", [])
        .unwrap();
    for _ in 0..2 {
        let error = memory.recall(&question()).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Malformed, "{error}");
        assert!(error.to_string().contains("vector 1"), "{error}");
    }
}

#[tokio::test]
async fn nothing_of_a_forgotten_client_stays_in_the_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.db");
    let memory = memory::embedded(&path).unwrap();
    memory.remember(vec![record("a", 0)]).await.unwrap();
    memory.forget_client(&"7".parse().unwrap()).await.unwrap();
    let file = Connection::open(&path).unwrap();
    for table in ["clients", "incidents", "vectors", "texts"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: i64 = file.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}
