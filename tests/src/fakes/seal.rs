//! Sealing: the real thing, on the store and the folder of the world.

use std::sync::Arc;

use activities::seal::result_of;
use clients::seal;
use contracts::activities::seal::{SealInput, SealResult};
use jiff::Timestamp;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{faults::failure, world::Worlds};

/// Seals.
#[derive(Debug)]
pub struct FakeSeals(Arc<Worlds>);

impl FakeSeals {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakeSeals {
    /// Seals the audit trail of the world.
    #[activity(definition = contracts::activities::seal::Seal)]
    pub async fn seal(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: SealInput,
    ) -> Result<SealResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        let actions = world.store().actions.as_ref();
        let when = (input.through, Timestamp::now());
        let sealed = seal::seal(actions, world.objects(), when, &|| ()).await;
        let sealed = sealed.map_err(|e| failure("audit.unavailable", &e.to_string(), true))?;
        Ok(result_of(sealed))
    }
}
