//! SuperOps, its agents and the devices do not do what they should: what docs/faults.md promises is
//! held here, scenario by scenario.

use std::time::{Duration, Instant};

use autoops_tests::{
    chain::whole_chain,
    ground::{Ground, Memory},
    report,
};
use contracts::ids;
use domain::outcome::{DeploymentOutcome as E, DeviceOutcome as D};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::{
    effort::Machine,
    fleet::{Job, KB, OTHER_KB, SPEED, fleet},
    rollout::Rollout,
};

/// For one scenario, or several at once.
const LONGEST: Duration = Duration::from_secs(240);
const LOOK: Duration = Duration::from_millis(100);

struct Lie {
    scenario: &'static str,
    devices: u32,
    /// What of the plan is shortened.
    change: fn(&mut Value),
    outcome: E,
    /// How devices end.
    ends: &'static [(D, u32)],
    /// Devices on which the update was installed, each once.
    installed: usize,
    /// Words that the technician reads at a device that is not well.
    words: &'static str,
}

const WELL: Lie = Lie {
    scenario: "",
    devices: 4,
    change: |_| {},
    outcome: E::Verified,
    ends: &[(D::Verified, 4)],
    installed: 4,
    words: "",
};

/// Trouble with the service meets whoever asks: these go one after the other.
const OF_THE_SERVICE: [Lie; 5] = [
    Lie {
        scenario: "slow_answers",
        ..WELL
    },
    Lie {
        scenario: "rate_limited",
        devices: 12,
        ends: &[(D::Verified, 12)],
        installed: 12,
        ..WELL
    },
    Lie {
        scenario: "lost_answers",
        ..WELL
    },
    Lie {
        scenario: "lost_requests",
        ..WELL
    },
    Lie {
        scenario: "reports_out_of_order",
        ..WELL
    },
];

/// Trouble with devices stays with them: these go side by side.
const OF_DEVICES: [Lie; 4] = [
    Lie {
        scenario: "silent_scripts",
        devices: 2,
        change: |plan| {
            plan["waits"]["script_timeout_secs"] = json!(15);
            plan["waits"]["verify_secs"] = json!(20);
        },
        outcome: E::Incomplete,
        ends: &[(D::NeedsHuman, 2)],
        installed: 2,
        words: "the script did not report",
    },
    Lie {
        scenario: "stale_scans",
        devices: 2,
        change: |plan| plan["waits"]["verify_secs"] = json!(5),
        outcome: E::Incomplete,
        ends: &[(D::VerifiedByScript, 2)],
        installed: 2,
        words: "no scan",
    },
    Lie {
        scenario: "never_back",
        devices: 2,
        change: |plan| {
            plan["health"]["online_within_secs"] = json!(5);
            plan["waits"]["script_timeout_secs"] = json!(10);
            plan["waits"]["verify_secs"] = json!(5);
        },
        outcome: E::Incomplete,
        ends: &[(D::NeedsHuman, 2)],
        installed: 2,
        words: "restart",
    },
    Lie {
        scenario: "breaks_every_third",
        devices: 3,
        change: |plan| plan["health"]["services"] = json!(["Spooler"]),
        outcome: E::RolledBack,
        ends: &[(D::Verified, 2), (D::RolledBack, 1)],
        installed: 3,
        words: "Spooler",
    },
];

/// Known to be away before anybody plans.
const AWAY: Lie = Lie {
    scenario: "away",
    devices: 4,
    change: |plan| {
        plan["waits"]["script_timeout_secs"] = json!(30);
        plan["waits"]["max_wait_secs"] = json!(10);
    },
    outcome: E::Incomplete,
    ends: &[(D::Verified, 3), (D::Unreached, 1)],
    installed: 3,
    words: "never reachable",
};

impl Lie {
    fn job(&self, number: u32) -> Job {
        // With devices of other scenarios that fail, it would be enough to stop the update for all.
        let breaks = self.scenario == "breaks_every_third";
        let mut job = Job::lied_to(self.scenario, number, self.devices, self.change);
        job.kb = if breaks { OTHER_KB } else { KB };
        job
    }

    async fn play(&self, ground: &Ground, job: &Job) {
        // One of a ring: of a ring that is all away nobody can say whether the update is good.
        let away = self.scenario == "away";
        let met = if away {
            &job.devices[..1]
        } else {
            &job.devices
        };
        let whom = json!({ "devices": met, "kb": job.kb });
        ground.play(self.scenario, &whom).await;
    }

    /// Checks what the technician sees in the end.
    async fn holds(&self, ground: &Ground, rollout: &Rollout) {
        let (name, job) = (self.scenario, &rollout.job);
        let result = rollout.result(ground).await;
        let plan = job.plan.parse().unwrap();
        let rows = ground
            .store
            .executions
            .list_device_rows(&plan, None, None, 100);
        let details: Vec<_> = rows.await.unwrap().items;
        let details: Vec<_> = details.into_iter().map(|row| row.result.detail).collect();
        assert_eq!(
            result.outcome, self.outcome,
            "{name}: {result:?} {details:?}"
        );
        for (outcome, count) in self.ends {
            assert_eq!(
                result.counts.of(*outcome),
                *count,
                "{name}: {result:?} {details:?}"
            );
        }
        assert_eq!(result.counts.total(), self.devices, "{name}: {result:?}");
        let told = details.iter().any(|detail| detail.contains(self.words));
        assert!(told, "{name}: {details:?}");
        let log = ground.simulator_log("installed").await;
        let installed = log.iter().filter(|row| {
            let device = row["device"].as_str().unwrap_or_default();
            job.devices.iter().any(|ours| ours == device)
        });
        let mut installed: Vec<_> = installed.map(|row| row["device"].to_string()).collect();
        let all = installed.len();
        installed.sort_unstable();
        installed.dedup();
        assert_eq!(
            (installed.len(), all),
            (self.installed, self.installed),
            "{name}"
        );
        whole_chain(&ground.store, &ids::patch_deployment(&plan)).await;
        for id in &job.devices {
            whole_chain(&ground.store, &format!("device-patch/{plan}/{id}")).await;
        }
    }

    fn row(&self) -> String {
        let ends = self
            .ends
            .iter()
            .map(|(outcome, count)| format!("{count} {}", outcome.as_str()));
        let ends = ends.collect::<Vec<_>>().join(", ");
        let (outcome, exit) = (self.outcome.as_str(), self.outcome.exit_status());
        let installed = self.installed;
        format!(
            "| `{}` | {ends} | {installed} | {outcome}, exit {exit} |\n",
            self.scenario
        )
    }
}

/// Starts it and waits until people are asked: the trouble begins when it is approved.
pub(crate) async fn waits_for_people(ground: &Ground, job: Job, longest: Duration) -> Rollout {
    let rollout = Rollout::start(ground, job).await;
    let plan = rollout.job.plan.parse().unwrap();
    let begin = Instant::now();
    loop {
        let status = ground.store.executions.get_status(&plan).await.unwrap();
        if status.is_some_and(|status| status.needs_approval) {
            return rollout;
        }
        assert!(begin.elapsed() < longest, "{plan}: {}", ground.log_tail());
        tokio::time::sleep(LOOK).await;
    }
}

pub(crate) async fn approved_to_its_end(
    ground: &Ground,
    mut rollout: Rollout,
    longest: Duration,
) -> Rollout {
    let begin = Instant::now();
    while !rollout.is_over() {
        rollout.approve_if_asked(ground).await;
        rollout.look(ground).await;
        let name = &rollout.job.plan;
        if begin.elapsed() > longest {
            let status = ground
                .store
                .executions
                .get_status(&name.parse().unwrap())
                .await;
            let status = status
                .unwrap()
                .map(|s| (s.stage, s.note, s.counts, s.stragglers));
            panic!("{name} does not end: {status:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
    rollout
}

#[test]
fn what_lies_is_found_out_and_told_as_the_document_says() {
    let _shared = Machine::shared(1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let all: Vec<_> = OF_THE_SERVICE.iter().chain(&OF_DEVICES).chain([&AWAY]).collect();
        let jobs: Vec<_> = (0..).zip(&all).map(|(n, lie)| lie.job(n)).collect();
        let ground = Ground::start(fleet(&jobs), SPEED, Memory::None).await;
        let (service, devices) = jobs.split_at(OF_THE_SERVICE.len());
        let (devices, away) = devices.split_at(OF_DEVICES.len());
        let waiting = join_all(devices.iter().map(|job| waits_for_people(&ground, job.clone(), LONGEST)));
        let waiting = waiting.await;
        for (lie, job) in OF_DEVICES.iter().zip(devices) {
            lie.play(&ground, job).await;
        }
        let ending = waiting.into_iter().map(|rollout| approved_to_its_end(&ground, rollout, LONGEST));
        for (lie, rollout) in OF_DEVICES.iter().zip(join_all(ending).await) {
            lie.holds(&ground, &rollout).await;
        }
        ground.calm().await;
        for (lie, job) in OF_THE_SERVICE.iter().zip(service) {
            let rollout = waits_for_people(&ground, job.clone(), LONGEST).await;
            lie.play(&ground, job).await;
            let rollout = approved_to_its_end(&ground, rollout, LONGEST).await;
            ground.calm().await;
            lie.holds(&ground, &rollout).await;
        }
        AWAY.play(&ground, &away[0]).await;
        let rollout = waits_for_people(&ground, away[0].clone(), LONGEST).await;
        let rollout = approved_to_its_end(&ground, rollout, LONGEST).await;
        AWAY.holds(&ground, &rollout).await;
        ground.stop().await;
        let mut table = String::from(
            "| Scenario | Devices end as | Installed, once each | Outcome |\n| --- | --- | ---: | --- |\n",
        );
        table.extend(all.iter().map(|lie| lie.row()));
        report::holds("lies", &table);
    });
}
