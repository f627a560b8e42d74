//! The storm of docs/storm.md: a dead switch, a good and a bad wave, and background noise.

use std::collections::BTreeSet;

use clients::store::{AlertsOf, IncidentsOf, Store};
use domain::{
    alert::{Alert, Treatment},
    ids::ClientId,
    triage::{IncidentKey, IncidentRecord},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::dev::{Dev, PATIENCE};

/// Its pilots get the bad update.
const FIRST: &str = "7000000000000000001";
/// Its second site has the switch; devices of the other site get a good update.
const SECOND: &str = "7000000000000000002";
const SWITCH: &str = "4100000000000000133";
const GOOD: [&str; 2] = ["4100000000000000101", "4100000000000000149"];
const BAD: [&str; 3] = [
    "4100000000000000001",
    "4100000000000000002",
    "4100000000000000003",
];
/// The update stops a service of every third.
const BROKEN: &str = BAD[2];
const BAD_KB: &str = "KB5034441";

/// `soak_secs`: the ring is watched so long before the deployment ends.
fn plan(
    dev: &Dev,
    (id, client): (&str, &str),
    kb: &str,
    devices: &[&str],
    soak_secs: u64,
) -> String {
    let plan = json!({
        "id": id, "client": client, "requested_by": "tim", "patches": [{ "kb": kb }],
        "devices": { "ids": devices },
        "rings": [{ "name": "all", "rest": true, "gate": { "soak_secs": soak_secs } }],
        "health": { "online_within_secs": 60, "soak_secs": 0 },
        "approval": { "required": true },
        "waits": {
            "online_poll_secs": 1, "callback_secs": 10, "script_poll_secs": 1, "script_timeout_secs": 120,
            "verify_poll_secs": 1, "verify_secs": 60, "rescan_settle_secs": 0, "lease_poll_secs": 1,
            "inventory_secs": 2, "restart_grace_secs": 1, "alerts_grace_secs": 1,
        },
    });
    let path = dev.folder().join(format!("{id}.json"));
    std::fs::write(&path, plan.to_string()).unwrap();
    path.display().to_string()
}

struct Alerts {
    store: Store,
    runtime: Runtime,
}

impl Alerts {
    fn of(&self, of: &AlertsOf) -> Vec<Alert> {
        let mut all = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let page = self.store.alerts.list_alerts(of, cursor.as_deref(), 500);
            let page = self.runtime.block_on(page).unwrap();
            all.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return all;
            }
        }
    }

    fn of_client(&self, client: &str) -> Vec<Alert> {
        self.of(&AlertsOf::Client(client.parse().unwrap()))
    }

    fn incident(&self, client: &str, number: u64) -> IncidentRecord {
        let incidents = IncidentsOf::Client(client.parse().unwrap());
        let page = self.store.alerts.list_incidents(&incidents, None, 500);
        let page = self.runtime.block_on(page).unwrap();
        let mut named = page.items.into_iter();
        named
            .find(|record| record.key.number().0 == number)
            .expect("the incident of a placement")
    }
}

fn is_of(alert: &Alert, devices: &[&str]) -> bool {
    devices.contains(&alert.machine())
}

#[test]
fn a_storm_becomes_few_incidents_that_name_the_switch_and_the_bad_update() {
    let dev = Dev::start("storm");
    // The bad wave is still watched when its alerts should have cleared.
    for (id, client, kb, devices, soak_secs) in [
        ("good-wave", SECOND, "KB5037771", &GOOD[..], 0),
        ("bad-wave", FIRST, BAD_KB, &BAD[..], 3_600),
    ] {
        let plan = plan(&dev, (id, client), kb, devices, soak_secs);
        dev.autoops(&["patch", "start", "--plan", &plan]).succeeds();
        dev.until("the plan waits for approval", || {
            let asked = dev.autoops(&["list", "--needs-approval"]).succeeds();
            asked.contains(id)
        });
    }
    // Both clients are in the inventory by now: triage knows the switch.
    let schedules = dev
        .folder()
        .join("dev-server/examples/storm-schedules.toml");
    let schedules = schedules.display().to_string();
    dev.autoops(&["schedules", "apply", &schedules]).succeeds();
    let storm = json!({ "devices": BAD, "noise_per_hour": 120 });
    dev.change_simulator("scenarios/storm", &storm);
    for plan in ["good-wave", "bad-wave"] {
        dev.autoops(&["approve", plan, "--by", "dana"]).succeeds();
    }
    let waited = dev.autoops_for(&["wait", "good-wave", "--json"], PATIENCE);
    assert!(waited.succeeds().contains("verified"));

    let alerts = Alerts {
        store: dev.store(),
        runtime: Runtime::new().unwrap(),
    };
    // The bad update: announced, not cleared, left over.
    let mut accused = None;
    dev.until("what the bad wave left over is an incident", || {
        let of_first = alerts.of_client(FIRST);
        let mut broken = of_first
            .iter()
            .filter(|one| is_of(one, &[BROKEN]) && one.said.title.contains("Service stopped"));
        let placement = broken.next().and_then(|one| one.placement.clone());
        accused = placement.and_then(|placed| placed.incident);
        accused.is_some()
    });
    let incident = alerts.incident(FIRST, accused.unwrap());
    let suspect = &incident.news.suspects[0];
    assert!(suspect.left_over, "{:?}", incident.news.suspects);
    assert_eq!(suspect.plan.as_str(), "bad-wave");
    assert_eq!(suspect.kbs, [BAD_KB.parse().unwrap()]);
    assert_eq!(suspect.device.as_str(), BROKEN);

    // The incident halts the wave that it accuses.
    dev.until("the bad wave is halted", || {
        let status = dev.autoops(&["status", "bad-wave", "--json"]).succeeds();
        status.contains("halted") && status.contains(&format!("suspect: {BAD_KB}"))
    });

    // The same as a technician reads it.
    let key = incident.key.to_string();
    let mut shown = String::new();
    dev.until("the cause of the incident was looked for", || {
        shown = dev.autoops(&["incidents", "show", &key]).succeeds();
        shown.contains("Probable cause")
    });
    let suspect = format!("suspect: {BAD_KB}, ring");
    for part in [
        suspect.as_str(),
        "left over",
        "bad-wave told to halt",
        "Service stopped",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let listed = dev.autoops(&["incidents", "list", "--json", "--limit", "100"]);
    let listed: Vec<IncidentRecord> = serde_json::from_str(&listed.succeeds()).unwrap();
    assert!(listed.iter().any(|one| one.key == incident.key));
    let points: Vec<u32> = listed.iter().map(IncidentRecord::points).collect();
    assert!(points.is_sorted_by(|a, b| a >= b), "{points:?}");

    // The good update: its restarts were announced, and bothered nobody.
    let of_second = alerts.of_client(SECOND);
    let restarts = of_second
        .iter()
        .filter(|one| is_of(one, &GOOD) && one.said.title.contains("restarting"));
    let restarts: Vec<_> = restarts.map(|one| one.placement.clone().unwrap()).collect();
    assert_eq!(restarts.len(), GOOD.len());
    for placed in restarts {
        assert_eq!(
            (placed.treatment, placed.incident),
            (Treatment::Passed, None)
        );
    }

    // The dead switch: one incident that holds every device which went silent with it.
    let raised = |one: &&Alert| one.said.title.contains("offline");
    let offline: Vec<_> = of_second.iter().filter(raised).collect();
    let switch = offline.iter().find(|one| one.machine() == SWITCH);
    let switch = switch.expect("the switch is offline");
    let site = switch.said.site.as_ref();
    let (at, number) = (
        switch.said.raised_at,
        switch.placement.as_ref().unwrap().incident,
    );
    let with_it = offline
        .iter()
        .filter(|one| one.said.site.as_ref() == site && one.said.raised_at >= at - WITHIN);
    let incidents: BTreeSet<_> = with_it
        .clone()
        .map(|one| one.placement.as_ref().unwrap().incident)
        .collect();
    assert_eq!(incidents, BTreeSet::from([number]));
    assert!(with_it.count() > 30, "a site of forty devices");
    let held = alerts.incident(SECOND, number.unwrap());
    let client: ClientId = SECOND.parse().unwrap();
    let key = IncidentKey::new(client, held.key.number());
    let in_it = alerts.of(&AlertsOf::Incident(key));
    assert!(in_it.iter().any(|one| one.machine() == SWITCH));
    assert!(
        !held.news.blackout,
        "a third of the client is not the monitoring"
    );

    rules_and_words(&dev, &alerts);

    // Far more at once than one reading takes: the next ones go on where it stopped.
    dev.change_simulator("alerts", &json!({ "count": BURST, "devices": [BAD[0]] }));
    dev.until("the whole burst is in the store", || {
        let all = alerts.of_client(FIRST);
        let probes = all.iter().filter(|one| one.said.title.contains("Probe"));
        probes.count() == BURST
    });

    let listed = dev.autoops(&["schedules", "list", "--json"]).succeeds();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert!(listed.to_string().contains("alerts"), "{listed}");
    dev.stop();
}

/// Another tool's alerts come in, are silenced from then on, and a person closes what they made.
fn rules_and_words(dev: &Dev, alerts: &Alerts) {
    let write = |name: &str, text: String| {
        let path = dev.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let firing = |name: &str, host: &str| {
        json!({ "status": "firing", "startsAt": jiff::Timestamp::now(), "fingerprint": name,
            "labels": { "alertname": "RaidDegraded", "client": FIRST, "host": host, "severity": "critical" } })
    };
    let webhook =
        json!({ "version": "4", "alerts": [firing("aa01", "nas-1"), { "status": "odd" }] });
    let webhook = write("webhook.json", webhook.to_string());
    let send = ["alerts", "send", &webhook, "--format", "alertmanager"];
    let said = dev.autoops(&send).succeeds();
    assert!(
        said.contains("1 alerts: 1 new") && said.contains("1 could not be read"),
        "{said}"
    );
    let placed = || {
        let id = ["alerts", "show", "alertmanager/aa01", "--json"];
        let alert: Alert = serde_json::from_str(&dev.autoops(&id).succeeds()).unwrap();
        alert.placement.and_then(|placed| placed.incident)
    };
    let mut number = None;
    dev.until("the alert of the other tool is in an incident", || {
        number = placed();
        number.is_some()
    });
    let incident = alerts.incident(FIRST, number.unwrap()).key.to_string();

    let rules = json!({ "silences": [{ "name": "raid", "matches": { "title": "raid" },
        "until": "2099-01-01T00:00:00Z", "by": "lee", "reason": "disk is ordered" }] });
    let rules = write("rules.json", rules.to_string());
    let of = ["--client", FIRST];
    let tried = dev.autoops(&["alerts", "rules", "try", of[0], of[1], &rules, "--json"]);
    let tried: Value = serde_json::from_str(&tried.succeeds()).unwrap();
    assert_eq!(tried["trial"]["hits"][0]["alerts"], 1, "{tried}");
    let apply = ["alerts", "rules", "apply", of[0], of[1], &rules, "--by"];
    let by = |person| dev.autoops(&[&apply[..], &[person]].concat());
    let refused = by("tim").fails_with(1);
    assert!(refused.contains("needs the role lead"), "{refused}");
    let applied = by("lee").succeeds();
    assert!(applied.contains("applied: version 1"), "{applied}");

    let close = [
        "incidents",
        "close",
        &incident,
        "--by",
        "tim",
        "--reason",
        "disk is replaced",
    ];
    let closed = dev.autoops(&close).succeeds();
    assert!(closed.contains("is closed"), "{closed}");
    let shown = dev.autoops(&["incidents", "show", &incident]).succeeds();
    assert!(shown.contains("closed by tim: disk is replaced"), "{shown}");
}

/// Alerts at once; a reading takes 2,000.
const BURST: usize = 5_000;
/// Offline alerts of one look of the simulator.
const WITHIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);
