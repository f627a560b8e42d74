//! Reads and answers a query as the real service does; what it does not know is refused.

use domain::ids::CveId;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};

use super::entries::Entry;

const MAX_PAGE: usize = 2_000;
const MAX_RANGE_DAYS: i64 = 120;

type Range = (Timestamp, Timestamp);

#[derive(Debug, Default)]
pub(super) struct Query {
    cve: Option<CveId>,
    modified: Option<Range>,
    published: Option<Range>,
    kev: Option<Range>,
    keyword: Option<String>,
    severity: Option<String>,
    has_kev: bool,
    no_rejected: bool,
    start: usize,
    page: usize,
}

impl Query {
    /// Refuses with the text that goes into the `message` header.
    pub(super) fn read(raw: &str) -> Result<Self, String> {
        let mut query = Self {
            page: MAX_PAGE,
            ..Self::default()
        };
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(raw.as_bytes())
            .into_owned()
            .collect();
        let named = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, v)| v.as_str())
        };
        for (name, value) in &pairs {
            let invalid = || format!("Invalid {name} parameter.");
            match name.as_str() {
                "cveId" => query.cve = Some(value.parse().map_err(|_| invalid())?),
                "keywordSearch" if !value.is_empty() => query.keyword = Some(value.to_lowercase()),
                "cvssV3Severity"
                    if ["LOW", "MEDIUM", "HIGH", "CRITICAL"].contains(&value.as_str()) =>
                {
                    query.severity = Some(value.clone());
                }
                "hasKev" if value.is_empty() => query.has_kev = true,
                "noRejected" if value.is_empty() => query.no_rejected = true,
                "startIndex" => query.start = value.parse().map_err(|_| invalid())?,
                "resultsPerPage" => {
                    query.page = value.parse().map_err(|_| invalid())?;
                    if !(1..=MAX_PAGE).contains(&query.page) {
                        return Err(invalid());
                    }
                }
                "lastModStartDate" | "lastModEndDate" | "pubStartDate" | "pubEndDate"
                | "kevStartDate" | "kevEndDate" => {}
                _ => return Err(invalid()),
            }
        }
        let range = |kind: &str| range(kind, named);
        query.modified = range("lastMod")?;
        query.published = range("pub")?;
        query.kev = range("kev")?;
        Ok(query)
    }

    pub(super) fn answer(&self, entries: &[Entry]) -> Value {
        let found: Vec<&Entry> = entries.iter().filter(|entry| self.fits(entry)).collect();
        let page: Vec<Value> = found
            .iter()
            .skip(self.start)
            .take(self.page)
            .map(|entry| json!({ "cve": entry.body }))
            .collect();
        json!({
            "resultsPerPage": page.len(), "startIndex": self.start, "totalResults": found.len(),
            "format": "NVD_CVE", "version": "2.0",
            "timestamp": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.000").to_string(),
            "vulnerabilities": page,
        })
    }

    fn fits(&self, entry: &Entry) -> bool {
        let within = |range: &Option<Range>, at: Option<Timestamp>| {
            range.is_none_or(|(from, to)| at.is_some_and(|at| (from..=to).contains(&at)))
        };
        let title = || {
            entry.body["descriptions"][0]["value"]
                .as_str()
                .unwrap_or_default()
                .to_lowercase()
        };
        self.cve.as_ref().is_none_or(|cve| *cve == entry.id)
            && within(&self.modified, Some(entry.last_modified))
            && within(&self.published, Some(entry.published))
            && within(&self.kev, entry.kev_added)
            && self
                .keyword
                .as_ref()
                .is_none_or(|words| words.split(' ').all(|w| title().contains(w)))
            && self
                .severity
                .as_deref()
                .is_none_or(|severity| entry.severity == Some(severity))
            && (!self.has_kev || entry.kev_added.is_some())
            && (!self.no_rejected || !entry.rejected)
    }
}

/// Both ends or none, in order, at most 120 days apart.
fn range<'a>(kind: &str, named: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Range>, String> {
    let (start, end) = (format!("{kind}StartDate"), format!("{kind}EndDate"));
    let (from, to) = match (named(&start), named(&end)) {
        (None, None) => return Ok(None),
        (Some(from), Some(to)) => (from, to),
        _ => return Err(format!("Both {start} and {end} are required.")),
    };
    let from = time(from).ok_or_else(|| format!("Invalid {start} parameter."))?;
    let to = time(to).ok_or_else(|| format!("Invalid {end} parameter."))?;
    let seconds = to.as_second() - from.as_second();
    if !(0..=MAX_RANGE_DAYS * 86_400).contains(&seconds) {
        return Err(format!(
            "The range of {start} and {end} may not exceed {MAX_RANGE_DAYS} days."
        ));
    }
    Ok(Some((from, to)))
}

/// ISO 8601, with an offset or without one (then UTC).
fn time(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(local).ok()
    })
}
