//! The entries: the table all sources share, as NVD writes it.

use anyhow::Context;
use domain::ids::CveId;
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use serde_json::{Value, json};

use super::odd;
use crate::sim::intel::{
    cve_services::CISA_ADP,
    kev::{REQUIRED_ACTION, named},
    table::{self, Row, severity},
};

const MICROSOFT: &str = "secure@microsoft.com";
/// Parts of a vector of CVSS 3 that count for the base score, with the version in front.
const BASE_PARTS: usize = 9;

/// One entry, with what the filters look at.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: CveId,
    pub(super) published: Timestamp,
    pub(super) last_modified: Timestamp,
    pub(super) kev_added: Option<Timestamp>,
    pub(super) rejected: bool,
    /// CVSS 3 severity.
    pub(super) severity: Option<&'static str>,
    /// The `cve` object on the wire.
    pub(super) body: Value,
}

impl Entry {
    /// Makes it modified at a time.
    pub(super) fn touch(&mut self, at: Timestamp) {
        self.last_modified = at;
        self.body["lastModified"] = at.strftime("%Y-%m-%dT%H:%M:%S.%3f").to_string().into();
        if self.body["vulnStatus"] == "Analyzed" {
            self.body["vulnStatus"] = "Modified".into();
        }
    }
}

pub(super) fn all() -> anyhow::Result<Vec<Entry>> {
    let mut entries = table::rows()?
        .iter()
        .enumerate()
        .map(|(place, row)| real(place, row).with_context(|| row.id.to_string()))
        .collect::<anyhow::Result<Vec<Entry>>>()?;
    entries.extend(odd::all()?);
    Ok(entries)
}

fn real(place: usize, row: &Row) -> anyhow::Result<Entry> {
    let mut entry = entry(
        row.id.as_str(),
        row.title,
        &row.published.to_string(),
        "Analyzed",
    )?;
    if row.vendor != "Microsoft" {
        entry.body["sourceIdentifier"] = format!("cna@{}.example", word(row.vendor)).into();
    }
    let source = match row.by_analyst {
        true => CISA_ADP.into(),
        false => entry.body["sourceIdentifier"].clone(),
    };
    let newest = row.vector.starts_with("CVSS:4");
    let vector = match newest {
        true => row.vector.to_owned(),
        false => {
            let base: Vec<&str> = row.vector.split('/').take(BASE_PARTS).collect();
            base.join("/")
        }
    };
    let list = match row.vector.get(..8) {
        Some("CVSS:4.0") => "cvssMetricV40",
        Some("CVSS:3.0") => "cvssMetricV30",
        _ => "cvssMetricV31",
    };
    let severity = severity(row.score_tenths);
    entry.severity = (!newest).then_some(severity);
    entry.body["metrics"] = json!({ list: [{
        "source": source, "type": if newest || row.by_analyst { "Secondary" } else { "Primary" },
        "cvssData": { "version": row.vector.get(5..8), "vectorString": vector,
            "baseScore": f64::from(row.score_tenths) / 10.0, "baseSeverity": severity,
            "attackVector": attack_vector(row.vector) },
    }] });
    if let Some((tenths, vector)) = row.old_vector {
        entry.body["metrics"]["cvssMetricV2"] = json!([{
            "source": "nvd@nist.gov", "type": "Primary", "acInsufInfo": false,
            "baseSeverity": if tenths >= 70 { "HIGH" } else { "MEDIUM" },
            "cvssData": { "version": "2.0", "vectorString": vector, "baseScore": f64::from(tenths) / 10.0 },
        }]);
    }
    let weakness = row.cwe.unwrap_or("NVD-CWE-noinfo");
    entry.body["weaknesses"] = json!([{ "source": "nvd@nist.gov", "type": "Primary",
        "description": [{ "lang": "en", "value": weakness }] }]);
    if row.vendor == "Microsoft" {
        entry.body["references"] = json!([{ "source": MICROSOFT, "tags": ["Patch", "Vendor Advisory"],
            "url": format!("https://msrc.microsoft.com/update-guide/vulnerability/{}", row.id) }]);
    }
    let software = software(place, row);
    if !software.is_empty() {
        entry.body["configurations"] = json!([configuration(software, &row.context)]);
    }
    if let Some(listed) = row.listed {
        entry.kev_added = Some(day(listed.added)?);
        entry.body["cisaExploitAdd"] = listed.added.to_string().into();
        entry.body["cisaActionDue"] = listed.due.to_string().into();
        entry.body["cisaRequiredAction"] = REQUIRED_ACTION.into();
        entry.body["cisaVulnerabilityName"] = named(row.vendor, row.title).into();
    }
    Ok(entry)
}

/// Which versions: those before the update of the month, or before the one of the table.
fn software(place: usize, row: &Row) -> Vec<Value> {
    let fix = row.fix.iter();
    let systems = fix.flat_map(|fix| {
        let systems = fix.families.iter().filter_map(|family| family.system());
        systems.map(|system| {
            (
                format!("o:microsoft:{}", system.cpe),
                system.version(fix.month),
            )
        })
    });
    let systems = systems.map(|(name, end)| (name, "*", None, end));
    let programs = row.software.iter().map(|program| {
        let (name, end) = (program.name.to_owned(), program.end.to_owned());
        (name, program.edition, program.start, end)
    });
    systems
        .chain(programs)
        .enumerate()
        .map(|(at, (name, edition, start, end))| {
            let mut row = json!({ "vulnerable": true, "criteria": format!("cpe:2.3:{name}:*:*:*:*:{edition}:*:*:*"),
                "versionEndExcluding": end, "matchCriteriaId": format!("00000000-0000-4000-8{at:03}-{place:012}") });
            if let Some(start) = start {
                row["versionStartIncluding"] = start.into();
            }
            row
        })
        .collect()
}

/// In these programs; on these systems only, where some are named.
fn configuration(software: Vec<Value>, context: &[&str]) -> Value {
    let mut nodes = vec![json!({ "operator": "OR", "negate": false, "cpeMatch": software })];
    if context.is_empty() {
        return json!({ "nodes": nodes });
    }
    let systems = context.iter().map(|system| {
        json!({ "vulnerable": false, "criteria": format!("cpe:2.3:{system}:-:*:*:*:*:*:*:*"),
            "matchCriteriaId": format!("00000000-0000-4000-8999-{:012}", system.len()) })
    });
    nodes.push(
        json!({ "operator": "OR", "negate": false, "cpeMatch": systems.collect::<Vec<_>>() }),
    );
    json!({ "operator": "AND", "nodes": nodes })
}

fn word(vendor: &str) -> String {
    let first = vendor.split(' ').next().unwrap_or_default();
    first.to_lowercase()
}

pub(super) fn entry(id: &str, title: &str, published: &str, status: &str) -> anyhow::Result<Entry> {
    let id: CveId = id.parse()?;
    let at = day(published.parse()?)?;
    Ok(Entry {
        published: at,
        last_modified: at,
        kev_added: None,
        rejected: false,
        severity: None,
        body: json!({
            "id": id, "sourceIdentifier": MICROSOFT, "published": format!("{published}T00:00:00.000"),
            "lastModified": format!("{published}T00:00:00.000"), "vulnStatus": status, "cveTags": [],
            "descriptions": [{ "lang": "en", "value": title }], "metrics": {}, "references": [],
        }),
        id,
    })
}

fn day(day: Date) -> anyhow::Result<Timestamp> {
    let midnight: DateTime = day.into();
    Ok(TimeZone::UTC.to_timestamp(midnight)?)
}

fn attack_vector(vector: &str) -> &'static str {
    match vector.get(9..13) {
        Some("AV:N") => "NETWORK",
        Some("AV:A") => "ADJACENT_NETWORK",
        Some("AV:L") => "LOCAL",
        _ => "PHYSICAL",
    }
}
