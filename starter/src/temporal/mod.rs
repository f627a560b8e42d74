//! How this program talks to Temporal: by wire names and small JSON, as the `temporal` CLI does.

mod deployment;
mod incidents;
mod rerun;
mod schedules;
mod seal;
mod trouble;

use std::{fmt, time::Duration};

use anyhow::{Context, anyhow};
use contracts::{converter, deployment::WORKFLOW_TYPE, ids, queues, search};
use domain::{ids::PlanId, plan::PlanRequest};
use jiff::Timestamp;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, NamespacedClient, UntypedWorkflow,
    WorkflowIdReusePolicy, WorkflowStartOptions,
    envconfig::LoadClientConfigProfileOptions,
    errors::{ClientConnectError, WorkflowStartError},
    tonic::IntoRequest,
};
use temporalio_common::{
    envconfig,
    protos::temporal::api::{
        enums::v1::TaskQueueType, taskqueue::v1::TaskQueue,
        workflowservice::v1::DescribeTaskQueueRequest,
    },
    search_attributes::SearchAttributes,
};

pub use self::{
    deployment::{Delivered, Deployment, End},
    schedules::{Run, Standing},
    trouble::Trouble,
};
use crate::dev::DevEnvironment;

/// Where a server is looked for when nothing says where.
const DEFAULT_ADDRESS: &str = "127.0.0.1:7233";
/// A worker asks again after a minute at the latest, in seconds; the server remembers one for longer.
const POLLED_WITHIN: i64 = 75;
/// How long a connection may take; a person waits for it.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection to the Temporal server.
#[derive(Clone)]
pub struct Temporal {
    client: Client,
    address: String,
}

impl fmt::Debug for Temporal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Temporal").finish_non_exhaustive()
    }
}

/// What became of a start.
#[derive(Debug)]
pub enum Started {
    /// It runs.
    Yes {
        /// Run id of its first run.
        run_id: Option<String>,
    },
    /// A plan of this id was started before.
    Before,
}

impl Temporal {
    /// Connects as the SDK's own sources say (`TEMPORAL_*`, `temporal.toml`), else to the
    /// development environment, else to this machine.
    ///
    /// # Errors
    /// When no server answers within some seconds; the address is named.
    pub async fn connect(dev: Option<&DevEnvironment>) -> anyhow::Result<Self> {
        let mut profile =
            envconfig::load_client_config_profile(LoadClientConfigProfileOptions::default(), None)
                .map_err(|error| anyhow!("Temporal connection settings: {error}"))?;
        let of_dev = dev.filter(|dev| profile.address.is_none() && dev.temporal_address.is_some());
        if let Some(dev) = of_dev {
            profile.address.clone_from(&dev.temporal_address);
        }
        profile
            .address
            .get_or_insert_with(|| DEFAULT_ADDRESS.to_owned());
        let namespace = profile
            .namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned());
        let mut options = ConnectionOptions::try_from(profile)
            .map_err(|error| anyhow!("Temporal connection settings: {error}"))?;
        options.connect_timeout = Some(CONNECT);
        options.identity = format!("autoops@{}", std::process::id());
        let target = &options.target;
        let address = format!(
            "{}:{}",
            target.host_str().unwrap_or_default(),
            target.port_or_known_default().unwrap_or(7233)
        );
        let hint = of_dev.map_or(String::new(), |dev| {
            format!(" (named in {})", dev.file.display())
        });

        let connection = tokio::time::timeout(CONNECT, Connection::connect(options))
            .await
            .map_err(|_| {
                anyhow!(
                    "no Temporal server at {address}{hint}: no answer within {} s",
                    CONNECT.as_secs()
                )
            })?
            .map_err(|error| anyhow!("no Temporal server at {address}{hint}: {}", why(&error)))?;
        let options = ClientOptions::new(namespace)
            .data_converter(converter::data_converter())
            .build();
        let client =
            Client::new(connection, options).context("the Temporal client cannot be made")?;
        Ok(Self { client, address })
    }

    /// Returns where the server is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Counts the workers that ask for tasks of a queue; on the main queue those that take workflows.
    ///
    /// # Errors
    /// When the server does not say so.
    pub async fn pollers(&self, queue: &str) -> anyhow::Result<usize> {
        let kind = if queue == queues::MAIN {
            TaskQueueType::Workflow
        } else {
            TaskQueueType::Activity
        };
        let request = DescribeTaskQueueRequest {
            namespace: self.client.namespace(),
            task_queue: Some(TaskQueue {
                name: queue.to_owned(),
                ..TaskQueue::default()
            }),
            task_queue_type: kind as i32,
            ..DescribeTaskQueueRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        let asked = service.describe_task_queue(request.into_request());
        let answer = tokio::time::timeout(CONNECT, asked)
            .await
            .map_err(|_| {
                anyhow!(
                    "the Temporal server does not say who polls {queue}: no answer within {} s",
                    CONNECT.as_secs()
                )
            })?
            .map_err(|status| {
                anyhow!(
                    "the Temporal server does not say who polls {queue}: {}",
                    status.message()
                )
            })?
            .into_inner();
        let since = Timestamp::now().as_second() - POLLED_WITHIN;
        let asks = answer.pollers.iter().filter(|poller| {
            let at = poller.last_access_time.as_ref();
            at.is_some_and(|at| at.seconds >= since)
        });
        Ok(asks.count())
    }

    /// Starts a deployment; a second start of the same plan has no effect.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn start(&self, plan: &PlanId, request: &PlanRequest) -> anyhow::Result<Started> {
        let (summary, details) = describe(plan, request);
        let client = search::CLIENT.value_set(request.client.to_string());
        let options = WorkflowStartOptions::new(queues::MAIN, ids::patch_deployment(plan))
            .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
            .search_attributes(SearchAttributes::new([client]))
            .static_summary(summary)
            .static_details(details)
            .build();
        let input = deployment::encode(request)?;
        match self
            .client
            .start_workflow(UntypedWorkflow::new(WORKFLOW_TYPE), input, options)
            .await
        {
            Ok(handle) => Ok(Started::Yes {
                run_id: handle
                    .info()
                    .first_execution_run_id
                    .clone()
                    .or_else(|| handle.run_id().map(str::to_owned)),
            }),
            Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(Started::Before),
            Err(WorkflowStartError::Rpc(status))
                if status.message().contains("search attribute") =>
            {
                Err(anyhow!(
                    "the Temporal server refuses a search attribute: {}; create them with `temporal operator search-attribute create{}`",
                    status.message(),
                    search::ALL
                        .map(|(name, kind)| format!(" --name {name} --type {kind}"))
                        .concat(),
                ))
            }
            Err(WorkflowStartError::Rpc(status)) => Err(anyhow!(
                "the Temporal server refuses to start it: {}",
                status.message()
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns a handle to a deployment, whether it exists or not.
    #[must_use]
    pub fn deployment(&self, plan: &PlanId) -> Deployment {
        Deployment::new(self.client.get_workflow_handle(ids::patch_deployment(plan)))
    }
}

/// Summary and details shown in the Temporal Web UI: ids and counts, no names.
fn describe(plan: &PlanId, request: &PlanRequest) -> (String, String) {
    let kbs: Vec<_> = request
        .patches
        .iter()
        .map(|patch| patch.kb.to_string())
        .collect();
    let summary = format!(
        "{plan}: {} patches for client {}",
        kbs.len(),
        request.client
    );
    let rings = match request.rings.len() {
        0 | 1 => "one ring".to_owned(),
        n => format!("{n} rings"),
    };
    let details = format!(
        "Patches: {}\n\nRollout: {rings}, {} maintenance windows",
        kbs.join(", "),
        request.windows.len()
    );
    (summary, details)
}

/// Returns the innermost cause of a failed connection: the outer ones only say that it failed.
fn why(error: &ClientConnectError) -> String {
    match error {
        ClientConnectError::SystemInfoCallError(status) => status.message().to_owned(),
        other => {
            let causes = std::iter::successors(Some(other as &dyn std::error::Error), |error| {
                error.source()
            });
            causes.last().map(ToString::to_string).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_web_ui_shows_has_ids_and_counts_only() {
        let request = serde_json::from_value(serde_json::json!({
            "client": "7", "patches": [{ "kb": "KB5034441" }], "devices": { "tags": ["reception"] },
        }))
        .unwrap();
        let (summary, details) = describe(&"first-plan".parse().unwrap(), &request);
        assert_eq!(summary, "first-plan: 1 patches for client 7");
        assert!(
            details.contains("KB5034441") && !details.contains("reception"),
            "{details}"
        );
    }
}
