//! Alerts, turns of triage, incidents.

use domain::{
    alert::{
        AlertId, AlertSeverity, AlertSource, Closing as AlertClosing, EventKind, HeardSince,
        Sighting, Treatment,
    },
    triage::{
        Closing, Expectation, Facts, IncidentKey, IncidentStatus, Order, OrderAnswer, OrderKind,
        Rules, Symptom, Triage,
    },
};

use super::*;

/// Makes what a source says of an alert of client 7.
fn sighting(number: u32, seen: i64) -> Sighting {
    Sighting {
        id: alert_id(number),
        client: client("7"),
        device: Some(device_id(number)),
        host: None,
        address: None,
        site: None,
        title: format!("kind {number} of trouble"),
        description: "more of it".to_owned(),
        severity: AlertSeverity::High,
        raised_at: at(i64::from(number) * 600),
        cleared: None,
        lasting: true,
        occurrences: 1,
        seen_at: at(seen),
    }
}

fn alert_id(number: u32) -> AlertId {
    format!("superops/{number:05}").parse().unwrap()
}

fn triaged(
    turn: &Turn,
    news: &[domain::alert::Event],
    now: i64,
) -> (Triage, domain::triage::Outcome) {
    let mut triage = crate::triage::read_state(turn.state.as_deref()).unwrap();
    let rules = Rules::default().ready().unwrap();
    let facts = Facts {
        rules: &rules,
        expectations: &[],
        machines: 0,
        now: at(now),
    };
    news.iter().for_each(|event| triage.take(event, &facts));
    let outcome = triage.turn();
    (triage, outcome)
}

pub(super) async fn an_alert_is_news_once_and_stands_in_its_lists(store: Store) {
    let alerts = &store.alerts;
    let all: Vec<Sighting> = (1..=40).map(|n| sighting(n, 30_000)).collect();
    let taken = alerts.take_sightings(all.clone(), false).await.unwrap();
    assert_eq!((taken.new, taken.changed, taken.news), (40, 0, 40));
    let again = alerts.take_sightings(all, false).await.unwrap();
    assert_eq!(again, Taking::default());
    assert_eq!(busy(&store).await, [("7".to_owned(), true)]);
    let over = Sighting {
        cleared: Some(None),
        ..sighting(3, 30_100)
    };
    let taken = alerts.take_sightings(vec![over], false).await.unwrap();
    assert_eq!((taken.new, taken.changed, taken.news), (0, 1, 1));
    let begin = Instant::now();
    let active = loop {
        let active = AlertsOf::ActiveOf(client("7"));
        let list = alerts.list_alerts(&active, None, 100).await.unwrap();
        if list.items.len() == 39 || begin.elapsed() > PATIENCE {
            break list.items;
        }
    };
    assert_eq!(active.len(), 39);
    assert_eq!(active[0].said.id, alert_id(40), "newest first");
    let page = alerts
        .list_alerts(&AlertsOf::Client(client("7")), None, 25)
        .await
        .unwrap();
    let rest = alerts
        .list_alerts(&AlertsOf::Client(client("7")), page.next.as_deref(), 25)
        .await;
    assert_eq!((page.items.len(), rest.unwrap().items.len()), (25, 15));
    let known = alerts
        .get_alerts(&[alert_id(3), alert_id(99)])
        .await
        .unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].cleared_at, Some(at(30_100)));
    // News are read in order of time, up to a time.
    let news = alerts.read_news(&client("7"), at(1_800), 10).await.unwrap();
    let order: Vec<&str> = news.iter().map(|event| event.alert.own()).collect();
    assert_eq!(order, ["00001", "00002", "00003"]);
    let news = alerts
        .read_news(&client("7"), at(99_999), 100)
        .await
        .unwrap();
    assert_eq!(news.len(), 41);
    assert_eq!(news[40].kind, EventKind::Cleared);
}

/// Who is busy, and whether there is news.
async fn busy(store: &Store) -> Vec<(String, bool)> {
    let busy = store.alerts.busy_clients(None, 10).await.unwrap().items;
    let told = busy
        .into_iter()
        .map(|one| (one.client.to_string(), one.has_news));
    told.collect()
}

pub(super) async fn what_waits_for_a_time_is_busy_and_no_news(store: Store) {
    let alerts = &store.alerts;
    let begin = Instant::now();
    let until = async |expected: bool| {
        while busy(&store).await != [("7".to_owned(), expected)] {
            assert!(begin.elapsed() < PATIENCE, "{:?}", busy(&store).await);
        }
    };
    let turn = async |claim: &str| alerts.begin_turn(&client("7"), claim).await.unwrap();
    let end = || TurnEnd {
        state: crate::triage::write_state(&Triage::new()).unwrap(),
        taken: vec![],
        answers: vec![],
        more: true,
    };
    let said = |number| alerts.take_sightings(vec![sighting(number, 700)], false);
    said(1).await.unwrap();
    let first = turn("first").await;
    until(true).await;
    alerts.end_turn(&first, end()).await.unwrap();
    until(false).await;
    // What comes while a turn is done, and what comes between two.
    let second = turn("second").await;
    said(2).await.unwrap();
    alerts.end_turn(&second, end()).await.unwrap();
    until(true).await;
    let third = turn("third").await;
    alerts.end_turn(&third, end()).await.unwrap();
    until(false).await;
    said(3).await.unwrap();
    until(true).await;
    // A turn that was begun and never ended has not looked at anything.
    turn("fourth").await;
    until(true).await;
}

pub(super) async fn two_walks_end_what_they_do_not_find(store: Store) {
    let alerts = &store.alerts;
    let all: Vec<Sighting> = (1..=30).map(|n| sighting(n, 30_000)).collect();
    alerts.take_sightings(all, false).await.unwrap();
    // A walk that is told again counts once.
    for (began, cleared) in [(31_000, 0), (31_000, 0), (32_000, 29)] {
        alerts
            .take_sightings(vec![sighting(7, began + 1)], true)
            .await
            .unwrap();
        let (mut sum, mut after) = (0, None::<String>);
        loop {
            let source = AlertSource::Superops;
            let missed = alerts
                .miss_alerts(source, at(began), at(began + 9), after.as_deref(), 8)
                .await
                .unwrap();
            sum += missed.cleared;
            after = missed.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(sum, cleared);
    }
    let kept = alerts
        .get_alerts(&[alert_id(7), alert_id(8)])
        .await
        .unwrap();
    assert!(kept[0].is_active() && !kept[1].is_active());
}

pub(super) async fn what_nobody_speaks_of_any_more_ends_page_by_page(store: Store) {
    let alerts = &store.alerts;
    let told = |number: u32, seen: i64, lasting: bool| Sighting {
        id: format!("plain/{number}").parse().unwrap(),
        lasting,
        ..sighting(number, seen)
    };
    let of_moment: Vec<_> = (1..=20)
        .map(|n| told(n, 30_000 + i64::from(n), false))
        .collect();
    alerts.take_sightings(of_moment, false).await.unwrap();
    let lasting = vec![told(21, 29_000, true), sighting(22, 100)];
    alerts.take_sightings(lasting, false).await.unwrap();
    // One is sent again: that is no news, and it is heard of.
    let again = alerts.take_sightings(vec![told(3, 30_500, false)], false);
    let again = again.await.unwrap();
    assert_eq!((again.new, again.changed, again.news), (0, 0, 0));
    let since = HeardSince {
        lasting: at(29_001),
        of_moment: at(30_018),
    };
    let end = async |lasting: bool| {
        let (mut ended, mut after, mut pages) = (0, None::<String>, 0);
        loop {
            let page = alerts.end_unheard(lasting, since, at(30_600), after.as_deref(), 8);
            let page = page.await.unwrap();
            (ended, pages) = (ended + page.ended, pages + 1);
            after = page.next;
            if after.is_none() {
                return (ended, pages);
            }
        }
    };
    assert_eq!(end(false).await, (16, 3));
    assert_eq!(end(true).await, (1, 1));
    assert_eq!((end(false).await.0, end(true).await.0), (0, 0), "once");
    let ids = [2, 3, 18, 21].map(|n| format!("plain/{n}").parse().unwrap());
    let known = alerts.get_alerts(&ids).await.unwrap();
    let closings: Vec<_> = known.iter().map(|alert| alert.closing).collect();
    let over = Some(AlertClosing::Unheard);
    assert_eq!(closings, [over, None, None, over]);
    assert_eq!(known[0].cleared_at, Some(at(30_600)));
    let asked = alerts.get_alerts(&[alert_id(22)]).await.unwrap();
    assert!(asked[0].is_active(), "walks look after it");
    let news = alerts
        .read_news(&client("7"), at(99_999), 100)
        .await
        .unwrap();
    let over = news.iter().filter(|event| event.kind == EventKind::Cleared);
    assert_eq!(over.count(), 17);
}

pub(super) async fn a_turn_that_was_taken_away_writes_nothing(store: Store) {
    let alerts = &store.alerts;
    alerts
        .take_sightings(vec![sighting(1, 700), sighting(2, 1_300)], false)
        .await
        .unwrap();
    let first = alerts.begin_turn(&client("7"), "first").await.unwrap();
    assert_eq!((first.version, first.state.clone()), (0, None));
    let news = alerts.read_news(&client("7"), at(2_000), 10).await.unwrap();
    let second = alerts.begin_turn(&client("7"), "second").await.unwrap();
    let (triage, outcome) = triaged(&first, &news, 2_000);
    let refused = alerts
        .write_outcome(&first, outcome.clone(), at(2_000))
        .await;
    assert!(
        matches!(refused, Err(StoreError::Conflict { .. })),
        "{refused:?}"
    );
    let end = TurnEnd {
        state: crate::triage::write_state(&triage).unwrap(),
        taken: news.clone(),
        answers: vec![],
        more: false,
    };
    let refused = alerts.end_turn(&first, end.clone()).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict { .. })),
        "{refused:?}"
    );
    // The one that has the turn writes; a repeat of what it writes has no second effect.
    for _ in 0..2 {
        alerts
            .write_outcome(&second, outcome.clone(), at(2_000))
            .await
            .unwrap();
    }
    // What comes meanwhile is not lost, and the client stays busy.
    alerts
        .take_sightings(vec![sighting(3, 1_900)], false)
        .await
        .unwrap();
    alerts.end_turn(&second, end.clone()).await.unwrap();
    assert_eq!(busy(&store).await, [("7".to_owned(), true)]);
    let again = alerts.begin_turn(&client("7"), "second").await;
    assert!(
        matches!(again, Err(StoreError::Conflict { .. })),
        "a claim is good for one turn"
    );
    let third = alerts.begin_turn(&client("7"), "third").await.unwrap();
    assert_eq!(third.version, 1);
    let state = crate::triage::read_state(third.state.as_deref()).unwrap();
    assert_eq!(state.active(), 2);
    let news = alerts.read_news(&client("7"), at(9_000), 10).await.unwrap();
    assert_eq!(news.len(), 1, "{news:?}");
    let (triage, outcome) = triaged(&third, &news, 3_000);
    alerts
        .write_outcome(&third, outcome, at(3_000))
        .await
        .unwrap();
    let end = TurnEnd {
        state: crate::triage::write_state(&triage).unwrap(),
        taken: news,
        answers: vec![],
        more: false,
    };
    alerts.end_turn(&third, end).await.unwrap();
    let begin = Instant::now();
    while !busy(&store).await.is_empty() {
        assert!(begin.elapsed() < PATIENCE, "nothing is left to do");
    }
    let placed = alerts.get_alerts(&[alert_id(1)]).await.unwrap();
    let placement = placed[0].placement.clone().unwrap();
    assert_eq!(placement.treatment, Treatment::Incident);
    let key = IncidentKey::new(
        client("7"),
        domain::incident::IncidentId(placement.incident.unwrap()),
    );
    let inside = alerts
        .list_alerts(&AlertsOf::Incident(key), None, 10)
        .await
        .unwrap();
    assert_eq!(inside.items, placed);
}

pub(super) async fn what_came_first_in_a_storm_is_looked_at_first(store: Store) {
    let alerts = &store.alerts;
    // Far apart: each makes an incident of its own.
    let all = (1..=3).map(|n| Sighting {
        raised_at: at(i64::from(n) * 8_000),
        ..sighting(n, 30_000)
    });
    let all: Vec<Sighting> = all.collect();
    alerts.take_sightings(all, false).await.unwrap();
    let turn = alerts.begin_turn(&client("7"), "t").await.unwrap();
    let news = alerts
        .read_news(&client("7"), at(30_000), 10)
        .await
        .unwrap();
    let (_, mut outcome) = triaged(&turn, &news, 30_000);
    assert_eq!(outcome.incidents.len(), 3);
    let begin = Instant::now();
    let write = alerts.write_outcome(&turn, outcome.clone(), at(30_000));
    write.await.unwrap();
    // More than are told at once.
    let undelivered = IncidentsOf::UndeliveredOf(client("7"));
    loop {
        let page = alerts.list_incidents(&undelivered, None, 2).await.unwrap();
        let told = page.items.iter().map(|one| one.key.number().0);
        let told: Vec<u64> = told.collect();
        if told == [1, 2] {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{told:?}");
    }
    // All of them turn out to be of one, which has more alerts than are looked at.
    outcome.incidents.clear();
    for (_, placement) in &mut outcome.placements {
        placement.incident = Some(1);
    }
    let write = alerts.write_outcome(&turn, outcome, at(30_100));
    write.await.unwrap();
    let key: IncidentKey = "7-1".parse().unwrap();
    for (of, expected) in [
        (AlertsOf::FirstOf(key.clone()), [alert_id(1), alert_id(2)]),
        (AlertsOf::Incident(key), [alert_id(3), alert_id(2)]),
    ] {
        let page = alerts.list_alerts(&of, None, 2).await.unwrap();
        let ids: Vec<AlertId> = page.items.into_iter().map(|one| one.said.id).collect();
        assert_eq!(ids, expected, "{of:?}");
    }
}

pub(super) async fn an_incident_is_delivered_and_closed_once_nothing_is_new(store: Store) {
    let alerts = &store.alerts;
    alerts
        .take_sightings(vec![sighting(1, 700)], false)
        .await
        .unwrap();
    let turn = alerts.begin_turn(&client("7"), "t").await.unwrap();
    let news = alerts.read_news(&client("7"), at(2_000), 10).await.unwrap();
    let (_, outcome) = triaged(&turn, &news, 2_000);
    let mut later = outcome.clone();
    alerts
        .write_outcome(&turn, outcome, at(2_000))
        .await
        .unwrap();
    let begin = Instant::now();
    let waiting = loop {
        let of = IncidentsOf::UndeliveredOf(client("7"));
        let found = alerts.list_incidents(&of, None, 10).await.unwrap().items;
        if found.len() == 1 || begin.elapsed() > PATIENCE {
            break found;
        }
    };
    let [incident] = &waiting[..] else {
        panic!("{waiting:?}")
    };
    let key = incident.key.clone();
    assert_eq!((incident.version, incident.delivered), (1, 0));
    let told = alerts
        .change_incident(&key, IncidentChange::Delivered(1))
        .await
        .unwrap();
    assert!(!told.is_undelivered());
    // It changes before it is closed: then it is not.
    later.incidents[0].hidden = 5;
    later.placements.clear();
    alerts.write_outcome(&turn, later, at(2_100)).await.unwrap();
    let close = |version| IncidentChange::Closed {
        version,
        closing: Closing::Cleared,
        at: at(2_200),
    };
    let open = alerts.change_incident(&key, close(1)).await.unwrap();
    assert_eq!((open.version, &open.status), (2, &IncidentStatus::Open));
    let everywhere = alerts.list_incidents(&IncidentsOf::Open, None, 10);
    let everywhere = everywhere.await.unwrap().items;
    assert_eq!(everywhere.len(), 1, "{everywhere:?}");
    let cause = IncidentChange::Cause(json!({ "node": "81" }));
    alerts.change_incident(&key, cause).await.unwrap();
    let closed = alerts.change_incident(&key, close(2)).await.unwrap();
    assert!(matches!(closed.status, IncidentStatus::Closed { .. }));
    assert_eq!(closed.cause, Some(json!({ "node": "81" })));
    assert_eq!(alerts.get_incident(&key).await.unwrap(), Some(closed));
    let begin = Instant::now();
    loop {
        let mut open = Vec::new();
        for of in [IncidentsOf::OpenOf(client("7")), IncidentsOf::Open] {
            open.extend(alerts.list_incidents(&of, None, 10).await.unwrap().items);
        }
        if open.is_empty() {
            break;
        }
        assert!(begin.elapsed() < PATIENCE);
    }
    let unknown: IncidentKey = "7-99".parse().unwrap();
    let missing = alerts
        .change_incident(&unknown, IncidentChange::Delivered(1))
        .await;
    assert!(
        matches!(missing, Err(StoreError::NotFound { .. })),
        "{missing:?}"
    );
}

pub(super) async fn orders_wait_until_they_are_answered(store: Store) {
    let alerts = &store.alerts;
    let order = |id: &str, given: i64| Order {
        id: id.to_owned(),
        kind: OrderKind::Close {
            incident: "7-1".parse().unwrap(),
        },
        by: "dana".parse().unwrap(),
        reason: "known".to_owned(),
        at: at(given),
        answer: None,
    };
    alerts.put_order(&client("7"), order("b", 2)).await.unwrap();
    alerts.put_order(&client("7"), order("a", 3)).await.unwrap();
    let again = alerts.put_order(&client("7"), order("b", 9)).await.unwrap();
    assert_eq!(again.at, at(2), "the first one holds");
    let turn = alerts.begin_turn(&client("7"), "t").await.unwrap();
    let waiting = alerts.read_orders(&client("7"), 10).await.unwrap();
    assert_eq!(
        waiting
            .iter()
            .map(|one| one.id.as_str())
            .collect::<Vec<_>>(),
        ["b", "a"]
    );
    let answer = OrderAnswer::Refused {
        why: "it is over".to_owned(),
    };
    let end = TurnEnd {
        state: crate::triage::write_state(&Triage::new()).unwrap(),
        taken: vec![],
        answers: vec![("b".to_owned(), answer.clone())],
        more: false,
    };
    alerts.end_turn(&turn, end).await.unwrap();
    let left = alerts.read_orders(&client("7"), 10).await.unwrap();
    assert_eq!(left.len(), 1);
    let told = alerts.get_order(&client("7"), "b").await.unwrap().unwrap();
    assert_eq!(told.answer, Some(answer));
}

pub(super) async fn triage_goes_by_the_newest_rules_and_what_waves_announce(store: Store) {
    let alerts = &store.alerts;
    let rules = |version| RulesVersion {
        client: client("7"),
        version,
        by: "lee".to_owned(),
        at: at(1),
        rules: Rules::default(),
    };
    assert_eq!(alerts.latest_rules(&client("7")).await.unwrap(), None);
    alerts.put_rules(rules(1)).await.unwrap();
    let again = alerts.put_rules(rules(1)).await;
    assert!(
        matches!(again, Err(StoreError::Conflict { .. })),
        "{again:?}"
    );
    alerts.put_rules(rules(2)).await.unwrap();
    let newest = alerts.latest_rules(&client("7")).await.unwrap().unwrap();
    assert_eq!(newest.version, 2);

    let stated = |when, by: &str| StatedTopology {
        client: client("7"),
        by: by.to_owned(),
        at: at(when),
        depends_on: vec![("81".to_owned(), "80".to_owned())],
    };
    alerts.put_topology(stated(5, "new")).await.unwrap();
    alerts.put_topology(stated(4, "old")).await.unwrap();
    let known = alerts.get_topology(&client("7")).await.unwrap().unwrap();
    assert_eq!(known.by, "new");

    let wave = |attempt, from, until| Expectation {
        plan: plan("p"),
        ring: 0,
        attempt,
        kbs: vec!["5034441".parse().unwrap()],
        device: device_id(1),
        symptoms: vec![Symptom::Down],
        from: at(from),
        until: at(until),
    };
    for one in [wave(1, 10, 20), wave(1, 15, 40), wave(2, 50, 60)] {
        alerts.put_expectation(one).await.unwrap();
    }
    let known = alerts
        .get_expectations(&[device_id(1), device_id(2)])
        .await
        .unwrap();
    assert_eq!(known, [wave(1, 10, 40), wave(2, 50, 60)]);
}
