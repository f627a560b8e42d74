//! The answer of `query_range`: a matrix, in which values are text.

use std::collections::BTreeMap;

use domain::cause::{Measure, Metrics};
use serde::Deserialize;

use super::PrometheusError;

/// What is measured on a machine over a while.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// Unix seconds, ascending.
    pub times: Vec<f64>,
    /// One value for each.
    pub values: Vec<f64>,
}

impl Samples {
    /// Makes the input of the comparison, in which the machine is node 0.
    #[must_use]
    pub fn into_metrics(self, measure: Measure) -> Metrics {
        Metrics {
            measure,
            times: self.times,
            values: vec![self.values.into_iter().map(Some).collect()],
            requests: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    #[serde(default)]
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// Reads an answer; nothing when it holds no value. Of several series the worst value of each time
/// counts.
pub(super) fn read(
    body: &[u8],
    measure: Measure,
    most_series: usize,
) -> Result<Option<Samples>, PrometheusError> {
    let malformed = |detail: String| PrometheusError::Malformed { detail };
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
    let data = answer.data.filter(|_| answer.status == "success");
    let data = data.ok_or_else(|| malformed("no data".to_owned()))?;
    if data.result_type != "matrix" {
        return Err(malformed("it is not a matrix".to_owned()));
    }
    // Servers before 2.55 do not know the limit.
    if data.result.len() > most_series {
        return Err(malformed(format!(
            "{} series, at most {most_series} are read: the query has to come down to one",
            data.result.len()
        )));
    }
    let mut worst: BTreeMap<i64, f64> = BTreeMap::new();
    for (time, value) in data.result.into_iter().flat_map(|series| series.values) {
        let Some(value) = value.parse().ok().filter(|value: &f64| value.is_finite()) else {
            continue;
        };
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds")]
        let millis = (time * 1_000.0).round() as i64;
        let known = worst.entry(millis).or_insert(value);
        *known = match measure {
            Measure::Latency => known.max(value),
            Measure::Availability => known.min(value),
        };
    }
    if worst.is_empty() {
        return Ok(None);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of this millennium"
    )]
    let times = worst.keys().map(|millis| *millis as f64 / 1_000.0);
    Ok(Some(Samples {
        times: times.collect(),
        values: worst.values().copied().collect(),
    }))
}
