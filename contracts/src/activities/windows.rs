//! Maintenance windows. Computed by an activity, so that history holds the answer and a newer time
//! zone database changes nothing in the past.

use std::convert::Infallible;

use domain::{
    ids::{ClientId, DeviceId},
    plan::{BlackoutSpec, WindowSpec},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// Asks for the next opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextOpeningInput {
    /// Client.
    pub client: ClientId,
    /// Device whose site decides the zone; the client's zone when absent.
    #[serde(default)]
    pub device: Option<DeviceId>,
    /// Zone the plan names; it wins.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Windows.
    pub windows: Vec<WindowSpec>,
    /// Blackouts.
    pub blackouts: Vec<BlackoutSpec>,
    /// From when on, by the workflow's clock.
    pub from: Timestamp,
}

/// The next opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextOpeningResult {
    /// The opening that contains `from`, or the next one; absent when it never opens.
    pub opening: Option<OpeningTimes>,
}

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningTimes {
    /// Opens; not later than `from` when it is open already.
    pub opens_at: Timestamp,
    /// Closes; absent when it never does.
    pub closes_at: Option<Timestamp>,
}

/// Windows.
#[derive(Debug)]
pub struct WindowActivities;

#[activity_definitions]
impl WindowActivities {
    /// Computes the next opening.
    #[activity(name = "windows.next_opening")]
    pub fn next_opening(_: NextOpeningInput) -> Result<NextOpeningResult, Infallible> {
        unimplemented!()
    }
}

pub use window_activities::NextOpening;
