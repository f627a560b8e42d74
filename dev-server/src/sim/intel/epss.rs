//! FIRST's predictions (EPSS): how likely a CVE is exploited within 30 days.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::table;
use crate::sim::RunningSim;

const PATH: &str = "/data/v1/epss";
/// Most characters of the list of CVEs.
const MAX_LIST: usize = 2_000;
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 10_000;

type Rows = BTreeMap<String, Value>;

/// Starts the simulator; port 0 takes a free one.
///
/// # Errors
/// When its own data is unreadable or no port can be opened.
pub async fn start(port: u16) -> anyhow::Result<RunningSim> {
    let mut rows: Rows = table::rows()?
        .into_iter()
        .map(|row| {
            let (epss, percentile) = row.prediction;
            (row.id.to_string(), prediction(epss, percentile))
        })
        .collect();
    rows.extend(odd());
    let answers = Router::new().route(PATH, get(answer));
    super::run(
        answers.with_state(Arc::new(rows)),
        Router::new(),
        StatusCode::TOO_MANY_REQUESTS,
        port,
    )
    .await
}

/// Numbers are text on this wire, with nine decimals.
fn prediction(epss: &str, percentile: &str) -> Value {
    json!({ "epss": format!("{epss:0<11}"), "percentile": format!("{percentile:0<11}") })
}

/// Invented: what breaks naive readers. CVE-2099-10001 has no prediction at all.
fn odd() -> [(String, Value); 3] {
    [
        ("10002", json!({ "epss": 0.25, "percentile": 0.96 })),
        ("10004", json!({ "epss": "NaN", "percentile": "n/a" })),
        ("10005", json!({ "epss": "0.010000000" })),
    ]
    .map(|(number, row)| (format!("CVE-2099-{number}"), row))
}

async fn answer(State(rows): State<Arc<Rows>>, RawQuery(raw): RawQuery) -> Response {
    match page(&rows, &raw.unwrap_or_default()) {
        Ok(body) => Json(body).into_response(),
        Err(message) => {
            let body = json!({ "status": "ERROR", "status-code": 400, "version": "1.0", "message": message });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}

/// Refuses what it does not know: the real one would silently answer another question.
fn page(rows: &Rows, raw: &str) -> Result<Value, String> {
    let (mut list, mut offset, mut limit) = (None, 0, DEFAULT_LIMIT);
    for (name, value) in url::form_urlencoded::parse(raw.as_bytes()) {
        let number = || {
            let number = value.parse::<usize>();
            number.map_err(|_| format!("{name}: not a number"))
        };
        match name.as_ref() {
            "cve" if value.len() > MAX_LIST => {
                return Err(format!("cve: more than {MAX_LIST} characters"));
            }
            "cve" => list = Some(value.into_owned()),
            "offset" => offset = number()?,
            "limit" => limit = number()?,
            _ => return Err(format!("{name}: not known")),
        }
    }
    if limit > MAX_LIMIT {
        return Err(format!("limit: more than {MAX_LIMIT}"));
    }
    let found: Vec<(&str, &Value)> = match &list {
        Some(list) => list
            .split(',')
            .map(str::trim)
            .filter_map(|id| Some((id, rows.get(id)?)))
            .collect(),
        None => rows.iter().map(|(id, row)| (id.as_str(), row)).collect(),
    };
    let today = TimeZone::UTC
        .to_datetime(Timestamp::now())
        .date()
        .to_string();
    let data: Vec<Value> = found
        .iter()
        .skip(offset)
        .take(limit)
        .map(|(id, row)| {
            let mut row = (*row).clone();
            row["cve"] = (*id).into();
            row["date"] = today.clone().into();
            row
        })
        .collect();
    Ok(json!({
        "status": "OK", "status-code": 200, "version": "1.0", "access": "public",
        "total": found.len(), "offset": offset, "limit": limit, "data": data,
    }))
}

#[cfg(test)]
mod tests {
    use domain::vulnerability::epss::read;

    use super::{
        super::testing::{body, get, makes_trouble},
        *,
    };

    #[tokio::test]
    async fn the_product_reads_it_and_the_unknown_are_absent() {
        let sim = start(0).await.unwrap();
        let asked = format!("{PATH}?cve=CVE-2024-21338,CVE-2098-99999,CVE-2024-38063");
        let text = body(&sim, &asked).await;
        let json: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(json["total"], 2);
        assert_eq!(json["data"][0]["epss"].as_str().unwrap().len(), 11);
        let answer = read(&text, Timestamp::now()).unwrap();
        assert_eq!((answer.records.len(), answer.flaws.len()), (2, 0));
    }

    #[tokio::test]
    async fn pages_add_up_and_what_is_odd_is_named() {
        let sim = start(0).await.unwrap();
        let (mut records, mut flaws, mut offset) = (0, Vec::new(), 0);
        loop {
            let text = body(&sim, &format!("{PATH}?limit=150&offset={offset}")).await;
            let answer = read(&text, Timestamp::now()).unwrap();
            records += answer.records.len();
            flaws.extend(answer.flaws);
            offset += 150;
            let json: Value = serde_json::from_slice(&text).unwrap();
            if offset >= json["total"].as_u64().unwrap() {
                break;
            }
        }
        assert_eq!(records, table::rows().unwrap().len() + 1);
        assert_eq!(flaws.len(), 2, "{flaws:?}");
    }

    #[tokio::test]
    async fn long_lists_and_wrong_parameters_are_refused() {
        let sim = start(0).await.unwrap();
        let longest = "CVE-2024-21338,".repeat(133);
        assert_eq!(longest.len(), 1995);
        let full = format!("{PATH}?cve={longest}");
        assert_eq!(get(&sim, &full).await.status(), 200);
        for wrong in [
            format!("{PATH}?cve={longest}CVE-2024-21338"),
            format!("{PATH}?limit=10001"),
            format!("{PATH}?offset=-1"),
            format!("{PATH}?cves=CVE-2024-21338"),
        ] {
            assert_eq!(get(&sim, &wrong).await.status(), 400, "{wrong}");
        }
    }

    #[tokio::test]
    async fn trouble_comes_on_demand() {
        makes_trouble(&start(0).await.unwrap(), PATH, 429).await;
    }
}
