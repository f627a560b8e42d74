//! The question of the patch prioritisation agent, asked as the worker asks it.

use agents::prioritisation::{combine, parse_reply, request};
use clients::bedrock::{OutputMode, StructuredRequest};
use domain::{
    campaign::{Campaign, CampaignAdvice, Draft, DraftPlan, RankedPlan},
    vulnerability::deadline::Deadline,
};
use jiff::{Timestamp, civil::date};

use super::{
    tests::{HAIKU, client, running, set},
    *,
};

fn now() -> Timestamp {
    "2026-11-28T10:00:00Z".parse().unwrap()
}

/// By rule the second plan is less urgent than the first, and due before it.
fn campaign() -> Campaign {
    let of = |(band, day)| DraftPlan {
        ranked: RankedPlan {
            patches: vec![],
            band,
            due: Some(date(2026, 12, day)),
            overdue: false,
            urgency_permille: 500,
            restart: true,
            needs_approval: true,
            reasons: vec![],
            impact: None,
            schedule: None,
        },
        devices: vec!["1".parse().unwrap()],
    };
    let days14 = Deadline::Days14;
    let draft = Draft {
        plans: [(days14, 9), (days14, 2), (Deadline::Days60, 1)]
            .map(of)
            .to_vec(),
        ..Draft::default()
    };
    let (id, client) = ("c-1".parse().unwrap(), "7".parse().unwrap());
    Campaign::new(id, client, "patch-campaign/7/x".to_owned(), now(), &draft)
}

async fn advised(faults: Value) -> CampaignAdvice {
    let (sim, plans) = (running(0).await, campaign().plans);
    assert_eq!(set(&sim, faults).await, 200);
    let question = request(&plans, now());
    let question = StructuredRequest {
        system: question.system.to_string(),
        user: question.user.to_string(),
        schema_name: question.schema_name.to_owned(),
        schema: question.schema,
        previous: None,
    };
    let model = client(&sim, HAIKU, OutputMode::JsonSchema, true).await;
    let reply = model.converse(question).await.unwrap();
    combine(
        &plans,
        Ok(parse_reply(&reply.json, &plans, now()).unwrap()),
        now(),
    )
}

fn names(advice: &CampaignAdvice) -> Vec<&str> {
    advice.order.iter().map(|plan| plan.as_str()).collect()
}

#[tokio::test]
async fn it_explains_each_plan_and_moves_what_is_due_earlier() {
    let advice = advised(json!({})).await;
    assert_eq!(names(&advice), ["c-1-2", "c-1-1", "c-1-3"]);
    assert_eq!((advice.plans.len(), advice.dropped.len()), (3, 0));
    assert!(
        advice
            .plans
            .values()
            .all(|said| !said.explanation.is_empty())
    );
}

#[tokio::test]
async fn a_hostile_answer_moves_nothing_out_of_bounds_and_is_told() {
    let advice = advised(json!({ "hostile": 1 })).await;
    // It wants all on top: the last one stays behind its deadline.
    assert_eq!(names(&advice), ["c-1-2", "c-1-1", "c-1-3"]);
    assert_eq!(
        advice.dropped,
        ["approved_by:dana", "p99", "policy:allow_all"]
    );
    let said = advice.plans.values().next().unwrap();
    assert!(said.explanation.contains("[link removed]") && !said.explanation.contains('<'));
}
