//! A small world for tests: a store in a temporary folder, a clock that stands still, and one fake
//! server that plays every outside system.

use std::sync::Arc;

use clients::{
    bedrock::{
        Bedrock, BedrockConfig, StaticCredentials,
        embeddings::{Embeddings, EmbeddingsConfig},
    },
    config::MemorySection,
    intel::{FeedConfig, Intel, IntelConfig},
    memory::LazyMemory,
    notify::LogNotifier,
    nvd::{Nvd, NvdConfig},
    objects::Objects,
    rate_limit::{RateLimiter, Unlimited},
    store::{ClientRecord, Store},
    superops::{SuperOps, SuperOpsConfig},
};
use domain::{
    device::{Device, Platform},
    ids::{ClientId, PlanId},
    plan::PlanRequest,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::{
    activities::ActivityError,
    testing::{ActivityEnvironment, ActivityEnvironmentError},
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

use crate::{Clock, Deps, Settings, guardrails::Guardrails, plans::PlanActivities};

pub(crate) const NOW: &str = "2026-11-03T10:00:30Z";
pub(crate) const CLIENT: &str = "4100000000000000001";

/// A clock that stands still, so many seconds after [`NOW`].
#[derive(Debug)]
struct Still(i64);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(self.0)
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) deps: Deps,
    pub(crate) server: MockServer,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let server = MockServer::start().await;
        let folder = tempfile::tempdir().unwrap();
        let superops = SuperOpsConfig {
            base_url: format!("{}/msp", server.uri()),
            subdomain: "acme".to_owned(),
            token: "superops-token".into(),
            timeout_secs: 1,
            ..SuperOpsConfig::default()
        };
        let nvd = NvdConfig {
            base_url: server.uri(),
            ..NvdConfig::default()
        };
        let feed = FeedConfig {
            base_url: server.uri(),
            timeout_secs: 1,
            requests_per_minute: 60,
            breaker: NvdConfig::default().breaker,
        };
        let intel = IntelConfig {
            kev: feed.clone(),
            epss: feed.clone(),
            msrc: feed.clone(),
            cve_services: feed,
        };
        let limiter: Arc<dyn RateLimiter> = Arc::new(Unlimited);
        let deps = Deps {
            store: Store::embedded(&folder.path().join("autoops.db")).unwrap(),
            objects: Objects::in_folder(&folder.path().join("objects")).unwrap(),
            superops: Arc::new(SuperOps::new(superops, Arc::new(Unlimited)).unwrap()),
            nvd: Arc::new(Nvd::new(nvd, Arc::new(Unlimited)).unwrap()),
            intel: Arc::new(Intel::new(&intel, &limiter).unwrap()),
            memory: Arc::new(LazyMemory::new(MemorySection::in_file(
                folder.path().join("memory.db"),
            ))),
            model: None,
            embeddings: None,
            prometheus: None,
            notifier: Arc::new(LogNotifier),
            clock: Arc::new(Still(0)),
            settings: Settings {
                accept_claimed_identity: true,
                decision_key: Some("decision key of thirty-two letters".into()),
                device_master_key: "master key of thirty-two letters!!".into(),
                callback_url: "https://autoops.example/".to_owned(),
            },
        };
        Self {
            deps,
            server,
            _folder: folder,
        }
    }

    /// Lets the clock stand so many seconds after [`NOW`].
    pub(crate) fn later(&mut self, secs: i64) {
        self.deps.clock = Arc::new(Still(secs));
    }

    pub(crate) async fn with_model(mut self) -> Self {
        let config = BedrockConfig {
            endpoint_url: Some(self.server.uri()),
            timeout_secs: 5,
            credentials: Some(StaticCredentials {
                access_key: "AKIDSIM".into(),
                secret_key: "s".into(),
            }),
            ..BedrockConfig::default()
        };
        self.deps.model = Some(Arc::new(Bedrock::new(config).await.unwrap()));
        self
    }

    /// Sets an embedding model up that the fake server plays.
    pub(crate) async fn with_embeddings(mut self, model: &str) -> Self {
        let config = EmbeddingsConfig {
            region: "eu-central-1".to_owned(),
            endpoint_url: Some(self.server.uri()),
            model: model.to_owned(),
            timeout_secs: 5,
            alike_permille: 600,
            cents_per_mtok: None,
            breaker: NvdConfig::default().breaker,
            credentials: Some(StaticCredentials::of_this_machine()),
        };
        let embeddings = Embeddings::new(config, Arc::new(Unlimited)).await.unwrap();
        self.deps.embeddings = Some(Arc::new(embeddings));
        self
    }

    /// Lets the model answer so often with a text, for 400 tokens in and 50 out.
    pub(crate) async fn model_says(&self, text: &str, times: u64) {
        let body = json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": text }] } },
            "stopReason": "end_turn", "metrics": { "latencyMs": 3 },
            "usage": { "inputTokens": 400, "outputTokens": 50, "totalTokens": 450 },
        });
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .up_to_n_times(times)
            .mount(&self.server)
            .await;
    }

    pub(crate) fn guardrails(&self) -> Guardrails {
        Guardrails::new(self.deps.store.clone(), Arc::clone(&self.deps.clock))
    }

    pub(crate) fn plans(&self) -> ActivityEnvironment {
        environment(PlanActivities::new(&self.deps, self.guardrails()))
    }

    /// Puts a client and devices 1 to `count` into the inventory; odd ones are servers.
    pub(crate) async fn seed(&self, count: u32) {
        let inventory = &self.deps.store.inventory;
        let record = ClientRecord {
            id: client(),
            name: "Acme".to_owned(),
            time_zone: Some("Etc/UTC".to_owned()),
            sites: std::collections::BTreeMap::new(),
            synced_at: Some(NOW.parse().unwrap()),
        };
        inventory.put_client(record).await.unwrap();
        let devices: Vec<Device> = (1..=count).map(device).collect();
        inventory.put_devices(&devices).await.unwrap();
    }
}

pub(crate) fn client() -> ClientId {
    CLIENT.parse().unwrap()
}

pub(crate) fn plan() -> PlanId {
    "first-plan".parse().unwrap()
}

pub(crate) fn device(number: u32) -> Device {
    let is_server = number % 2 == 1;
    let platform = if is_server {
        Platform::WindowsServer
    } else {
        Platform::WindowsWorkstation
    };
    let tags = [if is_server { "server" } else { "workstation" }.to_owned()].into();
    let id = number.to_string().parse().unwrap();
    Device {
        name: format!("PC-{number}"),
        online: true,
        ..Device::new(id, client(), platform, tags, NOW.parse().unwrap())
    }
}

/// A plan request, with fields replaced.
pub(crate) fn request(changes: Value) -> PlanRequest {
    let mut value = json!({
        "client": CLIENT, "patches": [{ "kb": "KB5034441" }], "devices": { "all": true },
    });
    for (field, change) in changes.as_object().unwrap() {
        value[field] = change.clone();
    }
    domain::input::from_json(&value).unwrap()
}

/// An environment that runs the activities of one struct.
pub(crate) fn environment<A>(activities: A) -> ActivityEnvironment
where
    A: temporalio_sdk::activities::ActivityImplementer + Send + Sync + 'static,
{
    ActivityEnvironment::builder()
        .register_activities(activities)
        .build()
}

/// The failure of an activity that must have failed.
pub(crate) fn failure<T: std::fmt::Debug>(
    result: Result<T, ActivityEnvironmentError>,
) -> Box<ApplicationFailure> {
    match result {
        Err(ActivityEnvironmentError::Activity(ActivityError::Application(failure))) => failure,
        other => panic!("expected a failure, got {other:?}"),
    }
}
