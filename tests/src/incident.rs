//! An incident in a world, written as triage writes it, and the workflow that answers it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use contracts::{
    alerts::{IncidentResponseResult, IncidentResponseStatus},
    ids,
};
use domain::{
    alert::{AlertId, AlertSeverity, AlertSource, Placement, Sighting, Treatment},
    incident::{Incident, IncidentId, Link, State},
    triage::{IncidentKey, IncidentNews, IncidentRecord, Outcome, Suspect},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use temporalio_client::{
    Client, UntypedQuery, UntypedSignal, UntypedWorkflow, UntypedWorkflowHandle,
    WorkflowCancelOptions, WorkflowGetResultOptions, WorkflowQueryOptions, WorkflowSignalOptions,
};
use temporalio_common::data_converters::RawValue;
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::{Site, World, deployment::start_raw, wire, world::PATIENCE};

/// Pause between two questions to a workflow.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// A turn of triage has a claim of its own.
static CLAIMS: AtomicU32 = AtomicU32::new(1);

/// An incident of client 7001. Its world is `incident-{number / 10}`.
#[derive(Debug)]
pub struct TestIncident {
    world: Arc<World>,
    key: IncidentKey,
    news: IncidentNews,
}

impl TestIncident {
    /// Opens one: an alert on each of these devices, the first one first.
    pub async fn open(world: &Arc<World>, number: u64, devices: &[&str]) -> Self {
        Self::open_before(world, number, devices, 0).await
    }

    /// As [`Self::open`], so many minutes ago.
    pub async fn open_before(
        world: &Arc<World>,
        number: u64,
        devices: &[&str],
        minutes: i64,
    ) -> Self {
        let key = IncidentKey::new("7001".parse().unwrap(), IncidentId(number));
        let now = Timestamp::now() - SignedDuration::from_mins(minutes);
        let incident = Incident {
            id: key.number(),
            state: State::Open,
            opened_ms: now.as_millisecond(),
            last_ms: now.as_millisecond(),
            alerts: devices.len() as u64,
            live: u32::try_from(devices.len()).unwrap(),
            reopened: 0,
            routine: false,
            goes_on_from: None,
            parted_from: None,
            titles: vec![
                "Disk C: is 99% full".to_owned(),
                "Service stopped".to_owned(),
            ],
            devices: devices.iter().map(|one| (*one).to_owned()).collect(),
            links: vec![Link {
                time: 1000,
                topology: 900,
                text: 0,
                change: 0,
            }],
            priority: None,
        };
        let news = IncidentNews {
            incident,
            rank_so_far: None,
            severity: AlertSeverity::High,
            suspects: vec![],
            hidden: 1,
            unheard: None,
            blackout: false,
            over: false,
            merged_into: None,
        };
        let this = Self {
            world: Arc::clone(world),
            key,
            news,
        };
        let alerts = (0..).zip(devices).map(|(place, device)| {
            let at = now + SignedDuration::from_mins(i64::from(place) * 3 - 30);
            sighting(&this.key, place, device, at)
        });
        let alerts: Vec<Sighting> = alerts.collect();
        let placements = alerts.iter().map(|said| {
            let placement = Placement {
                incident: Some(number),
                treatment: Treatment::Incident,
                kind: format!("kind of {}", said.title),
                at: said.raised_at,
            };
            (said.id.clone(), placement)
        });
        let placements = placements.collect();
        let port = &this.world.ledger().alerts;
        port.take_sightings(alerts, false).await.unwrap();
        this.write(placements).await;
        this
    }

    /// Names it.
    #[must_use]
    pub fn key(&self) -> &IncidentKey {
        &self.key
    }

    /// Changes what triage says of it; the workflow is not told.
    pub async fn change(&mut self, change: impl FnOnce(&mut IncidentNews)) {
        change(&mut self.news);
        self.write(vec![]).await;
    }

    async fn write(&self, placements: Vec<(AlertId, Placement)>) {
        let port = &self.world.ledger().alerts;
        let claim = format!("test-{}", CLAIMS.fetch_add(1, Ordering::Relaxed));
        let turn = port.begin_turn(self.key.client(), &claim).await.unwrap();
        let outcome = Outcome {
            placements,
            incidents: vec![self.news.clone()],
        };
        let written = port.write_outcome(&turn, outcome, Timestamp::now());
        written.await.unwrap();
    }

    /// Everything is over.
    pub async fn clears(&mut self) {
        self.change(|news| {
            news.over = true;
            news.incident.live = 0;
            news.incident.state = State::Cleared;
        })
        .await;
    }

    /// Reads it from the store.
    pub async fn record(&self) -> IncidentRecord {
        let port = &self.world.ledger().alerts;
        port.get_incident(&self.key).await.unwrap().unwrap()
    }

    /// Starts its answer; short waits, with some replaced.
    pub async fn answer(&self, site: &Site, waits: &Value) -> Answer {
        let mut input = json!({
            "incident": self.key,
            "waits": { "settle_secs": 0, "again_secs": 1, "look_secs": 600 },
        });
        for (field, value) in waits.as_object().unwrap() {
            input["waits"][field] = value.clone();
        }
        let id = ids::incident(&self.key);
        start_raw(site.client(), "IncidentResponse", &id, wire::json(&input))
            .await
            .unwrap();
        let handle = site.client().get_workflow_handle::<UntypedWorkflow>(&id);
        Answer { handle, id }
    }
}

fn sighting(key: &IncidentKey, place: u32, device: &str, at: Timestamp) -> Sighting {
    let own = format!("{}-{place}", key.number().0);
    Sighting {
        id: AlertId::new(AlertSource::Superops, &own).unwrap(),
        client: key.client().clone(),
        device: device.parse().ok(),
        host: None,
        address: None,
        site: None,
        title: match place {
            0 => "Disk C: is 99% full".to_owned(),
            _ => "Service stopped".to_owned(),
        },
        description: String::new(),
        severity: AlertSeverity::High,
        raised_at: at,
        cleared: None,
        lasting: true,
        occurrences: 1,
        seen_at: at,
    }
}

/// A suspect whose announced symptom did not clear.
#[must_use]
pub fn left_over(plan: &str, kb: &str, device: &str) -> Suspect {
    Suspect {
        plan: plan.parse().unwrap(),
        ring: 0,
        kbs: vec![kb.parse().unwrap()],
        device: device.parse().unwrap(),
        left_over: true,
        since: Timestamp::now() - SignedDuration::from_mins(40),
    }
}

/// The workflow that answers an incident.
pub struct Answer {
    handle: UntypedWorkflowHandle<Client>,
    id: String,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Answer").field(&self.id).finish()
    }
}

impl Answer {
    /// The workflow id, which is also the name of its audit chain.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Tells it that there is something new.
    pub async fn news(&self, version: u32) {
        let options = WorkflowSignalOptions::default();
        let input = wire::json(&json!({ "version": version }));
        let sent = self
            .handle
            .signal(UntypedSignal::new("news"), input, options);
        sent.await.unwrap();
    }

    /// Asks where it stands.
    pub async fn status(&self) -> IncidentResponseStatus {
        let query = self.handle.query(
            UntypedQuery::new("status"),
            RawValue::new(vec![]),
            WorkflowQueryOptions::default(),
        );
        wire::read(&timeout(PATIENCE, query).await.unwrap().unwrap())
    }

    /// Asks until its status passes a test.
    pub async fn until(
        &self,
        what: &str,
        test: impl Fn(&IncidentResponseStatus) -> bool,
    ) -> IncidentResponseStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status().await;
            if test(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "not seen: {what}; {status:?}");
            sleep(ASK_EVERY).await;
        }
    }

    /// Cancels it.
    pub async fn cancel(&self) {
        let options = WorkflowCancelOptions::default();
        self.handle.cancel(options).await.unwrap();
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it fails: type and words of that.
    pub async fn end(&self) -> Result<IncidentResponseResult, (String, String)> {
        let end = self.handle.get_result(WorkflowGetResultOptions::default());
        let end = timeout(PATIENCE, end).await;
        let end = end.unwrap_or_else(|_| panic!("{} does not end", self.id));
        end.map(|raw| wire::read(&raw))
            .map_err(crate::deployment::failure_of)
    }
}
