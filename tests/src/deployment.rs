//! A running deployment, used by wire names and small JSON as a person with the CLI would.

use std::{fmt, sync::Arc, time::Duration};

use contracts::{
    deployment::{ControlAnswer, DeploymentResult},
    ids, queues,
};
use domain::{
    approval::{Answer, Request},
    deployment::DeploymentStatus,
    outcome::DeploymentOutcome,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use temporalio_client::{
    Client, RpcOptions, UntypedQuery, UntypedSignal, UntypedUpdate, UntypedWorkflow,
    UntypedWorkflowHandle, WorkflowCancelOptions, WorkflowExecuteUpdateOptions,
    WorkflowGetResultOptions, WorkflowIdReusePolicy, WorkflowQueryOptions, WorkflowSignalOptions,
    WorkflowStartOptions, WorkflowStartUpdateOptions,
    errors::{WorkflowGetResultError, WorkflowStartError, WorkflowUpdateError},
};
use temporalio_common::{
    data_converters::RawValue, error::IncomingError,
    protos::temporal::api::history::v1::HistoryEvent,
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    histories,
    server::Site,
    wire,
    world::{PATIENCE, World},
};

/// Pause between two questions to a workflow.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// A deployment in a world.
pub struct Deployment {
    world: Arc<World>,
    handle: UntypedWorkflowHandle<Client>,
    id: String,
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deployment").field(&self.id).finish()
    }
}

/// Starts a workflow as the CLI does.
///
/// # Errors
/// When the server refuses it, as for an id that was used before.
pub async fn start_raw(
    client: &Client,
    kind: &str,
    id: &str,
    input: RawValue,
) -> Result<UntypedWorkflowHandle<Client>, WorkflowStartError> {
    let options = WorkflowStartOptions::new(queues::MAIN, id)
        .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
        .build();
    client
        .start_workflow(UntypedWorkflow::new(kind), input, options)
        .await
}

impl Deployment {
    /// Starts the deployment of a world's plan with any JSON as its input.
    pub async fn start(site: &Site, world: &Arc<World>, input: &Value) -> Self {
        let id = world.read(|m| ids::patch_deployment(&m.plan));
        let handle = start_raw(site.client(), "PatchDeployment", &id, wire::json(input))
            .await
            .unwrap();
        // Not of this run only: a deployment continues as new.
        let handle = site
            .client()
            .get_workflow_handle::<UntypedWorkflow>(handle.info().workflow_id.as_str());
        Self {
            world: Arc::clone(world),
            handle,
            id,
        }
    }

    /// The workflow id, which is also the name of its audit chain.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The handle, not of one run.
    #[must_use]
    pub fn handle(&self) -> &UntypedWorkflowHandle<Client> {
        &self.handle
    }

    /// Sends a signal with JSON.
    pub async fn signal(&self, name: &str, input: Value) {
        self.signal_raw(name, wire::json(&input)).await;
    }

    /// Sends a signal with any payloads.
    pub async fn signal_raw(&self, name: &str, input: RawValue) {
        let options = WorkflowSignalOptions::default();
        self.handle
            .signal(UntypedSignal::new(name), input, options)
            .await
            .unwrap();
    }

    /// Sends an update and waits for its answer.
    ///
    /// # Errors
    /// When the workflow refuses it.
    pub async fn try_update<T: DeserializeOwned>(
        &self,
        name: &str,
        input: &Value,
    ) -> Result<T, WorkflowUpdateError> {
        let options = WorkflowExecuteUpdateOptions::default();
        let update =
            self.handle
                .execute_update(UntypedUpdate::new(name), wire::json(input), options);
        let raw = timeout(PATIENCE, update)
            .await
            .unwrap_or_else(|_| panic!("no answer to {name}"))?;
        Ok(wire::read(&raw))
    }

    /// Sends an update and waits only until a worker has taken it; the future has the answer.
    pub async fn send_update<T: DeserializeOwned>(
        &self,
        name: &str,
        input: Value,
    ) -> impl Future<Output = T> {
        let options = WorkflowStartUpdateOptions::default();
        let start = self
            .handle
            .start_update(UntypedUpdate::new(name), wire::json(&input), options);
        let update = timeout(PATIENCE, start).await.unwrap().unwrap();
        async move {
            let answer = timeout(PATIENCE, update.get_result(RpcOptions::default())).await;
            wire::read(&answer.unwrap().unwrap())
        }
    }

    /// Sends an update and returns its answer.
    pub async fn update<T: DeserializeOwned>(&self, name: &str, input: Value) -> T {
        self.try_update(name, &input).await.unwrap()
    }

    /// Sends an update that controls the deployment.
    pub async fn control(&self, name: &str, input: Value) -> ControlAnswer {
        self.update(name, input).await
    }

    /// Decides on the open request, as the API does.
    pub async fn decide(&self, choice: &str, by: &str) -> Answer {
        let request = self.open_request().await;
        let input = json!({
            "choice": choice, "by": by, "request_id": request.id, "plan_hash": request.plan_hash,
        });
        self.update("decide", input).await
    }

    /// Waits until people are asked.
    pub async fn open_request(&self) -> Request {
        self.until_status("an open approval request", |s| s.needs_approval)
            .await;
        self.world
            .read(|m| m.status.as_ref().and_then(|s| s.approval.clone()))
            .unwrap()
    }

    /// Waits until the status in the store passes a test.
    pub async fn until_status(&self, what: &str, test: impl Fn(&DeploymentStatus) -> bool) {
        self.world.until(what, |m| m.status_is(&test)).await;
    }

    /// Asks the workflow itself where it stands.
    pub async fn status(&self) -> DeploymentStatus {
        let query = self.handle.query(
            UntypedQuery::new("status"),
            RawValue::new(vec![]),
            WorkflowQueryOptions::default(),
        );
        wire::read(&timeout(PATIENCE, query).await.unwrap().unwrap())
    }

    /// Asks the workflow itself until its status passes a test.
    pub async fn until_asked(&self, what: &str, test: impl Fn(&DeploymentStatus) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status().await;
            if test(&status) {
                return;
            }
            assert!(Instant::now() < deadline, "not seen: {what}; {status:?}");
            sleep(ASK_EVERY).await;
        }
    }

    /// Cancels the workflow.
    pub async fn cancel(&self) {
        self.handle
            .cancel(WorkflowCancelOptions::default())
            .await
            .unwrap();
    }

    /// Waits for the end and returns the result. Every audit chain of the world is checked.
    pub async fn result(&self) -> DeploymentResult {
        match self.end().await {
            Ok(raw) => {
                self.world.verify_audit().await;
                wire::read(&raw)
            }
            Err(error) => panic!("{} failed: {error:?}", self.id),
        }
    }

    /// Waits for the end and checks how it ended.
    pub async fn ends(&self, outcome: DeploymentOutcome) -> DeploymentResult {
        let result = self.result().await;
        assert_eq!(result.outcome, outcome, "{result:?}");
        result
    }

    /// Waits for its failure and returns type and words of it.
    pub async fn failure(&self) -> (String, String) {
        let Err(error) = self.end().await else {
            panic!("{} did not fail", self.id)
        };
        failure_of(error)
    }

    async fn end(&self) -> Result<RawValue, WorkflowGetResultError> {
        let end = self.handle.get_result(WorkflowGetResultOptions::default());
        match timeout(PATIENCE, end).await {
            Ok(end) => end,
            Err(_) => {
                let status = self.world.read(|m| m.status.clone());
                let status = status.map(|s| (s.stage, s.note, s.counts));
                let last = self.last_events().await;
                panic!(
                    "{} does not end: {status:?}; its history: {last:?}",
                    self.id
                )
            }
        }
    }

    /// What its newest run did last, and when.
    async fn last_events(&self) -> Vec<String> {
        let events = self.histories().await.pop().unwrap_or_default();
        let last = events.len().saturating_sub(12);
        let shown = events[last..].iter().map(|event| {
            let at = event.event_time.map(|at| at.seconds).unwrap_or_default();
            format!("{} {at} {:?}", event.event_id, event.event_type())
        });
        shown.collect()
    }

    /// Fetches the history of every run, the first one first.
    pub async fn histories(&self) -> Vec<Vec<HistoryEvent>> {
        histories::runs_of(self.handle.client(), &self.id).await
    }

    /// Returns what its audit chain says happened, in order.
    pub async fn audited(&self) -> Vec<String> {
        let entries = self.world.chain(&self.id).await;
        entries.into_iter().map(|entry| entry.record.what).collect()
    }
}

/// Runs a workflow to its end, as a schedule or a person does it; a failure has its type and words.
///
/// # Errors
/// When the workflow fails.
pub async fn ended<T: DeserializeOwned>(
    client: &Client,
    workflow: &str,
    id: &str,
    input: RawValue,
) -> Result<T, (String, String)> {
    let started = start_raw(client, workflow, id, input).await.unwrap();
    let ended = started.get_result(WorkflowGetResultOptions::default());
    ended.await.map(|raw| wire::read(&raw)).map_err(failure_of)
}

/// Reads type and words of the failure of a workflow.
#[must_use]
pub fn failure_of(error: WorkflowGetResultError) -> (String, String) {
    let WorkflowGetResultError::Failed(cause) = error else {
        panic!("{error:?}")
    };
    let mut found = None;
    let mut at = Some(&*cause);
    while let Some(error) = at {
        if let IncomingError::Application(app) = error {
            found = Some((
                app.type_name().unwrap_or_default().to_owned(),
                app.to_string(),
            ));
        }
        at = error.cause();
    }
    found.unwrap_or_else(|| panic!("{cause:?}"))
}
