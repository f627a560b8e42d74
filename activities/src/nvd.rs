//! Vulnerability sources.

use std::sync::Arc;

use clients::nvd::Nvd;
use contracts::activities::vulnerabilities::LookupCveInput;
use domain::patch::CveFacts;
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{
    Deps,
    failure::{Failed, final_error, is_left_alone},
};

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
        let found = self.nvd.lookup_cve(&input.cve).await;
        Ok(found.map_err(|error| -> Failed {
            // The plan goes on without this score.
            if is_left_alone(&error) {
                final_error("nvd", error)
            } else {
                error.into()
            }
        })?)
    }
}

#[cfg(test)]
mod tests {
    use wiremock::{Mock, ResponseTemplate, matchers::method};

    use super::*;
    use crate::testing::{World, environment, failure};

    #[tokio::test]
    async fn an_nvd_that_is_left_alone_is_not_waited_for() {
        let world = World::new().await;
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(503))
            .expect(3)
            .mount(&world.server)
            .await;
        let activities = environment(NvdActivities::new(&world.deps));
        let mut last = Vec::new();
        for _ in 0..4 {
            let input = LookupCveInput {
                cve: "CVE-2026-0001".parse().unwrap(),
            };
            let failed = failure(activities.run(NvdActivities::lookup_cve, input).await);
            assert_eq!(failed.type_name(), Some("nvd.unavailable"));
            last.push(failed.is_non_retryable());
        }
        assert_eq!(last, [false, false, false, true]);
    }
}
