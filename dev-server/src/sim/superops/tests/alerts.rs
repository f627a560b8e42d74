//! Alerts as the product's client reads them on the wire.

use std::{sync::Arc, time::Duration};

use clients::{
    rate_limit::Unlimited,
    superops::{SuperOps, SuperOpsConfig, SuperOpsError},
};
use domain::{
    alert::{AlertSeverity, Sighting},
    failure::{Classify, FailureKind},
};
use jiff::Timestamp;
use serde_json::json;

use super::super::{
    AlertCause, Burst, DeviceChange, FleetSpec, SuperOpsSim, SuperOpsSimOptions, start,
};

/// Longest wait for something that the simulator does by itself.
const PATIENCE: Duration = Duration::from_secs(60);
const DEVICE: &str = "4100000000000000001";

async fn sim(devices: u64, requests_per_minute: Option<u32>) -> SuperOpsSim {
    let options = SuperOpsSimOptions {
        port: 0,
        token: "dev-token".to_owned(),
        subdomain: "demo".to_owned(),
        requests_per_minute,
        speed: 10_000.0,
        fleet: FleetSpec::small(devices),
        state_file: None,
    };
    start(options).await.unwrap()
}

fn client(sim: &SuperOpsSim) -> SuperOps {
    let config = SuperOpsConfig {
        base_url: sim.url(),
        subdomain: "demo".to_owned(),
        token: "dev-token".into(),
        timeout_secs: 20,
        ..SuperOpsConfig::default()
    };
    SuperOps::new(config, Arc::new(Unlimited)).unwrap()
}

async fn listed(superops: &SuperOps, open_only: bool) -> Vec<Sighting> {
    let page = superops.list_alerts(1, open_only, Timestamp::now());
    page.await.unwrap().items
}

/// Reads the list until it is as it should be.
async fn until(
    superops: &SuperOps,
    what: &str,
    fits: impl Fn(&[Sighting]) -> bool,
) -> Vec<Sighting> {
    let reading = async {
        loop {
            let alerts = listed(superops, false).await;
            if fits(&alerts) {
                return alerts;
            }
            tokio::task::yield_now().await;
        }
    };
    let read = tokio::time::timeout(PATIENCE, reading).await;
    read.unwrap_or_else(|_| panic!("never: {what}"))
}

#[tokio::test]
async fn a_device_that_is_away_raises_an_alert_and_resolves_it_when_it_is_back() {
    let sim = sim(2, None).await;
    let superops = client(&sim);
    let online = |online| DeviceChange {
        online: Some(online),
        ..DeviceChange::default()
    };
    sim.handle().change_device(DEVICE, online(false)).unwrap();
    let alerts = until(&superops, "an alert", |alerts| !alerts.is_empty()).await;
    let [alert] = &alerts[..] else {
        panic!("{alerts:?}")
    };
    assert_eq!(alert.title, "Asset is offline");
    assert_eq!(alert.device.as_ref().unwrap().as_str(), DEVICE);
    assert_eq!(alert.client.as_str(), "7000000000000000001");
    assert_eq!(alert.site.as_deref(), Some("7100000000000000001"));
    assert_eq!(alert.host.as_deref(), Some("PILOT-PC-01"));
    assert_eq!(
        (alert.severity, alert.occurrences, alert.cleared),
        (AlertSeverity::High, 1, None)
    );
    assert_eq!(listed(&superops, true).await.len(), 1);
    sim.handle().change_device(DEVICE, online(true)).unwrap();
    let over = |alerts: &[Sighting]| alerts[0].cleared.is_some_and(|at| at.is_some());
    until(&superops, "it is resolved", over).await;
    assert!(listed(&superops, true).await.is_empty());
    sim.stop().await;
}

#[tokio::test]
async fn noise_comes_at_the_rate_that_is_asked_for_goes_and_repeats() {
    let sim = sim(6, None).await;
    let superops = client(&sim);
    assert!(listed(&superops, false).await.is_empty());
    let noise = json!({ "noise_per_hour": 3600 });
    sim.handle().set_faults(&noise).unwrap();
    let come = |alerts: &[Sighting]| {
        let over = alerts.iter().filter(|alert| alert.cleared.is_some());
        over.count() >= 5 && alerts.iter().any(|alert| alert.occurrences > 1)
    };
    // The newest page shows what is open and what is over; some say the same again.
    until(&superops, "noise that clears and repeats", come).await;
    let alerts = sim.handle().alerts();
    assert!(alerts.iter().all(|alert| alert.cause == AlertCause::Noise));
    assert!(alerts.is_sorted_by_key(|alert| alert.created));
    let links = alerts.iter().filter(|alert| alert.message.contains("Link"));
    assert!(links.count() > 1, "it flaps");
    sim.stop().await;
}

#[tokio::test]
async fn a_hundred_thousand_alerts_are_listed_page_by_page() {
    let sim = sim(5, None).await;
    let superops = client(&sim);
    let burst = |count, resolved| Burst {
        count,
        devices: [].into(),
        resolved,
    };
    let raised = sim.handle().burst(&burst(100_000, false)).unwrap();
    assert_eq!(raised, 100_000);
    sim.handle().burst(&burst(150, true)).unwrap();
    let now = Timestamp::now();
    let newest = superops.list_alerts(1, false, now).await.unwrap();
    assert!(newest.has_more && newest.items.iter().all(|one| one.cleared.is_some()));
    let open = superops.list_alerts(1, true, now).await.unwrap();
    assert!(open.has_more && open.items.iter().all(|one| one.cleared.is_none()));
    let last = superops.list_alerts(1_000, true, now).await.unwrap();
    assert_eq!((last.items.len(), last.has_more), (100, false));
    let beyond = superops.list_alerts(1_001, true, now).await.unwrap();
    assert!(beyond.items.is_empty() && !beyond.has_more);
    assert_ne!(last.items[0].id, open.items[0].id);
    let too_many = sim.handle().burst(&burst(200_001, false)).unwrap_err();
    assert!(too_many.to_string().contains("count"), "{too_many}");
    sim.stop().await;
}

#[tokio::test]
async fn the_rate_limit_is_told_as_the_service_tells_it() {
    let sim = sim(1, Some(1)).await;
    let superops = client(&sim);
    listed(&superops, false).await;
    let page = superops.list_alerts(1, false, Timestamp::now()).await;
    let error: SuperOpsError = page.unwrap_err();
    assert!(matches!(error.kind(), FailureKind::Throttled), "{error}");
    sim.stop().await;
}
