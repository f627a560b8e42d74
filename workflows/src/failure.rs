//! Reading failures of activities: by type, never by text.

use std::time::Duration;

use contracts::failures;
use domain::failure::FailureKind;
use temporalio_common::error::{ApplicationFailure, IncomingError};
use temporalio_workflow::{ActivityExecutionError, WorkflowTermination};

/// Ends the workflow with the failure of an activity, if it failed.
pub(crate) fn ended<T>(
    result: Result<T, ActivityExecutionError>,
) -> Result<T, WorkflowTermination> {
    result.map_err(|error| Failed::of(&error).into_termination())
}

/// What went wrong in an activity.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    /// Failure type, such as `superops.ambiguous`; absent for time-outs.
    pub(crate) failure_type: Option<String>,
    /// Words for people.
    pub(crate) message: String,
    /// Another try of the same call makes no difference.
    pub(crate) is_final: bool,
    /// The worker or the system was silent.
    pub(crate) timed_out: bool,
    /// How long the system asked us to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Failed {
    /// Reads a failure.
    pub(crate) fn of(error: &ActivityExecutionError) -> Self {
        let timed_out = error.as_timeout().is_some();
        match error.reason() {
            Some(IncomingError::Application(app)) => Self {
                failure_type: app.type_name().map(str::to_owned),
                message: app.to_string(),
                is_final: app.is_non_retryable(),
                timed_out,
                retry_after: app.next_retry_delay(),
            },
            Some(other) => Self {
                failure_type: None,
                message: other.to_string(),
                is_final: !timed_out,
                timed_out,
                retry_after: None,
            },
            None => Self {
                failure_type: None,
                message: error.to_string(),
                is_final: !timed_out,
                timed_out,
                retry_after: None,
            },
        }
    }

    /// Something else than an activity.
    pub(crate) fn named(message: String) -> Self {
        Self {
            failure_type: None,
            message,
            is_final: true,
            timed_out: false,
            retry_after: None,
        }
    }

    /// An activity that was let go, because the deployment was aborted meanwhile.
    pub(crate) fn unwanted() -> Self {
        Self::named("aborted meanwhile".to_owned())
    }

    /// Returns true for a failure of this kind.
    pub(crate) fn is(&self, kind: FailureKind) -> bool {
        self.failure_type
            .as_deref()
            .is_some_and(|t| failures::is_kind(t, kind))
    }

    /// Returns true for a failure that passes, by itself or once a person has mended what refuses us:
    /// the same call may succeed later.
    pub(crate) fn passes(&self) -> bool {
        // Some are final for Temporal only: the workflow itself decides when to try again.
        self.timed_out
            || !self.is_final
            || FailureKind::RETRYABLE.into_iter().any(|kind| self.is(kind))
    }

    /// Returns true when the system refuses whatever we ask, until a person renews what we show it.
    pub(crate) fn is_refusal_of_all(&self) -> bool {
        self.is(FailureKind::Unauthorized) && !self.is_final
    }

    /// Ends the workflow with this failure.
    pub(crate) fn into_termination(self) -> WorkflowTermination {
        end(
            self.failure_type
                .unwrap_or_else(|| "autoops.failed".to_owned()),
            self.message,
        )
    }
}

/// Ends the workflow at once, with words for the person who started it.
pub(crate) fn end(failure_type: String, message: String) -> WorkflowTermination {
    WorkflowTermination::failed_application(
        ApplicationFailure::builder(Box::<dyn std::error::Error + Send + Sync>::from(message))
            .type_name(failure_type)
            .non_retryable(true)
            .build(),
    )
}

/// Ends the workflow because its input cannot be used.
pub(crate) fn invalid_input(message: impl ToString) -> WorkflowTermination {
    end(failures::INVALID_INPUT.to_owned(), message.to_string())
}
