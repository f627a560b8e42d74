//! The world as the fake activities see it: plain data, and knobs to turn.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use clients::bedrock::Bedrock;
use contracts::activities::{
    notify::{NoticeInput, NoticeKind},
    policy::StoppedKb,
    superops::RunScriptInput,
};
use domain::{
    alert::{AlertId, Sighting},
    campaign::{Degraded, PlanState},
    deployment::DeploymentStatus,
    guardrail::{GuardrailDecision, Verdict},
    ids::{ClientId, DeviceId, KbId, PersonId, PlanId},
    outcome::{DeviceOutcome, DeviceResult},
    people::{Person, Role},
    plan::PlanDocument,
    script::ScriptMode,
    triage::Expectation,
};
use jiff::Timestamp;

use crate::{
    devices::FakeDevice,
    faults::{Fault, Lost},
    plan,
};

/// When a window opens that a test does not want to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpeningIn(pub Duration);

/// What a plan did with a device.
#[derive(Debug, Clone)]
pub struct Row {
    /// Ring index.
    pub ring: u32,
    /// Attempt.
    pub attempt: u32,
    /// Result.
    pub result: DeviceResult,
}

/// The world.
#[derive(Debug)]
pub struct Model {
    /// Client.
    pub client: ClientId,
    /// Plan of the test.
    pub plan: PlanId,
    /// `SuperOps` knows the client.
    pub client_known: bool,
    /// Devices of the client.
    pub devices: BTreeMap<DeviceId, FakeDevice>,
    /// People.
    pub people: BTreeMap<PersonId, Person>,
    /// What guardrails say.
    pub verdict: Verdict,
    /// What they say from the first question about this ring on.
    pub verdict_from_ring: BTreeMap<u32, Verdict>,
    /// Devices they take out.
    pub forbidden: BTreeSet<DeviceId>,
    /// Devices on which the plan closes something that asks for evidence.
    pub forensic: BTreeSet<DeviceId>,
    /// The store's pause flag.
    pub paused: Option<String>,
    /// `SuperOps` does not answer, and nobody asks it.
    pub superops_away: bool,
    /// It goes away as soon as this holds after an answer of any activity.
    pub away_when: Option<fn(&Model) -> bool>,
    /// Looks at devices see what the list said when it was read last, not how they are now.
    pub looks_wait_for_a_walk: bool,
    /// The model does not answer, and is not waited for.
    pub model_away: bool,
    /// KBs in the ledger of bad patches.
    pub stopped: Vec<StoppedKb>,
    /// Openings of windows, one per question; computed by the plan's windows when there is none.
    pub openings: VecDeque<OpeningIn>,
    /// How long such an opening lasts; for ever when absent.
    pub opening_lasts: Option<Duration>,
    /// Reports of device scripts wait.
    pub hold_reports: bool,
    /// Activities that wait.
    pub held: BTreeSet<String>,
    /// Failures to come.
    pub faults: Vec<Fault>,
    /// Every call, by each name that it goes by.
    pub calls: Vec<String>,
    /// How many calls of an activity have succeeded.
    answers: BTreeMap<String, u32>,
    /// Pages of the device list when it is read again.
    pub pages_of_a_refresh: u32,
    /// Every start of the device script, in order.
    pub scripts: Vec<RunScriptInput>,
    /// Notices sent.
    pub notices: Vec<NoticeInput>,
    /// The status written last.
    pub status: Option<DeploymentStatus>,
    /// What waves announced to triage, each time.
    pub announced: Vec<Expectation>,
    /// Sealed revisions.
    pub plans: BTreeMap<u32, PlanDocument>,
    /// Devices with a result.
    pub rows: BTreeMap<DeviceId, Row>,
    /// Leases: owner and end.
    pub leases: BTreeMap<DeviceId, (String, Timestamp)>,
    /// Stragglers given up.
    pub given_up: u32,
    /// The first deployment of a campaign is played here.
    pub plays_deployments: bool,
    /// What is asked about incidents.
    pub bedrock: Option<Arc<Bedrock>>,
    /// Devices of incidents are measured.
    pub measures: bool,
    /// What became of the plans of a campaign.
    pub plan_states: BTreeMap<PlanId, PlanState>,
    /// Plans of a campaign, as they were noted.
    pub begun: Vec<PlanId>,
    /// Places of the plans of a campaign in their final order.
    pub plan_order: Vec<usize>,
    /// Why the model was not asked about that order, for each call.
    pub unasked: Vec<Option<Degraded>>,
    /// What the RMM says of alerts.
    pub alerts: BTreeMap<AlertId, Sighting>,
    /// The next turn of triage is taken away by another worker.
    pub rival: bool,
}

impl Model {
    /// Makes a world with devices `81`, `82` and so on that lack the patches.
    #[must_use]
    pub fn new(plan: PlanId, devices: u32, kbs: &[KbId]) -> Self {
        let client: ClientId = "7001".parse().unwrap();
        let devices = (0..devices).map(|n| {
            let id: DeviceId = (81 + n).to_string().parse().unwrap();
            (id.clone(), FakeDevice::new(id, client.clone(), kbs))
        });
        Self {
            devices: devices.collect(),
            plan,
            client_known: true,
            people: people(&client),
            client,
            verdict: Verdict::Auto,
            verdict_from_ring: BTreeMap::new(),
            forbidden: BTreeSet::new(),
            forensic: BTreeSet::new(),
            paused: None,
            superops_away: false,
            away_when: None,
            looks_wait_for_a_walk: false,
            model_away: false,
            stopped: Vec::new(),
            openings: VecDeque::new(),
            opening_lasts: None,
            hold_reports: false,
            held: BTreeSet::new(),
            faults: Vec::new(),
            calls: Vec::new(),
            answers: BTreeMap::new(),
            pages_of_a_refresh: 2,
            scripts: Vec::new(),
            notices: Vec::new(),
            status: None,
            announced: Vec::new(),
            plans: BTreeMap::new(),
            rows: BTreeMap::new(),
            leases: BTreeMap::new(),
            given_up: 0,
            plays_deployments: false,
            bedrock: None,
            measures: false,
            plan_states: BTreeMap::new(),
            begun: Vec::new(),
            plan_order: Vec::new(),
            unasked: Vec::new(),
            alerts: BTreeMap::new(),
            rival: false,
        }
    }

    /// Returns a device by its number.
    pub fn device(&mut self, id: &str) -> &mut FakeDevice {
        let id: DeviceId = id.parse().unwrap();
        self.devices.get_mut(&id).unwrap()
    }

    /// Turns the same knob on all devices.
    pub fn every_device(&mut self, turn: impl FnMut(&mut FakeDevice)) {
        self.devices.values_mut().for_each(turn);
    }

    /// Makes an activity fail, at its nth call (from 1) or always; see [`Fault::call`].
    pub fn fail(&mut self, activity: &'static str, call: impl Into<Option<u32>>, how: Lost) {
        let call = call.into();
        self.faults.push(Fault {
            activity,
            call,
            how,
        });
    }

    pub(crate) fn note_call(&mut self, names: &[String]) -> Option<Lost> {
        self.calls.extend_from_slice(names);
        let mut faults = self.faults.iter().filter(|f| f.how != Lost::Answer);
        let fault = faults.find(|fault| {
            let meets = |name: &String| {
                let number = u32::try_from(self.calls_of(name)).unwrap();
                fault.meets(name, number)
            };
            names.iter().any(meets)
        })?;
        Some(fault.how.clone())
    }

    /// Notes that a call has succeeded; true when its answer is lost.
    pub(crate) fn note_answer(&mut self, names: &[String]) -> bool {
        for name in names {
            *self.answers.entry(name.clone()).or_default() += 1;
        }
        if self.away_when.is_some_and(|when| when(self)) {
            self.away_when = None;
            self.superops_away = true;
        }
        let mut faults = self.faults.iter().filter(|f| f.how == Lost::Answer);
        faults.any(|fault| {
            let meets = |name: &String| fault.meets(name, self.answers_of(name));
            names.iter().any(meets)
        })
    }

    /// Counts the calls of an activity.
    #[must_use]
    pub fn calls_of(&self, activity: &str) -> usize {
        self.calls.iter().filter(|call| *call == activity).count()
    }

    /// Counts the calls of an activity that have succeeded.
    #[must_use]
    pub fn answers_of(&self, activity: &str) -> u32 {
        self.answers.get(activity).copied().unwrap_or_default()
    }

    /// Counts the starts of the device script in a mode.
    #[must_use]
    pub fn starts_of(&self, mode: ScriptMode) -> usize {
        self.scripts.iter().filter(|s| s.mode == mode).count()
    }

    /// Returns the devices on which an installation was started, in order.
    #[must_use]
    pub fn installed_on(&self) -> Vec<String> {
        let installs = self
            .scripts
            .iter()
            .filter(|s| s.mode == ScriptMode::Install);
        installs.map(|s| s.device.to_string()).collect()
    }

    /// Returns how a device ended.
    #[must_use]
    pub fn outcome_of(&self, device: &str) -> Option<DeviceOutcome> {
        let row = self.rows.get(&device.parse::<DeviceId>().unwrap())?;
        Some(row.result.outcome)
    }

    /// Returns the kinds of the notices sent, in order.
    #[must_use]
    pub fn told(&self) -> Vec<NoticeKind> {
        self.notices.iter().map(|notice| notice.kind).collect()
    }

    /// Returns true when the status written last passes a test.
    #[must_use]
    pub fn status_is(&self, test: impl FnOnce(&DeploymentStatus) -> bool) -> bool {
        self.status.as_ref().is_some_and(test)
    }

    pub(crate) fn decision(&self) -> GuardrailDecision {
        // As by the default policies: people are asked about what no model has seen.
        let verdict = match &self.verdict {
            Verdict::Auto if self.model_away => plan::asks(|_| {}),
            verdict => verdict.clone(),
        };
        GuardrailDecision {
            verdict,
            policies: vec!["test/policy".to_owned()],
            policy_version: "test-1".to_owned(),
            forbidden: Vec::new(),
            errors: Vec::new(),
        }
    }
}

/// dana and erin approve, lee leads, tom is a technician, vic looks, and olga works for others.
fn people(client: &ClientId) -> BTreeMap<PersonId, Person> {
    let elsewhere: ClientId = "7999".parse().unwrap();
    [
        ("dana", Role::Approver, client),
        ("erin", Role::Approver, client),
        ("lee", Role::Lead, client),
        ("tom", Role::Technician, client),
        ("vic", Role::Viewer, client),
        ("olga", Role::Lead, &elsewhere),
    ]
    .into_iter()
    .map(|(name, role, client)| {
        let id: PersonId = name.parse().unwrap();
        let person = Person {
            id: id.clone(),
            name: format!("Display Name Of {name}"),
            role,
            clients: BTreeSet::from([client.clone()]),
        };
        (id, person)
    })
    .collect()
}
