//! Receives the reports of the device script and passes each on to the workflow that waits for it.
//!
//! It checks, keeps evidence, signals and answers; everything else is the workflow's. Evidence is kept
//! before the workflow hears of it, and the signal only names it. A report that comes twice is
//! one signal: the server drops a signal whose request id it has seen, and ours is made of the body.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use clients::{
    callback::{self, CallbackError, Posted},
    evidence::{EvidenceError, EvidenceRoom, Origin},
    secret::Secret,
};
use contracts::ids::DeviceRun;
use domain::{
    failure::{Classify, FailureKind},
    script::{SIGNATURE_HEADER, ScriptReport, TIMESTAMP_HEADER},
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};
use temporalio_client::{
    Client, UntypedSignal, UntypedWorkflow, WorkflowSignalOptions, errors::WorkflowInteractionError,
};
use temporalio_common::data_converters::RawValue;

/// Path the script posts to.
pub const PATH: &str = "/callbacks/device-script";
/// Signal of `DevicePatch` that carries a report.
const SIGNAL: &str = "script_finished";
/// The script does not wait for long, and tries again.
const PATIENCE: Duration = Duration::from_secs(5);

/// A report for one workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Workflow it is for.
    pub workflow_id: String,
    /// The same for a report that comes again.
    pub request_id: String,
    /// The report, checked.
    pub report: ScriptReport,
}

/// Why a report could not be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    /// No workflow of this id is open.
    #[error("nobody waits for this job")]
    NobodyWaits,
    /// Temporal cannot be reached.
    #[error("cannot be passed on now, try again")]
    Unavailable,
}

/// Passes reports on.
pub trait Deliver: Send + Sync {
    /// Passes one report on.
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Result<(), DeliverError>>;
}

/// Passes reports on as signals.
#[derive(Clone)]
pub struct BySignal(Client);

impl std::fmt::Debug for BySignal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BySignal")
    }
}

impl BySignal {
    /// Makes one that signals through this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

impl Deliver for BySignal {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Result<(), DeliverError>> {
        Box::pin(async move {
            let handle = self
                .0
                .get_workflow_handle::<UntypedWorkflow>(&delivery.workflow_id);
            let converter = self.0.options().data_converter.payload_converter();
            let input = RawValue::from_value(&delivery.report, converter);
            let options = WorkflowSignalOptions::builder()
                .request_id(delivery.request_id)
                .build();
            let sending = handle.signal(UntypedSignal::new(SIGNAL), input, options);
            match tokio::time::timeout(PATIENCE, sending).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(WorkflowInteractionError::NotFound(_))) => Err(DeliverError::NobodyWaits),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a report could not be passed on");
                    Err(DeliverError::Unavailable)
                }
                Err(_) => {
                    tracing::warn!("a report could not be passed on: Temporal does not answer");
                    Err(DeliverError::Unavailable)
                }
            }
        })
    }
}

struct Receiver {
    key: Secret,
    deliver: Arc<dyn Deliver>,
    evidence: EvidenceRoom,
}

/// Makes the routes of the receiver. `key` is the master key the tokens of script runs are made of,
/// `evidence` where evidence is kept.
pub fn router(key: Secret, deliver: Arc<dyn Deliver>, evidence: EvidenceRoom) -> Router {
    Router::new()
        .route(PATH, post(receive))
        .layer(DefaultBodyLimit::max(
            callback::MAX_BODY_WITH_EVIDENCE_BYTES,
        ))
        .with_state(Arc::new(Receiver {
            key,
            deliver,
            evidence,
        }))
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return refuse(&CallbackError::TooLarge);
        }
        Err(error) => return answer(error.status(), "unreadable", "the body did not arrive"),
    };
    let header = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let checked = callback::verify(
        &receiver.key,
        header(TIMESTAMP_HEADER),
        header(SIGNATURE_HEADER),
        &body,
        Timestamp::now(),
    )
    .await;
    let Posted {
        mut report,
        evidence,
    } = match checked {
        Ok(posted) => posted,
        Err(error) => {
            tracing::info!(%error, "a report was refused: {error}");
            return refuse(&error);
        }
    };
    let run = DeviceRun::of_job(&report.job_id).filter(|run| run.device == report.device);
    let Some(run) = run else {
        return answer(
            StatusCode::NOT_FOUND,
            "unknown_job",
            "this job belongs to no device run",
        );
    };
    if let Some(document) = evidence {
        let chain = run.workflow_id();
        let origin = Origin {
            plan: &run.plan,
            device: &run.device,
            job: &report.job_id,
            chain: &chain,
        };
        let kept = receiver.evidence.keep(origin, document, Timestamp::now());
        match kept.await {
            Ok(stored) => report.evidence = Some(stored),
            Err(error) => return not_kept(&report, &error),
        }
    }
    let delivery = Delivery {
        workflow_id: run.workflow_id(),
        request_id: hex::encode(Sha256::digest(&body)),
        report,
    };
    let job = delivery.report.job_id.clone();
    match receiver.deliver.deliver(delivery).await {
        Ok(()) => {
            tracing::info!(job.id = %job, "report of {job} passed on");
            StatusCode::ACCEPTED.into_response()
        }
        Err(error @ DeliverError::NobodyWaits) => {
            answer(StatusCode::NOT_FOUND, "nobody_waits", &error.to_string())
        }
        Err(error @ DeliverError::Unavailable) => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            &error.to_string(),
        ),
    }
}

/// The workflow does not hear of a report whose evidence is not kept.
fn not_kept(report: &ScriptReport, error: &EvidenceError) -> Response {
    let job = &report.job_id;
    tracing::warn!(job.id = %job, %error, "evidence of {job} was not kept: {error}");
    let (status, code) = match error.kind() {
        FailureKind::Conflict => (StatusCode::CONFLICT, "evidence_differs"),
        FailureKind::NotFound => (StatusCode::NOT_FOUND, "unknown_job"),
        FailureKind::InvalidInput => (StatusCode::UNPROCESSABLE_ENTITY, "malformed"),
        // What is wrong with a store is nothing for a device.
        _ => {
            let again = DeliverError::Unavailable.to_string();
            return answer(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &again);
        }
    };
    answer(status, code, &error.to_string())
}

fn refuse(error: &CallbackError) -> Response {
    let (status, code) = match error {
        CallbackError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        CallbackError::EvidenceTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "evidence_too_large"),
        CallbackError::Old => (StatusCode::UNAUTHORIZED, "old"),
        CallbackError::BadSignature => (StatusCode::UNAUTHORIZED, "bad_signature"),
        CallbackError::Malformed(_) => (StatusCode::UNPROCESSABLE_ENTITY, "malformed"),
    };
    answer(status, code, &error.to_string())
}

fn answer(status: StatusCode, code: &str, message: &str) -> Response {
    (
        status,
        Json(json!({ "error": { "code": code, "message": message } })),
    )
        .into_response()
}

#[cfg(test)]
#[path = "callbacks_tests.rs"]
mod tests;
