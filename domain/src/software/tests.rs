use std::collections::BTreeSet;

use jiff::civil::date;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    device::{Device, Platform},
    vulnerability::{deadline::Deadline, kev::Histories, nvd_json, record::VulnerabilityRecord},
};

fn now() -> Timestamp {
    "2024-06-01T00:00:00Z".parse().unwrap()
}

/// A record as NVD writes it.
fn record(id: &str, kev: bool, nodes: serde_json::Value) -> VulnerabilityRecord {
    let mut cve = json!({ "id": id, "published": "2024-04-01T00:00:00.000",
        "metrics": { "cvssMetricV31": [{ "type": "Primary",
            "cvssData": { "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H" } }] },
        "configurations": [nodes] });
    if kev {
        cve["cisaExploitAdd"] = json!("2024-05-16");
    }
    let page = json!({ "totalResults": 1, "startIndex": 0, "vulnerabilities": [{ "cve": cve }] });
    let mut page = nvd_json::read(page.to_string().as_bytes(), now()).unwrap();
    assert_eq!(page.flaws, Vec::<String>::new());
    page.records.remove(0)
}

fn below(name: &str, end: &str) -> serde_json::Value {
    let criteria = format!("cpe:2.3:a:{name}:*:*:*:*:*:*:*:*");
    json!({ "nodes": [{ "operator": "OR", "cpeMatch": [
        { "vulnerable": true, "criteria": criteria, "versionEndExcluding": end }] }] })
}

fn device(id: &str, platform: Platform, tags: &[&str]) -> Device {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    Device::new(
        id.parse().unwrap(),
        "7".parse().unwrap(),
        platform,
        tags,
        now(),
    )
}

fn list(device: &Device, programs: &[(&str, &str)]) -> SoftwareList {
    let program = |(name, version): &(&str, &str)| Program {
        name: (*name).to_owned(),
        version: Some((*version).to_owned()).filter(|version| !version.is_empty()),
    };
    SoftwareList {
        device: device.id.clone(),
        client: device.client.clone(),
        read_at: now(),
        programs: programs.iter().map(program).collect(),
        flaws: 0,
        beyond: 0,
    }
}

fn matcher(records: Vec<VulnerabilityRecord>) -> Matcher {
    let mut matcher = Matcher::new(Catalogue::built_in(), Histories::default(), now());
    records.into_iter().for_each(|record| matcher.add(record));
    matcher
}

/// What a program on a Windows workstation has: the certain ones, then the open ones.
fn found(
    records: Vec<VulnerabilityRecord>,
    name: &str,
    version: &str,
) -> (Vec<String>, Vec<String>) {
    let device = device("81", Platform::WindowsWorkstation, &[]);
    let list = list(&device, &[(name, version)]);
    let mut matcher = matcher(records);
    matcher.judge(Family::Windows, &list);
    let cves = |certain| {
        let all = matcher.findings(&device, &list);
        let all = all.filter(|finding| finding.verdict.is_certain == certain);
        all.map(|finding| finding.cve.to_string()).collect()
    };
    (cves(true), cves(false))
}

const CVE: &str = "CVE-2024-4761";

fn yes() -> (Vec<String>, Vec<String>) {
    (vec![CVE.to_owned()], vec![])
}

fn open() -> (Vec<String>, Vec<String>) {
    (vec![], vec![CVE.to_owned()])
}

fn no() -> (Vec<String>, Vec<String>) {
    (vec![], vec![])
}

#[test]
fn a_program_has_what_is_said_of_its_versions_and_open_ones_stand_apart() {
    let chrome = |end: &str| vec![record(CVE, true, below("google:chrome", end))];
    let name = "Google Chrome";
    assert_eq!(
        found(chrome("124.0.6367.207"), name, "124.0.6367.201"),
        yes()
    );
    assert_eq!(
        found(chrome("124.0.6367.207"), name, "124.0.6367.207"),
        no()
    );
    assert_eq!(found(chrome("124.0.6367.207"), name, ""), open());
    assert_eq!(found(chrome("124.0.6367.207"), name, "newest"), open());
    assert_eq!(found(chrome("some day"), name, "1.0"), open());
    assert_eq!(found(chrome("124"), "Larkfield Ledger", "1"), no());
    let zoom = || vec![record(CVE, false, below("zoom:zoom", "5.17.5"))];
    assert_eq!(found(zoom(), "Zoom (64-bit)", "5.17.29101"), open());
    assert_eq!(found(zoom(), "Zoom (64-bit)", "5.16.26186"), yes());
    assert_eq!(found(zoom(), "Zoom (64-bit)", "5.17.7"), no());
    let office = record(
        CVE,
        false,
        json!({ "nodes": [{ "cpeMatch": [{ "vulnerable": true,
            "criteria": "cpe:2.3:a:microsoft:365_apps:-:*:*:*:enterprise:*:*:*" }] }] }),
    );
    assert_eq!(
        found(
            vec![office],
            "Microsoft 365 Apps for business - en-us",
            "16.0.1.2"
        ),
        open()
    );
}

#[test]
fn a_build_behind_the_last_version_that_is_meant_is_open() {
    let upto = |end: &str| {
        vec![record(
            CVE,
            false,
            json!({ "nodes": [{ "cpeMatch": [{ "vulnerable": true,
                "criteria": "cpe:2.3:a:wireshark:wireshark:*:*:*:*:*:*:*:*", "versionEndIncluding": end }] }] }),
        )]
    };
    assert_eq!(
        found(upto("4.2.3"), "Wireshark 4.2.3 x64", "4.2.3.117"),
        open()
    );
    assert_eq!(found(upto("4.2.3"), "Wireshark 4.2.3 x64", "4.2.3"), yes());
    assert_eq!(found(upto("4.2.3"), "Wireshark 4.2.3 x64", "4.2.31"), no());
    assert_eq!(found(upto("4.2"), "Wireshark 4.2.3 x64", "4.2.3"), no());
}

#[test]
fn context_targets_and_editions_decide_where_they_can() {
    let with = |product: &str, context: &str| {
        vec![record(
            CVE,
            false,
            json!({ "operator": "AND", "nodes": [
            { "operator": "OR", "cpeMatch": [{ "vulnerable": true, "criteria": product, "versionEndExcluding": "30" }] },
            { "operator": "OR", "cpeMatch": [{ "vulnerable": false, "criteria": context }] }] }),
        )]
    };
    let acrobat = "cpe:2.3:a:adobe:acrobat_reader_dc:*:*:*:*:continuous:*:*:*";
    let name = "Adobe Acrobat (64-bit)";
    for (context, expected) in [
        ("cpe:2.3:o:microsoft:windows:-:*:*:*:*:*:*:*", yes()),
        ("cpe:2.3:o:apple:macos:-:*:*:*:*:*:*:*", no()),
        (
            "cpe:2.3:o:microsoft:windows_11_23h2:-:*:*:*:*:*:*:*",
            open(),
        ),
        ("cpe:2.3:h:lenovo:thinkpad:-:*:*:*:*:*:*:*", open()),
    ] {
        let records = with(acrobat, context);
        assert_eq!(found(records, name, "24.002.20736"), expected, "{context}");
    }
    let windows = "cpe:2.3:o:microsoft:windows:-:*:*:*:*:*:*:*";
    for (product, expected) in [
        (
            "cpe:2.3:a:adobe:acrobat_reader_dc:*:*:*:*:classic:*:*:*",
            no(),
        ),
        (
            "cpe:2.3:a:adobe:acrobat_dc:*:*:*:*:continuous:windows:*:*",
            yes(),
        ),
        (
            "cpe:2.3:a:adobe:acrobat_dc:*:*:*:*:continuous:android:*:*",
            no(),
        ),
        (
            "cpe:2.3:a:adobe:acrobat_dc:*:*:*:*:continuous:*:arm64:*",
            open(),
        ),
    ] {
        let records = with(product, windows);
        assert_eq!(found(records, name, "24.002.20736"), expected, "{product}");
    }
}

#[test]
fn a_summary_names_what_is_exploited_first_and_counts_what_nobody_knows() {
    let records = vec![
        record("CVE-2024-0001", false, below("7-zip:7-zip", "24.07")),
        record(
            "CVE-2024-0002",
            true,
            below("google:chrome", "124.0.6367.207"),
        ),
        record(
            "CVE-2024-0003",
            false,
            below("google:chrome", "125.0.6422.60"),
        ),
        record(
            "CVE-2024-0004",
            false,
            json!({ "nodes": [{ "cpeMatch": [{ "vulnerable": true,
                "criteria": "cpe:2.3:a:google:chrome:*:*:*:*:*:*:*:*", "versionEndIncluding": "124.0" }] }] }),
        ),
    ];
    let mut matcher = matcher(records);
    let mut tally = Tally::default();
    for (id, tags) in [("81", &["exposure:exposed"][..]), ("82", &[])] {
        let device = device(id, Platform::WindowsWorkstation, tags);
        let mut list = list(
            &device,
            &[
                ("7-Zip 23.01 (x64)", "23.01"),
                ("Google Chrome", "123.0.6312.86"),
                ("Larkfield Ledger", "4"),
                ("Zoom (64-bit)", "?"),
            ],
        );
        list.flaws = 2;
        let products = matcher.products(Family::Windows, &list);
        assert_eq!(products.len(), if id == "81" { 4 } else { 0 });
        tally.add(&mut matcher, &device, &list);
    }
    tally.unread();
    let summary = tally.finish(&matcher);
    assert_eq!((summary.devices, summary.unread), (2, 1));
    assert_eq!((summary.programs, summary.unmatched), (8, 2));
    assert_eq!((summary.incomparable, summary.flaws), (2, 4));
    assert_eq!((summary.findings, summary.uncertain_findings), (8, 0));
    let names: Vec<_> = summary
        .products
        .iter()
        .map(|one| one.product.to_string())
        .collect();
    assert_eq!(names, ["google:chrome", "7-zip:7-zip"]);
    let chrome = &summary.products[0];
    assert_eq!((chrome.devices, chrome.vulnerabilities), (2, 3));
    assert_eq!(chrome.cves[0].as_str(), "CVE-2024-0002");
    assert_eq!(chrome.fixed_in.as_deref(), Some("125.0.6422.60"));
    assert_eq!(chrome.without_fix, 1);
    assert!(chrome.in_kev && chrome.band >= Deadline::Days14);
    // The one that is not exploited is older, and so due earlier than the other one.
    assert_eq!(
        (chrome.due, chrome.overdue),
        (Some(date(2024, 4, 15)), true)
    );
    assert_eq!(chrome.versions, ["123.0.6312.86"]);
    assert!(chrome.why.contains("google:chrome") && chrome.why.contains("< 124.0.6367.207"));
    assert_eq!(
        summary.unmatched_names,
        [NameCount {
            name: "Larkfield Ledger".into(),
            devices: 2
        }]
    );
    let text = serde_json::to_string(&summary).unwrap();
    assert_eq!(
        serde_json::from_str::<SoftwareSummary>(&text).unwrap(),
        summary
    );
}

#[test]
fn a_summary_stays_small_whatever_there_is() {
    let device = device("81", Platform::WindowsWorkstation, &[]);
    let names: Vec<String> = (0..3000)
        .map(|n| format!("{n} {}", "x".repeat(400)))
        .collect();
    let programs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let mut all = list(&device, &programs);
    all.bound();
    assert_eq!((all.programs.len(), all.beyond), (MOST_PROGRAMS, 1000));
    let mut matcher = matcher(vec![]);
    let mut tally = Tally::default();
    tally.add(&mut matcher, &device, &all);
    let summary = tally.finish(&matcher);
    assert_eq!(summary.unmatched, 2000);
    assert_eq!(
        summary.unmatched_names.len() as u64 + summary.more_names,
        2000
    );
    assert!(serde_json::to_string(&summary).unwrap().len() < 8000);
}

proptest! {
    #[test]
    fn a_list_is_the_same_however_its_pages_are_cut(
        names in proptest::collection::vec("[a-c]{1,2}", 0..20), cut in 0usize..20,
    ) {
        let device = device("81", Platform::Mac, &[]);
        let programs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        let (first, second) = programs.split_at(cut.min(programs.len()));
        let mut pages = list(&device, first);
        pages.extend(list(&device, second));
        let distinct: BTreeSet<_> = names.iter().cloned().collect();
        let found: Vec<_> = pages.programs.iter().map(|program| program.name.clone()).collect();
        prop_assert_eq!(found, distinct.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(pages.beyond, 0);
    }
}
