//! Vulnerability sources.

use std::convert::Infallible;

use domain::{ids::CveId, patch::CveFacts};
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// Names a CVE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupCveInput {
    /// CVE.
    pub cve: CveId,
}

/// Vulnerability sources.
#[derive(Debug)]
pub struct NvdActivities;

#[activity_definitions]
impl NvdActivities {
    /// Asks NVD for one CVE; one request.
    #[activity(name = "nvd.lookup_cve")]
    pub fn lookup_cve(_: LookupCveInput) -> Result<CveFacts, Infallible> {
        unimplemented!()
    }
}

pub use nvd_activities::LookupCve;
