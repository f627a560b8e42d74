//! Embeddings as the real models take and give them (`InvokeModel`): Titan Text Embeddings V2 and
//! Cohere Embed 4. A vector is the sum of one direction per word, so texts that share words are alike.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Refusal;

/// Answers a request that is allowed.
pub(super) fn answer(model: &str, body: &Value) -> Result<(Value, usize), Refusal> {
    if model.contains("titan-embed-text-v2") {
        titan(body)
    } else if model.contains("cohere.embed-v4") {
        cohere(body)
    } else {
        Err(Refusal::validation(
            "The provided model identifier is invalid.",
        ))
    }
}

fn titan(body: &Value) -> Result<(Value, usize), Refusal> {
    let known = ["inputText", "dimensions", "normalize", "embeddingTypes"];
    only(body, &known)?;
    let text = body["inputText"].as_str().unwrap_or_default();
    if text.is_empty() {
        return Err(malformed("expected minLength: 1, actual: 0"));
    }
    if text.chars().count() > 50_000 {
        return Err(malformed("expected maxLength: 50000"));
    }
    let dimensions = match &body["dimensions"] {
        Value::Null => 1024,
        size => size.as_u64().unwrap_or_default(),
    };
    if ![256, 512, 1024].contains(&dimensions) {
        return Err(malformed("#/dimensions: is not a valid enum value"));
    }
    let vector = vector(text, usize::try_from(dimensions).unwrap_or_default());
    let tokens = tokens(text);
    let answer = json!({
        "embedding": vector, "inputTextTokenCount": tokens,
        "embeddingsByType": { "float": vector },
    });
    Ok((answer, tokens))
}

fn cohere(body: &Value) -> Result<(Value, usize), Refusal> {
    let known = [
        "texts",
        "input_type",
        "truncate",
        "embedding_types",
        "output_dimension",
    ];
    only(body, &known)?;
    let texts: Vec<&str> = body["texts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !(1..=96).contains(&texts.len()) {
        return Err(malformed("#/texts: expected 1 to 96 items"));
    }
    let purposes = [
        "search_document",
        "search_query",
        "classification",
        "clustering",
    ];
    if !purposes.iter().any(|name| body["input_type"] == *name) {
        return Err(malformed("#/input_type: is not a valid enum value"));
    }
    let dimensions = body["output_dimension"].as_u64().unwrap_or(1536);
    if ![256, 512, 1024, 1536].contains(&dimensions) {
        return Err(malformed("#/output_dimension: is not a valid enum value"));
    }
    let dimensions = usize::try_from(dimensions).unwrap_or_default();
    let vectors: Vec<_> = texts.iter().map(|text| vector(text, dimensions)).collect();
    let answer = json!({
        "id": "simulated", "response_type": "embeddings_by_type", "texts": texts,
        "embeddings": { "float": vectors },
    });
    Ok((answer, texts.iter().map(|text| tokens(text)).sum()))
}

/// The real service takes no key that it does not know.
fn only(body: &Value, known: &[&str]) -> Result<(), Refusal> {
    let Some(fields) = body.as_object() else {
        return Err(malformed("expected type: JSONObject"));
    };
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(malformed(&format!(
            "extraneous key [{key}] is not permitted"
        ))),
        None => Ok(()),
    }
}

fn malformed(what: &str) -> Refusal {
    Refusal::validation(format!(
        "Malformed input request: {what}, please reformat your input and try again."
    ))
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// A word has one to two tokens.
fn tokens(text: &str) -> usize {
    words(text).map(|word| 1 + word.len() / 8).sum()
}

fn vector(text: &str, dimensions: usize) -> Vec<f64> {
    let mut sum = vec![0.0; dimensions];
    for word in words(text).chain([String::new()]) {
        // What every text has is little, so that even one without words has a direction.
        let weight = if word.is_empty() { 0.05 } else { 1.0 };
        for (block, values) in (0_u32..).zip(sum.chunks_mut(256)) {
            let digest = Sha256::digest(format!("{block}/{word}"));
            for (place, value) in values.iter_mut().enumerate() {
                let bit = digest[place / 8] >> (place % 8) & 1;
                *value += if bit == 0 { -weight } else { weight };
            }
        }
    }
    let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
    sum.iter().map(|value| value / length).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clients::{
        aws::StaticCredentials,
        bedrock::embeddings::{Embeddings, EmbeddingsConfig, Purpose},
        breaker::BreakerConfig,
        rate_limit::Unlimited,
    };
    use domain::failure::{Classify, FailureKind};

    use super::*;
    use crate::sim::bedrock::{self, BedrockSimOptions};

    async fn model(url: &str, id: &str) -> Embeddings {
        let config = EmbeddingsConfig {
            region: "eu-central-1".to_owned(),
            endpoint_url: Some(url.to_owned()),
            model: id.to_owned(),
            timeout_secs: 10,
            alike_permille: 600,
            cents_per_mtok: None,
            breaker: BreakerConfig {
                failures: 3,
                first_pause_secs: 30,
                longest_pause_secs: 60,
            },
            credentials: Some(StaticCredentials::of_this_machine()),
        };
        Embeddings::new(config, Arc::new(Unlimited)).await.unwrap()
    }

    async fn cosine(model: &Embeddings, one: &str, other: &str) -> f32 {
        let (mut vectors, mut tokens) = (Vec::new(), 0);
        for text in [one, other] {
            let made = model
                .embed(&[text.to_owned()], Purpose::Keep)
                .await
                .unwrap();
            vectors.extend(made.vectors);
            tokens += made.tokens;
        }
        assert_eq!(
            tokens > 0,
            model.at_once() == 1,
            "only Titan says so in its answer"
        );
        let pairs = vectors[0].as_slice().iter().zip(vectors[1].as_slice());
        pairs.map(|(a, b)| a * b).sum()
    }

    #[tokio::test]
    async fn the_real_client_gets_the_same_vector_for_the_same_words() {
        let sim = bedrock::start(BedrockSimOptions::default()).await.unwrap();
        for id in ["amazon.titan-embed-text-v2:0", "eu.cohere.embed-v4:0"] {
            let model = model(&sim.url, id).await;
            let full = "disk is full";
            assert!(cosine(&model, full, "full is disk").await > 0.999, "{id}");
            assert!(cosine(&model, full, "disk is degraded").await > 0.5, "{id}");
            assert!(cosine(&model, full, "service stopped").await < 0.4, "{id}");
        }
        sim.stop().await;
    }

    #[tokio::test]
    async fn trouble_on_demand_is_seen_as_it_would_be() {
        let sim = bedrock::start(BedrockSimOptions::default()).await.unwrap();
        let model = model(&sim.url, "amazon.titan-embed-text-v2:0").await;
        let http = reqwest::Client::new();
        for (fault, kind) in [
            ("throttle", FailureKind::Throttled),
            ("unavailable", FailureKind::Unavailable),
        ] {
            let faults = json!({ fault: 1 }).to_string();
            let sent = http
                .post(format!("{}/faults", sim.url))
                .header("content-type", "application/json")
                .body(faults);
            assert!(sent.send().await.unwrap().status().is_success());
            let failed = model.embed(&["a".to_owned()], Purpose::Ask).await;
            assert_eq!(failed.unwrap_err().kind(), kind);
            model.embed(&["a".to_owned()], Purpose::Ask).await.unwrap();
        }
        sim.stop().await;
    }

    #[test]
    fn what_the_real_models_refuse_is_refused() {
        let titan = "amazon.titan-embed-text-v2:0";
        for (model, body) in [
            (titan, json!({ "inputText": "" })),
            (titan, json!({ "inputText": "x".repeat(50_001) })),
            (titan, json!({ "inputText": "x", "dimensions": 300 })),
            (titan, json!({ "inputText": "x", "texts": [] })),
            (
                "cohere.embed-v4:0",
                json!({ "texts": [], "input_type": "clustering" }),
            ),
            ("cohere.embed-v4:0", json!({ "texts": ["x"] })),
            ("amazon.titan-embed-image-v1", json!({})),
        ] {
            assert!(answer(model, &body).is_err(), "{model} {body}");
        }
    }
}
