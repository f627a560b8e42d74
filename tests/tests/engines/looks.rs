//! What the writes have written, with every list it stands in.

use clients::store::{StatusFilter, Store, conformance::record};
use domain::{device::Device, ids::DeviceId, outcome::DeviceOutcome};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::made::{DEVICES, client, device_id, device_row, name, plan};

/// More than one page of a list of a client in any check.
pub(crate) const MANY: usize = 1000;

/// Reads an item that no port shows without changing it.
#[derive(Debug)]
pub(crate) enum Probe {
    /// Of tables of DynamoDB with a prefix.
    Dynamo(aws_sdk_dynamodb::Client, String),
    /// Of no engine: such writes are not looked at.
    None,
}

impl Probe {
    pub(crate) async fn ask(&self, table: &str, pk: &str, sk: &str) -> Value {
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

/// Its requests matter only when it is there itself.
pub(crate) async fn campaign_of(store: &Store, token: &str) -> Value {
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

pub(crate) async fn chain(store: &Store, token: &str) -> Value {
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

pub(crate) async fn plan_of(store: &Store, token: &str) -> Value {
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

pub(crate) async fn deployment(store: &Store, token: &str) -> Value {
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

pub(crate) async fn rows(store: &Store, token: &str) -> Value {
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

pub(crate) async fn inventory(store: &Store, token: &str) -> Vec<Value> {
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
