//! Structure of a plan request: everything that can be refused before anything is looked up.
//!
//! All findings come at once, each with the path of its field, so that a plan file is mended in one
//! round. What needs the inventory (rings without devices, unknown KBs) is found later.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::{
    input::{InvalidInput, Problem},
    plan::{
        ApprovalSpec, DeviceSelector, HealthSpec, Limits, MAX_INLINE_DEVICES, PlanRequest,
        RingSpec, Waits,
    },
    windows,
};

/// Longest name of a ring, and longest tag, in characters.
pub const MAX_NAME: usize = 64;
/// Longest reason, in characters.
pub const MAX_REASON: usize = 500;
/// Most devices worked on at once: the server buffers at most 100 events of a workflow.
const MAX_IN_FLIGHT: u32 = 50;
/// Most events of one run; the server ends a workflow at 51,200.
const MAX_EVENTS: u32 = 10_000;
/// Most patch lists that are read before a plan is sealed.
const MAX_PROBES: u32 = 100;
/// Most looks for the confirming scan, with renewals of the lease meanwhile.
const MAX_LOOKS: u64 = 400;
/// Most patches of one plan.
pub const MAX_PATCHES: usize = 20;
/// Most vulnerabilities named for one patch.
pub const MAX_CVES: usize = 100;
/// Most vulnerabilities named in one plan: their facts cross the Temporal boundary together.
pub const MAX_CVES_IN_ALL: usize = 200;
/// Most services that a device may be asked about.
pub const MAX_SERVICES: usize = 20;
/// Most windows, and most blackouts.
pub const MAX_WINDOWS: usize = 100;
/// Longest duration of any kind, in seconds: as far as windows are looked ahead.
pub const MAX_DURATION_SECS: u64 = windows::HORIZON_DAYS.unsigned_abs() * 24 * 3600;

/// Checks the structure of a request.
///
/// # Errors
/// With every finding.
pub fn check(request: &PlanRequest, now: Timestamp) -> Result<(), InvalidInput> {
    let mut found = Findings::default();
    check_patches(request, &mut found);
    check_cves_in_all(request, &mut found);
    check_devices(&request.devices, &mut found);
    check_rings(&request.rings, &request.devices, &mut found);
    check_times(request, now, &mut found);
    check_health(&request.health, &mut found);
    check_limits(&request.limits, &mut found);
    if let Some(waiver) = request.evidence.waiver() {
        let field = "evidence.waived.reason".to_owned();
        found.text(field, &waiver.reason, 1, MAX_REASON);
    }
    check_approval(&request.approval, &mut found);
    check_waits(&request.waits, &mut found);
    InvalidInput::when(found.0)
}

#[derive(Default)]
struct Findings(Vec<Problem>);

impl Findings {
    fn add(
        &mut self,
        field: impl Into<String>,
        value: impl std::fmt::Display,
        allowed: impl Into<String>,
    ) {
        self.0.push(Problem::new(field, value, allowed));
    }

    fn text(&mut self, field: String, value: &str, least: usize, most: usize) {
        let length = value.chars().count();
        if !(least..=most).contains(&length) || value.chars().any(char::is_control) {
            self.add(
                field,
                value,
                format!("{least} to {most} printable characters"),
            );
        }
    }

    fn duration(&mut self, field: impl Into<String>, secs: u64, least: u64) {
        if !(least..=MAX_DURATION_SECS).contains(&secs) {
            self.add(
                field,
                secs,
                format!("{least} to {MAX_DURATION_SECS} seconds"),
            );
        }
    }
}

fn check_patches(request: &PlanRequest, found: &mut Findings) {
    if request.patches.is_empty() {
        found.add("patches", "none", "at least one patch");
    }
    if request.patches.len() > MAX_PATCHES {
        let many = format!("{} patches", request.patches.len());
        found.add("patches", many, format!("at most {MAX_PATCHES} patches"));
    }
    let mut seen = BTreeSet::new();
    for (i, patch) in request.patches.iter().enumerate() {
        if !seen.insert(&patch.kb) {
            found.add(format!("patches[{i}].kb"), &patch.kb, "each KB once");
        }
        if patch.cves.len() > MAX_CVES {
            let many = format!("{} CVEs", patch.cves.len());
            found.add(
                format!("patches[{i}].cves"),
                many,
                format!("at most {MAX_CVES} CVEs"),
            );
        }
    }
}

fn check_cves_in_all(request: &PlanRequest, found: &mut Findings) {
    let all: usize = request.patches.iter().map(|patch| patch.cves.len()).sum();
    if all > MAX_CVES_IN_ALL {
        let allowed = format!("at most {MAX_CVES_IN_ALL} CVEs in all patches together");
        found.add("patches", format!("{all} CVEs"), allowed);
    }
}

fn check_devices(devices: &DeviceSelector, found: &mut Findings) {
    let named = !devices.ids.is_empty() || !devices.tags.is_empty();
    if !named && !devices.all {
        found.add("devices", "none", "`ids`, `tags` or `all: true`");
    }
    if named && devices.all {
        found.add("devices.all", true, "`all` alone, without `ids` and `tags`");
    }
    if devices.ids.len() > MAX_INLINE_DEVICES {
        found.add(
            "devices.ids",
            format!("{} devices", devices.ids.len()),
            format!("at most {MAX_INLINE_DEVICES} devices by id; select more by tag"),
        );
    }
    let mut seen = BTreeSet::new();
    for (i, id) in devices.ids.iter().enumerate() {
        if !seen.insert(id) {
            found.add(format!("devices.ids[{i}]"), id, "each device once");
        }
    }
    for tag in &devices.tags {
        found.text("devices.tags".into(), tag, 1, MAX_NAME);
    }
}

fn check_rings(rings: &[RingSpec], devices: &DeviceSelector, found: &mut Findings) {
    let mut names = BTreeSet::new();
    let mut percents = 0_u32;
    let mut has_rest = false;
    for (i, ring) in rings.iter().enumerate() {
        let at = format!("rings[{i}]");
        found.text(format!("{at}.name"), &ring.name, 1, MAX_NAME);
        if !ring.name.is_empty() && !names.insert(&ring.name) {
            found.add(format!("{at}.name"), &ring.name, "a name no other ring has");
        }
        check_claim(ring, &at, found);
        if let Some(percent) = ring.percent {
            percents += u32::from(percent);
            if !(1..=100).contains(&percent) {
                found.add(format!("{at}.percent"), percent, "1 to 100");
            } else if percents > 100 && percents - u32::from(percent) <= 100 {
                found.add(
                    format!("{at}.percent"),
                    percent,
                    format!(
                        "percents of all rings together at most 100; here they reach {percents}"
                    ),
                );
            }
        }
        if ring.count == Some(0) {
            found.add(format!("{at}.count"), 0, "at least 1");
        }
        if ring.rest && has_rest {
            found.add(format!("{at}.rest"), true, "one ring with `rest: true`");
        } else if ring.rest && i + 1 < rings.len() {
            found.add(format!("{at}.rest"), true, "`rest: true` on the last ring");
        }
        has_rest |= ring.rest;
        if devices.tags.is_empty() && !devices.all {
            for (j, id) in ring
                .devices
                .iter()
                .enumerate()
                .filter(|(_, id)| !devices.ids.contains(id))
            {
                found.add(
                    format!("{at}.devices[{j}]"),
                    id,
                    "a device of `devices.ids`",
                );
            }
        }
        if ring.gate.success_percent > 100 {
            found.add(
                format!("{at}.gate.success_percent"),
                ring.gate.success_percent,
                "0 to 100",
            );
        }
        found.duration(format!("{at}.gate.soak_secs"), ring.gate.soak_secs, 0);
    }
}

/// Exactly one rule says which devices belong to a ring.
fn check_claim(ring: &RingSpec, at: &str, found: &mut Findings) {
    let rules = [
        ("percent", ring.percent.is_some()),
        ("count", ring.count.is_some()),
        ("devices", !ring.devices.is_empty()),
        ("tags", !ring.tags.is_empty()),
        ("rest", ring.rest),
    ];
    let given: Vec<_> = rules
        .iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| *name)
        .collect();
    if given.len() != 1 {
        let value = if given.is_empty() {
            "none".to_owned()
        } else {
            given.join(" and ")
        };
        found.add(
            at,
            value,
            "exactly one of `percent`, `count`, `devices`, `tags` and `rest`",
        );
    }
}

fn check_times(request: &PlanRequest, now: Timestamp, found: &mut Findings) {
    for (field, length) in [
        ("windows", request.windows.len()),
        ("blackouts", request.blackouts.len()),
    ] {
        if length > MAX_WINDOWS {
            found.add(field, length, format!("at most {MAX_WINDOWS}"));
            return;
        }
    }
    for (i, window) in request.windows.iter().enumerate() {
        if window.from == window.to {
            found.add(
                format!("windows[{i}].to"),
                &window.to,
                "a time other than `from`; a whole day is 00:00 to 24:00",
            );
        }
    }
    for (i, blackout) in request.blackouts.iter().enumerate() {
        found.text(
            format!("blackouts[{i}].reason"),
            &blackout.reason,
            0,
            MAX_REASON,
        );
    }
    if let Some(deadline) = request.deadline.filter(|deadline| *deadline <= now) {
        found.add("deadline", deadline, format!("a time after now, {now}"));
    }
    // Without a zone of its own the plan opens at other hours on each site, but on the same days.
    let zone = windows::zone_for(request.time_zone.as_deref(), None, None);
    match windows::next_opening(&request.windows, &request.blackouts, zone, now) {
        Err(error) => found.0.extend(error.problems),
        Ok(None) => {
            let field = if request.windows.is_empty() {
                "blackouts"
            } else {
                "windows"
            };
            found.add(
                field,
                "never open",
                format!(
                    "a window that opens within {} days outside blackouts",
                    windows::HORIZON_DAYS
                ),
            );
        }
        Ok(Some(opening)) => {
            let missed = request
                .deadline
                .filter(|d| *d > now && *d <= opening.opens_at);
            if let (Some(deadline), Some(_)) = (missed, &request.time_zone) {
                let allowed = format!("a time after the next window opens, {}", opening.opens_at);
                found.add("deadline", deadline, allowed);
            }
        }
    }
}

/// Service names become arguments of the device script.
fn check_health(health: &HealthSpec, found: &mut Findings) {
    if health.services.len() > MAX_SERVICES {
        found.add(
            "health.services",
            format!("{} services", health.services.len()),
            format!("at most {MAX_SERVICES} services"),
        );
    }
    for (i, service) in health.services.iter().enumerate() {
        let known = |c: char| c.is_ascii_alphanumeric() || " ._:@$+#-".contains(c);
        let fits = (1..=MAX_NAME).contains(&service.len())
            && service.trim() == service
            && service.chars().all(known);
        if !fits {
            found.add(
                format!("health.services[{i}]"),
                service,
                "1 to 64 of A-Z, a-z, 0-9, blank and . _ : @ $ + # -",
            );
        }
    }
    found.duration("health.online_within_secs", health.online_within_secs, 1);
    found.duration("health.soak_secs", health.soak_secs, 0);
}

fn check_limits(limits: &Limits, found: &mut Findings) {
    let mut within = |field: &str, value: u32, from: u32, to: u32| {
        if !(from..=to).contains(&value) {
            found.add(format!("limits.{field}"), value, format!("{from} to {to}"));
        }
    };
    within("max_in_flight", limits.max_in_flight, 1, MAX_IN_FLIGHT);
    within(
        "continue_after_events",
        limits.continue_after_events,
        50,
        MAX_EVENTS,
    );
    within("detail_probes", limits.detail_probes, 1, MAX_PROBES);
}

fn check_approval(approval: &ApprovalSpec, found: &mut Findings) {
    if approval.quorum == Some(0) {
        found.add("approval.quorum", 0, "at least 1");
    }
    if let Some(timeout) = approval.timeout_secs {
        found.duration("approval.timeout_secs", timeout, 1);
    }
    if let Some(after) = approval.escalate_after_secs {
        let timeout = approval.timeout_secs.unwrap_or(MAX_DURATION_SECS);
        if after >= timeout {
            found.add(
                "approval.escalate_after_secs",
                after,
                format!("less than the time-out, {timeout} seconds"),
            );
        }
    }
}

/// A poll without a pause would spin; a lease or script without time could never succeed.
fn check_waits(waits: &Waits, found: &mut Findings) {
    let fields = [
        ("online_poll_secs", waits.online_poll_secs, 1),
        ("callback_secs", waits.callback_secs, 0),
        ("script_poll_secs", waits.script_poll_secs, 1),
        ("script_timeout_secs", waits.script_timeout_secs, 1),
        ("verify_poll_secs", waits.verify_poll_secs, 1),
        ("verify_secs", waits.verify_secs, 0),
        ("rescan_settle_secs", waits.rescan_settle_secs, 0),
        ("restart_grace_secs", waits.restart_grace_secs, 0),
        ("lease_poll_secs", waits.lease_poll_secs, 1),
        ("lease_secs", waits.lease_secs, 1),
        ("inventory_secs", waits.inventory_secs, 0),
        ("straggler_poll_secs", waits.straggler_poll_secs, 1),
        ("max_wait_secs", waits.max_wait_secs, 0),
        ("halt_secs", waits.halt_secs, 0),
        ("pause_poll_secs", waits.pause_poll_secs, 1),
        ("evidence_decision_secs", waits.evidence_decision_secs, 0),
        ("alerts_grace_secs", waits.alerts_grace_secs, 0),
        ("call_secs", waits.call_secs, 1),
    ];
    for (name, secs, least) in fields {
        found.duration(format!("waits.{name}"), secs, least);
    }
    if waits.verify_poll_secs == 0 || waits.lease_secs == 0 || waits.verify_secs > MAX_DURATION_SECS
    {
        return;
    }
    // Each look and each renewal of the lease leaves some fifteen events in the history of a device.
    let looks = waits.verify_secs / waits.verify_poll_secs;
    let renewals = waits.verify_secs / waits.lease_half_life_secs();
    if looks.saturating_add(renewals) > MAX_LOOKS {
        found.add(
            "waits.verify_secs",
            waits.verify_secs,
            format!(
                "less, or longer `verify_poll_secs` and `lease_secs`: at most {MAX_LOOKS} looks and renewals"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_wait_that_begins_before_a_lease_is_due_ends_while_it_lives() {
        let until: jiff::Timestamp = "2026-12-01T04:00:00Z".parse().unwrap();
        for lease_secs in [4, 10, 3600] {
            let waits = Waits {
                lease_secs,
                ..Waits::default()
            };
            let due = waits.lease_renewal_due(until);
            let end = due + std::time::Duration::from_secs(waits.lease_half_life_secs());
            assert!(due < until && end < until, "{lease_secs}: {due}, {end}");
        }
    }

    fn plan() -> Value {
        json!({
            "client": "7",
            "patches": [{ "kb": "KB5034441" }],
            "devices": { "ids": ["81", "82"] },
            "rings": [
                { "name": "canary", "percent": 10 },
                { "name": "most", "rest": true },
            ],
            "windows": [{ "days": ["sat"], "from": "22:00", "to": "04:00" }],
            "blackouts": [{ "from": "2026-12-24T00:00:00", "to": "2027-01-02T00:00:00", "reason": "holidays" }],
            "time_zone": "Europe/Berlin",
            "deadline": "2026-04-01T00:00:00Z",
            "health": { "services": ["Spooler", "MSSQL$SQLEXPRESS"] },
            "approval": { "quorum": 1, "timeout_secs": 3600, "escalate_after_secs": 600 },
        })
    }

    /// Changes one value of a good plan, by JSON pointer, and returns the fields that are refused.
    fn fields(pointer: &str, value: Value) -> Vec<String> {
        let mut plan = plan();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match plan.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            object => object[key] = value,
        }
        let request: PlanRequest = serde_json::from_value(plan).unwrap();
        let now = "2026-03-02T00:00:00Z".parse().unwrap();
        match check(&request, now) {
            Ok(()) => vec![],
            Err(error) => error.problems.into_iter().map(|p| p.field).collect(),
        }
    }

    macro_rules! refuses {
        ($($name:ident: $pointer:literal = $value:tt => $fields:tt;)*) => {
            $(#[test] fn $name() { assert_eq!(fields($pointer, json!($value)), $fields); })*
        };
    }

    #[test]
    fn a_good_plan_passes() {
        assert_eq!(fields("/deadline", json!(null)), [] as [&str; 0]);
        assert_eq!(fields("/rings", json!([])), [] as [&str; 0]);
        assert_eq!(fields("/devices", json!({ "all": true })), [] as [&str; 0]);
        assert_eq!(
            fields("/windows", json!([{ "from": "00:00", "to": "24:00" }])),
            [] as [&str; 0]
        );
    }

    refuses! {
        no_patch: "/patches" = [] => ["patches"];
        the_same_kb_twice: "/patches" = [{"kb": "KB5034441"}, {"kb": "5034441"}] => ["patches[1].kb"];
        no_device: "/devices" = {} => ["devices"];
        a_waiver_of_evidence_without_a_reason: "/evidence" = {"waived": {"by": "lee", "reason": ""}}
            => ["evidence.waived.reason"];
        a_wait_that_never_ends: "/waits" = {"evidence_decision_secs": 999_999_999_999_u64}
            => ["waits.evidence_decision_secs"];
        all_and_some: "/devices" = {"all": true, "tags": ["a"]} => ["devices.all"];
        the_same_device_twice: "/devices/ids" = ["81", "81"] => ["devices.ids[1]"];
        an_empty_tag: "/devices" = {"tags": [""]} => ["devices.tags"];
        a_ring_without_a_rule: "/rings/0" = {"name": "x"} => ["rings[0]"];
        a_ring_with_two_rules: "/rings/0" = {"name": "x", "percent": 5, "count": 5} => ["rings[0]"];
        percent_zero: "/rings/0/percent" = 0 => ["rings[0].percent"];
        percent_over_a_hundred: "/rings/0/percent" = 101 => ["rings[0].percent"];
        count_zero: "/rings/0" = {"name": "x", "count": 0} => ["rings[0].count"];
        percents_over_a_hundred_together: "/rings" =
            [{"name": "a", "percent": 60}, {"name": "b", "percent": 60}, {"name": "c", "percent": 60}]
            => ["rings[1].percent"];
        two_rest_rings: "/rings" = [{"name": "a", "rest": true}, {"name": "b", "rest": true}]
            => ["rings[0].rest", "rings[1].rest"];
        rest_before_the_last: "/rings" = [{"name": "a", "rest": true}, {"name": "b", "count": 1}]
            => ["rings[0].rest"];
        a_ring_without_a_name: "/rings/0/name" = "" => ["rings[0].name"];
        a_ring_with_a_long_name: "/rings/0/name" = "x0123456789012345678901234567890123456789012345678901234567890123x"
            => ["rings[0].name"];
        two_rings_of_one_name: "/rings/0/name" = "most" => ["rings[1].name"];
        a_ring_device_that_is_not_selected: "/rings/0" = {"name": "x", "devices": ["81", "99"]}
            => ["rings[0].devices[1]"];
        success_over_a_hundred: "/rings/0/gate" = {"success_percent": 101} => ["rings[0].gate.success_percent"];
        an_endless_soak: "/rings/0/gate" = {"soak_secs": 99_999_999_999_u64} => ["rings[0].gate.soak_secs"];
        nothing_in_flight: "/limits" = {"max_in_flight": 0} => ["limits.max_in_flight"];
        too_much_in_flight: "/limits" = {"max_in_flight": 51} => ["limits.max_in_flight"];
        a_history_without_end: "/limits" = {"continue_after_events": 60_000} => ["limits.continue_after_events"];
        no_probe: "/limits" = {"detail_probes": 0} => ["limits.detail_probes"];
        a_service_with_a_bracket: "/health/services/0" = "a(b)" => ["health.services[0]"];
        an_unknown_time_zone: "/time_zone" = "Berlin" => ["time_zone"];
        a_bad_opening_time: "/windows/0/from" = "25:00" => ["windows[0].from"];
        a_bad_closing_time: "/windows/0/to" = "4" => ["windows[0].to"];
        a_window_of_no_length: "/windows/0/to" = "22:00" => ["windows[0].to"];
        a_blackout_that_ends_before_it_begins: "/blackouts/0/to" = "2026-12-23T00:00:00" => ["blackouts[0].to"];
        a_plan_that_never_opens: "/blackouts/0" = {"from": "2026-01-01T00:00:00", "to": "2030-01-01T00:00:00"}
            => ["windows"];
        a_deadline_in_the_past: "/deadline" = "2026-02-28T00:00:00Z" => ["deadline"];
        a_deadline_before_the_first_window: "/deadline" = "2026-03-03T00:00:00Z" => ["deadline"];
        a_service_with_a_quote: "/health/services/1" = "a'b" => ["health.services[1]"];
        a_service_with_a_semicolon: "/health/services/0" = "a;b" => ["health.services[0]"];
        a_service_without_a_name: "/health/services/0" = "" => ["health.services[0]"];
        no_time_to_come_back: "/health/online_within_secs" = 0 => ["health.online_within_secs"];
        quorum_zero: "/approval/quorum" = 0 => ["approval.quorum"];
        timeout_zero: "/approval" = {"timeout_secs": 0} => ["approval.timeout_secs"];
        escalation_after_the_timeout: "/approval/escalate_after_secs" = 3600 => ["approval.escalate_after_secs"];
        a_poll_without_a_pause: "/waits" = {"verify_poll_secs": 0, "lease_poll_secs": 0}
            => ["waits.verify_poll_secs", "waits.lease_poll_secs"];
        a_lease_without_life: "/waits" = {"lease_secs": 0} => ["waits.lease_secs"];
    }

    #[test]
    fn more_devices_than_may_be_named() {
        let ids: Vec<_> = (0..=MAX_INLINE_DEVICES).map(|i| i.to_string()).collect();
        assert_eq!(fields("/devices/ids", json!(ids)), ["devices.ids"]);
    }

    #[test]
    fn too_many_services() {
        let services: Vec<_> = (0..=MAX_SERVICES).map(|i| format!("s{i}")).collect();
        assert_eq!(
            fields("/health/services", json!(services)),
            ["health.services"]
        );
    }

    #[test]
    fn a_reason_that_is_too_long() {
        assert_eq!(
            fields("/blackouts/0/reason", json!("x".repeat(501))),
            ["blackouts[0].reason"]
        );
    }

    #[test]
    fn every_wait_of_zero_that_spins_and_every_one_that_overflows_is_named() {
        let Value::Object(waits) = serde_json::to_value(Waits::default()).unwrap() else {
            panic!()
        };
        for name in waits.keys() {
            let path = format!("waits.{name}");
            let waits = json!({ name.as_str(): u64::MAX });
            assert_eq!(fields("/waits", waits), std::slice::from_ref(&path));
            if name.contains("poll") {
                assert_eq!(fields("/waits", json!({ name.as_str(): 0 })), [path]);
            }
        }
    }

    #[test]
    fn all_findings_come_at_once() {
        let request: PlanRequest = serde_json::from_value(json!({
            "client": "7", "patches": [], "devices": {}, "rings": [{ "name": "" }], "time_zone": "x",
        }))
        .unwrap();
        let error = check(&request, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(error.problems.len(), 5, "{error}");
    }
}
