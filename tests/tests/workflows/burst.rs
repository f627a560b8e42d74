//! Many alerts at once: none is lost on its way into the store and through triage.

use std::{collections::BTreeSet, time::Instant};

use autoops_tests::run;
use clients::{
    store::{AlertsOf, Store, Turn, TurnEnd},
    triage::{read_state, write_state},
};
use domain::{
    alert::{AlertSeverity, Sighting},
    ids::ClientId,
    triage::{Facts, Rules},
};
use jiff::{SignedDuration, Timestamp};

/// `AUTOOPS_BURST=100000` takes as many as a bad day has.
const BURST: usize = 2_000;
const PAGE: usize = 100;
/// News of one turn, as the workflow asks for.
const TURN: usize = 4_000;

fn sighting(number: usize, began: Timestamp, client: &ClientId) -> Sighting {
    let millis = i64::try_from(number).unwrap();
    Sighting {
        id: format!("superops/{number}").parse().unwrap(),
        client: client.clone(),
        device: Some(format!("81{}", number % 50).parse().unwrap()),
        host: None,
        address: None,
        site: None,
        title: format!(
            "Probe {} of service group {} failed",
            number % 50,
            number % 7
        ),
        description: String::new(),
        severity: AlertSeverity::Medium,
        raised_at: began + SignedDuration::from_millis(millis),
        cleared: None,
        lasting: true,
        occurrences: 1,
        seen_at: began + SignedDuration::from_mins(5),
    }
}

async fn turn(store: &Store, turn: &Turn, rules: &Rules) -> (usize, usize) {
    let news = store.alerts.read_news(&turn.client, Timestamp::MAX, TURN);
    let news = news.await.unwrap();
    let mut triage = read_state(turn.state.as_deref()).unwrap();
    let rules = rules.clone().ready().unwrap();
    let now = news.last().map_or(Timestamp::UNIX_EPOCH, |last| last.at);
    let facts = Facts {
        rules: &rules,
        expectations: &[],
        machines: 50,
        now,
    };
    for event in &news {
        triage.take(event, &facts);
    }
    triage.settle(&facts);
    let outcome = triage.turn();
    let (taken, placed) = (news.len(), outcome.placements.len());
    store
        .alerts
        .write_outcome(turn, outcome, now)
        .await
        .unwrap();
    let end = TurnEnd {
        state: write_state(&triage).unwrap(),
        taken: news,
        answers: vec![],
        more: true,
    };
    store.alerts.end_turn(turn, end).await.unwrap();
    (taken, placed)
}

#[test]
fn a_burst_is_stored_and_placed_alert_by_alert_although_pages_come_twice() {
    run(async {
        let burst = std::env::var("AUTOOPS_BURST").ok();
        let burst = burst.map_or(BURST, |count| count.parse().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let store = Store::embedded(&folder.path().join("store.db")).unwrap();
        let client: ClientId = "7001".parse().unwrap();
        let began: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let clock = Instant::now();
        let (mut new, mut news) = (0, 0);
        for page in 0..burst.div_ceil(PAGE) {
            let rows = page * PAGE..burst.min((page + 1) * PAGE);
            let rows: Vec<_> = rows.map(|n| sighting(n, began, &client)).collect();
            // Rows move to later pages while newer ones come: some are read again.
            for _ in 0..=usize::from(page % 10 == 0) {
                let taken = store.alerts.take_sightings(rows.clone(), false);
                let taken = taken.await.unwrap();
                new += taken.new;
                news += taken.news;
            }
        }
        let stored = clock.elapsed();
        assert_eq!((new, news), (burst as u64, burst as u64));
        let (mut taken, mut placed, rules) = (0, 0, Rules::default());
        for number in 0..=burst.div_ceil(TURN) {
            let claim = format!("claim-{number}");
            let begun = store.alerts.begin_turn(&client, &claim).await.unwrap();
            let (more, put) = turn(&store, &begun, &rules).await;
            (taken, placed) = (taken + more, placed + put);
        }
        println!(
            "{burst} alerts: stored in {stored:.1?}, placed in {:.1?}",
            clock.elapsed() - stored
        );
        assert_eq!(taken, burst);
        assert!(placed >= burst, "{placed}");
        let (mut ids, mut cursor) = (BTreeSet::new(), None::<String>);
        loop {
            let all = AlertsOf::Client(client.clone());
            let page = store.alerts.list_alerts(&all, cursor.as_deref(), 500);
            let page = page.await.unwrap();
            let without = page.items.iter().filter(|one| one.placement.is_none());
            assert_eq!(without.count(), 0);
            ids.extend(page.items.into_iter().map(|one| one.said.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(ids.len(), burst);
    });
}
