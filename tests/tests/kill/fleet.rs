//! What is patched: many clients with few devices, and plans whose waits are short.

use autoops_tests::fleet::client;
use dev_server::sim::superops::FleetSpec;
use serde_json::{Value, json};

/// Simulated seconds per real one: an installation takes a quarter of a second.
pub(crate) const SPEED: f64 = 1000.0;
/// Needs a restart, so that a run has every step.
pub(crate) const KB: &str = "5034122";
/// Another one of the kind: the ledger counts failures of an update over all jobs.
pub(crate) const OTHER_KB: &str = "5034763";
/// Seconds one call of an activity may take: what a call in a killed worker costs.
const CALL_SECS: u64 = 2;

/// What one deployment is about: a client of its own.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) plan: String,
    pub(crate) client: String,
    pub(crate) devices: Vec<String>,
    /// What is installed.
    pub(crate) kb: &'static str,
    /// Sizes of its rings but the last.
    rings: Vec<u32>,
    /// Who has to agree, all of them.
    pub(crate) people: Vec<&'static str>,
    /// Each decision is sent so often, as by a sender that saw no answer.
    pub(crate) sent: u32,
    /// What of its plan is another.
    change: fn(&mut Value),
}

impl Job {
    /// One device, one approval.
    pub(crate) fn small(number: u32) -> Self {
        Self::new("small", number, 1, vec![], vec!["dana"])
    }

    /// Three rings, twelve devices, two people.
    pub(crate) fn big(number: u32) -> Self {
        Self::new("big", number, 12, vec![2, 4], vec!["dana", "lee"])
    }

    /// One approval, and a plan of its own.
    pub(crate) fn lied_to(
        scenario: &str,
        number: u32,
        devices: u32,
        change: fn(&mut Value),
    ) -> Self {
        let kind = scenario.replace('_', "-");
        Self {
            change,
            ..Self::new(&kind, number, devices, vec![], vec!["dana"])
        }
    }

    fn new(
        kind: &str,
        number: u32,
        devices: u32,
        rings: Vec<u32>,
        people: Vec<&'static str>,
    ) -> Self {
        let client = 7_000_000_001 + u64::from(number);
        Self {
            plan: format!("{kind}-{number}"),
            client: client.to_string(),
            devices: (1..=u64::from(devices))
                .map(|n| (client * 1000 + n).to_string())
                .collect(),
            kb: KB,
            rings,
            people,
            sent: 1 + number % 2,
            change: |_| {},
        }
    }

    pub(crate) fn rings(&self) -> usize {
        self.rings.len() + 1
    }

    /// The input of the deployment: always open, no soak, approval by the people of this job.
    pub(crate) fn plan(&self) -> Value {
        let gate = json!({ "soak_secs": 0 });
        let mut rings: Vec<Value> = (1..)
            .zip(&self.rings)
            .map(|(n, count)| json!({ "name": format!("ring {n}"), "count": count, "gate": gate }))
            .collect();
        rings.push(json!({ "name": "rest", "rest": true, "gate": gate }));
        let mut plan = json!({
            "id": self.plan, "client": self.client, "requested_by": "tim",
            "patches": [{ "kb": self.kb, "cves": ["CVE-2024-20666"] }], "devices": { "all": true },
            "rings": rings,
            "health": { "online_within_secs": 300, "soak_secs": 0 },
            "approval": { "required": true, "quorum": self.people.len(), "timeout_secs": 3600 },
            "waits": {
                "online_poll_secs": 1, "callback_secs": 3, "script_poll_secs": 1, "script_timeout_secs": 300,
                "verify_poll_secs": 1, "verify_secs": 300, "rescan_settle_secs": 0, "restart_grace_secs": 0,
                "lease_poll_secs": 1, "inventory_secs": 1, "straggler_poll_secs": 1, "max_wait_secs": 300,
                "pause_poll_secs": 1, "call_secs": CALL_SECS,
            },
        });
        (self.change)(&mut plan);
        plan
    }
}

/// The fleet of these jobs.
pub(crate) fn fleet(jobs: &[Job]) -> FleetSpec {
    let mut fleet = FleetSpec::small(0);
    fleet.timing.scan_interval_secs = 3600;
    let of_job = |job: &Job| {
        client(
            &job.client,
            format!("Client of {}", job.plan),
            &job.devices,
            job.kb,
        )
    };
    fleet.clients = jobs.iter().map(of_job).collect();
    fleet.check().unwrap();
    fleet
}
