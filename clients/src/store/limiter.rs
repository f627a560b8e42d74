//! The shared token bucket over the store's counters.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    StoreError,
    ports::{Bucket, Counters, MAX_BLOCK},
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

    async fn block(
        &self,
        bucket: &str,
        pause: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let until = (self.clock)().checked_add(pause.min(MAX_BLOCK))?;
        Ok(self.counters.block(bucket, until).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn two_processes_draw_from_one_budget_and_a_forgotten_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let limiter = || {
            let store = Store::embedded(&folder.path().join("autoops.db")).unwrap();
            let bucket = Bucket {
                capacity: 2,
                per: Duration::from_secs(60),
            };
            TokenBucketLimiter::new(store.counters, BTreeMap::from([("nvd".to_owned(), bucket)]))
                .with_clock(|| Timestamp::UNIX_EPOCH)
        };
        let (one, other) = (limiter(), limiter());
        assert_eq!(one.take("nvd").await.unwrap(), Permit::Granted);
        assert_eq!(other.take("nvd").await.unwrap(), Permit::Granted);
        let full = Permit::Wait(Duration::from_secs(60));
        assert_eq!(one.take("nvd").await.unwrap(), full);
        one.block("nvd", Duration::from_secs(600)).await.unwrap();
        let blocked = Permit::Wait(Duration::from_secs(600));
        assert_eq!(other.take("nvd").await.unwrap(), blocked);
        one.block("nvd", Duration::from_secs(90_000)).await.unwrap();
        let longest = Permit::Wait(MAX_BLOCK);
        assert_eq!(other.take("nvd").await.unwrap(), longest);
        let error = one.take("superops").await.unwrap_err().to_string();
        assert!(error.contains("superops"), "{error}");
    }
}
