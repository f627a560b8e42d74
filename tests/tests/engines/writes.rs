//! Every kind of write of the store's ports, and how its records and all that belongs to them look.

use std::{collections::BTreeSet, time::Duration};

use clients::store::{
    ClientRecord, LetterFilter, LetterState, PolicyVersion, ReaderState, Store, StoreResult,
    conformance::{sealed, status},
};
use domain::{
    audit::AuditRecord,
    campaign::PlanState,
    deployment::Stage,
    outcome::DeviceOutcome,
    vulnerability::{cvrf::Update, kev},
};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::{alerts, looks::*, made::*};

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
    PutSoftware,
    TakeLease,
    ReleaseLease,
    PutCampaign,
    AdviseCampaign,
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
    TakeAlerts,
    MissAlerts,
    ClearAlerts,
    TakeTold,
    EndUnheard,
    BeginTurn,
    PutOrder,
    PlaceAlerts,
    EndTurn,
    TellIncident,
    ExplainIncident,
    CloseIncident,
    PutRules,
    PutTopology,
    PutExpectation,
}

use Write as W;

impl Write {
    /// All of them.
    pub(crate) const ALL: [Self; 48] = [
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
        W::PutSoftware,
        W::TakeLease,
        W::ReleaseLease,
        W::PutCampaign,
        W::AdviseCampaign,
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
        W::TakeAlerts,
        W::MissAlerts,
        W::ClearAlerts,
        W::TakeTold,
        W::EndUnheard,
        W::BeginTurn,
        W::PutOrder,
        W::PlaceAlerts,
        W::EndTurn,
        W::TellIncident,
        W::ExplainIncident,
        W::CloseIncident,
        W::PutRules,
        W::PutTopology,
        W::PutExpectation,
    ];

    /// The method of a port that does it.
    pub(crate) fn method(self) -> &'static str {
        match self {
            W::AppendFirst | W::AppendNext | W::AppendLarge => "append_audit",
            W::PutPolicy => "put_policy",
            W::PutPlan => "put_plan",
            W::PutStatus | W::MoveStatus | W::FinishStatus => "put_status",
            W::PutRow | W::PutLaterRow => "put_device_row",
            W::PutLetter => "put_dead_letter",
            W::SettleLetter => "settle_dead_letter",
            W::PutClient => "put_client",
            W::PutDevices => "put_devices",
            W::PutPatches => "put_patch_page",
            W::PutSoftware => "put_software_page",
            W::TakeLease => "acquire_lease",
            W::ReleaseLease => "release_lease",
            W::PutCampaign => "put_campaign",
            W::AdviseCampaign => "put_advice",
            W::NotePlan => "put_plan_state",
            W::MergeFacts => "merge_vulnerabilities",
            W::MergeUpdate => "merge_updates",
            W::MoveReader => "move_reader",
            W::PutPerson => "put_person",
            W::PutPeople | W::LowerPeople => "put_people_of",
            W::TakeToken => "take_token",
            W::Block => "block",
            W::Add => "add",
            W::SetFlag | W::ClearFlag => "set_flag",
            W::Claim => "claim",
            W::TakeAlerts | W::TakeTold => "take_sightings",
            W::EndUnheard => "end_unheard",
            W::MissAlerts | W::ClearAlerts => "miss_alerts",
            W::BeginTurn => "begin_turn",
            W::PutOrder => "put_order",
            W::PlaceAlerts => "write_outcome",
            W::EndTurn => "end_turn",
            W::TellIncident | W::ExplainIncident | W::CloseIncident => "change_incident",
            W::PutRules => "put_rules",
            W::PutTopology => "put_topology",
            W::PutExpectation => "put_expectation",
        }
    }

    /// What has to be written before it.
    pub(crate) fn after(self) -> &'static [Self] {
        match self {
            W::AppendNext => &[W::AppendFirst],
            W::MoveStatus => &[W::PutStatus],
            W::FinishStatus => &[W::PutPlan, W::PutRow, W::PutStatus, W::MoveStatus],
            W::PutLaterRow => &[W::PutRow],
            W::SettleLetter => &[W::PutLetter],
            W::ReleaseLease => &[W::TakeLease],
            W::NotePlan | W::AdviseCampaign => &[W::PutCampaign],
            W::LowerPeople => &[W::PutPeople],
            W::ClearFlag => &[W::SetFlag],
            W::MissAlerts | W::BeginTurn | W::PlaceAlerts => &[W::TakeAlerts],
            W::ClearAlerts => &[W::TakeAlerts, W::MissAlerts],
            W::EndUnheard => &[W::TakeTold],
            W::EndTurn => &[W::TakeAlerts, W::PutOrder, W::PlaceAlerts],
            W::TellIncident | W::ExplainIncident | W::CloseIncident => {
                &[W::TakeAlerts, W::PlaceAlerts]
            }
            _ => &[],
        }
    }

    /// Whether a repeat has no second effect: the others answer that it was done, or count.
    pub(crate) fn may_be_repeated(self) -> bool {
        !matches!(self, W::PutPolicy | W::PutRules | W::TakeToken | W::Claim)
    }

    /// Whether live views show it.
    pub(crate) fn is_shown(self) -> bool {
        !matches!(
            self,
            W::TakeLease
                | W::ReleaseLease
                | W::TakeToken
                | W::Block
                | W::Claim
                | W::BeginTurn
                | W::PutExpectation
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
            W::PutSoftware => {
                let list = software_list(token);
                store.inventory.put_software_page(list, 1, true).await
            }
            W::PutCampaign => {
                let (campaign, requests) = campaign(token);
                let put = store.campaigns.put_campaign(campaign, requests);
                put.await.map(drop)
            }
            W::AdviseCampaign => {
                let (campaign, said) = (plan(token), advice(token));
                store.campaigns.put_advice(&campaign, said).await.map(drop)
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
            _ => alerts::write(self, store, token).await,
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
            W::PutSoftware => {
                let ids = [device_id(token, 0)];
                json!(store.inventory.get_software_lists(&ids).await.unwrap())
            }
            W::PutCampaign | W::AdviseCampaign | W::NotePlan => campaign_of(store, token).await,
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
            _ => return alerts::look(self, store, token, probe).await,
        };
        vec![one]
    }
}
