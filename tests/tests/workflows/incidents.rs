//! Incidents are answered: explained, closed when they are over, and patch waves halted.

use std::sync::Arc;

use autoops_tests::{
    Lost, Site, World, histories,
    incident::{TestIncident, left_over},
    plan::{KB, asks},
    run, site,
};
use contracts::alerts::IncidentResponseResult as End;
use domain::{
    audit::Actor,
    campaign::Degraded,
    cause::CauseReport,
    dead_letter::LetterKind,
    deployment::Stage,
    incident::IncidentId,
    triage::{Closing, IncidentKey, IncidentStatus},
};
use serde_json::json;

use crate::letters::open_letters;

const CLEARED: End = End::Closed {
    closing: Closing::Cleared,
};

pub(crate) async fn world(number: u64) -> (&'static Site, Arc<World>) {
    let site = site().await;
    (site, World::new(site, &format!("incident-{number}"), 3))
}

fn is_told(status: &contracts::alerts::IncidentResponseStatus) -> bool {
    status.stage == "waiting" && status.cause.as_ref().is_some_and(|one| one.told.is_some())
}

pub(crate) async fn audited(world: &World, chain: &str) -> Vec<String> {
    let entries = world.chain(chain).await;
    entries.into_iter().map(|entry| entry.record.what).collect()
}

/// Answers one from its first alert to its end; returns the workflow id.
pub(crate) async fn answered(world: &Arc<World>, number: u64) -> String {
    let mut incident = TestIncident::open(world, number, &["81"]).await;
    incident
        .change(|news| news.suspects = vec![left_over("long-over", KB, "81")])
        .await;
    let answer = incident.answer(site().await, &json!({})).await;
    answer.until("a cause", is_told).await;
    incident.clears().await;
    answer.news(3).await;
    assert_eq!(answer.end().await.unwrap(), CLEARED);
    answer.id().to_owned()
}

#[test]
fn an_incident_is_explained_closed_when_it_clears_and_remembered() {
    run(async {
        let (site, world) = world(11).await;
        let mut incident = TestIncident::open(&world, 110, &["81", "82"]).await;
        let answer = incident.answer(site, &json!({})).await;
        answer.news(1).await;
        let status = answer.until("a cause", is_told).await;
        let cause = status.cause.unwrap();
        // It failed first.
        assert_eq!(cause.suspects[0].machine, "81");
        let ids: Vec<&str> = cause.evidence.iter().map(|one| one.id.as_str()).collect();
        for id in ["alert_1", "alert_2", "figures_1", "scripts_1"] {
            assert!(ids.contains(&id), "{ids:?}");
        }
        // There is no model: the reasons of the rule stand alone, and that is said.
        let told = cause.told.as_ref().unwrap();
        assert_eq!(told.degraded, Some(Degraded::NoModel));
        let stored = CauseReport::of(incident.record().await.cause.as_ref());
        assert_eq!(stored.as_ref(), Some(&cause));
        incident.clears().await;
        answer.news(2).await;
        assert_eq!(answer.end().await.unwrap(), CLEARED);
        let record = incident.record().await;
        assert!(matches!(record.status, IncidentStatus::Closed { .. }));
        assert_eq!(
            audited(&world, answer.id()).await,
            ["incident_explained", "incident_narrated"]
        );

        // The next one like it finds it.
        let again = TestIncident::open(&world, 111, &["82", "83"]).await;
        let answer = again.answer(site, &json!({})).await;
        let status = answer.until("a cause", is_told).await;
        let cause = status.cause.unwrap();
        let past: Vec<_> = cause.past().collect();
        assert_eq!(past.len(), 1, "{cause:?}");
        assert_eq!(past[0].incident, "7001-110");
        assert!(past[0].likeness_permille > 900);
        assert!(past[0].what_worked.as_ref().unwrap().contains("cleared"));
        // What it looked like is kept without its values.
        assert!(!past[0].title.contains("99"), "{}", past[0].title);
        answer.cancel().await;
        assert_eq!(answer.end().await.unwrap(), End::Cancelled);
        assert_eq!(again.record().await.status, IncidentStatus::Open);
    });
}

#[test]
fn news_while_it_is_being_closed_keep_it_open() {
    run(async {
        let (site, world) = world(12).await;
        let mut incident = TestIncident::open(&world, 120, &["81"]).await;
        let answer = incident.answer(site, &json!({})).await;
        answer.until("a cause", is_told).await;
        world.change(|m| m.held.insert("incidents.close".to_owned()));
        incident.clears().await;
        answer.news(2).await;
        world
            .until("closing", |m| m.calls_of("incidents.close") == 1)
            .await;
        incident
            .change(|news| {
                news.over = false;
                news.incident.live = 1;
            })
            .await;
        world.change(|m| m.held.clear());
        answer.news(3).await;
        answer
            .until("the news", |s| {
                s.stage == "waiting" && s.incident.as_ref().is_some_and(|i| i.version == 3)
            })
            .await;
        assert_eq!(incident.record().await.status, IncidentStatus::Open);
        incident.clears().await;
        answer.news(4).await;
        assert_eq!(answer.end().await.unwrap(), CLEARED);
    });
}

#[test]
fn one_that_was_merged_or_closed_by_a_person_ends_so() {
    run(async {
        let (site, world) = world(13).await;
        let mut merged = TestIncident::open(&world, 130, &["81"]).await;
        let answer = merged.answer(site, &json!({})).await;
        merged
            .change(|news| {
                news.over = true;
                news.merged_into = Some(IncidentId(131));
            })
            .await;
        answer.news(2).await;
        let into = IncidentKey::new("7001".parse().unwrap(), IncidentId(131));
        assert_eq!(
            answer.end().await.unwrap(),
            End::MergedInto { incident: into }
        );
        assert_eq!(world.read(|m| m.calls_of("incidents.remember")), 0);

        let closed = TestIncident::open(&world, 132, &["81"]).await;
        let closing = Closing::ByPerson {
            by: "dana".parse().unwrap(),
            reason: "planned".to_owned(),
        };
        let change = clients::store::IncidentChange::Closed {
            version: 1,
            closing: closing.clone(),
            at: jiff::Timestamp::now(),
        };
        let alerts = world.ledger().alerts;
        alerts.change_incident(closed.key(), change).await.unwrap();
        let answer = closed.answer(site, &json!({})).await;
        assert_eq!(answer.end().await.unwrap(), End::Closed { closing });
    });
}

#[test]
fn what_a_wave_left_over_halts_its_deployment_and_both_say_so() {
    run(async {
        let (site, world) = world(14).await;
        world.change(|m| m.verdict = asks(|need| need.timeout_secs = 600));
        let deployment = world.deploy(site, |_| {}).await;
        deployment.open_request().await;
        // Nobody halts in the name of an incident that suspects nothing.
        let mut incident = TestIncident::open(&world, 140, &["81", "82"]).await;
        let claim = json!({ "by": "incident-response", "kb": KB, "incident": incident.key() });
        deployment.signal("halt", claim).await;
        let refused = || async {
            let audited = deployment.audited().await;
            audited.contains(&"control_not_allowed".to_owned())
        };
        world
            .until("the claim", |m| m.calls_of("approvals.authorize") == 1)
            .await;
        let answer = incident.answer(site, &json!({})).await;
        answer.until("a cause", is_told).await;
        assert!(answer.status().await.halts.is_empty());
        incident
            .change(|news| news.suspects = vec![left_over("incident-14", KB, "82")])
            .await;
        answer.news(2).await;
        let status = answer
            .until("a halt", |s| s.halts.iter().any(|halt| halt.reached))
            .await;
        assert_eq!(status.halts.len(), 1);
        assert!(refused().await);
        deployment.decide("approve", "dana").await;
        deployment
            .until_status("a halt", |s| s.stage == Stage::Halted)
            .await;
        let note = deployment.status().await.note;
        assert!(
            note.starts_with("incident-response: suspect: KB5034441, ring 1 (incident 7001-140)"),
            "{note}"
        );
        assert_eq!(world.read(|m| m.scripts.len()), 0, "devices are left alone");
        let agent = Actor::Agent {
            name: "incident-response".to_owned(),
            model: None,
        };
        for (chain, what) in [
            (deployment.id(), "control_halt"),
            (answer.id(), "deployment_halt_asked"),
        ] {
            let entries = world.chain(chain).await;
            let mut halts = entries.iter().filter(|one| one.record.what == what);
            let halt = &halts.next().unwrap().record;
            assert_eq!(halt.actor, agent, "{chain}");
            assert!(halt.evidence.contains(&KB.to_owned()), "{chain}");
            assert!(halts.next().is_none(), "{chain} halted twice");
        }
        // The wave is now a reason as well, and it is halted once only.
        incident.change(|news| news.incident.alerts += 1).await;
        answer.news(3).await;
        let status = answer
            .until("the wave among the reasons", |s| {
                let mut evidence = s.cause.iter().flat_map(|one| &one.evidence);
                is_told(s) && evidence.any(|piece| piece.id == "wave_1")
            })
            .await;
        assert_eq!(status.halts.len(), 1);
        incident.clears().await;
        answer.news(4).await;
        assert_eq!(answer.end().await.unwrap(), CLEARED);
        deployment
            .signal("abort", json!({ "by": "dana", "reason": "enough" }))
            .await;
        deployment.result().await;
    });
}

#[test]
fn a_deployment_that_is_over_is_not_waited_for() {
    run(async {
        let (site, world) = world(15).await;
        let mut incident = TestIncident::open(&world, 150, &["81"]).await;
        incident
            .change(|news| news.suspects = vec![left_over("long-over", KB, "81")])
            .await;
        let answer = incident.answer(site, &json!({})).await;
        let status = answer.until("a cause", is_told).await;
        assert_eq!(status.halts.len(), 1);
        assert!(!status.halts[0].reached);
        incident.clears().await;
        answer.news(3).await;
        assert_eq!(answer.end().await.unwrap(), CLEARED);
    });
}

#[test]
fn what_it_knows_survives_continue_as_new() {
    run(async {
        let (site, world) = world(16).await;
        let mut incident = TestIncident::open(&world, 160, &["81", "82"]).await;
        incident
            .change(|news| news.suspects = vec![left_over("long-over", KB, "81")])
            .await;
        world.change(|m| m.fail("store.append_audit", None, Lost::Refused("store.malformed")));
        let waits = json!({ "continue_after_events": 50 });
        let answer = incident.answer(site, &waits).await;
        answer.until("a cause", is_told).await;
        // News that change nothing the cause rests on.
        for count in 3..15 {
            incident.change(|news| news.incident.alerts += 1).await;
            answer.news(count).await;
            answer
                .until("the news", |s| {
                    let version = s.incident.as_ref().map(|one| one.version);
                    s.stage == "waiting" && version == Some(count)
                })
                .await;
        }
        assert_eq!(world.read(|m| m.calls_of("incidents.explain")), 1);
        let status = answer.status().await;
        assert_eq!(status.halts.len(), 1, "told once");
        assert!(status.cause.is_some());
        let missing = "deployment_halt_asked/long-over: refused on demand";
        assert!(status.problems["audit"].contains(missing), "{status:?}");
        let letters = open_letters(&world).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!(letters[0].kind, LetterKind::RecordRefused);
        assert_eq!(letters[0].workflow_id, answer.id());
        assert!(letters[0].cause.contains(missing), "{letters:?}");
        incident.clears().await;
        answer.news(15).await;
        assert_eq!(answer.end().await.unwrap(), CLEARED);
        let runs = histories::runs_of(site.client(), answer.id()).await;
        assert!(runs.len() > 1, "{} runs", runs.len());
    });
}

#[test]
fn the_cause_is_looked_for_again_when_what_it_rests_on_changes() {
    run(async {
        let (site, world) = world(17).await;
        let mut incident = TestIncident::open(&world, 170, &["81"]).await;
        let answer = incident.answer(site, &json!({ "suspects": 0 })).await;
        answer.until("a cause", is_told).await;
        incident
            .change(|news| news.incident.devices.push("82".to_owned()))
            .await;
        answer.news(2).await;
        answer
            .until("a second look", |s| {
                is_told(s) && s.cause.as_ref().is_some_and(|one| one.version == 2)
            })
            .await;
        assert_eq!(world.read(|m| m.calls_of("superops.read_figures")), 0);
        incident.clears().await;
        answer.news(3).await;
        assert_eq!(answer.end().await.unwrap(), CLEARED);
    });
}

/// Which problems a person sees when a step is refused for good; nothing: the answer fails.
const REFUSED: [(&str, Option<&[&str]>); 10] = [
    ("incidents.load", None),
    ("incidents.close", None),
    ("incidents.explain", Some(&["cause"])),
    ("incidents.narrate", Some(&["evidence"])),
    ("incidents.advise", Some(&["advice"])),
    ("incidents.remember", Some(&["memory"])),
    ("store.append_audit", Some(&["audit"])),
    ("superops.read_figures", Some(&[])),
    ("superops.read_script_runs", Some(&[])),
    ("incidents.read_metrics", Some(&[])),
];

#[test]
fn an_answer_comes_to_its_end_whatever_step_fails() {
    run(async {
        let mut number = 18;
        for (activity, seen) in REFUSED {
            for how in [
                Lost::Retryable,
                Lost::Answer,
                Lost::Refused("harness.unauthorized"),
            ] {
                let (site, world) = world(number).await;
                let mut incident = TestIncident::open(&world, number * 10, &["81"]).await;
                incident
                    .change(|news| news.suspects = vec![left_over("long-over", KB, "81")])
                    .await;
                let refused = matches!(how, Lost::Refused(_));
                let call = (!refused).then_some(1);
                world.change(|m| {
                    m.measures = true;
                    m.fail(activity, call, how.clone());
                });
                let answer = incident.answer(site, &json!({})).await;
                number += 1;
                let told = format!("{activity} {how:?}");
                if refused && seen.is_none() && activity == "incidents.load" {
                    assert_eq!(answer.end().await.unwrap_err().0, "harness.unauthorized");
                    continue;
                }
                answer
                    .until(&told, |s| {
                        s.stage == "waiting" && (is_told(s) || !s.problems.is_empty())
                    })
                    .await;
                incident.clears().await;
                answer.news(3).await;
                match (refused, seen) {
                    (true, None) => {
                        assert_eq!(answer.end().await.unwrap_err().0, "harness.unauthorized");
                    }
                    (true, Some(words)) => {
                        assert_eq!(answer.end().await.unwrap(), CLEARED, "{told}");
                        let problems = answer.status().await.problems;
                        let steps: Vec<&str> = problems.keys().map(String::as_str).collect();
                        assert_eq!(steps, words, "{told}: {problems:?}");
                    }
                    (false, _) => assert_eq!(answer.end().await.unwrap(), CLEARED, "{told}"),
                }
                assert!(world.read(|m| m.calls_of(activity)) >= 1, "{told}");
            }
        }
    });
}

#[test]
fn what_is_measured_on_a_suspect_becomes_a_reason_where_it_is_set_up() {
    run(async {
        for (number, measures) in [(52, true), (53, false)] {
            let (site, world) = world(number).await;
            world.change(|m| m.measures = measures);
            let mut incident = TestIncident::open(&world, number * 10, &["81"]).await;
            let answer = incident.answer(site, &json!({})).await;
            let status = answer.until("a cause", is_told).await;
            let cause = status.cause.unwrap();
            let because = cause.suspects[0].because.iter();
            let cited = because.filter(|one| one.evidence == "metrics_1").count();
            assert_eq!(cited, usize::from(measures), "{cause:?}");
            let calls = world.read(|m| m.calls_of("incidents.read_metrics"));
            assert_eq!(calls, usize::from(measures));
            incident.clears().await;
            answer.news(2).await;
            assert_eq!(answer.end().await.unwrap(), CLEARED);
        }
    });
}

#[test]
fn a_model_that_is_away_leaves_the_rule_marked_degraded() {
    run(async {
        let (site, world) = world(50).await;
        let mut incident = TestIncident::open(&world, 500, &["81", "82"]).await;
        world.change(|m| {
            m.fail(
                "incidents.narrate",
                Some(1),
                Lost::Refused("bedrock.unavailable"),
            );
        });
        let answer = incident.answer(site, &json!({})).await;
        let status = answer.until("a cause", is_told).await;
        let cause = status.cause.unwrap();
        assert_eq!(cause.told.unwrap().degraded, Some(Degraded::Unavailable));
        assert_eq!(cause.suspects[0].machine, "81");
        incident.clears().await;
        answer.news(2).await;
        assert_eq!(answer.end().await.unwrap(), CLEARED);
    });
}

#[test]
fn a_typo_in_the_input_is_named() {
    run(async {
        let (site, world) = world(51).await;
        let incident = TestIncident::open(&world, 510, &["81"]).await;
        let answer = incident.answer(site, &json!({ "again_secs": 0 })).await;
        let (kind, words) = answer.end().await.unwrap_err();
        assert_eq!(kind, contracts::failures::INVALID_INPUT);
        assert!(words.contains("waits.again_secs"), "{words}");
    });
}
