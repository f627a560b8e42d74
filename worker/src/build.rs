//! From configuration and secrets to what activities work with.

use std::sync::Arc;

use activities::{Deps, Settings, SystemClock};
use anyhow::Context;
use clients::{
    bedrock::{Bedrock, embeddings::Embeddings},
    config::{Config, Secrets},
    intel::Intel,
    memory::LazyMemory,
    notify::LogNotifier,
    nvd::{self, Nvd},
    objects::Objects,
    prometheus::Prometheus,
    rate_limit::RateLimiter,
    store::{Bucket, Store, TokenBucketLimiter},
    superops::{self, SuperOps},
};
use tracing::warn;

use crate::serve::QueueRates;

/// Builds the clients and opens the store. Asks no outside system but AWS Secrets Manager, and that for
/// the secrets that are kept there only.
///
/// # Errors
/// Names the key, variable or file that cannot be used.
pub async fn build_deps(config: &Config, secrets: &Secrets) -> anyhow::Result<Deps> {
    // Everything that can be wrong on paper is read before a file is made.
    let superops = config.superops(secrets).await?;
    let nvd = config.nvd(secrets).await?;
    let intel = config.intel()?;
    let bedrock = config.bedrock()?;
    let embeddings = config.embeddings()?;
    let prometheus = config.prometheus(secrets).await?;
    let callback = config.callback(secrets).await?;
    let decision_key = config.decision_key(secrets).await?;
    let buckets = config.buckets(secrets)?;
    let objects = config.objects()?;
    let accept_claimed_identity = config.environment.accepts_claimed_identity();
    if decision_key.is_none() && !accept_claimed_identity {
        warn!(
            "no decision key is set and claimed names are not accepted: nobody can approve anything"
        );
    }

    let store = Store::open(&config.store)
        .await
        .context("the store cannot be opened")?;
    let objects = Objects::open(objects)
        .await
        .context("the object storage cannot be opened")?;
    let limiter = Arc::new(TokenBucketLimiter::new(
        Arc::clone(&store.counters),
        buckets,
    ));
    let model = match bedrock {
        Some(bedrock) => {
            let model = Bedrock::new(bedrock).await?;
            Some(Arc::new(model.sharing(Arc::clone(&store.counters))))
        }
        None => None,
    };
    let embeddings = match embeddings {
        Some(embeddings) => {
            let model = Embeddings::new(embeddings, limiter.clone()).await?;
            Some(Arc::new(model.sharing(Arc::clone(&store.counters))))
        }
        None => None,
    };
    let prometheus = match prometheus {
        Some(prometheus) => {
            let prometheus = Prometheus::new(prometheus, limiter.clone())?;
            Some(Arc::new(prometheus.sharing(Arc::clone(&store.counters))))
        }
        None => None,
    };
    let superops = SuperOps::new(superops, limiter.clone())?;
    let nvd = Nvd::new(nvd, limiter.clone())?;
    let limiter: Arc<dyn RateLimiter> = limiter;
    let intel = Intel::new(&intel, &limiter)?;
    Ok(Deps {
        superops: Arc::new(superops.sharing(Arc::clone(&store.counters))),
        nvd: Arc::new(nvd.sharing(Arc::clone(&store.counters))),
        intel: Arc::new(intel.sharing(&store.counters)),
        memory: Arc::new(LazyMemory::new(config.memory.clone())),
        model,
        embeddings,
        prometheus,
        notifier: Arc::new(LogNotifier),
        clock: Arc::new(SystemClock),
        settings: Settings {
            accept_claimed_identity,
            decision_key,
            device_master_key: callback.key,
            callback_url: callback.public_url,
        },
        store,
        objects,
    })
}

/// Says how fast the queues of rate-limited systems may be worked off: evenly, at the budget of the
/// system. The budget itself is kept by the bucket in the store.
///
/// # Errors
/// When a budget cannot be used.
pub fn queue_rates(config: &Config, secrets: &Secrets) -> anyhow::Result<QueueRates> {
    let buckets = config.buckets(secrets)?;
    let rate = |name: &str| buckets.get(name).map(per_second);
    Ok(QueueRates {
        superops: rate(superops::BUCKET),
        nvd: rate(nvd::BUCKET),
    })
}

fn per_second(bucket: &Bucket) -> f64 {
    f64::from(bucket.capacity) / bucket.per.as_secs_f64()
}
