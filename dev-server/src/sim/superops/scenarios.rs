//! Named trouble: what `POST /scenarios/{name}` sets, for demos and tests. docs/faults.md tells what
//! a technician sees of each.

use std::collections::BTreeSet;

use domain::input::{InvalidInput, Problem, from_json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A kind of trouble with a name.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Scenario {
    /// Name, such as `lost_answers`.
    pub name: &'static str,
    /// What the service or the devices do.
    pub does: &'static str,
    #[serde(skip)]
    faults: fn(&Whom) -> Value,
}

/// Whom the trouble is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Whom {
    /// Devices, by id; those of the whole fleet if empty. Only for trouble with devices.
    pub devices: BTreeSet<String>,
    /// The update that breaks devices, as digits; KB5034441 if left out.
    pub kb: Option<String>,
}

impl Whom {
    fn each(&self, fault: &Value) -> Value {
        let faults = self.devices.iter().map(|id| (id.clone(), fault.clone()));
        Value::Object(faults.collect())
    }

    fn every_third(&self) -> Vec<&String> {
        self.devices.iter().skip(2).step_by(3).collect()
    }

    fn kb(&self) -> &str {
        self.kb.as_deref().unwrap_or("5034441")
    }
}

/// All of them.
pub(super) const SCENARIOS: [Scenario; 10] = [
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
];

/// Returns the faults of a scenario, as `POST /faults` takes them.
///
/// # Errors
/// Names what is unknown and what is allowed.
pub(super) fn faults(name: &str, whom: &Value, fleet: &[String]) -> Result<Value, InvalidInput> {
    let refuse = |field: &str, value: &str, allowed: String| {
        InvalidInput::one(Problem::new(field, value, allowed))
    };
    let scenario = SCENARIOS.iter().find(|known| known.name == name);
    let scenario = scenario.ok_or_else(|| {
        let names = SCENARIOS.map(|known| known.name).join(", ");
        refuse("scenario", name, format!("one of {names}"))
    })?;
    let mut whom: Whom = if whom.is_null() {
        Whom::default()
    } else {
        from_json(whom)?
    };
    if let Some(stranger) = whom.devices.iter().find(|id| !fleet.contains(id)) {
        return Err(refuse(
            "devices",
            stranger,
            "a device of the fleet".to_owned(),
        ));
    }
    if whom.devices.is_empty() {
        whom.devices = fleet.iter().cloned().collect();
    }
    Ok((scenario.faults)(&whom))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::superops::Faults;

    fn fleet() -> Vec<String> {
        (1..=7).map(|n| n.to_string()).collect()
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
        let whom = json!({ "devices": ["1", "2", "3", "4"], "kb": "5034122" });
        let third = faults("breaks_every_third", &whom, &fleet()).unwrap();
        assert_eq!(third["kbs"]["5034122"]["breaks"]["devices"], json!(["3"]));
        let away = faults("away", &whom, &fleet()).unwrap();
        assert_eq!(away["devices"].as_object().unwrap().len(), 4);
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
