//! Reads an answer: only the fields we use, so that new ones never break us.

use domain::{ids::CveId, patch::CveFacts};
use serde::Deserialize;

use super::NvdError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    total_results: u64,
    #[serde(default)]
    vulnerabilities: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    cve: Cve,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cve {
    id: String,
    vuln_status: Option<String>,
    cisa_exploit_add: Option<String>,
    #[serde(default)]
    metrics: Metrics,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metrics {
    #[serde(rename = "cvssMetricV40")]
    v40: Vec<Metric>,
    #[serde(rename = "cvssMetricV31")]
    v31: Vec<Metric>,
    #[serde(rename = "cvssMetricV30")]
    v30: Vec<Metric>,
    #[serde(rename = "cvssMetricV2")]
    v2: Vec<Metric>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    #[serde(default)]
    source: Option<String>,
    #[serde(rename = "type", default)]
    rank: String,
    cvss_data: CvssData,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CvssData {
    version: String,
    vector_string: Option<String>,
    base_score: f64,
}

pub(super) fn read(bytes: &[u8], asked: &CveId) -> Result<CveFacts, NvdError> {
    // The message of the reader may quote a value of the answer, so only the path is kept.
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let answer: Answer =
        serde_path_to_error::deserialize(&mut reader).map_err(|error| NvdError::Malformed {
            detail: format!("at {}", error.path()),
        })?;
    if answer.total_results == 0 {
        return Err(NvdError::NotFound(asked.clone()));
    }
    let cve = answer
        .vulnerabilities
        .into_iter()
        .map(|row| row.cve)
        .find(|cve| cve.id.parse().as_ref() == Ok(asked))
        .ok_or_else(|| NvdError::Malformed {
            detail: "another CVE than asked for".to_owned(),
        })?;
    facts(cve, asked)
}

fn facts(cve: Cve, asked: &CveId) -> Result<CveFacts, NvdError> {
    let best = best(cve.metrics);
    let base_score_tenths = best
        .as_ref()
        .map(|m| tenths(m.cvss_data.base_score))
        .transpose()?;
    let (version, vector, source) = match best {
        Some(Metric {
            source, cvss_data, ..
        }) => (Some(cvss_data.version), cvss_data.vector_string, source),
        None => (None, None, None),
    };
    Ok(CveFacts {
        id: asked.clone(),
        base_score_tenths,
        cvss_version: version,
        vector,
        score_source: source,
        known_exploited: cve.cisa_exploit_add.is_some(),
        status: cve.vuln_status,
        unavailable: false,
    })
}

/// The newest version that has a score; inside it the authority before others.
fn best(metrics: Metrics) -> Option<Metric> {
    [metrics.v40, metrics.v31, metrics.v30, metrics.v2]
        .into_iter()
        .find_map(|list| {
            list.into_iter()
                .min_by_key(|metric| metric.rank != "Primary")
        })
}

fn tenths(score: f64) -> Result<u8, NvdError> {
    let tenths = (score * 10.0).round();
    if !(0.0..=100.0).contains(&tenths) {
        return Err(NvdError::Malformed {
            detail: "a score outside 0 to 10".to_owned(),
        });
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above"
    )]
    Ok(tenths as u8)
}
