//! Alerts: what raises them and what resolves them. Nothing is random.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use domain::input::{InvalidInput, Problem};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

use super::world::{Inner, World};

/// Alerts that are looked back at for one that says the same.
const LOOK_BACK: usize = 500;
/// Most alerts of one burst.
const MOST_BURST: u32 = 200_000;

/// What raised an alert.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertCause {
    /// Somebody, over the API.
    #[default]
    Somebody,
    /// An update that broke something.
    Update,
    /// The device is offline.
    Offline,
    /// The device restarts.
    Restart,
    /// Background noise.
    Noise,
    /// A burst; no file keeps it.
    Burst,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertState {
    /// Alert id.
    pub id: String,
    /// Device.
    pub device: String,
    /// Message.
    pub message: String,
    /// Description.
    pub description: Option<String>,
    /// Severity.
    pub severity: String,
    /// Raised.
    pub created: Timestamp,
    /// Resolved, if it is.
    pub resolved: Option<Timestamp>,
    /// The update behind it, so that its removal resolves it.
    pub kb: Option<String>,
    /// How often it was raised without being resolved in between.
    #[serde(default = "once")]
    pub occurrences: i32,
    /// What raised it.
    #[serde(default)]
    pub cause: AlertCause,
}

fn once() -> i32 {
    1
}

/// An alert to be raised.
pub(super) struct NewAlert<'a> {
    pub(super) device: &'a str,
    pub(super) message: String,
    pub(super) description: Option<String>,
    pub(super) severity: &'a str,
    pub(super) cause: AlertCause,
    pub(super) kb: Option<String>,
}

/// What `POST /alerts` raises at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// How many, 1 to 200 000.
    pub count: u32,
    /// Devices that raise them, one after the other; those of the whole fleet if empty.
    #[serde(default)]
    pub devices: BTreeSet<String>,
    /// Whether they are resolved at once.
    #[serde(default)]
    pub resolved: bool,
}

/// A burst may be larger than all else, and would be written anew with every change.
pub(super) fn without_bursts<S: Serializer>(
    alerts: &[AlertState],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let kept = alerts.iter().filter(|one| one.cause != AlertCause::Burst);
    serializer.collect_seq(kept)
}

impl Inner {
    /// Raises an alert; they are kept in the order they were created.
    pub(super) fn raise(&mut self, alert: NewAlert<'_>, now: Timestamp) -> AlertState {
        let id = self.new_id();
        let newest = self.state.alerts.last().map(|last| last.created);
        let raised = AlertState {
            id,
            device: alert.device.to_owned(),
            message: alert.message,
            description: alert.description,
            severity: alert.severity.to_owned(),
            created: newest.map_or(now, |newest| newest.max(now)),
            resolved: None,
            kb: alert.kb,
            occurrences: 1,
            cause: alert.cause,
        };
        self.state.alerts.push(raised.clone());
        raised
    }

    /// Raises an alert, or the one again that says the same and is open. Returns its id.
    fn raise_again(&mut self, alert: NewAlert<'_>, now: Timestamp) -> String {
        let recent = self.state.alerts.iter_mut().rev().take(LOOK_BACK);
        let mut open = recent.filter(|one| one.resolved.is_none());
        if let Some(known) =
            open.find(|one| one.device == alert.device && one.message == alert.message)
        {
            known.occurrences += 1;
            return known.id.clone();
        }
        self.raise(alert, now).id
    }

    /// Resolves what is open of a device by its cause, or of one update.
    pub(super) fn resolve(
        &mut self,
        device: &str,
        cause: AlertCause,
        kb: Option<&str>,
        now: Timestamp,
    ) {
        let open = self.state.alerts.iter_mut().filter(|one| {
            one.resolved.is_none()
                && one.device == device
                && one.cause == cause
                && kb.is_none_or(|kb| one.kb.as_deref() == Some(kb))
        });
        open.for_each(|one| one.resolved = Some(now.max(one.created)));
    }

    fn resolve_one(&mut self, id: &str, now: Timestamp) {
        let mut newest_first = self.state.alerts.iter_mut().rev();
        if let Some(alert) = newest_first.find(|one| one.id == id) {
            alert.resolved = alert.resolved.or(Some(now.max(alert.created)));
        }
    }
}

/// Raises an alert for each device that is offline for a while, and resolves it when the device is back.
pub(super) async fn watch_offline(world: Arc<World>) {
    let after = world.fleet.timing.offline_alert_secs;
    if after == 0 {
        return;
    }
    let simulated = Duration::from_secs(after).div_f64(world.speed);
    let real = SignedDuration::try_from(simulated).unwrap_or(SignedDuration::MAX);
    let pause = (after / 10).max(1);
    let mut since: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut changes = world.changes();
    loop {
        changes.mark_unchanged();
        look_for_offline(&world, &mut since, real);
        // One that waits is looked at again without news.
        if since.is_empty() {
            tokio::select! {
                () = world.stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
        if !world.pass(pause as f64).await {
            return;
        }
    }
}

/// `since` holds devices that are offline and have no alert yet.
fn look_for_offline(world: &World, since: &mut BTreeMap<String, Timestamp>, after: SignedDuration) {
    let now = world.now();
    let (mut late, mut back) = (Vec::new(), Vec::new());
    {
        let inner = world.lock();
        let alerts = inner.state.alerts.iter();
        let told = alerts.filter(|one| one.cause == AlertCause::Offline && one.resolved.is_none());
        let told: BTreeSet<&str> = told.map(|one| one.device.as_str()).collect();
        for id in inner.state.devices.keys() {
            match (inner.is_online(id), told.contains(id.as_str())) {
                (true, true) => back.push(id.clone()),
                (true, false) => {
                    since.remove(id);
                }
                (false, true) => {}
                (false, false) => {
                    let began = *since.entry(id.clone()).or_insert(now);
                    if now.duration_since(began) >= after {
                        late.push(id.clone());
                    }
                }
            }
        }
    }
    if late.is_empty() && back.is_empty() {
        return;
    }
    world.change(|inner| {
        for id in &back {
            inner.resolve(id, AlertCause::Offline, None, now);
        }
        for id in late {
            since.remove(&id);
            let alert = NewAlert {
                device: &id,
                message: "Asset is offline".to_owned(),
                description: Some("The agent does not answer".to_owned()),
                severity: "High",
                cause: AlertCause::Offline,
                kb: None,
            };
            inner.raise(alert, now);
        }
    });
}

/// A kind of noise: what it says, how bad, simulated seconds until it clears, and how often it comes back.
struct Noise(&'static str, &'static str, u64, u32);

const NOISE: [Noise; 5] = [
    Noise("Disk C: is 91% full", "Medium", 1800, 1),
    Noise("CPU usage is above 90% for 5 minutes", "Medium", 420, 1),
    Noise("Backup job Nightly failed", "High", 4 * 3600, 1),
    Noise("Link on interface eth0 flaps", "Low", 60, 6),
    Noise("Memory usage is above 95%", "Low", 240, 1),
];
/// Devices take turns in steps of this prime.
const STRIDE: usize = 7919;

/// Raises what is always there, as often as is asked for; it clears by itself.
pub(super) async fn make_noise(world: Arc<World>) {
    // What the simulator forgot to clear when it was stopped.
    let now = world.now();
    let ids: Vec<String> = world.running.keys().cloned().collect();
    world.change(|inner| {
        let alerts = inner.state.alerts.iter_mut();
        let open = alerts.filter(|one| one.cause == AlertCause::Noise && one.resolved.is_none());
        open.for_each(|one| one.resolved = Some(now.max(one.created)));
    });
    for turn in 0.. {
        let asked = |inner: &Inner| inner.faults.noise_per_hour > 0 && !ids.is_empty();
        if !world.wait_until(asked).await {
            return;
        }
        let rate = world.lock().faults.noise_per_hour.max(1);
        if !world.pass(3600.0 / f64::from(rate)).await {
            return;
        }
        let device = &ids[turn * STRIDE % ids.len()];
        if world.lock().is_online(device) {
            let kind = &NOISE[turn % NOISE.len()];
            world
                .tasks
                .spawn(come_and_go(Arc::clone(&world), device.clone(), kind));
        }
    }
}

async fn come_and_go(world: Arc<World>, device: String, noise: &'static Noise) {
    let Noise(message, severity, secs, times) = noise;
    for _ in 0..*times {
        let alert = NewAlert {
            device: &device,
            message: (*message).to_owned(),
            description: None,
            severity,
            cause: AlertCause::Noise,
            kb: None,
        };
        let now = world.now();
        let id = world.change(|inner| inner.raise_again(alert, now));
        if !world.pass(*secs as f64).await {
            return;
        }
        let now = world.now();
        world.change(|inner| inner.resolve_one(&id, now));
        if !world.pass(*secs as f64).await {
            return;
        }
    }
}

impl World {
    /// Raises many alerts at once; returns how many.
    ///
    /// # Errors
    /// Names what is not allowed.
    pub(super) fn burst(&self, burst: &Burst) -> Result<u32, InvalidInput> {
        if !(1..=MOST_BURST).contains(&burst.count) {
            let allowed = format!("1 to {MOST_BURST}");
            return Err(InvalidInput::one(Problem::new(
                "count",
                burst.count,
                allowed,
            )));
        }
        if let Some(stranger) = burst.devices.iter().find(|id| self.spec(id).is_none()) {
            let allowed = "a device of the fleet";
            return Err(InvalidInput::one(Problem::new(
                "devices", stranger, allowed,
            )));
        }
        let devices: Vec<&String> = if burst.devices.is_empty() {
            self.running.keys().collect()
        } else {
            burst.devices.iter().collect()
        };
        if devices.is_empty() {
            return Ok(0);
        }
        let now = self.now();
        self.change(|inner| {
            for (n, device) in (0..burst.count).zip(devices.iter().cycle()) {
                let raised = NewAlert {
                    device,
                    message: format!("Probe {} of service group {} failed", n % 50, n % 7),
                    description: None,
                    severity: "Medium",
                    cause: AlertCause::Burst,
                    kb: None,
                };
                inner.raise(raised, now);
                if burst.resolved
                    && let Some(last) = inner.state.alerts.last_mut()
                {
                    last.resolved = Some(last.created);
                }
            }
        });
        Ok(burst.count)
    }
}
