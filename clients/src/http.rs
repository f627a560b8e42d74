//! How every HTTP client is built: it follows no redirect and tries nothing twice.

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
