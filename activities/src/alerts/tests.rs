use std::sync::atomic::{AtomicUsize, Ordering};

use contracts::activities::alerts::WalkPlace;
use domain::{
    alert::{Sighting, Treatment},
    triage::{IncidentKey, IncidentStatus},
};
use serde_json::{Value, json};
use temporalio_sdk::testing::{ActivityEnvironment, ActivityEnvironmentError};
use wiremock::{Mock, ResponseTemplate, matchers::body_string_contains};

use super::*;
use crate::testing::{CLIENT, NOW, World, client, environment};

fn row(id: u32, minutes_ago: i64, device: u32) -> Value {
    let now: jiff::Timestamp = NOW.parse().unwrap();
    let raised = now - jiff::SignedDuration::from_mins(minutes_ago);
    json!({ "id": id, "message": format!("raid {id} is degraded"), "createdTime": raised.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        "status": "Created", "severity": "High",
        "asset": { "assetId": device, "name": "SRV01", "client": { "accountId": CLIENT } } })
}

async fn says(world: &World, rows: &[Value], has_more: bool) {
    let data = json!({ "getAlertList": { "alerts": rows, "listInfo": { "hasMore": has_more } } });
    Mock::given(body_string_contains("getAlertList"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": data })))
        .mount(&world.server)
        .await;
}

fn begin(walk_secs: u64) -> BeginPollInput {
    BeginPollInput {
        overlap_secs: 600,
        walk_secs,
    }
}

#[tokio::test]
async fn a_reading_comes_as_far_as_the_last_one_and_the_mark_never_moves_back() {
    let world = World::new().await;
    says(&world, &[row(2, 5, 1), row(1, 90, 1)], true).await;
    let steps = environment(AlertActivities::new(&world.deps));
    let reads = environment(AlertReadActivities::new(&world.deps));
    let first = steps
        .run(AlertActivities::begin_poll, begin(600))
        .await
        .unwrap();
    let now: jiff::Timestamp = NOW.parse().unwrap();
    assert_eq!((first.until, first.walk), (None, Some(now)));
    let input = ReadAlertsInput {
        page: 1,
        walk: false,
    };
    let read = reads
        .run(AlertReadActivities::read_alerts, input)
        .await
        .unwrap();
    assert_eq!((read.alerts, read.new, read.has_more), (2, 2, true));
    let five = now - jiff::SignedDuration::from_mins(5);
    assert_eq!(read.newest, Some(five));
    for (newest, walked) in [(read.newest, Some(now)), (read.oldest, None), (None, None)] {
        let end = EndPollInput {
            newest,
            walked,
            backlog: None,
            walk_place: None,
        };
        steps.run(AlertActivities::end_poll, end).await.unwrap();
    }
    let next = steps
        .run(AlertActivities::begin_poll, begin(600))
        .await
        .unwrap();
    let overlap = five - jiff::SignedDuration::from_mins(10);
    assert_eq!((next.until, next.walk), (Some(overlap), None));
    let at_once = steps
        .run(AlertActivities::begin_poll, begin(0))
        .await
        .unwrap();
    assert_eq!(at_once.walk, Some(now));
    let busy = steps.run(AlertActivities::busy_clients, BusyClientsInput::default());
    assert_eq!(busy.await.unwrap().clients, [client()]);
}

#[tokio::test]
async fn a_walk_that_was_left_in_the_middle_goes_on_whenever_the_next_one_is_due() {
    let mut world = World::new().await;
    let now: jiff::Timestamp = NOW.parse().unwrap();
    let place = WalkPlace {
        began: now,
        page: 20,
        oldest: Some(now - jiff::SignedDuration::from_hours(3)),
    };
    let end = |walk_place: Option<WalkPlace>| EndPollInput {
        newest: None,
        walked: walk_place.is_none().then_some(now),
        backlog: None,
        walk_place,
    };
    world.later(60);
    let steps = environment(AlertActivities::new(&world.deps));
    for (walk_place, expected) in [(Some(place), Some(now)), (None, None)] {
        let ended = steps.run(AlertActivities::end_poll, end(walk_place));
        ended.await.unwrap();
        let next = steps.run(AlertActivities::begin_poll, begin(600));
        let next = next.await.unwrap();
        assert_eq!((next.walk, next.walk_place), (expected, walk_place));
    }
}

#[tokio::test]
async fn a_turn_places_what_is_old_enough_and_comes_again_for_the_rest() {
    let mut world = World::new().await;
    world.seed(2).await;
    says(&world, &[row(2, 0, 2), row(1, 20, 1)], false).await;
    let reads = environment(AlertReadActivities::new(&world.deps));
    let input = ReadAlertsInput {
        page: 1,
        walk: true,
    };
    reads
        .run(AlertReadActivities::read_alerts, input)
        .await
        .unwrap();
    let input = TriageInput {
        client: client(),
        lag_secs: 10,
        news: 100,
    };
    let alerting = Alerting::on(world.deps.store.clone(), Arc::clone(&world.deps.clock));
    let turn = alerting.turn(&input, "one", &|| ()).await.unwrap();
    assert_eq!((turn.news, turn.more, turn.active), (1, false, 1));
    assert!(turn.next_due.is_some(), "the young one is waited for");
    let [told] = &turn.undelivered[..] else {
        panic!("{turn:?}")
    };
    let key: IncidentKey = told.incident.clone();
    let record = alerting.load(&key).await.unwrap();
    assert_eq!((record.version, record.news.incident.live), (1, 1));
    // It is not over: nobody closes it.
    let close = CloseIncidentInput {
        incident: key.clone(),
        version: 1,
    };
    assert_eq!(alerting.close(&close).await.unwrap(), record);
    let alerts = &world.deps.store.alerts;
    let ids = ["superops/1", "superops/2"].map(|id| id.parse().unwrap());
    let known = alerts.get_alerts(&ids).await.unwrap();
    let placed: Vec<Option<Treatment>> = known
        .iter()
        .map(|alert| {
            alert
                .placement
                .as_ref()
                .map(|placed| placed.treatment.clone())
        })
        .collect();
    assert_eq!(placed, [Some(Treatment::Incident), None]);
    // A try of the same turn that comes late is told so and changes nothing.
    assert!(alerting.turn(&input, "one", &|| ()).await.is_err());
    world.later(30);
    let later = Alerting::on(world.deps.store.clone(), Arc::clone(&world.deps.clock));
    let turn = later.turn(&input, "two", &|| ()).await.unwrap();
    assert_eq!((turn.news, turn.active), (1, 2));
}

/// Two alerts that are in the store, and what asks for a turn with them.
async fn with_news() -> (World, TriageInput) {
    let world = World::new().await;
    world.seed(2).await;
    says(&world, &[row(2, 20, 2), row(1, 90, 1)], false).await;
    let reads = environment(AlertReadActivities::new(&world.deps));
    let input = ReadAlertsInput {
        page: 1,
        walk: true,
    };
    let read = reads.run(AlertReadActivities::read_alerts, input);
    assert_eq!(read.await.unwrap().new, 2);
    let input = TriageInput {
        client: client(),
        lag_secs: 10,
        news: 100,
    };
    (world, input)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_try_that_loses_its_turn_is_done_again_and_takes_nothing_in_twice() {
    let (world, input) = with_news().await;
    let store = &world.deps.store;
    let alerting = Alerting::on(store.clone(), Arc::clone(&world.deps.clock));
    let mut lost = 0;
    let turn = loop {
        // Another worker that was taken for dead begins the turn after so many steps of this one.
        let (steps, rival) = (AtomicUsize::new(0), format!("rival-{lost}"));
        let step = || {
            if steps.fetch_add(1, Ordering::Relaxed) == lost {
                let begun = store.alerts.begin_turn(&input.client, &rival);
                let begun = tokio::task::block_in_place(|| {
                    tokio::runtime::Handle::current().block_on(begun)
                });
                begun.unwrap();
            }
        };
        match alerting.turn(&input, &format!("try-{lost}"), &step).await {
            Ok(turn) => break turn,
            Err(failed) => {
                let ActivityError::Application(failure) = failed.into() else {
                    panic!()
                };
                assert_eq!(failure.type_name(), Some("store.conflict"));
                assert!(!failure.is_non_retryable(), "the next try does it");
            }
        }
        lost += 1;
    };
    assert!(lost >= 5, "{lost} places");
    assert_eq!((turn.news, turn.active, turn.undelivered.len()), (2, 2, 2));
    for told in turn.undelivered {
        let record = alerting.load(&told.incident).await.unwrap();
        assert_eq!((record.version, record.news.incident.alerts), (1, 1));
    }
    let again = alerting.turn(&input, "again", &|| ()).await.unwrap();
    assert_eq!((again.news, again.active), (0, 2));
}

#[tokio::test]
async fn a_turn_says_that_it_is_alive_and_stops_when_it_is_cancelled() {
    let (world, input) = with_news().await;
    let beats = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&beats);
    let steps = ActivityEnvironment::builder()
        .register_activities(AlertActivities::new(&world.deps))
        .on_heartbeat(move |_| {
            heard.fetch_add(1, Ordering::Relaxed);
        })
        .build();
    let cancelled = environment(AlertActivities::new(&world.deps));
    cancelled.cancel();
    let ended = cancelled.run(AlertActivities::triage, input.clone()).await;
    let stopped = matches!(
        ended,
        Err(ActivityEnvironmentError::Activity(
            ActivityError::Cancelled { .. }
        ))
    );
    assert!(stopped, "{ended:?}");
    let turn = steps.run(AlertActivities::triage, input).await.unwrap();
    assert_eq!(turn.news, 2, "it left nothing behind");
    assert!(beats.load(Ordering::Relaxed) >= 3, "{beats:?}");
}

#[tokio::test]
async fn a_long_turn_says_that_it_is_alive_while_it_takes_in_what_is_new() {
    const NEWS: u32 = 1_000;
    let world = World::new().await;
    let now: jiff::Timestamp = NOW.parse().unwrap();
    // One alert that happens again and again: much to take in, and little to write.
    let body =
        json!([{ "id": "raid", "client": CLIENT, "host": "nas-1", "title": "raid degraded" }]);
    let intake = domain::alert::read_plain(body.to_string().as_bytes(), now).unwrap();
    let first = intake.sightings.into_iter().next().unwrap();
    let again = (1..=NEWS).map(|times| Sighting {
        occurrences: times,
        ..first.clone()
    });
    let again = again.collect();
    let taken = world.deps.store.alerts.take_sightings(again, false);
    assert_eq!(taken.await.unwrap().news, u64::from(NEWS));
    let input = |news| TriageInput {
        client: client(),
        lag_secs: 0,
        news,
    };
    let alerting = Alerting::on(world.deps.store.clone(), Arc::clone(&world.deps.clock));
    let mut heard = Vec::new();
    // The first one opens the incident.
    for news in [1, 1, NEWS - 2] {
        let progress = tokio::sync::Notify::new();
        let alive = || progress.notify_one();
        let (input, claim) = (input(news), format!("try-{}", heard.len()));
        let turn = alerting.turn(&input, &claim, &alive);
        let mut turn = std::pin::pin!(turn);
        let mut signs = 0;
        let done = loop {
            tokio::select! {
                biased;
                () = progress.notified() => signs += 1,
                done = &mut turn => break done.unwrap(),
            }
        };
        assert_eq!(done.news, u64::from(news));
        heard.push(signs);
    }
    assert!(heard[2] >= heard[1] + 4, "{heard:?}");
}

#[tokio::test]
async fn an_incident_is_not_closed_as_cleared_when_nobody_spoke_of_its_alerts_any_more() {
    const DAY: i64 = 86_400;
    let mut world = World::new().await;
    let now: jiff::Timestamp = NOW.parse().unwrap();
    let body = json!([{ "id": "raid", "client": CLIENT, "host": "nas-1", "title": "raid degraded",
        "cleared": false }]);
    let intake = domain::alert::read_plain(body.to_string().as_bytes(), now).unwrap();
    let taken = world
        .deps
        .store
        .alerts
        .take_sightings(intake.sightings, false);
    taken.await.unwrap();
    let input = TriageInput {
        client: client(),
        lag_secs: 10,
        news: 100,
    };
    let mut told = Vec::new();
    // It is raised, it ends, and it does not come back.
    for secs in [60, DAY + 60, DAY + 120, 2 * DAY] {
        world.later(secs);
        let alerting = Alerting::on(world.deps.store.clone(), Arc::clone(&world.deps.clock));
        let turn = alerting.turn(&input, &secs.to_string(), &|| ()).await;
        told.extend(turn.unwrap().undelivered);
        let input = EndUnheardInput {
            unheard_secs: 86_400,
            moment_secs: 60,
        };
        alerting.end_unheard(&input).await.unwrap();
    }
    let alerting = Alerting::on(world.deps.store.clone(), Arc::clone(&world.deps.clock));
    let last = told.last().unwrap();
    let close = CloseIncidentInput {
        incident: last.incident.clone(),
        version: last.version,
    };
    let closed = alerting.close(&close).await.unwrap();
    let IncidentStatus::Closed { closing, .. } = closed.status else {
        panic!("{closed:?}")
    };
    assert_eq!(closing.words(), "its alerts were not heard of any more");
}

#[tokio::test]
async fn what_other_tools_do_not_speak_of_is_over_after_the_time_of_its_kind() {
    let mut world = World::new().await;
    let now: jiff::Timestamp = NOW.parse().unwrap();
    let body = json!([
        { "id": "moment", "client": CLIENT, "host": "nas-1", "title": "backup failed" },
        { "id": "lasting", "client": CLIENT, "host": "nas-1", "title": "raid degraded", "cleared": false },
    ]);
    let intake = domain::alert::read_plain(body.to_string().as_bytes(), now).unwrap();
    let alerts = Arc::clone(&world.deps.store.alerts);
    alerts
        .take_sightings(intake.sightings, false)
        .await
        .unwrap();
    let input = EndUnheardInput {
        unheard_secs: 86_400,
        moment_secs: 60,
    };
    let mut ended = Vec::new();
    for secs in [60, 61, 86_400, 86_401] {
        world.later(secs);
        let steps = environment(AlertActivities::new(&world.deps));
        for _ in 0..2 {
            let done = steps.run(AlertActivities::end_unheard, input);
            ended.push(done.await.unwrap().ended);
        }
    }
    assert_eq!(ended, [0, 0, 1, 0, 0, 0, 1, 0]);
}
