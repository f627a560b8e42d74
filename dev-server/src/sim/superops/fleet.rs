//! What the simulator simulates: clients, sites, devices and their patches. Nothing is random: the
//! same numbers give the same fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::catalog;

/// A whole fleet, also readable from YAML or JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetSpec {
    /// How long things take.
    #[serde(default)]
    pub timing: Timing,
    /// The clients.
    pub clients: Vec<ClientSpec>,
    /// The updates devices may name; the real ones of 2024 if left out.
    #[serde(default = "catalog::patches")]
    pub patches: Vec<PatchSpec>,
}

/// How long things take, in simulated seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// Modes that only look.
    pub check_secs: u64,
    /// One installation.
    pub install_secs: u64,
    /// One removal.
    pub uninstall_secs: u64,
    /// How long a device is away for a restart.
    pub reboot_secs: u64,
    /// From the end of a restart to the patch scan that follows it.
    pub scan_after_reboot_secs: u64,
    /// Between two patch scans.
    pub scan_interval_secs: u64,
    /// How long a device is offline before an alert says so; 0: never.
    pub offline_alert_secs: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            check_secs: 15,
            install_secs: 240,
            uninstall_secs: 180,
            reboot_secs: 120,
            scan_after_reboot_secs: 180,
            scan_interval_secs: 4 * 3600,
            offline_alert_secs: 300,
        }
    }
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSpec {
    /// `accountId`: digits.
    pub id: String,
    /// Name.
    pub name: String,
    /// Sites.
    pub sites: Vec<SiteSpec>,
    /// Devices.
    pub devices: Vec<DeviceSpec>,
}

/// A site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSpec {
    /// Site id: digits.
    pub id: String,
    /// Name.
    pub name: String,
    /// IANA time zone.
    pub timezone_code: String,
}

/// Kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DeviceKind {
    /// Windows workstation.
    Workstation,
    /// Windows server.
    Server,
    /// Mac: our script does not apply to it.
    Mac,
    /// Something of the network that is monitored, such as a switch.
    Network,
}

/// A device as it is at the first start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSpec {
    /// `assetId`: digits.
    pub id: String,
    /// Host name.
    pub name: String,
    /// Site id.
    pub site: String,
    /// Kind.
    pub platform: DeviceKind,
    /// Operating system as reported; a usual one if left out.
    #[serde(default)]
    pub os: Option<String>,
    /// Tags of the custom field.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Online at first.
    #[serde(default = "yes")]
    pub online: bool,
    /// KB numbers (digits) listed as missing.
    #[serde(default)]
    pub missing: Vec<String>,
    /// KB numbers (digits) listed as installed.
    #[serde(default)]
    pub installed: Vec<String>,
    /// Programs; usual ones if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<Vec<ProgramSpec>>,
}

/// An installed program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramSpec {
    /// Name as the system shows it; the list has no name of it when it is empty.
    pub name: String,
    /// Version as the system shows it.
    #[serde(default)]
    pub version: Option<String>,
}

/// An update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchSpec {
    /// Digits, without `KB`.
    pub kb: String,
    /// Title.
    pub title: String,
    /// Category.
    pub category: String,
    /// Rating.
    pub severity: String,
    /// Day of publication, as `2024-01-09`.
    pub published: String,
    /// Needs a restart to finish.
    #[serde(default)]
    pub restart_required: bool,
    /// A newer update that contains it.
    #[serde(default)]
    pub superseded_by: Option<String>,
}

fn yes() -> bool {
    true
}

const DEVICE_BASE: u64 = 4_100_000_000_000_000_001;
const CLIENT_BASE: u64 = 7_000_000_000_000_000_001;
const SITE_BASE: u64 = 7_100_000_000_000_000_001;
/// Place of the switch in the demo fleet: at the second site of the second client.
const SWITCH: u64 = 132;

impl FleetSpec {
    /// The demo: 3 clients, 300 devices, one of them the switch of a site. The first 12 devices of the first client are tagged
    /// `pilot`, online, and miss KB5034441 (CVE-2024-20666) and KB5034122; two of them are servers.
    #[must_use]
    pub fn demo() -> Self {
        let plan = [
            (
                "Larkfield Dental Group",
                100,
                [("Berlin", "Europe/Berlin"), ("Hamburg", "Europe/Berlin")],
            ),
            (
                "Brightwater Logistics",
                120,
                [
                    ("Newark", "America/New_York"),
                    ("Reno", "America/Los_Angeles"),
                ],
            ),
            (
                "Hollis and Crane Accounting",
                80,
                [("Pune", "Asia/Kolkata"), ("London", "Europe/London")],
            ),
        ];
        let mut index = 0;
        let mut clients = Vec::new();
        for (c, (name, count, places)) in (0..).zip(plan) {
            let sites: Vec<SiteSpec> = (0..)
                .zip(places)
                .map(|(s, place)| site(c * 2 + s, place))
                .collect();
            let devices = (0..count)
                .map(|n| {
                    let id = DEVICE_BASE + index;
                    index += 1;
                    let site = &sites[usize::from(n % 3 == 2)].id;
                    if c == 0 && n < 12 {
                        pilot(id, n, site)
                    } else {
                        ordinary(id, index - 1, c, site)
                    }
                })
                .collect();
            clients.push(ClientSpec {
                id: (CLIENT_BASE + c).to_string(),
                name: name.to_owned(),
                sites,
                devices,
            });
        }
        Self {
            timing: Timing::default(),
            clients,
            patches: catalog::patches(),
        }
    }

    /// One client with `n` online pilots that miss KB5034441 and KB5034122, for tests.
    #[must_use]
    pub fn small(n: u64) -> Self {
        let site = site(0, ("HQ", "Etc/UTC"));
        let devices = (0..n)
            .map(|i| pilot(DEVICE_BASE + i, i, &site.id))
            .collect();
        let client = ClientSpec {
            id: CLIENT_BASE.to_string(),
            name: "Test client".to_owned(),
            sites: vec![site],
            devices,
        };
        Self {
            timing: Timing::default(),
            clients: vec![client],
            patches: catalog::patches(),
        }
    }

    /// Reads a fleet from a YAML or JSON file and checks it.
    ///
    /// # Errors
    /// When the file cannot be read or describes something impossible.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let fleet: Self = serde_saphyr::from_str(&text)
            .map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
        fleet.check().with_context(|| path.display().to_string())?;
        Ok(fleet)
    }

    /// Checks that ids are unique digits and that sites and updates exist.
    ///
    /// # Errors
    /// With the first finding.
    pub fn check(&self) -> anyhow::Result<()> {
        let kbs: BTreeMap<&str, &PatchSpec> =
            self.patches.iter().map(|p| (p.kb.as_str(), p)).collect();
        let mut ids = BTreeSet::new();
        let mut id = |id: &str| -> anyhow::Result<()> {
            ensure!(
                id.parse::<u64>().is_ok(),
                "`{id}` is not an id: digits only, as SuperOps makes them"
            );
            ensure!(ids.insert(id.to_owned()), "id {id} is used twice");
            Ok(())
        };
        for client in &self.clients {
            id(&client.id)?;
            client.sites.iter().try_for_each(|site| id(&site.id))?;
            for device in &client.devices {
                id(&device.id)?;
                let known = client.sites.iter().any(|site| site.id == device.site);
                ensure!(
                    known,
                    "device {}: the client has no site {}",
                    device.id,
                    device.site
                );
                for kb in device.missing.iter().chain(&device.installed) {
                    ensure!(
                        kbs.contains_key(kb.as_str()),
                        "device {}: no patch {kb} (digits, without KB)",
                        device.id
                    );
                }
            }
        }
        Ok(())
    }
}

fn site(n: u64, (name, zone): (&str, &str)) -> SiteSpec {
    SiteSpec {
        id: (SITE_BASE + n).to_string(),
        name: name.to_owned(),
        timezone_code: zone.to_owned(),
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| (*t).to_owned()).collect()
}

fn pilot(id: u64, n: u64, site: &str) -> DeviceSpec {
    let server = n % 6 == 5;
    let (platform, prefix) = if server {
        (DeviceKind::Server, "PILOT-SRV")
    } else {
        (DeviceKind::Workstation, "PILOT-PC")
    };
    DeviceSpec {
        id: id.to_string(),
        name: format!("{prefix}-{:02}", n + 1),
        site: site.to_owned(),
        platform,
        os: None,
        tags: owned(&["pilot"]),
        online: true,
        missing: owned(&[catalog::RECOVERY, catalog::WINDOWS_10[1]]),
        installed: owned(&[
            catalog::WINDOWS_10[0],
            catalog::REMOVAL_TOOL,
            catalog::DEFENDER,
        ]),
        software: None,
    }
}

fn ordinary(id: u64, index: u64, client: u64, site: &str) -> DeviceSpec {
    let platform = match index {
        SWITCH => DeviceKind::Network,
        i if i % 25 == 7 => DeviceKind::Mac,
        i if i.is_multiple_of(8) => DeviceKind::Server,
        _ => DeviceKind::Workstation,
    };
    let windows_11 = index % 3 == 1;
    let (prefix, os, updates, recovery) = match platform {
        DeviceKind::Mac => ("MAC", "macOS Sonoma 14.5", None, None),
        DeviceKind::Network => ("SW", "EdgeSwitch 1.10", None, None),
        DeviceKind::Server => (
            "SRV",
            "Microsoft Windows Server 2022 Standard",
            Some(catalog::SERVER_2022),
            Some(catalog::RECOVERY_SERVER),
        ),
        DeviceKind::Workstation if windows_11 => (
            "PC",
            "Microsoft Windows 11 Pro",
            Some(catalog::WINDOWS_11),
            None,
        ),
        DeviceKind::Workstation => (
            "PC",
            "Microsoft Windows 10 Pro",
            Some(catalog::WINDOWS_10),
            Some(catalog::RECOVERY),
        ),
    };
    let mut tags = vec![format!("ring-{}", index % 3 + 1)];
    let mut tag = |when: bool, text: &str| {
        if when {
            tags.push(text.to_owned())
        }
    };
    tag(platform == DeviceKind::Network, "switch");
    tag(index.is_multiple_of(16), "exposure:exposed");
    tag(index.is_multiple_of(40), "criticality:critical");
    tag(index.is_multiple_of(13), "criticality:low");
    let (mut missing, mut installed) = (Vec::new(), Vec::new());
    if let Some(updates) = updates {
        let month = usize::try_from((index * 7) % 12).unwrap_or_default();
        installed.extend([updates[month], catalog::REMOVAL_TOOL, catalog::DEFENDER]);
        missing.extend(updates.get(month + 1));
        if let Some(recovery) = recovery {
            if index.is_multiple_of(2) {
                missing.push(recovery)
            } else {
                installed.push(recovery)
            }
        }
    }
    DeviceSpec {
        id: id.to_string(),
        name: format!(
            "{prefix}-{}{:03}",
            ["LD", "BL", "HC"][usize::try_from(client % 3).unwrap_or_default()],
            index
        ),
        site: site.to_owned(),
        platform,
        os: Some(os.to_owned()),
        tags,
        online: index % 17 != 5,
        missing: owned(&missing),
        installed: owned(&installed),
        software: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_the_same_every_time_and_possible() {
        let demo = FleetSpec::demo();
        assert_eq!(demo, FleetSpec::demo());
        demo.check().unwrap();
        assert_eq!(
            demo.clients
                .iter()
                .map(|c| c.devices.len())
                .collect::<Vec<_>>(),
            [100, 120, 80]
        );
        assert_eq!(demo.clients[2].id, "7000000000000000003");
    }

    #[test]
    fn the_first_client_has_exactly_twelve_pilots_that_miss_both_updates() {
        let demo = FleetSpec::demo();
        let pilots = |c: &ClientSpec| {
            c.devices
                .iter()
                .filter(|d| d.tags.iter().any(|t| t == "pilot"))
                .cloned()
                .collect::<Vec<_>>()
        };
        let first = pilots(&demo.clients[0]);
        assert_eq!(first.len(), 12);
        assert_eq!(first[0].id, "4100000000000000001");
        assert!(
            first
                .iter()
                .all(|d| d.online && d.missing == ["5034441", "5034122"])
        );
        assert_eq!(
            first
                .iter()
                .filter(|d| d.platform == DeviceKind::Server)
                .count(),
            2
        );
        assert!(pilots(&demo.clients[1]).is_empty() && pilots(&demo.clients[2]).is_empty());
    }

    #[test]
    fn a_fleet_file_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.yaml");
        std::fs::write(&path, "clients:\n- id: '71'\n  name: A\n  sites: [{id: '72', name: HQ, timezone_code: Europe/Berlin}]\n  devices:\n  - {id: '41', name: PC-1, site: '72', platform: WORKSTATION, missing: ['5034441']}\n").unwrap();
        let fleet = FleetSpec::read(&path).unwrap();
        assert!(fleet.clients[0].devices[0].online);
        let mut wrong = fleet;
        wrong.clients[0].devices[0].missing = vec!["1".to_owned()];
        assert!(
            wrong
                .check()
                .unwrap_err()
                .to_string()
                .contains("no patch 1")
        );
    }
}
