//! Two workers, one NVD: what it allows holds for both together.

use std::{collections::BTreeSet, time::Duration};

use autoops_tests::{
    deployment::start_raw,
    ground::{Ground, Memory, Scene},
    wire,
};
use contracts::intel::{IntelSyncResult, SourceEnd};
use futures::{TryStreamExt, future::join_all};
use serde_json::json;
use temporalio_client::{WorkflowFetchHistoryOptions, WorkflowGetResultOptions};
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;

use crate::{
    effort::Machine,
    fleet::{SPEED, fleet},
};

/// Requests in any 30 seconds, as NVD allows them without a key.
const ALLOWED: usize = 5;
const WINDOW_MS: u64 = 30_000;
/// Runs at the same time.
const RUNS: usize = 3;
/// All of them read the same windows; a token takes half a minute to come back.
const LONGEST: Duration = Duration::from_secs(240);

#[test]
fn two_workers_together_never_ask_nvd_more_often_than_it_allows() {
    let _shared = Machine::shared(1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ground = Ground::set(Scene {
            workers: 2,
            nvd_budget: Some(ALLOWED as u32),
            ..Scene::new(fleet(&[]), SPEED, Memory::None)
        })
        .await;
        // Some ten windows of 119 days, and one page in each.
        let input = json!({ "sources": ["nvd"], "nvd_since": "2023-06-01T00:00:00Z" });
        let runs = (0..RUNS).map(|run| {
            let (client, id) = (ground.client.clone(), format!("intel-sync/beside-{run}"));
            let input = wire::json(&input);
            async move {
                let started = start_raw(&client, "IntelSync", &id, input).await.unwrap();
                let result = started
                    .get_result(WorkflowGetResultOptions::default())
                    .await;
                let history = started.fetch_history(WorkflowFetchHistoryOptions::default());
                let history: Vec<_> = history.try_collect().await.unwrap();
                (wire::read::<IntelSyncResult>(&result.unwrap()), history)
            }
        });
        let ended = tokio::time::timeout(LONGEST, join_all(runs)).await;
        let mut workers = BTreeSet::new();
        for (result, history) in ended.expect("all runs end") {
            let end = &result.sources[0].end;
            let fine = matches!(end, SourceEnd::Done | SourceEnd::TooSoon { .. });
            assert!(fine, "{result:?}");
            for event in history {
                if let Some(Attributes::ActivityTaskStartedEventAttributes(started)) =
                    &event.attributes
                {
                    workers.insert(started.identity.clone());
                }
            }
        }
        assert_eq!(workers.len(), 2, "{workers:?}");
        let log = ground.nvd_log().await;
        let refused = log
            .iter()
            .filter(|request| request["status"] != 200)
            .count();
        assert_eq!(refused, 0, "{log:?}");
        let times: Vec<u64> = log
            .iter()
            .map(|request| request["at"].as_u64().unwrap())
            .collect();
        assert!(times.len() >= 2 * ALLOWED, "{times:?}");
        for (first, later) in times.iter().zip(times.iter().skip(ALLOWED)) {
            assert!(later - first > WINDOW_MS, "{times:?}");
        }
        ground.stop().await;
    });
}
