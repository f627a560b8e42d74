//! The entries: a table of real CVEs, and invented ones for each odd kind.

use anyhow::Context;
use domain::ids::CveId;
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use serde_json::{Value, json};

/// Real Microsoft CVEs.
const TABLE: &str = include_str!("cves.txt");
const VENDOR: &str = "secure@microsoft.com";

/// One entry, with what the filters look at.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: CveId,
    pub(super) published: Timestamp,
    pub(super) last_modified: Timestamp,
    pub(super) kev_added: Option<Timestamp>,
    pub(super) rejected: bool,
    /// CVSS 3.1 severity.
    pub(super) severity: Option<&'static str>,
    /// The `cve` object on the wire.
    pub(super) body: Value,
}

pub(super) fn all() -> anyhow::Result<Vec<Entry>> {
    let rows = TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut entries = rows
        .map(|line| real(line).with_context(|| format!("in `{line}`")))
        .collect::<anyhow::Result<Vec<Entry>>>()?;
    entries.extend(odd()?);
    Ok(entries)
}

fn real(line: &str) -> anyhow::Result<Entry> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [id, title, score, vector, published, kev_added, kev_due, v2] = cells[..] else {
        anyhow::bail!("a row has eight cells");
    };
    let tenths: u8 = score.parse()?;
    let mut metrics = json!({ "cvssMetricV31": [{
        "source": VENDOR, "type": "Primary",
        "cvssData": { "version": "3.1", "vectorString": format!("CVSS:3.1/{vector}"),
            "baseScore": f64::from(tenths) / 10.0, "baseSeverity": severity(tenths),
            "attackVector": attack_vector(vector) },
    }] });
    if let Some((score, vector)) = v2.split_once(' ') {
        metrics["cvssMetricV2"] = json!([{
            "source": "nvd@nist.gov", "type": "Primary", "acInsufInfo": false,
            "baseSeverity": if score.parse::<u8>()? >= 70 { "HIGH" } else { "MEDIUM" },
            "cvssData": { "version": "2.0", "vectorString": vector,
                "baseScore": f64::from(score.parse::<u8>()?) / 10.0 },
        }]);
    }
    let mut entry = entry(id, title, published, "Analyzed")?;
    entry.severity = Some(severity(tenths));
    entry.body["metrics"] = metrics;
    if !kev_added.is_empty() {
        entry.kev_added = Some(day(kev_added)?);
        entry.body["cisaExploitAdd"] = kev_added.into();
        entry.body["cisaActionDue"] = kev_due.into();
        entry.body["cisaRequiredAction"] =
            "Apply mitigations per vendor instructions or discontinue use of the product if mitigations are unavailable.".into();
        entry.body["cisaVulnerabilityName"] = format!("Microsoft {title}").into();
    }
    Ok(entry)
}

/// Invented: one of each kind that breaks naive readers.
fn odd() -> anyhow::Result<Vec<Entry>> {
    let unscored = entry(
        "CVE-2099-10001",
        "Invented: nobody scored it",
        "2026-05-01",
        "Awaiting Analysis",
    )?;
    let mut deferred = entry(
        "CVE-2099-10002",
        "Invented: only the vendor scored it",
        "2026-05-02",
        "Deferred",
    )?;
    deferred.body["metrics"] = json!({ "cvssMetricV40": [{
        "source": "cna@vendor.example", "type": "Secondary",
        "cvssData": { "version": "4.0",
            "vectorString": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
            "baseScore": 9.3, "baseSeverity": "CRITICAL" },
    }] });
    let mut rejected = entry(
        "CVE-2099-10003",
        "Rejected reason: invented, never was one",
        "2026-05-03",
        "Rejected",
    )?;
    rejected.rejected = true;
    let mut context = entry(
        "CVE-2099-10004",
        "Invented: on a platform only",
        "2026-05-04",
        "Analyzed",
    )?;
    context.body["configurations"] = json!([{ "operator": "AND", "negate": false, "nodes": [
        { "operator": "OR", "negate": false, "cpeMatch": [{ "vulnerable": true,
            "criteria": "cpe:2.3:a:example:agent:-:*:*:*:*:*:*:*",
            "matchCriteriaId": "00000000-0000-4000-8000-000000000001" }] },
        { "operator": "OR", "negate": false, "cpeMatch": [{ "vulnerable": false,
            "criteria": "cpe:2.3:o:microsoft:windows_10_22h2:-:*:*:*:*:*:*:*",
            "matchCriteriaId": "00000000-0000-4000-8000-000000000002" }] },
    ] }]);
    Ok(vec![unscored, deferred, rejected, context])
}

fn entry(id: &str, title: &str, published: &str, status: &str) -> anyhow::Result<Entry> {
    let id: CveId = id.parse()?;
    Ok(Entry {
        published: day(published)?,
        last_modified: day(published)?,
        kev_added: None,
        rejected: false,
        severity: None,
        body: json!({
            "id": id, "sourceIdentifier": VENDOR, "published": format!("{published}T00:00:00.000"),
            "lastModified": format!("{published}T00:00:00.000"), "vulnStatus": status, "cveTags": [],
            "descriptions": [{ "lang": "en", "value": title }], "metrics": {}, "references": [],
        }),
        id,
    })
}

fn day(text: &str) -> anyhow::Result<Timestamp> {
    let midnight: DateTime = text.parse::<Date>()?.into();
    Ok(TimeZone::UTC.to_timestamp(midnight)?)
}

fn severity(tenths: u8) -> &'static str {
    match tenths {
        0 => "NONE",
        1..40 => "LOW",
        40..70 => "MEDIUM",
        70..90 => "HIGH",
        _ => "CRITICAL",
    }
}

fn attack_vector(vector: &str) -> &'static str {
    match vector.get(..4) {
        Some("AV:N") => "NETWORK",
        Some("AV:A") => "ADJACENT_NETWORK",
        Some("AV:L") => "LOCAL",
        _ => "PHYSICAL",
    }
}
