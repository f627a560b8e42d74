//! A device, and what we know of it: stated by a person or inferred by a rule, and marked so.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, DeviceId};

/// A value with the way we came to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known<T> {
    /// The value.
    pub value: T,
    /// Who says so.
    pub basis: Basis,
}

/// How a value came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// A person said so, by a tag or a setting.
    Stated,
    /// A rule derived it.
    Inferred,
}

/// How much the business suffers when the device is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// A spare or test device.
    Low,
    /// An ordinary workplace.
    Normal,
    /// A server, or a device many people depend on.
    High,
    /// The business stops without it.
    Critical,
}

/// How far an attacker has to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// Reachable from inside the client's network only.
    Internal,
    /// Reachable from the internet.
    Exposed,
}

/// What kind of machine it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    /// Windows desktop or laptop.
    WindowsWorkstation,
    /// Windows server.
    WindowsServer,
    /// macOS.
    Mac,
    /// Anything else.
    Other,
}

impl Platform {
    /// Returns true when our Windows device script runs on it.
    #[must_use]
    pub fn is_windows(self) -> bool {
        matches!(self, Self::WindowsWorkstation | Self::WindowsServer)
    }
}

/// A device as the inventory holds it. Times are UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// `SuperOps` `assetId`.
    pub id: DeviceId,
    /// Company it belongs to.
    pub client: ClientId,
    /// Site id in `SuperOps`, if it has one.
    #[serde(default)]
    pub site: Option<String>,
    /// Display name. Never part of a workflow id or a search attribute.
    pub name: String,
    /// Kind of machine.
    pub platform: Platform,
    /// Operating system build as reported, such as `10.0.19045`.
    #[serde(default)]
    pub os_version: String,
    /// Labels: stated by people in `SuperOps`, plus derived ones such as `server`.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// How much it matters.
    pub criticality: Known<Criticality>,
    /// How reachable it is.
    pub exposure: Known<Exposure>,
    /// IANA time zone of its site, if known.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Online when last asked.
    pub online: bool,
    /// When the agent last talked to `SuperOps`.
    #[serde(default)]
    pub last_communicated_at: Option<Timestamp>,
    /// When the agent last sent its patch scan.
    #[serde(default)]
    pub last_reported_at: Option<Timestamp>,
    /// When this record was read from `SuperOps`.
    pub seen_at: Timestamp,
}

impl Device {
    /// Makes a device of which nothing more is known; what it is not said to be, it is not: online, for
    /// example. How much it matters and how reachable it is follow from tags and platform.
    #[must_use]
    pub fn new(
        id: DeviceId,
        client: ClientId,
        platform: Platform,
        tags: BTreeSet<String>,
        seen_at: Timestamp,
    ) -> Self {
        let (criticality, exposure) = standing(&tags, platform);
        Self {
            id,
            client,
            site: None,
            name: String::new(),
            platform,
            os_version: String::new(),
            tags,
            criticality,
            exposure,
            time_zone: None,
            online: false,
            last_communicated_at: None,
            last_reported_at: None,
            seen_at,
        }
    }
}

/// Derives criticality and exposure from tags, or infers them from the platform.
///
/// Stated: a tag `criticality:low|normal|high|critical`, `exposure:internal|exposed`.
/// Inferred: a server is `High`, anything else `Normal`; exposure is `Internal`.
#[must_use]
pub fn standing(
    tags: &BTreeSet<String>,
    platform: Platform,
) -> (Known<Criticality>, Known<Exposure>) {
    let stated = |prefix: &str| tags.iter().find_map(|t| t.strip_prefix(prefix));
    let criticality = match stated("criticality:") {
        Some("low") => Some(Criticality::Low),
        Some("normal") => Some(Criticality::Normal),
        Some("high") => Some(Criticality::High),
        Some("critical") => Some(Criticality::Critical),
        _ => None,
    };
    let exposure = match stated("exposure:") {
        Some("internal") => Some(Exposure::Internal),
        Some("exposed") => Some(Exposure::Exposed),
        _ => None,
    };
    let inferred = if platform == Platform::WindowsServer {
        Criticality::High
    } else {
        Criticality::Normal
    };
    (
        known(criticality, inferred),
        known(exposure, Exposure::Internal),
    )
}

fn known<T>(stated: Option<T>, inferred: T) -> Known<T> {
    match stated {
        Some(value) => Known {
            value,
            basis: Basis::Stated,
        },
        None => Known {
            value: inferred,
            basis: Basis::Inferred,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_beats_what_the_platform_suggests() {
        let tags = BTreeSet::from([
            "criticality:critical".to_owned(),
            "exposure:exposed".to_owned(),
        ]);
        let (criticality, exposure) = standing(&tags, Platform::WindowsWorkstation);
        assert_eq!(
            criticality,
            Known {
                value: Criticality::Critical,
                basis: Basis::Stated
            }
        );
        assert_eq!(
            exposure,
            Known {
                value: Exposure::Exposed,
                basis: Basis::Stated
            }
        );
    }

    #[test]
    fn without_tags_a_server_is_high_and_marked_inferred() {
        let (criticality, exposure) = standing(&BTreeSet::new(), Platform::WindowsServer);
        assert_eq!(
            criticality,
            Known {
                value: Criticality::High,
                basis: Basis::Inferred
            }
        );
        assert_eq!(exposure.basis, Basis::Inferred);
    }
}
