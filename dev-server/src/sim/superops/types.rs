//! Objects and inputs of the schema, field by field as in `clients/src/superops/schema.graphql`.

use async_graphql::{ComplexObject, ID, InputObject, Json, SimpleObject};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    device::DeviceState,
    fleet::{ClientSpec, DeviceKind, DeviceSpec},
    lists::{Any, ListInfo, ListInfoInput},
};

/// Date-times carry no zone.
pub(super) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Ids inside JSON scalars are unquoted numbers.
pub(super) fn number(id: &str) -> Value {
    id.parse::<u64>().map_or_else(|_| json!(id), |n| json!(n))
}

#[derive(Debug, InputObject)]
pub(super) struct AssetIdentifierInput {
    pub(super) asset_id: ID,
}

#[derive(Debug, InputObject)]
pub(super) struct AssetDetailsListInput {
    pub(super) asset_id: ID,
    pub(super) list_info: Option<ListInfoInput>,
}

#[derive(Debug, InputObject)]
pub(super) struct ClientIdentifierInput {
    pub(super) account_id: ID,
}

#[derive(Debug, InputObject)]
pub(super) struct GetClientSiteListInput {
    pub(super) list_info: Option<ListInfoInput>,
    pub(super) client_id: Option<ID>,
}

#[derive(Debug, InputObject)]
pub(super) struct ScriptListByTypeInput {
    #[graphql(name = "type")]
    pub(super) kind: String,
    pub(super) list_info: Option<ListInfoInput>,
}

#[derive(Debug, InputObject)]
pub(super) struct CreateAlertInput {
    pub(super) asset_id: ID,
    pub(super) message: String,
    pub(super) description: Option<String>,
    pub(super) severity: Option<String>,
}

#[derive(Debug, InputObject)]
pub(super) struct ResolveAlertInput {
    pub(super) id: ID,
}

#[derive(InputObject)]
pub(super) struct RunScriptInput {
    pub(super) asset_id: ID,
    pub(super) script_id: ID,
    pub(super) script_arguments: Option<Any>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct AssetList {
    pub(super) assets: Option<Vec<Option<Asset>>>,
    pub(super) list_info: Option<ListInfo>,
}

#[derive(Debug, SimpleObject)]
#[graphql(complex)]
pub(super) struct Asset {
    pub(super) asset_id: Option<ID>,
    pub(super) name: String,
    pub(super) asset_class: Any,
    pub(super) client: Any,
    pub(super) site: Any,
    pub(super) requester: Any,
    pub(super) primary_mac: Option<String>,
    pub(super) logged_in_user: Option<String>,
    pub(super) serial_number: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) host_name: Option<String>,
    public_ip: Option<String>,
    pub(super) gateway: Option<String>,
    pub(super) platform: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) status: Option<String>,
    pub(super) sys_uptime: Option<String>,
    pub(super) last_communicated_time: Option<String>,
    pub(super) agent_version: Option<String>,
    pub(super) platform_family: Option<String>,
    pub(super) platform_category: Option<String>,
    pub(super) platform_version: Option<String>,
    pub(super) patch_status: Option<String>,
    pub(super) warranty_expiry_date: Option<String>,
    pub(super) purchased_date: Option<String>,
    pub(super) last_reported_time: Option<String>,
    pub(super) device_category: Option<Any>,
    #[graphql(skip)]
    pub(super) tags: String,
}

#[ComplexObject]
impl Asset {
    async fn custom_fields(&self, fields: Option<Vec<Option<String>>>) -> Option<Any> {
        let asked = |name: &str| {
            fields
                .as_ref()
                .is_none_or(|list| list.iter().flatten().any(|f| f == name))
        };
        let mut all = serde_json::Map::new();
        if asked("udf1text") {
            all.insert("udf1text".to_owned(), json!(self.tags));
        }
        Some(Json(Value::Object(all)))
    }
}

impl Asset {
    pub(super) fn new(
        client: &ClientSpec,
        spec: &DeviceSpec,
        state: &DeviceState,
        online: bool,
        now: Timestamp,
    ) -> Self {
        let site = client.sites.iter().find(|site| site.id == spec.site);
        let (os, family, category) = match spec.platform {
            DeviceKind::Workstation => (
                "Microsoft Windows 10 Pro",
                "Standalone Workstation",
                "WORKSTATION",
            ),
            DeviceKind::Server => ("Microsoft Windows Server 2022 Standard", "Server", "SERVER"),
            DeviceKind::Mac => ("macOS Sonoma 14.5", "Standalone Workstation", "WORKSTATION"),
            DeviceKind::Network => ("EdgeSwitch 1.10", "Network Device", "NETWORK"),
        };
        let version = match (spec.platform, spec.os.as_deref().unwrap_or(os)) {
            (DeviceKind::Mac, _) => "14.5",
            (DeviceKind::Network, _) => "1.10",
            (DeviceKind::Server, _) => "10.0.20348 Build 20348 (21H2)",
            (DeviceKind::Workstation, os) if os.contains("11") => "10.0.22631 Build 22631 (23H2)",
            (DeviceKind::Workstation, _) => "10.0.19045 Build 19045 (22H2)",
        };
        let patched = state.patches.values().all(|p| p.listed_installed);
        let up = now.duration_since(state.booted_at).as_secs().max(0);
        Self {
            asset_id: Some(ID::from(&spec.id)),
            name: spec.name.clone(),
            asset_class: Json(json!({ "classId": 1, "name": category })),
            client: Json(json!({ "accountId": number(&client.id), "name": client.name })),
            site: Json(json!({ "id": number(&spec.site), "name": site.map(|s| &s.name) })),
            requester: Json(Value::Null),
            primary_mac: None,
            logged_in_user: None,
            serial_number: Some(format!(
                "SN{}",
                spec.id
                    .get(spec.id.len().saturating_sub(6)..)
                    .unwrap_or_default()
            )),
            manufacturer: Some("Dell Inc.".to_owned()),
            model: None,
            host_name: Some(spec.name.clone()),
            public_ip: None,
            gateway: None,
            platform: Some(spec.os.clone().unwrap_or_else(|| os.to_owned())),
            domain: None,
            status: Some(if online { "ONLINE" } else { "OFFLINE" }.to_owned()),
            sys_uptime: online.then(|| format!("{} hour {} minutes", up / 3600, up / 60 % 60)),
            last_communicated_time: Some(stamp(if online { now } else { state.last_communicated })),
            agent_version: Some("2.10.0".to_owned()),
            platform_family: Some(family.to_owned()),
            platform_category: Some(category.to_owned()),
            platform_version: Some(version.to_owned()),
            patch_status: Some(
                if patched {
                    "Fully Patched"
                } else {
                    "Partially Patched"
                }
                .to_owned(),
            ),
            warranty_expiry_date: None,
            purchased_date: None,
            last_reported_time: Some(stamp(state.last_reported)),
            device_category: None,
            tags: state.tags.join(","),
        }
    }
}

#[derive(Debug, SimpleObject)]
pub(super) struct AssetActivityList {
    pub(super) activities: Option<Vec<Option<AssetActivityData>>>,
    pub(super) list_info: Option<ListInfo>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct AssetActivityData {
    pub(super) activity_id: Option<ID>,
    pub(super) module: Option<String>,
    pub(super) activity_type: Option<String>,
    pub(super) activity_data: Option<Any>,
    pub(super) created_by: Option<Any>,
    pub(super) created_time: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct AssetPatchList {
    pub(super) asset_patches: Option<Vec<Option<PatchData>>>,
    pub(super) list_info: Option<ListInfo>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct AssetSummary {
    pub(super) cpu: Option<AssetCpu>,
    pub(super) memory: Option<AssetMemory>,
    pub(super) disk: Option<Disks>,
}

#[derive(Debug, SimpleObject)]
#[graphql(name = "AssetCPU")]
pub(super) struct AssetCpu {
    pub(super) asset_id: ID,
    pub(super) cpu_usage: Option<Any>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct AssetMemory {
    pub(super) total_memory: Option<Any>,
    pub(super) used_memory: Option<Any>,
    pub(super) memory_usage: Option<Any>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct Disks {
    pub(super) disks: Option<Vec<Option<AssetDisk>>>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct AssetDisk {
    pub(super) drive: Option<String>,
    pub(super) size: Option<Any>,
    pub(super) free_size: Option<Any>,
    pub(super) drive_usage: Option<Any>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct AssetSoftwareList {
    pub(super) asset_softwares: Option<Vec<Option<AssetSoftware>>>,
    pub(super) list_info: Option<ListInfo>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct AssetSoftware {
    pub(super) id: Option<ID>,
    pub(super) software: Option<Any>,
    pub(super) version: Option<String>,
    pub(super) installed_date: Option<String>,
    pub(super) bit_version: Option<String>,
    pub(super) installed_path: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct PatchData {
    pub(super) patch_detail: Option<PatchDetails>,
    pub(super) approval_status: Option<String>,
    pub(super) installation_time: Option<String>,
    pub(super) installation_status: Option<String>,
    pub(super) failed_message: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct PatchDetails {
    pub(super) patch_id: ID,
    pub(super) patch_key: Option<String>,
    pub(super) title: Option<String>,
    pub(super) published_date: Option<String>,
    pub(super) category: Option<String>,
    pub(super) severity: Option<String>,
    pub(super) kb_numbers: Option<Vec<Option<PatchKb>>>,
    pub(super) restart_required: Option<bool>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct PatchKb {
    pub(super) kb_number: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct AlertList {
    pub(super) alerts: Option<Vec<Option<Alert>>>,
    pub(super) list_info: Option<ListInfo>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct Alert {
    pub(super) id: Option<ID>,
    pub(super) message: Option<String>,
    pub(super) created_time: Option<String>,
    pub(super) status: Option<String>,
    pub(super) severity: Option<String>,
    pub(super) description: Option<String>,
    pub(super) asset: Option<Any>,
    pub(super) policy: Option<Any>,
    pub(super) resolved_time: Option<String>,
    pub(super) occurrence_count: Option<i32>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct ScriptList {
    pub(super) scripts: Option<Vec<Option<Script>>>,
    pub(super) list_info: Option<ListInfo>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct Script {
    pub(super) script_id: ID,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) language: Option<String>,
    pub(super) added_by: Option<Any>,
    pub(super) created_time: Option<String>,
    pub(super) favourite: Option<bool>,
    pub(super) run_as: Option<String>,
    pub(super) run_time_variables: Option<Vec<Option<String>>>,
    pub(super) time_out: Option<i32>,
    pub(super) tags: Option<Any>,
    pub(super) read_me: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct RunScriptData {
    pub(super) action_config_id: Option<ID>,
    pub(super) script: Option<Any>,
    pub(super) script_arguments: Option<Any>,
    pub(super) added_by: Option<Any>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct ClientList {
    pub(super) clients: Option<Vec<Option<Client>>>,
    pub(super) list_info: Option<ListInfo>,
}

#[derive(Debug, SimpleObject)]
#[graphql(complex)]
pub(super) struct Client {
    pub(super) account_id: ID,
    pub(super) name: String,
    pub(super) stage: String,
    pub(super) status: Option<String>,
    pub(super) email_domains: Option<Vec<Option<String>>>,
    pub(super) account_manager: Option<Any>,
    pub(super) primary_contact: Option<Any>,
    pub(super) secondary_contact: Option<Any>,
    pub(super) hq_site: Option<Any>,
    pub(super) technician_groups: Option<Any>,
}

#[ComplexObject]
impl Client {
    async fn custom_fields(
        &self,
        #[graphql(name = "fields")] _fields: Option<Vec<Option<String>>>,
    ) -> Option<Any> {
        Some(Json(json!({})))
    }
}

#[derive(Debug, SimpleObject)]
pub(super) struct ClientSiteList {
    pub(super) sites: Option<Vec<Option<ClientSite>>>,
    pub(super) list_info: Option<ListInfo>,
}

#[derive(Debug, SimpleObject)]
pub(super) struct ClientSite {
    pub(super) id: ID,
    pub(super) name: String,
    pub(super) timezone_code: String,
    #[graphql(name = "working24x7")]
    pub(super) working_24x7: bool,
    pub(super) client: Any,
    pub(super) hq: Option<bool>,
}
