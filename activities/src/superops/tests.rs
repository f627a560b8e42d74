use std::time::Duration;

use clients::superops::ActivityRow;
use contracts::activities::superops::{
    CriticalAlertsInput, FindRunInput, RunScriptInput, RunState,
};
use domain::script::{SCRIPT_NAME, SCRIPT_VARIABLES, ScriptMode};
use jiff::Timestamp;
use serde_json::{Value, json};
use wiremock::{Mock, ResponseTemplate, matchers::body_string_contains};

use super::{SuperOpsActivities, newest_state};
use crate::testing::{World, environment, failure};

fn input() -> RunScriptInput {
    RunScriptInput {
        device: "41".parse().unwrap(),
        job: "first-plan/41/install-5034441-0".parse().unwrap(),
        mode: ScriptMode::Install,
        kb: Some("KB5034441".parse().unwrap()),
        not_before: None,
        not_after: "2026-11-03T12:00:00Z".parse().unwrap(),
        services: vec!["Spooler".to_owned(), "MSSQL$SQLEXPRESS".to_owned()],
    }
}

async fn scripts(world: &World, variables: &[&str], times: u64) {
    let script = json!({ "scriptId": "5", "name": SCRIPT_NAME, "runTimeVariables": variables, "timeOut": 60 });
    let body = json!({ "data": { "getScriptList": { "scripts": [script], "listInfo": { "hasMore": null } } } });
    Mock::given(body_string_contains("getScriptList"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .expect(times)
        .mount(&world.server)
        .await;
}

async fn runs(world: &World, response: ResponseTemplate) {
    Mock::given(body_string_contains("runScriptOnAsset"))
        .respond_with(response)
        .mount(&world.server)
        .await;
}

fn accepted() -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(json!({ "data": { "runScriptOnAsset": { "actionConfigId": "900" } } }))
}

fn token(world: &World) -> String {
    use secrecy::ExposeSecret;
    let key = &world.deps.settings.device_master_key.last_read();
    let token = clients::callback::device_token(key, &input().job, &input().device);
    token.expose_secret().to_owned()
}

#[tokio::test]
async fn a_run_sends_every_variable_and_the_script_is_looked_up_once() {
    let world = World::new().await;
    scripts(&world, &SCRIPT_VARIABLES, 1).await;
    runs(&world, accepted()).await;
    let activities = environment(SuperOpsActivities::new(&world.deps));
    for _ in 0..2 {
        let run = activities
            .run(SuperOpsActivities::run_script, input())
            .await
            .unwrap();
        assert_eq!(run.action_config_id, "900");
    }
    let requests = world.server.received_requests().await.unwrap();
    let sent: Value = requests.last().unwrap().body_json().unwrap();
    let arguments = sent["variables"]["input"]["scriptArguments"]
        .as_array()
        .unwrap()
        .clone();
    let names: Vec<_> = arguments
        .iter()
        .map(|a| a["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, SCRIPT_VARIABLES);
    let value = |name: &str| arguments.iter().find(|a| a["name"] == name).unwrap()["value"].clone();
    assert_eq!(
        (value("kb"), value("services")),
        (json!("5034441"), json!("U3Bvb2xlcixNU1NRTCRTUUxFWFBSRVNT"))
    );
    assert_eq!(
        (value("notBefore"), value("notAfter")),
        (json!(""), json!("2026-11-03T12:00:00Z"))
    );
    assert_eq!(
        value("callbackUrl"),
        json!("https://autoops.example/callbacks/device-script")
    );
    assert_eq!(value("token"), json!(token(&world)));
}

#[tokio::test]
async fn a_lost_answer_is_ambiguous_never_retried_and_never_shows_the_token() {
    let world = World::new().await;
    scripts(&world, &SCRIPT_VARIABLES, 1).await;
    runs(&world, accepted().set_delay(Duration::from_secs(3))).await;
    let activities = environment(SuperOpsActivities::new(&world.deps));
    let failed = failure(
        activities
            .run(SuperOpsActivities::run_script, input())
            .await,
    );
    assert_eq!(failed.type_name(), Some("superops.ambiguous"));
    assert!(failed.is_non_retryable());
    let shown = format!("{failed} {failed:?} {:?}", world.deps);
    assert!(
        !shown.contains(&token(&world)) && !shown.contains("master key"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_refusal_that_quotes_our_arguments_does_not_show_the_token() {
    let world = World::new().await;
    scripts(&world, &SCRIPT_VARIABLES, 1).await;
    let body = json!({ "data": null, "errors": [{ "message": format!("bad token {}", token(&world)),
        "extensions": { "clientError": [{ "code": "type_validation_failed" }] } }] });
    runs(&world, ResponseTemplate::new(200).set_body_json(body)).await;
    let activities = environment(SuperOpsActivities::new(&world.deps));
    let failed = failure(
        activities
            .run(SuperOpsActivities::run_script, input())
            .await,
    );
    assert_eq!(failed.type_name(), Some("superops.invalid_input"));
    assert!(!format!("{failed} {failed:?}").contains(&token(&world)));
}

#[tokio::test]
async fn a_script_with_other_variables_is_never_run() {
    let world = World::new().await;
    scripts(&world, &["mode", "kb"], 1).await;
    let activities = environment(SuperOpsActivities::new(&world.deps));
    let failed = failure(
        activities
            .run(SuperOpsActivities::run_script, input())
            .await,
    );
    assert!(
        failed.is_non_retryable() && failed.to_string().contains("runtime variables"),
        "{failed}"
    );
    assert_eq!(world.server.received_requests().await.unwrap().len(), 1);
}

fn row(name: &str, at: &str, status: &str) -> ActivityRow {
    ActivityRow {
        id: at.to_owned(),
        created_at: at.parse::<Timestamp>().ok(),
        script_id: None,
        name: Some(name.to_owned()),
        status: Some(status.to_owned()),
    }
}

#[test]
fn the_newest_run_of_our_script_since_then_counts() {
    let since = "2026-11-03T10:00:40Z".parse().unwrap();
    let state = |rows: &[ActivityRow]| newest_state(rows, since);
    assert_eq!(state(&[]), RunState::NotFound);
    assert_eq!(
        state(&[row("Other", "2026-11-03T10:05:00Z", "Running")]),
        RunState::NotFound
    );
    assert_eq!(
        state(&[row(SCRIPT_NAME, "2026-11-03T10:00:20Z", "Running")]),
        RunState::NotFound
    );
    assert_eq!(
        state(&[row(SCRIPT_NAME, "2026-11-03T10:00:38Z", "Running")]),
        RunState::Running
    );
    assert_eq!(
        state(&[row(SCRIPT_NAME, "2026-11-03T10:00:00Z", "completed")]),
        RunState::Completed
    );
    assert_eq!(
        state(&[row(SCRIPT_NAME, "2026-11-03T09:59:00Z", "Completed")]),
        RunState::NotFound
    );
    assert_eq!(
        state(&[row(SCRIPT_NAME, "2026-11-03T10:03:00Z", "Queued")]),
        RunState::Unknown
    );
    let both = [
        row(SCRIPT_NAME, "2026-11-03T10:01:00Z", "Completed"),
        row(SCRIPT_NAME, "2026-11-03T10:02:00Z", "Failed"),
    ];
    assert_eq!(state(&both), RunState::Failed);
}

#[test]
fn a_run_that_goes_on_beats_one_that_ended_whatever_their_order() {
    let since = "2026-11-03T10:00:40Z".parse().unwrap();
    for (running, ended) in [
        ("2026-11-03T10:01:00Z", "2026-11-03T10:01:00Z"),
        ("2026-11-03T10:01:00Z", "2026-11-03T10:02:00Z"),
    ] {
        let mut rows = vec![
            row(SCRIPT_NAME, ended, "Failed"),
            row(SCRIPT_NAME, running, "Running"),
        ];
        assert_eq!(newest_state(&rows, since), RunState::Running);
        rows.reverse();
        assert_eq!(newest_state(&rows, since), RunState::Running);
    }
}

/// A page of the activity list, `count` rows of another script and then `last`.
fn page(count: usize, last: Value, has_more: bool) -> Value {
    let other = json!({ "activityId": 1, "module": "SCRIPT", "createdTime": "2026-11-03T10:05:00",
        "activityData": { "name": "Other", "status": "Completed" } });
    let mut rows = vec![other; count];
    rows.push(last);
    let more = has_more.then_some(true);
    json!({ "data": { "getAssetActivity": { "activities": rows, "listInfo": { "hasMore": more } } } })
}

fn activity(name: &str, at: &str, status: &str) -> Value {
    json!({ "activityId": 2, "module": "SCRIPT", "createdTime": at,
        "activityData": { "name": name, "status": status } })
}

async fn find_run(pages: &[Value]) -> (RunState, Vec<Value>) {
    let world = World::new().await;
    for (number, page) in (1..).zip(pages) {
        Mock::given(body_string_contains(format!("\"page\":{number},")))
            .respond_with(ResponseTemplate::new(200).set_body_json(page))
            .mount(&world.server)
            .await;
    }
    let input = FindRunInput {
        device: "41".parse().unwrap(),
        since: "2026-11-03T10:00:40Z".parse().unwrap(),
    };
    let activities = environment(SuperOpsActivities::new(&world.deps));
    let found = activities
        .run(SuperOpsActivities::find_run, input)
        .await
        .unwrap();
    let requests = world.server.received_requests().await.unwrap();
    let asked = requests
        .iter()
        .map(|request| request.body_json::<Value>().unwrap())
        .map(|body| body["variables"]["input"]["listInfo"].clone())
        .collect();
    (found.state, asked)
}

#[tokio::test]
async fn a_run_is_looked_for_newest_first_until_rows_are_older_and_never_beyond_three_pages() {
    let newer = || activity("Other", "2026-11-03T10:04:00", "Completed");
    let ours = || activity(SCRIPT_NAME, "2026-11-03T10:01:00", "Failed");
    let older = || activity("Other", "2026-11-03T09:00:00", "Completed");

    let (state, asked) = find_run(&[page(99, newer(), true), page(3, ours(), false)]).await;
    assert_eq!((state, asked.len()), (RunState::Failed, 2));
    assert_eq!(
        asked[0]["sort"],
        json!([{ "attribute": "createdTime", "order": "DESC" }])
    );

    let (state, asked) = find_run(&[page(99, older(), true)]).await;
    assert_eq!((state, asked.len()), (RunState::NotFound, 1));

    let running = activity(SCRIPT_NAME, "2026-11-03T10:01:00", "Running");
    let (state, asked) = find_run(&[page(99, running, true)]).await;
    assert_eq!((state, asked.len()), (RunState::Running, 1));

    let full = || page(99, newer(), true);
    let (state, asked) = find_run(&[full(), full(), full(), page(0, ours(), false)]).await;
    assert_eq!((state, asked.len()), (RunState::NotFound, 3));
}

#[tokio::test]
async fn a_critical_alert_counts_when_its_time_has_no_seconds_or_cannot_be_read() {
    let world = World::new().await;
    let alert = |id: u32, at: Value, severity: &str, status: &str| json!({ "id": id, "message": "m", "createdTime": at, "status": status, "severity": severity });
    let alerts = [
        alert(1, json!("2026-11-03T10:01:00"), "Critical", "Created"),
        alert(2, json!("2026-11-03T10:00"), "Critical", "Created"),
        alert(3, json!("soon"), "Critical", "Created"),
        alert(4, Value::Null, "critical", "Created"),
        alert(5, json!("2026-11-03T09:59"), "Critical", "Created"),
        alert(6, json!("2026-11-03T10:01"), "Critical", "Resolved"),
        alert(7, json!("2026-11-03T10:01"), "High", "Created"),
    ];
    let body = json!({ "data": { "getAlertsForAsset": { "alerts": alerts, "listInfo": { "hasMore": null } } } });
    Mock::given(body_string_contains("getAlertsForAsset"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&world.server)
        .await;
    let input = CriticalAlertsInput {
        device: "41".parse().unwrap(),
        since: "2026-11-03T10:00:40Z".parse().unwrap(),
    };
    let activities = environment(SuperOpsActivities::new(&world.deps));
    let found = activities
        .run(SuperOpsActivities::critical_alerts, input)
        .await
        .unwrap();
    assert_eq!(found.alerts, ["1", "2", "3", "4"]);
}
