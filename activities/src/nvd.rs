//! Vulnerability sources.

use std::sync::Arc;

use clients::nvd::Nvd;
use contracts::activities::vulnerabilities::LookupCveInput;
use domain::patch::CveFacts;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{Deps, failure::Failed};

/// Vulnerability sources.
#[derive(Debug)]
pub struct NvdActivities {
    nvd: Arc<Nvd>,
}

impl NvdActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            nvd: Arc::clone(&deps.nvd),
        }
    }
}

#[activities]
impl NvdActivities {
    /// Asks NVD for one CVE; one request.
    #[activity(definition = contracts::activities::vulnerabilities::LookupCve)]
    pub async fn lookup_cve(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: LookupCveInput,
    ) -> Result<CveFacts, ActivityError> {
        Ok(self
            .nvd
            .lookup_cve(&input.cve)
            .await
            .map_err(Failed::from)?)
    }
}
