//! Who may decide.

use std::convert::Infallible;

use domain::{
    approval::Choice,
    ids::{ClientId, DeviceId, KbId, PersonId, RequestId},
    people::{Authority, ControlAction, Role},
    triage::IncidentKey,
};
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// Asks whether a person may do something to a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizeInput {
    /// Who.
    pub by: PersonId,
    /// What.
    pub action: ControlAction,
    /// Workflow it is about; part of what a proof signs.
    pub workflow_id: String,
    /// Client of the deployment.
    pub client: ClientId,
    /// Least role asked for, for decisions.
    #[serde(default)]
    pub least_role: Option<Role>,
    /// Who asked for the plan.
    #[serde(default)]
    pub requester: Option<PersonId>,
    /// The requester may not approve.
    #[serde(default)]
    pub four_eyes: bool,
    /// The deployment is halted, which takes more than a pause to resume.
    #[serde(default)]
    pub halted: bool,
    /// What was decided, for decisions.
    #[serde(default)]
    pub choice: Option<Choice>,
    /// Request meant.
    #[serde(default)]
    pub request: Option<RequestId>,
    /// Plan meant.
    #[serde(default)]
    pub plan_hash: Option<String>,
    /// The update that broke something, for a halt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kb: Option<KbId>,
    /// The incident that an agent halts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentKey>,
    /// Device meant, where an order is about one; part of what a proof signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Signature of the API.
    #[serde(default)]
    pub proof: Option<String>,
}

/// Approvals.
#[derive(Debug)]
pub struct ApprovalActivities;

#[activity_definitions]
impl ApprovalActivities {
    /// Looks a person up and asks policy what the person may do.
    #[activity(name = "approvals.authorize")]
    pub fn authorize(_: AuthorizeInput) -> Result<Authority, Infallible> {
        unimplemented!()
    }
}

pub use approval_activities::Authorize;
