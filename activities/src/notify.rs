//! Telling people.

use std::sync::Arc;

use clients::notify::{Notice, NoticeKind as ClientKind, Notify};
use contracts::activities::notify::{NoticeInput, NoticeKind};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{Deps, failure::Failed};

/// Notices.
#[derive(Debug)]
pub struct NotifyActivities {
    notifier: Arc<dyn Notify>,
}

impl NotifyActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            notifier: Arc::clone(&deps.notifier),
        }
    }
}

#[activities]
impl NotifyActivities {
    /// Sends a notice to the people concerned.
    #[activity(definition = contracts::activities::notify::SendNotice)]
    pub async fn send(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: NoticeInput,
    ) -> Result<(), ActivityError> {
        Ok(self
            .notifier
            .send(notice(input))
            .await
            .map_err(Failed::from)?)
    }
}

fn notice(input: NoticeInput) -> Notice {
    Notice {
        key: input.key,
        client: input.client,
        workflow_id: input.workflow_id,
        kind: kind(input.kind),
        summary: input.summary,
        request: input.request,
        plan_hash: input.plan_hash,
        role: input.role,
        deadline: input.deadline,
        difference: input.difference,
    }
}

fn kind(kind: NoticeKind) -> ClientKind {
    match kind {
        NoticeKind::ApprovalOpened => ClientKind::ApprovalOpened,
        NoticeKind::ApprovalEscalated => ClientKind::ApprovalEscalated,
        NoticeKind::ApprovalExtended => ClientKind::ApprovalExtended,
        NoticeKind::ApprovalDecided => ClientKind::ApprovalDecided,
        NoticeKind::ApprovalClosed => ClientKind::ApprovalClosed,
        NoticeKind::EvidenceMissing => ClientKind::NeedsHuman,
        NoticeKind::Halted => ClientKind::Halted,
        NoticeKind::DeploymentFinished => ClientKind::DeploymentFinished,
    }
}
