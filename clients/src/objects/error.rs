//! What can go wrong with objects, by what the caller may do about it.

use std::error::Error;

use domain::{
    failure::{Classify, FailureKind},
    input::InvalidInput,
};

/// Why a call about an object failed.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// It was written before, with other content.
    #[error("object {key} was written before with other content; it is never written over")]
    Conflict {
        /// Which object.
        key: String,
    },
    /// There is no such object.
    #[error("object {key} does not exist")]
    NotFound {
        /// Which object.
        key: String,
    },
    /// The storage refuses us, or is not set up; a person has to act.
    #[error("the object storage refuses: {advice}")]
    Refused {
        /// What is wrong, and what to do about it.
        advice: String,
        /// What it said.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The storage takes no more for a moment.
    #[error("the object storage is throttled")]
    Throttled {
        /// What it said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The storage cannot be used now; the same call may succeed later.
    #[error("the object storage cannot be used now: {advice}")]
    Unavailable {
        /// What is wrong, and what to do about it.
        advice: String,
        /// What it said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The input can never be written.
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
}

impl Classify for ObjectsError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Conflict { .. } => FailureKind::Conflict,
            Self::NotFound { .. } => FailureKind::NotFound,
            Self::Refused { .. } => FailureKind::Unauthorized,
            Self::Throttled { .. } => FailureKind::Throttled,
            Self::Unavailable { .. } => FailureKind::Unavailable,
            Self::Invalid(_) => FailureKind::InvalidInput,
        }
    }
}

/// Explains a failed call on an object of `place`, a bucket or folder.
pub(super) fn explain(place: &str, key: &str, error: object_store::Error) -> ObjectsError {
    use object_store::Error as E;
    let answer = of_s3(&error);
    let code = answer.as_ref().map_or("", |answer| answer.code.as_str());
    match (&error, code) {
        (_, "NoSuchBucket") => refused(
            format!(
                "bucket {place} does not exist: deploy deploy/cloudformation/storage.yaml, or correct `objects.s3`"
            ),
            error,
        ),
        (
            _,
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
        ) => refused(
            format!("bucket {place} is in another region: correct `objects.s3.region`"),
            error,
        ),
        (
            _,
            "ExpiredToken"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidToken"
            | "RequestTimeTooSkewed",
        ) => refused(
            format!(
                "S3 refuses the credentials ({code}): renew them, and check the clock of this machine"
            ),
            error,
        ),
        (_, "SlowDown" | "Throttling" | "RequestLimitExceeded" | "ServiceUnavailable") => {
            ObjectsError::Throttled {
                source: error.into(),
            }
        }
        (E::NotFound { .. }, _) => ObjectsError::NotFound {
            key: key.to_owned(),
        },
        (E::AlreadyExists { .. } | E::Precondition { .. }, _) => ObjectsError::Conflict {
            key: key.to_owned(),
        },
        (E::PermissionDenied { .. } | E::Unauthenticated { .. }, _) => refused(
            format!(
                "the role or user may not use {place}: check its rights (deploy/cloudformation/roles.yaml) and the policy of the bucket"
            ),
            error,
        ),
        _ => match answer {
            Some(Answer {
                redirected: true, ..
            }) => refused(
                format!("bucket {place} is in another region: correct `objects.s3.region`"),
                error,
            ),
            Some(Answer { status: 429, .. }) => ObjectsError::Throttled {
                source: error.into(),
            },
            Some(Answer {
                status: 400..=499, ..
            }) => refused(format!("S3 refused a request to {place} ({code})"), error),
            Some(_) => ObjectsError::Unavailable {
                advice: format!(
                    "{place} is not reached: check the network, `objects.s3.region` and `endpoint_url`"
                ),
                source: error.into(),
            },
            None => of_disk(place, error),
        },
    }
}

fn refused(advice: String, error: object_store::Error) -> ObjectsError {
    ObjectsError::Refused {
        advice,
        source: Some(error.into()),
    }
}

/// What a service answered; status 0 when it did not.
struct Answer {
    status: u16,
    code: String,
    redirected: bool,
}

/// Reads it out of the words of the library, which keeps the type of these errors to itself.
fn of_s3(error: &object_store::Error) -> Option<Answer> {
    let words = causes(error)
        .map(ToString::to_string)
        .find(|words| words.starts_with("Error performing"))?;
    let status = words
        .split_once("status code: ")
        .map_or("", |(_, rest)| rest);
    let digits: String = status.chars().take_while(char::is_ascii_digit).collect();
    Some(Answer {
        status: digits.parse().unwrap_or_default(),
        code: between(&words, "<Code>", "</Code>").to_owned(),
        redirected: words.contains("redirect without LOCATION"),
    })
}

fn of_disk(place: &str, error: object_store::Error) -> ObjectsError {
    let kind = causes(&error)
        .find_map(|cause| cause.downcast_ref::<std::io::Error>())
        .map(std::io::Error::kind);
    let advice = match kind {
        Some(std::io::ErrorKind::StorageFull) => {
            format!("the disk is full: free space where {place} is")
        }
        Some(std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem) => {
            let advice = format!("{place} may not be written: check its permissions");
            return refused(advice, error);
        }
        _ => format!("{place} cannot be read or written: check the disk and `objects.path`"),
    };
    ObjectsError::Unavailable {
        advice,
        source: error.into(),
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = text.split_once(from).map_or("", |(_, rest)| rest);
    rest.split_once(to).map_or("", |(inner, _)| inner)
}
