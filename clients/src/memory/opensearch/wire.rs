//! One request, one answer.

use std::{fmt, time::Duration};

use aws_credential_types::provider::SharedCredentialsProvider;
use domain::input::{InvalidInput, Problem};
use opensearch::{
    OpenSearch,
    auth::Credentials,
    http::{
        Method,
        headers::{CONTENT_TYPE, HeaderMap, HeaderValue},
        request::Body,
        response::Response,
        transport::{SingleNodeConnectionPool, TransportBuilder},
    },
};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{
    super::{MemoryError, MemoryResult},
    error,
};
use crate::{
    address::{is_loopback_address, is_safe_address},
    aws::{self, StaticCredentials},
};

/// Longest time of one request.
const WHOLE: Duration = Duration::from_secs(30);
/// Name of Amazon OpenSearch Service in signatures.
const SERVICE: &str = "es";

/// Which OpenSearch. Credentials are never read from a file with the rest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenSearchConfig {
    /// Address of the domain or cluster.
    pub url: String,
    /// Names of indexes begin with it and a dash.
    pub prefix: String,
    /// AWS region that requests are signed for; without one they are not signed.
    #[serde(default)]
    pub region: Option<String>,
    /// A fixed key pair instead of the AWS credential chain.
    #[serde(skip)]
    pub credentials: Option<StaticCredentials>,
}

impl OpenSearchConfig {
    pub(super) fn check(&self) -> Result<(), InvalidInput> {
        let mut problems = vec![];
        if !is_safe_address(&self.url) {
            problems.push(Problem::new(
                "memory.opensearch.url",
                &self.url,
                "an https address without user, password or query; http only for this machine",
            ));
        }
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let begins = self.prefix.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || self.prefix.len() > 40 || !self.prefix.chars().all(is_allowed) {
            problems.push(Problem::new(
                "memory.opensearch.prefix",
                &self.prefix,
                "1 to 40 of a-z, 0-9 and -, beginning with a letter",
            ));
        }
        if self.region.as_ref().is_some_and(String::is_empty) {
            problems.push(Problem::new(
                "memory.opensearch.region",
                "",
                "an AWS region, or none for requests without a signature",
            ));
        }
        InvalidInput::when(problems)
    }
}

/// The way to OpenSearch. It tries nothing twice.
pub(super) struct Wire {
    url: String,
    client: OpenSearch,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Wire {
    pub(super) async fn open(config: &OpenSearchConfig) -> MemoryResult<Self> {
        config.check()?;
        let unusable = |why: String| MemoryError::Invalid {
            what: format!("no client for memory.opensearch can be made: {why}"),
        };
        let url = Url::parse(&config.url).map_err(|error| unusable(error.to_string()))?;
        let mut transport =
            TransportBuilder::new(SingleNodeConnectionPool::new(url)).timeout(WHOLE);
        if is_loopback_address(&config.url) {
            transport = transport.disable_proxy();
        }
        if let Some(region) = &config.region {
            let settings = aws::settings(region, None, config.credentials.as_ref(), WHOLE).await;
            let keys: SharedCredentialsProvider =
                settings
                    .credentials_provider()
                    .ok_or_else(|| {
                        MemoryError::Refused {
                    advice:
                        "no AWS credentials were found: set a role, a profile or AWS_ACCESS_KEY_ID"
                            .to_owned(),
                    source: None,
                }
                    })?;
            let region = aws_config::Region::new(region.clone());
            transport = transport
                .auth(Credentials::AwsSigV4(keys, region))
                .service_name(SERVICE);
        }
        let transport = transport
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            url: config.url.clone(),
            client: OpenSearch::new(transport),
        })
    }

    /// Sends a request and returns the JSON of its answer.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> MemoryResult<Value> {
        let body = body.map(Value::to_string);
        self.send(method, path, HeaderMap::new(), body).await
    }

    /// Like [`Self::call`], with lines of JSON.
    pub(super) async fn lines(
        &self,
        method: Method,
        path: &str,
        lines: String,
    ) -> MemoryResult<Value> {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/x-ndjson");
        headers.insert(CONTENT_TYPE, kind);
        self.send(method, path, headers, Some(lines)).await
    }

    async fn send<B: Body>(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<B>,
    ) -> MemoryResult<Value> {
        let none: Option<&()> = None;
        let sent = self.client.send(method, path, headers, none, body, None);
        let answer = sent
            .await
            .map_err(|error| error::of_transport(&self.url, error))?;
        self.read(answer).await
    }

    async fn read(&self, answer: Response) -> MemoryResult<Value> {
        let (status, headers) = (answer.status_code(), answer.headers().clone());
        let text = answer
            .text()
            .await
            .map_err(|error| error::of_transport(&self.url, error))?;
        if !status.is_success() {
            return Err(error::of_status(status, &headers, &text));
        }
        serde_json::from_str(&text).map_err(|source| MemoryError::Corrupt {
            what: "OpenSearch answered with what is not JSON: check `memory.opensearch.url`"
                .to_owned(),
            source: Some(source.into()),
        })
    }
}
