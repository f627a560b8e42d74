//! What a correlator is told, and what it counts.

use serde::{Deserialize, Serialize};

/// An alert of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert<'a> {
    /// When it was raised, Unix milliseconds, not later than now. Alerts should come in order of time;
    /// a late one counts as raised at the time of the latest.
    pub at_ms: i64,
    /// Its title.
    pub title: &'a str,
    /// The device; empty when it has none.
    pub device: &'a str,
    /// The network address; empty when unknown.
    pub address: &'a str,
    /// Whether its source will tell when it clears.
    pub lasting: bool,
}

/// What is known of the network of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// Device and the site it is at.
    pub sites: Vec<(String, String)>,
    /// Device and what it depends on, such as its switch.
    pub depends_on: Vec<(String, String)>,
}

/// A change that may cause alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When it was made, Unix milliseconds.
    pub at_ms: i64,
    /// The devices it was made on.
    pub devices: Vec<String>,
}

/// What a correlator has seen, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Alerts in all.
    pub alerts: u64,
    /// Alerts that came after later ones.
    pub late: u64,
    /// Alerts without a device.
    pub without_device: u64,
    /// Alerts whose kind or device had no room to be told apart.
    pub crowded: u64,
    /// Habits that were forgotten to make room.
    pub forgotten: u64,
    /// Incidents opened.
    pub incidents: u64,
}
