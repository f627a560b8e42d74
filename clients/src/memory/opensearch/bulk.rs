//! Many writes in one request, each with an outcome of its own.

use std::time::Duration;

use opensearch::http::{Method, StatusCode, headers::HeaderMap};
use serde_json::{Value, json};

use super::{
    super::{MemoryError, MemoryResult, Outcome},
    Wire, error,
};

/// Most writes of one request.
const MOST: usize = 500;
/// Most bytes of one request.
const MOST_BYTES: usize = 5 * 1024 * 1024;
/// How often what was left over is sent again.
const ROUNDS: u32 = 3;
/// Before the first of these, twice as long before each next one.
const PAUSE: Duration = Duration::from_millis(200);

/// One write of a document.
#[derive(Debug, Clone)]
pub(super) struct Write {
    lines: String,
}

impl Write {
    /// Puts a document in place of what is there.
    pub(super) fn index(index: &str, id: &str, document: &Value) -> Self {
        let action = json!({ "index": { "_index": index, "_id": id } });
        Self {
            lines: format!("{action}\n{document}\n"),
        }
    }

    /// Deletes a document.
    pub(super) fn delete(index: &str, id: &str) -> Self {
        let action = json!({ "delete": { "_index": index, "_id": id } });
        Self {
            lines: format!("{action}\n"),
        }
    }
}

/// What came of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// It is done; false when there was nothing to delete.
    Done(bool),
    /// It can never be done.
    Refused(String),
    /// It may be done another time.
    Left(String),
}

impl From<Written> for Outcome {
    fn from(written: Written) -> Self {
        match written {
            Written::Done(_) => Self::Kept,
            Written::Refused(why) => Self::Refused { why },
            Written::Left(why) => Self::Retry { why },
        }
    }
}

/// Does all writes, in order of requests; sends what OpenSearch had no room for a few times more.
///
/// # Errors
/// When a request fails as a whole, or we may not write.
pub(super) async fn write(wire: &Wire, writes: &[Write]) -> MemoryResult<Vec<Written>> {
    let mut done: Vec<Option<Written>> = vec![None; writes.len()];
    let mut open: Vec<usize> = (0..writes.len()).collect();
    for round in 0..=ROUNDS {
        for some in parts(writes, &open) {
            let lines: String = some.iter().map(|at| writes[*at].lines.as_str()).collect();
            for (at, written) in some.iter().zip(send(wire, lines, some.len()).await?) {
                done[*at] = Some(written);
            }
        }
        open.retain(|at| matches!(done[*at], Some(Written::Left(_))));
        if open.is_empty() || round == ROUNDS {
            break;
        }
        tokio::time::sleep(PAUSE * 2_u32.pow(round)).await;
    }
    let all: Option<Vec<Written>> = done.into_iter().collect();
    all.ok_or_else(|| error::malformed("an outcome for each write"))
}

/// Cuts what is open into requests.
fn parts(writes: &[Write], open: &[usize]) -> Vec<Vec<usize>> {
    let (mut parts, mut part, mut bytes) = (vec![], vec![], 0);
    for at in open {
        let more = writes[*at].lines.len();
        if !part.is_empty() && (part.len() == MOST || bytes + more > MOST_BYTES) {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        part.push(*at);
        bytes += more;
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

async fn send(wire: &Wire, lines: String, count: usize) -> MemoryResult<Vec<Written>> {
    let answer = wire.lines(Method::Post, "/_bulk", lines).await?;
    let items = answer["items"].as_array().filter(|all| all.len() == count);
    let items = items.ok_or_else(|| error::malformed("an outcome for each write"))?;
    items.iter().map(read).collect()
}

fn read(item: &Value) -> MemoryResult<Written> {
    let outcome = item.as_object().and_then(|item| item.values().next());
    let outcome = outcome.ok_or_else(|| error::malformed("the outcome of a write"))?;
    let status = outcome["status"].as_u64().unwrap_or_default();
    let (kind, reason) = error::of_error(&outcome["error"]);
    let why = format!("{kind}: {reason}");
    Ok(match status {
        200 | 201 => Written::Done(true),
        404 if outcome["error"].is_null() => Written::Done(false),
        400 | 413 => Written::Refused(why),
        408 | 409 | 429 | 500..=599 => Written::Left(why),
        _ => {
            let status = u16::try_from(status).ok();
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.ok_or_else(|| error::malformed("the status of a write"))?;
            let body = json!({ "error": outcome["error"] }).to_string();
            return Err::<Written, MemoryError>(error::of_status(status, &HeaderMap::new(), &body));
        }
    })
}
