//! Memory of past incidents: what they looked like, what caused them, what worked. A new incident
//! finds the ones nearest to it, always among those of its own client.
//!
//! [`Memory`] is the port. The embedded adapter ([`embedded`]) keeps everything in one SQLite file and
//! compares exactly; the other one ([`opensearch`]) is on OpenSearch with k-NN. Vectors come from
//! rules, and, where a model is at hand, also from that model; each of these spaces is kept apart,
//! because distances mean something only inside one.

mod embedded;
mod error;
mod fusion;
mod lazy;
mod likeness;
mod opensearch;
mod port;
mod re_embed;
mod record;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::{path::Path, sync::Arc};

pub use self::{
    error::MemoryError,
    lazy::LazyMemory,
    likeness::Look,
    opensearch::OpenSearchConfig,
    port::{Embedding, Hit, MOST_HITS, Memory, MemoryResult, Near, Outcome, Page, Parts, Question},
    re_embed::{Embedder, ReEmbedError, ReEmbedded, re_embed},
    record::{DIMENSIONS, Incident, ModelName, ModelVector, Record, Vector},
};
use crate::config::{MemoryKind, MemorySection};

/// Opens the memory that the configuration names.
///
/// # Errors
/// When it cannot be used; says what to do.
pub async fn open(section: &MemorySection) -> MemoryResult<Arc<dyn Memory>> {
    match section.kind {
        MemoryKind::Embedded => embedded(&section.path),
        MemoryKind::Opensearch => opensearch(&section.opensearch).await,
    }
}

/// Opens the embedded adapter on a SQLite file, which is created with its folders when it is not
/// there. Several processes may use it at once. Blocks for some milliseconds.
///
/// # Errors
/// When the file cannot be used, was written by a newer AutoOps or is something else.
pub fn embedded(path: &Path) -> MemoryResult<Arc<dyn Memory>> {
    Ok(Arc::new(embedded::Embedded::open(path)?))
}

/// Opens the adapter on OpenSearch; makes its index templates and the index of incidents where they
/// are missing.
///
/// # Errors
/// When a setting is not allowed, OpenSearch is not reached or refuses us, or the index is another one
/// than ours.
pub async fn opensearch(config: &OpenSearchConfig) -> MemoryResult<Arc<dyn Memory>> {
    Ok(Arc::new(opensearch::OpenSearchMemory::open(config).await?))
}
