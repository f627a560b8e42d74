//! The port of the shared token bucket. The authority is the store, so that every worker, the API
//! and the starter draw from one budget (docs/architecture.md, "Rate limits").

use std::time::Duration;

use async_trait::async_trait;

/// What the bucket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Go ahead.
    Granted,
    /// The budget is used up; come back after this long.
    Wait(Duration),
}

/// A budget of calls that many processes share.
#[async_trait]
pub trait RateLimiter: Send + Sync + std::fmt::Debug {
    /// Takes one call from the budget of `bucket`, or says how long to wait.
    ///
    /// # Errors
    /// When the bucket cannot be asked; the caller treats that as unavailable.
    async fn take(&self, bucket: &str) -> Result<Permit, Box<dyn std::error::Error + Send + Sync>>;

    /// Lets everybody who shares the budget of `bucket` wait for so long, because the system asked
    /// for it.
    ///
    /// # Errors
    /// When the bucket cannot be reached; then only the caller waits.
    async fn block(
        &self,
        bucket: &str,
        pause: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Lets everybody who shares a budget wait. When that cannot be said, only the caller waits.
pub(crate) async fn let_all_wait(limiter: &dyn RateLimiter, bucket: &str, pause: Duration) {
    if let Err(error) = limiter.block(bucket, pause).await {
        tracing::warn!(
            error = error.as_ref() as &dyn std::error::Error,
            bucket,
            "the budget could not be blocked, others may go on asking"
        );
    }
}

/// No limit: for systems without one, and for probes by hand.
#[derive(Debug, Clone, Copy)]
pub struct Unlimited;

#[async_trait]
impl RateLimiter for Unlimited {
    async fn take(&self, _: &str) -> Result<Permit, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Permit::Granted)
    }

    async fn block(
        &self,
        _: &str,
        _: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}
