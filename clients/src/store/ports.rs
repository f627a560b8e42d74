//! Ports of the store: what the rest of AutoOps may ask for, shaped so that a key-value store with
//! conditional writes can serve it (no joins, no scans, pages by cursor). Each has two adapters:
//! embedded (one SQLite file) and DynamoDB.

use std::{collections::BTreeMap, fmt, time::Duration};

use async_trait::async_trait;
use domain::{
    audit::{AuditEntry, AuditRecord, ChainHead},
    campaign::{Campaign, CampaignAdvice, PatchList, PlanState},
    dead_letter::LetterKind,
    deployment::DeploymentStatus,
    device::Device,
    guardrail::ForbiddenDevice,
    ids::{ClientId, CveId, DeviceId, KbId, PersonId, PlanId},
    outcome::{DeviceOutcome, DeviceResult},
    people::Person,
    plan::{PlanDocument, PlanRequest},
    software::SoftwareList,
    vulnerability::{cpe::Product, cvrf::Update, record::VulnerabilityRecord},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

mod alerts;

use super::StoreError;

pub use domain::dead_letter::{DeadLetter, LetterState};

pub use alerts::*;

/// Result of a store call.
pub type StoreResult<T> = Result<T, StoreError>;

/// A page of a list; `next` is the cursor of the page after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// Items, in the order of the list.
    pub items: Vec<T>,
    /// Cursor of the next page, absent on the last one.
    pub next: Option<String>,
}

/// A version of a policy set; never overwritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// Client, or `None` for the provider's default set.
    pub client: Option<ClientId>,
    /// 1, 2, 3 …
    pub version: u64,
    /// Who applied it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The policy set as JSON.
    pub body: serde_json::Value,
}

/// Versions of policy sets.
#[async_trait]
pub trait Policies: Send + Sync + fmt::Debug {
    /// Adds a version; `expected` is the newest version the writer has seen (0: none).
    ///
    /// # Errors
    /// `Conflict` when somebody else added a version since.
    async fn put_policy(&self, policy: PolicyVersion, expected: u64) -> StoreResult<()>;
    /// Reads the newest version of a client's set, or of the default set.
    async fn latest_policy(&self, client: Option<&ClientId>) -> StoreResult<Option<PolicyVersion>>;
    /// Lists the versions of a set, newest first.
    async fn list_policies(
        &self,
        client: Option<&ClientId>,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<PolicyVersion>>;
}

/// The audit trail.
#[async_trait]
pub trait Actions: Send + Sync + fmt::Debug {
    /// Appends to the record's chain. A record that is in the chain already is returned as it was
    /// written: a retry has no second effect. Another record under the same key (of a workflow that
    /// was reset) is appended under [`AuditRecord::key_of_another`]. The head of the chain moves in the same
    /// transaction, on the condition that it is the entry before: two writers never make a fork.
    ///
    /// # Errors
    /// `Corrupt` when the chain does not end as its head says: nothing is written after a gap.
    async fn append_audit(&self, record: AuditRecord) -> StoreResult<AuditEntry>;
    /// Reads where a chain ends; `None` when nothing was ever appended to it.
    async fn chain_head(&self, chain: &str) -> StoreResult<Option<ChainHead>>;
    /// Reads a chain in order, from the entry after `after` (0: from the first).
    async fn read_chain(
        &self,
        chain: &str,
        after: u64,
        limit: usize,
    ) -> StoreResult<Vec<AuditEntry>>;
    /// Lists the names of all chains; for verification by hand, not for a request path.
    async fn list_chains(&self, cursor: Option<&str>, limit: usize)
    -> StoreResult<Listing<String>>;
    /// Lists entries of a client on a UTC day, in order of writing.
    async fn audit_of_day(
        &self,
        client: &ClientId,
        day: jiff::civil::Date,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<AuditEntry>>;
    /// Lists the UTC days that have entries, each with a client that has some, in order; `since` is
    /// the first day.
    async fn audited_days(
        &self,
        since: Option<jiff::civil::Date>,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<(jiff::civil::Date, ClientId)>>;
}

/// A sealed revision of a plan, with what it was made of: a repeat of the sealing is told from
/// another plan by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPlan {
    /// Plan.
    pub plan: PlanId,
    /// 1, 2, 3 … with each amendment.
    pub revision: u32,
    /// Its hash.
    pub hash: String,
    /// The request it was made of, with amendments applied.
    pub request: PlanRequest,
    /// Devices that amendments left out.
    #[serde(default)]
    pub removed: Vec<DeviceId>,
    /// The first of the devices that guardrails took out.
    #[serde(default)]
    pub forbidden: Vec<ForbiddenDevice>,
    /// How many devices guardrails took out.
    #[serde(default)]
    pub forbidden_count: u32,
    /// The exact plan.
    pub document: PlanDocument,
}

/// State of one device of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// Plan.
    pub plan: PlanId,
    /// Index of the ring.
    pub ring: u32,
    /// Attempt the result belongs to, from 1.
    pub attempt: u32,
    /// How it ended; `Deferred` rows are the stragglers lane.
    pub result: DeviceResult,
    /// When it was written.
    pub at: Timestamp,
}

/// How long a dead letter is kept, as a finished deployment is.
pub const KEEP_LETTERS: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Plans, states of deployments, finished devices.
#[async_trait]
pub trait Executions: Send + Sync + fmt::Debug {
    /// Writes a sealed revision and its pages. The same revision with the same hash is a success,
    /// with another hash a `Conflict`; a hash that is not the document's is `Invalid`.
    async fn put_plan(&self, plan: SealedPlan) -> StoreResult<()>;
    /// Reads a revision.
    async fn get_plan(&self, plan: &PlanId, revision: u32) -> StoreResult<Option<SealedPlan>>;
    /// Reads one page of a ring of a sealed revision, from page 0, in the order of the plan; pages
    /// hold [`domain::plan::PAGE_SIZE`] devices, one past the last is empty.
    ///
    /// # Errors
    /// `NotFound` when the revision was never written, `Corrupt` when a page of it is missing.
    async fn plan_page(
        &self,
        plan: &PlanId,
        revision: u32,
        ring: u32,
        page: u32,
    ) -> StoreResult<Vec<DeviceId>>;
    /// Finds the newest revision with this hash.
    async fn find_plan(&self, plan: &PlanId, hash: &str) -> StoreResult<Option<SealedPlan>>;
    /// Writes where a deployment stands; an older `updated_at` than the stored one is ignored.
    /// `expires_at` lets the store forget a finished one. Keeps the indexes by client, stage,
    /// open KB and `needs_approval` true.
    async fn put_status(
        &self,
        status: DeploymentStatus,
        expires_at: Option<Timestamp>,
    ) -> StoreResult<()>;
    /// Reads where a deployment stands.
    async fn get_status(&self, plan: &PlanId) -> StoreResult<Option<DeploymentStatus>>;
    /// Lists deployments, newest first.
    async fn list_statuses(
        &self,
        filter: &StatusFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<DeploymentStatus>>;
    /// Lists plans of open deployments of a KB.
    async fn open_deployments_of(&self, kb: &KbId) -> StoreResult<Vec<PlanId>>;
    /// Writes how a device ended in an attempt; a row of a later attempt is never replaced by an
    /// earlier one (which is ignored), and one attempt's row is written once (a repeat with another
    /// ring or result: `Conflict`; with another time only: a success without effect).
    async fn put_device_row(&self, row: DeviceRow) -> StoreResult<()>;
    /// Reads the newest row of a device.
    async fn get_device_row(
        &self,
        plan: &PlanId,
        device: &DeviceId,
    ) -> StoreResult<Option<DeviceRow>>;
    /// Lists the newest rows of a plan by device id, optionally of one outcome.
    async fn list_device_rows(
        &self,
        plan: &PlanId,
        outcome: Option<DeviceOutcome>,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<DeviceRow>>;
    /// Writes a dead letter, once per id; one that is there already stays as it is. The store
    /// forgets it after [`KEEP_LETTERS`].
    ///
    /// # Errors
    /// `Conflict` when the id belongs to a letter of another workflow.
    async fn put_dead_letter(&self, letter: DeadLetter) -> StoreResult<()>;
    /// Reads a dead letter.
    async fn get_dead_letter(&self, id: &str) -> StoreResult<Option<DeadLetter>>;
    /// Lists dead letters, newest first.
    async fn list_dead_letters(
        &self,
        filter: &LetterFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<DeadLetter>>;
    /// Moves an open letter to its last state and returns it. When the same person has said the same
    /// before, the letter is returned as it is; that a workflow was started again is added to it, once.
    ///
    /// # Errors
    /// `NotFound` when there is no such letter, `Conflict` when it is not open any more; says who
    /// did what.
    async fn settle_dead_letter(&self, id: &str, state: LetterState) -> StoreResult<DeadLetter>;
}

/// Campaigns with the requests of their plans. The store forgets them after [`KEEP_LETTERS`].
#[async_trait]
pub trait Campaigns: Send + Sync + fmt::Debug {
    /// Writes a campaign with the requests of its plans, once; returns what is there, which is that of
    /// the first writer.
    async fn put_campaign(
        &self,
        campaign: Campaign,
        requests: Vec<PlanRequest>,
    ) -> StoreResult<Campaign>;
    /// Reads a campaign.
    async fn get_campaign(&self, id: &PlanId) -> StoreResult<Option<Campaign>>;
    /// Reads the request of a plan by its place.
    async fn campaign_request(&self, id: &PlanId, number: u32) -> StoreResult<Option<PlanRequest>>;
    /// Says what became of a plan; once it is started it stays so.
    ///
    /// # Errors
    /// `NotFound` when there is no such campaign or plan.
    async fn put_plan_state(&self, id: &PlanId, number: u32, state: PlanState) -> StoreResult<()>;
    /// Writes what a model said of the order of a campaign, once, and only while none of its plans was
    /// started or refused; returns the campaign as it is then.
    ///
    /// # Errors
    /// `NotFound` when there is no such campaign.
    async fn put_advice(&self, id: &PlanId, advice: CampaignAdvice) -> StoreResult<Campaign>;
    /// Lists the campaigns of a client, newest first.
    async fn list_campaigns(
        &self,
        client: &ClientId,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<Campaign>>;
}

/// Which dead letters a list shows; absent means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Of one client.
    pub client: Option<ClientId>,
    /// Of one kind.
    pub kind: Option<LetterKind>,
    /// Only those about which nobody has done anything.
    pub open: bool,
}

/// Which deployments a list shows; absent means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusFilter {
    /// Of one client.
    pub client: Option<ClientId>,
    /// Only those that wait for people.
    pub needs_approval: bool,
    /// Only those that are not over.
    pub open: bool,
}

/// Client facts kept beside its devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Client.
    pub id: ClientId,
    /// Display name; never in a workflow id or search attribute.
    pub name: String,
    /// Time zone of its head office, if known.
    pub time_zone: Option<String>,
    /// Time zone per site id.
    pub sites: BTreeMap<String, String>,
    /// When the device list was last read to its end.
    pub synced_at: Option<Timestamp>,
}

/// What became of a try to get a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// It is yours until then.
    Held {
        /// End of the lease unless renewed.
        until: Timestamp,
    },
    /// Somebody else works on the device.
    HeldBy {
        /// Owner: a workflow id.
        owner: String,
        /// End of the lease unless renewed.
        until: Timestamp,
    },
}

/// Devices, their online snapshot and leases.
#[async_trait]
pub trait Inventory: Send + Sync + fmt::Debug {
    /// Writes a client's facts.
    async fn put_client(&self, client: ClientRecord) -> StoreResult<()>;
    /// Reads a client's facts.
    async fn get_client(&self, client: &ClientId) -> StoreResult<Option<ClientRecord>>;
    /// Writes devices; an older `seen_at` never replaces a newer one.
    async fn put_devices(&self, devices: &[Device]) -> StoreResult<()>;
    /// Reads a device.
    async fn get_device(&self, device: &DeviceId) -> StoreResult<Option<Device>>;
    /// Reads devices; those that are not known are left out.
    async fn get_devices(&self, devices: &[DeviceId]) -> StoreResult<Vec<Device>>;
    /// Lists a client's devices by id.
    async fn list_devices(
        &self,
        client: &ClientId,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<Device>>;
    /// Takes or renews the lease of a device for `owner`; free, expired and own leases are given.
    async fn acquire_lease(
        &self,
        device: &DeviceId,
        owner: &str,
        life: Duration,
        now: Timestamp,
    ) -> StoreResult<Lease>;
    /// Gives a lease back; only the owner's own, anything else is left as it is.
    async fn release_lease(&self, device: &DeviceId, owner: &str) -> StoreResult<()>;
    /// Writes a page of a device's patch list, from 1; the list is replaced when the last page is
    /// there. A page may be written again.
    ///
    /// # Errors
    /// `Conflict` when the page before it is not there: the reading has to begin anew.
    async fn put_patch_page(&self, page: PatchList, number: u32, last: bool) -> StoreResult<()>;
    /// Reads patch lists; devices without one are left out.
    async fn get_patch_lists(&self, devices: &[DeviceId]) -> StoreResult<Vec<PatchList>>;
    /// Writes a page of a device's software list, as [`Self::put_patch_page`] does.
    ///
    /// # Errors
    /// `Conflict` when the page before it is not there: the reading has to begin anew.
    async fn put_software_page(
        &self,
        page: SoftwareList,
        number: u32,
        last: bool,
    ) -> StoreResult<()>;
    /// Reads software lists; devices without one are left out.
    async fn get_software_lists(&self, devices: &[DeviceId]) -> StoreResult<Vec<SoftwareList>>;
}

/// What a reader of a source remembers; moved on condition that nobody else moved it meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderState {
    /// 1, 2, 3 …
    pub version: u64,
    /// What it remembers.
    pub body: serde_json::Value,
}

/// Most applications of a vulnerability by which it is listed: what is in more of them, such as in all
/// plug-ins that share a library, has a list of its own.
pub const MOST_APPLICATIONS: usize = 8;

/// Facts about vulnerabilities and updates.
#[async_trait]
pub trait Vulnerabilities: Send + Sync + fmt::Debug {
    /// Adds what a source said to the records, and returns how many it changed; words that are known
    /// and only have been said again change nothing but their time.
    async fn merge_vulnerabilities(&self, records: Vec<VulnerabilityRecord>) -> StoreResult<u64>;
    /// Reads records; those that are not known are left out.
    async fn get_vulnerabilities(&self, ids: &[CveId]) -> StoreResult<Vec<VulnerabilityRecord>>;
    /// Lists the followed ones ([`VulnerabilityRecord::is_followed`]) by id.
    async fn list_followed(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<VulnerabilityRecord>>;
    /// Lists those that are in an application, by id; without a product, those that are in more than
    /// [`MOST_APPLICATIONS`], which are in no list of their products.
    async fn list_of_product(
        &self,
        product: Option<&Product>,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<VulnerabilityRecord>>;
    /// Adds what a document says to the updates, and returns how many it changed.
    async fn merge_updates(&self, updates: Vec<Update>) -> StoreResult<u64>;
    /// Reads updates; those that are not known are left out.
    async fn get_updates(&self, kbs: &[KbId]) -> StoreResult<Vec<Update>>;
    /// Reads what the reader of a source remembers.
    async fn reader_state(&self, name: &str) -> StoreResult<Option<ReaderState>>;
    /// Lets the reader of a source remember something; `state.version` follows the one it has seen.
    ///
    /// # Errors
    /// `Conflict` when somebody else moved it meanwhile.
    async fn move_reader(&self, name: &str, state: ReaderState) -> StoreResult<()>;
}

/// People and their roles.
#[async_trait]
pub trait Identities: Send + Sync + fmt::Debug {
    /// Writes a person.
    async fn put_person(&self, person: Person) -> StoreResult<()>;
    /// Writes all people of a source, such as a file, and remembers that they are of it. Who was of
    /// it before and is not among them stays known as a viewer, who may look and not decide; these
    /// are returned, once. People of no source, or of another one, are left as they are.
    async fn put_people_of(&self, source: &str, people: Vec<Person>) -> StoreResult<Vec<Person>>;
    /// Reads a person.
    async fn get_person(&self, person: &PersonId) -> StoreResult<Option<Person>>;
    /// Lists all people by id.
    async fn list_people(&self) -> StoreResult<Vec<Person>>;
}

/// A named token bucket: at most `capacity` calls in any stretch of time as long as `per`. Each
/// token comes back `per` after it was taken, so a full burst and an even refill never add up to
/// more than the system allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Calls that may be made at once.
    pub capacity: u32,
    /// Time after which a token comes back.
    pub per: Duration,
}

/// Longest time for which a bucket can be blocked.
pub const MAX_BLOCK: Duration = Duration::from_secs(3600);

/// Counters, token buckets and flags.
#[async_trait]
pub trait Counters: Send + Sync + fmt::Debug {
    /// Takes a token (`None`), or says how long to wait before asking again.
    async fn take_token(
        &self,
        name: &str,
        bucket: Bucket,
        now: Timestamp,
    ) -> StoreResult<Option<Duration>>;
    /// Lets a bucket give nothing until then, because the system asked everybody to wait. Never
    /// shortens a block. One that ends more than [`MAX_BLOCK`] from now does not count: it comes
    /// from a clock that was wrong.
    async fn block(&self, name: &str, until: Timestamp) -> StoreResult<()>;
    /// Adds to a counter and returns its new value; a repeat with the same key adds nothing.
    async fn add(&self, name: &str, key: &str, amount: i64) -> StoreResult<i64>;
    /// Reads a counter; 0 when it was never written.
    async fn read(&self, name: &str) -> StoreResult<i64>;
    /// Sets or clears a flag, such as `pause/{client}` or `kb-stop/{kb}`, with who and why.
    async fn set_flag(&self, name: &str, value: Option<&str>) -> StoreResult<()>;
    /// Reads a flag.
    async fn get_flag(&self, name: &str) -> StoreResult<Option<String>>;
    /// Claims a named piece of periodic work: true for the first caller in each `per`.
    async fn claim(&self, name: &str, per: Duration, now: Timestamp) -> StoreResult<bool>;
}

/// A change, for live views.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Position.
    pub sequence: u64,
    /// Client it belongs to, if to one.
    pub client: Option<ClientId>,
    /// Record kind, such as `execution`.
    pub kind: String,
    /// Record key.
    pub key: String,
    /// When.
    pub at: Timestamp,
}

/// Every write of the other ports appends one change in the same transaction, in the order of
/// writing. What no view shows appends none: leases, token buckets, claims, and writes that leave
/// the record as it was (a retry, an older status, a device that was only seen again).
#[async_trait]
pub trait Outbox: Send + Sync + fmt::Debug {
    /// Reads changes after a position, in order.
    async fn changes_after(&self, sequence: u64, limit: usize) -> StoreResult<Vec<Change>>;
}

/// Forgetting what is past its time. A store that forgets by itself answers 0.
#[async_trait]
pub trait Upkeep: Send + Sync + fmt::Debug {
    /// Deletes records whose time is over, with everything that belongs to them (a deployment's
    /// plans and device rows), and old changes of the outbox. Returns how many went. Works in small
    /// steps so that other writers get their turn.
    async fn sweep_expired(&self, now: Timestamp) -> StoreResult<u64>;
}
