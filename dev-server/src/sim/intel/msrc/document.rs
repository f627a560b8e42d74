//! The document of one month.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::table::{Family, Fix, Row, SERVER_2022, WINDOWS_10, WINDOWS_11};
use crate::sim::superops::catalog;

/// Listed so soon after the update, it was exploited before.
const EXPLOITED_WITHIN_DAYS: i32 = 7;
/// Programs have numbers of their own behind those of the systems.
const FIRST_PROGRAM: usize = 90_001;

pub(super) fn of(id: &str, title: &str, day: &str, month: usize, rows: &[Row]) -> Value {
    let rows: Vec<(&Row, &Fix)> = rows
        .iter()
        .filter_map(|row| Some((row, row.fix.as_ref()?)))
        .filter(|(_, fix)| fix.month == month)
        .collect();
    let mut products: BTreeMap<&str, String> = [&WINDOWS_10, &WINDOWS_11, &SERVER_2022]
        .map(|system| (system.name, system.product_id.to_owned()))
        .into();
    for (row, _) in rows.iter().filter(|(_, fix)| fix.families == [Family::App]) {
        let number = FIRST_PROGRAM + products.len();
        let product = products.entry(row.product);
        product.or_insert_with(|| number.to_string());
    }
    let names: Vec<Value> = products
        .iter()
        .map(|(name, number)| json!({ "ProductID": number, "Value": name }))
        .collect();
    let mut vulnerabilities: Vec<Value> = rows
        .iter()
        .map(|(row, fix)| vulnerability(row, fix, &products, day))
        .collect();
    if id == "2024-Feb" {
        vulnerabilities.extend(odd());
    }
    json!({
        "DocumentTitle": { "Value": title }, "DocumentType": { "Value": "Security Update" },
        "DocumentPublisher": { "ContactDetails": { "Value": "secure@microsoft.com" },
            "IssuingAuthority": { "Value": "The Microsoft Security Response Center" }, "Type": 0 },
        "DocumentTracking": { "Identification": { "ID": { "Value": id }, "Alias": { "Value": id } }, "Status": 2,
            "Version": "1.0", "InitialReleaseDate": day, "CurrentReleaseDate": day },
        "ProductTree": { "Branch": [], "FullProductName": names },
        "Vulnerability": vulnerabilities,
    })
}

fn vulnerability(row: &Row, fix: &Fix, products: &BTreeMap<&str, String>, day: &str) -> Value {
    let mut remediations = Vec::new();
    let mut ids = Vec::new();
    for family in &fix.families {
        let (id, wire) = match family.system() {
            Some(system) => {
                let replaced = fix.month.checked_sub(1).map(|old| system.updates[old]);
                let kb = system.updates[fix.month];
                let mut wire = update(kb, replaced, "Yes", system.product_id);
                wire["FixedBuild"] = system.version(fix.month).into();
                (system.product_id.to_owned(), vec![wire])
            }
            None if *family == Family::Recovery => {
                ids.push(SERVER_2022.product_id.to_owned());
                let wire = vec![
                    update(catalog::RECOVERY, None, "No", WINDOWS_10.product_id),
                    update(catalog::RECOVERY_SERVER, None, "No", SERVER_2022.product_id),
                ];
                (WINDOWS_10.product_id.to_owned(), wire)
            }
            // As for Microsoft 365 Apps: same type, no number.
            None => {
                let id = products.get(row.product).cloned().unwrap_or_default();
                let wire = json!({ "Description": { "Value": "Click to Run" }, "ProductID": [id], "Type": 2,
                    "URL": "https://aka.ms/OfficeSecurityReleases", "SubType": "Security Update",
                    "RestartRequired": { "Value": "No" }, "DateSpecified": false });
                (id, vec![wire])
            }
        };
        ids.push(id);
        remediations.extend(wire);
    }
    let listed = row.listed.map(|listed| listed.added - row.published);
    let exploited = listed.is_some_and(|after| after.get_days() <= EXPLOITED_WITHIN_DAYS);
    let threats = [
        (0, impact(row.title).to_owned()),
        (3, rating(row.score_tenths).to_owned()),
        (1, exploit_status(exploited)),
    ];
    let threats: Vec<Value> = threats
        .iter()
        .map(|(kind, text)| {
            json!({ "Description": { "Value": text }, "ProductID": ids, "Type": kind, "DateSpecified": false })
        })
        .collect();
    let cwe = row.cwe.map(|cwe| json!([{ "ID": cwe, "Value": cwe }]));
    json!({
        "Title": { "Value": row.title }, "CVE": row.id, "Ordinal": "1",
        "Notes": [{ "Title": "Windows", "Type": 7, "Ordinal": "20", "Value": row.product }],
        "DiscoveryDateSpecified": false, "ReleaseDateSpecified": false, "CWE": cwe,
        "ProductStatuses": [{ "ProductID": ids, "Type": 3 }], "Threats": threats,
        "CVSSScoreSets": [{ "BaseScore": f64::from(row.score_tenths) / 10.0,
            "TemporalScore": f64::from(row.score_tenths) / 10.0, "Vector": row.vector, "ProductID": ids }],
        "Remediations": remediations, "Acknowledgments": [],
        "RevisionHistory": [{ "Number": "1.0", "Date": day, "Description": { "Value": "Information published." } }],
    })
}

fn update(kb: &str, replaced: Option<&str>, restart: &str, product: &str) -> Value {
    json!({
        "Description": { "Value": kb }, "Supercedence": replaced.unwrap_or_default(), "ProductID": [product], "Type": 2,
        "URL": format!("https://catalog.update.microsoft.com/v7/site/Search.aspx?q=KB{kb}"),
        "RestartRequired": { "Value": restart }, "SubType": "Security Update", "DateSpecified": false,
    })
}

fn impact(title: &str) -> &'static str {
    [
        "Remote Code Execution",
        "Elevation of Privilege",
        "Security Feature Bypass",
        "Information Disclosure",
        "Denial of Service",
        "Spoofing",
    ]
    .into_iter()
    .find(|impact| title.contains(impact))
    .unwrap_or("Tampering")
}

fn rating(tenths: u8) -> &'static str {
    if tenths >= 90 {
        "Critical"
    } else {
        "Important"
    }
}

fn exploit_status(exploited: bool) -> String {
    let (exploited, release) = if exploited {
        ("Yes", "Exploitation Detected")
    } else {
        ("No", "Exploitation Less Likely")
    };
    format!("Publicly Disclosed:No;Exploited:{exploited};Latest Software Release:{release}")
}

/// Invented: what breaks naive readers.
fn odd() -> [Value; 2] {
    let product = [WINDOWS_10.product_id];
    let wordy = json!({ "Description": { "Value": "Release Notes" }, "Type": 2, "ProductID": product, "URL": "" });
    [
        // An advisory.
        json!({ "Title": { "Value": "Invented advisory" }, "CVE": "ADV240099", "Threats": [], "Remediations": [wordy] }),
        // A score as text, a vector cut short, a set without one, a remediation that is a sentence.
        json!({ "Title": { "Value": "Invented: odd in every part" }, "CVE": "CVE-2099-10006", "Threats": [],
            "CVSSScoreSets": [{ "BaseScore": "7.5", "Vector": "CVSS:3.1/AV:N/AC:L", "ProductID": product },
                { "BaseScore": 5.5, "ProductID": product }],
            "Remediations": [wordy, { "Description": {}, "Type": 2 }, { "Type": "2" }] }),
    ]
}
