//! How every HTTP client is built: it follows no redirect and tries nothing twice; and how a body of
//! bounded size is read.

use std::time::Duration;

use reqwest::header::HeaderMap;

/// Builds a client that sends these headers with every request.
pub(crate) fn client(
    headers: HeaderMap,
    timeout_secs: u64,
) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .default_headers(headers)
        .timeout(Duration::from_secs(timeout_secs))
        .connect_timeout(Duration::from_secs(timeout_secs.min(10)))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()
}

/// Why there is no whole body.
#[derive(Debug)]
pub(crate) enum NoBody {
    /// It is larger than allowed.
    TooLarge,
    /// The connection was lost.
    Lost(reqwest::Error),
}

/// Reads a body of at most so many bytes.
pub(crate) async fn body(mut response: reqwest::Response, most: usize) -> Result<Vec<u8>, NoBody> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(NoBody::Lost)? {
        if bytes.len() + chunk.len() > most {
            return Err(NoBody::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Says what became of a request without an answer; nothing of its address.
pub(crate) fn lost(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection was lost"
    }
}
