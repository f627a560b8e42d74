//! What an answer of OpenSearch means, and what to do about it.

use std::time::Duration;

use opensearch::http::{StatusCode, headers::HeaderMap};
use serde_json::Value;

use super::super::MemoryError;

/// Most characters of what OpenSearch said.
const WORDS: usize = 300;

/// Explains a request that brought no answer.
pub(super) fn of_transport(url: &str, error: opensearch::Error) -> MemoryError {
    // The client has no kind of its own for this.
    if error.to_string().starts_with("AWSV4 Signing Failed") {
        return MemoryError::Refused {
            advice: "no AWS credentials were found: set a role, a profile or AWS_ACCESS_KEY_ID"
                .to_owned(),
            source: Some(error.into()),
        };
    }
    let advice = if error.is_timeout() {
        "OpenSearch did not answer in time".to_owned()
    } else {
        format!("OpenSearch at {url} is not reached: check the network and `memory.opensearch.url`")
    };
    MemoryError::Unavailable {
        advice,
        source: Some(error.into()),
    }
}

/// Explains an answer that is not a success.
pub(super) fn of_status(status: StatusCode, headers: &HeaderMap, body: &str) -> MemoryError {
    let (kind, reason) = read(body);
    let said = || -> Option<Box<dyn std::error::Error + Send + Sync>> {
        let text = format!("{status}: {kind} {reason}");
        Some(text.trim().into())
    };
    match status.as_u16() {
        401 | 403 => MemoryError::Refused {
            advice: format!(
                "OpenSearch refuses us ({}): renew the credentials, set `memory.opensearch.region` so that \
                 requests are signed, and check that the domain's access policy and roles allow ours",
                status.as_u16()
            ),
            source: said(),
        },
        404 if kind == "index_not_found_exception" => MemoryError::NotFound {
            what: format!(
                "an index of the memory is gone ({reason}): restore it from a snapshot, or restart AutoOps, which makes it anew and empty"
            ),
        },
        404 => MemoryError::NotFound {
            what: format!(
                "OpenSearch does not know what was asked for ({reason}): check that `memory.opensearch.url` is an OpenSearch 2.x with k-NN"
            ),
        },
        429 => MemoryError::Throttled {
            advice: "OpenSearch takes no more requests: give the domain more capacity, or free disk space if it says \
                     that its disk is full"
                .to_owned(),
            retry_after: retry_after(headers),
        },
        408 | 500..=599 => MemoryError::Unavailable {
            advice: format!("OpenSearch failed ({})", status.as_u16()),
            source: said(),
        },
        400 | 413 => MemoryError::Invalid {
            what: format!("OpenSearch refused a request: {kind} {reason}"),
        },
        _ => MemoryError::Corrupt {
            what: format!(
                "an answer with status {} is none of OpenSearch: check `memory.opensearch.url`",
                status.as_u16()
            ),
            source: said(),
        },
    }
}

/// An answer that is not what was asked for.
pub(super) fn malformed(what: &str) -> MemoryError {
    MemoryError::Corrupt {
        what: format!("OpenSearch answered without {what}"),
        source: None,
    }
}

/// Returns type and reason of an error body; plain text is a reason.
pub(super) fn read(body: &str) -> (String, String) {
    let Ok(json) = serde_json::from_str::<Value>(body) else {
        return (String::new(), shortened(body));
    };
    of_error(&json["error"])
}

/// Returns type and reason of an error object.
pub(super) fn of_error(error: &Value) -> (String, String) {
    let root = &error["root_cause"][0];
    let cause = &error["caused_by"]["reason"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let kind = text(&error["type"]).or_else(|| text(&root["type"]));
    let reason = text(&error["reason"]).or_else(|| text(error));
    let mut reason = reason.or_else(|| text(&root["reason"])).unwrap_or_default();
    if let Some(cause) = cause.as_str() {
        reason = format!("{reason}: {cause}");
    }
    (kind.unwrap_or_default(), shortened(&reason))
}

fn shortened(text: &str) -> String {
    text.trim().chars().take(WORDS).collect()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
