//! One model per test, found by the plan in the workflow id.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    time::Duration,
};

use clients::{config::MemorySection, memory::LazyMemory, objects::Objects, store::Store};
use contracts::ids::{DeviceRun, Scheduled, incident_of, plan_of_deployment};
use domain::{
    audit::AuditEntry,
    ids::{DeviceId, PlanId},
};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::sync::watch;

use crate::{
    chain::whole_chain,
    deployment::Deployment,
    faults::failure,
    model::Model,
    plan::{self, KB},
    server::Site,
};

/// How long a test waits for what it expects; only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The models of all tests that run.
#[derive(Debug, Default)]
pub struct Worlds(RwLock<HashMap<PlanId, Weak<World>>>);

impl Worlds {
    pub(crate) fn of(&self, ctx: &ActivityContext) -> Result<Arc<World>, ActivityError> {
        self.of_workflow(ctx.info().workflow_id.as_deref().unwrap_or_default())
    }

    pub(crate) fn of_workflow(&self, workflow_id: &str) -> Result<Arc<World>, ActivityError> {
        let plan = plan_of_deployment(workflow_id)
            .or_else(|| DeviceRun::of_workflow(workflow_id).map(|run| run.plan))
            .or_else(|| world_of_incident(workflow_id))
            .or_else(|| workflow_id.strip_prefix("daily-seal/")?.parse().ok())
            .or_else(|| workflow_id.strip_prefix("alert-processing/")?.parse().ok())
            .or_else(|| {
                Scheduled::of_workflow(workflow_id)?
                    .0
                    .name()
                    .as_str()
                    .parse()
                    .ok()
            });
        let worlds = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // The first deployment of a campaign is played in the campaign's world if that wants it, others
        // nowhere.
        let first = |plan: &PlanId| plan.as_str().strip_suffix("-1")?.parse().ok();
        let found = |plan: &PlanId| worlds.get(plan)?.upgrade();
        let world = plan.and_then(|plan| {
            let played = |world: &Arc<World>| world.read(|m| m.plays_deployments);
            found(&plan).or_else(|| found(&first(&plan)?).filter(played))
        });
        world.ok_or_else(|| {
            failure(
                "harness.gone",
                &format!("no world for {workflow_id}"),
                false,
            )
        })
    }

    fn add(&self, plan: PlanId, world: &Arc<World>) {
        let mut worlds = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = worlds.insert(plan.clone(), Arc::downgrade(world));
        assert!(
            before.is_none(),
            "two tests use the plan {plan} on one server"
        );
    }
}

/// The incidents 7001-120 to 7001-129 are those of the world `incident-12`; those of other clients belong to
/// the world that the client is named after.
fn world_of_incident(workflow_id: &str) -> Option<PlanId> {
    let key = incident_of(workflow_id)?;
    if key.client().as_str() != "7001" {
        return key.client().as_str().parse().ok();
    }
    format!("incident-{}", key.number().0 / 10).parse().ok()
}

/// The world of one test.
pub struct World {
    model: Mutex<Model>,
    changed: watch::Sender<u64>,
    store: Store,
    objects: Objects,
    memory: Arc<LazyMemory>,
    /// Of other worlds, which are other clients of the same provider.
    shared: Mutex<Option<Store>>,
    _folder: tempfile::TempDir,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    /// Makes a world for a plan, with devices `81`, `82` and so on that lack [`KB`].
    pub fn new(site: &Site, plan: &str, devices: u32) -> Arc<Self> {
        let plan: PlanId = plan.parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let world = Arc::new(Self {
            model: Mutex::new(Model::new(plan.clone(), devices, &[KB.parse().unwrap()])),
            changed: watch::Sender::new(0),
            store: Store::embedded(&folder.path().join("store.db")).unwrap(),
            objects: Objects::in_folder(&folder.path().join("objects")).unwrap(),
            memory: Arc::new(LazyMemory::new(MemorySection::in_file(
                folder.path().join("memory.db"),
            ))),
            shared: Mutex::default(),
            _folder: folder,
        });
        site.worlds().add(plan, &world);
        world
    }

    /// The store that holds the audit trail of this world.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Lets this world count in the ledger of another one, as clients of one provider do.
    pub fn share_ledger_of(&self, other: &Self) {
        let shared = Some(other.ledger());
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = shared;
    }

    /// The store that holds the ledger, and the states of all deployments of the provider.
    #[must_use]
    pub fn ledger(&self) -> Store {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.clone().unwrap_or_else(|| self.store.clone())
    }

    /// What is kept beside the store.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Past incidents.
    #[must_use]
    pub fn memory(&self) -> &Arc<LazyMemory> {
        &self.memory
    }

    /// Reads the model.
    pub fn read<R>(&self, read: impl FnOnce(&Model) -> R) -> R {
        read(&self.model.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the model, and wakes everybody who waits for a condition on it.
    pub fn change<R>(&self, change: impl FnOnce(&mut Model) -> R) -> R {
        let result = change(&mut self.model.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_modify(|n| *n += 1);
        result
    }

    /// Waits until a condition holds.
    ///
    /// # Panics
    /// When it does not in time; says what was there instead.
    pub async fn until(&self, what: &str, test: impl Fn(&Model) -> bool) {
        let mut changed = self.changed.subscribe();
        let met = changed.wait_for(|_| self.read(&test));
        if tokio::time::timeout(PATIENCE, met).await.is_err() {
            let (status, calls) = self.read(|m| {
                let last = m.calls.len().saturating_sub(12);
                (m.status.clone(), m.calls[last..].to_vec())
            });
            let status = status.map(|s| (s.stage, s.note, s.counts, s.stragglers));
            panic!("not seen: {what}; status {status:?}; last calls {calls:?}");
        }
    }

    pub(crate) async fn until_open(&self, activity: &str) {
        let mut changed = self.changed.subscribe();
        let _ = changed
            .wait_for(|_| !self.read(|m| m.held.contains(activity)))
            .await;
    }

    /// Waits until the store says so; it is asked again and again, because it tells nobody.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn until_stored<T>(&self, what: &str, look: impl AsyncFn(&Store) -> Option<T>) -> T {
        const PAUSE: Duration = Duration::from_millis(50);
        let found = async {
            loop {
                if let Some(found) = look(&self.store).await {
                    return found;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain for {what}"),
        }
    }

    /// Waits until an activity is called after this call, or nobody can be waiting for it any more.
    pub(crate) async fn until_called_again(&self, activity: &str, number: usize) {
        let mut changed = self.changed.subscribe();
        let again = changed.wait_for(|_| self.read(|m| m.calls_of(activity) > number));
        let _ = tokio::time::timeout(PATIENCE, again).await;
    }

    pub(crate) async fn until_reports_may_come(&self, device: &DeviceId) {
        self.until_let_go(|m| {
            m.hold_reports || m.devices.get(device).is_some_and(|d| d.holds_report)
        })
        .await;
    }

    pub(crate) async fn until_a_run_may_begin(&self, device: &DeviceId) {
        self.until_let_go(|m| m.devices.get(device).is_some_and(|d| d.holds_runs))
            .await;
    }

    async fn until_let_go(&self, held: impl Fn(&Model) -> bool) {
        let mut changed = self.changed.subscribe();
        let _ = changed.wait_for(|_| !self.read(&held)).await;
    }

    /// Starts the deployment of this world's plan.
    pub async fn deploy(
        self: &Arc<Self>,
        site: &Site,
        change: impl FnOnce(&mut domain::plan::PlanRequest),
    ) -> Deployment {
        let mut request = self.read(plan::request);
        change(&mut request);
        Deployment::start(site, self, &serde_json::to_value(request).unwrap()).await
    }

    /// Reads an audit chain of this world, whole.
    pub async fn chain(&self, chain: &str) -> Vec<AuditEntry> {
        whole_chain(&self.store, chain).await
    }

    /// Checks every chain of this world.
    pub async fn verify_audit(&self) {
        let chains = self.store.actions.list_chains(None, 500).await.unwrap();
        for chain in chains.items {
            assert!(!self.chain(&chain).await.is_empty(), "{chain} is empty");
        }
    }
}
