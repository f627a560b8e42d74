//! Why a running deployment could not be asked or told something.

use temporalio_client::{
    errors::{
        WorkflowGetResultError, WorkflowInteractionError, WorkflowQueryError, WorkflowUpdateError,
    },
    tonic::{Code, Status},
};

/// What went wrong, by what the caller may do about it.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Temporal knows no such workflow.
    #[error("no deployment of this plan is known to the Temporal server")]
    NotFound,
    /// The workflow is over.
    #[error("the deployment is over")]
    Closed,
    /// The server is there, a worker did not answer.
    #[error("no worker answered in time")]
    NoAnswer,
    /// The workflow could not use what it was sent.
    #[error("{0}")]
    Refused(String),
    /// The server could not be reached.
    #[error("lost the Temporal server: {0}")]
    Lost(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Trouble {
    fn of_status(status: &Status) -> Self {
        let text = status.message().to_owned();
        match status.code() {
            Code::NotFound if text.contains("already completed") => Self::Closed,
            Code::NotFound => Self::NotFound,
            Code::DeadlineExceeded | Code::Cancelled | Code::FailedPrecondition => Self::NoAnswer,
            Code::InvalidArgument => Self::Refused(text),
            Code::Unavailable => Self::Lost(text),
            _ => Self::Other(text),
        }
    }
}

impl From<WorkflowInteractionError> for Trouble {
    fn from(error: WorkflowInteractionError) -> Self {
        match &error {
            WorkflowInteractionError::NotFound(status) | WorkflowInteractionError::Rpc(status) => {
                Self::of_status(status)
            }
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<WorkflowQueryError> for Trouble {
    fn from(error: WorkflowQueryError) -> Self {
        match &error {
            WorkflowQueryError::NotFound(status) | WorkflowQueryError::Rpc(status) => {
                Self::of_status(status)
            }
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<WorkflowUpdateError> for Trouble {
    fn from(error: WorkflowUpdateError) -> Self {
        match &error {
            WorkflowUpdateError::NotFound(status) | WorkflowUpdateError::Rpc(status) => {
                Self::of_status(status)
            }
            WorkflowUpdateError::Failed(failure) => Self::Refused(failure.message.clone()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<WorkflowGetResultError> for Trouble {
    fn from(error: WorkflowGetResultError) -> Self {
        match &error {
            WorkflowGetResultError::NotFound(status) | WorkflowGetResultError::Rpc(status) => {
                Self::of_status(status)
            }
            other => Self::Other(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_workflow_is_told_from_an_unknown_one() {
        let closed = Status::not_found("workflow execution already completed");
        assert!(matches!(Trouble::of_status(&closed), Trouble::Closed));
        assert!(matches!(
            Trouble::of_status(&Status::not_found("no such id")),
            Trouble::NotFound
        ));
        assert!(matches!(
            Trouble::of_status(&Status::unavailable("x")),
            Trouble::Lost(_)
        ));
        assert!(matches!(
            Trouble::of_status(&Status::deadline_exceeded("x")),
            Trouble::NoAnswer
        ));
    }
}
