//! From the service's rows to our words. Words we do not know are kept raw and warned of once.

use std::collections::BTreeSet;

use domain::{
    device::{Device, Platform},
    ids::{ClientId, DeviceId, KbId},
    input::{InvalidInput, Problem},
    patch::{PatchFacts, PatchState, Severity},
    script::{SCRIPT_NAME, SCRIPT_VARIABLES},
};
use jiff::{Timestamp, civil::Date};
use serde_json::Value;

use super::{
    operations::device_patches::DevicePatchesGetAssetPatchDetailsAssetPatches as PatchData,
    scalars::{date, json_scalar, text_of, timestamp, warn_once},
};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its rows.
    pub items: Vec<T>,
    /// Whether there is a next page.
    pub has_more: bool,
}

/// A company the MSP looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// `accountId`.
    pub id: ClientId,
    /// Name.
    pub name: String,
    /// Status, as the tenant names it.
    pub status: Option<String>,
}

/// A site of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Site id, as devices name it.
    pub id: String,
    /// Name.
    pub name: String,
    /// IANA time zone, as reported.
    pub time_zone: Option<String>,
    /// Whether it is the head office; a site that says nothing is not.
    pub hq: bool,
}

/// What a device's patch list says of one KB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchRow {
    /// What the list says of the KB; without vulnerabilities, which `SuperOps` does not know.
    pub facts: PatchFacts,
    /// Installation status, as far as we know the word.
    pub state: PatchState,
    /// Installation status as sent.
    pub raw_status: String,
    /// Approval status as sent; decided by policies inside `SuperOps`, never by us.
    pub approval_status: Option<String>,
    /// Day of installation.
    pub installed_on: Option<Date>,
    /// Why the agent's own installation failed; untrusted text.
    pub failed_message: Option<String>,
}

/// An alert of a device. Words are the tenant's; texts are untrusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// Alert id.
    pub id: String,
    /// Severity as sent, such as `Critical`.
    pub severity: String,
    /// Status as sent, such as `Resolved`.
    pub status: String,
    /// Message.
    pub message: String,
    /// When it was raised.
    pub created_at: Option<Timestamp>,
}

/// A script run in the activity list of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityRow {
    /// Activity id.
    pub id: String,
    /// When it was recorded.
    pub created_at: Option<Timestamp>,
    /// The script.
    pub script_id: Option<String>,
    /// Name of the script.
    pub name: Option<String>,
    /// State of the run as sent.
    pub status: Option<String>,
}

/// A script as `SuperOps` knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptInfo {
    /// Script id.
    pub id: String,
    /// Exact name.
    pub name: String,
    /// Runtime variables, in order.
    pub variables: Vec<String>,
    /// How long a run may take before `SuperOps` ends it.
    pub timeout_secs: Option<u64>,
}

impl ScriptInfo {
    /// Checks that the script takes exactly the arguments we send.
    ///
    /// # Errors
    /// When a variable is missing, unknown or out of order: then the script is not ours, or of
    /// another version, and must not run.
    pub fn check_variables(&self) -> Result<(), InvalidInput> {
        if self.variables == SCRIPT_VARIABLES {
            return Ok(());
        }
        Err(InvalidInput::one(Problem::new(
            format!("runtime variables of the SuperOps script {}", self.name),
            self.variables.join(", "),
            format!(
                "exactly {} (see deploy/scripts for {SCRIPT_NAME})",
                SCRIPT_VARIABLES.join(", ")
            ),
        )))
    }
}

/// A script run that `SuperOps` accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptRun {
    /// Id of the run. No query accepts it; it is kept as evidence.
    pub action_config_id: String,
}

/// The fields of an asset that we read; the generated types differ per operation.
#[derive(Debug)]
pub(super) struct RawAsset {
    pub(super) asset_id: Option<String>,
    pub(super) name: String,
    pub(super) client: Value,
    pub(super) site: Value,
    pub(super) platform: Option<String>,
    pub(super) platform_family: Option<String>,
    pub(super) platform_category: Option<String>,
    pub(super) platform_version: Option<String>,
    pub(super) status: Option<String>,
    pub(super) last_communicated_time: Option<String>,
    pub(super) last_reported_time: Option<String>,
    pub(super) custom_fields: Option<Value>,
}

/// Copies a generated asset.
macro_rules! raw_asset {
    ($asset:expr) => {{
        let asset = $asset;
        crate::superops::convert::RawAsset {
            asset_id: asset.asset_id,
            name: asset.name,
            client: asset.client,
            site: asset.site,
            platform: asset.platform,
            platform_family: asset.platform_family,
            platform_category: asset.platform_category,
            platform_version: asset.platform_version,
            status: asset.status,
            last_communicated_time: asset.last_communicated_time,
            last_reported_time: asset.last_reported_time,
            custom_fields: asset.custom_fields,
        }
    }};
}
pub(super) use raw_asset;

/// Reads an asset, or says which field makes it useless.
pub(super) fn device(
    raw: RawAsset,
    tags_field: &str,
    now: Timestamp,
) -> Result<Device, &'static str> {
    let id: DeviceId = raw
        .asset_id
        .and_then(|id| id.parse().ok())
        .ok_or("assetId")?;
    let client = json_scalar(raw.client);
    let client: ClientId = text_of(&client["accountId"])
        .and_then(|id| id.parse().ok())
        .ok_or("client.accountId")?;
    let site = text_of(&json_scalar(raw.site)["id"]);
    let platform = platform(
        raw.platform.as_deref().unwrap_or_default(),
        raw.platform_family.as_deref().unwrap_or_default(),
        raw.platform_category.as_deref().unwrap_or_default(),
    );
    let fields = json_scalar(raw.custom_fields.unwrap_or_default());
    let mut tags = stated_tags(&fields[tags_field]);
    tags.extend(derived_tag(platform).map(str::to_owned));
    Ok(Device {
        site,
        name: raw.name,
        os_version: raw.platform_version.unwrap_or_default(),
        online: online(raw.status.as_deref().unwrap_or_default()),
        last_communicated_at: raw.last_communicated_time.as_deref().and_then(timestamp),
        last_reported_at: raw.last_reported_time.as_deref().and_then(timestamp),
        ..Device::new(id, client, platform, tags, now)
    })
}

/// Anything but ONLINE counts as offline: a run on an offline device may wait for days.
fn online(status: &str) -> bool {
    let online = status.eq_ignore_ascii_case("ONLINE");
    if !online && !status.eq_ignore_ascii_case("OFFLINE") {
        warn_once("device status", status);
    }
    online
}

fn platform(name: &str, family: &str, category: &str) -> Platform {
    let (name, family) = (name.to_ascii_lowercase(), family.to_ascii_lowercase());
    let category = category.to_ascii_uppercase();
    if name.contains("windows") || family.contains("windows") {
        let server = category == "SERVER"
            || name.contains("server")
            || family.contains("server")
            || family.contains("domain controller");
        return if server {
            Platform::WindowsServer
        } else {
            Platform::WindowsWorkstation
        };
    }
    if name.contains("mac")
        || family.contains("mac")
        || name.contains("darwin")
        || category == "MAC"
    {
        return Platform::Mac;
    }
    if !name.contains("linux") {
        warn_once("platform", &format!("{name} {category}"));
    }
    Platform::Other
}

fn derived_tag(platform: Platform) -> Option<&'static str> {
    match platform {
        Platform::WindowsServer => Some("server"),
        Platform::WindowsWorkstation => Some("workstation"),
        Platform::Mac => Some("mac"),
        Platform::Other => None,
    }
}

/// Tags of the custom field: text with commas, or a list. Case and blanks do not matter.
fn stated_tags(field: &Value) -> BTreeSet<String> {
    let texts: Vec<&str> = match field {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    texts
        .into_iter()
        .flat_map(|text| text.split(','))
        .map(|tag| tag.trim().to_ascii_lowercase())
        .filter(|tag| !tag.is_empty() && tag.len() <= 80)
        .take(100)
        .collect()
}

/// Reads one row of a patch list: one of ours per KB, none for an update without a KB (a driver).
pub(super) fn patch_rows(data: PatchData) -> Vec<PatchRow> {
    let Some(detail) = data.patch_detail else {
        return Vec::new();
    };
    let raw_status = data.installation_status.unwrap_or_default();
    let state = PatchState::from_status(&raw_status);
    if state == PatchState::Unknown {
        warn_once("installation status", &raw_status);
    }
    let severity = detail.severity.unwrap_or_default();
    if Severity::from_vendor(&severity) == Severity::Unknown
        && !["", "others", "recommended", "unspecified"]
            .contains(&severity.to_ascii_lowercase().as_str())
    {
        warn_once("patch severity", &severity);
    }
    let published = detail.published_date.as_deref().and_then(date);
    let installed_on = data.installation_time.as_deref().and_then(date);
    let numbers = detail
        .kb_numbers
        .unwrap_or_default()
        .into_iter()
        .flatten()
        .filter_map(|kb| kb.kb_number);
    let kbs: BTreeSet<KbId> = numbers
        .filter_map(|number| {
            let kb = number.trim().parse().ok();
            if kb.is_none() && !number.trim().is_empty() {
                warn_once("KB number", &number);
            }
            kb
        })
        .collect();
    kbs.into_iter()
        .map(|kb| PatchRow {
            facts: PatchFacts {
                kb,
                title: short(detail.title.as_deref().unwrap_or_default(), 200),
                severity: Severity::from_vendor(&severity),
                category: short(detail.category.as_deref().unwrap_or_default(), 80),
                published,
                restart_required: detail.restart_required,
                cves: Vec::new(),
            },
            state,
            raw_status: raw_status.clone(),
            approval_status: data.approval_status.clone(),
            installed_on,
            failed_message: data
                .failed_message
                .as_deref()
                .filter(|m| !m.is_empty())
                .map(|m| short(m, 500)),
        })
        .collect()
}

/// Reads the activity of a script run.
pub(super) fn activity(id: String, created: Option<&str>, data: Value) -> ActivityRow {
    let data = json_scalar(data);
    let script = &data["script"];
    let status = text_of(&data["status"]);
    if let Some(word) = status.as_deref().filter(|word| !is_run_status(word)) {
        warn_once("script run status", word);
    }
    ActivityRow {
        id,
        created_at: created.and_then(timestamp),
        script_id: text_of(&data["scriptId"]).or_else(|| text_of(&script["scriptId"])),
        name: text_of(&data["name"]).or_else(|| text_of(&script["name"])),
        status,
    }
}

/// The words for the state of a run that we have seen or read of.
fn is_run_status(word: &str) -> bool {
    ["running", "completed", "failed"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

pub(super) fn short(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_told_apart_by_name_family_and_category() {
        let cases = [
            (
                "Microsoft Windows 10 Home",
                "Standalone Workstation",
                "WORKSTATION",
                Platform::WindowsWorkstation,
            ),
            (
                "Microsoft Windows Server 2022 Standard",
                "",
                "",
                Platform::WindowsServer,
            ),
            ("Microsoft Windows", "", "SERVER", Platform::WindowsServer),
            ("macOS 14.5", "", "WORKSTATION", Platform::Mac),
            ("Ubuntu Linux 24.04", "", "SERVER", Platform::Other),
        ];
        for (name, family, category, expected) in cases {
            assert_eq!(platform(name, family, category), expected, "{name}");
        }
    }

    #[test]
    fn tags_are_trimmed_and_lower_case() {
        let tags = stated_tags(&Value::String(" Pilot, criticality:High,,".to_owned()));
        assert_eq!(
            tags,
            BTreeSet::from(["pilot".to_owned(), "criticality:high".to_owned()])
        );
    }

    #[test]
    fn another_set_of_variables_is_refused() {
        let mut script = ScriptInfo {
            id: "1".to_owned(),
            name: SCRIPT_NAME.to_owned(),
            variables: SCRIPT_VARIABLES.iter().map(|v| (*v).to_owned()).collect(),
            timeout_secs: Some(3600),
        };
        assert!(script.check_variables().is_ok());
        script.variables.swap(0, 1);
        assert!(
            script
                .check_variables()
                .unwrap_err()
                .to_string()
                .contains("AutoOps-Device")
        );
    }
}
