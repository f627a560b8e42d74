//! What can go wrong, by what the caller can do about it, and how the service says so.

use std::{error::Error as StdError, time::Duration};

use domain::{
    failure::{Classify, FailureKind},
    input::InvalidInput,
};
use serde_json::Value;

use crate::breaker::{Outage, Refused};

type Source = Box<dyn StdError + Send + Sync>;

/// A failed call. Display holds neither its source nor a secret.
#[derive(Debug, thiserror::Error)]
pub enum SuperOpsError {
    /// The budget is used up, ours or theirs.
    #[error("superops asks us to slow down")]
    Throttled {
        /// When to come back, if known.
        retry_after: Option<Duration>,
    },
    /// Not reached, or failed inside; nothing was changed.
    #[error("superops is unavailable: {detail}")]
    Unavailable {
        /// What was seen.
        detail: String,
        /// When to come back: it is left alone until then.
        retry_after: Option<Duration>,
        /// The cause, if there is one.
        #[source]
        source: Option<Source>,
    },
    /// A write whose outcome is unknown: read back before it is sent again.
    #[error("superops may or may not have done it: {detail}")]
    Ambiguous {
        /// What was seen.
        detail: String,
        /// There was an answer, and it makes no sense.
        answered: bool,
        /// The cause, if there is one.
        #[source]
        source: Option<Source>,
    },
    /// The token is wrong, expired or was replaced.
    #[error("superops refuses the token")]
    Unauthorized,
    /// The token was refused, and there is another one now: nothing was done, and the next call
    /// carries the new one.
    #[error("superops refused a token that has been replaced meanwhile")]
    Rotated,
    /// The token's user lacks the role for this call.
    #[error("superops forbids this call to the token's user")]
    Forbidden,
    /// The account is paused, cancelled or its trial is over.
    #[error("the superops subscription does not allow calls: {code}")]
    Subscription {
        /// The service's code.
        code: String,
    },
    /// The thing asked for does not exist.
    #[error("there is no {what} `{id}` in superops")]
    NotFound {
        /// Kind of thing, such as `device`.
        what: &'static str,
        /// Its id or name.
        id: String,
    },
    /// Our input was refused; nothing was changed.
    #[error("superops refuses the request: {code}{detail}")]
    InvalidInput {
        /// The service's code, or `http_400`.
        code: String,
        /// More words, starting with a separator, or empty.
        detail: String,
    },
    /// The configuration cannot work.
    #[error("the superops configuration is not usable")]
    Config(#[source] InvalidInput),
    /// The answer does not fit its schema.
    #[error("the answer of superops does not fit its schema: {detail}")]
    Malformed {
        /// Where it does not fit.
        detail: String,
    },
}

impl Classify for SuperOpsError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Throttled { .. } => FailureKind::Throttled,
            Self::Unavailable { .. } | Self::Rotated => FailureKind::Unavailable,
            Self::Ambiguous { .. } => FailureKind::Ambiguous,
            Self::Unauthorized | Self::Forbidden | Self::Subscription { .. } => {
                FailureKind::Unauthorized
            }
            Self::NotFound { .. } => FailureKind::NotFound,
            Self::InvalidInput { .. } | Self::Config(_) => FailureKind::InvalidInput,
            Self::Malformed { .. } => FailureKind::Malformed,
        }
    }

    fn may_pass(&self) -> bool {
        self.kind().is_retryable() || self.is_refusal_of_all()
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl SuperOpsError {
    /// Whatever is asked is refused, until a person has renewed the token or paid.
    fn is_refusal_of_all(&self) -> bool {
        matches!(self, Self::Unauthorized | Self::Subscription { .. })
    }
}

impl Outage for SuperOpsError {
    fn outage(&self) -> Option<&str> {
        match self {
            Self::Unauthorized => Some("it refuses the token"),
            Self::Subscription { code } => Some(code),
            Self::Unavailable { detail, .. }
            | Self::Ambiguous {
                detail,
                answered: false,
                ..
            } => Some(detail),
            _ => None,
        }
    }
}

impl From<Refused> for SuperOpsError {
    fn from(refused: Refused) -> Self {
        Self::Unavailable {
            detail: refused.to_string(),
            retry_after: Some(refused.retry_after),
            source: None,
        }
    }
}

/// The call an error is about: decides between "try again" and "look first".
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// A mutation, so that a lost answer is ambiguous.
    pub(super) writes: bool,
    /// Kind of thing asked for.
    pub(super) what: &'static str,
    /// Its id.
    pub(super) id: &'a str,
}

impl Call<'_> {
    /// The request was sent and the answer is lost or says "internal error".
    pub(super) fn lost(&self, detail: impl Into<String>, source: Option<Source>) -> SuperOpsError {
        let detail = detail.into();
        if self.writes {
            SuperOpsError::Ambiguous {
                detail,
                answered: false,
                source,
            }
        } else {
            SuperOpsError::Unavailable {
                detail,
                retry_after: None,
                source,
            }
        }
    }

    /// The answer arrived and makes no sense. A write may have happened all the same.
    pub(super) fn malformed(&self, detail: impl Into<String>) -> SuperOpsError {
        let detail = detail.into();
        if self.writes {
            SuperOpsError::Ambiguous {
                detail,
                answered: true,
                source: None,
            }
        } else {
            SuperOpsError::Malformed { detail }
        }
    }

    pub(super) fn not_found(&self) -> SuperOpsError {
        SuperOpsError::NotFound {
            what: self.what,
            id: self.id.to_owned(),
        }
    }

    /// Reads a request that got no answer. Without its URL: an error text goes into logs.
    pub(super) fn transport(&self, error: reqwest::Error) -> SuperOpsError {
        let error = error.without_url();
        if error.is_connect() || error.is_builder() {
            return SuperOpsError::Unavailable {
                detail: "no connection".to_owned(),
                retry_after: None,
                source: Some(Box::new(error)),
            };
        }
        let detail = if error.is_timeout() {
            "no answer in time"
        } else {
            "the connection was lost"
        };
        self.lost(detail, Some(Box::new(error)))
    }

    /// Reads an HTTP status other than 200.
    pub(super) fn status(
        &self,
        status: u16,
        retry_after: Option<Duration>,
        empty_body: bool,
    ) -> SuperOpsError {
        match status {
            401 => SuperOpsError::Unauthorized,
            403 => SuperOpsError::Forbidden,
            429 => SuperOpsError::Throttled { retry_after },
            408 => self.lost("HTTP 408", None),
            500.. => self.lost(format!("HTTP {status}"), None),
            400 => SuperOpsError::InvalidInput {
                code: "http_400".to_owned(),
                detail: format!(
                    "{}; is the sub-domain right?",
                    if empty_body {
                        " with an empty body"
                    } else {
                        ""
                    }
                ),
            },
            _ => SuperOpsError::InvalidInput {
                code: format!("http_{status}"),
                detail: "; is the address right?".to_owned(),
            },
        }
    }

    /// Reads the `errors` of a 200.
    ///
    /// Only codes that we know to mean a refusal say that nothing was done. One other code among
    /// them leaves the outcome of a write open.
    pub(super) fn graphql(&self, errors: &[Value]) -> SuperOpsError {
        let found: Vec<Finding> = errors.iter().flat_map(findings).collect();
        let any = |test: fn(&str) -> bool| found.iter().find(|f| test(&f.code));
        let open = found.iter().find(|f| !is_refusal(&f.code));
        if let Some(open) = open.filter(|_| self.writes) {
            return self.lost(open.words(), None);
        }
        if any(|c| matches!(c, "rate_limit_exceeded" | "rate_limited")).is_some() {
            return SuperOpsError::Throttled { retry_after: None };
        }
        if any(|c| matches!(c, "unauthorized" | "unauthenticated")).is_some() {
            return SuperOpsError::Unauthorized;
        }
        if any(|c| c == "forbidden").is_some() {
            return SuperOpsError::Forbidden;
        }
        if let Some(f) = any(|c| c.starts_with("subscription_")) {
            return SuperOpsError::Subscription {
                code: f.code.clone(),
            };
        }
        if let Some(open) = open {
            return self.lost(open.words(), None);
        }
        if any(|c| c == "entity_does_not_exist").is_some() {
            return self.not_found();
        }
        match found.into_iter().next() {
            Some(f) => {
                let detail = if f.attributes.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", f.attributes)
                };
                SuperOpsError::InvalidInput {
                    code: f.code,
                    detail,
                }
            }
            None => self.lost(INTERNAL, None),
        }
    }
}

/// What an error without a code is called.
const INTERNAL: &str = "internal error";

/// Returns true for a code that says that nothing was done: those of the service's documentation,
/// those for a bad token, and what a GraphQL server says of a request that it did not run.
fn is_refusal(code: &str) -> bool {
    const LISTED: [&str; 10] = [
        "rate_limit_exceeded",
        "rate_limited",
        "unauthorized",
        "unauthenticated",
        "forbidden",
        "value_length_exceeds_limit",
        "referred_value_does_not_exist",
        "entity_does_not_exist",
        "validation_error",
        "validationerror",
    ];
    LISTED.contains(&code)
        || code.starts_with("subscription_")
        || code.ends_with("_validation_failed")
}

/// One code the service gave, lower case; empty when it gave none.
struct Finding {
    code: String,
    attributes: String,
}

impl Finding {
    fn words(&self) -> String {
        if self.code.is_empty() {
            INTERNAL.to_owned()
        } else {
            format!("error {}", self.code)
        }
    }
}

/// Codes sit in `extensions.clientError[]`, in `extensions.code` or in `extensions.classification`.
/// Messages are never repeated: the service may quote our variables, which hold secrets.
fn findings(error: &Value) -> Vec<Finding> {
    let extensions = &error["extensions"];
    let client = &extensions["clientError"];
    let listed: Vec<&Value> = match client {
        Value::Array(items) => items.iter().collect(),
        Value::Object(_) => vec![client],
        _ => Vec::new(),
    };
    let mut found: Vec<Finding> = listed
        .into_iter()
        .map(|item| Finding {
            code: word(&item["code"]),
            attributes: attributes(&item["param"]),
        })
        .collect();
    if found.is_empty() {
        let code = [
            &extensions["code"],
            &extensions["classification"],
            &error["errorType"],
        ]
        .into_iter()
        .map(word)
        .find(|code| !code.is_empty());
        let message = error["message"]
            .as_str()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let code = match code {
            _ if message.contains("internal server error") => String::new(),
            Some(code) => code,
            None if message.contains("rate_limit") || message.contains("rate limit") => {
                "rate_limited".to_owned()
            }
            None if message.contains("subselectionnotallowed")
                || message.contains("variabletypemismatch") =>
            {
                "validation_error".to_owned()
            }
            None => String::new(),
        };
        found.push(Finding {
            code,
            attributes: String::new(),
        });
    }
    found
}

/// Keeps identifier characters only, and few of them.
fn word(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '.')
        .take(60)
        .collect::<String>()
        .to_ascii_lowercase()
}

fn attributes(param: &Value) -> String {
    let named = match &param["attributes"] {
        Value::Array(items) => items.iter().map(word).collect(),
        _ => vec![word(&param["attribute"])],
    };
    named
        .into_iter()
        .filter(|n| !n.is_empty())
        .take(5)
        .collect::<Vec<_>>()
        .join(", ")
}
