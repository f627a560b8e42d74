//! Every activity fails in every way, and each time the end is the one that is written in the table.

mod table;

use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use autoops_tests::{Deployment, Install, Lost, OpeningIn, Start, World, plan, report, run, site};
use contracts::activities::{self, notify::NoticeKind};
use domain::{
    dead_letter::LetterKind,
    deployment::{DeploymentStatus, Stage},
    outcome::{DeploymentOutcome as E, DeviceOutcome as D},
    plan::RollbackScope,
    script::ScriptMode,
};
use futures::{FutureExt, StreamExt, stream};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{deploying::rings_of, letters::open_letters, outages::device_status};
use table::{AS_EVER, Ends, OF_DEVICES, Row, TABLE, Told};

/// Stories told at once: they mostly wait.
static AT_ONCE: Semaphore = Semaphore::const_new(12);

impl Told {
    /// The end when nothing fails for good.
    fn ends(self) -> Ends {
        match self {
            Self::StaysAway => Ends::With(E::Incomplete, Some(D::Verified)),
            Self::Undone => Ends::With(E::RolledBack, Some(D::RolledBack)),
            _ => AS_EVER,
        }
    }

    fn devices(self) -> u32 {
        match self {
            Self::ComesBack | Self::StaysAway | Self::Undone => 2,
            _ => 1,
        }
    }

    fn asks(self) -> bool {
        matches!(self, Self::Plain | Self::WrongPlan)
    }

    async fn begin(
        self,
        name: &str,
        activity: &'static str,
        way: &Way,
    ) -> (Arc<World>, Deployment) {
        let site = site().await;
        let world = World::new(site, name, self.devices());
        world.change(|m| {
            m.fail(activity, way.call, way.lost.clone());
            if self.asks() {
                // Nobody can answer where nobody is let through.
                let timeout = if activity == "approvals.authorize" {
                    12
                } else {
                    300
                };
                m.verdict = plan::asks(|need| need.timeout_secs = timeout);
            }
            m.device("81").needs_restart = self == Self::Plain;
            match self {
                Self::Plain | Self::WrongPlan => {}
                Self::Untold => m.fail("notify.send", None, Lost::Refused("notify.unauthorized")),
                Self::ComesBack | Self::StaysAway => m.device("82").device.online = false,
                Self::Undone => m.device("82").install = Install::Fails { installed: None },
                Self::Silent => m.openings = [OpeningIn(Duration::from_secs(5))].into(),
                Self::NotStarted => {
                    m.device("81").starts = [Start::AnswerLost { ran: false }].into()
                }
            }
        });
        let deployment = world
            .deploy(site, |r| {
                r.waits.call_secs = 2;
                r.patches[0].cves = vec!["CVE-2024-20666".parse().unwrap()];
                match self {
                    Self::Plain | Self::WrongPlan | Self::Untold => {}
                    Self::ComesBack => r.waits.script_timeout_secs = 2,
                    Self::StaysAway => {
                        r.waits.script_timeout_secs = 2;
                        r.waits.max_wait_secs = 1;
                    }
                    Self::Undone => {
                        r.rings = rings_of(&["81", "82"]);
                        r.rollback.scope = RollbackScope::AllDevices;
                    }
                    Self::Silent => r.waits.script_timeout_secs = 3,
                    Self::NotStarted => r.waits.callback_secs = 1,
                }
            })
            .await;
        (world, deployment)
    }

    /// Does what people do, as far as the deployment gets.
    async fn drive(self, world: &World, deployment: &Deployment) {
        if self == Self::ComesBack {
            deployment
                .until_asked("a straggler or the end", |s| {
                    s.stragglers > 0 || s.stage == Stage::Done
                })
                .await;
            world.change(|m| m.device("82").device.online = true);
        }
        if !self.asks() {
            return;
        }
        let asked = |s: &DeploymentStatus| s.needs_approval || s.stage == Stage::Done;
        deployment.until_asked("a request or the end", asked).await;
        if !deployment.status().await.needs_approval {
            return;
        }
        if self == Self::WrongPlan {
            let meant = json!({ "by": "dana", "plan_hash": "f".repeat(64) });
            deployment.signal("approve", meant).await;
        }
        deployment.signal("approve", json!({ "by": "dana" })).await;
    }
}

/// Tells the story of a row with its activity failing, and checks how it ends.
async fn survives(row: &Row, way: &Way) {
    let _turn = AT_ONCE.acquire().await.unwrap();
    let name = format!(
        "{}-{}",
        row.activity.replace(['.', '_', '/'], "-"),
        way.name
    );
    let (world, deployment) = row.told.begin(&name, row.activity, way).await;
    row.told.drive(&world, &deployment).await;
    let ends = match way.lost {
        Lost::Refused(_) => row.refused,
        _ => row.told.ends(),
    };
    let words = match ends {
        Ends::Refused => deployment.failure().await.1,
        Ends::With(outcome, device) => {
            let result = deployment.ends(outcome).await;
            assert_eq!(row_of(&world, row, way), device, "{name}: {result:?}");
            result.detail
        }
    };
    let called = world.read(|m| m.calls_of(row.own_activity()));
    assert!(called >= way.least_calls, "{name}: called {called} times");
    nothing_is_left(&name, row, way, &world, &deployment).await;
    if way.is_for_good() {
        let all = seen(&name, &world, &deployment).await;
        let all = format!("{words}\n{all}");
        assert!(all.contains(row.seen), "{name}: {all}");
    }
}

/// All that a technician may look at: state, results, letters, the audit trail, the runs of devices.
async fn seen(name: &str, world: &World, deployment: &Deployment) -> String {
    let status = deployment.status().await;
    let mut all = vec![status.note.clone()];
    all.extend(status.trouble.clone());
    if let Some(risk) = &status.risk {
        all.push(format!("confidence {} of 1000", risk.confidence_permille));
        all.extend(
            risk.degraded
                .then(|| "the risk is marked degraded".to_owned()),
        );
    }
    for entry in world.chain(deployment.id()).await {
        all.push(entry.record.detail.to_string());
    }
    let letters = open_letters(world).await;
    all.extend(letters.into_iter().map(|letter| letter.cause));
    let (rows, runs, announced) = world.read(|m| {
        let rows = m.rows.values().map(|r| r.result.detail.clone());
        let rows: Vec<_> = rows.collect();
        (rows, m.scripts.len(), m.announced.len())
    });
    all.extend(rows);
    if runs > 0 {
        let run = device_status(name, "81").await;
        all.push(run.note);
        all.extend(run.trouble);
        all.extend((announced == 0).then(|| "alerts of the wave are news".to_owned()));
    }
    all.join("\n")
}

/// How the first device ended; what could not be written down is not looked for.
fn row_of(world: &World, row: &Row, way: &Way) -> Option<D> {
    let unwritten = row.activity == "store.save_device" && way.is_for_good();
    if unwritten {
        assert_eq!(world.read(|m| m.outcome_of("81")), None);
        return Some(D::Verified);
    }
    world.read(|m| m.outcome_of("81"))
}

/// Compensations have run, leases are given back, nobody is left waiting, the audit trail is whole.
async fn nothing_is_left(name: &str, row: &Row, way: &Way, world: &World, deployment: &Deployment) {
    let kept = row.activity == "inventory.release_lease" && way.is_for_good();
    assert_eq!(world.read(|m| m.leases.is_empty()), !kept, "{name}: leases");
    let status = deployment.status().await;
    assert!(!status.needs_approval, "{name}: people are still asked");
    assert_eq!(status.stage, Stage::Done, "{name}");
    let jobs: Vec<_> = world.read(|m| {
        let installs = m.scripts.iter().filter(|s| s.mode == ScriptMode::Install);
        installs.map(|s| s.job.clone()).collect()
    });
    let distinct: BTreeSet<_> = jobs.iter().collect();
    assert!(
        distinct.len() <= row.told.devices() as usize,
        "{name}: {jobs:?}"
    );
    if row.own_activity() == "store.append_audit" && way.is_for_good() {
        return;
    }
    world.verify_audit().await;
    let audited = deployment.audited().await;
    let once = |what: &str| audited.iter().filter(|w| *w == what).count() == 1;
    let last = if status.outcome == Some(E::Refused) {
        "deployment_refused"
    } else {
        "deployment_finished"
    };
    let after: Vec<_> = audited
        .iter()
        .skip_while(|what| *what != last)
        .skip(1)
        .collect();
    let is_end = after.iter().all(|what| *what == "notice_not_sent");
    assert!(once(last) && is_end, "{name}: {audited:?}");
    let decided = audited.iter().filter(|w| *w == "decision_counted").count();
    assert!(decided <= 1, "{name}: {audited:?}");
    let told = world.read(|m| m.told());
    let silent = row.told == Told::Untold || row.activity == "notify.send" && way.is_for_good();
    let finished = told
        .iter()
        .filter(|k| **k == NoticeKind::DeploymentFinished)
        .count();
    assert_eq!(finished, usize::from(!silent), "{name}: {told:?}");
    let refused = open_letters(world).await.into_iter();
    let refused = refused.filter(|letter| letter.kind == LetterKind::DeploymentRefused);
    let expected = usize::from(status.outcome == Some(E::Refused));
    assert_eq!(refused.count(), expected, "{name}: letters");
}

/// A way in which an activity fails.
struct Way {
    name: &'static str,
    /// The call that fails; each when absent.
    call: Option<u32>,
    lost: Lost,
    /// Calls that there are at least.
    least_calls: usize,
}

impl Way {
    fn is_for_good(&self) -> bool {
        self.call.is_none()
    }
}

/// Goes on after a row that does not hold: each is worth knowing.
fn in_every_row(way: Way) {
    run(async {
        let rows = TABLE.iter().chain(&OF_DEVICES);
        let all = stream::iter(rows).map(|row| {
            let survived = AssertUnwindSafe(survives(row, &way)).catch_unwind();
            survived.map(|survived| survived.err().map(|_| row.activity))
        });
        let failed = all
            .buffer_unordered(TABLE.len() + OF_DEVICES.len())
            .filter_map(std::future::ready);
        let failed: Vec<_> = failed.collect().await;
        assert!(failed.is_empty(), "{}: {failed:?}", way.name);
    });
}

#[test]
fn the_table_has_every_activity_of_deployments() {
    assert_eq!(TABLE.map(|row| row.activity), activities::PATCHING);
    let mut table = String::from(
        "| Activity | Unavailable, silent or unheard once | Refused for good | Seen |\n| --- | --- | --- | --- |\n",
    );
    for row in TABLE.iter().chain(&OF_DEVICES) {
        let (title, once, refused) = (row.title(), row.told.ends(), row.refused);
        table += &format!("| {title} | {once} | {refused} | {} |\n", row.seen);
    }
    report::holds("faults", &table);
}

#[test]
fn every_activity_may_be_unavailable_once() {
    in_every_row(Way {
        name: "unavailable",
        call: Some(1),
        lost: Lost::Retryable,
        least_calls: 2,
    });
}

#[test]
fn every_activity_may_time_out_once() {
    in_every_row(Way {
        name: "silent",
        call: Some(1),
        lost: Lost::Silent,
        least_calls: 2,
    });
}

#[test]
fn every_activity_may_lose_its_answer_once() {
    in_every_row(Way {
        name: "unheard",
        call: Some(1),
        lost: Lost::Answer,
        least_calls: 2,
    });
}

#[test]
fn a_lost_answer_is_one_that_was_given() {
    run(async {
        let world = World::new(site().await, "answer-of-the-second-try", 1);
        world.change(|m| {
            m.fail("risk.assess", 1, Lost::Retryable);
            m.fail("risk.assess", 1, Lost::Answer);
        });
        let deployment = world.deploy(site().await, |_| {}).await;
        deployment.ends(E::Verified).await;
        let calls = world.read(|m| m.calls_of("risk.assess"));
        assert_eq!(calls, 3, "one failed, one was not heard, one was");
    });
}

#[test]
fn every_activity_may_be_refused_for_good() {
    in_every_row(Way {
        name: "refused",
        call: None,
        lost: Lost::Refused("harness.unauthorized"),
        least_calls: 1,
    });
}
