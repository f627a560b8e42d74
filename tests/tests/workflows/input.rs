//! Input that cannot be used, and messages that nobody can read.

use autoops_tests::{
    Deployment, World,
    deployment::{failure_of, start_raw},
    plan, run, site, wire,
};
use contracts::failures::INVALID_INPUT;
use domain::{outcome::DeploymentOutcome, script::ScriptMode};
use serde_json::{Value, json};
use temporalio_client::{
    UntypedSignal, UntypedWorkflow, WorkflowGetResultOptions, WorkflowSignalOptions,
};
use temporalio_common::data_converters::RawValue;

use crate::{approvals::asked, turns::at_work};

/// Starts a deployment whose input is changed and expects a failure that names a field.
async fn refuses(name: &str, change: impl FnOnce(&mut Value), field: &str) {
    let site = site().await;
    let world = World::new(site, name, 2);
    let mut input = world.read(|m| serde_json::to_value(plan::request(m)).unwrap());
    change(&mut input);
    let deployment = Deployment::start(site, &world, &input).await;
    let (kind, words) = deployment.failure().await;
    assert_eq!(kind, INVALID_INPUT, "{words}");
    assert!(words.contains(field), "{words}");
    assert_eq!(world.read(|m| m.scripts.len()), 0);
}

macro_rules! refused {
    ($($name:ident: $plan:literal, $change:expr => $field:literal;)*) => {$(
        #[test]
        fn $name() {
            run(refuses($plan, $change, $field));
        }
    )*};
}

refused! {
    an_unknown_client_is_named: "bad-client", |v| v["client"] = json!("666") => "client: `666`";
    an_unknown_device_is_named: "bad-device", |v| v["devices"]["ids"] = json!(["81", "999"]) => "devices.ids[1]: `999`";
    an_unknown_patch_is_named: "bad-kb", |v| v["patches"] = json!([{ "kb": "KB9999999" }]) => "patches[0].kb: `KB9999999`";
    a_ring_with_two_rules_is_named: "bad-ring", |v| v["rings"] = json!([{ "name": "x", "percent": 5, "rest": true }]) => "rings[0]";
    a_typo_is_named: "bad-typo", |v| v["windoes"] = json!([]) => "windoes";
    a_wrong_type_is_named: "bad-type", |v| v["waits"]["halt_secs"] = json!("soon") => "waits.halt_secs";
    another_plan_id_is_named: "bad-id", |v| v["id"] = json!("another") => "id: `another`";
    a_carry_that_is_none_is_refused: "bad-carry", |v| v["carry"] = json!({ "cleared": true }) => "carry";
    no_object_is_refused: "bad-shape", |v| *v = json!("please") => "input";
}

#[test]
fn a_workflow_id_of_another_shape_is_refused() {
    run(async {
        let site = site().await;
        for (kind, id) in [
            ("PatchDeployment", "my-deployment"),
            ("PatchDeployment", "patch-deployment/Not A Plan"),
            ("DevicePatch", "device-patch/p/1"),
        ] {
            let input = json!({ "client": "7", "patches": [{ "kb": plan::KB }], "devices": { "all": true } });
            let handle = start_raw(site.client(), kind, id, wire::json(&input))
                .await
                .unwrap();
            let ended = handle.get_result(WorkflowGetResultOptions::default()).await;
            let (kind, words) = failure_of(ended.err().unwrap());
            assert_eq!(kind, INVALID_INPUT, "{words}");
        }
    });
}

#[test]
fn messages_that_cannot_be_read_leave_the_workflow_usable_and_are_audited() {
    run(async {
        let (_world, deployment) = asked(site().await, "malformed", 1, |_| {}).await;
        deployment.open_request().await;
        let long = format!(r#"{{"by":"dana","reason":"{}"}}"#, "x".repeat(1_000_000));
        let bodies: [Vec<Vec<u8>>; 8] = [
            vec![],
            vec![br#""yes""#.to_vec()],
            vec![br#"{"bye":"dana"}"#.to_vec()],
            vec![br#"{"by":"#.to_vec()],
            vec![br#"{"by":"dana"}"#.to_vec(), b"1".to_vec()],
            vec![long.into_bytes()],
            vec![br#"{"by":""}"#.to_vec()],
            vec![format!(r#"{{"by":"dana","reason":"{}"}}"#, "x".repeat(501)).into_bytes()],
        ];
        let all = bodies.len();
        for body in bodies {
            let payloads = body.into_iter().map(wire::payload).collect();
            deployment
                .signal_raw("approve", RawValue::new(payloads))
                .await;
        }
        for signal in [
            "reject",
            "pause",
            "resume",
            "abort",
            "halt",
            "change_plan",
            "extend",
            "waive_evidence",
            // Of devices, which nobody but our own code sends.
            "evidence_missing",
            "device_finished",
        ] {
            deployment.signal(signal, json!([1, 2, 3])).await;
        }
        assert!(deployment.status().await.needs_approval);
        deployment.signal("approve", json!({ "by": "dana" })).await;
        deployment.ends(DeploymentOutcome::Verified).await;
        let audited = deployment.audited().await;
        let refused = audited.iter().filter(|w| *w == "message_refused").count();
        assert_eq!(refused, all + 8, "{audited:?}");
    });
}

#[test]
fn a_device_goes_on_after_messages_that_cannot_be_read() {
    run(async {
        let (world, deployment) = at_work("malformed-device", 1, |_| {}).await;
        let id = "device-patch/malformed-device/81";
        let device = site()
            .await
            .client()
            .get_workflow_handle::<UntypedWorkflow>(id);
        let job = world.read(|m| m.scripts[0].job.clone());
        for (signal, body) in [
            ("script_finished", json!([1, 2, 3])),
            ("script_finished", json!({ "jobId": job })),
            (
                "script_finished",
                json!({ "jobId": job, "outcome": "splendid", "exitCode": 0 }),
            ),
            ("script_finished", json!({ "log": "x".repeat(1_000_000) })),
            ("stop", json!("please")),
            ("stop", json!({ "why": "tired" })),
            ("waive_evidence", json!({ "by": "" })),
        ] {
            let options = WorkflowSignalOptions::default();
            let sent = device.signal(UntypedSignal::new(signal), wire::json(&body), options);
            sent.await.unwrap();
        }
        world.change(|m| m.hold_reports = false);
        deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 1);
    });
}

#[test]
fn an_update_that_cannot_be_read_is_refused_with_words() {
    run(async {
        let (_world, deployment) = asked(site().await, "bad-updates", 1, |_| {}).await;
        deployment.open_request().await;
        for (update, input) in [
            ("decide", json!({ "by": "dana", "choice": "approve" })),
            ("decide", json!({})),
            ("request_abort", json!({ "by": 7 })),
            (
                "amend",
                json!({ "by": "dana", "change": { "windoes": [] } }),
            ),
            ("extend_approval", json!({ "by": "dana" })),
            (
                "request_pause",
                json!({ "by": "tom", "reason": "x".repeat(1_000_000) }),
            ),
        ] {
            let answer = deployment.try_update::<Value>(update, &input).await;
            assert!(answer.is_err(), "{update} {input}: {answer:?}");
        }
        deployment.signal("reject", json!({ "by": "dana" })).await;
        deployment.ends(DeploymentOutcome::Rejected).await;
    });
}
