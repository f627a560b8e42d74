//! Every kind of write of the store's ports, and how its records and all that belongs to them look.

use std::{collections::BTreeSet, time::Duration};

use clients::store::{
    Bucket, ClientRecord, DeadLetter, DeviceRow, LetterFilter, LetterState, PolicyVersion,
    ReaderState, StatusFilter, Store, StoreResult,
    conformance::{self, record, row, sealed, status},
};
use domain::{
    audit::AuditRecord,
    campaign::{Campaign, Draft, DraftPlan, PatchList, PlanState},
    dead_letter::LetterKind,
    deployment::Stage,
    device::Device,
    ids::{ClientId, CveId, DeviceId, KbId, PersonId, PlanId},
    outcome::DeviceOutcome,
    people::{Person, Role},
    plan::PlanRequest,
    vulnerability::{cvrf::Update, deadline::Deadline, kev},
};
use futures::future::join_all;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

/// More than one page of a list of a client in any check.
const MANY: usize = 1000;
/// More devices than one transaction of DynamoDB takes.
const DEVICES: u32 = 40;
/// Characters that do not fit into one item of DynamoDB, even packed.
const LARGE: usize = 900_000;

/// A kind of write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    AppendFirst,
    AppendNext,
    AppendLarge,
    PutPolicy,
    PutPlan,
    PutStatus,
    MoveStatus,
    FinishStatus,
    PutRow,
    PutLaterRow,
    PutLetter,
    SettleLetter,
    PutClient,
    PutDevices,
    PutPatches,
    TakeLease,
    ReleaseLease,
    PutCampaign,
    NotePlan,
    MergeFacts,
    MergeUpdate,
    MoveReader,
    PutPerson,
    PutPeople,
    LowerPeople,
    TakeToken,
    Block,
    Add,
    SetFlag,
    ClearFlag,
    Claim,
}

use Write as W;

impl Write {
    /// All of them.
    pub(crate) const ALL: [Self; 31] = [
        W::AppendFirst,
        W::AppendNext,
        W::AppendLarge,
        W::PutPolicy,
        W::PutPlan,
        W::PutStatus,
        W::MoveStatus,
        W::FinishStatus,
        W::PutRow,
        W::PutLaterRow,
        W::PutLetter,
        W::SettleLetter,
        W::PutClient,
        W::PutDevices,
        W::PutPatches,
        W::TakeLease,
        W::ReleaseLease,
        W::PutCampaign,
        W::NotePlan,
        W::MergeFacts,
        W::MergeUpdate,
        W::MoveReader,
        W::PutPerson,
        W::PutPeople,
        W::LowerPeople,
        W::TakeToken,
        W::Block,
        W::Add,
        W::SetFlag,
        W::ClearFlag,
        W::Claim,
    ];

    /// What has to be written before it.
    pub(crate) fn after(self) -> &'static [Self] {
        match self {
            W::AppendNext => &[W::AppendFirst],
            W::MoveStatus => &[W::PutStatus],
            W::FinishStatus => &[W::PutPlan, W::PutRow, W::PutStatus, W::MoveStatus],
            W::PutLaterRow => &[W::PutRow],
            W::SettleLetter => &[W::PutLetter],
            W::ReleaseLease => &[W::TakeLease],
            W::NotePlan => &[W::PutCampaign],
            W::LowerPeople => &[W::PutPeople],
            W::ClearFlag => &[W::SetFlag],
            _ => &[],
        }
    }

    /// Whether a repeat has no second effect: the others answer that it was done, or count.
    pub(crate) fn may_be_repeated(self) -> bool {
        !matches!(self, W::PutPolicy | W::TakeToken | W::Claim)
    }

    /// Whether live views show it.
    pub(crate) fn is_shown(self) -> bool {
        !matches!(
            self,
            W::TakeLease | W::ReleaseLease | W::TakeToken | W::Block | W::Claim
        )
    }

    /// Does it. Everything it writes has `token`, a number, in its keys.
    pub(crate) async fn write(self, store: &Store, token: &str) -> StoreResult<()> {
        let (executions, counters) = (&store.executions, &store.counters);
        let name = name(token);
        match self {
            W::AppendFirst => store
                .actions
                .append_audit(entry(token, "k1"))
                .await
                .map(drop),
            W::AppendNext => store
                .actions
                .append_audit(entry(token, "k2"))
                .await
                .map(drop),
            W::AppendLarge => {
                let detail = json!(noise(token));
                let large = AuditRecord {
                    detail,
                    ..entry(token, "large")
                };
                store.actions.append_audit(large).await.map(drop)
            }
            W::PutPolicy => {
                let policy = PolicyVersion {
                    client: Some(client(token)),
                    version: 1,
                    by: "dana".to_owned(),
                    at: at(0),
                    body: json!({ "of": token }),
                };
                store.policies.put_policy(policy, 0).await
            }
            W::PutPlan => {
                let mut plan = sealed(&name, 1, &[120, 60], 0);
                plan.request.client = client(token);
                executions.put_plan(plan).await
            }
            W::PutStatus => {
                let status = status(&name, token, Stage::AwaitingApproval, 0, 10);
                executions.put_status(status, None).await
            }
            W::MoveStatus => {
                let status = status(&name, token, Stage::Deploying, 0, 20);
                executions.put_status(status, None).await
            }
            W::FinishStatus => {
                let status = status(&name, token, Stage::Done, 0, 30);
                executions.put_status(status, Some(at(1000))).await
            }
            W::PutRow => {
                let row = device_row(token, 1, DeviceOutcome::Deferred);
                executions.put_device_row(row).await
            }
            W::PutLaterRow => {
                let row = device_row(token, 2, DeviceOutcome::Verified);
                executions.put_device_row(row).await
            }
            W::PutLetter => executions.put_dead_letter(letter(token)).await,
            W::SettleLetter => {
                let state = LetterState::Dropped {
                    by: person(token, "boss"),
                    at: at(5),
                    reason: "replaced".to_owned(),
                };
                let id = letter(token).id;
                executions.settle_dead_letter(&id, state).await.map(drop)
            }
            W::PutClient => {
                let record = ClientRecord {
                    id: client(token),
                    name: "Acme".to_owned(),
                    time_zone: None,
                    sites: [("1".to_owned(), "Etc/UTC".to_owned())].into(),
                    synced_at: Some(at(0)),
                };
                store.inventory.put_client(record).await
            }
            W::PutDevices => store.inventory.put_devices(&devices(token)).await,
            W::TakeLease => {
                let life = Duration::from_secs(600);
                let device = device_id(token, 0);
                let taken = store.inventory.acquire_lease(&device, "me", life, at(0));
                taken.await.map(drop)
            }
            W::ReleaseLease => {
                store
                    .inventory
                    .release_lease(&device_id(token, 0), "me")
                    .await
            }
            W::PutPatches => {
                let list = patch_list(token);
                store.inventory.put_patch_page(list, 1, true).await
            }
            W::PutCampaign => {
                let (campaign, requests) = campaign(token);
                let put = store.campaigns.put_campaign(campaign, requests);
                put.await.map(drop)
            }
            W::NotePlan => {
                let state = PlanState::Started { at: at(3) };
                store.campaigns.put_plan_state(&plan(token), 0, state).await
            }
            W::MergeFacts => {
                let facts = kev::taken_back(cve(token), at(0));
                let merged = store.vulnerabilities.merge_vulnerabilities(vec![facts]);
                merged.await.map(drop)
            }
            W::MergeUpdate => {
                let update = Update {
                    kb: kb(token),
                    cves: BTreeSet::from([cve(token)]),
                    supersedes: BTreeSet::new(),
                    restart: None,
                    published: None,
                };
                let merged = store.vulnerabilities.merge_updates(vec![update]);
                merged.await.map(drop)
            }
            W::MoveReader => {
                let state = ReaderState {
                    version: 1,
                    body: json!({ "of": token }),
                };
                store.vulnerabilities.move_reader(&name, state).await
            }
            W::PutPerson => store.identities.put_person(someone(token, "dana")).await,
            W::PutPeople => people_of(store, token, &["dana", "tim"]).await,
            W::LowerPeople => people_of(store, token, &["dana", "ann"]).await,
            W::TakeToken => counters.take_token(&name, BUCKET, at(0)).await.map(drop),
            W::Block => counters.block(&name, at(50)).await,
            W::Add => counters.add(&name, "once", 7).await.map(drop),
            W::SetFlag => counters.set_flag(&name, Some("paused by dana")).await,
            W::ClearFlag => counters.set_flag(&name, None).await,
            W::Claim => counters.claim(&name, HOUR, at(0)).await.map(drop),
        }
    }

    /// Shows what it writes, with every list it stands in: one value for each thing that has to be
    /// whole. Leases, buckets and claims have no reader that changes nothing: `probe` looks at them.
    pub(crate) async fn look(self, store: &Store, token: &str, probe: &Probe) -> Vec<Value> {
        let (name, executions) = (name(token), &store.executions);
        let one = match self {
            W::AppendFirst | W::AppendNext | W::AppendLarge => chain(store, token).await,
            W::PutPolicy => {
                let id = client(token);
                let list = store.policies.list_policies(Some(&id), None, MANY).await;
                let latest = store.policies.latest_policy(Some(&id)).await.unwrap();
                json!([latest, list.unwrap().items])
            }
            W::PutPlan => plan_of(store, token).await,
            W::PutStatus | W::MoveStatus => deployment(store, token).await,
            W::FinishStatus => {
                let parts = [
                    plan_of(store, token).await,
                    rows(store, token).await,
                    deployment(store, token).await,
                ];
                json!(parts)
            }
            W::PutRow | W::PutLaterRow => rows(store, token).await,
            W::PutLetter | W::SettleLetter => {
                let found = executions.get_dead_letter(&letter(token).id).await;
                let mut lists = Vec::new();
                for open in [true, false] {
                    let filter = LetterFilter {
                        client: Some(client(token)),
                        kind: None,
                        open,
                    };
                    let list = executions.list_dead_letters(&filter, None, MANY).await;
                    lists.push(list.unwrap().items);
                }
                json!([found.unwrap(), lists])
            }
            W::PutClient => json!(store.inventory.get_client(&client(token)).await.unwrap()),
            W::PutDevices => return inventory(store, token).await,
            W::PutPatches => {
                let ids = [device_id(token, 0)];
                json!(store.inventory.get_patch_lists(&ids).await.unwrap())
            }
            W::PutCampaign | W::NotePlan => campaign_of(store, token).await,
            W::MergeFacts => {
                let ids = [cve(token)];
                let facts = store.vulnerabilities.get_vulnerabilities(&ids).await;
                let followed = store.vulnerabilities.list_followed(None, MANY).await;
                let followed = followed.unwrap().items;
                let listed = followed.iter().any(|record| record.id == ids[0]);
                json!([facts.unwrap(), listed])
            }
            W::MergeUpdate => json!(
                store
                    .vulnerabilities
                    .get_updates(&[kb(token)])
                    .await
                    .unwrap()
            ),
            W::MoveReader => json!(store.vulnerabilities.reader_state(&name).await.unwrap()),
            W::TakeLease | W::ReleaseLease => {
                let pk = format!("device/{}", device_id(token, 0));
                probe.ask("Inventory", &pk, "lease").await
            }
            W::PutPerson | W::PutPeople | W::LowerPeople => {
                let known = ["dana", "tim", "ann"].map(|id| person(token, id));
                let found = known.iter().map(|id| store.identities.get_person(id));
                let found = join_all(found).await;
                json!(found.into_iter().map(Result::unwrap).collect::<Vec<_>>())
            }
            W::TakeToken | W::Block => probe.ask("Counters", "bucket", &name).await,
            W::Add => json!(store.counters.read(&name).await.unwrap()),
            W::SetFlag | W::ClearFlag => json!(store.counters.get_flag(&name).await.unwrap()),
            W::Claim => probe.ask("Counters", "claim", &name).await,
        };
        vec![one]
    }
}

/// Reads an item that no port shows without changing it.
#[derive(Debug)]
pub(crate) enum Probe {
    /// Of tables of DynamoDB with a prefix.
    Dynamo(aws_sdk_dynamodb::Client, String),
    /// Of no engine: such writes are not looked at.
    None,
}

impl Probe {
    async fn ask(&self, table: &str, pk: &str, sk: &str) -> Value {
        let Self::Dynamo(client, prefix) = self else {
            return Value::Null;
        };
        let key = |value: &str| aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned());
        let asked = client
            .get_item()
            .table_name(format!("{prefix}-{table}"))
            .key("pk", key(pk))
            .key("sk", key(sk))
            .consistent_read(true)
            .send();
        let item = asked.await.unwrap().item;
        let body = item.and_then(|item| item.get("body")?.as_s().ok().cloned());
        json!(body)
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const BUCKET: Bucket = Bucket {
    capacity: 3,
    per: HOUR,
};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + secs).unwrap()
}

fn name(token: &str) -> String {
    format!("p{token}")
}

fn client(token: &str) -> ClientId {
    token.parse().unwrap()
}

fn plan(token: &str) -> PlanId {
    name(token).parse().unwrap()
}

fn person(token: &str, who: &str) -> PersonId {
    format!("{who}-{token}").parse().unwrap()
}

fn device_id(token: &str, number: u32) -> DeviceId {
    format!("{token}{number:02}").parse().unwrap()
}

fn entry(token: &str, key: &str) -> AuditRecord {
    AuditRecord {
        client: client(token),
        ..record(&name(token), key)
    }
}

/// Text that looks random and is the same for a token.
fn noise(token: &str) -> String {
    let mut state: u64 = token.parse().unwrap();
    let mut text = String::with_capacity(LARGE);
    while text.len() < LARGE {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text += &format!("{:08x}", state >> 32);
    }
    text
}

fn device_row(token: &str, attempt: u32, outcome: DeviceOutcome) -> DeviceRow {
    DeviceRow {
        plan: plan(token),
        ..row(1, attempt, outcome)
    }
}

fn letter(token: &str) -> DeadLetter {
    let workflow = format!("device-patch/{}/1", name(token));
    let kind = LetterKind::DeviceNeedsHuman;
    DeadLetter {
        id: format!("letter-{token}"),
        plan: Some(plan(token)),
        ..DeadLetter::new(
            kind,
            client(token),
            (&workflow, "result"),
            "disk full",
            at(1),
        )
    }
}

fn devices(token: &str) -> Vec<Device> {
    let device = |number| Device {
        id: device_id(token, number),
        seen_at: at(0),
        ..conformance::device(number, token, 0)
    };
    (0..DEVICES).map(device).collect()
}

fn someone(token: &str, who: &str) -> Person {
    Person {
        id: person(token, who),
        name: who.to_owned(),
        role: Role::Approver,
        clients: BTreeSet::new(),
    }
}

fn cve(token: &str) -> CveId {
    format!("CVE-2026-{token:0>6}").parse().unwrap()
}

fn kb(token: &str) -> KbId {
    format!("{token:0>7}").parse().unwrap()
}

fn patch_list(token: &str) -> PatchList {
    PatchList {
        device: device_id(token, 0),
        client: client(token),
        read_at: at(0),
        missing: vec![],
        installed: BTreeSet::from([kb(token)]),
    }
}

/// Its requests are written before it: two transactions.
fn campaign(token: &str) -> (Campaign, Vec<PlanRequest>) {
    let plan_of_one = DraftPlan {
        patches: vec![],
        devices: vec![device_id(token, 0)],
        band: Deadline::Days14,
        due: None,
        overdue: false,
        urgency_permille: 0,
        restart: true,
        needs_approval: true,
        reasons: vec![],
    };
    let draft = Draft {
        plans: vec![plan_of_one; 5],
        ..Draft::default()
    };
    let workflow = format!("patch-campaign/{token}/x");
    let campaign = Campaign::new(plan(token), client(token), workflow, at(0), &draft);
    let request = sealed(&name(token), 1, &[1], 0).request;
    let requests = vec![request; draft.plans.len()];
    (campaign, requests)
}

/// Its requests matter only when it is there itself.
async fn campaign_of(store: &Store, token: &str) -> Value {
    let found = store.campaigns.get_campaign(&plan(token)).await.unwrap();
    let mut requests = 0;
    for (place, _) in (0..).zip(found.iter().flat_map(|campaign| &campaign.plans)) {
        let request = store.campaigns.campaign_request(&plan(token), place).await;
        requests += usize::from(request.unwrap().is_some());
    }
    let id = client(token);
    let list = store.campaigns.list_campaigns(&id, None, MANY).await;
    let list = list.unwrap().items;
    json!([found, requests, list.len()])
}

async fn people_of(store: &Store, token: &str, who: &[&str]) -> StoreResult<()> {
    let people = who.iter().map(|who| someone(token, who)).collect();
    let source = name(token);
    let lowered = store.identities.put_people_of(&source, people).await;
    lowered.map(drop)
}

async fn chain(store: &Store, token: &str) -> Value {
    let (actions, name) = (&store.actions, name(token));
    let day = record(&name, "k")
        .at
        .to_zoned_datetime(TimeZone::UTC)
        .date();
    let entries = actions.read_chain(&name, 0, MANY).await.unwrap();
    domain::audit::verify(&name, None, &entries).unwrap();
    let head = actions.chain_head(&name).await.unwrap();
    assert_eq!(head, entries.last().map(domain::audit::ChainHead::of));
    let of_day = actions.audit_of_day(&client(token), day, None, MANY).await;
    let chains = actions.list_chains(None, MANY).await.unwrap().items;
    json!([entries, head, of_day.unwrap().items, chains.contains(&name)])
}

async fn plan_of(store: &Store, token: &str) -> Value {
    let (executions, id) = (&store.executions, plan(token));
    let sealed = executions.get_plan(&id, 1).await.unwrap();
    let hash = sealed
        .as_ref()
        .map(|plan| plan.hash.clone())
        .unwrap_or_default();
    let by_hash = executions.find_plan(&id, &hash).await.unwrap();
    let mut pages = Vec::new();
    for (ring, page) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)] {
        pages.push(match executions.plan_page(&id, 1, ring, page).await {
            Ok(devices) => json!(devices),
            Err(error) => json!(error.to_string()),
        });
    }
    json!([sealed, by_hash, pages])
}

async fn deployment(store: &Store, token: &str) -> Value {
    let executions = &store.executions;
    let found = executions.get_status(&plan(token)).await.unwrap();
    let mut lists = Vec::new();
    for (needs_approval, open) in [(false, false), (true, false), (false, true)] {
        let filter = StatusFilter {
            client: Some(client(token)),
            needs_approval,
            open,
        };
        let list = executions.list_statuses(&filter, None, MANY).await;
        lists.push(list.unwrap().items);
    }
    let kb = "5034441".parse().unwrap();
    let of_kb = executions.open_deployments_of(&kb).await.unwrap();
    json!([found, lists, of_kb.contains(&plan(token))])
}

async fn rows(store: &Store, token: &str) -> Value {
    let (executions, id) = (&store.executions, plan(token));
    let one = device_row(token, 1, DeviceOutcome::Deferred).result.device;
    let newest = executions.get_device_row(&id, &one).await.unwrap();
    let mut lists = Vec::new();
    for of in [
        None,
        Some(DeviceOutcome::Deferred),
        Some(DeviceOutcome::Verified),
    ] {
        let list = executions.list_device_rows(&id, of, None, MANY).await;
        lists.push(list.unwrap().items);
    }
    json!([newest, lists])
}

async fn inventory(store: &Store, token: &str) -> Vec<Value> {
    let listed = store
        .inventory
        .list_devices(&client(token), None, MANY)
        .await;
    let listed = listed.unwrap().items;
    let ids: Vec<_> = (0..DEVICES)
        .map(|number| device_id(token, number))
        .collect();
    let known = store.inventory.get_devices(&ids).await.unwrap();
    let one = |id: &DeviceId| {
        let of = |list: &[Device]| list.iter().find(|device| device.id == *id).cloned();
        json!([of(&known), of(&listed)])
    };
    ids.iter().map(one).collect()
}
