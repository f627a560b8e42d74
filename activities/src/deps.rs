//! What the activities work with, built once by the worker.

use std::{fmt, sync::Arc};

use clients::{
    bedrock::{Bedrock, embeddings::Embeddings},
    intel::Intel,
    memory::LazyMemory,
    notify::Notify,
    nvd::Nvd,
    objects::Objects,
    prometheus::Prometheus,
    secret::Secret,
    store::Store,
    superops::SuperOps,
};
use jiff::Timestamp;

/// The time, so that tests can set it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the time.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// What of the configuration activities need to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A name in a signal sent by hand is believed; true in development only.
    pub accept_claimed_identity: bool,
    /// Key the API signs decisions with; without it no decision counts as proven.
    pub decision_key: Option<Secret>,
    /// Master key of the tokens that device scripts sign their reports with.
    pub device_master_key: Secret,
    /// Where device scripts post their reports.
    pub callback_url: String,
}

/// Clients, store, objects, clock and settings.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Store.
    pub store: Store,
    /// Playbooks, logs, reports.
    pub objects: Objects,
    /// Past incidents.
    pub memory: Arc<LazyMemory>,
    /// `SuperOps`.
    pub superops: Arc<SuperOps>,
    /// NVD.
    pub nvd: Arc<Nvd>,
    /// Sources of vulnerability facts that need no key.
    pub intel: Arc<Intel>,
    /// The model; absent when it is switched off.
    pub model: Option<Arc<Bedrock>>,
    /// The embedding model; absent when vectors are made by rule.
    pub embeddings: Option<Arc<Embeddings>>,
    /// What is measured; absent when it is not set up.
    pub prometheus: Option<Arc<Prometheus>>,
    /// How people are told.
    pub notifier: Arc<dyn Notify>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub settings: Settings,
}
