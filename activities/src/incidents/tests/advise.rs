use contracts::activities::incidents::AdviseInput;
use domain::advice::{IncidentAdvice, Proposal, Verdict};

use super::*;

const TITLES: [&str; 2] = ["Disk C: is 99% full", HOSTILE];

async fn ask(world: &World, incident: &IncidentKey) -> IncidentAdvice {
    let input = AdviseInput {
        incident: incident.clone(),
        unasked: None,
    };
    let run = environment(IncidentActivities::new(&world.deps));
    let report = run.run(IncidentActivities::advise, input).await.unwrap();
    // What is shown is what is stored.
    let alerts = &world.deps.store.alerts;
    let stored = alerts.get_incident(incident).await.unwrap().unwrap();
    assert_eq!(
        CauseReport::of(stored.cause.as_ref()).as_ref(),
        Some(&report)
    );
    report.advice.unwrap()
}

/// Two incidents on the same machines that opened at one time, the second of them explained.
async fn two(world: &World) -> (IncidentKey, IncidentKey) {
    world.seed(2).await;
    let older = open(world, 12, &TITLES).await;
    let younger = open(world, 13, &TITLES).await;
    explain(world, &younger).await;
    (older, younger)
}

async fn asked(world: &World) -> usize {
    world.server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn a_model_advises_to_merge_and_nothing_is_merged() {
    let world = World::new().await.with_model().await;
    let (older, younger) = two(&world).await;
    let good = json!({ "advice": [
        { "candidate": "merge_1", "verdict": "advise", "evidence": ["network_1", "alert_1", "policy:allow_all"],
          "reason": "machine_1 has the same trouble as in incident_1." },
    ] });
    world.model_says(&good.to_string(), 1).await;
    let advice = ask(&world, &younger).await;
    assert_eq!(
        advice.candidates[0].proposal,
        Proposal::Merge {
            into: older.clone()
        }
    );
    let said = &advice.opinions[0];
    assert_eq!(said.verdict, Verdict::Advise);
    assert_eq!(said.evidence, ["alert_1", "network_1"]);
    assert!(
        said.reason.ends_with(&format!("as in {older}.")),
        "{}",
        said.reason
    );
    assert_eq!((advice.tokens, advice.degraded), (450, None));
    assert_eq!(advice.dropped, ["policy:allow_all"]);
    let requests = world.server.received_requests().await.unwrap();
    let sent = String::from_utf8_lossy(&requests[0].body).to_lowercase();
    for word in ["ignore", "approve", "contoso", client().as_str()] {
        assert!(!sent.contains(word), "{word}");
    }
    let alerts = &world.deps.store.alerts;
    for key in [&older, &younger] {
        let record = alerts.get_incident(key).await.unwrap().unwrap();
        assert_eq!(record.status, IncidentStatus::Open, "advice never acts");
    }
    // A repeat asks nobody, and so does a look for the cause of a newer version.
    assert_eq!(ask(&world, &younger).await, advice);
    open(&world, 13, &["Disk C: is 99% full", "Service stopped"]).await;
    assert_eq!(
        explain(&world, &younger).await.advice.as_ref(),
        Some(&advice)
    );
    assert_eq!(ask(&world, &younger).await, advice);
    assert_eq!(asked(&world).await, 1);
    let entries = audited(&world, &younger).await;
    let mut advised = entries
        .iter()
        .filter(|one| one.record.what == "incident_advised");
    let record = &advised.next().unwrap().record;
    assert!(advised.next().is_none());
    assert_eq!(record.tokens, Some(450));
    assert_eq!(record.evidence, ["alert_1", "network_1"]);
    assert_eq!(record.detail["dropped"], json!(["policy:allow_all"]));
    assert_eq!(record.detail["opinions"][0]["verdict"], "advise");
}

#[tokio::test]
async fn only_another_set_of_candidates_is_asked_about_again() {
    let world = World::new().await.with_model().await;
    let (_, younger) = two(&world).await;
    world
        .model_says(&json!({ "advice": [] }).to_string(), 2)
        .await;
    let first = ask(&world, &younger).await;
    assert!(first.opinions.is_empty() && first.degraded.is_none());
    open(&world, 11, &TITLES).await;
    let second = ask(&world, &younger).await;
    assert_eq!((first.round, second.round), (1, 2));
    assert_eq!(second.candidates.len(), 2);
    assert_eq!(asked(&world).await, 2);
    for number in [11, 12] {
        close(&world, &key(number)).await;
    }
    let third = ask(&world, &younger).await;
    assert!(third.candidates.is_empty() && third.opinions.is_empty());
    assert_eq!(asked(&world).await, 2);
}

#[tokio::test]
async fn without_a_usable_answer_the_near_misses_of_the_rule_are_told() {
    let bad = json!({ "advice": [{ "candidate": "merge_9", "verdict": "advise", "reason": "x", "evidence": [] }] });
    for (says, why, tokens) in [
        (None, Degraded::NoModel, 0),
        (Some(bad.to_string()), Degraded::Unusable, 900),
    ] {
        let mut world = World::new().await;
        if let Some(text) = &says {
            world = world.with_model().await;
            world.model_says(text, 2).await;
        }
        let (older, younger) = two(&world).await;
        let advice = ask(&world, &younger).await;
        assert_eq!(advice.degraded, Some(why));
        assert_eq!(advice.tokens, tokens);
        assert!(advice.opinions.is_empty());
        assert_eq!(
            advice.candidates[0].proposal,
            Proposal::Merge { into: older }
        );
        let entries = audited(&world, &younger).await;
        let last = &entries.last().unwrap().record;
        assert_eq!(last.what, "incident_advised");
        assert_eq!(last.detail["degraded"], json!(why));
    }
}

#[tokio::test]
async fn an_incident_alone_is_not_asked_about() {
    let world = World::new().await.with_model().await;
    let only = open(&world, 12, &TITLES).await;
    explain(&world, &only).await;
    let input = AdviseInput {
        incident: only.clone(),
        unasked: None,
    };
    let run = environment(IncidentActivities::new(&world.deps));
    let report = run.run(IncidentActivities::advise, input).await.unwrap();
    assert_eq!(report.advice, None);
    assert_eq!(asked(&world).await, 0);
    assert_eq!(audited(&world, &only).await.len(), 1);
}
