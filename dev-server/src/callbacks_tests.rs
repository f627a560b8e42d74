use std::sync::Mutex;

use reqwest::Client as Http;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::*;
use crate::sim::{RunningSim, serve};

const DEVICE: &str = "4100000000000000001";
const JOB: &str = "first-plan/4100000000000000001/install-5034441-0";

/// Notes what it is given and answers what it is told.
#[derive(Default)]
struct Noting {
    seen: Mutex<Vec<Delivery>>,
    answer: Mutex<Option<DeliverError>>,
}

impl Deliver for Noting {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Result<(), DeliverError>> {
        self.seen.lock().unwrap().push(delivery);
        let answer = self.answer.lock().unwrap().map_or(Ok(()), Err);
        Box::pin(async move { answer })
    }
}

struct Setup {
    noting: Arc<Noting>,
    sim: RunningSim,
}

impl Setup {
    async fn new() -> Self {
        let noting = Arc::new(Noting::default());
        let router = router("master".into(), noting.clone());
        Self {
            noting,
            sim: serve(router, 0).await.unwrap(),
        }
    }

    async fn post(&self, timestamp: &str, signature: &str, body: String) -> (u16, Value) {
        let sent = Http::new()
            .post(format!("{}{PATH}", self.sim.url))
            .header(TIMESTAMP_HEADER, timestamp)
            .header(SIGNATURE_HEADER, signature)
            .body(body)
            .send()
            .await
            .unwrap();
        let status = sent.status().as_u16();
        (
            status,
            serde_json::from_str(&sent.text().await.unwrap()).unwrap_or_default(),
        )
    }

    /// Posts as the script on the device would.
    async fn report(&self, job: &str, device: &str, body: &str) -> (u16, Value) {
        let token = callback::device_token(
            &"master".into(),
            &job.parse().unwrap(),
            &device.parse().unwrap(),
        );
        let now = Timestamp::now().as_second().to_string();
        self.post(
            &now,
            &callback::sign(&token, &now, body.as_bytes()),
            body.to_owned(),
        )
        .await
    }
}

fn body(job: &str, device: &str) -> String {
    json!({ "jobId": job, "device": device, "mode": "install", "kb": "5034441", "outcome": "succeeded",
        "finishedAt": "2024-11-12T10:00:00Z" })
    .to_string()
}

#[tokio::test]
async fn a_signed_report_goes_to_the_workflow_of_its_job() {
    let setup = Setup::new().await;
    for _ in 0..2 {
        assert_eq!(setup.report(JOB, DEVICE, &body(JOB, DEVICE)).await.0, 202);
    }
    let seen = setup.noting.seen.lock().unwrap().clone();
    assert_eq!(
        seen[0].workflow_id,
        "device-patch/first-plan/4100000000000000001"
    );
    assert_eq!(seen[0].report.job_id.as_str(), JOB);
    assert_eq!(seen[0], seen[1], "the same report has the same request id");
    let rollback = "first-plan/4100000000000000001/rollback/uninstall-5034441-0";
    assert_eq!(
        setup
            .report(rollback, DEVICE, &body(rollback, DEVICE))
            .await
            .0,
        202
    );
    let seen = setup.noting.seen.lock().unwrap().clone();
    assert_eq!(
        seen[2].workflow_id,
        "device-patch/first-plan/4100000000000000001/rollback"
    );
    assert_ne!(seen[2].request_id, seen[0].request_id);
}

#[tokio::test]
async fn what_cannot_be_trusted_or_placed_is_refused_with_a_reason() {
    let setup = Setup::new().await;
    let good = body(JOB, DEVICE);
    let now = Timestamp::now().as_second();
    let token = callback::device_token(
        &"master".into(),
        &JOB.parse().unwrap(),
        &DEVICE.parse().unwrap(),
    );
    let old = (now - 301).to_string();
    let fresh = now.to_string();
    let huge = " ".repeat(callback::MAX_BODY_BYTES + 1);
    let signed = |at: &str| callback::sign(&token, at, good.as_bytes());
    for (timestamp, signature, body, status, code) in [
        (
            &fresh,
            "v1=00".to_owned(),
            good.clone(),
            401,
            "bad_signature",
        ),
        (&old, signed(&old), good.clone(), 401, "old"),
        (&fresh, signed(&old), good.clone(), 401, "bad_signature"),
        (&fresh, signed(&fresh), huge, 413, "too_large"),
    ] {
        let (answered, text) = setup.post(timestamp, &signature, body).await;
        assert_eq!(
            (answered, text["error"]["code"].as_str()),
            (status, Some(code)),
            "{text}"
        );
    }
    let (status, text) = setup
        .report(JOB, DEVICE, &good.replace("succeeded", "perhaps"))
        .await;
    assert_eq!(
        (status, text["error"]["code"].as_str()),
        (422, Some("malformed"))
    );
    // The workflow id is made of the job: a device speaks for itself only.
    let (status, _) = setup.report(JOB, "42", &body(JOB, "42")).await;
    assert_eq!(status, 404);
    assert!(setup.noting.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_script_learns_whether_to_try_again() {
    let setup = Setup::new().await;
    for (error, status) in [
        (DeliverError::NobodyWaits, 404),
        (DeliverError::Unavailable, 503),
    ] {
        *setup.noting.answer.lock().unwrap() = Some(error);
        let (answered, text) = setup.report(JOB, DEVICE, &body(JOB, DEVICE)).await;
        assert_eq!(answered, status);
        assert!(text["error"]["message"].is_string());
    }
}

/// The script for the Mac is plain shell, so what it posts can be checked here.
#[tokio::test]
async fn the_script_in_the_repository_posts_what_the_receiver_accepts() {
    let setup = Setup::new().await;
    let folder = tempfile::tempdir().unwrap();
    let run = async |mode: &str, not_after: &str| {
        let job = format!("first-plan/{DEVICE}/{mode}-5034441-0");
        let token = callback::device_token(
            &"master".into(),
            &job.parse().unwrap(),
            &DEVICE.parse().unwrap(),
        );
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../deploy/scripts/AutoOps-Device.sh"
        );
        let mut command = tokio::process::Command::new("bash");
        command
            .arg(script)
            .env("AUTOOPS_STATE", folder.path())
            .env("AUTOOPS_ONLY_REPORT", "yes");
        for (name, value) in [
            ("mode", mode),
            ("kb", "5034441"),
            ("jobId", &job),
            ("device", DEVICE),
            ("notBefore", ""),
            ("notAfter", not_after),
            ("services", "U3Bvb2xlcixNU1NRTCRB"),
            ("callbackUrl", &format!("{}{PATH}", setup.sim.url)),
            ("token", token.expose_secret()),
        ] {
            command.env(name, value);
        }
        command.output().await.unwrap()
    };
    for (mode, not_after) in [
        ("check", "2999-01-01T00:00:00.123456789Z"),
        ("check", "2999-01-01T00:00:00Z"),
        ("install", "2020-01-01T00:00:00Z"),
    ] {
        let output = run(mode, not_after).await;
        assert!(
            output.status.success(),
            "{mode}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let seen = setup.noting.seen.lock().unwrap().clone();
    let outcomes: Vec<_> = seen
        .iter()
        .map(|delivery| delivery.report.outcome)
        .collect();
    use domain::script::ScriptOutcome as O;
    assert_eq!(outcomes, [O::Succeeded, O::Succeeded, O::OutsideWindow]);
    assert_eq!(
        seen[0], seen[1],
        "a job is done once, a repeat reports it again"
    );
    assert_eq!(seen[0].report.services[1].name, "MSSQL$A");

    // What does not fit is refused, neither run nor repeated.
    let refused = tokio::process::Command::new("bash")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../deploy/scripts/AutoOps-Device.sh"
        ))
        .env("mode", "check; echo injected")
        .output()
        .await
        .unwrap();
    assert_eq!(refused.status.code(), Some(64));
    assert!(
        !String::from_utf8_lossy(&refused.stderr).contains("injected") && refused.stdout.is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_real_server_a_repeat_is_one_signal_and_a_stranger_is_not_found() {
    use temporalio_client::{WorkflowStartOptions, tonic::IntoRequest};
    use temporalio_common::protos::temporal::api::{
        common::v1::WorkflowExecution, workflowservice::v1::GetWorkflowExecutionHistoryRequest,
    };

    let server = crate::temporal::DevTemporal::start(Default::default())
        .await
        .unwrap();
    let client = server.client().unwrap();
    let sender = BySignal::new(client.clone());
    let report: ScriptReport = serde_json::from_str(&body(JOB, DEVICE)).unwrap();
    let delivery = Delivery {
        workflow_id: "device-patch/p/1".into(),
        request_id: "one".into(),
        report,
    };
    assert_eq!(
        sender.deliver(delivery.clone()).await,
        Err(DeliverError::NobodyWaits)
    );

    let options = WorkflowStartOptions::new("autoops", "device-patch/p/1").build();
    let workflow = temporalio_client::UntypedWorkflow::new("DevicePatch");
    client
        .start_workflow(workflow, RawValue::empty(), options)
        .await
        .unwrap();
    for request in ["one", "one", "two"] {
        let delivery = Delivery {
            request_id: request.into(),
            ..delivery.clone()
        };
        assert_eq!(sender.deliver(delivery).await, Ok(()));
    }
    let request = GetWorkflowExecutionHistoryRequest {
        namespace: "default".into(),
        execution: Some(WorkflowExecution {
            workflow_id: "device-patch/p/1".into(),
            run_id: String::new(),
        }),
        ..Default::default()
    };
    let mut service = client.connection().workflow_service();
    let history = service
        .get_workflow_execution_history(request.into_request())
        .await
        .unwrap();
    let events = history.into_inner().history.unwrap().events;
    assert_eq!(
        events
            .iter()
            .filter(|e| format!("{:?}", e.event_type()).ends_with("Signaled"))
            .count(),
        2
    );

    server.kill();
    server.ended().await;
    assert_eq!(
        sender.deliver(delivery).await,
        Err(DeliverError::Unavailable)
    );
}
