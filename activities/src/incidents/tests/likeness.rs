//! Past incidents in the space of an embedding model.

use clients::memory::DIMENSIONS;
use domain::cause::{ByRule, Compared};
use wiremock::{Request, Respond, matchers::path_regex};

use super::*;

const MODEL: &str = "amazon.titan-embed-text-v2:0";
const SPACE: &str = "amazon.titan-embed-text-v2:0/256/1";

/// Makes a vector out of words, of which two mean the same.
struct ByWords;

impl Respond for ByWords {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Value = request.body_json().unwrap();
        let mut vector = vec![0.0; DIMENSIONS];
        for word in body["inputText"].as_str().unwrap().split([' ', '\n']) {
            let word = if word == "volume" { "disk" } else { word };
            let place = word
                .bytes()
                .fold(7_usize, |sum, byte| sum * 31 % 251 + usize::from(byte));
            vector[place % DIMENSIONS] += 1.0;
        }
        let answer = json!({ "embedding": vector, "inputTextTokenCount": 5 });
        ResponseTemplate::new(200).set_body_json(answer)
    }
}

async fn world() -> World {
    let world = World::new().await.with_embeddings(MODEL).await;
    Mock::given(path_regex("/invoke$"))
        .respond_with(ByWords)
        .mount(&world.server)
        .await;
    world
}

async fn re_embed(world: &World) -> clients::memory::ReEmbedded {
    let model = world.deps.embeddings.as_ref().unwrap();
    re_embed_memory(&world.deps.memory, model).await.unwrap()
}

async fn closed(world: &World, number: u64, titles: &[&str]) -> IncidentKey {
    let key = open(world, number, titles).await;
    explain(world, &key).await;
    close(world, &key).await;
    key
}

fn by_rule(report: &CauseReport) -> Option<ByRule> {
    report.compared.as_ref().unwrap().by_rule
}

#[tokio::test]
async fn past_incidents_in_other_words_are_found_by_the_model_and_the_report_says_so() {
    let world = world().await;
    re_embed(&world).await;
    let first = closed(&world, 12, &["Volume is full on CONTOSO-DC01", HOSTILE]).await;
    let kept = remember(&world, &first).await;
    assert!(kept.kept && kept.tokens == 5, "{kept:?}");
    let again = open(&world, 13, &["Disk is full on FABRIKAM-FS02"]).await;
    let report = explain(&world, &again).await;
    let compared = report.compared.clone().unwrap();
    let expected = Compared {
        model: Some(SPACE.to_owned()),
        by_rule: None,
        tokens: 5,
    };
    assert_eq!(compared, expected);
    let past: Vec<_> = report.past().map(|one| one.incident.as_str()).collect();
    assert_eq!(past, [first.to_string()]);
    // A repeat finds the report and asks nobody.
    let requests = world.server.received_requests().await.unwrap();
    assert_eq!(explain(&world, &again).await, report);
    assert_eq!(
        world.server.received_requests().await.unwrap().len(),
        requests.len()
    );
    // No name and no word that is not in the vocabulary went out.
    for request in &requests {
        let sent = String::from_utf8_lossy(&request.body).to_lowercase();
        for word in ["contoso", "dc01", "fabrikam", "fs02", "ignore", "approve"] {
            assert!(!sent.contains(word), "{word}: {sent}");
        }
    }
    let audited = audited(&world, &again).await;
    assert_eq!(audited[0].record.tokens, Some(5));
    assert_eq!(audited[0].record.detail["compared"]["model"], SPACE);
}

#[tokio::test]
async fn until_all_vectors_are_made_and_whenever_the_model_is_away_the_rule_is_used() {
    let titles = ["Disk C: is 99% full", "Service stopped"];
    // What was remembered by rule.
    let mut world = World::new().await;
    let first = closed(&world, 12, &titles).await;
    assert!(remember(&world, &first).await.kept);
    world = world.with_embeddings(MODEL).await;
    Mock::given(path_regex("/invoke$"))
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(2)
        .mount(&world.server)
        .await;
    Mock::given(path_regex("/invoke$"))
        .respond_with(ByWords)
        .mount(&world.server)
        .await;
    let report = explain(&world, &open(&world, 13, &titles).await).await;
    assert_eq!(by_rule(&report), Some(ByRule::NotReady));
    assert_eq!(report.past().count(), 1);
    assert_eq!(world.server.received_requests().await.unwrap().len(), 0);
    // The job stops with the model, and goes on when it is run again.
    let model = world.deps.embeddings.clone().unwrap();
    assert!(re_embed_memory(&world.deps.memory, &model).await.is_err());
    assert!(re_embed_memory(&world.deps.memory, &model).await.is_err());
    let done = re_embed(&world).await;
    assert!(done.is_current && done.kept == 1, "{done:?}");
    let report = explain(&world, &open(&world, 14, &titles).await).await;
    assert_eq!(by_rule(&report), None);
    assert_eq!(report.past().count(), 1);
    // What the model does not know at all is compared by rule.
    let report = explain(&world, &open(&world, 15, &["Zorblax frobnicated"]).await).await;
    assert_eq!(by_rule(&report), Some(ByRule::NoWords));
    // It goes away; incidents are found and remembered all the same.
    world.server.reset().await;
    Mock::given(path_regex("/invoke$"))
        .respond_with(
            ResponseTemplate::new(429).insert_header("x-amzn-errortype", "ThrottlingException"),
        )
        .up_to_n_times(1)
        .mount(&world.server)
        .await;
    Mock::given(path_regex("/invoke$"))
        .respond_with(ResponseTemplate::new(503))
        .mount(&world.server)
        .await;
    for (number, why) in [(16, ByRule::NoBudget), (17, ByRule::Unavailable)] {
        let report = explain(&world, &open(&world, number, &titles).await).await;
        assert_eq!(by_rule(&report), Some(why));
        assert_eq!(report.past().count(), 1);
    }
    close(&world, &key(17)).await;
    let kept = remember(&world, &key(17)).await;
    assert!(kept.kept && kept.tokens == 0, "{kept:?}");
    // Its vector is made later.
    let memory = world.deps.memory.get().await.unwrap();
    let lacking = memory.lacking(model.name(), None, 10).await.unwrap();
    assert_eq!(lacking.incidents.len(), 1);
}

#[tokio::test]
async fn vectors_of_two_models_are_never_compared() {
    let world = world().await;
    re_embed(&world).await;
    let titles = ["Disk is full"];
    let first = closed(&world, 12, &titles).await;
    assert!(remember(&world, &first).await.kept);
    // The configuration names another model: its space is empty, so the rule is used until it is not.
    let world = world.with_embeddings("cohere.embed-v4:0").await;
    let report = explain(&world, &open(&world, 13, &titles).await).await;
    assert_eq!(by_rule(&report), Some(ByRule::NotReady));
    assert_eq!(report.past().count(), 1);
    let memory = world.deps.memory.get().await.unwrap();
    let other = world.deps.embeddings.as_ref().unwrap().name();
    assert_eq!(
        memory.current_model().await.unwrap().unwrap().as_str(),
        SPACE
    );
    assert_eq!(
        memory
            .lacking(other, None, 10)
            .await
            .unwrap()
            .incidents
            .len(),
        1
    );
}
