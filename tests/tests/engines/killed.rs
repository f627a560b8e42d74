//! A real process that writes to the embedded store, every kind of write in a seeded order and several
//! at a time, and is killed by SIGKILL in the middle of it.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
};

use clients::store::{Change, Store};
use futures::future::join_all;
use serde_json::Value;

use crate::{alerts, looks::Probe, writes::Write};

/// Writers of the process at the same time.
const LANES: usize = 4;
/// Writes of each, more than a process lives to do.
const EACH: usize = 400;
/// Names the database file to the process that is killed, and its seed.
const FILE: &str = "AUTOOPS_KILLED_STORE";
const SEED: &str = "AUTOOPS_KILLED_SEED";
/// How often a process is killed: with its number as its seed, each after more changes than the one before.
const DEATHS: usize = 12;
const CHANGES_APART: usize = 25;

/// What a writer does, in order; the same for a seed.
fn list(seed: u64, lane: usize) -> impl Iterator<Item = (Write, String)> {
    let mut state = seed * 1000 + lane as u64;
    (0..EACH).map(move |number| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let kind = (state >> 33) as usize % Write::ALL.len();
        let token = 8_000_000 + lane * 10_000 + number;
        (Write::ALL[kind], token.to_string())
    })
}

async fn write_all(store: &Store, seed: u64, lane: usize) {
    for (write, token) in list(seed, lane) {
        for step in steps(write) {
            step.write(store, &token).await.unwrap();
        }
    }
}

fn steps(write: Write) -> impl Iterator<Item = Write> {
    write.after().iter().copied().chain([write])
}

/// Run by the next test in a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a helper process"]
async fn child() {
    let Ok(path) = std::env::var(FILE) else {
        return;
    };
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    let store = Store::embedded(path.as_ref()).unwrap();
    join_all((0..LANES).map(|lane| write_all(&store, seed, lane))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_no_half_record_in_the_embedded_store() {
    for death in 0..DEATHS {
        let (seed, changes) = (death as u64 + 1, death * CHANGES_APART + 1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("autoops.db");
        let store = Store::embedded(&path).unwrap();
        live_until(&store, &path, seed, changes).await;
        let left = all_changes(&store).await;
        let twin = Store::embedded(&folder.path().join("twin.db")).unwrap();
        let mut done = 0;
        for lane in 0..LANES {
            done += is_whole(&store, &left, &twin, seed, lane).await;
        }
        assert!(done > 0 || changes < 10, "{done} writes were done");
    }
}

/// Starts the process and kills it when so many changes are there.
async fn live_until(store: &Store, path: &Path, seed: u64, changes: usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child", "--ignored"])
        .env(FILE, path)
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while all_changes(store).await.len() < changes {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        tokio::task::yield_now().await;
    }
    child.kill().unwrap();
    let ended = child.wait().unwrap();
    assert_eq!(ended.signal(), Some(9), "{ended}");
}

async fn all_changes(store: &Store) -> Vec<Change> {
    store.outbox.changes_after(0, 100_000).await.unwrap()
}

/// Checks a writer's list: a beginning that is done, one write at most that is done up to a step, then
/// nothing; with the changes of exactly that. The twin is a store in which nobody dies. Returns how many
/// are done.
async fn is_whole(store: &Store, left: &[Change], twin: &Store, seed: u64, lane: usize) -> usize {
    let mut done = 0;
    let mut dead = false;
    for (write, token) in list(seed, lane) {
        let mut told = all_changes(twin).await;
        let nothing = state(twin, write, &token, &told).await;
        let found = state(store, write, &token, left).await;
        if dead {
            assert_eq!(found, nothing, "{write:?} {token}: written after a gap");
            break;
        }
        let mut is_reached = false;
        for step in steps(write) {
            let before = state(twin, step, &token, &told).await;
            step.write(twin, &token).await.unwrap();
            told = all_changes(twin).await;
            let after = state(twin, step, &token, &told).await;
            let seen = state(store, step, &token, left).await;
            is_reached |= is_between(&before, &after, &seen);
        }
        assert!(is_reached, "{write:?} {token}: half of it: {:?}", found.0);
        let all = state(twin, write, &token, &told).await;
        if found == all {
            done += 1;
            continue;
        }
        dead = true;
        // Another process does it again from its beginning.
        for step in steps(write) {
            step.write(store, &token).await.unwrap();
        }
        let finished = write.look(store, &token, &Probe::None).await;
        assert_eq!(finished, all.0, "{write:?} {token}");
        if write == Write::EndTurn {
            alerts::goes_on(store, &token).await;
        }
    }
    done
}

type State = (Vec<Value>, usize);

/// Whether a step was done up to here: each thing is as before it or as after it, and the changes are those of
/// the things that are as after it.
fn is_between((before, none): &State, (after, all): &State, (seen, told): &State) -> bool {
    let each = || before.iter().zip(after).zip(seen);
    let is_whole = each().all(|((before, after), seen)| seen == before || seen == after);
    let written = each().filter(|((before, _), seen)| before != seen).count();
    is_whole && *told == none + (all - none) * written / seen.len()
}

/// What is there of a write, and how many changes tell of it.
async fn state(store: &Store, write: Write, token: &str, changes: &[Change]) -> State {
    let told = changes.iter().filter(|change| change.key.contains(token));
    (write.look(store, token, &Probe::None).await, told.count())
}
