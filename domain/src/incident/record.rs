//! One incident.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Millis, input::Stakes, link::Link, live::Live, ranking::Priority};

/// Numbers the incidents of a client from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub u64);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Alerts come, or have not cleared.
    Open,
    /// All its alerts cleared; it opens again when one returns soon.
    Cleared,
    /// Nothing came for a while.
    Quiet,
}

/// An incident as others see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// Where it stands.
    pub state: State,
    /// Time of its first alert, Unix milliseconds.
    pub opened_ms: i64,
    /// Time of its last alert, Unix milliseconds.
    pub last_ms: i64,
    /// Alerts in it.
    pub alerts: u64,
    /// Alerts that a source with clears has raised and not cleared.
    pub live: u32,
    /// How often it opened again.
    pub reopened: u32,
    /// Whether it only gathers what is usual.
    pub routine: bool,
    /// The incident that it goes on from.
    pub goes_on_from: Option<IncidentId>,
    /// The incident that people took it out of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parted_from: Option<IncidentId>,
    /// Titles of its alerts, the most surprising first.
    pub titles: Vec<String>,
    /// Its devices, in order of appearance, the first of them.
    pub devices: Vec<String>,
    /// Why its first alerts were put together.
    pub links: Vec<Link>,
    /// Its rank; none before it is ranked.
    pub priority: Option<Priority>,
}

/// Kinds, devices and links that are kept of one incident.
pub(super) const KEPT: usize = 64;

/// One kind of alert in an incident.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct KindIn {
    pub(super) kind: u32,
    pub(super) device: u32,
    pub(super) surprise: f64,
    pub(super) before_here: u32,
    pub(super) before: u32,
}

/// An incident as the correlator keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: IncidentId,
    pub(super) state: State,
    /// Whether it is over and only waits for its rank.
    pub(super) ended: bool,
    /// Whether a person has ended it.
    #[serde(default)]
    pub(super) closed: bool,
    pub(super) opened: Millis,
    pub(super) last: Millis,
    pub(super) window: Millis,
    pub(super) alerts: u64,
    pub(super) live: Live,
    pub(super) lasting: bool,
    pub(super) reopened: u32,
    pub(super) routine: bool,
    pub(super) generation: u32,
    pub(super) goes_on_from: Option<IncidentId>,
    pub(super) goes_on_in: Option<IncidentId>,
    #[serde(default)]
    pub(super) parted_from: Option<IncidentId>,
    pub(super) kinds: Vec<KindIn>,
    pub(super) devices: Vec<u32>,
    pub(super) addresses: Vec<u32>,
    pub(super) change: Option<u32>,
    pub(super) links: Vec<Link>,
    /// How surprising its alerts are.
    pub(super) surprise: f64,
    pub(super) stakes: Stakes,
    pub(super) priority: Option<Priority>,
}

impl Record {
    pub(super) fn new(id: IncidentId, opened: Millis, window: Millis) -> Self {
        Self {
            id,
            state: State::Open,
            ended: false,
            closed: false,
            opened,
            last: opened,
            window,
            alerts: 0,
            live: Live::default(),
            lasting: false,
            reopened: 0,
            routine: false,
            generation: 0,
            goes_on_from: None,
            goes_on_in: None,
            parted_from: None,
            kinds: Vec::new(),
            devices: Vec::new(),
            addresses: Vec::new(),
            change: None,
            links: Vec::new(),
            surprise: 0.0,
            stakes: Stakes::default(),
            priority: None,
        }
    }

    /// Tells whether alerts of its first moments may still join.
    pub(super) fn takes(&self, now: Millis) -> bool {
        now - self.opened < self.window
    }

    /// An alert of it is there again, or another one.
    pub(super) fn open_again(&mut self) {
        if self.state == State::Cleared {
            self.state = State::Open;
            self.reopened += 1;
        }
    }

    pub(super) fn has_device(&self, device: u32) -> bool {
        self.devices.contains(&device)
    }

    /// Adds a kind of alert, or raises how surprising it is.
    pub(super) fn add_kind(&mut self, seen: KindIn) {
        if !self.devices.contains(&seen.device) && self.devices.len() < KEPT {
            self.devices.push(seen.device);
        }
        let room = self.kinds.len() < KEPT;
        match self.kinds.iter_mut().find(|known| known.kind == seen.kind) {
            Some(known) if known.surprise >= seen.surprise => return,
            Some(known) => *known = seen,
            None if room => self.kinds.push(seen),
            None => return,
        }
        self.kinds.sort_by(|a, b| b.surprise.total_cmp(&a.surprise));
    }
}
