//! CISA's catalogue of known exploited vulnerabilities: one file that changes now and then.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use domain::ids::CveId;
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Value, json};

use super::table::{self, Listed, Row};
use crate::sim::RunningSim;

const FILE: &str = "/sites/default/files/feeds/known_exploited_vulnerabilities.json";
/// What CISA gives agencies to act.
const DAYS_TO_ACT: i64 = 21;

struct World {
    rows: Vec<Row>,
    catalogue: Mutex<Catalogue>,
}

struct Catalogue {
    /// Newest first.
    entries: Vec<Value>,
    released: Timestamp,
}

/// Starts the simulator; port 0 takes a free one. `POST /list` with `{"cve": …}` adds an entry as of
/// today.
///
/// # Errors
/// When its own data is unreadable or no port can be opened.
pub async fn start(port: u16) -> anyhow::Result<RunningSim> {
    let rows = table::rows()?;
    let mut listed: Vec<(&Row, Listed)> = rows
        .iter()
        .filter_map(|row| Some((row, row.listed?)))
        .collect();
    listed.sort_by_key(|(_, listed)| std::cmp::Reverse(listed.added));
    let newest = listed.first().map(|(_, listed)| listed.added);
    let mut entries: Vec<Value> = listed
        .into_iter()
        .map(|(row, listed)| entry(&row.id, Some(row), listed))
        .collect();
    entries.extend(odd());
    let released = newest.unwrap_or_default().at(15, 0, 0, 0);
    let world = Arc::new(World {
        rows,
        catalogue: Mutex::new(Catalogue {
            entries,
            released: TimeZone::UTC.to_timestamp(released)?,
        }),
    });
    let answers = Router::new().route(FILE, get(file));
    let handles = Router::new().route("/list", post(list));
    // Its edge answers robots with 403.
    super::run(
        answers.with_state(world.clone()),
        handles.with_state(world),
        StatusCode::FORBIDDEN,
        port,
    )
    .await
}

async fn file(State(world): State<Arc<World>>, asked: HeaderMap) -> Response {
    let (body, released) = {
        let catalogue = world
            .catalogue
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (catalogue.body(), catalogue.released)
    };
    let mut hash = DefaultHasher::new();
    body.hash(&mut hash);
    let tag = format!("\"{:016x}\"", hash.finish());
    let changed = released.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let text = |name| asked.get(name).and_then(|value| value.to_str().ok());
    let known = match text(header::IF_NONE_MATCH) {
        // A cache on the way may have made it a weak one.
        Some(tags) => tags
            .split(',')
            .map(|known| known.trim().trim_start_matches("W/"))
            .any(|known| known == tag || known == "*"),
        None => text(header::IF_MODIFIED_SINCE) == Some(changed.as_str()),
    };
    let headers = [(header::ETAG, tag), (header::LAST_MODIFIED, changed)];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    (headers, json, body).into_response()
}

impl Catalogue {
    fn body(&self) -> String {
        json!({
            "title": "CISA Catalog of Known Exploited Vulnerabilities",
            "catalogVersion": self.released.strftime("%Y.%m.%d").to_string(),
            "dateReleased": self.released.strftime("%Y-%m-%dT%H:%M:%S.0000Z").to_string(),
            "count": self.entries.len(),
            "vulnerabilities": self.entries,
        })
        .to_string()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListOne {
    cve: CveId,
    #[serde(default)]
    ransomware: bool,
}

async fn list(State(world): State<Arc<World>>, Json(one): Json<ListOne>) -> Json<Value> {
    let now = Timestamp::now();
    let added = TimeZone::UTC.to_datetime(now).date();
    let listed = Listed {
        added,
        due: added.saturating_add(DAYS_TO_ACT.days()),
        ransomware: one.ransomware,
    };
    let row = world.rows.iter().find(|row| row.id == one.cve);
    let entry = entry(&one.cve, row, listed);
    let mut catalogue = world
        .catalogue
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    catalogue
        .entries
        .retain(|known| known["cveID"] != entry["cveID"]);
    catalogue.entries.insert(0, entry.clone());
    catalogue.released = now;
    Json(entry)
}

fn entry(id: &CveId, row: Option<&Row>, listed: Listed) -> Value {
    let (vendor, product, title, cwe) = row.map_or(
        ("Unknown", "Unknown", "Unspecified Vulnerability", None),
        |row| (row.vendor, row.product, row.title, row.cwe),
    );
    let day = |day: Date| day.to_string();
    json!({
        "cveID": id, "vendorProject": vendor, "product": product, "vulnerabilityName": named(vendor, title),
        "dateAdded": day(listed.added), "shortDescription": format!("{vendor} {product} is exploited: {title}."),
        "requiredAction": REQUIRED_ACTION, "dueDate": day(listed.due),
        "knownRansomwareCampaignUse": if listed.ransomware { "Known" } else { "Unknown" },
        "notes": format!("https://nvd.nist.gov/vuln/detail/{id}"), "cwes": Vec::from_iter(cwe),
    })
}

pub(in crate::sim) const REQUIRED_ACTION: &str = "Apply mitigations per vendor instructions or discontinue use of the product if mitigations are unavailable.";

/// The title with the vendor in front, once.
pub(in crate::sim) fn named(vendor: &str, title: &str) -> String {
    if title.starts_with(vendor) {
        title.to_owned()
    } else {
        format!("{vendor} {title}")
    }
}

/// Invented: what breaks naive readers.
fn odd() -> [Value; 3] {
    [
        // No day.
        json!({ "cveID": "CVE-2099-10001", "vendorProject": "Example", "product": "Agent",
            "vulnerabilityName": "Invented: nobody knows since when", "shortDescription": "", "requiredAction": "",
            "dueDate": "2026-12-31", "knownRansomwareCampaignUse": "Unknown", "notes": "", "cwes": [] }),
        // Another spelling, a field less.
        json!({ "cveID": "CVE-2099-10002", "vendorProject": "Example", "product": "Agent",
            "vulnerabilityName": "Invented: in small letters", "dateAdded": "2026-05-02", "dueDate": "2026-05-23",
            "knownRansomwareCampaignUse": "known" }),
        // No CVE.
        json!({ "cveID": "TBD", "vendorProject": "Example", "product": "Agent", "dateAdded": "2026-05-03" }),
    ]
}

#[cfg(test)]
mod tests {
    use domain::vulnerability::kev::Kev;

    use super::{
        super::testing::{body, get, makes_trouble, post},
        *,
    };

    #[tokio::test]
    async fn the_product_reads_it_and_names_what_is_odd() {
        let sim = start(0).await.unwrap();
        let kev = Kev::read(&body(&sim, FILE).await).unwrap();
        let rows = table::rows().unwrap();
        let listed = rows.iter().filter(|row| row.listed.is_some()).count();
        assert_eq!(kev.len(), listed + 2);
        assert_eq!(kev.problems().len(), 2, "{:?}", kev.problems());
        let kernel = kev.listed("CVE-2024-21338").unwrap();
        assert_eq!(kernel.added, "2024-03-04".parse().ok());
        assert_eq!(kernel.due, "2024-03-25".parse().ok());
        assert!(kernel.ransomware);
        assert!(kev.listed("CVE-2099-10001").unwrap().added.is_none());
    }

    #[tokio::test]
    async fn it_is_sent_again_only_when_it_changed() {
        let sim = start(0).await.unwrap();
        let first = get(&sim, FILE).await;
        let header = |name| first.headers()[name].to_str().unwrap().to_owned();
        let (tag, changed) = (header("etag"), header("last-modified"));
        assert!(changed.ends_with(" GMT"), "{changed}");
        let again = async |name: &str, value: String| {
            let request = reqwest::Client::new().get(format!("{}{FILE}", sim.url));
            request.header(name, value).send().await.unwrap()
        };
        let answer = again("if-none-match", format!("\"x\", W/{tag}")).await;
        assert_eq!(answer.status(), 304);
        assert_eq!(answer.headers()["etag"].to_str().unwrap(), tag);
        assert_eq!(answer.bytes().await.unwrap().len(), 0);
        assert_eq!(again("if-modified-since", changed).await.status(), 304);

        let cve = json!({ "cve": "CVE-2024-38063", "ransomware": true });
        assert_eq!(post(&sim, "/list", cve).await.status(), 200);
        let answer = again("if-none-match", tag).await;
        assert_eq!(answer.status(), 200);
        let kev = Kev::read(&answer.bytes().await.unwrap()).unwrap();
        assert!(kev.listed("CVE-2024-38063").unwrap().ransomware);
        let log = get(&sim, "/log").await.text().await.unwrap();
        assert!(log.contains("\"conditional\":true") && log.contains("304"));
    }

    #[tokio::test]
    async fn trouble_comes_on_demand() {
        makes_trouble(&start(0).await.unwrap(), FILE, 403).await;
    }
}
