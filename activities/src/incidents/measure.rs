//! What is measured on a suspect device around the time of the first alert.

use clients::prometheus::{PrometheusError, Query, Samples};
use contracts::activities::incidents::{MeasureInput, MetricsResult};
use domain::{
    cause::{CauseReport, Node, measured},
    failure::Classify,
};
use jiff::Timestamp;
use tracing::warn;

use super::IncidentActivities;
use crate::{alerts::incident, failure::Outcome};

impl IncidentActivities {
    pub(super) async fn measure(&self, input: &MeasureInput) -> Outcome<MetricsResult> {
        let at = self.clock.now();
        let mut found = Vec::new();
        if let Some(prometheus) = &self.prometheus
            && let Some((machine, begun)) = self.what_and_when(input).await?
        {
            let client = input.incident.client();
            for query in prometheus.queries() {
                let samples = prometheus.read(query, client, &machine, begun, at).await;
                found.extend(usable(query, samples)?.and_then(|samples| {
                    let metrics = samples.into_metrics(query.measure);
                    measured(&query.name, &metrics, Node(0), begun.as_second())
                }));
            }
        }
        Ok(MetricsResult {
            at,
            measured: found,
        })
    }

    /// The name of the device and when the first alert was raised; none for a device of another client.
    async fn what_and_when(&self, input: &MeasureInput) -> Outcome<Option<(String, Timestamp)>> {
        let record = incident(&self.store, &input.incident).await?;
        let report = CauseReport::of(record.cause.as_ref());
        let device = self.store.inventory.get_device(&input.device).await?;
        let device = device.filter(|device| device.client == *input.incident.client());
        Ok(device
            .zip(report.and_then(|report| report.begun()))
            .map(|(device, begun)| (device.name, begun)))
    }
}

/// A query that is refused, or whose answer cannot be used, leaves the others alone; when the system is
/// away, all of them are asked again.
fn usable(
    query: &Query,
    samples: Result<Option<Samples>, PrometheusError>,
) -> Result<Option<Samples>, PrometheusError> {
    match samples {
        Err(error) if !error.kind().is_retryable() => {
            warn!(
                error = &error as &dyn std::error::Error,
                "query `{}` of prometheus.queries says nothing", query.name
            );
            Ok(None)
        }
        samples => samples,
    }
}
