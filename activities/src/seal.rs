//! Sealing the audit trail.

use std::sync::Arc;

use clients::{
    objects::Objects,
    seal::{self, Sealed},
    store::Store,
};
use contracts::activities::seal::{SealInput, SealResult};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};
use tokio::sync::Notify;

use crate::{Clock, Deps, heartbeat};

/// Seals.
#[derive(Debug)]
pub struct SealActivities {
    store: Store,
    objects: Objects,
    clock: Arc<dyn Clock>,
}

impl SealActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            store: deps.store.clone(),
            objects: deps.objects.clone(),
            clock: Arc::clone(&deps.clock),
        }
    }
}

#[activities]
impl SealActivities {
    /// Copies what was written down into write-once storage, and seals it.
    #[activity(definition = contracts::activities::seal::Seal)]
    pub async fn seal(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: SealInput,
    ) -> Result<SealResult, ActivityError> {
        let (progress, when) = (Notify::new(), (input.through, self.clock.now()));
        let alive = || progress.notify_one();
        let sealing = seal::seal(self.store.actions.as_ref(), &self.objects, when, &alive);
        Ok(result_of(
            heartbeat::during(sealing, &progress, &ctx).await?,
        ))
    }
}

/// Says what sealing came to, as workflows see it.
#[must_use]
pub fn result_of(sealed: Sealed) -> SealResult {
    let parts = &sealed.seal.parts;
    SealResult {
        sequence: sealed.seal.sequence,
        parts: parts.len() as u64,
        entries: parts.iter().map(|part| part.entries).sum(),
        root: sealed.seal.hash,
        through: sealed.seal.through,
        is_new: sealed.is_new,
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::testing::{World, environment, failure};

    #[tokio::test]
    async fn a_day_is_sealed_once() {
        let world = World::new().await;
        let run = environment(SealActivities::new(&world.deps));
        let input = SealInput {
            through: date(2026, 11, 2),
        };
        let first = run.run(SealActivities::seal, input.clone()).await.unwrap();
        assert_eq!((first.sequence, first.is_new), (1, true));
        let again = run.run(SealActivities::seal, input).await.unwrap();
        assert_eq!((again.root, again.is_new), (first.root, false));
    }

    #[tokio::test]
    async fn a_seal_that_was_changed_is_not_built_upon() {
        let world = World::new().await;
        let objects = &world.deps.objects;
        let key = clients::objects::ObjectKey::seal(1).unwrap();
        objects.create(&key, "{}").await.unwrap();
        let run = environment(SealActivities::new(&world.deps));
        let input = SealInput {
            through: date(2026, 11, 2),
        };
        let failure = failure(run.run(SealActivities::seal, input).await);
        assert_eq!(failure.type_name(), Some("audit.malformed"));
        assert!(failure.is_non_retryable());
        assert!(failure.to_string().contains(key.as_str()), "{failure}");
    }
}
