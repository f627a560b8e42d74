//! Telling people.

use std::convert::Infallible;

use domain::{
    ids::{ClientId, RequestId},
    people::Role,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// What people are told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// An approval is asked for.
    ApprovalOpened,
    /// The next role is asked as well.
    ApprovalEscalated,
    /// Its deadline moved.
    ApprovalExtended,
    /// Somebody decided.
    ApprovalDecided,
    /// It ended otherwise: timed out, superseded, cancelled.
    ApprovalClosed,
    /// Evidence of devices could not be taken: they wait for a person.
    EvidenceMissing,
    /// A deployment stopped and needs a person.
    Halted,
    /// A deployment is over.
    DeploymentFinished,
}

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeInput {
    /// Names it: a repeat with the same key is the same notice.
    pub key: String,
    /// Client.
    pub client: ClientId,
    /// Workflow it is about.
    pub workflow_id: String,
    /// Kind.
    pub kind: NoticeKind,
    /// One sentence.
    pub summary: String,
    /// Approval request it is about.
    #[serde(default)]
    pub request: Option<RequestId>,
    /// Plan it is about.
    #[serde(default)]
    pub plan_hash: Option<String>,
    /// Least role asked.
    #[serde(default)]
    pub role: Option<Role>,
    /// By when.
    #[serde(default)]
    pub deadline: Option<Timestamp>,
    /// How the plan differs from the one asked about before.
    #[serde(default)]
    pub difference: Vec<String>,
}

/// Notices.
#[derive(Debug)]
pub struct NotifyActivities;

#[activity_definitions]
impl NotifyActivities {
    /// Sends a notice to the people concerned.
    #[activity(name = "notify.send")]
    pub fn send(_: NoticeInput) -> Result<(), Infallible> {
        unimplemented!()
    }
}

pub use notify_activities::Send as SendNotice;
