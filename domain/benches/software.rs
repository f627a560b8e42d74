//! How long it takes to meet programs with records: 1,000 versions of a program with 1,000 records each
//! for the first time, and 10,000 devices of 100 programs each whose versions were met before.

use std::hint::black_box;

use autoops_domain::{
    device::{Device, Platform},
    software::{Catalogue, Family, Matcher, Program, SoftwareList, Tally},
    vulnerability::{
        cpe::{Attribute, Configuration, Criteria, Node, Product},
        kev::Histories,
        record::{Said, Source, VulnerabilityRecord},
    },
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;

const VERSIONS: u32 = 1000;
const RECORDS: u32 = 1000;
const DEVICES: u32 = 10_000;
const PROGRAMS: u32 = 100;
/// Different lists among the devices.
const KINDS: u32 = 50;

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap_or_default()
}

fn record(number: u32) -> Option<VulnerabilityRecord> {
    let id = format!("CVE-2026-{:05}", 10_000 + number).parse().ok()?;
    let mut record = VulnerabilityRecord::new(id);
    let product = Product {
        vendor: "google".to_owned(),
        product: "chrome".to_owned(),
    };
    let criteria = Criteria {
        name: product.installed(Attribute::Any, Attribute::Any),
        vulnerable: true,
        start_including: Some("40.0".to_owned()),
        start_excluding: None,
        end_including: None,
        end_excluding: Some(format!("{}.0.{}.7", 50 + number / 10, number)),
    };
    let node = Node {
        criteria: vec![criteria],
        ..Node::default()
    };
    record.software.say(Said {
        value: vec![Configuration {
            nodes: vec![node],
            ..Configuration::default()
        }],
        source: Source::Nvd,
        at: now(),
        because: None,
    });
    Some(record)
}

fn matcher() -> Matcher {
    let mut matcher = Matcher::new(Catalogue::built_in(), Histories::default(), now());
    let records = (0..RECORDS).filter_map(record);
    records.for_each(|record| matcher.add(record));
    matcher
}

fn device(number: u32) -> Option<Device> {
    let id = format!("{number:08}").parse().ok()?;
    let client = "7".parse().ok()?;
    let platform = Platform::WindowsWorkstation;
    Some(Device::new(id, client, platform, [].into(), now()))
}

fn list(device: &Device, programs: Vec<Program>) -> SoftwareList {
    SoftwareList {
        device: device.id.clone(),
        client: device.client.clone(),
        read_at: now(),
        programs,
        flaws: 0,
        beyond: 0,
    }
}

fn chrome(version: u32) -> Program {
    Program {
        name: "Google Chrome".to_owned(),
        version: Some(format!("{}.0.{version}.0", 50 + version / 10)),
    }
}

/// A hundred programs: one of them Chrome in one of the newest versions, the others of nobody we know.
fn programs(kind: u32) -> Vec<Program> {
    let others = (1..PROGRAMS).map(|number| Program {
        name: format!("Program {number} of a vendor"),
        version: Some(format!("{kind}.{number}")),
    });
    let newest = VERSIONS - 1 - kind % 10;
    others.chain([chrome(newest)]).collect()
}

fn meeting(c: &mut Criterion) {
    let Some(one) = device(1) else { return };
    let mut group = c.benchmark_group("software");
    group.sample_size(10);
    let versions = list(&one, (0..VERSIONS).map(chrome).collect());
    group.throughput(Throughput::Elements(u64::from(VERSIONS * RECORDS)));
    group.bench_function("new versions", |b| {
        b.iter_batched(
            matcher,
            |mut matcher| {
                matcher.judge(Family::Windows, black_box(&versions));
                matcher
            },
            BatchSize::PerIteration,
        );
    });
    let devices: Vec<Device> = (0..DEVICES).filter_map(device).collect();
    let lists: Vec<SoftwareList> = devices
        .iter()
        .zip(0..)
        .map(|(device, number): (_, u32)| list(device, programs(number % KINDS)))
        .collect();
    let mut known = matcher();
    for list in lists.iter().take(KINDS as usize) {
        known.judge(Family::Windows, list);
    }
    group.throughput(Throughput::Elements(u64::from(DEVICES * PROGRAMS)));
    group.bench_function("known versions of a fleet", |b| {
        b.iter(|| {
            let mut tally = Tally::default();
            for (device, list) in devices.iter().zip(&lists) {
                tally.add(&mut known, device, black_box(list));
            }
            tally.finish(&known)
        });
    });
    group.finish();
}

criterion_group!(benches, meeting);
criterion_main!(benches);
