//! Where incidents lie in the space of an embedding model. Only what [`agents::likeness`] lets through
//! goes out, whoever asks.

use std::time::Duration;

use agents::likeness;
use async_trait::async_trait;
use clients::{
    bedrock::{
        BedrockError,
        embeddings::{Embedded, Embeddings, Purpose},
    },
    memory::{
        Embedder, LazyMemory, MemoryResult, ModelName, ModelVector, ReEmbedError, ReEmbedded,
        Vector, re_embed,
    },
};
use domain::{
    cause::ByRule,
    failure::{Classify, FailureKind},
};
use tracing::warn;

/// Stands for what holds no known word. Nobody asks with it, so it is alike to nothing.
const NOTHING_KNOWN: &str = "unrecognised";
/// How long the job waits when it is not told how long.
const PAUSE: Duration = Duration::from_secs(10);

/// Where an incident lies, and what it cost to learn that.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) vector: ModelVector,
    pub(super) tokens: u64,
}

/// Asks where an incident lies.
pub(super) async fn place(
    model: &Embeddings,
    templates: &[String],
    purpose: Purpose,
) -> Result<Placed, ByRule> {
    let text = likeness::text(templates.iter().map(String::as_str)).ok_or(ByRule::NoWords)?;
    let Embedded { vectors, tokens } =
        model
            .embed(&[text.to_string()], purpose)
            .await
            .map_err(|error| {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the embedding model could not be used, the rule stands"
                );
                match error.kind() {
                    FailureKind::Throttled => ByRule::NoBudget,
                    _ => ByRule::Unavailable,
                }
            })?;
    let vector = vectors.into_iter().next().ok_or(ByRule::Unavailable)?;
    let vector = ModelVector {
        model: model.name().clone(),
        vector,
    };
    Ok(Placed { vector, tokens })
}

/// Tells whether questions may be asked in the space of a model: it is the one that the memory uses.
pub(super) async fn is_ready(memory: &LazyMemory, model: &Embeddings) -> MemoryResult<bool> {
    let current = memory.get().await?.current_model().await?;
    Ok(current.as_ref() == Some(model.name()))
}

/// The model, for texts of the memory.
struct Reduced<'a>(&'a Embeddings);

#[async_trait]
impl Embedder for Reduced<'_> {
    type Error = BedrockError;

    fn model(&self) -> &ModelName {
        self.0.name()
    }

    fn at_once(&self) -> usize {
        self.0.at_once()
    }

    async fn vectors(&self, texts: &[String]) -> Result<Vec<Vector>, BedrockError> {
        let reduced = texts.iter().map(|text| {
            let text = likeness::text(text.lines());
            text.map_or_else(|| NOTHING_KNOWN.to_owned(), |text| text.to_string())
        });
        let reduced: Vec<String> = reduced.collect();
        loop {
            match self.0.embed(&reduced, Purpose::Keep).await {
                // Nobody waits for this job.
                Err(error) if error.kind() == FailureKind::Throttled => {
                    tokio::time::sleep(error.retry_after().unwrap_or(PAUSE)).await;
                }
                embedded => return Ok(embedded?.vectors),
            }
        }
    }
}

/// Makes vectors of a model for everything that is remembered and has none, and then asks with that
/// model. Waits while the budget is used up. May be stopped anywhere and begun again.
///
/// # Errors
/// When memory or model fail; what was done is kept.
pub async fn re_embed_memory(
    memory: &LazyMemory,
    model: &Embeddings,
) -> Result<ReEmbedded, ReEmbedError<BedrockError>> {
    let memory = memory.get().await?;
    re_embed(memory.as_ref(), &Reduced(model), &|| ()).await
}
