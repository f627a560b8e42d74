//! One campaign on a ground of its own, from its start to its end.

mod fleet;
mod steps;

use std::time::{Duration, Instant};

use autoops_tests::{
    deployment::start_raw,
    ground::{Ground, Memory, Scene},
    scale::{Inputs, campaign::CampaignRun},
    wire,
};
use contracts::{
    campaign::{CampaignCarry, PatchCampaignResult},
    intel::IntelSyncResult,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use temporalio_client::{
    UntypedQuery, UntypedWorkflow, WorkflowGetResultOptions, WorkflowQueryOptions,
};
use temporalio_common::data_converters::RawValue;

use self::steps::Steps;
use crate::{crew::Crew, histories, process};

/// Far more than the workers can use.
const BUDGET: u32 = 1_000_000;
/// Lines that a campaign leaves in the simulator's log for each device, at most.
const LOG_LINES: usize = 10;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Between two lines about how far it is.
const SAY: Duration = Duration::from_secs(20);
/// Far longer than the slowest step of a fleet takes.
const STUCK: Duration = Duration::from_secs(3600);

/// Runs one size; says in the end what it came to.
pub(crate) async fn run(inputs: &Inputs, count: u32) -> CampaignRun {
    let fleet = fleet::fleet(count);
    let patches = fleet.patches.clone();
    let ground = Ground::set(Scene {
        workers: inputs.workers,
        budget: Some(BUDGET),
        log_lines: Some(count as usize * LOG_LINES),
        ..Scene::new(fleet, inputs.speed, Memory::None)
    })
    .await;
    let crew = Crew::of(&ground);
    let server = process::of_group(ground.temporal_group(), &ground.temporal_cli());
    let us = std::process::id();

    // Programs have facts from the simulated sources, updates as many as those of Windows.
    let sources = json!({ "sources": ["kev", "nvd"], "nvd_since": "2024-01-01T00:00:00Z" });
    let id = "intel-sync/bench";
    start(&ground, "IntelSync", id, &sources).await;
    let _: IntelSyncResult = result(&ground, id).await;
    fleet::facts(&ground.store, &patches).await;

    let id = format!("patch-campaign/{}/bench", fleet::CLIENT);
    let cpu = |crew: &Crew| [crew.cpu(), process::cpu(server), process::cpu(us)];
    let (before, begin) = (cpu(&crew), Instant::now());
    // Room for one deployment: it asks people, and costs next to nothing until they answer.
    let input = json!({
        "client": fleet::CLIENT, "requested_by": "tim",
        "limits": { "most_open_of_client": 1, "most_open": 1 },
    });
    start(&ground, "PatchCampaign", &id, &input).await;
    let mut steps = Steps::default();
    let result: PatchCampaignResult = {
        let ended = result(&ground, &id);
        tokio::pin!(ended);
        let mut said = Instant::now();
        loop {
            tokio::select! {
                result = &mut ended => break result,
                () = tokio::time::sleep(LOOK) => {}
            }
            let Some(carry) = standing(&ground, &id).await else {
                continue;
            };
            let peak = crew.peaks().into_iter().fold(0.0, f64::max);
            steps.look(&carry.step, crew.cpu(), peak);
            if said.elapsed() > SAY {
                let done = carry.done;
                println!(
                    "  {} patch lists, {} software lists, {peak:.0} MB",
                    done.lists, done.software_lists
                );
                said = Instant::now();
            }
        }
    };
    let (seconds, after) = (begin.elapsed().as_secs_f64(), cpu(&crew));
    let peak_mb = crew.peaks();

    let counts = result.counts;
    let all = u64::from(count);
    assert_eq!((counts.lists, counts.lists_failed), (all, 0), "{result:?}");
    assert_eq!((counts.software_lists, counts.software_failed), (all, 0));
    assert_eq!((counts.started, counts.refused), (1, 0), "{result:?}");
    assert!(counts.vulnerable_products > 0, "{result:?}");
    let mut runs = histories::over(&ground.client, "PatchCampaign").await;
    runs.sort_by_key(|run| run.start_time.map(|at| (at.seconds, at.nanos)));
    for run in &runs {
        steps.add(histories::history(&ground.client, run.execution.clone()).await);
    }
    let steps = steps.finish();
    assert!(
        steps.iter().all(|step| step.activities > 0),
        "a step is missing: {steps:?}"
    );
    let [worker_cpu, server_cpu, bench_cpu] = [0, 1, 2].map(|at| after[at] - before[at]);
    let run = CampaignRun {
        devices: count,
        seconds,
        worker_cpu,
        server_cpu,
        bench_cpu,
        peak_mb,
        events: runs.iter().map(|run| run.history_length).collect(),
        pairs: (counts.pairs, counts.left_out),
        plans: (counts.plans, counts.started),
        steps,
    };
    ground.stop().await;
    run
}

async fn start(ground: &Ground, kind: &str, id: &str, input: &Value) {
    start_raw(&ground.client, kind, id, wire::json(input))
        .await
        .unwrap();
}

async fn result<T: DeserializeOwned + 'static>(ground: &Ground, id: &str) -> T {
    let handle = ground.client.get_workflow_handle::<UntypedWorkflow>(id);
    let result = handle.get_result(WorkflowGetResultOptions::default());
    let result = tokio::time::timeout(STUCK, result).await;
    let result = result.unwrap_or_else(|_| panic!("{id} is stuck:\n{}", ground.log_tail()));
    wire::read(&result.unwrap())
}

/// Where the campaign stands; nothing while no worker answers.
async fn standing(ground: &Ground, id: &str) -> Option<CampaignCarry> {
    let handle = ground.client.get_workflow_handle::<UntypedWorkflow>(id);
    let query = handle.query(
        UntypedQuery::new("status"),
        RawValue::new(vec![]),
        WorkflowQueryOptions::default(),
    );
    let answer = tokio::time::timeout(SAY, query).await.ok()?.ok()?;
    wire::read(&answer)
}
