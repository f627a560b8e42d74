//! Everything that runs on one machine, started in order and stopped in the opposite one.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use clients::{evidence::EvidenceRoom, objects::Objects, store::Store};
use contracts::queues;
use secrecy::SecretString;
use temporalio_client::{Client, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::{
    enums::v1::TaskQueueType, taskqueue::v1::TaskQueue,
    workflowservice::v1::DescribeTaskQueueRequest,
};

use crate::{
    Say,
    aws_local::{self, DynamoLocal, OpenSearchLocal, S3Local},
    callbacks::{self, BySignal},
    data_dir::{DataDir, DevInfo},
    demo,
    links::{beside_us, link, script},
    options::{Ports, RunOptions, StoreChoice},
    sim::{RunningSim, serve},
    simulators::Simulators,
    temporal::{DevTemporal, DevTemporalOptions, TemporalCli, find_here},
    worker::{KeptWorker, WorkerSpec},
};

/// Where `temporal` finds its server.
const TEMPORAL_ADDRESS: &str = "TEMPORAL_ADDRESS";
/// Where `autoops` finds the environment.
const AUTOOPS_DEV: &str = "AUTOOPS_DEV";
/// How long to wait for the worker to take its first work.
const WORKER_READY: Duration = Duration::from_secs(30);

/// Everything, running.
#[derive(Debug)]
pub struct Stack {
    /// Where everything is reached.
    pub info: DevInfo,
    // Stopped from here on downwards; dropped in this order, too.
    worker: Option<KeptWorker>,
    callbacks: RunningSim,
    simulators: Simulators,
    temporal: DevTemporal,
    aws: Option<AwsLocal>,
    data: DataDir,
}

impl Stack {
    /// Starts everything. When something does not start, what was started before is stopped.
    ///
    /// # Errors
    /// When a part does not start; the message says which.
    pub async fn start(options: &RunOptions, data: DataDir, say: Say) -> anyhow::Result<Self> {
        // Found wrong, these should not cost a start.
        let people = demo::people(options.people.as_deref(), &data)?;
        let fleet = demo::fleet(options.fleet.as_deref())?;
        let key = data.callback_key()?;
        let ports = Ports::new(options.port_base);

        let cli = find_here(&|line| say(line)).await?;
        say(&format!(
            "Temporal server {} ({})",
            cli.server_version, cli.source
        ));
        let temporal = start_temporal(options, &ports, &data, cli).await?;
        let simulators = Simulators::start(&ports, fleet, options.speed, &data).await?;
        let (store, objects, aws) = match options.store {
            StoreChoice::Embedded => (
                Store::embedded(&data.store_path())?,
                Objects::in_folder(&data.objects_path())?,
                None,
            ),
            StoreChoice::AwsLocal => {
                let (store, aws) = AwsLocal::start(&ports, &data, &say).await?;
                let objects = Objects::on_s3(&aws.s3.config()).await?;
                (store, objects, Some(aws))
            }
        };
        let receiver = callbacks::router(
            key.clone().into(),
            Arc::new(BySignal::new(temporal.client()?)),
            EvidenceRoom::new(store.clone(), objects),
        );
        let callbacks = serve(receiver, ports.callback)
            .await
            .context("callback receiver")?;
        let mut info = DevInfo::of(&temporal, &simulators, &callbacks, &data);
        if let Some(aws) = &aws {
            info.dynamodb_url = Some(aws.dynamo.url.clone());
            info.s3_url = Some(aws.s3.url.clone());
            info.opensearch_url = Some(aws.opensearch.url.clone());
        }
        demo::add_people(&store, people).await?;
        let worker = match options.no_worker {
            true => None,
            false => Some(KeptWorker::start(
                worker_spec(&info, &key, options.speed, &data)?,
                say.clone(),
            )?),
        };
        if worker.is_some() && !takes_work(&temporal.client()?).await {
            say(&format!(
                "the worker takes no work yet; see {}",
                data.logs().join("worker.log").display()
            ));
        }
        data.write_info(&info)?;
        let dev = data.info_file().display().to_string();
        for (name, program, variable, value) in [
            (
                "temporal",
                &info.temporal_cli,
                TEMPORAL_ADDRESS,
                &info.temporal_address,
            ),
            ("autoops", &beside_us("autoops")?, AUTOOPS_DEV, &dev),
        ] {
            let handed = ensure_built(program).and_then(|()| {
                script(&data.file(name), program, variable, value)?;
                link(&options.bin_dir, name, &data.file(name))
            });
            if let Err(error) = handed {
                say(&format!("{error:#}"));
            }
        }
        Ok(Self {
            info,
            worker,
            callbacks,
            simulators,
            temporal,
            aws,
            data,
        })
    }

    /// Waits until the Temporal server has ended: without it nothing goes on.
    pub async fn temporal_ended(&self) {
        self.temporal.ended().await;
    }

    /// Stops everything: first who uses others, last who is used.
    pub async fn stop(self) {
        self.data.remove_info();
        if let Some(worker) = self.worker {
            worker.stop().await;
        }
        // Devices report to the receiver; what cannot be delivered any more goes on at the next start.
        self.simulators.stop().await;
        self.callbacks.stop().await;
        self.temporal.stop().await;
        if let Some(aws) = self.aws {
            aws.stop().await;
        }
    }
}

/// What stands for AWS.
#[derive(Debug)]
struct AwsLocal {
    dynamo: DynamoLocal,
    s3: S3Local,
    opensearch: OpenSearchLocal,
}

impl AwsLocal {
    /// Starts DynamoDB Local with the tables of the template, an S3 server with our buckets, and
    /// OpenSearch.
    async fn start(ports: &Ports, data: &DataDir, say: &Say) -> anyhow::Result<(Store, Self)> {
        let port = usual_or_free(ports.dynamodb);
        let (folder, log) = (data.file("dynamodb"), data.logs().join("dynamodb.log"));
        let dynamo = DynamoLocal::start(port, Some(&folder), &log).await?;
        let config = dynamo.config(aws_local::PREFIX);
        aws_local::create(&config).await?;
        say(&format!("DynamoDB Local at {}", dynamo.url));
        let s3 = S3Local::start(usual_or_free(ports.s3), &data.file("s3")).await?;
        say(&format!("S3 server at {}", s3.url));
        let port = usual_or_free(ports.opensearch);
        let (folder, log) = (data.file("opensearch"), data.logs().join("opensearch.log"));
        let opensearch = OpenSearchLocal::start(port, &folder, &log).await?;
        say(&format!("OpenSearch at {}", opensearch.url));
        let started = Self {
            dynamo,
            s3,
            opensearch,
        };
        Ok((Store::dynamodb(&config).await?, started))
    }

    async fn stop(self) {
        self.opensearch.stop().await;
        self.s3.stop().await;
        self.dynamo.stop().await;
    }
}

async fn start_temporal(
    options: &RunOptions,
    ports: &Ports,
    data: &DataDir,
    cli: TemporalCli,
) -> anyhow::Result<DevTemporal> {
    let temporal = DevTemporalOptions {
        cli: Some(cli.path),
        port: usual_or_free(ports.temporal),
        ui_port: (!options.headless).then(|| usual_or_free(ports.temporal_ui)),
        db_file: Some(data.file("temporal.db")),
        log_file: Some(data.logs().join("temporal.log")),
    };
    DevTemporal::start(temporal)
        .await
        .context("Temporal server")
}

/// Returns the port, or 0 when somebody has it.
fn usual_or_free(port: u16) -> u16 {
    if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
        port
    } else {
        0
    }
}

fn worker_spec(
    info: &DevInfo,
    key: &SecretString,
    speed: f64,
    data: &DataDir,
) -> anyhow::Result<WorkerSpec> {
    Ok(WorkerSpec {
        binary: beside_us("autoops-worker")?,
        env: demo::worker_env(info, key, speed),
        without: demo::NOT_FOR_THE_WORKER,
        log_file: data.logs().join("worker.log"),
    })
}

fn ensure_built(program: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        program.is_file(),
        "{} is not built: cargo build --workspace --bins",
        program.display()
    );
    Ok(())
}

/// Waits until a worker asks for workflow tasks; false when none does in time.
async fn takes_work(client: &Client) -> bool {
    let asking = async {
        loop {
            let request = DescribeTaskQueueRequest {
                namespace: client.options().namespace.clone(),
                task_queue: Some(TaskQueue {
                    name: queues::MAIN.to_owned(),
                    ..TaskQueue::default()
                }),
                task_queue_type: TaskQueueType::Workflow as i32,
                ..DescribeTaskQueueRequest::default()
            };
            let answer = client
                .connection()
                .workflow_service()
                .describe_task_queue(request.into_request())
                .await;
            if answer.is_ok_and(|answer| !answer.into_inner().pollers.is_empty()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(WORKER_READY, asking).await.is_ok()
}
