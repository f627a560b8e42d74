//! Microsoft's security updates (MSRC, CVRF 3.0 as JSON): a document for each month of the fleet's
//! updates, with the numbers and the chain of the catalogue.

mod document;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::{Timestamp, civil::Date};
use serde::Deserialize;
use serde_json::{Value, json};

use super::table;
use crate::sim::{RunningSim, superops::catalog};

/// A month.
struct Release {
    id: String,
    title: String,
    first: String,
    /// When it was changed last.
    changed: String,
    document: Value,
}

type World = Mutex<Vec<Release>>;

/// Starts the simulator; port 0 takes a free one. `POST /touch` with `{"id": "2024-May"}` makes a
/// document changed now.
///
/// # Errors
/// When its own data is unreadable or no port can be opened.
pub async fn start(port: u16) -> anyhow::Result<RunningSim> {
    let rows = table::rows()?;
    let releases = catalog::DAYS.iter().enumerate().map(|(month, day)| {
        let day: Date = day.parse()?;
        let first = format!("{day}T08:00:00Z");
        let title = format!("{} Security Updates", day.strftime("%B %Y"));
        let id = day.strftime("%Y-%b").to_string();
        Ok(Release {
            document: document::of(&id, &title, &first, month, &rows),
            changed: first.clone(),
            id,
            title,
            first,
        })
    });
    let world: Arc<World> = Arc::new(Mutex::new(releases.collect::<anyhow::Result<_>>()?));
    let answers = Router::new()
        .route("/cvrf/v3.0/updates", get(updates))
        .route("/cvrf/v3.0/cvrf/{id}", get(one));
    let handles = Router::new().route("/touch", post(touch));
    super::run(
        answers.with_state(world.clone()),
        handles.with_state(world),
        StatusCode::TOO_MANY_REQUESTS,
        port,
    )
    .await
}

async fn updates(State(world): State<Arc<World>>) -> Json<Value> {
    let world = world.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rows: Vec<Value> = world
        .iter()
        .map(|release| {
            json!({
                "ID": release.id, "Alias": release.id, "DocumentTitle": release.title, "Severity": null,
                "InitialReleaseDate": release.first, "CurrentReleaseDate": release.changed,
                "CvrfUrl": format!("https://api.msrc.microsoft.com/cvrf/v3.0/cvrf/{}", release.id),
            })
        })
        .collect();
    // Invented: announced, not there yet.
    rows.push(json!({ "ID": "2099-Jan", "Alias": "2099-Jan", "DocumentTitle": "Invented", "Severity": null,
        "InitialReleaseDate": null, "CurrentReleaseDate": null }));
    Json(
        json!({ "@odata.context": "https://api.msrc.microsoft.com/cvrf/v3.0/$metadata#Updates", "value": rows }),
    )
}

async fn one(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    asked: HeaderMap,
) -> Response {
    let accepts = asked
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if !accepts.is_some_and(|types| types.contains("application/json")) {
        // The real one would send XML; a client that forgot to ask for JSON should notice at once.
        let xml = [(header::CONTENT_TYPE, "application/xml")];
        let text = "<Error><Message>Only application/json is simulated.</Message></Error>";
        return (StatusCode::NOT_ACCEPTABLE, xml, text).into_response();
    }
    let world = world.lock().unwrap_or_else(PoisonError::into_inner);
    match world.iter().find(|release| release.id == id) {
        Some(release) => {
            let mut document = release.document.clone();
            document["DocumentTracking"]["CurrentReleaseDate"] = release.changed.as_str().into();
            Json(document).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Touch {
    id: String,
}

async fn touch(State(world): State<Arc<World>>, Json(touch): Json<Touch>) -> Response {
    let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(release) = world.iter_mut().find(|release| release.id == touch.id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    release.changed = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Json(BTreeMap::from([("CurrentReleaseDate", &release.changed)])).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::vulnerability::cvrf::{read, releases};

    use super::{
        super::testing::{body, get, makes_trouble, post},
        *,
    };

    #[tokio::test]
    async fn the_product_reads_every_month_and_the_chain_holds() {
        let sim = start(0).await.unwrap();
        let list = body(&sim, "/cvrf/v3.0/updates").await;
        let (releases, flaws) = releases(&list).unwrap();
        assert_eq!((releases.len(), flaws.len()), (12, 1), "{flaws:?}");
        assert_eq!(releases[0].id, "2023-Dec");
        let mut chain = BTreeMap::new();
        for release in &releases {
            let text = body(&sim, &format!("/cvrf/v3.0/cvrf/{}", release.id)).await;
            let document = read(&text, Timestamp::now()).unwrap();
            assert!(document.records.len() >= 10, "{}", release.id);
            for update in document.updates {
                assert!(!update.cves.is_empty());
                chain.insert(update.kb.digits().to_owned(), update);
            }
        }
        for list in [
            catalog::WINDOWS_10,
            catalog::WINDOWS_11,
            catalog::SERVER_2022,
        ] {
            for two in list.windows(2) {
                let replaced: Vec<String> = chain[two[1]]
                    .supersedes
                    .iter()
                    .map(|kb| kb.digits().to_owned())
                    .collect();
                assert_eq!(replaced, [two[0]]);
                assert_eq!(chain[two[1]].restart, Some(true));
            }
        }
        let recovery = &chain[catalog::RECOVERY];
        assert!(recovery.cves.contains(&"CVE-2024-20666".parse().unwrap()));
        assert_eq!(recovery.restart, Some(false));
        assert_eq!(chain.len(), 38);
    }

    #[tokio::test]
    async fn what_is_odd_is_named_and_the_rest_is_whole() {
        let sim = start(0).await.unwrap();
        let text = body(&sim, "/cvrf/v3.0/cvrf/2024-Feb").await;
        let document = read(&text, Timestamp::now()).unwrap();
        let flaws = document.flaws.join("\n");
        for named in [
            "not the number of an update",
            "ADV240099",
            "CVE-2099-10006, CVSSScoreSets.Vector",
        ] {
            assert!(flaws.contains(named), "{named} in {flaws}");
        }
        let smart = document
            .records
            .iter()
            .find(|record| record.id == "CVE-2024-21351".parse().unwrap());
        let smart = smart.unwrap();
        assert!(smart.exploited.holds().is_some() && smart.vector.holds().is_some());
    }

    #[tokio::test]
    async fn json_has_to_be_asked_for_and_changes_are_seen() {
        let sim = start(0).await.unwrap();
        let url = format!("{}/cvrf/v3.0/cvrf/2024-May", sim.url);
        let plain = reqwest::get(&url).await.unwrap();
        assert_eq!(plain.status(), 406);
        assert!(plain.text().await.unwrap().starts_with("<Error>"));
        assert_eq!(get(&sim, "/cvrf/v3.0/cvrf/2099-Jan").await.status(), 404);

        let touched = post(&sim, "/touch", json!({ "id": "2024-May" })).await;
        assert_eq!(touched.status(), 200);
        let list = body(&sim, "/cvrf/v3.0/updates").await;
        let (releases, _) = releases(&list).unwrap();
        let newest = releases.iter().max_by_key(|release| release.changed);
        assert_eq!(newest.unwrap().id, "2024-May");
        let unknown = post(&sim, "/touch", json!({ "id": "2024-Mai" })).await;
        assert_eq!(unknown.status(), 404);
    }

    #[tokio::test]
    async fn trouble_comes_on_demand() {
        makes_trouble(&start(0).await.unwrap(), "/cvrf/v3.0/updates", 429).await;
    }
}
