//! Reading alerts, triage, and delivery of incidents.

use std::convert::Infallible;

use domain::{
    ids::ClientId,
    triage::{Expectation, IncidentKey, IncidentRecord},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::alerts::ResponseWaits;

/// Asks how far to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginPollInput {
    /// How far before the newest known alert, in seconds.
    pub overlap_secs: u64,
    /// How often everything open is walked over, in seconds.
    pub walk_secs: u64,
}

/// How far to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginPollResult {
    /// Alerts raised before this are known; absent when nothing was read yet.
    pub until: Option<Timestamp>,
    /// When the walk over everything open begins, if it is time for one.
    pub walk: Option<Timestamp>,
    /// Where the reading before has stopped in the middle.
    #[serde(default)]
    pub backlog: Option<Backlog>,
    /// Where that walk has stopped in the middle, if it began earlier.
    #[serde(default)]
    pub walk_place: Option<WalkPlace>,
}

/// Where a reading has stopped because its pages were used up. What is newer moves rows to later pages: what is
/// left begins on that page or a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// The next page.
    pub page: u32,
    /// When the newest alert on the pages before it was raised.
    pub newest: Option<Timestamp>,
    /// When the oldest of them was raised.
    #[serde(default)]
    pub oldest: Option<Timestamp>,
}

/// Where a walk over everything open has stopped in the middle. Rows move to later pages when others are
/// raised, and to earlier ones when others end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkPlace {
    /// When the walk began.
    pub began: Timestamp,
    /// The last page that was read; 0 before the first.
    pub page: u32,
    /// When the oldest alert on the pages that were read was raised.
    pub oldest: Option<Timestamp>,
}

/// Names a page of alerts, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAlertsInput {
    /// From 1.
    pub page: u32,
    /// Whether only those that are open are asked for, to see which are there.
    pub walk: bool,
}

/// What a page of alerts had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAlertsResult {
    /// Alerts on it.
    pub alerts: u64,
    /// Alerts that were not known.
    pub new: u64,
    /// Alerts of which something changed.
    pub changed: u64,
    /// When the newest of it was raised.
    pub newest: Option<Timestamp>,
    /// When the oldest of it was raised.
    pub oldest: Option<Timestamp>,
    /// Go on with the next page.
    pub has_more: bool,
}

/// Asks for what a walk has not found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissAlertsInput {
    /// When the walk began.
    pub walk_began: Timestamp,
    /// Where the last page ended.
    #[serde(default)]
    pub after: Option<String>,
}

/// What a walk has not found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissAlertsResult {
    /// Alerts that are taken as over.
    pub cleared: u64,
    /// Where to go on; absent at the end.
    pub next: Option<String>,
}

/// Asks for what sources that are not asked have not spoken of, those of longest ago first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndUnheardInput {
    /// An alert that lasts is over when it was not heard of for so long, in seconds.
    pub unheard_secs: u64,
    /// An alert of the moment is over then, in seconds.
    pub moment_secs: u64,
}

/// What sources have not spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndUnheardResult {
    /// Alerts that are taken as over.
    pub ended: u64,
    /// Whether there are more of them.
    pub more: bool,
}

/// Says how far was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndPollInput {
    /// When the newest alert was raised; absent when none was read.
    pub newest: Option<Timestamp>,
    /// When the walk began that has come to its end.
    pub walked: Option<Timestamp>,
    /// Where it has stopped in the middle.
    #[serde(default)]
    pub backlog: Option<Backlog>,
    /// Where a walk has stopped that has not come to its end.
    #[serde(default)]
    pub walk_place: Option<WalkPlace>,
}

/// Asks for clients whose triage has something to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusyClientsInput {
    /// Where the last page ended.
    #[serde(default)]
    pub after: Option<String>,
}

/// Clients whose triage has something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusyClientsResult {
    /// Those with news that their triage has not looked at.
    pub clients: Vec<ClientId>,
    /// Those where something waits for a time: their triage has to run, and knows when to look.
    #[serde(default)]
    pub waiting: Vec<ClientId>,
    /// Where to go on; absent at the end.
    pub next: Option<String>,
}

/// Asks for a turn of triage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriageInput {
    /// Client.
    pub client: ClientId,
    /// News wait so long, in seconds.
    pub lag_secs: u64,
    /// News at most.
    pub news: u32,
}

/// An incident whose workflow has to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// The incident.
    pub incident: IncidentKey,
    /// Its version.
    pub version: u32,
}

/// What a turn of triage came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriageResult {
    /// News that were taken in.
    pub news: u64,
    /// Orders of people that were carried out.
    pub orders: u64,
    /// Some of the incidents whose workflows have to be told.
    pub undelivered: Vec<Undelivered>,
    /// Whether another turn has something to do at once.
    pub more: bool,
    /// When the next turn is due although nothing happens; absent when nothing waits.
    pub next_due: Option<Timestamp>,
    /// Alerts that are active.
    pub active: u64,
}

/// Asks to tell the workflow of an incident; starts it when it does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverInput {
    /// The incident.
    pub incident: IncidentKey,
    /// Its version.
    pub version: u32,
    /// Times of the workflow.
    pub waits: ResponseWaits,
}

/// Names an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadIncidentInput {
    /// The incident.
    pub incident: IncidentKey,
}

/// Asks to close an incident if nothing is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseIncidentInput {
    /// The incident.
    pub incident: IncidentKey,
    /// The version that the workflow knows.
    pub version: u32,
}

/// Announces what a device of a patch wave is going to show, or brings that to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectInput {
    /// What is announced; it replaces what was announced of this attempt before.
    pub expectation: Expectation,
}

/// Alerts and incidents.
#[derive(Debug)]
pub struct AlertActivities;

#[activity_definitions]
impl AlertActivities {
    /// Says how far to read.
    #[activity(name = "alerts.begin_poll")]
    pub fn begin_poll(_: BeginPollInput) -> Result<BeginPollResult, Infallible> {
        unimplemented!()
    }

    /// Reads a page of alerts into the store; one request.
    #[activity(name = "superops.read_alerts")]
    pub fn read_alerts(_: ReadAlertsInput) -> Result<ReadAlertsResult, Infallible> {
        unimplemented!()
    }

    /// Notes what a walk has not found.
    #[activity(name = "alerts.miss")]
    pub fn miss_alerts(_: MissAlertsInput) -> Result<MissAlertsResult, Infallible> {
        unimplemented!()
    }

    /// Ends what sources that are not asked have not spoken of.
    #[activity(name = "alerts.end_unheard")]
    pub fn end_unheard(_: EndUnheardInput) -> Result<EndUnheardResult, Infallible> {
        unimplemented!()
    }

    /// Notes how far was read.
    #[activity(name = "alerts.end_poll")]
    pub fn end_poll(_: EndPollInput) -> Result<(), Infallible> {
        unimplemented!()
    }

    /// Lists clients whose triage has something to do.
    #[activity(name = "alerts.busy_clients")]
    pub fn busy_clients(_: BusyClientsInput) -> Result<BusyClientsResult, Infallible> {
        unimplemented!()
    }

    /// Does a turn of triage.
    #[activity(name = "alerts.triage")]
    pub fn triage(_: TriageInput) -> Result<TriageResult, Infallible> {
        unimplemented!()
    }

    /// Tells the workflow of an incident, which starts when it does not run.
    #[activity(name = "incidents.deliver")]
    pub fn deliver(_: DeliverInput) -> Result<(), Infallible> {
        unimplemented!()
    }

    /// Announces what a device of a patch wave is going to show.
    #[activity(name = "alerts.expect")]
    pub fn expect(_: ExpectInput) -> Result<(), Infallible> {
        unimplemented!()
    }

    /// Reads an incident.
    #[activity(name = "incidents.load")]
    pub fn load_incident(_: LoadIncidentInput) -> Result<IncidentRecord, Infallible> {
        unimplemented!()
    }

    /// Closes an incident if nothing is new, and returns it as it is then.
    #[activity(name = "incidents.close")]
    pub fn close_incident(_: CloseIncidentInput) -> Result<IncidentRecord, Infallible> {
        unimplemented!()
    }
}

pub use alert_activities::{
    BeginPoll, BusyClients, CloseIncident, Deliver, EndPoll, EndUnheard, Expect, LoadIncident,
    MissAlerts, ReadAlerts, Triage,
};
