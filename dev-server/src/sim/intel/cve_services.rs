//! CVE Services: one record of CVE JSON 5.1 for each CVE, for many with what CISA's analysts say.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use domain::ids::CveId;
use serde_json::{Value, json};

use super::table::{self, Row};
use crate::sim::RunningSim;

const MICROSOFT: &str = "f38d906d-7342-40ea-92c1-6c4a2c6478c8";
pub(in crate::sim) const CISA_ADP: &str = "134c704f-9b21-4f2e-91b3-4a467353bcc0";
/// Stands for all other publishers.
const SOMEBODY: &str = "00000000-0000-4000-9000-000000000000";

type Records = BTreeMap<CveId, Value>;

/// Starts the simulator; port 0 takes a free one.
///
/// # Errors
/// When its own data is unreadable or no port can be opened.
pub async fn start(port: u16) -> anyhow::Result<RunningSim> {
    let mut records: Records = table::rows()?
        .iter()
        .map(|row| (row.id.clone(), record(row)))
        .collect();
    for (id, body) in odd() {
        records.insert(id.parse()?, body);
    }
    let answers = Router::new().route("/api/cve/{id}", get(one));
    super::run(
        answers.with_state(Arc::new(records)),
        Router::new(),
        StatusCode::TOO_MANY_REQUESTS,
        port,
    )
    .await
}

async fn one(State(records): State<Arc<Records>>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<CveId>() else {
        let body = json!({ "error": "BAD_INPUT", "message": "Parameters were invalid",
            "details": [{ "msg": "Invalid cve id", "param": "id", "location": "params" }] });
        return (StatusCode::BAD_REQUEST, Json(body)).into_response();
    };
    match records.get(&id) {
        Some(record) => Json(record).into_response(),
        None => {
            let body = json!({ "error": "CVE_RECORD_DNE",
                "message": "The cve record for the cve id does not exist." });
            (StatusCode::NOT_FOUND, Json(body)).into_response()
        }
    }
}

fn record(row: &Row) -> Value {
    let day = format!("{}T00:00:00.000Z", row.published);
    let (org, publisher) = match row.vendor {
        "Microsoft" => (MICROSOFT, "microsoft".to_owned()),
        other => (SOMEBODY, other.to_lowercase().replace(' ', "_")),
    };
    let mut cna = json!({
        "providerMetadata": { "orgId": org, "shortName": publisher, "dateUpdated": day },
        "title": row.title, "datePublic": day,
        "affected": [affected(row)],
        "descriptions": [{ "lang": "en-US", "value": row.title }],
        "references": [{ "url": format!("https://nvd.nist.gov/vuln/detail/{}", row.id), "tags": ["vendor-advisory"] }],
    });
    let vector =
        json!([{ "format": "CVSS", metric_name(row.vector): cvss(row.vector, row.score_tenths) }]);
    if !row.by_analyst {
        cna["metrics"] = vector.clone();
    }
    if let Some(cwe) = row.cwe {
        let description =
            json!({ "cweId": cwe, "description": cwe, "lang": "en-US", "type": "CWE" });
        cna["problemTypes"] = json!([{ "descriptions": [description] }]);
    }
    let mut containers = json!({ "cna": cna });
    if row.by_analyst || row.decision.is_some() {
        let mut metrics = Vec::new();
        if row.by_analyst {
            metrics.extend(vector.as_array().cloned().unwrap_or_default());
        }
        metrics.extend(row.decision.map(|decision| ssvc(row, decision)));
        if let Some(listed) = row.listed {
            metrics.push(json!({ "other": { "type": "kev", "content": { "dateAdded": listed.added.to_string(),
                "reference": format!("https://www.cisa.gov/known-exploited-vulnerabilities-catalog?search_api_fulltext={}", row.id) } } }));
        }
        // The programme's own container comes first and says nothing of use.
        containers["adp"] = json!([
            { "title": "CVE Program Container", "references": [],
              "providerMetadata": { "orgId": SOMEBODY, "shortName": "CVE", "dateUpdated": day } },
            { "title": "CISA ADP Vulnrichment", "metrics": metrics,
              "providerMetadata": { "orgId": CISA_ADP, "shortName": "CISA-ADP", "dateUpdated": day } },
        ]);
    }
    json!({
        "dataType": "CVE_RECORD", "dataVersion": "5.1",
        "cveMetadata": { "cveId": row.id, "state": "PUBLISHED", "assignerOrgId": org, "assignerShortName": publisher,
            "dateReserved": day, "datePublished": day, "dateUpdated": day },
        "containers": containers,
    })
}

fn affected(row: &Row) -> Value {
    let fixed = row.software.first().map(|program| program.end.to_owned());
    let fixed = fixed.or_else(|| {
        let fix = row.fix.as_ref()?;
        let system = fix.families.iter().find_map(|family| family.system())?;
        Some(system.version(fix.month))
    });
    let versions = match fixed {
        Some(version) => {
            json!([{ "version": "0", "lessThan": version, "status": "affected", "versionType": "custom" }])
        }
        None => json!([{ "version": "unspecified", "status": "affected" }]),
    };
    json!({ "vendor": row.vendor, "product": row.product, "versions": versions, "defaultStatus": "unknown" })
}

fn metric_name(vector: &str) -> &'static str {
    match vector.get(..8) {
        Some("CVSS:4.0") => "cvssV4_0",
        Some("CVSS:3.0") => "cvssV3_0",
        _ => "cvssV3_1",
    }
}

fn cvss(vector: &str, tenths: u8) -> Value {
    json!({ "version": vector.get(5..8), "vectorString": vector, "baseScore": f64::from(tenths) / 10.0,
        "baseSeverity": table::severity(tenths) })
}

fn ssvc(row: &Row, [exploitation, automatable, impact]: [&str; 3]) -> Value {
    json!({ "other": { "type": "ssvc", "content": {
        "id": row.id, "role": "CISA Coordinator", "version": "2.0.3",
        "timestamp": format!("{}T12:00:00.000000Z", row.published),
        "options": [{ "Exploitation": exploitation }, { "Automatable": automatable }, { "Technical Impact": impact }],
    } } })
}

/// Invented: what breaks naive readers.
fn odd() -> Vec<(&'static str, Value)> {
    let record = |id: &str, containers: Value| {
        json!({ "dataType": "CVE_RECORD", "dataVersion": "5.1", "containers": containers,
            "cveMetadata": { "cveId": id, "state": "PUBLISHED", "assignerOrgId": SOMEBODY } })
    };
    let cna = |metrics: Value| {
        json!({ "descriptions": [{ "lang": "en", "value": "Invented" }], "metrics": metrics,
            "affected": [{ "vendor": "Example", "product": "Agent" }] })
    };
    let numbers = json!([
        { "cvssV4_0": { "vectorString": "CVSS:4.0/AV:N", "baseScore": "9.3" } },
        { "cvssV3_1": { "vectorString": 31, "baseScore": "9.8" } },
        { "cvssV3_0": { "vectorString": "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "baseScore": "9.8" } },
        { "cvssV2_0": { "vectorString": "AV:N/AC:L/Au:N/C:P/I:P/A:P", "baseScore": 7.5 } },
    ]);
    let newest = json!([{ "cvssV4_0": {
        "vectorString": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "baseScore": 9.3 } }]);
    let mut rejected = record(
        "CVE-2099-10003",
        json!({ "cna": { "rejectedReasons": [{ "lang": "en", "value": "Invented, never was one." }] } }),
    );
    rejected["cveMetadata"]["state"] = "REJECTED".into();
    let analyst = json!([{ "title": "CISA ADP Vulnrichment", "providerMetadata": { "shortName": "CISA-ADP" },
        "metrics": [{ "other": { "type": "ssvc", "content": { "options": [
            { "Exploitation": "none" }, { "Automatable": true }, { "Technical Impact": 7 }] } } }] }]);
    vec![
        (
            "CVE-2099-10001",
            record("CVE-2099-10001", json!({ "cna": cna(json!([])) })),
        ),
        (
            "CVE-2099-10002",
            record("CVE-2099-10002", json!({ "cna": cna(newest) })),
        ),
        ("CVE-2099-10003", rejected),
        // Numbers as text and broken vectors before a good one.
        (
            "CVE-2099-10005",
            record("CVE-2099-10005", json!({ "cna": cna(numbers) })),
        ),
        // An analyst who wrote other words than agreed.
        (
            "CVE-2099-10006",
            record(
                "CVE-2099-10006",
                json!({ "cna": cna(json!([])), "adp": analyst }),
            ),
        ),
        // No publisher.
        ("CVE-2099-10008", record("CVE-2099-10008", json!({}))),
    ]
}

#[cfg(test)]
mod tests {
    use domain::vulnerability::{
        cve_json::{Reading, read},
        deadline::{Automatable, TechnicalImpact},
        record::Source,
    };
    use jiff::Timestamp;

    use super::{
        super::testing::{body, get, makes_trouble},
        *,
    };

    async fn reading(sim: &RunningSim, id: &str) -> Reading {
        let text = body(sim, &format!("/api/cve/{id}")).await;
        read(&text, Timestamp::now()).unwrap()
    }

    #[tokio::test]
    async fn the_product_reads_every_record_without_a_flaw() {
        let sim = start(0).await.unwrap();
        for row in table::rows().unwrap() {
            let reading = reading(&sim, row.id.as_str()).await;
            assert_eq!(reading.flaws, Vec::<String>::new());
            let record = reading.record;
            let said = record.vector.holds().unwrap();
            assert_eq!(said.value, row.vector);
            assert_eq!(said.source == Source::Vulnrichment, row.by_analyst);
            assert_eq!(record.automatable.holds().is_some(), row.decision.is_some());
            assert_eq!(record.published.holds().unwrap().value, row.published);
        }
    }

    #[tokio::test]
    async fn analysts_are_heard() {
        let sim = start(0).await.unwrap();
        let record = reading(&sim, "CVE-2024-21412").await.record;
        assert_eq!(record.automatable.holds().unwrap().value, Automatable::No);
        assert_eq!(record.impact.holds().unwrap().value, TechnicalImpact::Total);
    }

    #[tokio::test]
    async fn what_is_broken_on_purpose_is_named() {
        let sim = start(0).await.unwrap();
        let mut flaws = Vec::new();
        for number in [10_001, 10_002, 10_003, 10_005, 10_006, 10_008] {
            let reading = reading(&sim, &format!("CVE-2099-{number}")).await;
            assert_eq!(reading.record.rejected, number == 10_003);
            flaws.push(reading.flaws.len());
        }
        assert_eq!(flaws, [0, 0, 0, 2, 2, 1]);
    }

    #[tokio::test]
    async fn an_unknown_one_is_a_404_with_a_reason() {
        let sim = start(0).await.unwrap();
        let answer = get(&sim, "/api/cve/CVE-2098-99999").await;
        assert_eq!(answer.status(), 404);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"], "CVE_RECORD_DNE");
        assert_eq!(get(&sim, "/api/cve/2024").await.status(), 400);
    }

    #[tokio::test]
    async fn trouble_comes_on_demand() {
        makes_trouble(&start(0).await.unwrap(), "/api/cve/CVE-2024-38063", 429).await;
    }
}
