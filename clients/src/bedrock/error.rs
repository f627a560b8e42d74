//! What can go wrong, by what the caller can do about it.

use std::{error::Error as StdError, time::Duration};

use aws_sdk_bedrockruntime::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{converse::ConverseError, invoke_model::InvokeModelError},
};
use aws_smithy_runtime_api::http::Response;
use domain::{
    failure::{Classify, FailureKind},
    input::InvalidInput,
};

use super::{StructuredRequest, Usage, reply::word};
use crate::breaker::{Outage, Refused};

/// How much of the service's own words an error repeats.
const MAX_MESSAGE: usize = 300;

/// Why a reply cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Cut off: the model's `max_tokens` is too small for the question.
    #[error("the answer was cut off")]
    Truncated,
    /// Neither JSON nor a call of the tool.
    #[error("the answer is not one JSON object")]
    NotJson,
    /// JSON that does not fit the schema.
    #[error("{0}")]
    Schema(String),
    /// The model stopped for a reason that leaves no usable answer.
    #[error("the model stopped with {0}")]
    Stopped(String),
}

/// A failed call. Display holds neither its source nor a secret.
#[derive(Debug, thiserror::Error)]
pub enum BedrockError {
    /// Too many requests or tokens, or the model is not ready yet.
    #[error("bedrock asks us to slow down: {code}")]
    Throttled {
        /// The service's code, or ours.
        code: String,
        /// When to come back, if somebody said so.
        retry_after: Option<Duration>,
    },
    /// Not reached, failed inside, or the model took too long.
    #[error("bedrock is unavailable: {detail}")]
    Unavailable {
        /// What was seen.
        detail: String,
        /// When to come back: it is left alone until then.
        retry_after: Option<Duration>,
        /// The cause, if there is one.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// No credentials, wrong ones, or no right to use the model.
    #[error("bedrock refuses the credentials: {code}: {message}")]
    Unauthorized {
        /// The service's code.
        code: String,
        /// The service's words, shortened.
        message: String,
    },
    /// The model does not exist in the region, or access to it was never asked for.
    #[error("bedrock has no model `{model}`: {message}")]
    NotFound {
        /// The model.
        model: String,
        /// The service's words, shortened.
        message: String,
    },
    /// The request was refused: a wrong output mode, schema or parameter, or it is too long.
    #[error("bedrock refuses the request: {code}: {message}")]
    InvalidInput {
        /// The service's code.
        code: String,
        /// The service's words, shortened.
        message: String,
    },
    /// A guardrail or filter stopped the question or the answer.
    #[error("bedrock blocked the answer: {stop_reason}")]
    Blocked {
        /// Why the model stopped, as the service says it.
        stop_reason: String,
        /// Tokens it cost.
        usage: Usage,
    },
    /// The reply is not the JSON asked for.
    #[error("the reply of the model is not usable: {why}")]
    Malformed {
        /// Why.
        why: Misfit,
        /// Its text; untrusted.
        reply: String,
        /// Tokens it cost.
        usage: Usage,
    },
    /// The service's answer is not one of Converse.
    #[error("the answer of bedrock does not fit its schema")]
    Unreadable(#[source] Box<dyn StdError + Send + Sync>),
    /// The configuration cannot work.
    #[error("the bedrock configuration is not usable")]
    Config(#[source] InvalidInput),
}

impl BedrockError {
    pub(super) fn refused(message: &str) -> Self {
        Self::InvalidInput {
            code: "request".to_owned(),
            message: message.to_owned(),
        }
    }

    /// Returns the tokens that the failed call has cost.
    #[must_use]
    pub fn usage(&self) -> Usage {
        match self {
            Self::Blocked { usage, .. } | Self::Malformed { usage, .. } => *usage,
            _ => Usage::default(),
        }
    }

    /// Returns the question to ask once more, when asking again can help: a reply that was cut off
    /// would be cut off again.
    #[must_use]
    pub fn repair(&self, request: &StructuredRequest) -> Option<StructuredRequest> {
        match self {
            Self::Malformed { why, reply, .. }
                if *why != Misfit::Truncated && request.previous.is_none() =>
            {
                Some(request.clone().repair(reply.clone(), why.to_string()))
            }
            _ => None,
        }
    }
}

impl Classify for BedrockError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Throttled { .. } => FailureKind::Throttled,
            Self::Unavailable { .. } => FailureKind::Unavailable,
            Self::Unauthorized { .. } => FailureKind::Unauthorized,
            Self::NotFound { .. } => FailureKind::NotFound,
            Self::InvalidInput { .. } | Self::Blocked { .. } | Self::Config(_) => {
                FailureKind::InvalidInput
            }
            Self::Malformed { .. } | Self::Unreadable(_) => FailureKind::Malformed,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } | Self::Throttled { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }
}

impl Outage for BedrockError {
    fn outage(&self) -> Option<&str> {
        match self {
            Self::Unavailable { detail, .. } => Some(detail),
            _ => None,
        }
    }
}

impl From<Refused> for BedrockError {
    fn from(refused: Refused) -> Self {
        Self::Unavailable {
            detail: refused.to_string(),
            retry_after: Some(refused.retry_after),
            source: None,
        }
    }
}

/// An error of one of the operations that are called.
pub(super) trait Told: ProvideErrorMetadata + StdError + Send + Sync + 'static {
    /// Status that the model behind the service gave, when it is the model that failed.
    fn of_the_model(&self) -> Option<i32>;
}

impl Told for ConverseError {
    fn of_the_model(&self) -> Option<i32> {
        match self {
            Self::ModelErrorException(inner) => inner.original_status_code(),
            _ => None,
        }
    }
}

impl Told for InvokeModelError {
    fn of_the_model(&self) -> Option<i32> {
        match self {
            Self::ModelErrorException(inner) => inner.original_status_code(),
            _ => None,
        }
    }
}

/// Reads a call that gave no reply.
pub(super) fn classify<E: Told>(error: SdkError<E, Response>, model: &str) -> BedrockError {
    match error {
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            let error = context.into_err();
            // The SDK reports a 200 that it cannot read as an error of the service.
            if status < 300 {
                return BedrockError::Unreadable(Box::new(error));
            }
            service(&error, status, model)
        }
        SdkError::ResponseError(_) => BedrockError::Unreadable(Box::new(error)),
        SdkError::TimeoutError(_) => unavailable("no answer in time", error),
        // Missing credentials show up as a failed dispatch or construction.
        error if speaks_of_credentials(&error) => BedrockError::Unauthorized {
            code: "credentials".to_owned(),
            message: "no usable AWS credentials were found".to_owned(),
        },
        SdkError::ConstructionFailure(_) => {
            BedrockError::refused("the request could not be built for this region or model")
        }
        error => unavailable("no connection", error),
    }
}

fn unavailable<E: Told>(detail: &str, source: SdkError<E, Response>) -> BedrockError {
    BedrockError::Unavailable {
        detail: detail.to_owned(),
        retry_after: None,
        source: Some(Box::new(source)),
    }
}

fn speaks_of_credentials<E: Told>(error: &SdkError<E, Response>) -> bool {
    let mut next: Option<&dyn StdError> = Some(error);
    while let Some(error) = next {
        let text = error.to_string().to_ascii_lowercase();
        if text.contains("credential") || text.contains("identity") {
            return true;
        }
        next = error.source();
    }
    false
}

fn service(error: &impl Told, status: u16, model: &str) -> BedrockError {
    let code = error.code().map_or_else(|| format!("http_{status}"), word);
    let message: String = error
        .message()
        .unwrap_or("no reason given")
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_MESSAGE)
        .collect();
    let unavailable = |detail| BedrockError::Unavailable {
        detail,
        retry_after: None,
        source: None,
    };
    let throttled = |code| BedrockError::Throttled {
        code,
        retry_after: None,
    };
    let not_found = |message| BedrockError::NotFound {
        model: model.to_owned(),
        message,
    };
    match code.as_str() {
        "ThrottlingException" | "ModelNotReadyException" => throttled(code),
        "ServiceUnavailableException" | "InternalServerException" | "ModelTimeoutException" => {
            unavailable(code)
        }
        "ModelErrorException" => match error.of_the_model() {
            Some(original) if original < 500 => BedrockError::InvalidInput { code, message },
            _ => unavailable(code),
        },
        "AccessDeniedException" => BedrockError::Unauthorized { code, message },
        "ResourceNotFoundException" => not_found(message),
        "ValidationException" => BedrockError::InvalidInput { code, message },
        _ => match status {
            401 | 403 => BedrockError::Unauthorized { code, message },
            404 => not_found(message),
            429 => throttled(code),
            408 | 500.. => unavailable(code),
            _ => BedrockError::InvalidInput { code, message },
        },
    }
}
