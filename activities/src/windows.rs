//! Maintenance windows: when devices may be touched next.

use std::sync::Arc;

use clients::store::Store;
use contracts::activities::windows::{NextOpeningInput, NextOpeningResult, OpeningTimes};
use domain::windows;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{Deps, failure::Outcome};

/// Windows.
#[derive(Debug)]
pub struct WindowActivities {
    store: Store,
}

impl WindowActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            store: deps.store.clone(),
        }
    }
}

#[activities]
impl WindowActivities {
    /// Computes the next opening.
    #[activity(definition = contracts::activities::windows::NextOpening)]
    pub async fn next_opening(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: NextOpeningInput,
    ) -> Result<NextOpeningResult, ActivityError> {
        Ok(self.compute(&input).await?)
    }
}

impl WindowActivities {
    async fn compute(&self, input: &NextOpeningInput) -> Outcome<NextOpeningResult> {
        let device = match &input.device {
            Some(device) => self.store.inventory.get_device(device).await?,
            None => None,
        };
        let client = self.store.inventory.get_client(&input.client).await?;
        let zone = windows::zone_for(
            input.time_zone.as_deref(),
            device
                .as_ref()
                .and_then(|device| device.time_zone.as_deref()),
            client
                .as_ref()
                .and_then(|client| client.time_zone.as_deref()),
        );
        let opening = windows::next_opening(&input.windows, &input.blackouts, zone, input.from)?;
        let opening = opening.map(|opening| OpeningTimes {
            opens_at: opening.opens_at,
            closes_at: opening.closes_at,
        });
        Ok(NextOpeningResult { opening })
    }
}
