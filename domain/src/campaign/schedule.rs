//! When a plan should go, by rule: from its deadline and due day, the windows, restarts, exposure and the
//! ledger of bad patches. Advice for people: deployments keep to windows and guardrails whatever it says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{BusinessImpact, Draft, Facts, PlanTemplate, RankedPlan};
use crate::{
    device::Device,
    ids::{DeviceId, KbId},
    ledger::Verdict,
    windows::{self, Opening},
};

#[cfg(test)]
mod tests;

/// A due day that is so many days ahead presses. Ours: the table's own step below 60 days.
const PRESSING_DAYS: i64 = 14;
/// What is overdue waits so many hours for a window at most. Ours.
const OVERDUE_WAITS_HOURS: i64 = 24;

/// When a plan should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Not before a person has looked: an update of it was stopped over all clients.
    Stopped,
    /// Now, outside of the windows: only a person can decide that.
    OutsideWindows,
    /// Now: it may.
    Now,
    /// In the next window.
    NextWindow,
    /// With the next regular cycle: no day presses.
    RegularCycle,
}

impl When {
    /// Returns the words for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped: needs a person",
            Self::OutsideWindows => "now, outside of windows: needs a person",
            Self::Now => "now",
            Self::NextWindow => "in the next window",
            Self::RegularCycle => "with the next regular cycle",
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When a plan should go, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleAdvice {
    /// When.
    pub when: When,
    /// When the windows of all its devices have opened; absent without windows, or when none opens.
    #[serde(default)]
    pub opens_at: Option<Timestamp>,
    /// Evidence has to be taken before anything is changed.
    #[serde(default)]
    pub evidence_first: bool,
    /// An update of it has failed elsewhere, too rarely to tell; or was stopped.
    #[serde(default)]
    pub doubted: bool,
    /// Why.
    pub reasons: Vec<String>,
}

/// What a recommendation is made of besides the plan.
#[derive(Debug, Clone, Copy)]
pub struct Timing<'a> {
    /// The time.
    pub now: Timestamp,
    /// There are windows or blackouts.
    pub has_windows: bool,
    /// The next opening for all devices; `None` when there is none within a year.
    pub opening: Option<Opening>,
    /// What the ledger says of updates.
    pub ledger: &'a BTreeMap<KbId, Verdict>,
}

/// Says when a plan should go. The first of these that fits decides (a house rule):
///
/// 1. The ledger has stopped one of its updates: stopped.
/// 2. Something presses: a deadline of 14 days or less, a due day within 14 days, or one that is over.
///    - It may go now: now.
///    - No window opens before the end of the due day, or, when that is over, within 24 hours: now,
///      outside of the windows. That needs a person.
///    - Else: in the next window.
/// 3. Else: with the next regular cycle.
#[must_use]
pub fn recommend(
    plan: &RankedPlan,
    impact: &BusinessImpact,
    timing: &Timing<'_>,
) -> ScheduleAdvice {
    let mut reasons = Vec::new();
    let (stopped, held) = doubts(plan, timing.ledger, &mut reasons);
    let presses = presses(plan, timing.now, &mut reasons);
    let is_open = timing.opening.is_some_and(|o| o.contains(timing.now));
    let when = if stopped {
        When::Stopped
    } else if !presses {
        When::RegularCycle
    } else if is_open {
        When::Now
    } else if opens_too_late(plan, timing) {
        When::OutsideWindows
    } else {
        When::NextWindow
    };
    reasons.push(of_windows(timing, is_open));
    if plan.band.needs_evidence() {
        reasons.push("take evidence first".to_owned());
    }
    if impact.devices.exposed > 0 && presses {
        let exposed = impact.devices.exposed;
        reasons.push(format!("{exposed} can be reached from the internet"));
    }
    match &impact.restart {
        Some(restart) if when == When::OutsideWindows || (is_open && !timing.has_windows) => {
            let devices = restart.devices;
            reasons.push(format!("{devices} are restarted while people may work"));
        }
        Some(_) => {}
        None => reasons.push("nothing is restarted".to_owned()),
    }
    ScheduleAdvice {
        when,
        opens_at: timing
            .opening
            .filter(|_| timing.has_windows)
            .map(|o| o.opens_at),
        evidence_first: plan.band.needs_evidence(),
        doubted: stopped || held,
        reasons,
    }
}

/// What the ledger has against updates: stopped, held.
fn doubts(
    plan: &RankedPlan,
    ledger: &BTreeMap<KbId, Verdict>,
    reasons: &mut Vec<String>,
) -> (bool, bool) {
    let (mut stopped, mut held) = (false, false);
    for patch in &plan.patches {
        match ledger.get(&patch.kb) {
            Some(Verdict::Stop { .. }) => {
                stopped = true;
                reasons.push(format!("{} was stopped over all clients", patch.kb));
            }
            Some(Verdict::Hold { .. }) => {
                held = true;
                reasons.push(format!(
                    "{} has failed elsewhere, too rarely to tell: begin with the smallest ring",
                    patch.kb
                ));
            }
            Some(Verdict::Go { .. }) | None => {}
        }
    }
    (stopped, held)
}

fn presses(plan: &RankedPlan, now: Timestamp, reasons: &mut Vec<String>) -> bool {
    let left = plan.due.and_then(|due| days_left(due, now));
    let (presses, why) = match (plan.band.days(), left) {
        (_, Some(left)) if left < 0 => (true, format!("due {} days ago", -left)),
        (Some(days), Some(left)) => (
            i64::from(days) <= PRESSING_DAYS || left <= PRESSING_DAYS,
            format!("due in {left} days"),
        ),
        (Some(days), None) => (
            i64::from(days) <= PRESSING_DAYS,
            format!("{days} days, from a day that is not known"),
        ),
        (None, _) => (false, "no due day".to_owned()),
    };
    reasons.push(why);
    presses
}

/// Days until the due day, by UTC as campaigns count; negative when it is over.
#[must_use]
pub fn days_left(due: Date, now: Timestamp) -> Option<i64> {
    let today = TimeZone::UTC.to_datetime(now).date();
    Some(i64::from(today.until(due).ok()?.get_days()))
}

fn opens_too_late(plan: &RankedPlan, timing: &Timing<'_>) -> bool {
    let Some(opening) = timing.opening else {
        return true;
    };
    let latest = if plan.overdue {
        let wait = SignedDuration::from_hours(OVERDUE_WAITS_HOURS);
        timing.now.checked_add(wait).ok()
    } else {
        let end = plan.due.and_then(|due| due.checked_add(1.day()).ok());
        end.and_then(|end| TimeZone::UTC.to_timestamp(end.into()).ok())
    };
    latest.is_some_and(|latest| opening.opens_at >= latest)
}

fn of_windows(timing: &Timing<'_>, is_open: bool) -> String {
    match timing.opening {
        _ if !timing.has_windows => "no windows are set".to_owned(),
        Some(_) if is_open => "a window is open".to_owned(),
        Some(opening) => {
            let hours = timing.now.duration_until(opening.opens_at).as_hours();
            format!("the next window opens in {hours} hours")
        }
        None => "no window opens within a year".to_owned(),
    }
}

impl Draft {
    /// Adds to each plan what it does to the business and when it should go.
    pub fn recommend(&mut self, facts: &Facts, template: &PlanTemplate, now: Timestamp) {
        let devices = facts.devices.iter().map(|device| (&device.id, device));
        let devices: BTreeMap<&DeviceId, &Device> = devices.collect();
        let total = u32::try_from(facts.devices.len()).unwrap_or(u32::MAX);
        let has_windows = !template.windows.is_empty() || !template.blackouts.is_empty();
        let mut openings = BTreeMap::new();
        for plan in &mut self.plans {
            let of_plan = plan
                .devices
                .iter()
                .filter_map(|id| devices.get(id).copied());
            let of_plan: Vec<&Device> = of_plan.collect();
            let needs = plan.ranked.restart;
            let impact = BusinessImpact::of(&of_plan, total, needs, template.reboot);
            let timing = Timing {
                now,
                has_windows,
                opening: opening_of_all(&of_plan, facts, template, now, &mut openings),
                ledger: &facts.ledger,
            };
            plan.ranked.schedule = Some(recommend(&plan.ranked, &impact, &timing));
            plan.ranked.impact = Some(impact);
        }
    }
}

/// The opening that comes last among the first ones of all zones: by then each device has had its turn.
/// A zone that cannot be read counts as UTC.
fn opening_of_all(
    devices: &[&Device],
    facts: &Facts,
    template: &PlanTemplate,
    now: Timestamp,
    known: &mut BTreeMap<String, Option<Opening>>,
) -> Option<Opening> {
    let zone = |device: Option<&&Device>| {
        let site = device.and_then(|device| device.time_zone.as_deref());
        windows::zone_for(
            template.time_zone.as_deref(),
            site,
            facts.time_zone.as_deref(),
        )
        .to_owned()
    };
    let mut zones: BTreeSet<String> = devices.iter().map(|device| zone(Some(device))).collect();
    if zones.is_empty() {
        zones.insert(zone(None));
    }
    let of_zone = |zone: String| {
        *known.entry(zone).or_insert_with_key(|zone| {
            let next =
                |zone| windows::next_opening(&template.windows, &template.blackouts, zone, now);
            next(zone).or_else(|_| next("UTC")).ok().flatten()
        })
    };
    let openings: Option<Vec<Opening>> = zones.into_iter().map(of_zone).collect();
    openings?.into_iter().max_by_key(|opening| opening.opens_at)
}
