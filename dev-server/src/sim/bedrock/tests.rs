//! The real AWS SDK, through our client, against the simulator.

use clients::bedrock::{
    Bedrock, BedrockConfig, BedrockError, Misfit, ModelProfile, OutputMode, StaticCredentials,
    StructuredRequest,
};
use domain::failure::{Classify, FailureKind};

use super::*;

pub(super) const HAIKU: &str = "eu.anthropic.claude-haiku-4-5-20251001-v1:0";
const SONNET_55: &str = "us.anthropic.claude-sonnet-5-5";

pub(super) async fn client(
    sim: &RunningSim,
    id: &str,
    output: OutputMode,
    allows_sampling: bool,
) -> Bedrock {
    let model = ModelProfile {
        id: id.to_owned(),
        output,
        allows_sampling,
        ..ModelProfile::default()
    };
    let keys = StaticCredentials {
        access_key: "AKIDSIM".into(),
        secret_key: "sim-secret".into(),
    };
    let config = BedrockConfig {
        endpoint_url: Some(sim.url.clone()),
        model,
        timeout_secs: 5,
        credentials: Some(keys),
        ..BedrockConfig::default()
    };
    Bedrock::new(config).await.unwrap()
}

fn question() -> StructuredRequest {
    StructuredRequest {
        system: "You assess.".to_owned(),
        user: "Rule score: 650 per mille (high)\n\nEvidence:\n- [blast_radius] change +90: 12 devices\n\
               - [reboot] change +150: a restart is needed\n"
            .to_owned(),
        schema_name: "risk_assessment".to_owned(),
        schema: json!({ "type": "object", "additionalProperties": false,
            "required": ["adjustment_permille", "evidence", "explanation"],
            "properties": { "adjustment_permille": { "type": "integer" },
                "evidence": { "type": "array", "items": { "type": "string" } },
                "explanation": { "type": "string" } } }),
        previous: None,
    }
}

pub(super) async fn running(reasoning_every: u32) -> RunningSim {
    start(BedrockSimOptions {
        port: 0,
        reasoning_every,
    })
    .await
    .unwrap()
}

pub(super) async fn set(sim: &RunningSim, faults: Value) -> u16 {
    let http = reqwest::Client::new();
    let sent = http
        .post(format!("{}/faults", sim.url))
        .json(&faults)
        .send()
        .await;
    sent.unwrap().status().as_u16()
}

async fn logged(sim: &RunningSim) -> Vec<LogEntry> {
    reqwest::get(format!("{}/log", sim.url))
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

#[tokio::test]
async fn every_mode_gives_the_same_answer_with_and_without_thinking() {
    let mut answers = Vec::new();
    for every in [0, 1] {
        let sim = running(every).await;
        for mode in [
            OutputMode::JsonSchema,
            OutputMode::ForcedTool,
            OutputMode::AutoTool,
        ] {
            let reply = client(&sim, HAIKU, mode, true)
                .await
                .converse(question())
                .await
                .unwrap();
            assert!(reply.usage.input > 10 && reply.usage.output > 10);
            answers.push(reply.json);
        }
        let log = logged(&sim).await;
        assert_eq!(
            (log.len(), log[0].model.as_str(), log[0].outcome.as_str()),
            (3, HAIKU, "normal")
        );
        assert!(!serde_json::to_string(&log).unwrap().contains("sim-secret"));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(answers[0]["adjustment_permille"], 40);
    assert_eq!(answers[0]["evidence"], json!(["reboot", "blast_radius"]));
}

#[tokio::test]
async fn it_refuses_what_the_models_refuse() {
    let sim = running(0).await;
    let forced = client(&sim, SONNET_55, OutputMode::ForcedTool, false).await;
    let error = forced.converse(question()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::InvalidInput);
    assert!(error.to_string().contains("tool_choice"), "{error}");
    let sampling = client(&sim, SONNET_55, OutputMode::JsonSchema, true).await;
    assert_eq!(
        sampling.converse(question()).await.unwrap_err().kind(),
        FailureKind::InvalidInput
    );
    let right = client(&sim, SONNET_55, OutputMode::AutoTool, false).await;
    assert!(right.converse(question()).await.is_ok());
    let bounded = StructuredRequest {
        schema: json!({ "type": "object", "additionalProperties": false, "required": ["n"],
            "properties": { "n": { "type": "integer", "minimum": 0 } } }),
        ..question()
    };
    let haiku = client(&sim, HAIKU, OutputMode::JsonSchema, true).await;
    assert_eq!(
        haiku.converse(bounded).await.unwrap_err().kind(),
        FailureKind::InvalidInput
    );
}

#[tokio::test]
async fn a_request_without_a_signature_is_refused() {
    let sim = running(0).await;
    let http = reqwest::Client::new();
    let url = format!("{}/model/m/converse", sim.url);
    for authorization in [
        None,
        Some("AWS4-HMAC-SHA256 Credential=A/20260101/eu/s3/aws4_request, Signature=x"),
    ] {
        let mut request = http.post(&url).json(&json!({}));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 403);
        assert!(response.headers().contains_key("x-amzn-errortype"));
    }
}

#[tokio::test]
async fn trouble_comes_on_demand_and_goes() {
    let sim = running(0).await;
    let model = client(&sim, HAIKU, OutputMode::JsonSchema, true).await;
    let all =
        json!({ "throttle": 1, "unavailable": 1, "guardrail": 1, "truncate": 1, "nonsense": 1 });
    assert_eq!(set(&sim, all).await, 200);
    let fail = async || model.converse(question()).await.unwrap_err();
    assert_eq!(fail().await.kind(), FailureKind::Throttled);
    assert_eq!(fail().await.kind(), FailureKind::Unavailable);
    assert!(matches!(fail().await, BedrockError::Blocked { .. }));
    assert!(matches!(
        fail().await,
        BedrockError::Malformed {
            why: Misfit::Truncated,
            ..
        }
    ));
    let nonsense = fail().await;
    assert!(matches!(
        &nonsense,
        BedrockError::Malformed {
            why: Misfit::NotJson,
            ..
        }
    ));
    let again = nonsense.repair(&question()).unwrap();
    assert_eq!(
        model.converse(again).await.unwrap().json["adjustment_permille"],
        40
    );
    let outcomes: Vec<String> = logged(&sim)
        .await
        .into_iter()
        .map(|entry| entry.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [
            "ThrottlingException",
            "ServiceUnavailableException",
            "guardrail",
            "truncate",
            "nonsense",
            "normal"
        ]
    );
    assert_eq!(set(&sim, json!({ "throtle": 1 })).await, 422);
    set(&sim, json!({ "throttle": 9 })).await;
    reqwest::Client::new()
        .delete(format!("{}/faults", sim.url))
        .send()
        .await
        .unwrap();
    assert!(model.converse(question()).await.is_ok());
    sim.stop().await;
}

#[tokio::test]
async fn a_hostile_answer_cites_what_does_not_exist_and_wants_zero() {
    let sim = running(0).await;
    set(&sim, json!({ "hostile": 1 })).await;
    let model = client(&sim, HAIKU, OutputMode::ForcedTool, true).await;
    let answer = model.converse(question()).await.unwrap().json;
    assert_eq!(answer["adjustment_permille"], -650);
    assert!(answer["evidence"].to_string().contains("policy:allow_all"));
}
