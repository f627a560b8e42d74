//! The one gate from an error to a Temporal failure: the kind of the error decides about retries,
//! its type is `{system}.{kind}`, and its chain of causes becomes the causes in the history.

use std::{error::Error, fmt};

use clients::{
    bedrock::BedrockError, campaign::report::ReportError, intel::IntelError, notify::NotifyError,
    nvd::NvdError, prometheus::PrometheusError, seal::SealError, store::StoreError,
    superops::SuperOpsError,
};
use contracts::failures;
use domain::{
    failure::{Classify, FailureKind},
    input::InvalidInput,
};
use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::activities::ActivityError;

/// Result of a step of an activity.
pub type Outcome<T> = Result<T, Failed>;

/// A classified failure. It is no [`Error`] on purpose: `?` into an [`ActivityError`] then takes the
/// conversion below and not the SDK's own, which would lose the type and retry for ever.
#[derive(Debug)]
pub struct Failed(Box<ApplicationFailure>);

impl From<Failed> for ActivityError {
    fn from(failed: Failed) -> Self {
        Self::Application(failed.0)
    }
}

/// Builds the failure of an error of a system, such as `superops`.
pub(crate) fn activity_error<E>(system: &str, error: E) -> Failed
where
    E: Classify + Error + Send + Sync + 'static,
{
    let again = error.may_pass();
    build(failures::failure_type(system, error.kind()), error, again)
}

/// As [`activity_error`], for what another try of the same activity does right, whatever its kind.
pub(crate) fn passing_error<E>(system: &str, error: E) -> Failed
where
    E: Classify + Error + Send + Sync + 'static,
{
    build(failures::failure_type(system, error.kind()), error, true)
}

/// As [`activity_error`], for what the workflow goes on without: Temporal does not try again.
pub(crate) fn final_error<E>(system: &str, error: E) -> Failed
where
    E: Classify + Error + Send + Sync + 'static,
{
    build(failures::failure_type(system, error.kind()), error, false)
}

/// Returns true when a system was not asked, or is not to be asked for minutes, because it does not
/// answer: only its breaker says how long.
pub(crate) fn is_left_alone(error: &impl Classify) -> bool {
    error.kind() == FailureKind::Unavailable && error.retry_after().is_some()
}

#[expect(clippy::disallowed_methods, reason = "this is the gate")]
fn build<E>(type_name: String, error: E, again: bool) -> Failed
where
    E: Classify + Error + Send + Sync + 'static,
{
    let delay = error.retry_after().filter(|_| again);
    let failure = ApplicationFailure::builder(error)
        .type_name(type_name)
        .non_retryable(!again)
        .maybe_next_retry_delay(delay)
        .build();
    Failed(Box::new(failure))
}

/// Facts that cannot be used, whatever the system: the workflow fails at once and names the field.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Refused(InvalidInput);

impl Classify for Refused {
    fn kind(&self) -> FailureKind {
        FailureKind::InvalidInput
    }
}

impl From<InvalidInput> for Failed {
    fn from(found: InvalidInput) -> Self {
        build(failures::INVALID_INPUT.to_owned(), Refused(found), false)
    }
}

impl From<ReportError> for Failed {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Invalid(found) => found.into(),
            error => activity_error("report", error),
        }
    }
}

/// A broken invariant of ours: retried by policy, so that a fixed deploy picks it up.
#[derive(Debug, thiserror::Error)]
#[error("broken invariant: {what}")]
struct Broken {
    what: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Classify for Broken {
    fn kind(&self) -> FailureKind {
        FailureKind::Bug
    }
}

/// Builds the failure of a broken invariant of ours.
pub(crate) fn bug(what: &'static str) -> Failed {
    activity_error("autoops", Broken { what, source: None })
}

/// Builds the failure of a broken invariant of ours that has a cause.
pub(crate) fn bug_because(
    what: &'static str,
    source: impl Error + Send + Sync + 'static,
) -> Failed {
    activity_error(
        "autoops",
        Broken {
            what,
            source: Some(Box::new(source)),
        },
    )
}

/// Temporal did not answer what an activity asked of it.
#[derive(Debug, thiserror::Error)]
#[error("temporal does not answer: {detail}")]
pub(crate) struct TemporalError {
    pub(crate) detail: String,
}

impl TemporalError {
    pub(crate) fn new(detail: impl fmt::Display) -> Self {
        Self {
            detail: detail.to_string(),
        }
    }
}

impl Classify for TemporalError {
    fn kind(&self) -> FailureKind {
        FailureKind::Unavailable
    }
}

macro_rules! systems {
    ($($error:ty => $system:literal),+ $(,)?) => {$(
        impl From<$error> for Failed {
            fn from(error: $error) -> Self {
                activity_error($system, error)
            }
        }
    )+};
}

systems! {
    StoreError => "store",
    IntelError => "intel",
    SuperOpsError => "superops",
    NvdError => "nvd",
    BedrockError => "bedrock",
    PrometheusError => "prometheus",
    NotifyError => "notify",
    SealError => "audit",
    TemporalError => "temporal",
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the door is closed")]
    struct Sample {
        kind: FailureKind,
        source: std::io::Error,
    }

    impl Classify for Sample {
        fn kind(&self) -> FailureKind {
            self.kind
        }

        fn retry_after(&self) -> Option<Duration> {
            Some(Duration::from_secs(7))
        }
    }

    fn failure_of(kind: FailureKind) -> Box<ApplicationFailure> {
        let source = std::io::Error::other("the lock is rusty");
        match ActivityError::from(activity_error("door", Sample { kind, source })) {
            ActivityError::Application(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_kind_decides_about_type_retry_and_delay() {
        use FailureKind as K;
        for (kind, text, retryable) in [
            (K::Throttled, "door.throttled", true),
            (K::Unavailable, "door.unavailable", true),
            (K::Bug, "door.bug", true),
            (K::Ambiguous, "door.ambiguous", false),
            (K::Unauthorized, "door.unauthorized", false),
            (K::NotFound, "door.not_found", false),
            (K::InvalidInput, "door.invalid_input", false),
            (K::Malformed, "door.malformed", false),
            (K::Conflict, "door.conflict", false),
        ] {
            let failure = failure_of(kind);
            assert_eq!(failure.type_name(), Some(text));
            assert_eq!(failure.is_non_retryable(), !retryable, "{text}");
            assert_eq!(failure.next_retry_delay().is_some(), retryable, "{text}");
        }
    }

    #[test]
    fn a_store_that_refuses_us_is_asked_again_and_one_that_refuses_what_we_write_is_not() {
        let again = |error: StoreError| match ActivityError::from(Failed::from(error)) {
            ActivityError::Application(failure) => !failure.is_non_retryable(),
            other => panic!("{other:?}"),
        };
        let refused = || StoreError::Refused {
            advice: "DynamoDB refuses the credentials (ExpiredTokenException)".to_owned(),
            source: None,
        };
        assert!(again(refused()));
        assert!(again(StoreError::NewerVersion {
            found: 9,
            supported: 8
        }));
        // What stands between makes no difference.
        let sealed = Failed::from(SealError::Store(refused()));
        assert!(!sealed.0.is_non_retryable());
        let what = || "dead letter 1".to_owned();
        for error in [
            StoreError::Invalid { what: what() },
            StoreError::Conflict { what: what() },
            StoreError::NotFound { what: what() },
            StoreError::Corrupt {
                what: what(),
                source: None,
            },
        ] {
            let words = error.to_string();
            assert!(!again(error), "{words}");
        }
    }

    #[test]
    fn the_chain_of_causes_is_kept_and_not_repeated_in_the_message() {
        let failure = failure_of(FailureKind::Unavailable);
        assert_eq!(failure.to_string(), "the door is closed");
        let cause = failure.source_error().source().unwrap().to_string();
        assert_eq!(cause, "the lock is rusty");
    }

    #[test]
    fn facts_that_cannot_be_used_name_the_field_and_end_the_workflow() {
        let found = InvalidInput::one(domain::input::Problem::new(
            "devices.ids[0]",
            "9",
            "a device",
        ));
        let ActivityError::Application(failure) = Failed::from(found).into() else {
            panic!()
        };
        assert_eq!(failure.type_name(), Some(failures::INVALID_INPUT));
        assert!(failure.is_non_retryable());
        assert!(
            failure.to_string().contains("devices.ids[0]: `9`"),
            "{failure}"
        );
    }
}
