//! A sample of moments: the worker dies in the life of a bigger deployment, the Temporal server under
//! several small ones. A moment is a number of events, so that a slow machine has the same ones.

use std::time::{Duration, Instant};

use autoops_tests::ground::{End, Memory};

use crate::{
    effort::{Dice, Effort, Machine},
    field::Field,
    fleet::Job,
};

/// Most events between two kills of the worker.
const FAR: u64 = 180;
/// Most events between two restarts of the server.
const FARTHER: u64 = 160;
/// Deployments under a server that is restarted.
const SMALL_ONES: u32 = 6;
/// For one round of a usual run.
const LONGEST: Duration = Duration::from_secs(240);

#[test]
fn a_worker_killed_at_any_moment_of_a_bigger_deployment_changes_nothing() {
    let _shared = Machine::shared(1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let effort = Effort::of_this_run();
        let mut table = String::from(
            "| Seed | Rings | Devices | People | Events | Kills | Script starts sent again | Seconds |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for round in 0..effort.rounds {
            let seed = effort.seed + u64::from(round);
            let mut dice = Dice(seed);
            let job = Job::big(round);
            let (rings, devices, people) = (job.rings(), job.devices.len(), job.people.len());
            let mut field = Field::start(vec![job], Memory::None, LONGEST * effort.patience).await;
            let kills = field.kill_now_and_then(&mut dice, FAR, effort.kills).await;
            let seen = field.prove().await;
            assert!(kills >= 10, "it was over after {kills} kills");
            table += &format!(
                "| {seed} | {rings} | {devices} | {people} | {} | {kills} | {} | {} |\n",
                field.events(),
                seen.repeated_starts(),
                field.begin.elapsed().as_secs()
            );
            field.ground.stop().await;
        }
        autoops_tests::report::written("kills-sample", &table);
    });
}

#[test]
fn deployments_go_on_when_the_temporal_server_is_restarted_on_its_file() {
    let _shared = Machine::shared(1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let effort = Effort::of_this_run();
        let mut dice = Dice(effort.seed);
        let batches = effort.restarts.div_ceil(8);
        let jobs = (0..SMALL_ONES * batches).map(Job::small).collect();
        let mut field = Field::start(jobs, Memory::File, LONGEST * effort.patience).await;
        let (mut killed, mut asked, mut longest) = (0, 0, Duration::ZERO);
        while killed + asked < effort.restarts {
            let next = field.events() + dice.from(1, FARTHER);
            field.until(next).await;
            if field.is_over() {
                break;
            }
            let (how, count) = if killed <= asked {
                (End::Killed, &mut killed)
            } else {
                (End::Asked, &mut asked)
            };
            *count += 1;
            let (begin, before) = (Instant::now(), field.events());
            field.ground.restart_temporal(how).await;
            field.until(before + 1).await;
            longest = longest.max(begin.elapsed());
        }
        field.until(u64::MAX).await;
        assert!(
            field.ground.worker.is_running(),
            "the worker has to come back by itself\n{}",
            field.ground.log_tail()
        );
        let seen = field.prove().await;
        assert!(killed >= 3 && asked >= 3, "killed {killed}, asked {asked}");
        let table = format!(
            "| Deployments | Events | SIGKILL | SIGTERM | Longest standstill | Script starts sent again | Seconds |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n| {} | {} | {killed} | {asked} | {} s | {} | {} |\n\nSeed {}.\n",
            field.rollouts.len(),
            field.events(),
            longest.as_secs(),
            seen.repeated_starts(),
            field.begin.elapsed().as_secs(),
            effort.seed,
        );
        autoops_tests::report::written("kills-server", &table);
        field.ground.stop().await;
    });
}
