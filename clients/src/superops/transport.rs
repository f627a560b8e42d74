//! The wire: one POST per operation, errors inside a 200.

use std::{fmt, sync::Arc, time::Duration};

use graphql_client::GraphQLQuery;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    BUCKET,
    config::SuperOpsConfig,
    error::{Call, SuperOpsError},
    scalars::ids_to_text,
};
use crate::{
    breaker::Breaker,
    rate_limit::{Permit, RateLimiter},
    secret::Secret,
};

/// The most we read of one answer: a page of 100 rows is far below.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

pub(super) struct Transport {
    http: reqwest::Client,
    url: String,
    token: Secret,
    limiter: Arc<dyn RateLimiter>,
    pub(super) breaker: Breaker,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("url", &self.url)
            .field("token", &self.token)
            .field("limiter", &self.limiter)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// Expects a validated configuration.
    pub(super) fn new(
        config: &SuperOpsConfig,
        limiter: Arc<dyn RateLimiter>,
    ) -> Result<Self, SuperOpsError> {
        let subdomain = HeaderValue::from_str(&config.subdomain)
            .map_err(|_| refuse("the sub-domain cannot be a header"))?;
        let headers = HeaderMap::from_iter([(
            reqwest::header::HeaderName::from_static("customersubdomain"),
            subdomain,
        )]);
        let http = crate::http::client(headers, config.timeout_secs).map_err(|error| {
            SuperOpsError::Unavailable {
                detail: "the HTTP client could not be built".to_owned(),
                retry_after: None,
                source: Some(Box::new(error)),
            }
        })?;
        Ok(Self {
            http,
            url: config.base_url.clone(),
            token: config.token.clone(),
            limiter,
            breaker: Breaker::new(BUCKET, config.breaker),
        })
    }

    /// Sends one operation and reads its data.
    pub(super) async fn post<Q: GraphQLQuery>(
        &self,
        call: Call<'_>,
        variables: Q::Variables,
    ) -> Result<Q::ResponseData, SuperOpsError> {
        let mut permit = self.breaker.ask().await?;
        self.take(BUCKET).await?;
        permit.begins();
        let token = self.token.current().await;
        let answer = self.send::<Q>(call, variables, &token).await;
        let answer = match answer {
            Err(SuperOpsError::Unauthorized) if self.token.refused(&token).await => {
                Err(SuperOpsError::Rotated)
            }
            answer => answer,
        };
        permit.ended(answer.as_ref().err()).await;
        answer
    }

    /// Takes one request from a budget.
    pub(super) async fn take(&self, bucket: &str) -> Result<(), SuperOpsError> {
        match self.limiter.take(bucket).await {
            Ok(Permit::Granted) => Ok(()),
            Ok(Permit::Wait(wait)) => Err(SuperOpsError::Throttled {
                retry_after: Some(wait),
            }),
            Err(source) => Err(SuperOpsError::Unavailable {
                detail: "the shared budget could not be asked".to_owned(),
                retry_after: None,
                source: Some(source),
            }),
        }
    }

    async fn send<Q: GraphQLQuery>(
        &self,
        call: Call<'_>,
        variables: Q::Variables,
        token: &SecretString,
    ) -> Result<Q::ResponseData, SuperOpsError> {
        let query = Q::build_query(variables);
        let body = json!({ "query": query.query, "variables": query.variables });
        let response = self
            .http
            .post(&self.url)
            .header(AUTHORIZATION, bearer(token)?)
            .json(&body)
            .send()
            .await
            .map_err(|error| call.transport(error))?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let bytes = match body_of(response, call).await {
            Ok(bytes) => bytes,
            Err(error) if status == 200 => return Err(error),
            Err(_) => Vec::new(),
        };
        if status != 200 {
            return Err(call.status(status, retry_after, bytes.is_empty()));
        }
        let mut answer: Value = serde_json::from_slice(&bytes)
            .map_err(|error| call.malformed(format!("not JSON ({:?})", error.classify())))?;
        read_answer::<Q>(call, &mut answer)
    }
}

fn bearer(token: &SecretString) -> Result<HeaderValue, SuperOpsError> {
    let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
        .map_err(|_| refuse("the token cannot be a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn refuse(what: &str) -> SuperOpsError {
    SuperOpsError::InvalidInput {
        code: "config".to_owned(),
        detail: format!(": {what}"),
    }
}

async fn body_of(
    mut response: reqwest::Response,
    call: Call<'_>,
) -> Result<Vec<u8>, SuperOpsError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| call.transport(error))?
    {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(call.malformed("the answer is too large"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// `data` may stand next to `errors`. A query with errors failed; a write with data was done.
fn read_answer<Q: GraphQLQuery>(
    call: Call<'_>,
    answer: &mut Value,
) -> Result<Q::ResponseData, SuperOpsError> {
    let mut data = answer.get_mut("data").map(Value::take).unwrap_or_default();
    let has_data = data
        .as_object()
        .is_some_and(|fields| fields.values().any(|field| !field.is_null()));
    if let Some(errors) = answer["errors"]
        .as_array()
        .filter(|errors| !errors.is_empty())
    {
        if !(call.writes && has_data) {
            return Err(call.graphql(errors));
        }
        tracing::warn!(
            superops.errors = errors.len(),
            "superops did the write and reported errors beside it"
        );
    }
    if !data.is_object() {
        return Err(call.malformed("neither data nor errors"));
    }
    ids_to_text(&mut data);
    // The message of the reader may quote a value of the answer, so only the path is kept.
    serde_path_to_error::deserialize(data)
        .map_err(|error| call.malformed(format!("at {}", error.path())))
}
