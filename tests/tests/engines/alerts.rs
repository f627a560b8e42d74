//! Writes of the port `Alerts`: what they write, and how it looks.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use clients::{
    store::{
        AlertsOf, IncidentChange, IncidentsOf, RulesVersion, StatedTopology, Store, StoreResult,
        Turn, TurnEnd,
    },
    triage::read_state,
};
use domain::{
    alert::{AlertId, AlertSeverity, AlertSource, Event, HeardSince, Sighting},
    incident::IncidentId,
    triage::{
        Closing, Expectation, Facts, IncidentKey, Order, OrderAnswer, OrderKind, Outcome, Rules,
        Symptom,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    looks::{MANY, Probe},
    made::{at, client, device_id, kb, noise, person, plan},
    writes::Write as W,
};

/// More alerts than one transaction of DynamoDB takes.
const ALERTS: u32 = 12;

fn alert_id(token: &str, number: u32) -> AlertId {
    format!("superops/{token}-{number:02}").parse().unwrap()
}

fn alert_ids(token: &str) -> Vec<AlertId> {
    (0..ALERTS).map(|number| alert_id(token, number)).collect()
}

fn sighting(token: &str, number: u32) -> Sighting {
    Sighting {
        id: alert_id(token, number),
        client: client(token),
        device: Some(device_id(token, number)),
        host: None,
        address: None,
        site: None,
        title: format!("trouble of kind {number}"),
        description: String::new(),
        severity: AlertSeverity::High,
        raised_at: at(i64::from(number) * 600),
        cleared: None,
        lasting: true,
        occurrences: 1,
        seen_at: at(30_000),
    }
}

fn order(token: &str) -> Order {
    Order {
        id: format!("order-{token}"),
        kind: OrderKind::Close {
            incident: IncidentKey::new(client(token), IncidentId(99)),
        },
        by: person(token, "dana"),
        reason: "known".to_owned(),
        at: at(40_000),
        answer: None,
    }
}

fn rules(token: &str) -> RulesVersion {
    RulesVersion {
        client: client(token),
        version: 1,
        by: "lee".to_owned(),
        at: at(1),
        rules: Rules::default(),
    }
}

fn topology(token: &str) -> StatedTopology {
    StatedTopology {
        client: client(token),
        by: "lee".to_owned(),
        at: at(1),
        depends_on: vec![("81".to_owned(), "80".to_owned())],
    }
}

fn expectation(token: &str) -> Expectation {
    Expectation {
        plan: plan(token),
        ring: 0,
        attempt: 1,
        kbs: vec![kb(token)],
        device: device_id(token, 0),
        symptoms: vec![Symptom::Down],
        from: at(0),
        until: at(600),
    }
}

/// A claim that nobody had: each try of an activity has one of its own.
fn new_claim() -> String {
    static TRIES: AtomicU64 = AtomicU64::new(0);
    let number = TRIES.fetch_add(1, Ordering::Relaxed);
    format!("try-{}-{number}", std::process::id())
}

/// Begins a turn as a try of its own does.
async fn begin(store: &Store, token: &str) -> StoreResult<(Turn, Vec<Event>)> {
    let turn = store
        .alerts
        .begin_turn(&client(token), &new_claim())
        .await?;
    let news = store
        .alerts
        .read_news(&turn.client, at(90_000), MANY)
        .await?;
    Ok((turn, news))
}

fn outcome(news: &[Event]) -> Outcome {
    let mut triage = read_state(None).unwrap();
    let rules = Rules::default().ready().unwrap();
    let facts = Facts {
        rules: &rules,
        expectations: &[],
        machines: 0,
        now: at(30_000),
    };
    news.iter().for_each(|event| triage.take(event, &facts));
    triage.turn()
}

/// Ends a turn whose state names all news that were taken in.
async fn end(store: &Store, token: &str) -> StoreResult<()> {
    let (turn, news) = begin(store, token).await?;
    let orders = store.alerts.read_orders(&client(token), MANY).await?;
    let mut state = turn.state.clone().unwrap_or_else(|| noise(token).into());
    for event in &news {
        state.extend(format!("[{}]", event.alert).bytes());
    }
    let answer = OrderAnswer::Refused {
        why: "it is over".to_owned(),
    };
    let answers = orders.into_iter().map(|order| (order.id, answer.clone()));
    let end = TurnEnd {
        state,
        taken: news,
        answers: answers.collect(),
        more: false,
    };
    store.alerts.end_turn(&turn, end).await
}

/// Another worker goes on: every alert was taken in once, and nothing is left to do. It leaves a state of
/// its own, so that what is left of others is deleted.
pub(crate) async fn goes_on(store: &Store, token: &str) {
    let (turn, news) = begin(store, token).await.unwrap();
    assert_eq!(news, [], "{token}");
    let state = String::from_utf8(turn.state.clone().unwrap()).unwrap();
    for id in alert_ids(token) {
        assert_eq!(state.matches(&format!("[{id}]")).count(), 1, "{id}");
    }
    assert!(state.starts_with(&noise(token)), "{token}");
    let end = TurnEnd {
        state: b"small".to_vec(),
        taken: vec![],
        answers: vec![],
        more: false,
    };
    store.alerts.end_turn(&turn, end).await.unwrap();
}

async fn first_incident(store: &Store, token: &str) -> StoreResult<IncidentKey> {
    let of = IncidentsOf::Client(client(token));
    let all = store.alerts.list_incidents(&of, None, MANY).await?.items;
    Ok(all.last().unwrap().key.clone())
}

async fn change(store: &Store, token: &str, change: IncidentChange) -> StoreResult<()> {
    let key = first_incident(store, token).await?;
    store.alerts.change_incident(&key, change).await.map(drop)
}

async fn miss(store: &Store, token: &str, began: i64) -> StoreResult<()> {
    // The alerts of a token follow each other in the list of all active ones.
    let (source, after) = (AlertSource::Superops, format!("superops/{token}-"));
    let (began, now) = (at(began), at(began + 9));
    let missed = store
        .alerts
        .miss_alerts(source, began, now, Some(&after), ALERTS as usize);
    missed.await.map(drop)
}

/// Alerts of a tool that is not asked. Those of a token follow each other in the list of all by when they
/// were heard of.
fn told(token: &str) -> Vec<Sighting> {
    let heard = heard(token);
    let all = (0..ALERTS).map(|number| Sighting {
        id: told_id(token, number),
        lasting: false,
        seen_at: heard,
        ..sighting(token, number)
    });
    all.collect()
}

fn told_id(token: &str, number: u32) -> AlertId {
    format!("plain/{token}-{number:03}").parse().unwrap()
}

fn heard(token: &str) -> Timestamp {
    at(40_000 + token.parse::<i64>().unwrap() % 49_000)
}

async fn end_unheard(store: &Store, token: &str) -> StoreResult<()> {
    let (heard, second) = (heard(token), SignedDuration::from_secs(1));
    let since = HeardSince {
        lasting: heard,
        of_moment: heard + second,
    };
    let micros = (heard - second).as_microsecond() + 1_000_000_000_000_000_000;
    let after = format!("{micros:019}/z");
    let ended =
        store
            .alerts
            .end_unheard(false, since, heard + second, Some(&after), ALERTS as usize);
    ended.await.map(drop)
}

/// Does one of these writes.
pub(crate) async fn write(write: W, store: &Store, token: &str) -> StoreResult<()> {
    let alerts = &store.alerts;
    match write {
        W::TakeAlerts => {
            let all = (0..ALERTS).map(|number| sighting(token, number)).collect();
            alerts.take_sightings(all, false).await.map(drop)
        }
        W::MissAlerts => miss(store, token, 31_000).await,
        W::ClearAlerts => miss(store, token, 32_000).await,
        W::TakeTold => alerts.take_sightings(told(token), false).await.map(drop),
        W::EndUnheard => end_unheard(store, token).await,
        W::BeginTurn => alerts.begin_turn(&client(token), "one").await.map(drop),
        W::PutOrder => alerts
            .put_order(&client(token), order(token))
            .await
            .map(drop),
        W::PlaceAlerts => {
            let (turn, news) = begin(store, token).await?;
            alerts
                .write_outcome(&turn, outcome(&news), at(30_000))
                .await
        }
        W::EndTurn => end(store, token).await,
        W::TellIncident => change(store, token, IncidentChange::Delivered(1)).await,
        W::ExplainIncident => {
            let cause = IncidentChange::Cause(json!({ "node": token }));
            change(store, token, cause).await
        }
        W::CloseIncident => {
            let closed = IncidentChange::Closed {
                version: 1,
                closing: Closing::Cleared,
                at: at(50_000),
            };
            change(store, token, closed).await
        }
        W::PutRules => alerts.put_rules(rules(token)).await,
        W::PutTopology => alerts.put_topology(topology(token)).await,
        W::PutExpectation => alerts.put_expectation(expectation(token)).await,
        other => panic!("{other:?} is no write of alerts"),
    }
}

/// Shows what one of these writes writes, as [`W::look`] does.
pub(crate) async fn look(write: W, store: &Store, token: &str, probe: &Probe) -> Vec<Value> {
    let alerts = &store.alerts;
    let one = match write {
        W::TakeAlerts | W::MissAlerts | W::ClearAlerts => {
            return alerts_of(store, token, &alert_ids(token)).await;
        }
        W::TakeTold | W::EndUnheard => {
            let ids: Vec<_> = (0..ALERTS).map(|number| told_id(token, number)).collect();
            return alerts_of(store, token, &ids).await;
        }
        W::BeginTurn => {
            let pk = format!("triage/{token}");
            probe.ask("Incidents", &pk, "head").await
        }
        W::PutOrder | W::EndTurn => {
            let waiting = alerts.read_orders(&client(token), MANY).await.unwrap();
            let known = alerts.get_order(&client(token), &order(token).id).await;
            let news = alerts.read_news(&client(token), at(90_000), MANY).await;
            let busy = busy(store, token).await;
            json!([waiting, known.unwrap(), news.unwrap(), busy])
        }
        W::PlaceAlerts => {
            let mut all = incidents_of(store, token).await;
            all.extend(alerts_of(store, token, &alert_ids(token)).await);
            return all;
        }
        W::TellIncident | W::ExplainIncident | W::CloseIncident => {
            incidents_of(store, token).await.swap_remove(0)
        }
        W::PutRules => json!(alerts.latest_rules(&client(token)).await.unwrap()),
        W::PutTopology => json!(alerts.get_topology(&client(token)).await.unwrap()),
        W::PutExpectation => {
            let devices = [device_id(token, 0)];
            json!(alerts.get_expectations(&devices).await.unwrap())
        }
        other => panic!("{other:?} is no write of alerts"),
    };
    vec![one]
}

/// Whether a client is in the list of busy ones, and has news.
async fn busy(store: &Store, token: &str) -> Option<bool> {
    let before = token.parse::<u64>().unwrap() - 1;
    let list = store
        .alerts
        .busy_clients(Some(&before.to_string()), 1)
        .await;
    let found = list.unwrap().items.pop();
    found
        .filter(|one| one.client == client(token))
        .map(|one| one.has_news)
}

/// Each alert, with its news and the lists it stands in.
async fn alerts_of(store: &Store, token: &str, ids: &[AlertId]) -> Vec<Value> {
    let alerts = &store.alerts;
    let known = alerts.get_alerts(ids).await.unwrap();
    let mut lists = Vec::new();
    for of in [
        AlertsOf::Client(client(token)),
        AlertsOf::ActiveOf(client(token)),
    ] {
        lists.push(alerts.list_alerts(&of, None, MANY).await.unwrap().items);
    }
    let placed = known.iter().filter_map(|alert| alert.placement.as_ref());
    let placed: BTreeSet<u64> = placed.filter_map(|placed| placed.incident).collect();
    for number in placed {
        let of = AlertsOf::Incident(IncidentKey::new(client(token), IncidentId(number)));
        lists.push(alerts.list_alerts(&of, None, MANY).await.unwrap().items);
    }
    let news = alerts.read_news(&client(token), at(90_000), MANY).await;
    let (news, busy) = (news.unwrap(), busy(store, token).await);
    let one = |id: &AlertId| {
        let alert = known.iter().find(|alert| alert.said.id == *id);
        let of = lists
            .iter()
            .filter(|list| list.iter().any(|alert| alert.said.id == *id));
        let of = of.count();
        let news: Vec<_> = news.iter().filter(|event| event.alert == *id).collect();
        // An alert that is known never waits for somebody to be told of it.
        json!([alert, of, news, alert.and(busy)])
    };
    ids.iter().map(one).collect()
}

/// Each incident, with the lists it stands in.
async fn incidents_of(store: &Store, token: &str) -> Vec<Value> {
    let mut lists = Vec::new();
    for of in [
        IncidentsOf::Client(client(token)),
        IncidentsOf::OpenOf(client(token)),
        IncidentsOf::UndeliveredOf(client(token)),
    ] {
        let list = store.alerts.list_incidents(&of, None, MANY).await;
        lists.push(list.unwrap().items);
    }
    let one = |number| {
        let key = IncidentKey::new(client(token), IncidentId(number));
        let of = lists
            .iter()
            .map(|list| list.iter().find(|record| record.key == key));
        json!(of.collect::<Vec<_>>())
    };
    (1..=u64::from(ALERTS)).map(one).collect()
}
