//! How long a draft over 10,000 devices takes that miss ten updates each, of 80 vulnerabilities each:
//! eight million pairs of vulnerability and device.

use std::{collections::BTreeSet, hint::black_box};

use autoops_domain::{
    campaign::{CampaignRules, Facts, PatchList, draft},
    device::{Device, Platform},
    ids::{CveId, KbId},
    patch::{PatchFacts, Severity},
    vulnerability::{
        cvrf::Update,
        record::{Said, Source, VulnerabilityRecord},
    },
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;

const DEVICES: u32 = 10_000;
const UPDATES: u32 = 40;
/// Updates that each device misses.
const MISSING: u32 = 10;
/// Vulnerabilities that each update closes.
const CLOSED: u32 = 80;

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap_or_default()
}

fn kb(number: u32) -> Option<KbId> {
    (5_000_000 + number).to_string().parse().ok()
}

fn cve(number: u32) -> Option<CveId> {
    format!("CVE-2026-{:05}", 10_000 + number).parse().ok()
}

fn vulnerability(number: u32) -> Option<VulnerabilityRecord> {
    let mut record = VulnerabilityRecord::new(cve(number)?);
    let vector = if number.is_multiple_of(3) {
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
    } else {
        "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H"
    };
    record.vector.say(Said {
        value: vector.to_owned(),
        source: Source::Cna,
        at: now(),
        because: None,
    });
    Some(record)
}

fn update(number: u32) -> Option<Update> {
    let closed = (0..CLOSED).filter_map(|at| cve(number * CLOSED + at));
    Some(Update {
        kb: kb(number)?,
        cves: closed.collect(),
        supersedes: BTreeSet::new(),
        restart: Some(true),
        published: None,
    })
}

fn patch(number: u32) -> Option<PatchFacts> {
    Some(PatchFacts {
        kb: kb(number)?,
        title: format!("update {number}"),
        severity: Severity::Important,
        category: "Security Updates".to_owned(),
        published: None,
        restart_required: Some(true),
        cves: Vec::new(),
    })
}

fn device(number: u32) -> Option<Device> {
    let mut tags = BTreeSet::new();
    if number.is_multiple_of(10) {
        tags.insert("exposure:exposed".to_owned());
    }
    let id = format!("{number:08}").parse().ok()?;
    let client = "7".parse().ok()?;
    let platform = Platform::WindowsWorkstation;
    Some(Device::new(id, client, platform, tags, now()))
}

fn facts() -> Facts {
    let devices: Vec<Device> = (0..DEVICES).filter_map(device).collect();
    let lists = devices.iter().zip(0..).map(|(device, at): (_, u32)| {
        // Four kinds of devices.
        let first = at % 4 * MISSING;
        let list = PatchList {
            device: device.id.clone(),
            client: device.client.clone(),
            read_at: now(),
            missing: (first..first + MISSING).filter_map(patch).collect(),
            installed: BTreeSet::new(),
        };
        (device.id.clone(), list)
    });
    let updates = (0..UPDATES).filter_map(update);
    let vulnerabilities = (0..UPDATES * CLOSED).filter_map(vulnerability);
    Facts {
        lists: lists.collect(),
        updates: updates.map(|update| (update.kb.clone(), update)).collect(),
        vulnerabilities: vulnerabilities
            .map(|record| (record.id.clone(), record))
            .collect(),
        devices,
        ..Facts::default()
    }
}

fn drafting(c: &mut Criterion) {
    let (facts, rules) = (facts(), CampaignRules::default());
    let mut group = c.benchmark_group("campaign");
    group.sample_size(10);
    group.throughput(Throughput::Elements(u64::from(DEVICES * MISSING * CLOSED)));
    group.bench_function("draft", |b| {
        b.iter(|| draft(black_box(&facts), &rules, now()));
    });
    group.finish();
}

criterion_group!(benches, drafting);
criterion_main!(benches);
