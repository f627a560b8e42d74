//! What runs by the clock, with the real `autoops` on a real server.

use std::{path::PathBuf, process::Output, time::Instant};

use autoops_tests::{Lost, World, histories::runs_of, run, site, wire, world::PATIENCE};
use clients::store::Store;
use contracts::{activities::SEALING, ids::Scheduled, seal::DailySealResult, search};
use dev_server::links::beside_us;
use serde_json::{Value, json};
use temporalio_client::{
    RpcOptions, UntypedWorkflow, WorkflowGetResultOptions,
    schedules::{CreateScheduleOptions, ScheduleAction, ScheduleSpec},
};
use temporalio_common::protos::temporal::api::{
    history::v1::history_event::Attributes, schedule::v1::schedule_action::Action,
};

use crate::sealing;

/// A desk with `autoops` and a file on it.
struct Desk {
    folder: tempfile::TempDir,
    address: &'static str,
}

impl Desk {
    async fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            address: site().await.address(),
        }
    }

    fn file(&self, toml: &str) -> String {
        let path: PathBuf = self.folder.path().join("schedules.toml");
        std::fs::write(&path, toml).unwrap();
        path.display().to_string()
    }

    async fn autoops(&self, args: &[&str]) -> Output {
        self.command(&[&["schedules"], args].concat()).await
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    async fn command(&self, args: &[&str]) -> Output {
        let program = beside_us("autoops").unwrap();
        let mut command = tokio::process::Command::new(program);
        command
            .current_dir(self.folder.path())
            .args(args)
            .env("AUTOOPS_STORE__PATH", self.store())
            .env("TEMPORAL_ADDRESS", self.address)
            .env("TEMPORAL_CONFIG_FILE", "/nowhere/temporal.toml");
        command.output().await.unwrap()
    }

    /// Runs a command that does what it should.
    async fn does(&self, args: &[&str]) -> String {
        let output = self.autoops(args).await;
        let (said, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{args:?}: {said}{error}");
        said
    }

    async fn json(&self, args: &[&str]) -> Value {
        let said = self.does(&[args, &["--json"]].concat()).await;
        serde_json::from_str(&said).unwrap()
    }

    /// Runs a command that is refused, and returns why.
    async fn refuses(&self, args: &[&str]) -> String {
        let output = self.autoops(args).await;
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        error
    }

    async fn apply(&self, toml: &str) -> Value {
        self.json(&["apply", &self.file(toml)]).await
    }

    /// Asks until it is so; a list takes a moment to know what is new.
    async fn until(&self, args: &[&str], test: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let answer = self.json(args).await;
            if test(&answer) {
                return answer;
            }
            assert!(start.elapsed() < PATIENCE, "{args:?}: {answer}");
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn outcomes(report: &Value) -> Vec<&str> {
    let rows = report["schedules"].as_array().unwrap();
    rows.iter()
        .map(|row| row["outcome"].as_str().unwrap())
        .collect()
}

fn entry(name: &str, more: &str) -> String {
    format!("[[schedule]]\nname = '{name}'\nkind = 'daily-seal'\n{more}\n")
}

#[test]
fn a_file_is_applied_once_changed_where_it_changes_and_left_alone_else() {
    run(async {
        let desk = Desk::new().await;
        let campaign = "[[schedule]]\nname = 'sched-campaign'\nkind = 'patch-campaign'\nclient = '7'\n\
                        cron = '0 18 * * tue'\ntime_zone = 'Europe/Berlin'\npaused = true\n";
        let seal = |more| entry("sched-applied", more);
        let first = format!("{campaign}{}", seal("cron = '0 3 * * *'\nnote = 'first'"));
        assert_eq!(outcomes(&desk.apply(&first).await), ["created", "created"]);
        assert_eq!(
            outcomes(&desk.apply(&first).await),
            ["unchanged", "unchanged"]
        );

        // What a person has paused stays so, whatever else is changed.
        let by = ["--by", "tim", "--reason", "moving"];
        desk.does(&[&["pause", "sched-applied"], &by[..]].concat())
            .await;
        assert_eq!(
            outcomes(&desk.apply(&first).await),
            ["unchanged", "unchanged"]
        );
        let second = format!("{campaign}{}", seal("cron = '30 4 * * *'\nnote = 'second'"));
        let report = desk.apply(&second).await;
        assert_eq!(outcomes(&report), ["unchanged", "changed"]);
        let differences = &report["schedules"][1]["differences"];
        assert_eq!(
            *differences,
            json!(["when: 0 3 * * * -> 30 4 * * *", "note: first -> second"])
        );
        let shown = desk.json(&["show", "sched-applied"]).await;
        assert_eq!(shown["is_paused"], true);
        assert_eq!(shown["state_note"], "paused by tim: moving");
        assert_eq!(shown["cron"], "30 4 * * *");
        assert!(
            shown["next"][0]["local"]
                .as_str()
                .unwrap()
                .contains("T04:30:00")
        );
        let resumed = desk.json(&["resume", "sched-applied", "--by", "tim"]).await;
        assert_eq!(resumed["next"][0], shown["next"][0]);
        let shown = desk.json(&["show", "sched-applied"]).await;
        assert_eq!(shown["is_paused"], false);
        assert_eq!(
            outcomes(&desk.apply(&second).await),
            ["unchanged", "unchanged"]
        );

        // What the file says about a pause is done when it changes.
        let shown = desk.json(&["show", "sched-campaign"]).await;
        assert_eq!(
            (&shown["is_paused"], &shown["client"]),
            (&json!(true), &json!("7"))
        );
        let going = campaign.replace("paused = true", "paused = false");
        let report = desk.apply(&going).await;
        assert_eq!(outcomes(&report), ["changed"]);
        let shown = desk.json(&["show", "sched-campaign"]).await;
        assert_eq!(shown["is_paused"], false);

        // The server knows whose it is, what is late is not caught up, and what is left out of the
        // file is listed and stays.
        let handle = site().await.client().get_schedule_handle("sched-campaign");
        let described = handle.describe(RpcOptions::default()).await.unwrap();
        let client = described.search_attributes().get(&search::CLIENT);
        assert_eq!(client.as_deref(), Some("7"));
        let schedule = described.raw().schedule.clone().unwrap();
        assert_eq!(
            schedule.policies.unwrap().catchup_window.unwrap().seconds,
            120
        );
        let Some(Action::StartWorkflow(start)) = schedule.action.unwrap().action else {
            panic!("it starts nothing")
        };
        assert_eq!(start.workflow_id, "patch-campaign/7/sched-campaign");
        let attributes = start.search_attributes.unwrap().indexed_fields;
        assert_eq!(attributes[search::CLIENT.name()].data, b"\"7\"");
        let file = desk.file(campaign);
        let left = desk
            .until(&["apply", &file], |report| {
                let others = report["not_in_file"].as_array().unwrap();
                others.contains(&json!("sched-applied"))
            })
            .await;
        assert!(
            !left["not_in_file"]
                .as_array()
                .unwrap()
                .contains(&json!("sched-campaign"))
        );
        desk.does(&["show", "sched-applied"]).await;
        for name in ["sched-applied", "sched-campaign"] {
            desk.does(&["delete", name, "--yes"]).await;
        }
    });
}

#[test]
fn nothing_is_applied_when_one_entry_cannot_be() {
    run(async {
        let desk = Desk::new().await;
        let good = entry("sched-good", "cron = '0 3 * * *'");
        let bad = format!("{good}{}", entry("sched-bad", "cron = '0 3 * *'"));
        let why = desk.refuses(&["apply", &desk.file(&bad)]).await;
        assert!(why.contains("schedule[1].cron: `0 3 * *`"), "{why}");
        let none = desk.refuses(&["show", "sched-good"]).await;
        assert!(none.contains("no schedule sched-good"), "{none}");

        // One of that name was made by somebody else.
        let action = ScheduleAction::start_workflow(
            UntypedWorkflow::new("DailySeal"),
            wire::json(&json!({})),
            "elsewhere",
            "not-ours",
        );
        let spec = ScheduleSpec::from_interval(std::time::Duration::from_secs(86_400));
        let options = CreateScheduleOptions::builder()
            .action(action)
            .spec(spec)
            .build();
        let client = site().await.client();
        client
            .create_schedule("sched-not-ours", options)
            .await
            .unwrap();
        let file = format!("{good}{}", entry("sched-not-ours", "every_secs = 60"));
        let why = desk.refuses(&["apply", &desk.file(&file)]).await;
        assert!(
            why.contains("schedule[1].name") && why.contains("not made by autoops"),
            "{why}"
        );
        for command in ["show", "trigger"] {
            let why = desk.refuses(&[command, "sched-not-ours"]).await;
            assert!(why.contains("not made by autoops"), "{why}");
        }
        desk.refuses(&["delete", "sched-not-ours", "--yes"]).await;
        desk.refuses(&["show", "sched-good"]).await;
    });
}

/// Days on which a clock changes are among the next three runs, in any year.
const LINES: [(&str, &str, &str); 12] = [
    ("berlin-leap", "30 2 24-31 3 *", "Europe/Berlin"),
    ("berlin-never", "30 2 25-31 3 sun", "Europe/Berlin"),
    ("berlin-day-of-change", "30 4 25-31 3 sun", "Europe/Berlin"),
    ("berlin-twice", "30 2 25-31 10 sun", "Europe/Berlin"),
    ("berlin-hours", "30 1,2 25-31 10 sun", "Europe/Berlin"),
    ("york-hours", "30 0-1 1-7 11 sun", "America/New_York"),
    ("york-leap", "0,30 2 8-14 3 sat,sun", "America/New_York"),
    ("york-twice", "30 1 1-7 11 sun", "America/New_York"),
    ("york-weekly", "15 22 * * sat", "america/new_york"),
    ("adelaide-twice", "45 2 1-7 4 SUN", "Australia/Adelaide"),
    ("both-days", "0 6 13 * 5", "UTC"),
    ("steps", "*/20 8-18/5 * jan-jun mon-fri", "Asia/Kolkata"),
];

#[test]
fn the_preview_without_a_server_is_what_the_server_will_do() {
    run(async {
        let desk = Desk::new().await;
        let lines = LINES.map(|(name, line, zone)| {
            entry(
                &format!("sched-{name}"),
                &format!("cron = '{line}'\ntime_zone = '{zone}'"),
            )
        });
        let hours = entry("sched-hours", "every_secs = 18000");
        let file = desk.file(&format!("{}{hours}", lines.concat()));
        let before = desk.json(&["apply", &file, "--dry-run"]).await;
        assert!(
            outcomes(&before)
                .iter()
                .all(|outcome| *outcome == "checked")
        );
        desk.refuses(&["show", "sched-hours"]).await;
        let report = desk.json(&["apply", &file]).await;
        assert!(
            outcomes(&report)
                .iter()
                .all(|outcome| *outcome == "created")
        );
        for row in before["schedules"].as_array().unwrap() {
            let name = row["name"].as_str().unwrap();
            let shown = desk.json(&["show", name]).await;
            assert_eq!(shown["next"], row["next"], "{name}");
            let runs = if name == "sched-berlin-never" { 0 } else { 3 };
            assert_eq!(row["next"].as_array().unwrap().len(), runs, "{name}");
            desk.does(&["delete", name, "--yes"]).await;
        }
    });
}

#[test]
fn a_schedule_runs_by_itself_and_when_triggered_until_it_is_deleted() {
    run(async {
        let desk = Desk::new().await;
        let _world = sealing::world("sched-runs").await;
        desk.apply(&entry("sched-runs", "every_secs = 10")).await;
        let ticked = desk
            .until(&["show", "sched-runs"], |shown| shown["runs"] != 0)
            .await;
        by_clock(&ticked["recent"][0]);
        desk.does(&["pause", "sched-runs", "--by", "tim"]).await;
        // A run of the clock may just have begun.
        desk.until(&["show", "sched-runs"], |shown| {
            shown["running"] == json!([])
        })
        .await;

        // Also while it is paused.
        let triggered = desk.json(&["trigger", "sched-runs"]).await;
        let id = triggered["workflow_id"].as_str().unwrap();
        // Within one second both have the same id.
        assert_ne!(ticked["recent"][0]["run_id"], triggered["run_id"]);
        let client = site().await.client();
        let handle = client.get_workflow_handle::<UntypedWorkflow>(id);
        let result = handle.get_result(WorkflowGetResultOptions::default()).await;
        let sealed: DailySealResult = wire::read(&result.unwrap());
        // The first of the runs has sealed it.
        assert_eq!(sealed.sequence, 1);
        let listed = desk
            .until(&["list"], |all| named(all, "sched-runs").is_some())
            .await;
        let row = named(&listed, "sched-runs").unwrap();
        assert_eq!(row["last"]["run_id"], triggered["run_id"]);
        assert_eq!(
            (&row["is_paused"], &row["every_secs"]),
            (&json!(true), &json!(10))
        );
        let table = desk.does(&["list"]).await;
        assert!(
            table.contains("sched-runs") && table.contains("every 10 s"),
            "{table}"
        );

        let why = desk.refuses(&["delete", "sched-runs"]).await;
        assert!(why.contains("--yes") && why.contains(id), "{why}");
        desk.does(&["delete", "sched-runs", "--yes"]).await;
        let why = desk.refuses(&["trigger", "sched-runs"]).await;
        assert!(why.contains("no schedule sched-runs"), "{why}");
        desk.until(&["list"], |all| named(all, "sched-runs").is_none())
            .await;
    });
}

#[test]
fn a_run_is_not_started_beside_one_that_goes_on() {
    run(async {
        let desk = Desk::new().await;
        let world = sealing::world("sched-busy").await;
        world.change(|m| m.fail(SEALING, None, Lost::Silent));
        desk.apply(&entry("sched-busy", "cron = '0 3 1 1 *'")).await;
        let triggered = desk.json(&["trigger", "sched-busy"]).await;
        let why = desk.refuses(&["trigger", "sched-busy"]).await;
        let running = triggered["workflow_id"].as_str().unwrap();
        assert!(
            why.contains("still goes on") && why.contains(running),
            "{why}"
        );
        desk.does(&["delete", "sched-busy", "--yes"]).await;
    });
}

#[test]
fn a_triage_that_a_person_wakes_goes_by_what_the_schedule_of_alerts_says() {
    run(async {
        let name = "sched-waits";
        let _world = World::new(site().await, name, 1);
        let desk = Desk::new().await;
        let alerts = "[[schedule]]\nname = 'sched-alerts'\nkind = 'alert-ingest'\ncron = '0 3 1 1 *'\npaused = true\n\
                      [schedule.input.processing]\nlag_secs = 7\nnews = 123\n";
        desk.apply(alerts).await;
        desk.until(&["list"], |all| named(all, "sched-alerts").is_some())
            .await;
        drop(Store::embedded(&desk.store()).unwrap());
        let alert = desk.folder.path().join("alert.json");
        let body = json!({ "client": name, "host": "nas-1", "title": "RAID degraded" });
        std::fs::write(&alert, body.to_string()).unwrap();
        let sent = desk.command(&["alerts", "send", "alert.json"]).await;
        assert!(sent.status.success(), "{}", text(&sent.stderr));
        let runs = runs_of(site().await.client(), "alert-processing/sched-waits").await;
        let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) =
            &runs[0][0].attributes
        else {
            panic!("{}", text(&sent.stderr))
        };
        let input = &started.input.as_ref().unwrap().payloads[0].data;
        let input: Value = serde_json::from_slice(input).unwrap();
        let waits = &input["waits"];
        assert_eq!(
            (&waits["lag_secs"], &waits["news"]),
            (&json!(7), &json!(123))
        );
        desk.does(&["delete", "sched-alerts", "--yes"]).await;
    });
}

fn named<'a>(all: &'a Value, name: &str) -> Option<&'a Value> {
    all.as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == name)
}

/// The id of a run has its time behind it, and reads back.
fn by_clock(run: &Value) {
    let id = run["workflow_id"].as_str().unwrap();
    let (scheduled, at) = Scheduled::of_workflow(id).unwrap();
    assert_eq!(scheduled.workflow_id(), "daily-seal/sched-runs");
    assert_eq!(at.unwrap().as_second() % 10, 0, "{id}");
}
