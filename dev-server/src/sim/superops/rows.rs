//! Rows of the lists, each with the attributes one can filter and sort by.

use std::borrow::Cow;

use async_graphql::{ID, Json};
use domain::script::SCRIPT_VARIABLES;
use serde_json::{Value, json};

use super::{
    alerts::AlertState,
    fleet::{ClientSpec, DeviceKind, DeviceSpec},
    lists::Row,
    programs,
    types::{
        Alert, Asset, AssetActivityData, AssetCpu, AssetDisk, AssetMemory, AssetSoftware,
        AssetSummary, Client, ClientSite, Disks, PatchData, PatchDetails, PatchKb, Script, number,
        stamp,
    },
    world::{Inner, OTHER_SCRIPT_ID, SCRIPT_ID, World},
};

type Rows<T> = Vec<(Value, T)>;

/// What alerts can be filtered by; not by client.
pub(super) const ALERT_FILTERS: [&str; 3] = ["status", "severity", "createdTime"];

/// A device of a client.
type Known<'a> = (&'a ClientSpec, &'a DeviceSpec);

/// What devices can be filtered by.
pub(super) const ASSET_FILTERS: [&str; 10] = [
    "assetId",
    "name",
    "hostName",
    "serialNumber",
    "status",
    "client",
    "client.name",
    "site.name",
    "platform",
    "platformCategory",
];

/// A device in a list, looked at only as far as somebody asks: fleets are large.
pub(super) struct AssetRow<'a> {
    world: &'a World,
    device: Known<'a>,
}

impl Row for AssetRow<'_> {
    type Shown = Asset;

    fn attribute(&self, path: &str) -> Cow<'_, Value> {
        let (client, spec) = self.device;
        Cow::Owned(match path {
            "assetId" => json!(spec.id),
            "name" | "hostName" => json!(spec.name),
            "client" => json!(client.id),
            "client.name" => json!(client.name),
            "site.name" => json!(site_name(client, spec)),
            "platform" => json!(spec.os),
            "platformCategory" => json!(spec.platform),
            "status" if self.world.lock().is_online(&spec.id) => json!("ONLINE"),
            "status" => json!("OFFLINE"),
            _ => Value::Null,
        })
    }

    fn show(self) -> Option<Asset> {
        asset(self.world, self.device)
    }
}

pub(super) fn assets(world: &World) -> Vec<AssetRow<'_>> {
    let clients = world.fleet.clients.iter();
    let devices = clients.flat_map(|client| client.devices.iter().map(move |spec| (client, spec)));
    devices.map(|device| AssetRow { world, device }).collect()
}

pub(super) fn asset(world: &World, (client, spec): Known<'_>) -> Option<Asset> {
    let now = world.now();
    let inner = world.lock();
    let state = inner.state.devices.get(&spec.id)?;
    Some(Asset::new(
        client,
        spec,
        state,
        inner.is_online(&spec.id),
        now,
    ))
}

fn site_name<'a>(client: &'a ClientSpec, spec: &DeviceSpec) -> Option<&'a String> {
    let mut sites = client.sites.iter();
    let site = sites.find(|site| site.id == spec.site);
    site.map(|site| &site.name)
}

pub(super) fn activities(world: &World, asset: &str) -> Rows<AssetActivityData> {
    let inner = world.lock();
    let activities = inner
        .state
        .devices
        .get(asset)
        .map(|d| d.activities.as_slice())
        .unwrap_or_default();
    activities
        .iter()
        .rev()
        .map(|activity| {
            let row = AssetActivityData {
                activity_id: Some(ID::from(&activity.id)),
                module: Some("SCRIPT".to_owned()),
                activity_type: Some("RUN_SCRIPT".to_owned()),
                activity_data: Some(Json(json!({ "scriptId": number(&activity.script_id), "name": activity.name, "status": activity.status }))),
                created_by: Some(Json(json!({ "name": "API user" }))),
                created_time: Some(stamp(activity.created)),
            };
            (json!({ "module": "SCRIPT", "createdTime": stamp(activity.created) }), row)
        })
        .collect()
}

/// How busy a device is: the same each time for the same device, and very busy while an update has broken
/// something on it or one of its services is stopped.
pub(super) fn summary(world: &World, asset: &ID) -> AssetSummary {
    let is_ill = {
        let inner = world.lock();
        let device = inner.state.devices.get(asset.as_str());
        device.is_some_and(|one| !one.broken_by.is_empty() || !one.stopped_services.is_empty())
    };
    // The last digits of the id: devices differ.
    let digits = asset.as_str().len().saturating_sub(2);
    let own: f64 = asset
        .as_str()
        .get(digits..)
        .and_then(|d| d.parse().ok())
        .unwrap_or(0.0);
    let cpu = if is_ill { 97.5 } else { 5.0 + own / 4.0 };
    let memory = 40.0 + own / 4.0;
    let json = |value: Value| Some(Json(value));
    AssetSummary {
        cpu: Some(AssetCpu {
            asset_id: asset.clone(),
            cpu_usage: json(json!(cpu)),
        }),
        memory: Some(AssetMemory {
            total_memory: json(json!(16.0)),
            used_memory: json(json!(16.0 * memory / 100.0)),
            memory_usage: json(json!(memory)),
        }),
        disk: Some(Disks {
            disks: Some(vec![Some(AssetDisk {
                drive: Some("C:".to_owned()),
                size: json(json!(237.5)),
                free_size: json(json!(120.0)),
                // Figures come as text as well.
                drive_usage: json(json!("49.5")),
            })]),
        }),
    }
}

pub(super) fn patches(world: &World, asset: &str) -> Rows<PatchData> {
    let inner = world.lock();
    let Some(device) = inner.state.devices.get(asset) else {
        return Vec::new();
    };
    let listed = |kb: &str| {
        device
            .patches
            .get(kb)
            .is_some_and(|entry| entry.listed_installed)
    };
    device
        .patches
        .iter()
        .filter_map(|(kb, entry)| {
            let patch = world.catalog.get(kb)?;
            // The scan does not offer what a newer, installed update contains.
            if !entry.listed_installed && patch.superseded_by.as_deref().is_some_and(listed) {
                return None;
            }
            let status = if entry.listed_installed { "Installed" } else { "NewOrMissing" };
            let row = PatchData {
                patch_detail: Some(PatchDetails {
                    patch_id: ID::from(format!("900000000000{kb:0>7}")),
                    patch_key: Some(format!("00000000-0000-4000-8000-{kb:0>12}")),
                    title: Some(patch.title.clone()),
                    published_date: Some(patch.published.clone()),
                    category: Some(patch.category.clone()),
                    severity: Some(patch.severity.clone()),
                    kb_numbers: Some(vec![Some(PatchKb { kb_number: Some(kb.clone()) })]),
                    restart_required: Some(patch.restart_required),
                }),
                approval_status: Some(if entry.listed_installed { "Approved" } else { "Pending" }.to_owned()),
                installation_time: entry.installed_on.filter(|_| entry.listed_installed).map(|day| day.to_string()),
                installation_status: Some(status.to_owned()),
                failed_message: None,
            };
            let attributes = json!({
                "installationStatus": status, "severity": patch.severity, "approvalStatus": row.approval_status,
            });
            Some((attributes, row))
        })
        .collect()
}

pub(super) fn software(world: &World, asset: &str) -> Rows<AssetSoftware> {
    let Some((_, spec)) = world.spec(asset) else {
        return Vec::new();
    };
    let programs = (1..).zip(programs::of(spec));
    let rows = programs.map(|(place, program): (u32, _)| {
        let name = Some(program.name).filter(|name| !name.is_empty());
        let bits = if spec.platform == DeviceKind::Mac {
            ""
        } else {
            "64-bit"
        };
        let row = AssetSoftware {
            id: Some(ID::from(format!("{}{place:04}", spec.id))),
            software: name.as_ref().map(|name| Json(json!({ "name": name }))),
            version: program.version,
            installed_date: Some("2024-01-15".to_owned()),
            bit_version: Some(bits.to_owned()).filter(|bits| !bits.is_empty()),
            installed_path: None,
        };
        (
            json!({ "software": { "name": name }, "version": row.version }),
            row,
        )
    });
    rows.collect()
}

/// An alert in a list, looked at only as far as somebody asks: there may be many.
pub(super) struct AlertRow<'a> {
    world: &'a World,
    state: &'a AlertState,
}

impl Row for AlertRow<'_> {
    type Shown = Alert;

    const IN_ORDER_OF: Option<&'static str> = Some("createdTime");

    fn attribute(&self, path: &str) -> Cow<'_, Value> {
        Cow::Owned(match path {
            "status" => json!(status(self.state)),
            "severity" => json!(self.state.severity),
            "createdTime" => json!(milliseconds(self.state)),
            _ => Value::Null,
        })
    }

    fn show(self) -> Option<Alert> {
        Some(alert(self.world, self.state))
    }
}

pub(super) fn alerts<'a>(
    world: &'a World,
    inner: &'a Inner,
    asset: Option<&ID>,
) -> Vec<AlertRow<'a>> {
    let alerts = inner.state.alerts.iter();
    let mine = alerts.filter(|alert| asset.is_none_or(|id| id.as_str() == alert.device));
    mine.map(|state| AlertRow { world, state }).collect()
}

fn status(state: &AlertState) -> &'static str {
    if state.resolved.is_some() {
        "Resolved"
    } else {
        "Created"
    }
}

/// This list carries milliseconds, others do not.
fn milliseconds(state: &AlertState) -> String {
    state.created.strftime("%Y-%m-%dT%H:%M:%S.%3f").to_string()
}

pub(super) fn alert(world: &World, state: &AlertState) -> Alert {
    let asset = world.spec(&state.device).map(|(client, spec)| {
        let site = site_name(client, spec);
        Json(json!({
            "assetId": number(&spec.id), "name": spec.name,
            "client": { "accountId": number(&client.id), "name": client.name },
            "site": { "id": number(&spec.site), "name": site },
        }))
    });
    Alert {
        id: Some(ID::from(&state.id)),
        message: Some(state.message.clone()),
        created_time: Some(milliseconds(state)),
        status: Some(status(state).to_owned()),
        severity: Some(state.severity.clone()),
        description: state.description.clone(),
        asset,
        policy: Some(Json(json!({ "name": "Default", "policyType": "ASSET" }))),
        resolved_time: state.resolved.map(stamp),
        occurrence_count: Some(state.occurrences),
    }
}

pub(super) fn scripts() -> Rows<Script> {
    let script = |id: &str, variables: &[&str], time_out| {
        let name = World::script_name(id).unwrap_or_default();
        let row = Script {
            script_id: ID::from(id),
            name: Some(name.to_owned()),
            description: None,
            language: Some("PowerShell".to_owned()),
            added_by: Some(Json(json!({ "name": "API user" }))),
            created_time: Some("2024-01-02T08:30".to_owned()),
            favourite: Some(false),
            run_as: Some("SYSTEM_USER".to_owned()),
            run_time_variables: Some(variables.iter().map(|v| Some((*v).to_owned())).collect()),
            time_out: Some(time_out),
            tags: None,
            read_me: None,
        };
        (json!({ "name": name, "language": "PowerShell" }), row)
    };
    vec![
        script(OTHER_SCRIPT_ID, &[], 300),
        script(SCRIPT_ID, &SCRIPT_VARIABLES, 7200),
    ]
}

pub(super) fn clients(world: &World) -> Rows<Client> {
    let rows = world.fleet.clients.iter().map(|client| {
        let row = Client {
            account_id: ID::from(&client.id),
            name: client.name.clone(),
            stage: "Active".to_owned(),
            status: Some("Paid".to_owned()),
            email_domains: Some(Vec::new()),
            account_manager: None,
            primary_contact: None,
            secondary_contact: None,
            hq_site: client.sites.first().map(|site| Json(json!({ "id": number(&site.id), "name": site.name }))),
            technician_groups: None,
        };
        (json!({ "name": client.name, "accountId": client.id, "status": "Paid", "stage": "Active" }), row)
    });
    rows.collect()
}

pub(super) fn sites(world: &World, client: Option<&ID>) -> Rows<ClientSite> {
    let clients = world
        .fleet
        .clients
        .iter()
        .filter(|c| client.is_none_or(|id| id.as_str() == c.id));
    let rows = clients.flat_map(|client| {
        client.sites.iter().enumerate().map(|(n, site)| {
            let row = ClientSite {
                id: ID::from(&site.id),
                name: site.name.clone(),
                timezone_code: site.timezone_code.clone(),
                working_24x7: false,
                client: Json(json!({ "accountId": number(&client.id), "name": client.name })),
                hq: Some(n == 0),
            };
            (json!({ "name": site.name }), row)
        })
    });
    rows.collect()
}
