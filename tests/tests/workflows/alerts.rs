//! Alerts of the whole tenant become incidents of clients.

use std::sync::atomic::{AtomicI64, Ordering};

use autoops_tests::{Lost, World, deployment::ended, histories::runs_of, run, site, wire};
use clients::store::{AlertsOf, IncidentsOf, Store};
use contracts::{
    activities::ALERTING,
    alerts::{AlertIngestResult, NewsInput},
    failures::INVALID_INPUT,
};
use domain::{
    alert::{AlertSeverity, Closing, Sighting, Treatment},
    ids::ClientId,
    incident::State,
    triage::{IncidentKey, IncidentRecord, IncidentStatus, Order, OrderAnswer, OrderKind},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use temporalio_client::{
    UntypedSignal, UntypedWorkflow, WorkflowSignalOptions, WorkflowTerminateOptions,
};
use temporalio_common::protos::temporal::api::{enums::v1::EventType, history::v1::HistoryEvent};

fn sighting(world: &str, number: u32, title: &str, device: u32, ago: i64) -> Sighting {
    let now = Timestamp::now();
    Sighting {
        id: format!("superops/{world}-{number}").parse().unwrap(),
        client: world.parse().unwrap(),
        device: Some(device.to_string().parse().unwrap()),
        host: None,
        address: None,
        site: None,
        title: title.to_owned(),
        description: String::new(),
        severity: AlertSeverity::High,
        raised_at: now - SignedDuration::from_secs(ago),
        cleared: None,
        lasting: true,
        occurrences: 1,
        seen_at: now,
    }
}

fn say(world: &World, said: Sighting) {
    world.change(|m| m.alerts.insert(said.id.clone(), said));
}

/// Reads alerts once, as the schedule does every minute.
async fn ingest(world: &str, input: Value) -> Result<AlertIngestResult, (String, String)> {
    ingest_as(&reading(world), input).await
}

/// Names a reading.
fn reading(world: &str) -> String {
    // Ids of what a schedule starts end in the time; no two readings have the same.
    static READINGS: AtomicI64 = AtomicI64::new(0);
    let ahead = SignedDuration::from_secs(READINGS.fetch_add(1, Ordering::Relaxed));
    let at = (Timestamp::now() + ahead)
        .round(jiff::Unit::Second)
        .unwrap();
    format!("alert-ingest/{world}-{at}")
}

async fn ingest_as(id: &str, input: Value) -> Result<AlertIngestResult, (String, String)> {
    let mut all = json!({ "processing": { "lag_secs": 0, "response": { "settle_secs": 0 } } });
    for (field, value) in input.as_object().unwrap() {
        all[field] = value.clone();
    }
    ended(site().await.client(), "AlertIngest", id, wire::json(&all)).await
}

fn client(world: &str) -> ClientId {
    world.parse().unwrap()
}

async fn incidents(store: &Store, world: &str) -> Vec<IncidentRecord> {
    let of = IncidentsOf::Client(client(world));
    store
        .alerts
        .list_incidents(&of, None, 100)
        .await
        .unwrap()
        .items
}

/// Returns the history of the triage of a world when it waits for a time and has looked at all there is.
async fn at_rest(world: &World, name: &str) -> Vec<HistoryEvent> {
    let resting = world.until_stored("a triage that waits", async |store| {
        let busy = store.alerts.busy_clients(None, 10).await.unwrap().items;
        if busy.iter().any(|one| one.has_news) {
            return None;
        }
        let id = format!("alert-processing/{name}");
        let last = runs_of(site().await.client(), &id).await.pop()?;
        let of = |kind: EventType| {
            let mut each = last.iter();
            each.rposition(|event| event.event_type() == kind)
        };
        let waits = of(EventType::TimerStarted) > of(EventType::WorkflowTaskScheduled);
        waits.then_some(last)
    });
    resting.await
}

fn signals(events: &[HistoryEvent]) -> usize {
    let told = |event: &&HistoryEvent| event.event_type() == EventType::WorkflowExecutionSignaled;
    events.iter().filter(told).count()
}

/// Tells the triage that there is something to do, as a person's command does.
async fn wake(world: &str) {
    let handle = site()
        .await
        .client()
        .get_workflow_handle::<UntypedWorkflow>(format!("alert-processing/{world}"));
    let signal = UntypedSignal::new("news");
    let input = wire::json(&json!(NewsInput::default()));
    let sent = handle.signal(signal, input, WorkflowSignalOptions::default());
    sent.await.unwrap();
}

/// Reads two alerts, and lets triage wait for more; returns who has read and who waits.
pub(crate) async fn read_and_waiting(name: &str) -> [String; 2] {
    let world = World::new(site().await, name, 1);
    for n in 0..2 {
        say(&world, sighting(name, n, "raid is degraded", 81 + n, 0));
    }
    let id = reading(name);
    ingest_as(&id, json!({})).await.unwrap();
    at_rest(&world, name).await;
    [id, format!("alert-processing/{name}")]
}

#[test]
fn alerts_on_pages_become_incidents_and_clear_again() {
    run(async {
        let name = "alerts-pages";
        let world = World::new(site().await, name, 1);
        let titles = [
            "raid is degraded",
            "certificate expired",
            "mail queue grows",
            "backup failed",
            "toner is low",
        ];
        for (n, title) in (0..).zip(titles) {
            say(&world, sighting(name, n, title, 81 + n, i64::from(n) * 60));
        }
        let read = ingest(name, json!({})).await.unwrap();
        assert_eq!(
            (read.new, read.walked, read.clients, read.failed),
            (5, true, 1, None)
        );
        let all = world
            .until_stored("five incidents", async |store| {
                let found = incidents(store, name).await;
                (found.len() == 5 && found.iter().all(|one| one.delivered > 0)).then_some(found)
            })
            .await;
        assert!(all.iter().all(|one| one.news.incident.live == 1), "{all:?}");
        // Nothing new: known alerts are no news, and nobody walks again so soon.
        let read = ingest(name, json!({})).await.unwrap();
        assert_eq!((read.new, read.changed, read.walked), (0, 0, false));
        // One is resolved, another is simply gone: the second walk without it ends it.
        world.change(|m| {
            let mut all = m.alerts.values_mut();
            all.next().unwrap().cleared = Some(Some(Timestamp::now()));
            let gone = m.alerts.keys().nth(1).unwrap().clone();
            m.alerts.remove(&gone);
        });
        let read = ingest(name, json!({ "walk_secs": 0 })).await.unwrap();
        assert_eq!((read.changed > 0, read.cleared), (true, 0));
        let read = ingest(name, json!({ "walk_secs": 0 })).await.unwrap();
        assert_eq!(read.cleared, 1);
        world
            .until_stored("two that cleared", async |store| {
                let found = incidents(store, name).await.into_iter();
                let cleared = found.filter(|one| one.news.incident.state == State::Cleared);
                (cleared.count() == 2).then_some(())
            })
            .await;
    });
}

#[test]
fn each_activity_of_alerts_may_fail_or_not_be_heard() {
    run(async {
        // The answer to an incident has stories of its own.
        let activities = ALERTING.into_iter().filter(|name| {
            name.starts_with("alerts.") && *name != "alerts.expect"
                || ["superops.read_alerts", "incidents.deliver"].contains(name)
        });
        for activity in activities {
            for (word, lost) in [("unavailable", Lost::Retryable), ("unheard", Lost::Answer)] {
                let name = format!("alerts-{}-{word}", activity.replace(['.', '_'], "-"));
                let world = World::new(site().await, &name, 1);
                world.change(|m| m.fail(activity, Some(1), lost.clone()));
                say(&world, sighting(&name, 1, "raid is degraded", 81, 30));
                let read = ingest(&name, json!({})).await.unwrap();
                assert_eq!(read.failed, None, "{name}");
                let found = world
                    .until_stored("an incident", async |store| {
                        let found = incidents(store, &name).await;
                        let told = |one: &IncidentRecord| one.delivered > 0;
                        (!found.is_empty() && found.iter().all(told)).then_some(found)
                    })
                    .await;
                assert_eq!(found.len(), 1, "{name}: {found:?}");
                assert_eq!(found[0].news.incident.alerts, 1, "{name}: counted once");
            }
        }
    });
}

#[test]
fn what_was_read_is_triaged_although_the_rmm_went_away() {
    run(async {
        let name = "alerts-away";
        let world = World::new(site().await, name, 1);
        world.change(|m| {
            m.fail(
                "superops.read_alerts",
                Some(2),
                Lost::Refused("superops.unauthorized"),
            );
        });
        for n in 0..4 {
            say(
                &world,
                sighting(name, n, "raid is degraded", 81, 3_600 + i64::from(n)),
            );
        }
        let read = ingest(name, json!({})).await.unwrap();
        assert!(
            read.failed.is_some() && read.new == 3 && read.clients == 1,
            "{read:?}"
        );
        world
            .until_stored("an incident", async |store| {
                let of = AlertsOf::ActiveOf(client(name));
                let found = store.alerts.list_alerts(&of, None, 10).await.unwrap().items;
                let placed = found.iter().filter(|alert| alert.placement.is_some());
                (placed.count() == 3).then_some(())
            })
            .await;
    });
}

#[test]
fn people_merge_and_close_incidents() {
    run(async {
        let name = "alerts-people";
        let world = World::new(site().await, name, 1);
        say(&world, sighting(name, 1, "raid is degraded", 81, 1_200));
        say(&world, sighting(name, 2, "certificate expired", 82, 30));
        ingest(name, json!({})).await.unwrap();
        let both = world
            .until_stored("two incidents", async |store| {
                let found = incidents(store, name).await;
                (found.len() == 2).then_some(found)
            })
            .await;
        let keys: Vec<IncidentKey> = both.into_iter().map(|one| one.key).collect();
        let order = |id: &str, kind| Order {
            id: id.to_owned(),
            kind,
            by: "dana".parse().unwrap(),
            reason: "one cause".to_owned(),
            at: Timestamp::now(),
            answer: None,
        };
        let merge = OrderKind::Merge {
            from: keys[0].clone(),
            into: keys[1].clone(),
        };
        let alerts = &world.store().alerts;
        alerts
            .put_order(&client(name), order("o-1", merge))
            .await
            .unwrap();
        wake(name).await;
        let answered = async |id: &'static str| {
            let done = world.until_stored("an answer", async |store| {
                let order = store.alerts.get_order(&client(name), id).await.unwrap();
                order.unwrap().answer
            });
            done.await
        };
        let incident = Some(keys[1].clone());
        assert_eq!(answered("o-1").await, OrderAnswer::Done { incident });
        let gone = alerts.get_incident(&keys[0]).await.unwrap().unwrap();
        let into = IncidentStatus::MergedInto {
            incident: keys[1].clone(),
        };
        assert_eq!(gone.status, into);
        let placed = alerts
            .list_alerts(&AlertsOf::Incident(keys[1].clone()), None, 10)
            .await;
        let placed = placed.unwrap().items;
        assert_eq!(placed.len(), 2);
        let treatment = |alert: &domain::alert::Alert| alert.placement.clone().unwrap().treatment;
        assert!(
            placed
                .iter()
                .all(|alert| treatment(alert) == Treatment::Incident)
        );

        let close = |key: &IncidentKey| OrderKind::Close {
            incident: key.clone(),
        };
        alerts
            .put_order(&client(name), order("o-2", close(&keys[1])))
            .await
            .unwrap();
        alerts
            .put_order(&client(name), order("o-3", close(&keys[0])))
            .await
            .unwrap();
        wake(name).await;
        assert!(matches!(answered("o-2").await, OrderAnswer::Done { .. }));
        assert!(matches!(answered("o-3").await, OrderAnswer::Refused { .. }));
        let closed = alerts.get_incident(&keys[1]).await.unwrap().unwrap();
        assert!(
            matches!(closed.status, IncidentStatus::Closed { .. }),
            "{closed:?}"
        );
        let chain = world
            .store()
            .actions
            .read_chain(&format!("incidents/{name}"), 0, 10)
            .await;
        assert_eq!(chain.unwrap().len(), 3);
    });
}

#[test]
fn a_walk_over_more_pages_than_a_reading_takes_comes_to_its_end() {
    run(async {
        let name = "alerts-walk";
        let world = World::new(site().await, name, 1);
        let said = |n| sighting(name, n, "raid is degraded", 81, 3_600 * i64::from(n + 1));
        (0..12).for_each(|n| say(&world, said(n)));
        let read = ingest(name, json!({})).await.unwrap();
        assert_eq!((read.new, read.walked), (12, true));
        let two_pages = json!({ "walk_secs": 0, "most_pages": 2 });
        let read = ingest(name, two_pages.clone()).await.unwrap();
        assert_eq!((read.walked, read.cleared, read.failed), (false, 0, None));
        // What it has seen ends, and all behind it moves up by more than a page; the last one is gone.
        let gone = |n| world.change(|m| drop(m.alerts.remove(&said(n).id)));
        [0, 1, 2, 3, 4, 11].into_iter().for_each(gone);
        let read = ingest(name, two_pages.clone()).await.unwrap();
        assert_eq!((read.walked, read.cleared, read.failed), (true, 0, None));
        let all: Vec<_> = (0..12).map(|n| said(n).id).collect();
        let known = world.store().alerts.get_alerts(&all).await.unwrap();
        let missed: Vec<u32> = known.iter().map(|alert| alert.missed).collect();
        assert_eq!(missed, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let read = ingest(name, two_pages.clone()).await.unwrap();
        assert_eq!((read.walked, read.cleared), (true, 1));
        // One that fails in the middle goes on as well: page by page it comes to its end.
        let calls = world.read(|m| m.calls_of("superops.read_alerts"));
        let third = u32::try_from(calls).unwrap() + 3;
        world.change(|m| {
            let refused = Lost::Refused("superops.unauthorized");
            m.fail("superops.read_alerts", Some(third), refused);
        });
        let read = ingest(name, json!({ "walk_secs": 0 })).await.unwrap();
        assert!(read.failed.is_some() && !read.walked, "{read:?}");
        let read = ingest(name, json!({ "most_pages": 1 })).await.unwrap();
        assert_eq!((read.walked, read.cleared, read.failed), (true, 5, None));
    });
}

#[test]
fn a_reading_of_one_page_comes_to_the_end_of_what_is_left() {
    run(async {
        let name = "alerts-left";
        let world = World::new(site().await, name, 1);
        say(&world, sighting(name, 0, "raid is degraded", 81, 900));
        let one_page = json!({ "most_pages": 1 });
        ingest(name, one_page.clone()).await.unwrap();
        // Four pages within the time that is read again.
        (1..12).for_each(|n| {
            let said = sighting(name, n, "raid is degraded", 81, i64::from(n));
            say(&world, said);
        });
        let mut new = 0;
        for _ in 0..4 {
            new += ingest(name, one_page.clone()).await.unwrap().new;
        }
        assert_eq!(new, 11);
    });
}

#[test]
fn what_came_first_in_a_storm_is_read_although_the_storm_goes_on() {
    run(async {
        let name = "alerts-storm";
        let world = World::new(site().await, name, 1);
        say(&world, sighting(name, 0, "raid is degraded", 81, 3_600));
        let one_page = json!({ "most_pages": 1 });
        ingest(name, one_page.clone()).await.unwrap();
        // Four pages, and then three more before each reading: more than one takes.
        let raise = |numbers: std::ops::Range<u32>| {
            for n in numbers {
                let said = sighting(name, n, "raid is degraded", 81, 900 - i64::from(n));
                say(&world, said);
            }
        };
        raise(1..13);
        let first: Vec<_> = (1..13).map(|n| sighting(name, n, "", 81, 0).id).collect();
        let mut next = 13;
        for reading in 0.. {
            assert!(reading < 8, "the first ones are never read");
            ingest(name, one_page.clone()).await.unwrap();
            let known = world.store().alerts.get_alerts(&first).await.unwrap();
            if known.len() == first.len() {
                break;
            }
            raise(next..next + 9);
            next += 9;
        }
        // And the storm to its end.
        let of = AlertsOf::Client(client(name));
        for reading in 0.. {
            assert!(reading < 100, "the newest ones are never read");
            let all = world.store().alerts.list_alerts(&of, None, 200).await;
            if all.unwrap().items.len() == next as usize {
                break;
            }
            ingest(name, one_page.clone()).await.unwrap();
        }
    });
}

#[test]
fn a_triage_that_waits_for_a_time_is_woken_by_news_alone() {
    run(async {
        let name = "alerts-rest";
        let world = World::new(site().await, name, 1);
        say(&world, sighting(name, 1, "raid is degraded", 81, 30));
        ingest(name, json!({})).await.unwrap();
        // The rank of its incident is given half an hour after it began.
        let before = at_rest(&world, name).await;
        for _ in 0..3 {
            let read = ingest(name, json!({})).await.unwrap();
            assert_eq!((read.clients, read.failed), (1, None));
        }
        let after = at_rest(&world, name).await;
        assert_eq!(after.len(), before.len(), "{after:#?}");
        // News still get through.
        say(&world, sighting(name, 2, "certificate expired", 82, 20));
        ingest(name, json!({})).await.unwrap();
        let told = at_rest(&world, name).await;
        assert_eq!(signals(&told), signals(&before) + 1);
        assert_eq!(incidents(world.store(), name).await.len(), 2);
        // One that is gone although something waits is started again.
        let handle = site()
            .await
            .client()
            .get_workflow_handle::<UntypedWorkflow>(format!("alert-processing/{name}"));
        let gone = handle.terminate(WorkflowTerminateOptions::default());
        gone.await.unwrap();
        ingest(name, json!({})).await.unwrap();
        let again = at_rest(&world, name).await;
        assert_eq!(signals(&again), 0, "started, not told");
    });
}

#[test]
fn a_turn_that_was_taken_away_or_whose_worker_died_is_done_again_by_the_next_try() {
    run(async {
        let name = "alerts-rival";
        let world = World::new(site().await, name, 1);
        world.change(|m| m.rival = true);
        say(&world, sighting(name, 1, "raid is degraded", 81, 30));
        ingest(name, json!({})).await.unwrap();
        let events = at_rest(&world, name).await;
        let tries = world.read(|m| m.calls_of("alerts.triage"));
        assert!(tries >= 2 && !world.read(|m| m.rival), "{tries} tries");
        let found = incidents(world.store(), name).await;
        assert_eq!((found.len(), found[0].version), (1, 1));
        assert_eq!(found[0].news.incident.alerts, 1, "taken in once");
        let failed = |event: &&HistoryEvent| event.event_type() == EventType::ActivityTaskFailed;
        assert_eq!(events.iter().filter(failed).count(), 0);
        // One that dies is noticed by its heartbeat, long before the time of a turn is over.
        let next = u32::try_from(tries).unwrap() + 1;
        world.change(|m| m.fail("alerts.triage", Some(next), Lost::Silent));
        say(&world, sighting(name, 2, "certificate expired", 82, 20));
        ingest(name, json!({})).await.unwrap();
        at_rest(&world, name).await;
        assert_eq!(incidents(world.store(), name).await.len(), 2);
    });
}

#[test]
fn an_incident_of_a_tool_that_never_says_cleared_ends_by_itself() {
    run(async {
        let name = "alerts-unheard";
        let world = World::new(site().await, name, 1);
        let told = |own: &str, lasting| Sighting {
            id: format!("plain/{name}-{own}").parse().unwrap(),
            lasting,
            ..sighting(name, 1, "backup job failed", 81, 3_600)
        };
        let alerts = &world.store().alerts;
        let both = vec![told("moment", false), told("lasting", true)];
        alerts.take_sightings(both, false).await.unwrap();
        // The RMM is away: what other tools say goes on.
        world.change(|m| {
            let refused = Lost::Refused("superops.unauthorized");
            m.fail("superops.read_alerts", None, refused);
        });
        let over = async |own: &str| {
            let id = told(own, true).id;
            let known = alerts.get_alerts(&[id]).await.unwrap();
            known[0].closing
        };
        let mut reads = ingest(name, json!({})).await.unwrap();
        assert_eq!((reads.unheard, reads.failed.is_some()), (0, true));
        while reads.unheard == 0 {
            reads = ingest(name, json!({ "moment_secs": 1 })).await.unwrap();
        }
        assert_eq!(over("moment").await, Some(Closing::Unheard));
        assert_eq!(over("lasting").await, None);
        let read = ingest(name, json!({ "unheard_secs": 1 })).await.unwrap();
        assert_eq!(read.unheard, 1);
        assert_eq!(over("lasting").await, Some(Closing::Unheard));
        world
            .until_stored("an incident that cleared", async |store| {
                let found = incidents(store, name).await;
                let live = found.iter().map(|one| one.news.incident.live);
                (!found.is_empty() && live.sum::<u32>() == 0).then_some(())
            })
            .await;
    });
}

#[test]
fn wrong_figures_of_a_reading_are_named() {
    run(async {
        let name = "alerts-input";
        let _world = World::new(site().await, name, 1);
        let (kind, message) = ingest(name, json!({ "most_pages": 0 })).await.unwrap_err();
        assert_eq!(kind, INVALID_INPUT);
        assert!(message.contains("most_pages: `0`"), "{message}");
        let (_, message) = ingest(name, json!({ "moment_secs": 0 })).await.unwrap_err();
        assert!(message.contains("moment_secs: `0`"), "{message}");
    });
}
