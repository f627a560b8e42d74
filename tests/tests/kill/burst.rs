//! Many alerts at once: the real worker reads them as its schedule does, page by page and reading by reading,
//! and the triage places each of them. `AUTOOPS_BURST` says how many.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use autoops_tests::{
    deployment::ended,
    ground::{Ground, Memory, Scene},
    histories::runs_of,
    report, wire,
};
use clients::store::AlertsOf;
use contracts::{alerts::AlertIngestResult, ids};
use domain::ids::ClientId;
use serde_json::json;

use crate::{
    effort::{Effort, Machine},
    fleet::{Job, fleet},
};

/// The server warns here.
const MOST_EVENTS: usize = 10_000;
const HEAD: &str = "| Alerts | Stored, seconds | Readings | Pages | Placed, seconds | Lost | Events of `AlertIngest`, at most \
| of `AlertProcessing` | Peak MB of the worker |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Requests a minute: SuperOps allows less, and then it takes longer.
const BUDGET: u32 = 1_000_000;

/// Alerts of the client in the store, and how many of them have a place.
async fn placed(ground: &Ground, client: &ClientId) -> (usize, usize) {
    let (mut ids, mut placed, mut cursor) = (BTreeSet::new(), 0, None::<String>);
    let all = AlertsOf::Client(client.clone());
    loop {
        let page = ground
            .store
            .alerts
            .list_alerts(&all, cursor.as_deref(), 1000);
        let page = page.await.unwrap();
        placed += page
            .items
            .iter()
            .filter(|one| one.placement.is_some())
            .count();
        ids.extend(page.items.into_iter().map(|one| one.said.id));
        cursor = page.next;
        if cursor.is_none() {
            return (ids.len(), placed);
        }
    }
}

async fn has_news(ground: &Ground) -> bool {
    let busy = ground.store.alerts.busy_clients(None, 100).await.unwrap();
    busy.items.iter().any(|one| one.has_news)
}

async fn longest_run(ground: &Ground, workflow_id: &str) -> usize {
    let runs = runs_of(&ground.client, workflow_id).await;
    runs.iter().map(Vec::len).max().unwrap_or_default()
}

/// The most memory that a process of a group ever had, in MB.
fn peak_mb(group: i32) -> u64 {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let of_group = processes.filter(|process| {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(2) == Some(group.to_string().as_str())
    });
    let peaks = of_group.filter_map(|process| {
        let status = fs::read_to_string(process.path().join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kb: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kb / 1024)
    });
    peaks.max().unwrap_or_default()
}

#[test]
fn a_burst_is_read_and_placed_alert_by_alert() {
    let _shared = Machine::shared(1);
    let effort = Effort::of_this_run();
    let burst = effort.alerts as usize;
    let longest = Duration::from_secs(120) + Duration::from_millis(50) * effort.alerts;
    let job = Job::lied_to("burst", 9, 50, |_| {});
    let client: ClientId = job.client.parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut scene = Scene::new(fleet(&[job]), 1.0, Memory::None);
        scene.budget = Some(BUDGET);
        let ground = Ground::set(scene).await;
        ground.raise(&json!({ "count": burst })).await;
        let begin = Instant::now();
        let (mut readings, mut pages, mut events) = (0, 0, 0);
        // One after the other, as a schedule starts them when the one before has ended.
        loop {
            let id = format!("alert-ingest/burst-{readings}");
            let read = ended(&ground.client, "AlertIngest", &id, wire::json(&json!({})));
            let read: AlertIngestResult = read.await.unwrap();
            assert_eq!(read.failed, None);
            (readings, pages) = (readings + 1, pages + read.pages);
            events = events.max(longest_run(&ground, &id).await);
            if read.walked {
                break;
            }
            assert!(begin.elapsed() < longest, "{readings} readings, {read:?}");
        }
        let stored = begin.elapsed();
        while has_news(&ground).await || placed(&ground, &client).await != (burst, burst) {
            let waited = begin.elapsed() < longest;
            let found = placed(&ground, &client).await;
            assert!(waited, "{found:?} of {burst}: {}", ground.log_tail());
            tokio::time::sleep(LOOK).await;
        }
        let seconds = begin.elapsed().as_secs();
        let of_triage = longest_run(&ground, &ids::alert_processing(&client)).await;
        let (stored, peak) = (stored.as_secs(), peak_mb(ground.worker.group()));
        let row = format!(
            "| {burst} | {stored} | {readings} | {pages} | {seconds} | 0 | {events} | {of_triage} | {peak} |\n"
        );
        report::written("burst", &format!("{HEAD}{row}"));
        assert!(events < MOST_EVENTS && of_triage < MOST_EVENTS);
        ground.stop().await;
    });
}
