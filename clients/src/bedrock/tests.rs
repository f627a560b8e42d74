//! The real SDK against a fake server: the body per output mode, one test per meaning of an answer.

use domain::failure::{Classify, FailureKind};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

use super::*;

const SECRET: &str = "wJalr-secret-key";
const MODEL: &str = "eu.anthropic.claude-haiku-4-5-20251001-v1:0";

fn profile(output: OutputMode) -> ModelProfile {
    ModelProfile {
        output,
        allows_sampling: false,
        max_tokens: 900,
        ..ModelProfile::default()
    }
}

fn config(url: &str, model: ModelProfile) -> BedrockConfig {
    BedrockConfig {
        endpoint_url: Some(url.to_owned()),
        model,
        timeout_secs: 1,
        credentials: Some(StaticCredentials {
            access_key: "AKIDSIM".into(),
            secret_key: SECRET.into(),
        }),
        ..BedrockConfig::default()
    }
}

fn question() -> StructuredRequest {
    StructuredRequest {
        system: "You assess.".to_owned(),
        user: "Rule score: 400".to_owned(),
        schema_name: "assess".to_owned(),
        schema: json!({ "type": "object", "additionalProperties": false, "required": ["risk"],
            "properties": { "risk": { "type": "string", "enum": ["low", "high"] } } }),
        previous: None,
    }
}

fn reply(stop: &str, content: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": stop, "brandNew": true, "metrics": { "latencyMs": 3 },
        "usage": { "inputTokens": 410, "outputTokens": 38, "totalTokens": 455,
                   "cacheReadInputTokens": 5, "cacheWriteInputTokens": 2 },
    }))
}

fn text(text: &str) -> Value {
    json!([{ "text": text }])
}

fn tool(input: Value) -> Value {
    json!([{ "reasoningContent": { "reasoningText": { "text": "let me see" } } },
           { "toolUse": { "toolUseId": "t1", "name": "assess", "input": input } }])
}

async fn ask_with(
    model: ModelProfile,
    request: StructuredRequest,
    response: ResponseTemplate,
) -> (Result<StructuredReply, BedrockError>, Value) {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(response)
        .expect(1)
        .mount(&server)
        .await;
    let bedrock = Bedrock::new(config(&server.uri(), model)).await.unwrap();
    let answer = bedrock.converse(request).await;
    let requests = server.received_requests().await.unwrap();
    assert_eq!(
        requests[0].url.path(),
        "/model/eu.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse"
    );
    let signed = requests[0].headers["authorization"].to_str().unwrap();
    assert!(signed.contains("/eu-central-1/bedrock/aws4_request") && !signed.contains(SECRET));
    (answer, requests[0].body_json().unwrap())
}

async fn ask(
    output: OutputMode,
    response: ResponseTemplate,
) -> (Result<StructuredReply, BedrockError>, Value) {
    ask_with(profile(output), question(), response).await
}

async fn misfit_of(output: OutputMode, response: ResponseTemplate) -> Misfit {
    match ask(output, response).await.0.unwrap_err() {
        BedrockError::Malformed { why, usage, .. } => {
            assert_eq!(usage.total(), 455);
            why
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn json_schema_mode_sends_the_schema_as_sorted_text_and_reads_text() {
    let (answer, body) = ask(
        OutputMode::JsonSchema,
        reply("end_turn", text(r#"{"risk":"low"}"#)),
    )
    .await;
    assert_eq!(
        body,
        json!({
            "system": [{ "text": "You assess." }],
            "messages": [{ "role": "user", "content": [{ "text": "Rule score: 400" }] }],
            "inferenceConfig": { "maxTokens": 900 },
            "outputConfig": { "textFormat": { "type": "json_schema", "structure": { "jsonSchema": {
                "name": "assess",
                "schema": r#"{"additionalProperties":false,"properties":{"risk":{"enum":["low","high"],"type":"string"}},"required":["risk"],"type":"object"}"#,
            } } } },
        })
    );
    let answer = answer.unwrap();
    assert_eq!(answer.json, json!({ "risk": "low" }));
    assert_eq!(
        answer.usage,
        Usage {
            input: 410,
            output: 38,
            cache_read: 5,
            cache_write: 2
        }
    );
    assert_eq!(
        (answer.model.as_str(), answer.stop_reason.as_str()),
        (MODEL, "end_turn")
    );
}

#[tokio::test]
async fn forced_tool_mode_names_the_tool_and_reads_its_input_after_thinking() {
    let (answer, body) = ask(
        OutputMode::ForcedTool,
        reply("tool_use", tool(json!({ "risk": "high" }))),
    )
    .await;
    assert_eq!(
        body["toolConfig"]["toolChoice"],
        json!({ "tool": { "name": "assess" } })
    );
    let spec = &body["toolConfig"]["tools"][0]["toolSpec"];
    assert_eq!(spec["inputSchema"]["json"], question().schema);
    assert!(body.get("outputConfig").is_none());
    assert_eq!(answer.unwrap().json, json!({ "risk": "high" }));
}

#[tokio::test]
async fn auto_tool_mode_asks_for_the_tool_and_falls_back_to_text() {
    let (answer, body) = ask(
        OutputMode::AutoTool,
        reply("tool_use", tool(json!({ "risk": "high" }))),
    )
    .await;
    assert_eq!(body["toolConfig"]["toolChoice"], json!({ "auto": {} }));
    assert!(
        body["system"][0]["text"]
            .as_str()
            .unwrap()
            .contains("calling the tool `assess`")
    );
    assert_eq!(answer.unwrap().json, json!({ "risk": "high" }));
    let fenced = text("```json\n{\"risk\":\"low\"}\n```");
    let (answer, _) = ask(OutputMode::AutoTool, reply("end_turn", fenced)).await;
    assert_eq!(answer.unwrap().json, json!({ "risk": "low" }));
}

#[tokio::test]
async fn sampling_parameters_are_sent_only_when_the_profile_allows_them() {
    let model = ModelProfile {
        allows_sampling: true,
        ..profile(OutputMode::JsonSchema)
    };
    let answer = reply("end_turn", text(r#"{"risk":"low"}"#));
    let (_, body) = ask_with(model, question(), answer).await;
    assert_eq!(
        body["inferenceConfig"],
        json!({ "maxTokens": 900, "temperature": 0.0 })
    );
}

#[tokio::test]
async fn a_repair_shows_the_reply_and_ends_with_the_user() {
    let broken = reply("end_turn", text("I would say low"));
    let error = ask(OutputMode::JsonSchema, broken).await.0.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Malformed);
    let again = error.repair(&question()).unwrap();
    let good = reply("end_turn", text(r#"{"risk":"low"}"#));
    let (answer, body) = ask_with(profile(OutputMode::JsonSchema), again.clone(), good).await;
    answer.unwrap();
    let messages = body["messages"].as_array().unwrap();
    assert_eq!(
        messages[1],
        json!({ "role": "assistant", "content": text("I would say low") })
    );
    assert_eq!(messages[2]["role"], "user");
    assert!(
        messages[2]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("not one JSON object")
    );
    assert!(error.repair(&again).is_none(), "only once");
    let empty = question().repair("  ", "it was empty");
    let good = reply("end_turn", text(r#"{"risk":"low"}"#));
    let (_, body) = ask_with(profile(OutputMode::JsonSchema), empty, good).await;
    assert_eq!(body["messages"][1]["content"], text("(nothing)"));
}

#[tokio::test]
async fn a_reply_that_does_not_fit_is_malformed() {
    let wrong = reply("end_turn", text(r#"{"risk":"none"}"#));
    let Misfit::Schema(detail) = misfit_of(OutputMode::JsonSchema, wrong).await else {
        panic!()
    };
    assert!(detail.contains("reply.risk"));
    let list = reply("end_turn", text("[1]"));
    assert_eq!(
        misfit_of(OutputMode::JsonSchema, list).await,
        Misfit::NotJson
    );
    let no_tool = reply("tool_use", text(r#"{"risk":"low"}"#));
    assert_eq!(
        misfit_of(OutputMode::ForcedTool, no_tool).await,
        Misfit::NotJson
    );
}

#[tokio::test]
async fn a_truncated_answer_is_never_parsed_nor_repaired() {
    for stop in ["max_tokens", "model_context_window_exceeded"] {
        let whole = reply(stop, text(r#"{"risk":"low"}"#));
        let error = ask(OutputMode::JsonSchema, whole).await.0.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Malformed);
        assert!(error.to_string().contains("cut off"));
        assert!(error.repair(&question()).is_none());
    }
}

#[tokio::test]
async fn a_stop_that_leaves_no_answer_is_never_parsed() {
    for stop in [
        "malformed_model_output",
        "malformed_tool_use",
        "stop_sequence",
        "new_reason",
    ] {
        let whole = reply(stop, text(r#"{"risk":"low"}"#));
        assert_eq!(
            misfit_of(OutputMode::AutoTool, whole).await,
            Misfit::Stopped(stop.to_owned())
        );
    }
    let early = reply("end_turn", tool(json!({ "risk": "low" })));
    let why = misfit_of(OutputMode::ForcedTool, early).await;
    assert_eq!(why, Misfit::Stopped("end_turn".to_owned()));
}

#[tokio::test]
async fn a_blocked_answer_is_its_own_error_and_is_paid() {
    for stop in ["guardrail_intervened", "content_filtered"] {
        let error = ask(OutputMode::JsonSchema, reply(stop, text("no")))
            .await
            .0
            .unwrap_err();
        assert!(matches!(&error, BedrockError::Blocked { stop_reason, .. } if stop_reason == stop));
        assert_eq!(
            (error.kind(), error.usage().input),
            (FailureKind::InvalidInput, 410)
        );
    }
}

fn failing(status: u16, code: &str, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .insert_header(
            "x-amzn-errortype",
            format!("{code}:http://internal.amazon.com/"),
        )
        .set_body_json(body)
}

#[tokio::test]
async fn each_error_code_says_what_can_be_done() {
    use FailureKind::{InvalidInput, NotFound, Throttled, Unauthorized, Unavailable};
    let plain = || json!({ "message": "a reason" });
    let model_error = |status: u16| json!({ "message": "m", "originalStatusCode": status });
    for (status, code, body, kind) in [
        (429, "ThrottlingException", plain(), Throttled),
        (429, "ModelNotReadyException", plain(), Throttled),
        (503, "ServiceUnavailableException", plain(), Unavailable),
        (500, "InternalServerException", plain(), Unavailable),
        (408, "ModelTimeoutException", plain(), Unavailable),
        (424, "ModelErrorException", model_error(500), Unavailable),
        (424, "ModelErrorException", model_error(400), InvalidInput),
        (400, "ValidationException", plain(), InvalidInput),
        (400, "ServiceQuotaExceededException", plain(), InvalidInput),
        (403, "AccessDeniedException", plain(), Unauthorized),
        (403, "UnrecognizedClientException", plain(), Unauthorized),
        (404, "ResourceNotFoundException", plain(), NotFound),
        (502, "BrandNewException", plain(), Unavailable),
    ] {
        let error = ask(OutputMode::JsonSchema, failing(status, code, body))
            .await
            .0
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{code}: {error:?}");
        assert_eq!(error.usage(), Usage::default());
    }
    let refused = failing(
        400,
        "ValidationException",
        json!({ "message": "tool_choice is not supported" }),
    );
    let error = ask(OutputMode::ForcedTool, refused).await.0.unwrap_err();
    assert!(error.to_string().contains("tool_choice is not supported"));
}

#[tokio::test]
async fn a_late_answer_and_a_closed_port_are_unavailable() {
    let slow = reply("end_turn", text("{}")).set_delay(Duration::from_secs(3));
    let error = ask(OutputMode::JsonSchema, slow).await.0.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unavailable);
    let config = config("http://127.0.0.1:1", profile(OutputMode::JsonSchema));
    let nobody = Bedrock::new(config).await.unwrap();
    let error = nobody.converse(question()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unavailable, "{error:?}");
    assert!(!format!("{error:?}").contains(SECRET));
}

#[tokio::test]
async fn an_answer_that_is_not_converse_is_malformed() {
    let html = ResponseTemplate::new(200).set_body_string("<html>");
    let error = ask(OutputMode::JsonSchema, html).await.0.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Malformed, "{error:?}");
}

#[tokio::test]
async fn a_bad_request_sends_nothing() {
    let server = MockServer::start().await;
    let config = config(&server.uri(), profile(OutputMode::JsonSchema));
    let bedrock = Bedrock::new(config).await.unwrap();
    for request in [
        StructuredRequest {
            schema_name: "as sess".to_owned(),
            ..question()
        },
        StructuredRequest {
            user: " ".to_owned(),
            ..question()
        },
    ] {
        let error = bedrock.converse(request).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::InvalidInput);
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn credentials_are_neither_shown_nor_read_from_a_file() {
    let good = config("http://127.0.0.1:1", ModelProfile::default());
    assert!(!format!("{good:?}").contains(SECRET));
    let bedrock = Bedrock::new(good.clone()).await.unwrap();
    assert!(!format!("{bedrock:?}").contains(SECRET));
    let broken = BedrockConfig {
        region: "Frankfurt".to_owned(),
        endpoint_url: Some("http://example.com".to_owned()),
        credentials: Some(StaticCredentials {
            access_key: "AKID".into(),
            secret_key: format!("{SECRET} ").into(),
        }),
        ..good
    };
    let message = broken.validate().unwrap_err().to_string();
    for field in [
        "bedrock.region",
        "bedrock.endpoint_url",
        "bedrock.credentials.secret_key",
    ] {
        assert!(message.contains(field), "{message}");
    }
    assert!(!message.contains(SECRET));
    assert!(serde_json::from_str::<BedrockConfig>(r#"{"credentials":{}}"#).is_err());
}

#[test]
fn a_price_is_counted_in_millionths_of_a_dollar() {
    let price = Price {
        input_cents_per_mtok: 100,
        output_cents_per_mtok: 500,
        ..Price::default()
    };
    let usage = Usage {
        input: 1_000_000,
        output: 200_000,
        ..Usage::default()
    };
    assert_eq!(price.micro_usd(&usage), 2_000_000);
}
