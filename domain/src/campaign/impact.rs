//! What a plan does to the people whose devices it touches, by rule: counts, and the time that restarts
//! are thought to take.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    device::{Device, Platform},
    plan::RebootPolicy,
    risk::DeviceSummary,
};

/// Minutes for which a restart is thought to take a workplace away. Ours, not measured.
pub const WORKPLACE_MINUTES: u32 = 10;
/// Minutes for which a restart is thought to take a server away. Ours, not measured.
pub const SERVER_MINUTES: u32 = 20;
/// Restarts from which on many people are interrupted at once. Ours.
const MANY_RESTARTS: u32 = 10;
/// Sites and groups that are named.
const NAMED: usize = 5;
/// Tags that say what a device is worth or where it stands, and no group.
const NO_GROUPS: [&str; 2] = ["criticality:", "exposure:"];

/// How much people notice when a plan is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImpactLevel {
    /// A few workplaces, or nobody.
    Low,
    /// Servers are changed, or many workplaces are restarted.
    Moderate,
    /// Servers are restarted, or something is changed without which the business stops.
    High,
    /// Something is restarted without which the business stops.
    Severe,
}

impl ImpactLevel {
    /// Returns the word used on the wire and in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
            Self::Severe => "severe",
        }
    }
}

impl fmt::Display for ImpactLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What restarts cost, estimated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartEstimate {
    /// Devices that are restarted.
    pub devices: u32,
    /// Minutes without a device, over all devices.
    pub device_minutes: u64,
    /// What the estimate rests on.
    pub basis: String,
}

/// A site or group, and how many devices of the plan are in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Id of the site, or tag. Never enters a prompt.
    pub name: String,
    /// Devices.
    pub devices: u32,
}

/// What a plan does to the business, by rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusinessImpact {
    /// How much people notice.
    pub level: ImpactLevel,
    /// Devices, counted.
    pub devices: DeviceSummary,
    /// What restarts cost; absent when nothing is restarted.
    #[serde(default)]
    pub restart: Option<RestartEstimate>,
    /// Sites that have devices of the plan.
    pub sites: u32,
    /// The sites with most of its devices, at most five.
    pub largest_sites: Vec<Share>,
    /// The tags that most of its devices have, at most five.
    pub groups: Vec<Share>,
    /// Why it is at this level.
    pub reasons: Vec<String>,
}

impl BusinessImpact {
    /// Counts and judges. `needs_restart` says that an update asks for one, `policy` whether it gets one.
    ///
    /// The level, by the first of these that fits (a house rule): a device of critical importance is
    /// restarted: severe; one is changed, or a server or device of high importance is restarted: high;
    /// one of these is changed, or ten devices are restarted: moderate; else low. An estimate of
    /// restarts is 10 minutes for a workplace and 20 for a server.
    #[must_use]
    pub fn of(
        devices: &[&Device],
        client_total: u32,
        needs_restart: bool,
        policy: RebootPolicy,
    ) -> Self {
        let counts = DeviceSummary::of(devices.iter().copied(), client_total);
        let restarts = match policy {
            RebootPolicy::Never => false,
            RebootPolicy::IfNeeded => needs_restart,
            RebootPolicy::Always => true,
        };
        let important = counts.servers.max(counts.high);
        let (level, why) = match (counts.critical, important, restarts) {
            (1.., _, true) => (
                ImpactLevel::Severe,
                format!(
                    "{} devices are restarted without which the business stops",
                    counts.critical
                ),
            ),
            (1.., _, false) => (
                ImpactLevel::High,
                format!(
                    "{} devices are changed without which the business stops",
                    counts.critical
                ),
            ),
            (0, 1.., true) => (
                ImpactLevel::High,
                format!("{important} servers or devices of high importance are restarted"),
            ),
            (0, 1.., false) => (
                ImpactLevel::Moderate,
                format!("{important} servers or devices of high importance are changed"),
            ),
            (0, 0, true) if counts.total >= MANY_RESTARTS => (
                ImpactLevel::Moderate,
                format!("{} workplaces are restarted", counts.total),
            ),
            (0, 0, _) => (
                ImpactLevel::Low,
                "no server, and no device of high importance".to_owned(),
            ),
        };
        let mut reasons = vec![why];
        if needs_restart && !restarts {
            reasons.push("a restart is needed and left to the user".to_owned());
        }
        if counts.exposed > 0 {
            let exposed = counts.exposed;
            reasons.push(format!("{exposed} can be reached from the internet"));
        }
        let (sites, largest_sites) = shares(devices.iter().filter_map(|d| d.site.as_deref()));
        let tags = devices.iter().flat_map(|d| &d.tags).map(String::as_str);
        let tags = tags.filter(|tag| !NO_GROUPS.iter().any(|prefix| tag.starts_with(prefix)));
        let (_, groups) = shares(tags);
        Self {
            level,
            devices: counts,
            restart: restarts.then(|| estimate(devices)),
            sites,
            largest_sites,
            groups,
            reasons,
        }
    }
}

fn estimate(devices: &[&Device]) -> RestartEstimate {
    let minutes = |device: &&Device| match device.platform {
        Platform::WindowsServer => u64::from(SERVER_MINUTES),
        _ => u64::from(WORKPLACE_MINUTES),
    };
    RestartEstimate {
        devices: u32::try_from(devices.len()).unwrap_or(u32::MAX),
        device_minutes: devices.iter().map(minutes).sum(),
        basis: format!(
            "assumed, not measured: {WORKPLACE_MINUTES} minutes for a workplace, {SERVER_MINUTES} for a server"
        ),
    }
}

/// Counts names; returns how many there are, and the most frequent ones.
fn shares<'a>(names: impl Iterator<Item = &'a str>) -> (u32, Vec<Share>) {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let all = u32::try_from(counts.len()).unwrap_or(u32::MAX);
    let mut counts: Vec<(&str, u32)> = counts.into_iter().collect();
    counts.sort_by_key(|(name, devices)| (Reverse(*devices), *name));
    let most = counts.into_iter().take(NAMED).map(|(name, devices)| Share {
        name: name.to_owned(),
        devices,
    });
    (all, most.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u32, platform: Platform, tags: &[&str], site: &str) -> Device {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let (id, client) = (number.to_string().parse().unwrap(), "7".parse().unwrap());
        let seen = "2026-11-28T10:00:00Z".parse().unwrap();
        Device {
            site: Some(site.to_owned()),
            ..Device::new(id, client, platform, tags, seen)
        }
    }

    fn workplaces(count: u32) -> Vec<Device> {
        let one = |n| device(n, Platform::WindowsWorkstation, &[], "1");
        (1..=count).map(one).collect()
    }

    fn judged(devices: &[Device], restart: bool, policy: RebootPolicy) -> BusinessImpact {
        let all: Vec<&Device> = devices.iter().collect();
        BusinessImpact::of(&all, 40, restart, policy)
    }

    #[test]
    fn the_level_follows_importance_and_restarts() {
        let policy = RebootPolicy::IfNeeded;
        let server = [device(1, Platform::WindowsServer, &[], "1")];
        let tags = ["criticality:critical"];
        let vital = [device(1, Platform::WindowsServer, &tags, "1")];
        for (devices, restart, level) in [
            (&vital[..], true, ImpactLevel::Severe),
            (&vital, false, ImpactLevel::High),
            (&server, true, ImpactLevel::High),
            (&server, false, ImpactLevel::Moderate),
            (&workplaces(10), true, ImpactLevel::Moderate),
            (&workplaces(9), true, ImpactLevel::Low),
            (&workplaces(10), false, ImpactLevel::Low),
        ] {
            let impact = judged(devices, restart, policy);
            assert_eq!(impact.level, level, "{impact:?}");
            assert_eq!(impact.restart.is_some(), restart);
        }
    }

    #[test]
    fn a_restart_that_policy_does_not_allow_costs_no_time_and_is_told() {
        let impact = judged(&workplaces(3), true, RebootPolicy::Never);
        assert_eq!(impact.restart, None);
        assert!(impact.reasons.join(";").contains("left to the user"));
        let always = judged(&workplaces(3), false, RebootPolicy::Always);
        assert_eq!(always.restart.unwrap().device_minutes, 30);
    }

    #[test]
    fn sites_and_groups_are_counted_the_largest_first() {
        let mut all = workplaces(2);
        let tags = ["exposure:exposed", "cash"];
        all.extend((3..9).map(|n| device(n, Platform::WindowsServer, &tags, &n.to_string())));
        let impact = judged(&all, true, RebootPolicy::IfNeeded);
        assert_eq!((impact.sites, impact.largest_sites.len()), (7, NAMED));
        assert_eq!(impact.largest_sites[0].devices, 2);
        assert_eq!(impact.groups.len(), 1, "{:?}", impact.groups);
        assert_eq!((impact.devices.exposed, impact.devices.servers), (6, 6));
        assert_eq!(impact.restart.unwrap().device_minutes, 140);
    }
}
