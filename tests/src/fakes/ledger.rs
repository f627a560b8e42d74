//! The ledger of bad patches: the real one, on the store that worlds share.

use std::sync::Arc;

use activities::ledger::LedgerActivities;
use contracts::activities::ledger::{CountInput, CountResult};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{faults::failure, world::Worlds};

/// The ledger.
#[derive(Debug)]
pub struct FakeLedger(Arc<Worlds>);

impl FakeLedger {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakeLedger {
    /// Counts a device, and halts what is open on the server of the tests.
    #[activity(definition = contracts::activities::ledger::Count)]
    pub async fn count(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: CountInput,
    ) -> Result<CountResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        let store = world.ledger();
        if let Some(device) = world.read(|m| m.devices.get(&input.device).map(|d| d.seen())) {
            let put = store.inventory.put_devices(&[device]).await;
            put.map_err(|e| failure("store.unavailable", &e.to_string(), true))?;
        }
        let ledger = LedgerActivities::on(store);
        ledger.count_and_halt(&input, &ctx.client()).await
    }
}
