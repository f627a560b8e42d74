//! One run on a ground of its own, from the start of the deployment to its proof.

use std::time::{Duration, Instant};

use autoops_tests::{
    deployment::start_raw,
    ground::{Ground, Memory, Scene},
    scale::{Inputs, Run},
    wire,
};
use contracts::{deployment::DeploymentResult, ids};
use domain::{
    deployment::DeploymentStatus,
    outcome::{DeploymentOutcome, DeviceOutcome},
};
use serde_json::json;
use temporalio_client::{
    UntypedSignal, UntypedWorkflow, WorkflowGetResultOptions, WorkflowSignalOptions,
};

use crate::{
    crew::Crew,
    fleet::{self, PERSON, PLAN},
    histories::{self, Counts},
    process, proof,
};

/// Far more than the workers can use.
const BUDGET: u32 = 1_000_000;
/// Lines that a device leaves in the simulator's log, at most.
const LOG_LINES: usize = 40;
/// Device histories that are read.
const SAMPLE: usize = 200;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Between two lines about how far it is.
const SAY: Duration = Duration::from_secs(20);
/// A deployment that gets no device done for so long is stuck.
const STUCK: Duration = Duration::from_secs(180);

/// Runs one size and proves it; says in the end what it came to.
pub(crate) async fn run(inputs: &Inputs, count: u32, with_kill: bool) -> Run {
    let devices = fleet::devices(count);
    let fleet = fleet::fleet(&devices, inputs.speed);
    let mut ground = Ground::set(Scene {
        workers: inputs.workers,
        budget: Some(BUDGET),
        log_lines: Some(devices.len() * LOG_LINES),
        ..Scene::new(fleet, inputs.speed, Memory::None)
    })
    .await;
    let mut crew = Crew::of(&ground);
    let server = process::of_group(ground.temporal_group(), &ground.temporal_cli());
    let us = std::process::id();

    start(&ground).await;
    until(&ground, count, |status| status.needs_approval).await;
    let cpu = |crew: &Crew| [crew.cpu(), process::cpu(server), process::cpu(us)];
    let (before, begin) = (cpu(&crew), Instant::now());
    approve(&ground).await;
    if with_kill {
        let half = |status: &DeploymentStatus| status.counts.total() * 2 >= count;
        until(&ground, count, half).await;
        crew.kill_one(&mut ground).await;
    }
    until(&ground, count, |status| status.outcome.is_some()).await;
    let result = result(&ground).await;
    let (seconds, after) = (begin.elapsed().as_secs_f64(), cpu(&crew));
    let peak_mb = crew.peaks();

    assert_eq!(result.outcome, DeploymentOutcome::Verified, "{result:?}");
    let verified = result.counts.of(DeviceOutcome::Verified);
    assert_eq!((verified, result.counts.total()), (count, count));
    let starts_again = proof::prove(&ground, &devices).await;

    let device_runs = device_runs(&ground, devices.len()).await;
    let (mut of_devices, mut of_all) = (Counts::default(), Counts::default());
    for run in device_runs.iter().step_by(devices.len().div_ceil(SAMPLE)) {
        of_devices.add(&ground.client, run).await;
    }
    let deployment_runs = histories::over(&ground.client, "PatchDeployment").await;
    let made_way = deployment_runs
        .iter()
        .filter(|run| histories::made_way(run));
    assert_eq!(
        made_way.count() + 1,
        deployment_runs.len(),
        "one chain of runs"
    );
    for run in &deployment_runs {
        of_all.add(&ground.client, run).await;
    }
    println!("activities of the deployment: {:?}", of_all.activities);
    println!(
        "activities of the sampled devices: {:?}",
        of_devices.activities
    );
    let tasks = of_all.tasks.iter().chain(&of_devices.tasks);
    let [worker_cpu, server_cpu, bench_cpu] = [0, 1, 2].map(|at| after[at] - before[at]);
    let run = Run {
        devices: count,
        seconds,
        worker_cpu,
        server_cpu,
        bench_cpu,
        peak_mb,
        longest_deployment: histories::longest(&deployment_runs),
        deployment_runs: deployment_runs.len(),
        deployment_events: deployment_runs.iter().map(|run| run.history_length).sum(),
        longest_device: histories::longest(&device_runs),
        share_percent: crew.shares(tasks),
        killed: with_kill,
        starts_again,
        per_device: of_devices.means(),
    };
    ground.stop().await;
    run
}

fn workflow_id() -> String {
    ids::patch_deployment(&PLAN.parse().unwrap())
}

async fn start(ground: &Ground) {
    let input = wire::json(&fleet::plan());
    start_raw(&ground.client, "PatchDeployment", &workflow_id(), input)
        .await
        .unwrap();
}

/// Approves as a person does by hand, with the `temporal` CLI.
async fn approve(ground: &Ground) {
    let decision = json!({ "by": PERSON, "decision_id": "yes" });
    let handle = ground
        .client
        .get_workflow_handle::<UntypedWorkflow>(workflow_id());
    let sent = handle.signal(
        UntypedSignal::new("approve"),
        wire::json(&decision),
        WorkflowSignalOptions::default(),
    );
    sent.await.unwrap();
}

async fn result(ground: &Ground) -> DeploymentResult {
    let handle = ground
        .client
        .get_workflow_handle::<UntypedWorkflow>(workflow_id());
    let result = handle.get_result(WorkflowGetResultOptions::default());
    let result = tokio::time::timeout(STUCK, result).await;
    wire::read(&result.expect("the deployment ends").unwrap())
}

/// Waits until its status in the store is so.
async fn until(ground: &Ground, count: u32, test: impl Fn(&DeploymentStatus) -> bool) {
    let plan = PLAN.parse().unwrap();
    let (mut moved, mut said, mut done) = (Instant::now(), Instant::now(), 0);
    loop {
        let status = ground.store.executions.get_status(&plan).await.unwrap();
        if let Some(status) = &status {
            if test(status) {
                return;
            }
            let now_done = status.counts.total();
            if now_done > done {
                (moved, done) = (Instant::now(), now_done);
            }
            assert!(
                status.outcome.is_none(),
                "it ended too early: {status:?}\n{}",
                ground.log_tail()
            );
        }
        assert!(
            moved.elapsed() < STUCK,
            "nothing happens any more: {status:?}\n{}",
            ground.log_tail()
        );
        if said.elapsed() > SAY {
            println!("  {done} of {count} devices are done");
            said = Instant::now();
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// All device runs; the list of the server is a little behind.
async fn device_runs(
    ground: &Ground,
    count: usize,
) -> Vec<temporalio_common::protos::temporal::api::workflow::v1::WorkflowExecutionInfo> {
    let begin = Instant::now();
    loop {
        let runs = histories::over(&ground.client, "DevicePatch").await;
        if runs.len() >= count {
            return runs;
        }
        assert!(begin.elapsed() < STUCK, "{} of {count} runs", runs.len());
        tokio::time::sleep(LOOK).await;
    }
}
