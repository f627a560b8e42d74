//! What belongs together: advised, shown with the command that does it, and never done without people.

use std::sync::Arc;

use autoops_tests::{
    Lost, World,
    incident::{Answer, TestIncident},
    run,
};
use clients::bedrock::{Bedrock, BedrockConfig, StaticCredentials};
use contracts::{
    alerts::{IncidentResponseResult as End, IncidentResponseStatus},
    incident_words,
};
use dev_server::sim::{
    RunningSim,
    bedrock::{BedrockSimOptions, LogEntry, start},
};
use domain::{
    advice::{IncidentAdvice, Verdict},
    campaign::Degraded,
    triage::{IncidentKey, IncidentStatus},
};
use serde_json::{Value, json};

use super::incidents::{audited, world};

/// A simulated Bedrock, asked by the real client.
async fn model(world: &World) -> RunningSim {
    let sim = start(BedrockSimOptions::default()).await.unwrap();
    let config = BedrockConfig {
        endpoint_url: Some(sim.url.clone()),
        timeout_secs: 5,
        credentials: Some(StaticCredentials::of_this_machine()),
        ..BedrockConfig::default()
    };
    let bedrock = Arc::new(Bedrock::new(config).await.unwrap());
    world.change(|m| m.bedrock = Some(bedrock));
    sim
}

/// Questions of the correlation agent that the model was asked.
async fn questions(sim: &RunningSim) -> usize {
    let log = reqwest::get(format!("{}/log", sim.url)).await.unwrap();
    let log: Vec<LogEntry> = log.json().await.unwrap();
    let about = |entry: &&LogEntry| entry.body.to_string().contains("alert_correlation");
    log.iter().filter(about).count()
}

async fn faults(sim: &RunningSim, faults: Value) {
    let http = reqwest::Client::new();
    let sent = http
        .post(format!("{}/faults", sim.url))
        .json(&faults)
        .send();
    assert!(sent.await.unwrap().status().is_success());
}

fn advice_of(status: &IncidentResponseStatus) -> Option<&IncidentAdvice> {
    status.cause.as_ref()?.advice.as_ref()
}

async fn advised(answer: &Answer) -> (IncidentAdvice, Vec<String>) {
    let is_there =
        |status: &IncidentResponseStatus| status.stage == "waiting" && advice_of(status).is_some();
    let status = answer.until("advice", is_there).await;
    let sections = incident_words::sections(&status, ToOwned::to_owned);
    let lines = sections.into_iter().flat_map(|section| {
        let lines = section.lines.into_iter();
        lines.map(move |line| format!("{}: {line}", section.title))
    });
    (advice_of(&status).unwrap().clone(), lines.collect())
}

/// Two incidents of one kind, a few moments apart, on two machines; the younger one is answered.
async fn two(world: &Arc<World>, number: u64) -> (TestIncident, TestIncident) {
    let older = TestIncident::open(world, number * 10, &["81"]).await;
    let younger = TestIncident::open(world, number * 10 + 1, &["82"]).await;
    (older, younger)
}

#[test]
fn a_model_advises_to_merge_and_a_person_does_it_by_the_command_that_is_shown() {
    run(async {
        let (site, world) = world(54).await;
        let sim = model(&world).await;
        let (older, mut younger) = two(&world, 54).await;
        let answer = younger.answer(site, &json!({})).await;
        let (advice, lines) = advised(&answer).await;
        assert_eq!(advice.opinions[0].verdict, Verdict::Advise);
        assert!(advice.model.is_some() && advice.degraded.is_none() && advice.tokens > 0);
        let line = lines
            .iter()
            .find(|line| line.starts_with("The model advises: "));
        let line = line.unwrap();
        assert!(line.contains("it is one with incident 7001-540"), "{line}");
        let command = "autoops incidents merge 7001-541 --into 7001-540 --by NAME --reason '";
        assert!(line.contains(command), "{line}");
        for incident in [&older, &younger] {
            assert_eq!(incident.record().await.status, IncidentStatus::Open);
        }
        assert_eq!(
            audited(&world, answer.id()).await,
            [
                "incident_explained",
                "incident_narrated",
                "incident_advised"
            ]
        );
        // The older one does not ask the same from its side.
        let other = older.answer(site, &json!({})).await;
        let told = |s: &IncidentResponseStatus| {
            s.stage == "waiting" && s.cause.as_ref().is_some_and(|one| one.told.is_some())
        };
        assert_eq!(advice_of(&other.until("a cause", told).await), None);
        // News that are nothing new to ask about: the cause is looked for again, the model is left alone.
        younger
            .change(|news| news.incident.titles.push("Backup failed".to_owned()))
            .await;
        answer.news(2).await;
        let again = |s: &IncidentResponseStatus| {
            told(s) && s.cause.as_ref().is_some_and(|one| one.version == 2)
        };
        let status = answer.until("a second look", again).await;
        assert_eq!(advice_of(&status), Some(&advice));
        assert_eq!(questions(&sim).await, 1);
        younger
            .change(|news| {
                news.over = true;
                news.merged_into = Some(older.key().number());
            })
            .await;
        answer.news(3).await;
        let incident: IncidentKey = older.key().clone();
        assert_eq!(answer.end().await.unwrap(), End::MergedInto { incident });
        other.cancel().await;
        other.end().await.unwrap();
    });
}

#[test]
fn an_incident_that_opens_later_is_found_at_the_next_look() {
    run(async {
        let (site, world) = world(55).await;
        let _sim = model(&world).await;
        let younger = TestIncident::open(&world, 551, &["82"]).await;
        let answer = younger.answer(site, &json!({ "look_secs": 1 })).await;
        world
            .until("two looks", |m| m.calls_of("incidents.advise") > 1)
            .await;
        assert_eq!(advice_of(&answer.status().await), None);
        // What was raised before it, and read after it.
        TestIncident::open_before(&world, 550, &["81"], 5).await;
        let (advice, _) = advised(&answer).await;
        assert_eq!(advice.round, 1);
        answer.cancel().await;
        answer.end().await.unwrap();
    });
}

#[test]
fn a_model_that_answers_nonsense_or_is_away_leaves_the_near_misses_of_the_rule() {
    run(async {
        for (number, away, why) in [
            (56, false, Degraded::Unusable),
            (57, true, Degraded::Unavailable),
            (58, false, Degraded::NoModel),
        ] {
            let (site, world) = world(number).await;
            let sim = match why {
                Degraded::NoModel => None,
                _ => Some(model(&world).await),
            };
            if let Some(sim) = &sim {
                // As many as may ever be asked for.
                faults(sim, json!({ "nonsense": 100 })).await;
            }
            if away {
                let lost = Lost::Refused("bedrock.unavailable");
                world.change(|m| m.fail("incidents.advise", Some(1), lost));
            }
            let (older, younger) = two(&world, number).await;
            let answer = younger.answer(site, &json!({})).await;
            let (advice, lines) = advised(&answer).await;
            assert_eq!(advice.degraded, Some(why));
            assert!(advice.opinions.is_empty());
            let title = format!("What the rule is not sure of ({})", why.as_str());
            let told = format!("{title}: perhaps it is one with incident {}: ", older.key());
            let line = lines.iter().find(|line| line.starts_with(&told));
            let line = line.unwrap_or_else(|| panic!("{lines:#?}"));
            assert!(
                line.contains("same kind of alert") && line.contains("of 1000, joined from 450")
            );
            assert!(
                line.contains(&format!("--into {} --by NAME", older.key())),
                "{line}"
            );
            assert_eq!(audited(&world, answer.id()).await[2], "incident_advised");
            answer.cancel().await;
            answer.end().await.unwrap();
        }
    });
}
