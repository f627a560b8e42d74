//! Guardrails with today's policies: the client's newest set laid over the default one, compiled
//! once per pair of versions, and the flags that stop things at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use clients::{
    breaker,
    ledger::Ledger,
    store::{PolicyVersion, Store},
    superops,
};
use contracts::activities::policy::{Figures, StoppedKb};
use domain::{
    device::Device,
    guardrail::{ActionType, GuardedDevice, GuardrailDecision, GuardrailFacts},
    ids::{ClientId, KbId},
    ledger,
};
use jiff::Timestamp;
use policy::{Engine, PolicySet, merge};

use crate::{
    Clock,
    failure::{Outcome, bug_because},
};

/// Items of a list that cross the Temporal boundary at most.
pub(crate) const MAX_LISTED: usize = 50;

/// Versions of the default and the client's set an engine was compiled from; 0: none stored.
type Versions = (u64, u64);
/// The engine of each client.
type Compiled = BTreeMap<ClientId, (Versions, Arc<Engine>)>;

/// Policies, flags and autonomy, as the store has them now.
#[derive(Debug, Clone)]
pub(crate) struct Guardrails {
    store: Store,
    clock: Arc<dyn Clock>,
    compiled: Arc<Mutex<Compiled>>,
}

/// One question, without what the store adds.
#[derive(Debug, Clone)]
pub(crate) struct Question<'a> {
    pub(crate) action: ActionType,
    pub(crate) client: &'a ClientId,
    pub(crate) kbs: Vec<KbId>,
    pub(crate) figures: Figures,
    pub(crate) inside_window: bool,
    pub(crate) may_reboot: bool,
}

/// What stops everything, whatever policies say.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    pub(crate) paused: Option<String>,
    pub(crate) stopped: Vec<StoppedKb>,
}

impl Guardrails {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            compiled: Arc::default(),
        }
    }

    /// Compiles today's policies of a client, unless they are the ones compiled last.
    pub(crate) async fn engine(&self, client: &ClientId) -> Outcome<Arc<Engine>> {
        let default = self.store.policies.latest_policy(None).await?;
        let own = self.store.policies.latest_policy(Some(client)).await?;
        let version = |set: &Option<PolicyVersion>| set.as_ref().map_or(0, |set| set.version);
        let versions = (version(&default), version(&own));
        let known = self
            .lock()
            .get(client)
            .filter(|(known, _)| *known == versions)
            .cloned();
        if let Some((_, engine)) = known {
            return Ok(engine);
        }
        let mut set = default.map_or_else(|| Ok(PolicySet::built_in()), read)?;
        if let Some(own) = own {
            set = merge(&set, &read(own)?);
        }
        let engine = Engine::compile(&set)
            .map_err(|error| bug_because("the stored policies do not compile", error))?;
        let engine = Arc::new(engine);
        self.lock()
            .insert(client.clone(), (versions, Arc::clone(&engine)));
        Ok(engine)
    }

    /// Asks about devices of the inventory.
    pub(crate) async fn decide(
        &self,
        question: Question<'_>,
        devices: Vec<GuardedDevice>,
    ) -> Outcome<GuardrailDecision> {
        let engine = self.engine(question.client).await?;
        let facts = self.facts(question).await?;
        // Thousands of devices that a policy names one by one take seconds.
        let decided = tokio::task::spawn_blocking(move || engine.decide(&facts, &devices)).await;
        decided.map_err(|error| bug_because("the policy engine panicked", error))
    }

    async fn facts(&self, question: Question<'_>) -> Outcome<GuardrailFacts> {
        let name = format!("autonomy/{}/{}", question.client, question.action.as_str());
        let earned = self.store.counters.read(&name).await?;
        let figures = question.figures;
        Ok(GuardrailFacts {
            action: question.action,
            client: question.client.clone(),
            kbs: question.kbs.into_iter().collect(),
            risk_permille: figures.risk_permille,
            urgency_permille: figures.urgency_permille,
            confidence_permille: figures.confidence_permille,
            degraded: figures.degraded,
            blast_radius: figures.blast_radius,
            inside_window: question.inside_window,
            may_reboot: question.may_reboot,
            known_exploited: figures.known_exploited,
            autonomy_level: u8::try_from(earned.clamp(0, 3)).unwrap_or(0),
        })
    }

    /// Reads the pause flags, whether `SuperOps` answers, and the ledger of bad patches.
    pub(crate) async fn stops<'a>(
        &self,
        client: &ClientId,
        kbs: impl IntoIterator<Item = &'a KbId>,
    ) -> Outcome<Stops> {
        let flags = &self.store.counters;
        let mut stops = Stops {
            paused: flags.get_flag("pause/all").await?,
            stopped: Vec::new(),
        };
        if stops.paused.is_none() {
            stops.paused = flags.get_flag(&format!("pause/{client}")).await?;
        }
        if stops.paused.is_none() {
            stops.paused = self.superops_away().await?;
        }
        for kb in kbs {
            if let Some(reason) = flags.get_flag(&ledger::flag_of(kb)).await? {
                stops.stopped.push(StoppedKb {
                    kb: kb.clone(),
                    reason,
                });
            }
        }
        Ok(stops)
    }

    /// Says why rings after the first have to wait for what other devices say of an update.
    pub(crate) async fn held(&self, kbs: &[KbId]) -> Outcome<Option<String>> {
        let ledger = Ledger::new(&self.store);
        for kb in kbs {
            if let Some(why) = ledger.held(kb, self.clock.now()).await? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// Says since when `SuperOps` does not answer: what is started meanwhile only waits.
    async fn superops_away(&self) -> Outcome<Option<String>> {
        let now = self.clock.now();
        let Some((since, why)) = superops_away(&self.store, now).await? else {
            return Ok(None);
        };
        let same_day = since.to_string()[..10] == now.to_string()[..10];
        let form = if same_day { "%H:%M" } else { "%F %H:%M" };
        let since = since.strftime(form);
        let why = if why.is_empty() {
            why
        } else {
            format!(" ({why})")
        };
        Ok(Some(format!(
            "SuperOps does not answer since {since} UTC{why}; rings wait"
        )))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Compiled> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stops {
    /// Returns true when no device may be started now.
    pub(crate) fn any(&self) -> bool {
        self.paused.is_some() || !self.stopped.is_empty()
    }
}

/// Reads since when `SuperOps` does not answer, by what workers have noted.
pub(crate) async fn superops_away_since(
    store: &Store,
    now: Timestamp,
) -> Outcome<Option<Timestamp>> {
    let away = superops_away(store, now).await?;
    Ok(away.map(|(since, _)| since))
}

/// Also says why, in the words of its last failure.
async fn superops_away(store: &Store, now: Timestamp) -> Outcome<Option<(Timestamp, String)>> {
    let note = breaker::read_note(store.counters.as_ref(), superops::BUCKET).await?;
    Ok(note.and_then(|note| Some((note.away_since(now)?, note.last_error))))
}

fn read(stored: PolicyVersion) -> Outcome<PolicySet> {
    PolicySet::from_json(&stored.body)
        .map_err(|error| bug_because("the stored policies cannot be read", error))
}

/// A device as guardrails see it.
pub(crate) fn guarded(device: &Device) -> GuardedDevice {
    GuardedDevice {
        id: device.id.clone(),
        tags: device.tags.clone(),
        criticality: device.criticality.value,
        exposure: device.exposure.value,
    }
}

/// Cuts the lists of a decision to what may cross the Temporal boundary.
pub(crate) fn cut(mut decision: GuardrailDecision) -> GuardrailDecision {
    decision.forbidden.truncate(MAX_LISTED);
    decision.policies.truncate(MAX_LISTED);
    decision.errors.truncate(MAX_LISTED);
    for error in &mut decision.errors {
        *error = error.chars().take(300).collect();
    }
    decision
}
