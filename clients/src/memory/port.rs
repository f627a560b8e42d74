//! The port: what is asked of a memory, whatever keeps it.

use std::fmt;

use async_trait::async_trait;
use domain::{
    ids::ClientId,
    input::{InvalidInput, Problem},
};

use super::{Incident, MemoryError, ModelName, ModelVector, Record, Vector};

/// Result of a call.
pub type MemoryResult<T> = Result<T, MemoryError>;

/// Most incidents that one question returns.
pub const MOST_HITS: usize = 100;

/// Past incidents and the vectors they are found by.
#[async_trait]
pub trait Memory: fmt::Debug + Send + Sync {
    /// Keeps incidents. The same incident again replaces what was kept of it; vectors of models that
    /// are not given stay. Returns one outcome for each, in order.
    ///
    /// # Errors
    /// When nothing is known of any of them; repeating the call is safe.
    async fn remember(&self, records: Vec<Record>) -> MemoryResult<Vec<Outcome>>;

    /// Forgets one incident of a client with all its vectors; false when it was not kept.
    ///
    /// # Errors
    /// When it cannot be forgotten now; repeating the call is safe.
    async fn forget(&self, client: &ClientId, incident: &str) -> MemoryResult<bool>;

    /// Forgets everything of a client and returns how many incidents that were.
    ///
    /// # Errors
    /// When not all could be forgotten; repeating the call goes on with the rest.
    async fn forget_client(&self, client: &ClientId) -> MemoryResult<u64>;

    /// Returns the past incidents of a client that are nearest, best first.
    ///
    /// # Errors
    /// When the question is not allowed, or no vectors of the model asked for are kept.
    async fn recall(&self, question: &Question) -> MemoryResult<Vec<Hit>>;

    /// Returns a page of incidents of all clients that have no vector of a model, or one made of
    /// words they no longer have. `after` is the `next` of the page before. Because what was
    /// embedded is lacking no longer, a job that stopped goes on wherever it begins.
    ///
    /// # Errors
    /// When they cannot be read now.
    async fn lacking(
        &self,
        model: &ModelName,
        after: Option<&str>,
        limit: usize,
    ) -> MemoryResult<Page>;

    /// Keeps vectors of a model for incidents that are remembered; others are refused. Returns one
    /// outcome for each, in order.
    ///
    /// # Errors
    /// When nothing is known of any of them; repeating the call is safe.
    async fn embed(
        &self,
        model: &ModelName,
        embeddings: Vec<Embedding>,
    ) -> MemoryResult<Vec<Outcome>>;

    /// Returns the model whose vectors questions are asked with.
    ///
    /// # Errors
    /// When it cannot be read now.
    async fn current_model(&self) -> MemoryResult<Option<ModelName>>;

    /// Makes a model the current one, at once for all processes. Meant for when nothing is lacking.
    ///
    /// # Errors
    /// When it cannot be written now.
    async fn use_model(&self, model: &ModelName) -> MemoryResult<()>;

    /// Drops all vectors of a model that is no longer used.
    ///
    /// # Errors
    /// When it is the current one.
    async fn drop_model(&self, model: &ModelName) -> MemoryResult<()>;
}

/// What came of one item of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is kept.
    Kept,
    /// It can never be kept like this.
    Refused {
        /// What is not allowed about it.
        why: String,
    },
    /// It may be kept another time.
    Retry {
        /// What stood in the way.
        why: String,
    },
}

/// In which space is looked, and from where.
#[derive(Debug, Clone, PartialEq)]
pub enum Near {
    /// Among the vectors made by rule.
    Rule(Vector),
    /// Among those of a model.
    Model(ModelVector),
}

/// A question. There is none without a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Whose incidents are searched.
    pub client: ClientId,
    /// From where.
    pub near: Near,
    /// Words to look for as well; the two orders are then joined by rank.
    pub text: Option<String>,
    /// How many at most, 1 to 100.
    pub limit: usize,
}

impl Question {
    pub(super) fn check(&self) -> Result<(), InvalidInput> {
        if (1..=MOST_HITS).contains(&self.limit) {
            return Ok(());
        }
        Err(InvalidInput::one(Problem::new(
            "limit",
            self.limit,
            format!("1 to {MOST_HITS}"),
        )))
    }
}

/// A past incident that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The incident.
    pub incident: Incident,
    /// What the order is by: the cosine, or with text the sum of `1 / (60 + rank)` over both orders.
    pub score: f64,
    /// What the score is made of.
    pub parts: Parts,
}

/// Why an incident was found. A part that is missing was not among the first of that order.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Parts {
    /// Cosine between the vectors, -1 to 1.
    pub cosine: Option<f64>,
    /// Place in the order by vector, from 1.
    pub vector_rank: Option<usize>,
    /// BM25 of the text; to be compared inside one answer only.
    pub text_score: Option<f64>,
    /// Place in the order by text, from 1.
    pub text_rank: Option<usize>,
}

/// Some of the incidents that lack a vector.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The incidents; may be none although there are more pages.
    pub incidents: Vec<Incident>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}

/// A vector that a model made of an incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The incident, with the words it was made of.
    pub incident: Incident,
    /// The vector.
    pub vector: Vector,
}
