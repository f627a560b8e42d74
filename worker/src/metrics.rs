//! Figures for Prometheus, on an address of their own. The clients count; this shows.

use std::net::SocketAddr;

use anyhow::anyhow;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Upper bounds in seconds of the time that calls take.
const SECONDS: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 150.0];

/// Shows what is counted from now on in this process, until it is told to stop. Once per process.
///
/// # Errors
/// When the address cannot be used.
pub(crate) fn show(address: SocketAddr, until: CancellationToken) -> anyhow::Result<()> {
    let recorder = listen(address, until)?;
    metrics::set_global_recorder(recorder)
        .map_err(|error| anyhow!("metrics cannot be counted: {error}"))?;
    metrics::describe_gauge!(
        "autoops_breaker_state",
        "Breaker of a system: 0 closed, 1 half open, 2 open."
    );
    metrics::describe_counter!(
        "autoops_calls_total",
        "Calls of a system by how they ended; refused: not sent, its breaker is open."
    );
    metrics::describe_histogram!(
        "autoops_call_seconds",
        "Seconds that calls of a system take."
    );
    info!("metrics are at http://{address}/metrics");
    Ok(())
}

pub(crate) fn listen(
    address: SocketAddr,
    until: CancellationToken,
) -> anyhow::Result<PrometheusRecorder> {
    let calls = Matcher::Full("autoops_call_seconds".to_owned());
    let (recorder, exporter) = PrometheusBuilder::new()
        .set_buckets_for_metric(calls, &SECONDS)
        .and_then(|builder| builder.with_http_listener(address).build())
        .map_err(|error| anyhow!("the metrics address {address} cannot be used: {error}"))?;
    tokio::spawn(async move {
        tokio::select! {
            () = until.cancelled() => {}
            _ = exporter => {}
        }
    });
    Ok(recorder)
}
