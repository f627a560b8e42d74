use std::sync::Mutex;

use reqwest::Client as Http;
use secrecy::ExposeSecret;
use serde_json::Value;

use base64::{Engine, engine::general_purpose::STANDARD};
use clients::{objects::Objects, store::Store};
use domain::evidence::{EvidenceDocument, MAX_ENCODED_BYTES};

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
    store: Store,
    objects: Objects,
    _folder: tempfile::TempDir,
}

impl Setup {
    async fn new() -> Self {
        let noting = Arc::new(Noting::default());
        let folder = tempfile::tempdir().unwrap();
        let store = Store::embedded(&folder.path().join("store.db")).unwrap();
        let objects = Objects::in_folder(&folder.path().join("objects")).unwrap();
        let status = serde_json::from_value(json!({
            "plan": "first-plan", "workflow_id": "patch-deployment/first-plan", "client": "7", "kbs": [],
            "stage": "deploying", "note": "", "revision": 1, "needs_approval": false, "approved_by": [],
            "forbidden": [], "rings": [], "stragglers": 0, "counts": {},
            "started_at": "2024-11-12T09:00:00Z", "updated_at": "2024-11-12T09:00:00Z",
        }))
        .unwrap();
        store.executions.put_status(status, None).await.unwrap();
        let room = EvidenceRoom::new(store.clone(), objects.clone());
        let router = router("master".into(), noting.clone(), room);
        Self {
            noting,
            sim: serve(router, 0).await.unwrap(),
            store,
            objects,
            _folder: folder,
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
    let huge = " ".repeat(callback::MAX_BODY_WITH_EVIDENCE_BYTES + 1);
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

/// Runs the script as SuperOps would.
async fn run_script(
    url: &str,
    state: &std::path::Path,
    mode: &str,
    kb: &str,
    more: &[(&str, &str)],
) -> std::process::Output {
    let name = if kb.is_empty() { "all" } else { kb };
    let job = format!("first-plan/{DEVICE}/{mode}-{name}-0");
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
    command.arg(script).env("AUTOOPS_STATE", state);
    for (name, value) in [
        ("mode", mode),
        ("kb", kb),
        ("jobId", &job),
        ("device", DEVICE),
        ("notBefore", ""),
        ("notAfter", ""),
        ("services", "U3Bvb2xlcixNU1NRTCRB"),
        ("callbackUrl", &format!("{url}{PATH}")),
        ("token", token.expose_secret()),
    ] {
        command.env(name, value);
    }
    command.envs(more.iter().copied());
    command.output().await.unwrap()
}

/// The script for the Mac is plain shell, so what it posts can be checked here.
#[tokio::test]
async fn the_script_in_the_repository_posts_what_the_receiver_accepts() {
    let setup = Setup::new().await;
    let folder = tempfile::tempdir().unwrap();
    let run = async |mode: &str, not_after: &str| {
        let more = [("notAfter", not_after), ("AUTOOPS_ONLY_REPORT", "yes")];
        run_script(&setup.sim.url, folder.path(), mode, "5034441", &more).await
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

const EVIDENCE_JOB: &str = "first-plan/4100000000000000001/evidence-all-0";
const KEY: &str = "logs/evidence/7/first-plan/4100000000000000001/evidence-all-0.json";

fn packed(line: &str) -> String {
    let document = json!({
        "format": 1, "jobId": EVIDENCE_JOB, "device": DEVICE, "takenAt": "2024-11-12T10:00:00Z",
        "sections": [{ "name": "processes", "truncated": false, "lines": [line] }],
    });
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packer, document.to_string().as_bytes()).unwrap();
    STANDARD.encode(packer.finish().unwrap())
}

fn evidence_of(job: &str, evidence: &str) -> String {
    json!({ "jobId": job, "device": DEVICE, "mode": "evidence", "outcome": "succeeded",
        "finishedAt": "2024-11-12T10:00:00Z", "evidence": evidence })
    .to_string()
}

impl Setup {
    async fn evidence(&self, evidence: &str) -> (u16, String) {
        let body = evidence_of(EVIDENCE_JOB, evidence);
        let (status, text) = self.report(EVIDENCE_JOB, DEVICE, &body).await;
        let code = text["error"]["code"].as_str().unwrap_or_default();
        (status, code.to_owned())
    }

    async fn kept(&self) -> Vec<String> {
        let below = "logs/evidence".parse().unwrap();
        let keys = self.objects.list(&below).await.unwrap();
        keys.iter().map(ToString::to_string).collect()
    }
}

#[tokio::test]
async fn evidence_is_kept_once_and_the_workflow_hears_only_where() {
    let setup = Setup::new().await;
    for _ in 0..2 {
        assert_eq!(setup.evidence(&packed("one")).await, (202, String::new()));
    }
    assert_eq!(setup.kept().await, [KEY]);
    let bytes = setup.objects.read(&KEY.parse().unwrap()).await.unwrap();
    let seen = setup.noting.seen.lock().unwrap().clone();
    assert_eq!(seen[0], seen[1]);
    let stored = seen[0].report.evidence.clone().unwrap();
    assert_eq!(stored.key, KEY);
    assert_eq!(stored.sha256, hex::encode(Sha256::digest(&bytes)));
    assert_eq!(stored.bytes, bytes.len() as u64);
    let signal = serde_json::to_string(&seen[0].report).unwrap();
    assert!(
        !signal.contains("processes") && signal.len() < 1024,
        "{signal}"
    );

    // What was written first stays, and the trail of the device says that there was something else.
    let answer = setup.evidence(&packed("two")).await;
    assert_eq!(answer, (409, "evidence_differs".to_owned()));
    assert_eq!(
        setup.objects.read(&KEY.parse().unwrap()).await.unwrap(),
        bytes
    );
    assert_eq!(setup.noting.seen.lock().unwrap().len(), 2);
    let chain = format!("device-patch/first-plan/{DEVICE}");
    let trail = setup.store.actions.read_chain(&chain, 0, 10).await.unwrap();
    let told: Vec<_> = trail.iter().map(|e| e.record.what.as_str()).collect();
    assert_eq!(told, ["evidence_refused"]);
}

#[tokio::test]
async fn evidence_that_cannot_be_trusted_or_is_too_large_is_neither_kept_nor_told() {
    let setup = Setup::new().await;
    let too_large = "A".repeat(MAX_ENCODED_BYTES + 4);
    for (evidence, status, code) in [
        (too_large.as_str(), 413, "evidence_too_large"),
        ("bm8gZ3ppcA==", 422, "malformed"),
    ] {
        assert_eq!(setup.evidence(evidence).await, (status, code.to_owned()));
    }
    let body = evidence_of(EVIDENCE_JOB, &packed("one"));
    let now = Timestamp::now().as_second().to_string();
    let (status, text) = setup.post(&now, "v1=00", body).await;
    assert_eq!(
        (status, text["error"]["code"].as_str()),
        (401, Some("bad_signature"))
    );
    // Of a plan that nobody knows: there is nobody it could be kept for.
    let job = EVIDENCE_JOB.replace("first-plan", "second-plan");
    let document = evidence_of(&job, &packed("one"));
    let (status, _) = setup.report(&job, DEVICE, &document).await;
    assert_eq!(status, 422, "the document names another job");
    assert!(setup.kept().await.is_empty());
    assert!(setup.noting.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn evidence_is_kept_even_when_the_workflow_cannot_be_told() {
    let setup = Setup::new().await;
    *setup.noting.answer.lock().unwrap() = Some(DeliverError::Unavailable);
    assert_eq!(setup.evidence(&packed("one")).await.0, 503);
    assert_eq!(setup.kept().await, [KEY]);
    *setup.noting.answer.lock().unwrap() = None;
    assert_eq!(setup.evidence(&packed("one")).await.0, 202);
}

#[tokio::test]
async fn the_script_collects_what_a_restart_would_destroy() {
    let setup = Setup::new().await;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = run_script(&setup.sim.url, folder.path(), "evidence", "", &[]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    }
    let seen = setup.noting.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0], seen[1], "a repeat reports the first result");
    let bytes = setup.objects.read(&KEY.parse().unwrap()).await.unwrap();
    let (job, device) = (EVIDENCE_JOB.parse().unwrap(), DEVICE.parse().unwrap());
    let document = EvidenceDocument::read(&bytes, &job, &device).unwrap();
    let names: Vec<_> = document.sections.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "system",
            "processes",
            "executables",
            "connections",
            "users",
            "services",
            "autoruns",
            "recent_executables",
            "security_log",
            "updates"
        ]
    );
    let lines = |name: &str| {
        let of = document.sections.iter().find(|s| s.name == name);
        of.unwrap().lines.join("\n")
    };
    assert!(lines("system").contains("boot time"), "{}", lines("system"));
    // It sees itself run; the token that it was given stays out.
    assert!(lines("processes").contains("AutoOps-Device.sh"));
    let token = callback::device_token(&"master".into(), &job, &device);
    assert!(!String::from_utf8_lossy(&bytes).contains(token.expose_secret()));
    for section in &document.sections {
        assert!(section.lines.len() <= 400, "{}", section.name);
        assert!(section.lines.iter().all(|line| line.len() <= 500));
    }
}

/// A receiver that takes no evidence at all.
#[tokio::test]
async fn the_script_reports_without_evidence_that_is_refused_as_too_large() {
    type Seen = Arc<Mutex<Vec<Value>>>;
    async fn strict(State(seen): State<Seen>, body: Bytes) -> StatusCode {
        let body: Value = serde_json::from_slice(&body).unwrap();
        if body.get("evidence").is_some() {
            return StatusCode::PAYLOAD_TOO_LARGE;
        }
        seen.lock().unwrap().push(body);
        StatusCode::ACCEPTED
    }
    let seen = Seen::default();
    let routes = Router::new()
        .route(PATH, post(strict))
        .with_state(seen.clone());
    let sim = serve(routes, 0).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let first = run_script(&sim.url, folder.path(), "evidence", "", &[]).await;
    assert_eq!(first.status.code(), Some(1), "it failed, and says so");
    run_script(&sim.url, folder.path(), "evidence", "", &[]).await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0]["outcome"], "failed");
    let log = seen[0]["log"].as_str().unwrap();
    assert!(log.contains("refused the evidence as too large"), "{log}");
}
