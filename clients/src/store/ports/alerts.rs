//! Alerts, what is new about them, and the incidents they make.

use std::fmt;

use async_trait::async_trait;
use domain::{
    alert::{Alert, AlertId, AlertSource, Event, HeardSince, Sighting},
    ids::{ClientId, DeviceId},
    triage::{
        Closing, Expectation, IncidentKey, IncidentRecord, Order, OrderAnswer, Outcome, Rules,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Listing, StoreResult};

/// How long alerts and incidents are kept after they are over.
pub const KEEP_ALERTS: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What became of sightings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taking {
    /// Alerts that were not known.
    pub new: u64,
    /// Alerts of which something changed.
    pub changed: u64,
    /// News for triage.
    pub news: u64,
}

/// What became of active alerts that a walk did not find.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missed {
    /// Those that were not found.
    pub missed: u64,
    /// Those that are taken as over because of it.
    pub cleared: u64,
    /// Where to go on; absent at the end.
    pub next: Option<String>,
}

/// What became of active alerts that were heard of longest ago.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unheard {
    /// Those that are taken as over because of it.
    pub ended: u64,
    /// Where to go on; absent at the end.
    pub next: Option<String>,
}

/// Which alerts a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertsOf {
    /// All of a client, newest first.
    Client(ClientId),
    /// The active ones of a client, newest first.
    ActiveOf(ClientId),
    /// Those of an incident, newest first.
    Incident(IncidentKey),
    /// Those of an incident, oldest first.
    FirstOf(IncidentKey),
}

/// A client whose triage has something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusyClient {
    /// Client.
    pub client: ClientId,
    /// Whether there is something that the last ended turn did not know of; otherwise it waits for a time.
    pub has_news: bool,
}

/// A turn of a client's triage, begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Whose.
    pub client: ClientId,
    /// Who does it. Whoever begins a turn later takes it away.
    pub claim: String,
    /// Turns before it.
    pub version: u64,
    /// How often there was news when it began.
    pub marked: u64,
    /// What the turn before has left; none before the first.
    pub state: Option<Vec<u8>>,
}

/// What a turn leaves behind.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnEnd {
    /// State for the next one.
    pub state: Vec<u8>,
    /// News that were taken in.
    pub taken: Vec<Event>,
    /// Orders that were carried out.
    pub answers: Vec<(String, OrderAnswer)>,
    /// Whether there is more to do, now or later.
    pub more: bool,
}

/// Which incidents a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncidentsOf {
    /// All of a client, newest first.
    Client(ClientId),
    /// Those of a client that are open, newest first.
    OpenOf(ClientId),
    /// Those of all clients that are open, newest first.
    Open,
    /// Those of a client whose workflow has not been told of the newest, oldest first.
    UndeliveredOf(ClientId),
}

/// A change of an incident that its workflow makes.
#[derive(Debug, Clone, PartialEq)]
pub enum IncidentChange {
    /// Its workflow was told of this version.
    Delivered(u32),
    /// What is behind it; the newer one holds.
    Cause(serde_json::Value),
    /// It is closed, on condition that this is the newest version.
    Closed {
        /// That version.
        version: u32,
        /// Why.
        closing: Closing,
        /// When.
        at: Timestamp,
    },
}

/// A version of the rules of a client; never overwritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesVersion {
    /// Client.
    pub client: ClientId,
    /// 1, 2, 3 …
    pub version: u64,
    /// Who applied it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The rules.
    pub rules: Rules,
}

/// Who depends on whom at a client, as people state it; the newest holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedTopology {
    /// Client.
    pub client: ClientId,
    /// Who stated it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Machine, and what it depends on; device ids or host names.
    pub depends_on: Vec<(String, String)>,
}

/// Alerts, news, turns of triage, incidents.
#[async_trait]
pub trait Alerts: Send + Sync + fmt::Debug {
    /// Takes in what sources said. What is new becomes news for the triage of the client, in the same
    /// transaction as the alert: an alert is never known without it. A repeat has no second effect.
    /// `walk`: see [`Alert::take`].
    async fn take_sightings(&self, sightings: Vec<Sighting>, walk: bool) -> StoreResult<Taking>;
    /// Reads alerts; those that are not known are left out.
    async fn get_alerts(&self, ids: &[AlertId]) -> StoreResult<Vec<Alert>>;
    /// Lists alerts.
    async fn list_alerts(
        &self,
        of: &AlertsOf,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<Alert>>;
    /// Notes on some of the active alerts of a source that a walk has not found them, see [`Alert::miss`].
    async fn miss_alerts(
        &self,
        source: AlertSource,
        walk_began: Timestamp,
        now: Timestamp,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Missed>;
    /// Ends some of the active alerts of sources that are not asked which were not heard of since then, see
    /// [`Alert::unheard`]: of those that last, or of those of the moment, those heard of longest ago first.
    async fn end_unheard(
        &self,
        lasting: bool,
        since: HeardSince,
        now: Timestamp,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Unheard>;

    /// Lists clients whose triage has something to do, now or later.
    async fn busy_clients(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<BusyClient>>;
    /// Begins a turn of triage; one that somebody else has begun can no longer write. A claim is good for
    /// one turn.
    ///
    /// # Errors
    /// `Conflict` when a turn with this claim has ended.
    async fn begin_turn(&self, client: &ClientId, claim: &str) -> StoreResult<Turn>;
    /// Reads news up to a time, in order of time, without those that were taken in.
    async fn read_news(
        &self,
        client: &ClientId,
        until: Timestamp,
        limit: usize,
    ) -> StoreResult<Vec<Event>>;
    /// Reads orders of people that wait, in the order they were given.
    async fn read_orders(&self, client: &ClientId, limit: usize) -> StoreResult<Vec<Order>>;
    /// Gives an order; one with its id that is there already stays. Returns what is there.
    async fn put_order(&self, client: &ClientId, order: Order) -> StoreResult<Order>;
    /// Reads an order.
    async fn get_order(&self, client: &ClientId, id: &str) -> StoreResult<Option<Order>>;
    /// Writes what came of a turn: placements of alerts, and incidents.
    ///
    /// # Errors
    /// `Conflict` when somebody else has begun a turn meanwhile.
    async fn write_outcome(&self, turn: &Turn, outcome: Outcome, now: Timestamp)
    -> StoreResult<()>;
    /// Ends a turn: its state is the one that the next begins with, and its news are gone.
    ///
    /// # Errors
    /// `Conflict` when somebody else has begun a turn meanwhile; then nothing has changed.
    async fn end_turn(&self, turn: &Turn, end: TurnEnd) -> StoreResult<()>;

    /// Reads an incident.
    async fn get_incident(&self, key: &IncidentKey) -> StoreResult<Option<IncidentRecord>>;
    /// Lists incidents.
    async fn list_incidents(
        &self,
        of: &IncidentsOf,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<IncidentRecord>>;
    /// Changes an incident, and returns it as it is then. A change that no longer fits (an older version was
    /// told of, or it is not to be closed any more) leaves it as it is.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    async fn change_incident(
        &self,
        key: &IncidentKey,
        change: IncidentChange,
    ) -> StoreResult<IncidentRecord>;

    /// Adds a version of a client's rules; `version` follows the newest one the writer has seen.
    ///
    /// # Errors
    /// `Conflict` when somebody else added a version since.
    async fn put_rules(&self, rules: RulesVersion) -> StoreResult<()>;
    /// Reads the newest rules of a client.
    async fn latest_rules(&self, client: &ClientId) -> StoreResult<Option<RulesVersion>>;
    /// States who depends on whom at a client; an older statement never replaces a newer one.
    async fn put_topology(&self, topology: StatedTopology) -> StoreResult<()>;
    /// Reads who depends on whom at a client.
    async fn get_topology(&self, client: &ClientId) -> StoreResult<Option<StatedTopology>>;
    /// Announces what a device of a patch wave is going to show. The same attempt again replaces what was
    /// announced, but for its begin; it is forgotten when nobody can suspect it any more.
    async fn put_expectation(&self, expectation: Expectation) -> StoreResult<()>;
    /// Reads what was announced of devices.
    async fn get_expectations(&self, devices: &[DeviceId]) -> StoreResult<Vec<Expectation>>;
}
