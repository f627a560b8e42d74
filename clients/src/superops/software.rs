//! Software lists of devices. Names and versions are the vendors' texts: untrusted, and kept as they are.

use domain::{ids::DeviceId, software::Program};

use super::{
    SuperOps, SuperOpsError,
    convert::{Page, short},
    operations::{
        DeviceSoftware,
        device_software::{self, DeviceSoftwareGetAssetSoftwareListAssetSoftwares as SoftwareData},
        list_info,
    },
    scalars::{json_scalar, text_of},
};

/// Longest name that is kept, in characters.
const LONGEST_NAME: usize = 200;
/// Longest version that is kept, in characters.
const LONGEST_VERSION: usize = 80;
/// Rows that are named when they cannot be read.
const NAMED: usize = 5;

/// A page of a software list, and what could not be read in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftwarePage {
    /// Its programs.
    pub page: Page<Program>,
    /// One line for each row that was left out, with the field.
    pub flaws: Vec<String>,
}

impl SuperOps {
    /// Lists the programs of a device; pages start at 1. A row that cannot be read is left out, named in
    /// the log and in the answer.
    ///
    /// # Errors
    /// As [`SuperOpsError`].
    pub async fn device_software(
        &self,
        device: &DeviceId,
        page: u32,
    ) -> Result<SoftwarePage, SuperOpsError> {
        let call = super::read("device", device.as_str());
        let input = device_software::AssetDetailsListInput {
            asset_id: device.to_string(),
            list_info: Some(list_info!(device_software, page: page)),
        };
        let data = self
            .post::<DeviceSoftware>(call, device_software::Variables { input })
            .await?;
        let list = data
            .get_asset_software_list
            .ok_or_else(|| call.not_found())?;
        let rows = list
            .asset_softwares
            .ok_or_else(|| call.malformed("getAssetSoftwareList.assetSoftwares is null"))?;
        let (mut items, mut flaws) = (Vec::new(), Vec::new());
        for (place, row) in rows.into_iter().enumerate() {
            match program(row) {
                Ok(program) => items.push(program),
                Err((id, why)) => flaws.push(format!("row {place}{id}, {why}")),
            }
        }
        if !flaws.is_empty() {
            let named = flaws.iter().take(NAMED).cloned().collect::<Vec<_>>();
            tracing::warn!(
                device.id = %device, rows = flaws.len(),
                "superops: {} rows of page {page} of the software list of device {device} cannot be read: {}",
                flaws.len(), named.join("; ")
            );
        }
        let has_more = super::more(list.list_info.and_then(|info| info.has_more));
        Ok(SoftwarePage {
            page: Page { items, has_more },
            flaws,
        })
    }
}

/// Reads a row, or says which it is and which field makes it useless.
fn program(row: Option<SoftwareData>) -> Result<Program, (String, &'static str)> {
    let row = row.ok_or((String::new(), "null"))?;
    let id = row
        .id
        .map_or(String::new(), |id| format!(" (id {})", short(&id, 40)));
    let software = row.software.map(json_scalar).unwrap_or_default();
    // An object with a name, or the name alone.
    let name = text_of(&software["name"]).or_else(|| software.as_str().map(str::to_owned));
    let name = name.map(|name| short(name.trim(), LONGEST_NAME));
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err((id, "software.name: missing or empty"));
    };
    let version = row.version.or_else(|| text_of(&software["version"]));
    let version = version.map(|version| short(version.trim(), LONGEST_VERSION));
    Ok(Program {
        name,
        version: version.filter(|version| !version.is_empty()),
    })
}

#[cfg(test)]
mod tests;
