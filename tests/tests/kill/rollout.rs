//! One deployment from its start to its end, driven as a person with the CLI would.

use std::time::{Duration, Instant};

use autoops_tests::wire;
use contracts::{deployment::DeploymentResult, ids, queues};
use futures::future::join_all;
use serde_json::json;
use temporalio_client::{
    UntypedSignal, UntypedWorkflow, WorkflowGetResultOptions, WorkflowIdReusePolicy,
    WorkflowSignalOptions, WorkflowStartOptions,
};

use autoops_tests::ground::Ground;

use crate::{
    fleet::Job,
    trail::{Kind, Trail},
};

/// A task of a workflow that a dead worker has is given to another one after this long. Children
/// take it over. Shorter, a busy machine does not get through its tasks.
const TASK: Duration = Duration::from_secs(2);
/// How long the server may not answer: after its restart, or on a busy machine.
const SILENCE: Duration = Duration::from_secs(60);
/// A server that was away answers after a while.
const CALL: Duration = Duration::from_secs(10);

/// Since when the server does not answer.
#[derive(Default)]
pub(crate) struct Silence(Option<Instant>);

/// Reads all histories of deployments on. False when the server did not answer for one; it has to come back.
pub(crate) async fn look_at(
    rollouts: &mut [Rollout],
    ground: &Ground,
    silence: &mut Silence,
) -> bool {
    let looks = rollouts.iter_mut().map(|rollout| rollout.look(ground));
    if join_all(looks).await.into_iter().all(|seen| seen) {
        silence.0 = None;
        return true;
    }
    let since = *silence.0.get_or_insert_with(Instant::now);
    assert!(since.elapsed() < SILENCE, "the server does not answer");
    false
}

pub(crate) struct Rollout {
    pub(crate) job: Job,
    /// The deployment, then its devices as they begin.
    pub(crate) trails: Vec<Trail>,
    approved: bool,
}

impl Rollout {
    pub(crate) async fn start(ground: &Ground, job: Job) -> Self {
        let id = workflow_id(&job);
        let options = WorkflowStartOptions::new(queues::MAIN, &id)
            .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
            .task_timeout(TASK)
            .build();
        let (kind, input) = (
            UntypedWorkflow::new("PatchDeployment"),
            wire::json(&job.plan()),
        );
        let started = ground.client.start_workflow(kind, input, options).await;
        started.unwrap();
        Self {
            job,
            trails: vec![Trail::new(Kind::Deployment, id)],
            approved: false,
        }
    }

    /// Reads all its histories on. False when the server could not be asked.
    pub(crate) async fn look(&mut self, ground: &Ground) -> bool {
        let looks = self.trails.iter_mut().map(|t| t.look(&ground.client));
        let seen = join_all(looks).await.into_iter().all(|seen| seen);
        let known = self.trails.len() - 1;
        let new: Vec<_> = self.trails[0].children[known..].to_vec();
        for id in new {
            self.trails.push(Trail::new(Kind::Device, id));
        }
        seen
    }

    /// Events of all its histories so far.
    pub(crate) fn events(&self) -> i64 {
        self.trails.iter().map(|trail| trail.length).sum()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.trails.iter().all(|trail| trail.closed)
    }

    /// Decides once people are asked. Who gets no answer sends the same decision again.
    pub(crate) async fn approve_if_asked(&mut self, ground: &Ground) {
        if self.approved {
            return;
        }
        let plan = self.job.plan.parse().unwrap();
        let status = ground.store.executions.get_status(&plan).await.unwrap();
        if status.is_none_or(|status| !status.needs_approval) {
            return;
        }
        for by in self.job.people.clone() {
            for _ in 0..self.job.sent {
                let decision = json!({ "by": by, "decision_id": format!("{plan}-{by}") });
                let handle = ground
                    .client
                    .get_workflow_handle::<UntypedWorkflow>(workflow_id(&self.job));
                let sending = handle.signal(
                    UntypedSignal::new("approve"),
                    wire::json(&decision),
                    WorkflowSignalOptions::default(),
                );
                if !matches!(tokio::time::timeout(CALL, sending).await, Ok(Ok(()))) {
                    return;
                }
            }
        }
        self.approved = true;
    }

    pub(crate) async fn result(&self, ground: &Ground) -> DeploymentResult {
        let handle = ground
            .client
            .get_workflow_handle::<UntypedWorkflow>(workflow_id(&self.job));
        let result = handle.get_result(WorkflowGetResultOptions::default());
        let result = tokio::time::timeout(CALL, result).await;
        wire::read(&result.expect("an answer").unwrap())
    }
}

fn workflow_id(job: &Job) -> String {
    ids::patch_deployment(&job.plan.parse().unwrap())
}
