//! How many audit entries a second the embedded store takes, each on disk before its writer goes on.
//!
//! Writers append to chains of their own at the same time, as workflows do. The folder is
//! `AUTOOPS_BENCH_FOLDER`, which has to be on the disk in question, else one beside the build.

#![expect(clippy::unwrap_used, reason = "a bench may fail where it stands")]

use std::{path::PathBuf, time::Duration};

use autoops_clients::store::Store;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use domain::audit::{self, Actor, AuditRecord};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use tokio::runtime::Runtime;

/// Entries that each writer appends, one after the other.
const EACH: u64 = 25;
/// Writers at the same time.
const WRITERS: [u64; 3] = [1, 16, 64];

/// An entry as a device leaves it.
fn record(chain: &str, key: u64) -> AuditRecord {
    AuditRecord {
        chain: chain.to_owned(),
        key: format!("device-patch/plan/4100000000000000001/{key}"),
        at: Timestamp::UNIX_EPOCH,
        client: "7000000000000000001".parse().unwrap(),
        actor: Actor::Workflow,
        what: "device_finished".to_owned(),
        evidence: vec!["plan/first-plan/1".to_owned(), "scan/5034441".to_owned()],
        detail: json!({ "device": "4100000000000000001", "outcome": "verified", "attempt": 1,
            "patches": [{ "kb": "5034441", "state": "installed" }] }),
        plan_hash: Some("beef".repeat(16)),
        policy_version: Some("3".to_owned()),
        tokens: None,
    }
}

fn folder() -> PathBuf {
    let named = std::env::var_os("AUTOOPS_BENCH_FOLDER").map(PathBuf::from);
    named.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into())
}

async fn append(store: &Store, round: u64, writers: u64) {
    let writer = |number: u64| {
        let store = store.clone();
        tokio::spawn(async move {
            let chain = format!("patch-deployment/{number}");
            for entry in 0..EACH {
                let record = record(&chain, round * EACH + entry);
                store.actions.append_audit(record).await.unwrap();
            }
        })
    };
    for ended in join_all((0..writers).map(writer)).await {
        ended.unwrap();
    }
}

fn appends(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("durable audit entries");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(8));
    for writers in WRITERS {
        let folder = tempfile::tempdir_in(folder()).unwrap();
        let store = Store::embedded(&folder.path().join("autoops.db")).unwrap();
        let mut rounds = 0;
        group.throughput(Throughput::Elements(writers * EACH));
        group.bench_function(BenchmarkId::new("writers", writers), |bencher| {
            bencher.iter(|| {
                runtime.block_on(append(&store, rounds, writers));
                rounds += 1;
            });
        });
        // What was measured is there, and whole.
        runtime.block_on(async {
            for number in 0..writers {
                let chain = format!("patch-deployment/{number}");
                let most = usize::try_from(rounds * EACH).unwrap();
                let entries = store.actions.read_chain(&chain, 0, most + 1).await.unwrap();
                assert_eq!(entries.len(), most);
                audit::verify(&chain, None, &entries).unwrap();
            }
        });
    }
    group.finish();
}

criterion_group!(benches, appends);
criterion_main!(benches);
