//! The re-embedding job: vectors of a new embedding model for everything that is remembered, and
//! then the switch to that model.
//!
//! It may stop anywhere and be run again: what has a vector lacks none, so nothing is made twice.

use async_trait::async_trait;
use domain::failure::{Classify, FailureKind};

use super::{Embedding, Incident, Memory, MemoryError, ModelName, Outcome, Vector};

/// Incidents of one page, at most.
const PAGE: usize = 100;

/// An embedding model.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Why it fails.
    type Error: Classify + std::error::Error + Send + Sync + 'static;

    /// Returns its name: vectors of different models are never compared.
    fn model(&self) -> &ModelName;

    /// Returns how many texts it takes in one call of its service. What is made of so many is kept
    /// before more are made, so that a job that stops loses no more.
    fn at_once(&self) -> usize;

    /// Makes a vector of each text, in order.
    ///
    /// # Errors
    /// When it cannot be asked, or refuses.
    async fn vectors(&self, texts: &[String]) -> Result<Vec<Vector>, Self::Error>;
}

/// What the job did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReEmbedded {
    /// Vectors that are kept now.
    pub kept: u64,
    /// Why incidents got none for good, such as that they were forgotten meanwhile.
    pub refused: Vec<String>,
    /// Incidents for which there was no room; the next run tries them again.
    pub left: u64,
    /// The model is the current one: nothing was left.
    pub is_current: bool,
}

/// Why the job stopped; it goes on when it is run again.
#[derive(Debug, thiserror::Error)]
pub enum ReEmbedError<E: std::error::Error + 'static> {
    /// The memory failed.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The model failed.
    #[error("the embedding model failed")]
    Model(#[source] E),
    /// The model did not answer what it was asked.
    #[error("the embedding model made {got} vectors of {asked} texts")]
    Count {
        /// Texts.
        asked: usize,
        /// Vectors.
        got: usize,
    },
}

impl<E: Classify + std::error::Error + 'static> Classify for ReEmbedError<E> {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Memory(error) => error.kind(),
            Self::Model(error) => error.kind(),
            Self::Count { .. } => FailureKind::Malformed,
        }
    }
}

/// Makes what is lacking, then makes the model the current one. `alive` is called after each page.
///
/// # Errors
/// When memory or model fail; what was done is kept.
pub async fn re_embed<M: Embedder>(
    memory: &dyn Memory,
    embedder: &M,
    alive: &(dyn Fn() + Sync),
) -> Result<ReEmbedded, ReEmbedError<M::Error>> {
    let model = embedder.model();
    let limit = embedder.at_once().clamp(1, PAGE);
    let mut done = ReEmbedded::default();
    let mut after: Option<String> = None;
    loop {
        let page = memory.lacking(model, after.as_deref(), limit).await?;
        if !page.incidents.is_empty() {
            let texts: Vec<String> = page.incidents.iter().map(Incident::look).collect();
            let vectors = embedder.vectors(&texts).await;
            let vectors = vectors.map_err(ReEmbedError::Model)?;
            let (asked, got) = (texts.len(), vectors.len());
            if asked != got {
                return Err(ReEmbedError::Count { asked, got });
            }
            let made = page.incidents.into_iter().zip(vectors);
            let made = made.map(|(incident, vector)| Embedding { incident, vector });
            for outcome in memory.embed(model, made.collect()).await? {
                match outcome {
                    Outcome::Kept => done.kept += 1,
                    Outcome::Refused { why } => done.refused.push(why),
                    Outcome::Retry { .. } => done.left += 1,
                }
            }
        }
        alive();
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if done.left == 0 {
        memory.use_model(model).await?;
        done.is_current = true;
    }
    Ok(done)
}
