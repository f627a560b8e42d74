use std::time::Duration;

use contracts::activities::risk::{AssessInput, RefineInput, RefineResult};
use domain::{
    patch::{PatchFacts, Severity},
    risk::DeviceSummary,
};
use serde_json::{Value, json};
use wiremock::{Mock, ResponseTemplate, matchers::method};

use super::ModelActivities;
use crate::{
    risk::risk_input,
    testing::{World, environment, failure},
};

fn input(world: &World) -> RefineInput {
    let patch = PatchFacts {
        kb: "KB5034441".parse().unwrap(),
        title: "Security Update for Windows".to_owned(),
        severity: Severity::Important,
        category: "Security Updates".to_owned(),
        published: None,
        restart_required: Some(true),
        cves: vec![],
    };
    let devices = DeviceSummary {
        total: 12,
        client_total: 40,
        servers: 3,
        ..DeviceSummary::default()
    };
    let assessed = AssessInput {
        patches: vec![patch],
        devices,
        may_reboot: true,
        rollback: true,
    };
    let risk = domain::risk::assess(&risk_input(assessed.clone(), world.deps.clock.as_ref()));
    RefineInput { assessed, risk }
}

fn good(evidence: Value) -> String {
    let answer = json!({ "adjustment_permille": 40, "evidence": evidence, "explanation": "A known update." });
    answer.to_string()
}

async fn refine(world: &World) -> RefineResult {
    let activities = environment(ModelActivities::new(&world.deps));
    activities
        .run(ModelActivities::refine, input(world))
        .await
        .unwrap()
}

fn within(world: &World, budget: Duration) -> ModelActivities {
    let of = ModelActivities::new(&world.deps);
    ModelActivities {
        asker: of.asker.within(budget),
        clock: of.clock,
    }
}

async fn questions(world: &World) -> usize {
    world.server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn without_a_model_the_rule_stands_and_is_marked_degraded() {
    let world = World::new().await;
    let result = refine(&world).await;
    assert!(result.risk.degraded);
    assert_eq!(
        (result.tokens, result.risk.score_permille),
        (0, input(&world).risk.score_permille)
    );
}

#[tokio::test]
async fn a_usable_answer_moves_the_score_and_drops_invented_evidence() {
    let world = World::new().await.with_model().await;
    world
        .model_says(&good(json!(["blast_radius", "invented"])), 1)
        .await;
    let result = refine(&world).await;
    assert!(!result.risk.degraded);
    assert_eq!(
        result.risk.score_permille,
        input(&world).risk.score_permille + 40
    );
    assert_eq!((result.tokens, result.dropped.len()), (450, 1));
}

#[tokio::test]
async fn a_malformed_answer_is_repaired_once() {
    let world = World::new().await.with_model().await;
    world.model_says("I think it is fine.", 1).await;
    world.model_says(&good(json!(["blast_radius"])), 1).await;
    let result = refine(&world).await;
    assert!(!result.risk.degraded);
    assert_eq!((result.tokens, questions(&world).await), (900, 2));
}

#[tokio::test]
async fn an_answer_that_stays_malformed_is_no_error_but_degraded() {
    for text in ["I think it is fine.".to_owned(), good(json!(["invented"]))] {
        let world = World::new().await.with_model().await;
        world.model_says(&text, 9).await;
        let result = refine(&world).await;
        assert!(result.risk.degraded);
        assert_eq!(
            (result.tokens, questions(&world).await),
            (900, 2),
            "asked twice, never more"
        );
    }
}

#[tokio::test]
async fn a_throttled_model_is_for_temporal_to_ask_again() {
    let world = World::new().await.with_model().await;
    let throttled = ResponseTemplate::new(429)
        .insert_header("x-amzn-errortype", "ThrottlingException")
        .set_body_json(json!({ "message": "slow down" }));
    Mock::given(method("POST"))
        .respond_with(throttled)
        .mount(&world.server)
        .await;
    let activities = environment(ModelActivities::new(&world.deps));
    let failed = failure(activities.run(ModelActivities::refine, input(&world)).await);
    assert_eq!(failed.type_name(), Some("bedrock.throttled"));
    assert!(!failed.is_non_retryable());
    assert_eq!(questions(&world).await, 1);
}

#[tokio::test]
async fn a_repair_that_fails_still_says_what_the_first_reply_has_cost() {
    let failing = ResponseTemplate::new(503)
        .insert_header("x-amzn-errortype", "ServiceUnavailableException")
        .set_body_json(json!({ "message": "later" }));
    let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(20));
    for answer in [failing, late] {
        let world = World::new().await.with_model().await;
        world.model_says("I think it is fine.", 1).await;
        Mock::given(method("POST"))
            .respond_with(answer)
            .mount(&world.server)
            .await;
        let model = within(&world, Duration::from_secs(2));
        let result = environment(model)
            .run(ModelActivities::refine, input(&world))
            .await
            .unwrap();
        assert!(result.risk.degraded);
        assert_eq!((result.tokens, questions(&world).await), (450, 2));
    }
}

#[tokio::test]
async fn a_first_call_without_an_answer_in_time_is_for_temporal_to_ask_again() {
    let world = World::new().await.with_model().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_delay(Duration::from_secs(20)))
        .mount(&world.server)
        .await;
    let model = within(&world, Duration::from_millis(100));
    let failed = failure(
        environment(model)
            .run(ModelActivities::refine, input(&world))
            .await,
    );
    assert_eq!(failed.type_name(), Some("bedrock.unavailable"));
    assert!(failed.to_string().contains("and its repair"), "{failed}");
}

#[tokio::test]
async fn a_model_that_is_left_alone_is_not_waited_for() {
    let world = World::new().await.with_model().await;
    let down = ResponseTemplate::new(503)
        .insert_header("x-amzn-errortype", "ServiceUnavailableException")
        .set_body_json(json!({ "message": "later" }));
    Mock::given(method("POST"))
        .respond_with(down)
        .mount(&world.server)
        .await;
    let activities = environment(ModelActivities::new(&world.deps));
    for _ in 0..3 {
        let failed = failure(activities.run(ModelActivities::refine, input(&world)).await);
        assert_eq!(failed.type_name(), Some("bedrock.unavailable"));
        assert!(!failed.is_non_retryable());
    }
    let result = refine(&world).await;
    assert!(result.risk.degraded);
    assert_eq!(questions(&world).await, 3);
}

#[tokio::test]
async fn an_identical_question_is_answered_without_asking_and_costs_nothing() {
    let world = World::new().await.with_model().await;
    world.model_says("I think it is fine.", 1).await;
    world.model_says(&good(json!(["blast_radius"])), 9).await;
    let activities = environment(ModelActivities::new(&world.deps));
    let run = |input| activities.run(ModelActivities::refine, input);
    let first = run(input(&world)).await.unwrap();
    let again = run(input(&world)).await.unwrap();
    assert_eq!((first.tokens, again.tokens), (900, 0));
    assert_eq!(first.risk, again.risk);
    assert_eq!(
        questions(&world).await,
        2,
        "what could not be used is not kept"
    );
    let mut other = input(&world);
    other.assessed.devices.total += 1;
    assert_eq!(run(other).await.unwrap().tokens, 450);
}
