//! The connection to Temporal, by the SDK's own configuration.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use temporalio_client::{
    Client, ClientOptions, Connection, Url, envconfig::LoadClientConfigProfileOptions,
    errors::ClientConnectError,
};

/// How long Temporal may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where Temporal is: what is absent comes from `TEMPORAL_*` and `temporal.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemporalTarget {
    /// Address, as `127.0.0.1:7233`; for programs that started the server themselves.
    pub address: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
}

/// Connects to Temporal with the data converter of all AutoOps binaries.
///
/// # Errors
/// When the settings cannot be read or nobody answers; says what to do.
pub async fn connect(target: &TemporalTarget) -> anyhow::Result<Client> {
    // The SDK's error can be neither sent nor shared: only its words are kept.
    let loaded = ClientOptions::load_from_config(LoadClientConfigProfileOptions::default())
        .map_err(|error| anyhow!("{error}"));
    let (mut connection, mut options) =
        loaded.context("the settings of Temporal (TEMPORAL_*, temporal.toml) cannot be used")?;
    if let Some(address) = &target.address {
        connection.target = parse_address(address)?;
    }
    if let Some(namespace) = &target.namespace {
        options.namespace.clone_from(namespace);
    }
    options.data_converter = contracts::converter::data_converter();
    connection.connect_timeout = Some(PATIENCE);
    let address = connection.target.to_string();
    let advice = || {
        format!(
            "no Temporal server at {address}: start one with `temporal server start-dev` or set TEMPORAL_ADDRESS"
        )
    };
    let connected = tokio::time::timeout(PATIENCE, Connection::connect(connection)).await;
    let connection = match connected {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => bail!("{} ({})", advice(), why(&error)),
        Err(_) => bail!("{} (no answer within {} s)", advice(), PATIENCE.as_secs()),
    };
    Client::new(connection, options).context("the Temporal client cannot be built")
}

/// Returns the innermost cause: the outer ones only say that it failed.
fn why(error: &ClientConnectError) -> String {
    match error {
        ClientConnectError::SystemInfoCallError(status) => status.message().to_owned(),
        other => {
            let causes = std::iter::successors(Some(other as &dyn std::error::Error), |error| {
                error.source()
            });
            causes.last().map(ToString::to_string).unwrap_or_default()
        }
    }
}

fn parse_address(address: &str) -> anyhow::Result<Url> {
    let text = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    Url::parse(&text)
        .with_context(|| format!("`{address}` is not an address such as 127.0.0.1:7233"))
}
