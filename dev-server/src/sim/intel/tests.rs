//! The product's clients against all of them.

use std::sync::Arc;

use clients::{
    breaker::BreakerConfig,
    intel::{FeedConfig, Intel, IntelConfig, Mark},
    rate_limit::{RateLimiter, Unlimited},
};
use jiff::Timestamp;

use super::{cve_services, epss, kev, msrc};
use crate::sim::RunningSim;

fn feed(sim: &RunningSim) -> FeedConfig {
    FeedConfig {
        base_url: sim.url.clone(),
        timeout_secs: 5,
        requests_per_minute: 60,
        breaker: BreakerConfig {
            failures: 3,
            first_pause_secs: 60,
            longest_pause_secs: 600,
        },
    }
}

#[tokio::test]
async fn our_clients_read_the_same_cve_everywhere() {
    let sims = [
        kev::start(0).await.unwrap(),
        epss::start(0).await.unwrap(),
        msrc::start(0).await.unwrap(),
        cve_services::start(0).await.unwrap(),
    ];
    let [kev, epss, msrc, cve_services] = sims.each_ref().map(feed);
    let config = IntelConfig {
        kev,
        epss,
        msrc,
        cve_services,
    };
    let limiter: Arc<dyn RateLimiter> = Arc::new(Unlimited);
    let intel = Intel::new(&config, &limiter).unwrap();
    let now = Timestamp::now();
    let cve = "CVE-2024-30051".parse().unwrap();

    let (catalogue, mark) = intel.kev(&Mark::default()).await.unwrap().unwrap();
    assert!(catalogue.listed("CVE-2024-30051").unwrap().ransomware);
    assert!(intel.kev(&mark).await.unwrap().is_none());
    let predictions = intel.epss(std::slice::from_ref(&cve), now).await.unwrap();
    assert_eq!(predictions.records[0].id, cve);
    let (releases, _) = intel.msrc_releases().await.unwrap();
    assert_eq!(releases.len(), 12);
    let document = intel.msrc_document("2024-May", now).await.unwrap();
    let closing = document.updates.iter().filter(|u| u.cves.contains(&cve));
    assert_eq!(closing.count(), 3, "one for each system of the fleet");
    let reading = intel.cve_record(&cve, now).await.unwrap().unwrap();
    assert!(reading.record.vector.holds().is_some());
    let unknown = "CVE-2098-99999".parse().unwrap();
    assert!(intel.cve_record(&unknown, now).await.unwrap().is_none());
}
