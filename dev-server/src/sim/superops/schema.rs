//! The part of the real schema that AutoOps uses: same names, arguments and nullability. The real
//! service has no introspection and no patch, reboot or scan mutation; neither has this.

use std::sync::Arc;

use async_graphql::{Context, EmptySubscription, Error, ID, Json, Object, Result, Schema};
use serde_json::json;

use super::{
    alerts::{AlertCause, NewAlert},
    lists::{ListInfoInput, client_error, page_of},
    rows, runner,
    types::{
        Alert, AlertList, Asset, AssetActivityList, AssetDetailsListInput, AssetIdentifierInput,
        AssetList, AssetPatchList, AssetSoftwareList, AssetSummary, Client, ClientIdentifierInput,
        ClientList, ClientSiteList, CreateAlertInput, GetClientSiteListInput, ResolveAlertInput,
        RunScriptData, RunScriptInput, ScriptList, ScriptListByTypeInput, number,
    },
    world::{OTHER_SCRIPT_ID, SCRIPT_ID, World},
};

pub(super) type SuperOpsSchema = Schema<Query, Mutation, EmptySubscription>;

pub(super) fn build(world: Arc<World>) -> SuperOpsSchema {
    Schema::build(Query, Mutation, EmptySubscription)
        .disable_introspection()
        .data(world)
        .finish()
}

#[derive(Debug)]
pub(super) struct Query;

fn world<'a>(ctx: &Context<'a>) -> Result<&'a Arc<World>> {
    ctx.data::<Arc<World>>()
}

fn known(world: &World, asset: &ID) -> Result<()> {
    world
        .spec(asset)
        .map(|_| ())
        .ok_or_else(|| client_error("entity_does_not_exist", "assetId"))
}

#[Object]
impl Query {
    async fn get_asset(
        &self,
        ctx: &Context<'_>,
        input: AssetIdentifierInput,
    ) -> Result<Option<Asset>> {
        let world = world(ctx)?;
        known(world, &input.asset_id)?;
        let found = world.spec(&input.asset_id);
        Ok(found.and_then(|found| rows::asset(world, found)))
    }

    async fn get_asset_summary(
        &self,
        ctx: &Context<'_>,
        input: AssetIdentifierInput,
    ) -> Result<Option<AssetSummary>> {
        let world = world(ctx)?;
        known(world, &input.asset_id)?;
        Ok(Some(rows::summary(world, &input.asset_id)))
    }

    async fn get_asset_list(
        &self,
        ctx: &Context<'_>,
        input: ListInfoInput,
    ) -> Result<Option<AssetList>> {
        let world = world(ctx)?;
        let (assets, info) = page_of(rows::assets(world), Some(input), &rows::ASSET_FILTERS)?;
        Ok(Some(AssetList {
            assets: Some(assets),
            list_info: Some(info),
        }))
    }

    async fn get_asset_activity(
        &self,
        ctx: &Context<'_>,
        input: AssetDetailsListInput,
    ) -> Result<Option<AssetActivityList>> {
        let world = world(ctx)?;
        known(world, &input.asset_id)?;
        let (activities, info) = page_of(
            rows::activities(world, &input.asset_id),
            input.list_info,
            &["module", "createdTime"],
        )?;
        Ok(Some(AssetActivityList {
            activities: Some(activities),
            list_info: Some(info),
        }))
    }

    async fn get_asset_patch_details(
        &self,
        ctx: &Context<'_>,
        input: AssetDetailsListInput,
    ) -> Result<Option<AssetPatchList>> {
        let world = world(ctx)?;
        known(world, &input.asset_id)?;
        let filters = ["installationStatus", "severity", "approvalStatus"];
        let (patches, info) = page_of(
            rows::patches(world, &input.asset_id),
            input.list_info,
            &filters,
        )?;
        Ok(Some(AssetPatchList {
            asset_patches: Some(patches),
            list_info: Some(info),
        }))
    }

    async fn get_asset_software_list(
        &self,
        ctx: &Context<'_>,
        input: AssetDetailsListInput,
    ) -> Result<Option<AssetSoftwareList>> {
        let world = world(ctx)?;
        known(world, &input.asset_id)?;
        let (programs, info) = page_of(
            rows::software(world, &input.asset_id),
            input.list_info,
            &["software.name", "version"],
        )?;
        Ok(Some(AssetSoftwareList {
            asset_softwares: Some(programs),
            list_info: Some(info),
        }))
    }

    async fn get_alert_list(
        &self,
        ctx: &Context<'_>,
        input: ListInfoInput,
    ) -> Result<Option<AlertList>> {
        let world = world(ctx)?;
        let inner = world.lock();
        let rows = rows::alerts(world, &inner, None);
        let (alerts, info) = page_of(rows, Some(input), &rows::ALERT_FILTERS)?;
        Ok(Some(AlertList {
            alerts: Some(alerts),
            list_info: Some(info),
        }))
    }

    async fn get_alerts_for_asset(
        &self,
        ctx: &Context<'_>,
        input: AssetDetailsListInput,
    ) -> Result<Option<AlertList>> {
        let world = world(ctx)?;
        known(world, &input.asset_id)?;
        let inner = world.lock();
        let rows = rows::alerts(world, &inner, Some(&input.asset_id));
        let (alerts, info) = page_of(rows, input.list_info, &rows::ALERT_FILTERS)?;
        Ok(Some(AlertList {
            alerts: Some(alerts),
            list_info: Some(info),
        }))
    }

    async fn get_script_list(
        &self,
        ctx: &Context<'_>,
        input: ListInfoInput,
    ) -> Result<Option<ScriptList>> {
        let _ = world(ctx)?;
        let (scripts, info) = page_of(rows::scripts(), Some(input), &["name", "language"])?;
        Ok(Some(ScriptList {
            scripts: Some(scripts),
            list_info: Some(info),
        }))
    }

    async fn get_script_list_by_type(
        &self,
        input: ScriptListByTypeInput,
    ) -> Result<Option<ScriptList>> {
        let rows = if input.kind == "WINDOWS" {
            rows::scripts()
        } else {
            Vec::new()
        };
        let (scripts, info) = page_of(rows, input.list_info, &["name", "language"])?;
        Ok(Some(ScriptList {
            scripts: Some(scripts),
            list_info: Some(info),
        }))
    }

    async fn get_client(
        &self,
        ctx: &Context<'_>,
        input: ClientIdentifierInput,
    ) -> Result<Option<Client>> {
        let found = rows::clients(world(ctx)?)
            .into_iter()
            .find(|(_, c)| c.account_id == input.account_id);
        Ok(found.map(|(_, client)| client))
    }

    async fn get_client_list(
        &self,
        ctx: &Context<'_>,
        input: ListInfoInput,
    ) -> Result<Option<ClientList>> {
        let (clients, info) = page_of(
            rows::clients(world(ctx)?),
            Some(input),
            &["name", "accountId", "status", "stage"],
        )?;
        Ok(Some(ClientList {
            clients: Some(clients),
            list_info: Some(info),
        }))
    }

    async fn get_client_site_list(
        &self,
        ctx: &Context<'_>,
        input: GetClientSiteListInput,
    ) -> Result<Option<ClientSiteList>> {
        let rows = rows::sites(world(ctx)?, input.client_id.as_ref());
        let (sites, info) = page_of(rows, input.list_info, &["name"])?;
        Ok(Some(ClientSiteList {
            sites: Some(sites),
            list_info: Some(info),
        }))
    }
}

#[derive(Debug)]
pub(super) struct Mutation;

#[Object]
impl Mutation {
    async fn create_alert(
        &self,
        ctx: &Context<'_>,
        input: CreateAlertInput,
    ) -> Result<Option<Alert>> {
        let world = world(ctx)?;
        known(world, &input.asset_id)?;
        if input.message.trim().is_empty() {
            return Err(client_error("mandatory_validation_failed", "message"));
        }
        let now = world.now();
        let alert = world.change(|inner| {
            let alert = NewAlert {
                device: input.asset_id.as_str(),
                message: input.message.clone(),
                description: input.description.clone(),
                severity: input.severity.as_deref().unwrap_or("Low"),
                cause: AlertCause::Somebody,
                kb: None,
            };
            inner.raise(alert, now)
        });
        Ok(Some(rows::alert(world, &alert)))
    }

    async fn resolve_alerts(
        &self,
        ctx: &Context<'_>,
        input: Option<Vec<Option<ResolveAlertInput>>>,
    ) -> Result<Option<bool>> {
        let world = world(ctx)?;
        let now = world.now();
        let ids: Vec<ID> = input
            .into_iter()
            .flatten()
            .flatten()
            .map(|alert| alert.id)
            .collect();
        let done: std::result::Result<(), Error> = world.change(|inner| {
            let alerts = &mut inner.state.alerts;
            if !ids
                .iter()
                .all(|id| alerts.iter().any(|a| a.id == id.as_str()))
            {
                return Err(client_error("entity_does_not_exist", "id"));
            }
            let named = alerts
                .iter_mut()
                .filter(|a| ids.iter().any(|id| id.as_str() == a.id));
            named.for_each(|a| a.resolved = a.resolved.or(Some(now)));
            Ok(())
        });
        done.map(|()| Some(true))
    }

    async fn run_script_on_asset(
        &self,
        ctx: &Context<'_>,
        input: RunScriptInput,
    ) -> Result<Option<RunScriptData>> {
        let world = world(ctx)?;
        known(world, &input.asset_id)?;
        let script = input.script_id.as_str();
        if ![SCRIPT_ID, OTHER_SCRIPT_ID].contains(&script) {
            return Err(client_error("referred_value_does_not_exist", "scriptId"));
        }
        let arguments = input
            .script_arguments
            .map(|Json(value)| value)
            .unwrap_or_default();
        let run = runner::accept(world, &input.asset_id, script, arguments.clone());
        Ok(Some(RunScriptData {
            action_config_id: Some(ID::from(run)),
            script: Some(Json(
                json!({ "scriptId": number(script), "name": World::script_name(script), "language": "PowerShell", "custom": true }),
            )),
            script_arguments: Some(Json(arguments)),
            added_by: Some(Json(json!({ "name": "API user" }))),
        }))
    }
}
