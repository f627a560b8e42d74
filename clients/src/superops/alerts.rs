//! Alerts of the whole tenant, as sightings.

use domain::alert::{
    AlertId, AlertSeverity, AlertSource, DESCRIPTION_BYTES, NAME_BYTES, Sighting, TITLE_BYTES,
    clean,
};
use domain::ids::ClientId;
use jiff::Timestamp;
use serde_json::json;

use super::{
    Page, SuperOps, SuperOpsError, more,
    operations::{ListAlerts, list_alerts, list_info},
    read,
    scalars::{json_scalar, text_of, timestamp, warn_once},
};

/// The status of an alert that is over.
const RESOLVED: &str = "Resolved";

impl SuperOps {
    /// Lists alerts of all clients, newest first, or those that are not resolved only; pages start at 1.
    /// One that has no id is left out; what names no client that can be read is of the unknown client.
    ///
    /// # Errors
    /// As [`SuperOpsError`].
    pub async fn list_alerts(
        &self,
        page: u32,
        open_only: bool,
        now: Timestamp,
    ) -> Result<Page<Sighting>, SuperOpsError> {
        let call = read("alerts", "all");
        let sort = ("createdTime", list_alerts::SortOrder::DESC);
        let input = if open_only {
            list_info!(list_alerts, page: page, filter: ("status", "isNot", json!(RESOLVED)), sort: sort)
        } else {
            list_info!(list_alerts, page: page, sort: sort)
        };
        let data = self
            .post::<ListAlerts>(call, list_alerts::Variables { input })
            .await?;
        let list = data
            .get_alert_list
            .ok_or_else(|| call.malformed("getAlertList is null"))?;
        let rows = list.alerts.unwrap_or_default().into_iter().flatten();
        Ok(Page {
            items: rows.filter_map(|row| sighting(row, now)).collect(),
            has_more: more(list.list_info.and_then(|info| info.has_more)),
        })
    }
}

fn sighting(row: list_alerts::ListAlertsGetAlertListAlerts, now: Timestamp) -> Option<Sighting> {
    let id = row
        .id
        .and_then(|id| AlertId::new(AlertSource::Superops, &id).ok());
    let Some(id) = id else {
        warn_once("alert without", "id");
        return None;
    };
    let asset = json_scalar(row.asset.unwrap_or_default());
    let client = text_of(&asset["client"]["accountId"]).and_then(|id| id.parse().ok());
    if client.is_none() {
        warn_once("alert without", "asset.client.accountId");
    }
    let device = text_of(&asset["assetId"]).and_then(|id| id.parse().ok());
    let named = |text: Option<String>| {
        let text = text.map(|text| clean(&text, NAME_BYTES).0);
        text.filter(|text| !text.is_empty())
    };
    let raised_at = row.created_time.as_deref().and_then(timestamp);
    if raised_at.is_none() {
        warn_once("alert without", "createdTime");
    }
    let status = row.status.unwrap_or_default();
    let resolved_at = row.resolved_time.as_deref().and_then(timestamp);
    let is_over = status.eq_ignore_ascii_case(RESOLVED) || resolved_at.is_some();
    let (title, _) = clean(&row.message.unwrap_or_default(), TITLE_BYTES);
    Some(Sighting {
        client: client.unwrap_or_else(ClientId::unknown),
        device,
        host: named(text_of(&asset["name"])),
        address: None,
        site: named(text_of(&asset["site"]["id"])),
        title: if title.is_empty() {
            "alert without a message".to_owned()
        } else {
            title
        },
        description: clean(&row.description.unwrap_or_default(), DESCRIPTION_BYTES).0,
        severity: AlertSeverity::of(&row.severity.unwrap_or_default()),
        raised_at: raised_at.unwrap_or(now),
        cleared: is_over.then_some(resolved_at),
        lasting: true,
        occurrences: row
            .occurrence_count
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1),
        seen_at: now,
        id,
    })
}
