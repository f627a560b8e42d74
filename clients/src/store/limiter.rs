//! The shared token bucket over the store's counters.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    StoreError,
    ports::{Bucket, Counters},
};
use crate::rate_limit::{Permit, RateLimiter};

/// Budgets of named systems, counted in the store so that all processes draw from the same.
#[derive(Debug, Clone)]
pub struct TokenBucketLimiter {
    counters: Arc<dyn Counters>,
    buckets: BTreeMap<String, Bucket>,
    clock: fn() -> Timestamp,
}

impl TokenBucketLimiter {
    /// Makes a limiter on the clock of this machine. A bucket that is not listed is refused when it
    /// is asked for: a forgotten budget must not mean no limit.
    #[must_use]
    pub fn new(counters: Arc<dyn Counters>, buckets: BTreeMap<String, Bucket>) -> Self {
        Self {
            counters,
            buckets,
            clock: Timestamp::now,
        }
    }

    /// Replaces the clock, for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> Timestamp) -> Self {
        self.clock = clock;
        self
    }
}

#[async_trait]
impl RateLimiter for TokenBucketLimiter {
    async fn take(&self, bucket: &str) -> Result<Permit, Box<dyn std::error::Error + Send + Sync>> {
        let limit = *self
            .buckets
            .get(bucket)
            .ok_or_else(|| StoreError::Invalid {
                what: format!("no budget is set for `{bucket}`"),
            })?;
        let wait = self
            .counters
            .take_token(bucket, limit, (self.clock)())
            .await?;
        Ok(wait.map_or(Permit::Granted, Permit::Wait))
    }
}
