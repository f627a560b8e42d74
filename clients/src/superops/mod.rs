//! `SuperOps`, the RMM: clients, devices, patch lists, alerts and script runs over its GraphQL API.
//!
//! Each method is one HTTP request, but for [`SuperOps::find_script`], which pages. Every request
//! first takes from the shared bucket [`BUCKET`]; nothing is tried twice. A write whose answer is
//! lost is [`SuperOpsError::Ambiguous`]: read back before sending it again.

mod alerts;
mod config;
mod convert;
mod error;
mod look;
mod operations;
mod probe;
mod scalars;
mod software;
mod transport;

#[cfg(test)]
mod rotation_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::{
    device::Device,
    ids::{ClientId, DeviceId},
};
use graphql_client::GraphQLQuery;
use jiff::Timestamp;
use serde_json::json;

pub use config::SuperOpsConfig;
pub use convert::{ActivityRow, AlertRow, ClientInfo, Page, PatchRow, ScriptInfo, ScriptRun, Site};
pub use error::SuperOpsError;
pub use look::EVIDENCE_BUCKET;
pub use probe::Probe;
pub use software::SoftwarePage;

use crate::{rate_limit::RateLimiter, store::Counters};
use convert::raw_asset;
use error::Call;
use operations::{
    DeviceActivity, DeviceAlerts, DevicePatches, GetClient, GetDevice, ListDevices, ListScripts,
    ListSites, RunScript, device_activity, device_alerts, device_patches, get_client, get_device,
    list_devices, list_info, list_scripts, list_sites, run_script,
};
use scalars::{timestamp, warn_once};
use transport::Transport;

/// Name of the shared bucket that every request takes from.
pub const BUCKET: &str = "superops";
/// Rows per page: the most the service gives.
const PAGE_SIZE: i64 = 100;
/// Where the search for a script ends.
const MAX_SCRIPT_PAGES: u32 = 50;

/// A tenant's account.
#[derive(Debug)]
pub struct SuperOps {
    transport: Transport,
    tags_field: String,
}

impl SuperOps {
    /// Checks the configuration and builds the client; sends nothing.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(
        config: SuperOpsConfig,
        limiter: Arc<dyn RateLimiter>,
    ) -> Result<Self, SuperOpsError> {
        config.validate().map_err(SuperOpsError::Config)?;
        let tags_field = config.tags_field.clone();
        Ok(Self {
            transport: Transport::new(&config, limiter)?,
            tags_field,
        })
    }

    /// Lets other processes see when it does not answer.
    #[must_use]
    pub fn sharing(mut self, counters: Arc<dyn Counters>) -> Self {
        self.transport.breaker.share(counters);
        self
    }

    /// Reads one client.
    ///
    /// # Errors
    /// As [`SuperOpsError`]; `NotFound` when there is none.
    pub async fn get_client(&self, client: &ClientId) -> Result<ClientInfo, SuperOpsError> {
        let call = read("client", client.as_str());
        let input = get_client::ClientIdentifierInput {
            account_id: client.to_string(),
        };
        let data = self
            .post::<GetClient>(call, get_client::Variables { input })
            .await?;
        let found = data.get_client.ok_or_else(|| call.not_found())?;
        let id = found
            .account_id
            .parse()
            .map_err(|_| call.malformed("getClient.accountId"))?;
        if id != *client {
            return Err(call.malformed("getClient.accountId is not the one asked for"));
        }
        Ok(ClientInfo {
            id,
            name: found.name,
            status: found.status,
        })
    }

    /// Lists the sites of a client; pages start at 1.
    ///
    /// # Errors
    /// As [`SuperOpsError`].
    pub async fn list_sites(
        &self,
        client: &ClientId,
        page: u32,
    ) -> Result<Page<Site>, SuperOpsError> {
        let call = read("client", client.as_str());
        let input = list_sites::GetClientSiteListInput {
            list_info: Some(list_info!(list_sites, page: page)),
            client_id: Some(client.to_string()),
        };
        let data = self
            .post::<ListSites>(call, list_sites::Variables { input })
            .await?;
        let list = data.get_client_site_list.ok_or_else(|| call.not_found())?;
        let items = list
            .sites
            .unwrap_or_default()
            .into_iter()
            .flatten()
            .map(|site| Site {
                id: site.id,
                name: site.name,
                time_zone: Some(site.timezone_code).filter(|zone| !zone.is_empty()),
                hq: site.hq.unwrap_or(false),
            });
        Ok(Page {
            items: items.collect(),
            has_more: more(list.list_info.and_then(|i| i.has_more)),
        })
    }

    /// Lists the devices of a client by name; pages start at 1. The time zone is left to the
    /// caller, who joins the sites.
    ///
    /// A row of another client, or without ids, is left out with a warning: a filter that silently
    /// failed must not put a stranger's device into a plan.
    ///
    /// # Errors
    /// As [`SuperOpsError`].
    pub async fn list_devices(
        &self,
        client: &ClientId,
        page: u32,
        now: Timestamp,
    ) -> Result<Page<Device>, SuperOpsError> {
        let call = read("client", client.as_str());
        let input = list_info!(list_devices, page: page,
            filter: ("client", "includes", json!([client.as_str()])),
            sort: ("name", list_devices::SortOrder::ASC));
        let variables = list_devices::Variables {
            input,
            fields: Some(self.fields()),
        };
        let data = self.post::<ListDevices>(call, variables).await?;
        let list = data
            .get_asset_list
            .ok_or_else(|| call.malformed("getAssetList is null"))?;
        let mut items = Vec::new();
        for asset in list.assets.unwrap_or_default().into_iter().flatten() {
            match convert::device(raw_asset!(asset), &self.tags_field, now) {
                Ok(device) if device.client == *client => items.push(device),
                Ok(device) => tracing::warn!(
                    device.id = %device.id, client.id = %client,
                    "superops listed device {} of another client, left out", device.id
                ),
                Err(field) => warn_once("device without", field),
            }
        }
        Ok(Page {
            items,
            has_more: more(list.list_info.and_then(|i| i.has_more)),
        })
    }

    /// Reads one device.
    ///
    /// # Errors
    /// As [`SuperOpsError`]; `NotFound` when there is none.
    pub async fn get_device(
        &self,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<Device, SuperOpsError> {
        let call = read("device", device.as_str());
        let input = get_device::AssetIdentifierInput {
            asset_id: device.to_string(),
        };
        let variables = get_device::Variables {
            input,
            fields: Some(self.fields()),
        };
        let data = self.post::<GetDevice>(call, variables).await?;
        let asset = data.get_asset.ok_or_else(|| call.not_found())?;
        let found = convert::device(raw_asset!(asset), &self.tags_field, now)
            .map_err(|field| call.malformed(format!("getAsset.{field}")))?;
        if found.id != *device {
            return Err(call.malformed("getAsset.assetId is not the one asked for"));
        }
        Ok(found)
    }

    /// Lists the patches of a device, one row per KB; pages start at 1.
    ///
    /// # Errors
    /// As [`SuperOpsError`].
    pub async fn device_patches(
        &self,
        device: &DeviceId,
        page: u32,
    ) -> Result<Page<PatchRow>, SuperOpsError> {
        let call = read("device", device.as_str());
        let input = device_patches::AssetDetailsListInput {
            asset_id: device.to_string(),
            list_info: Some(list_info!(device_patches, page: page)),
        };
        let data = self
            .post::<DevicePatches>(call, device_patches::Variables { input })
            .await?;
        let list = data
            .get_asset_patch_details
            .ok_or_else(|| call.not_found())?;
        let rows = list.asset_patches.unwrap_or_default().into_iter().flatten();
        Ok(Page {
            items: rows.flat_map(convert::patch_rows).collect(),
            has_more: more(list.list_info.and_then(|i| i.has_more)),
        })
    }

    /// Lists the alerts of a device, newest first; pages start at 1.
    ///
    /// # Errors
    /// As [`SuperOpsError`].
    pub async fn device_alerts(
        &self,
        device: &DeviceId,
        page: u32,
    ) -> Result<Page<AlertRow>, SuperOpsError> {
        let call = read("device", device.as_str());
        let input = device_alerts::AssetDetailsListInput {
            asset_id: device.to_string(),
            list_info: Some(list_info!(device_alerts, page: page,
                sort: ("createdTime", device_alerts::SortOrder::DESC))),
        };
        let data = self
            .post::<DeviceAlerts>(call, device_alerts::Variables { input })
            .await?;
        let list = data.get_alerts_for_asset.ok_or_else(|| call.not_found())?;
        let rows = list.alerts.unwrap_or_default().into_iter().flatten();
        let items = rows.filter_map(|alert| {
            Some(AlertRow {
                id: alert.id?,
                severity: alert.severity.unwrap_or_default(),
                status: alert.status.unwrap_or_default(),
                message: convert::short(&alert.message.unwrap_or_default(), 2000),
                created_at: alert.created_time.as_deref().and_then(timestamp),
            })
        });
        Ok(Page {
            items: items.collect(),
            has_more: more(list.list_info.and_then(|i| i.has_more)),
        })
    }

    /// Lists the script runs in the activity of a device; pages start at 1. Newest first is asked
    /// for and not promised: that this list can be sorted is in its schema only.
    ///
    /// # Errors
    /// As [`SuperOpsError`].
    pub async fn device_activity(
        &self,
        device: &DeviceId,
        page: u32,
    ) -> Result<Page<ActivityRow>, SuperOpsError> {
        let call = read("device", device.as_str());
        let input = device_activity::AssetDetailsListInput {
            asset_id: device.to_string(),
            list_info: Some(list_info!(device_activity, page: page,
                filter: ("module", "is", json!("SCRIPT")),
                sort: ("createdTime", device_activity::SortOrder::DESC))),
        };
        let data = self
            .post::<DeviceActivity>(call, device_activity::Variables { input })
            .await?;
        let list = data.get_asset_activity.ok_or_else(|| call.not_found())?;
        let rows = list.activities.unwrap_or_default().into_iter().flatten();
        let scripts = rows.filter(|row| {
            row.module
                .as_deref()
                .is_some_and(|m| m.eq_ignore_ascii_case("SCRIPT"))
        });
        let items = scripts.filter_map(|row| {
            let data = row.activity_data.unwrap_or_default();
            Some(convert::activity(
                row.activity_id?,
                row.created_time.as_deref(),
                data,
            ))
        });
        Ok(Page {
            items: items.collect(),
            has_more: more(list.list_info.and_then(|i| i.has_more)),
        })
    }

    /// Finds a script by its exact name; one request per 100 scripts. Compare its variables with
    /// [`ScriptInfo::check_variables`] before running it.
    ///
    /// # Errors
    /// As [`SuperOpsError`]; `NotFound` when no script has the name, `InvalidInput` when two have.
    pub async fn find_script(&self, name: &str) -> Result<ScriptInfo, SuperOpsError> {
        let call = read("script", name);
        let mut found: Option<ScriptInfo> = None;
        for page in 1..=MAX_SCRIPT_PAGES {
            let input = list_info!(list_scripts, page: page);
            let data = self
                .post::<ListScripts>(call, list_scripts::Variables { input })
                .await?;
            let list = data
                .get_script_list
                .ok_or_else(|| call.malformed("getScriptList is null"))?;
            for script in list.scripts.unwrap_or_default().into_iter().flatten() {
                if script.name.as_deref() != Some(name) {
                    continue;
                }
                if found.is_some() {
                    return Err(SuperOpsError::InvalidInput {
                        code: "script_name_twice".to_owned(),
                        detail: format!(": two scripts are named {name}"),
                    });
                }
                found = Some(ScriptInfo {
                    id: script.script_id,
                    name: name.to_owned(),
                    variables: script
                        .run_time_variables
                        .unwrap_or_default()
                        .into_iter()
                        .flatten()
                        .collect(),
                    timeout_secs: script.time_out.and_then(|secs| u64::try_from(secs).ok()),
                });
            }
            if !more(list.list_info.and_then(|i| i.has_more)) {
                break;
            }
        }
        found.ok_or_else(|| call.not_found())
    }

    /// Runs a script on one device. There is no idempotency key: the script itself must be
    /// idempotent by an argument of its own.
    ///
    /// # Errors
    /// As [`SuperOpsError`]; `Ambiguous` when the run may have started.
    pub async fn run_script(
        &self,
        device: &DeviceId,
        script_id: &str,
        args: &[(&str, String)],
    ) -> Result<ScriptRun, SuperOpsError> {
        let call = Call {
            writes: true,
            what: "device",
            id: device.as_str(),
        };
        let arguments = args
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let input = run_script::RunScriptInput {
            asset_id: device.to_string(),
            script_id: script_id.to_owned(),
            script_arguments: Some(serde_json::Value::Array(arguments)),
        };
        let data = self
            .post::<RunScript>(call, run_script::Variables { input })
            .await?;
        let run = data
            .run_script_on_asset
            .ok_or_else(|| call.malformed("runScriptOnAsset is null"))?;
        let action_config_id = run
            .action_config_id
            .ok_or_else(|| call.malformed("runScriptOnAsset.actionConfigId is null"))?;
        Ok(ScriptRun { action_config_id })
    }

    async fn post<Q: GraphQLQuery>(
        &self,
        call: Call<'_>,
        variables: Q::Variables,
    ) -> Result<Q::ResponseData, SuperOpsError> {
        self.transport.post::<Q>(call, variables).await
    }

    fn fields(&self) -> Vec<Option<String>> {
        vec![Some(self.tags_field.clone())]
    }
}

fn read<'a>(what: &'static str, id: &'a str) -> Call<'a> {
    Call {
        writes: false,
        what,
        id,
    }
}

/// Only `true` goes on: the last page says `null`.
fn more(has_more: Option<bool>) -> bool {
    has_more == Some(true)
}
