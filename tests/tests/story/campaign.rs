//! A campaign by its schedule, from what devices miss to the report that says what became of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use dev_server::sim::superops::{DeviceKind, FleetSpec};
use serde_json::Value;

use crate::dev::Dev;

const CLIENT: &str = "7000000000000000002";
/// Devices of the client that take part: enough for several plans.
const DEVICES: usize = 8;
/// Simulated seconds between two patch scans; nothing is verified before the next one.
const SCAN_SECS: u64 = 600;
/// Waits of seconds where production has minutes and hours. Every hundred days: the test triggers them.
const SCHEDULES: &str = r#"
[[schedule]]
name = "brightwater-weekly"
kind = "patch-campaign"
client = "7000000000000000002"
every_secs = 8640000
time_zone = "America/New_York"

[schedule.input]
requested_by = "lee"

[schedule.input.limits]
most_open_of_client = 50

[schedule.input.plan]
rings = [{ name = "all", rest = true, gate = { soak_secs = 5 } }]
health = { online_within_secs = 60, soak_secs = 5 }
approval = { required = true }

[schedule.input.plan.waits]
online_poll_secs = 2
callback_secs = 10
script_poll_secs = 5
verify_poll_secs = 2
verify_secs = 600
rescan_settle_secs = 0
restart_grace_secs = 1
lease_poll_secs = 1
inventory_secs = 2
straggler_poll_secs = 5
max_wait_secs = 900
pause_poll_secs = 2

[[schedule]]
name = "brightwater-report"
kind = "campaign-report"
client = "7000000000000000002"
every_secs = 8640000
time_zone = "America/New_York"
"#;

/// The client of the demo, with devices that can be reached; returns what they miss.
fn fleet(folder: &Path) -> (PathBuf, BTreeSet<String>) {
    let mut fleet = FleetSpec::demo();
    fleet.timing.scan_interval_secs = SCAN_SECS;
    fleet.clients.retain(|client| client.id == CLIENT);
    let devices = &mut fleet.clients[0].devices;
    devices.retain(|device| {
        device.online && device.platform != DeviceKind::Mac && !device.missing.is_empty()
    });
    devices.truncate(DEVICES);
    let missing = devices.iter().flat_map(|device| {
        let kbs = device.missing.iter();
        kbs.map(|kb| format!("{:?} {kb:?}", device.id))
    });
    let missing = missing.collect();
    let path = folder.join("fleet.yaml");
    fs::write(&path, serde_json::to_string(&fleet).unwrap()).unwrap();
    (path, missing)
}

fn json(dev: &Dev, args: &[&str]) -> Value {
    let text = dev.autoops(&[args, &["--json"]].concat()).succeeds();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}:\n{text}"))
}

/// Deployments of the client by plan.
fn deployments(dev: &Dev) -> BTreeMap<String, Value> {
    let all = json(dev, &["list", "--client", CLIENT]);
    let all = all.as_array().unwrap().iter();
    all.map(|status| (text(&status["plan"]), status.clone()))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The campaign, once all its plans were started.
fn started(dev: &Dev) -> (String, BTreeSet<String>) {
    let mut found = None;
    dev.until("every plan of the campaign is started and asks", || {
        let list = dev
            .autoops(&["campaigns", "list", "--client", CLIENT, "--json"])
            .succeeds();
        let Ok(campaign) = serde_json::from_str::<Value>(&list) else {
            return false;
        };
        let plans = campaign["plans"].as_array().unwrap();
        let of_campaign: BTreeSet<_> = plans.iter().map(|plan| text(&plan["plan"])).collect();
        let asks = deployments(dev).into_iter();
        let asks = asks.filter(|(_, status)| status["needs_approval"] == true);
        let all = asks.map(|(plan, _)| plan).collect::<BTreeSet<_>>() == of_campaign;
        found = all.then(|| (text(&campaign["id"]), of_campaign));
        found.is_some()
    });
    found.unwrap()
}

/// The report that lies in the objects.
fn report(folder: &Path, campaign: &str) -> Option<Value> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "json")
                && path
                    .parent()
                    .is_some_and(|folder| folder.ends_with(campaign))
            {
                return serde_json::from_slice(&fs::read(path).unwrap()).ok();
            }
        }
    }
    None
}

/// A lead stops one update of the campaign for all, dana approves without having heard of it, and no
/// device is touched until the stop is ended.
fn is_stopped_by_hand_and_goes_on(dev: &Dev, plans: &BTreeSet<String>) {
    let kb = text(&deployments(dev).values().next().unwrap()["kbs"][0]);
    let say = |word: &'static str, by: &'static str| {
        let reason = ["--reason", "printers fail"];
        dev.autoops(&[&["ledger", word, &kb, "--by", by, "--json"], &reason[..]].concat())
    };
    let refused = say("stop", "dana").fails_with(1);
    assert!(refused.contains("not allowed: dana"), "{refused}");
    let stopped: Value = serde_json::from_str(&say("stop", "lee").succeeds()).unwrap();
    let halted: Vec<_> = stopped["halted"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    assert!(!halted.is_empty(), "{stopped}");
    for plan in plans {
        dev.autoops(&["approve", plan, "--by", "dana"]).succeeds();
    }
    dev.until("what installs the update is halted", || {
        let all = deployments(dev);
        halted.iter().all(|plan| all[plan]["stage"] == "halted")
    });
    let number = kb.trim_start_matches("KB");
    let installed = dev.simulator_log("installed");
    assert!(
        !installed.iter().any(|row| row.contains(number)),
        "{installed:?}"
    );
    say("clear", "lee").succeeds();
    for plan in &halted {
        dev.autoops(&["resume", plan, "--by", "lee"]).succeeds();
    }
}

#[test]
fn a_scheduled_campaign_is_approved_verified_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (fleet, missing) = fleet(folder.path());
    let dev = Dev::start_with("campaign", &["--fleet", fleet.to_str().unwrap()]);
    let file = folder.path().join("schedules.toml");
    fs::write(&file, SCHEDULES).unwrap();
    dev.autoops(&["schedules", "apply", file.to_str().unwrap()])
        .succeeds();
    dev.autoops(&["schedules", "trigger", "brightwater-weekly"])
        .succeeds();
    let (campaign, plans) = started(&dev);
    assert!(plans.len() > 1, "{plans:?}");
    // Before the approvals nothing is touched.
    assert_eq!(dev.simulator_log("installed").len(), 0);
    is_stopped_by_hand_and_goes_on(&dev, &plans);
    dev.until("every deployment has ended", || {
        let all = deployments(&dev);
        all.len() == plans.len() && all.values().all(|status| !status["outcome"].is_null())
    });
    for (plan, status) in deployments(&dev) {
        assert_eq!(status["outcome"], "verified", "{plan}: {status}");
    }
    let mut installed = dev.simulator_log("installed");
    installed.sort();
    assert_eq!(
        installed,
        missing.iter().cloned().collect::<Vec<_>>(),
        "what was missing, once each"
    );

    dev.autoops(&["schedules", "trigger", "brightwater-report"])
        .succeeds();
    let mut found = None;
    dev.until("the report is written", || {
        found = report(&dev.objects(), &campaign);
        found.is_some()
    });
    let report = found.unwrap();
    let verified = |count: usize| serde_json::json!({ "verified": count });
    assert_eq!(report["campaign"], campaign.as_str());
    assert_eq!(report["totals"]["client_devices"], DEVICES);
    let devices: Vec<_> = report["totals"]["devices"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(devices, ["verified"], "{report:#}");
    assert_eq!(report["totals"]["pairs"], verified(missing.len()));
    assert_eq!(report["totals"]["left_out"], 0);
    assert_eq!(report["look_after"], serde_json::json!([]));
    for plan in report["plans"].as_array().unwrap() {
        assert_eq!(plan["standing"]["outcome"], "verified", "{plan:#}");
        let by: Vec<_> = plan["approval"]["approved_by"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(by, ["dana"], "{plan:#}");
    }
    dev.stop();
}
