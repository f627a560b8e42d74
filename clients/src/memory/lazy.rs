//! A memory that is opened when it is first needed: work that has nothing to do with it goes on while it
//! cannot be reached.

use std::sync::Arc;

use tokio::sync::OnceCell;

use super::{Memory, MemoryResult, open};
use crate::config::MemorySection;

/// A memory that may not be open yet.
#[derive(Debug)]
pub struct LazyMemory {
    section: MemorySection,
    memory: OnceCell<Arc<dyn Memory>>,
}

impl LazyMemory {
    /// Opens the memory that the configuration names, once it is asked for.
    #[must_use]
    pub fn new(section: MemorySection) -> Self {
        Self {
            section,
            memory: OnceCell::new(),
        }
    }

    /// Returns it.
    ///
    /// # Errors
    /// When it cannot be opened; the next call tries again.
    pub async fn get(&self) -> MemoryResult<&Arc<dyn Memory>> {
        self.memory.get_or_try_init(|| open(&self.section)).await
    }
}
