//! Telling people. The port, and an adapter that writes to the log; chat adapters come beside it.

use std::{error::Error, fmt};

use async_trait::async_trait;
use domain::{
    failure::{Classify, FailureKind},
    ids::{ClientId, RequestId},
    people::Role,
};
use jiff::Timestamp;
use tracing::info;

/// What people are told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// A deployment is over.
    DeploymentFinished,
    /// A deployment stopped and needs a person.
    Halted,
    /// Something cannot go on without a person.
    NeedsHuman,
}

impl NoticeKind {
    /// Returns the word used in log fields.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApprovalOpened => "approval_opened",
            Self::ApprovalEscalated => "approval_escalated",
            Self::ApprovalExtended => "approval_extended",
            Self::ApprovalDecided => "approval_decided",
            Self::ApprovalClosed => "approval_closed",
            Self::DeploymentFinished => "deployment_finished",
            Self::Halted => "halted",
            Self::NeedsHuman => "needs_human",
        }
    }
}

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
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
    pub request: Option<RequestId>,
    /// Plan it is about.
    pub plan_hash: Option<String>,
    /// Least role asked.
    pub role: Option<Role>,
    /// By when.
    pub deadline: Option<Timestamp>,
    /// How the plan differs from the one asked about before.
    pub difference: Vec<String>,
}

/// Why a notice could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("the notice {key} could not be sent")]
pub struct NotifyError {
    /// Which notice.
    pub key: String,
    /// What the sender may do.
    pub kind: FailureKind,
    /// What the system said.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl Classify for NotifyError {
    fn kind(&self) -> FailureKind {
        self.kind
    }
}

/// A way to tell people.
#[async_trait]
pub trait Notify: Send + Sync + fmt::Debug {
    /// Sends a notice. The same key may come again after a crash.
    ///
    /// # Errors
    /// When the system behind it did not take the notice.
    async fn send(&self, notice: Notice) -> Result<(), NotifyError>;
}

/// Writes notices to the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogNotifier;

#[async_trait]
impl Notify for LogNotifier {
    async fn send(&self, notice: Notice) -> Result<(), NotifyError> {
        info!(
            notice.key = %notice.key,
            notice.kind = notice.kind.as_str(),
            client = %notice.client,
            workflow_id = %notice.workflow_id,
            request = notice.request.as_ref().map(RequestId::as_str),
            plan_hash = notice.plan_hash.as_deref(),
            role = notice.role.map(Role::as_str),
            deadline = notice.deadline.map(|at| at.to_string()),
            difference = notice.difference.join("; "),
            "notice {} of {}: {}",
            notice.kind.as_str(),
            notice.workflow_id,
            notice.summary,
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_log_takes_every_notice() {
        let notice = Notice {
            key: "patch-deployment/p/opened/1".into(),
            client: "7".parse().unwrap(),
            workflow_id: "patch-deployment/p".into(),
            kind: NoticeKind::ApprovalOpened,
            summary: "plan p wants to patch 3 devices".into(),
            request: Some("p/1".parse().unwrap()),
            plan_hash: None,
            role: Some(Role::Approver),
            deadline: Some(Timestamp::UNIX_EPOCH),
            difference: vec![],
        };
        LogNotifier.send(notice.clone()).await.unwrap();
        LogNotifier.send(notice).await.unwrap();
    }
}
