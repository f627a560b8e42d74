//! Named trouble: what `POST /scenarios/{name}` sets, for demos and tests. docs/faults.md tells what
//! a technician sees of each.

use std::collections::BTreeSet;

use domain::input::{InvalidInput, Problem, from_json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fleet::{ClientSpec, FleetSpec};

/// A kind of trouble with a name.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Scenario {
    /// Name, such as `lost_answers`.
    pub name: &'static str,
    /// What the service or the devices do.
    pub does: &'static str,
    #[serde(skip)]
    faults: fn(&Cast) -> Value,
}

/// Whom the trouble is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Whom {
    /// Devices, by id; those of the whole fleet if empty. Only for trouble with devices.
    pub devices: BTreeSet<String>,
    /// The update that breaks devices, as digits; KB5034441 if left out.
    pub kb: Option<String>,
    /// The site whose switch dies; the first one that has a device tagged `switch` if left out.
    pub site: Option<String>,
    /// The client whose monitoring is down; the first one if left out.
    pub client: Option<String>,
    /// Background alerts in a simulated hour.
    pub noise_per_hour: Option<u32>,
}

/// Whom a scenario meets.
struct Cast {
    devices: BTreeSet<String>,
    kb: String,
    site: BTreeSet<String>,
    most_of_client: BTreeSet<String>,
    noise_per_hour: u32,
}

impl Cast {
    fn each(&self, fault: &Value) -> Value {
        each(&self.devices, fault)
    }

    fn every_third(&self) -> Vec<&String> {
        self.devices.iter().skip(2).step_by(3).collect()
    }

    fn kb(&self) -> &str {
        &self.kb
    }

    /// The update stops a service that the plan does not name, and its alert is not critical: the wave itself
    /// does not see it.
    fn bad_kb(&self) -> Value {
        let breaks = json!({ "devices": self.every_third(), "severity": "High" });
        json!({ self.kb(): { "breaks": breaks } })
    }
}

fn each(devices: &BTreeSet<String>, fault: &Value) -> Value {
    let faults = devices.iter().map(|id| (id.clone(), fault.clone()));
    Value::Object(faults.collect())
}

fn offline(devices: &BTreeSet<String>) -> Value {
    each(devices, &json!({ "offline": true }))
}

/// All of them.
pub(super) const SCENARIOS: [Scenario; 14] = [
    Scenario {
        name: "slow_answers",
        does: "every answer of the API takes a second and a half",
        faults: |_| json!({ "latency_ms": 1500 }),
    },
    Scenario {
        name: "rate_limited",
        does: "the next 30 requests are told \"too many\", with HTTP 200",
        faults: |_| json!({ "fail_next": { "count": 30, "with": "rate_limit" } }),
    },
    Scenario {
        name: "lost_answers",
        does: "the next 3 starts of a script work, and the answer is an internal error",
        faults: |_| json!({ "ambiguous_writes": { "count": 3, "applied": true } }),
    },
    Scenario {
        name: "lost_requests",
        does: "the next 3 starts of a script do nothing, and the answer is an internal error",
        faults: |_| json!({ "ambiguous_writes": { "count": 3, "applied": false } }),
    },
    Scenario {
        name: "silent_scripts",
        does: "no report of a script arrives",
        faults: |whom| json!({ "drop_callbacks": { "devices": whom.devices } }),
    },
    Scenario {
        name: "reports_out_of_order",
        does: "half of the reports come after the next one of their device, the others twice",
        faults: |whom| {
            let count = whom.devices.len();
            json!({ "late_callbacks": count, "duplicate_callbacks": 2 * count })
        },
    },
    Scenario {
        name: "stale_scans",
        does: "no patch scan is made any more",
        faults: |whom| json!({ "stale_scans": whom.devices }),
    },
    Scenario {
        name: "never_back",
        does: "a device that restarts does not come back",
        faults: |whom| json!({ "devices": whom.each(&json!({ "never_back_after_reboot": true })) }),
    },
    Scenario {
        name: "breaks_every_third",
        does: "the update stops the print spooler of every third device",
        faults: |whom| json!({ "kbs": { whom.kb(): { "breaks": { "devices": whom.every_third() } } } }),
    },
    Scenario {
        name: "away",
        does: "devices are offline",
        faults: |whom| json!({ "devices": whom.each(&json!({ "offline": true })) }),
    },
    Scenario {
        name: "dead_switch",
        does: "all devices of a site that has a switch are offline at once",
        faults: |whom| json!({ "devices": offline(&whom.site) }),
    },
    Scenario {
        name: "bad_kb_alerts",
        does: "the update stops the print spooler of every third device, and its alert stays",
        faults: |whom| json!({ "kbs": whom.bad_kb() }),
    },
    Scenario {
        name: "storm",
        does: "a dead switch, a bad update, and background noise",
        faults: |whom| {
            json!({
                "devices": offline(&whom.site), "kbs": whom.bad_kb(),
                "noise_per_hour": whom.noise_per_hour,
            })
        },
    },
    Scenario {
        name: "monitoring_down",
        does: "nine of ten devices of a client are offline at once",
        faults: |whom| json!({ "devices": offline(&whom.most_of_client) }),
    },
];

/// Returns the faults of a scenario, as `POST /faults` takes them. A name may be written with `-`.
///
/// # Errors
/// Names what is unknown and what is allowed.
pub(super) fn faults(name: &str, whom: &Value, fleet: &FleetSpec) -> Result<Value, InvalidInput> {
    let refuse = |field: &str, value: &str, allowed: &str| {
        InvalidInput::one(Problem::new(field, value, allowed))
    };
    let word = name.replace('-', "_");
    let scenario = SCENARIOS.iter().find(|known| known.name == word);
    let scenario = scenario.ok_or_else(|| {
        let names = SCENARIOS.map(|known| known.name).join(", ");
        refuse("scenario", name, &format!("one of {names}"))
    })?;
    let whom: Whom = if whom.is_null() {
        Whom::default()
    } else {
        from_json(whom)?
    };
    let everybody = || fleet.clients.iter().flat_map(|client| &client.devices);
    let unknown = |id: &&String| !everybody().any(|device| device.id == **id);
    if let Some(stranger) = whom.devices.iter().find(unknown) {
        return Err(refuse("devices", stranger, "a device of the fleet"));
    }
    let site = whom.site.as_ref().or_else(|| {
        let mut switches = everybody().filter(|one| one.tags.iter().any(|tag| tag == "switch"));
        switches.next().map(|switch| &switch.site)
    });
    let of_site = everybody().filter(|device| Some(&device.site) == site);
    let of_site: BTreeSet<String> = of_site.map(|device| device.id.clone()).collect();
    if of_site.is_empty() && ["dead_switch", "storm"].contains(&scenario.name) {
        let named = whom.site.as_deref().unwrap_or("nothing");
        let allowed = "a site with devices; without it, a device of the fleet has the tag switch";
        return Err(refuse("site", named, allowed));
    }
    let named = |client: &&ClientSpec| whom.client.as_ref().is_none_or(|id| *id == client.id);
    let client = fleet.clients.iter().find(named).ok_or_else(|| {
        let named = whom.client.as_deref().unwrap_or("nothing");
        refuse("client", named, "a client of the fleet")
    })?;
    let most = client.devices.iter().enumerate();
    let most = most.filter(|(place, _)| place % 10 != 9);
    let cast = Cast {
        devices: if whom.devices.is_empty() {
            everybody().map(|device| device.id.clone()).collect()
        } else {
            whom.devices
        },
        kb: whom.kb.unwrap_or_else(|| "5034441".to_owned()),
        site: of_site,
        most_of_client: most.map(|(_, device)| device.id.clone()).collect(),
        noise_per_hour: whom.noise_per_hour.unwrap_or(600),
    };
    Ok((scenario.faults)(&cast))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::superops::Faults;

    fn fleet() -> FleetSpec {
        FleetSpec::demo()
    }

    fn id(n: u64) -> String {
        (4_100_000_000_000_000_000 + n).to_string()
    }

    #[test]
    fn every_scenario_sets_faults_that_there_are() {
        for scenario in SCENARIOS {
            let faults = faults(scenario.name, &Value::Null, &fleet()).unwrap();
            let set: Faults = from_json(&faults).unwrap();
            assert_ne!(set, Faults::default(), "{}", scenario.name);
        }
    }

    #[test]
    fn trouble_is_for_the_devices_that_are_named() {
        let whom = json!({ "devices": [id(1), id(2), id(3), id(4)], "kb": "5034122" });
        let third = faults("breaks_every_third", &whom, &fleet()).unwrap();
        assert_eq!(third["kbs"]["5034122"]["breaks"]["devices"], json!([id(3)]));
        let away = faults("away", &whom, &fleet()).unwrap();
        assert_eq!(away["devices"].as_object().unwrap().len(), 4);
    }

    #[test]
    fn a_storm_is_a_dead_switch_a_bad_update_and_noise() {
        let fleet = fleet();
        let whom = json!({ "devices": [id(1), id(2), id(3)], "noise_per_hour": 60 });
        let storm = faults("storm", &whom, &fleet).unwrap();
        assert_eq!(storm["noise_per_hour"], 60);
        assert_eq!(storm["kbs"]["5034441"]["breaks"]["severity"], "High");
        let reno = fleet.clients[1].sites[1].id.clone();
        let at_reno = fleet.clients[1].devices.iter().filter(|d| d.site == reno);
        let dead = faults("dead-switch", &Value::Null, &fleet).unwrap();
        assert_eq!(storm["devices"], dead["devices"]);
        let dead = dead["devices"].as_object().unwrap();
        assert_eq!(dead.len(), at_reno.clone().count());
        assert!(
            at_reno
                .clone()
                .all(|device| dead[&device.id]["offline"] == true)
        );
        assert!(
            at_reno
                .filter(|d| d.tags.contains(&"switch".to_owned()))
                .count()
                == 1
        );
        let silent = faults("monitoring-down", &Value::Null, &fleet).unwrap();
        assert_eq!(silent["devices"].as_object().unwrap().len(), 90);
        let nowhere = faults("storm", &Value::Null, &FleetSpec::small(2)).unwrap_err();
        assert!(nowhere.to_string().contains("site"), "{nowhere}");
    }

    #[test]
    fn what_is_not_known_is_named_with_what_is() {
        let told = |name: &str, whom: Value| {
            let error = faults(name, &whom, &fleet()).unwrap_err();
            error.to_string()
        };
        let scenario = told("earthquake", Value::Null);
        assert!(
            scenario.contains("`earthquake`") && scenario.contains("stale_scans"),
            "{scenario}"
        );
        let stranger = told("away", json!({ "devices": ["99"] }));
        assert!(
            stranger.contains("devices") && stranger.contains("`99`"),
            "{stranger}"
        );
        assert!(told("away", json!({ "device": "1" })).contains("devices"));
    }
}
