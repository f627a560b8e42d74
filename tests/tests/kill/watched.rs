//! A client whose alerts are read: one is raised now and stays, one was raised and over hours ago. Between
//! them their incidents need every activity of alerts.

use std::time::{Duration, Instant};

use autoops_tests::{chain::whole_chain, deployment::ended, ground::Ground, wire};
use clients::store::{AlertsOf, IncidentsOf};
use contracts::{
    alerts::{AlertIngestResult, IncidentResponseStatus},
    ids,
};
use domain::{
    alert::{AlertSeverity, Sighting},
    cause::CauseReport,
    triage::{IncidentRecord, IncidentStatus},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use temporalio_client::{UntypedQuery, UntypedWorkflow, WorkflowQueryOptions};
use temporalio_common::data_converters::RawValue;

use crate::fleet::Job;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Incidents of both alerts.
const INCIDENTS: usize = 2;

/// Nothing is patched here: what waves do to devices raises alerts of other clients.
pub(crate) fn job() -> Job {
    Job::lied_to("watched", 5, 2, |_| {})
}

/// Raises both, and reads them.
pub(crate) async fn raised(ground: &Ground) {
    let Job {
        client, devices, ..
    } = job();
    let ago = |minutes| Timestamp::now() - SignedDuration::from_mins(minutes);
    let over = Sighting {
        id: "plain/over".parse().unwrap(),
        client: client.parse().unwrap(),
        device: Some(devices[1].parse().unwrap()),
        host: None,
        address: None,
        site: None,
        title: "Backup job failed".to_owned(),
        description: String::new(),
        severity: AlertSeverity::High,
        raised_at: ago(180),
        cleared: Some(Some(ago(170))),
        lasting: true,
        occurrences: 1,
        seen_at: ago(0),
    };
    let alerts = &ground.store.alerts;
    alerts.take_sightings(vec![over], false).await.unwrap();
    ground
        .raise(&json!({ "count": 1, "devices": [devices[0]] }))
        .await;
    let input = json!({ "processing": {
        "lag_secs": 0, "response": { "settle_secs": 0, "suspects": 1 },
    }});
    let id = "alert-ingest/twice";
    let read = ended(&ground.client, "AlertIngest", id, wire::json(&input));
    let read: AlertIngestResult = read.await.unwrap();
    assert_eq!((read.failed, read.walked), (None, true));
}

/// What is left of it, when both are answered; without times and ids of the RMM.
pub(crate) async fn left(ground: &Ground, longest: Duration) -> Vec<String> {
    let client = job().client.parse().unwrap();
    let of = IncidentsOf::Client(client);
    let begin = Instant::now();
    let incidents = loop {
        let found = ground.store.alerts.list_incidents(&of, None, 100).await;
        let found = found.unwrap().items;
        if found.len() == INCIDENTS && are_answered(ground, &found).await {
            break found;
        }
        let waited = begin.elapsed() < longest;
        assert!(waited, "{found:#?} {}", ground.log_tail());
        tokio::time::sleep(LOOK).await;
    };
    let mut left = Vec::new();
    for record in incidents {
        let (key, incident) = (&record.key, &record.news.incident);
        let status = match &record.status {
            IncidentStatus::Closed { closing, .. } => format!("closed {closing:?}"),
            other => format!("{other:?}"),
        };
        left.push(format!(
            "incident {key} version {} known {}: {status}, {} alerts, {} live, of {:?}, {:?}",
            record.version,
            record.delivered,
            incident.alerts,
            incident.live,
            incident.devices,
            incident.titles,
        ));
        let cause = CauseReport::of(record.cause.as_ref());
        let suspects = cause.iter().flat_map(|cause| &cause.suspects);
        let suspects: Vec<_> = suspects.map(|one| &one.machine).collect();
        let told = cause.as_ref().and_then(|cause| cause.told.as_ref());
        let degraded = told.map(|told| told.degraded);
        left.push(format!(
            "cause of {key}: {suspects:?}, told degraded {degraded:?}"
        ));
        let chain = ids::incident(key);
        let entries = whole_chain(&ground.store, &chain).await;
        left.extend(
            entries
                .iter()
                .map(|entry| format!("{chain} {} {:?}", entry.record.what, entry.record.actor)),
        );
        let inside = AlertsOf::Incident(key.clone());
        let inside = ground.store.alerts.list_alerts(&inside, None, 100).await;
        left.extend(inside.unwrap().items.iter().map(|alert| {
            let placed = alert.placement.as_ref().map(|placed| &placed.treatment);
            let (title, news) = (&alert.said.title, alert.news);
            format!(
                "alert `{title}` in {key}: {placed:?}, {news} news, active {}",
                alert.is_active()
            )
        }));
    }
    left
}

/// Whether the one that is over is remembered, and the model has told of the other one.
async fn are_answered(ground: &Ground, incidents: &[IncidentRecord]) -> bool {
    let mut answered = 0;
    for record in incidents {
        let status = status(ground, record).await;
        let told = status.cause.is_some_and(|cause| cause.told.is_some());
        answered += usize::from(told || status.stage == "done");
        assert_eq!(status.problems, [].into(), "{}", record.key);
    }
    answered == INCIDENTS
}

async fn status(ground: &Ground, record: &IncidentRecord) -> IncidentResponseStatus {
    let id = ids::incident(&record.key);
    let handle = ground.client.get_workflow_handle::<UntypedWorkflow>(id);
    let query = UntypedQuery::new("status");
    let nothing = RawValue::new(vec![]);
    let asked = handle.query(query, nothing, WorkflowQueryOptions::default());
    match asked.await {
        Ok(answer) => wire::read(&answer),
        // It has not begun.
        Err(_) => IncidentResponseStatus::default(),
    }
}
