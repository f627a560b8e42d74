//! Reports: the real thing, on the store and the folder of the world.

use std::sync::Arc;

use activities::reports::result_of;
use clients::campaign::report::{self, ReportError};
use contracts::activities::campaign::{
    FindNewestInput, FindNewestResult, ReportInput, ReportResult,
};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use super::invalid;
use crate::{faults::failure, world::Worlds};

/// Reports of campaigns.
#[derive(Debug)]
pub struct FakeReports(Arc<Worlds>);

impl FakeReports {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakeReports {
    /// Finds the newest campaign of the world's client.
    #[activity(definition = contracts::activities::campaign::FindNewest)]
    pub async fn find_newest(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: FindNewestInput,
    ) -> Result<FindNewestResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        let newest = report::newest(world.store(), &input.client).await;
        let newest = newest.map_err(|e| failure("store.unavailable", &e.to_string(), true))?;
        Ok(FindNewestResult {
            campaign: newest.map(|campaign| campaign.id),
        })
    }

    /// Writes the report of a campaign of the world.
    #[activity(definition = contracts::activities::campaign::Report)]
    pub async fn report(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ReportInput,
    ) -> Result<ReportResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        let whose = (&input.client, input.campaign.as_ref());
        let (store, objects) = (world.store(), world.objects());
        let written = report::write(store, objects, whose, input.at, &|| ()).await;
        let written = written.map_err(|error| match error {
            ReportError::Invalid(found) => invalid(&found),
            error => failure("report.unavailable", &error.to_string(), true),
        });
        Ok(result_of(written?))
    }
}
