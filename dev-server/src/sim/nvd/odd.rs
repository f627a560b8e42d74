//! Invented entries: one of each kind that breaks naive readers.

use serde_json::json;

use super::entries::{Entry, entry};

pub(super) fn all() -> anyhow::Result<Vec<Entry>> {
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
    let mut mixed = entry(
        "CVE-2099-10005",
        "Invented: every version of CVSS, broken and whole",
        "2026-05-05",
        "Analyzed",
    )?;
    mixed.body["metrics"] = json!({
        "cvssMetricV40": [{ "source": "cna@vendor.example", "type": "Secondary",
            "cvssData": { "version": "4.0", "vectorString": "CVSS:4.0/AV:N", "baseScore": "9.3" } }],
        "cvssMetricV31": [{ "source": "cna@vendor.example", "type": "Secondary",
            "cvssData": { "version": "3.1", "baseScore": "9.8" } }],
        "cvssMetricV30": [{ "source": "cna@vendor.example", "type": "Secondary",
            "cvssData": { "version": "3.0", "vectorString": "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
                "baseScore": "9.8", "baseSeverity": "CRITICAL" } }],
        "cvssMetricV2": [{ "source": "nvd@nist.gov", "type": "Primary", "baseSeverity": "HIGH",
            "cvssData": { "version": "2.0", "vectorString": "AV:N/AC:L/Au:N/C:P/I:P/A:P", "baseScore": 7.5 } }],
    });
    let mut misnamed = entry(
        "CVE-2099-10006",
        "Invented: software that has no proper name",
        "2026-05-06",
        "Analyzed",
    )?;
    misnamed.body["configurations"] = json!([{ "nodes": [{ "operator": "OR", "negate": false, "cpeMatch": [
        { "vulnerable": true, "criteria": "cpe:/a:example:agent:1.0",
            "matchCriteriaId": "00000000-0000-4000-8000-000000000003" }] }] }]);
    let mut old = entry(
        "CVE-2099-10007",
        "Invented: scored by CVSS 2 alone",
        "2026-05-07",
        "Modified",
    )?;
    old.body["metrics"] = json!({ "cvssMetricV2": [{
        "source": "nvd@nist.gov", "type": "Primary", "baseSeverity": "HIGH", "acInsufInfo": false,
        "cvssData": { "version": "2.0", "vectorString": "AV:N/AC:L/Au:N/C:P/I:P/A:P", "baseScore": 7.5 },
    }] });
    Ok(vec![
        unscored, deferred, rejected, context, mixed, misnamed, old,
    ])
}
