//! Speed of the analysis on one core: fingerprints, incidents, root causes.

use std::hint::black_box;

use autoops_domain::{
    cause::{Anomaly, Graph, Measure, Metrics, Node, by_alerts, by_metrics},
    fingerprint::Miner,
    incident::{Alert, Correlator, ROUTINE_PER_DAY},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const MESSAGES: u32 = 100_000;

fn messages() -> Vec<String> {
    let message = |n: u32| match n % 5 {
        0 => format!(
            "Accepted connection from 10.0.{}.{}:{} for user svc{n}",
            n % 256,
            n % 199,
            1024 + n % 9000
        ),
        1 => format!(
            "Block blk_{n} stored as bytes in memory (estimated size {} KB, free {} MB)",
            n % 77,
            n % 300
        ),
        2 => format!("session opened for user u{} by (uid={})", n % 50, n % 9),
        3 => format!("Disk D: on SRV{:04} is {}% full", n % 4000, n % 100),
        _ => format!(
            "service spooler entered state {} after {} ms",
            ["running", "stopped"][n as usize % 2],
            n
        ),
    };
    (0..MESSAGES).map(message).collect()
}

fn fingerprints(criterion: &mut Criterion) {
    let messages = messages();
    let mut group = criterion.benchmark_group("fingerprints");
    group
        .throughput(Throughput::Elements(u64::from(MESSAGES)))
        .sample_size(10);
    group.bench_function("messages", |bencher| {
        bencher.iter(|| {
            let mut miner = Miner::new();
            for message in &messages {
                black_box(miner.observe(message.as_bytes()));
            }
            miner.templates().len()
        });
    });
    group.finish();
}

fn incidents(criterion: &mut Criterion) {
    let titles = [
        "login succeeded",
        "IDS event",
        "disk is nearly full",
        "service stopped",
        "Web server 400 error code",
    ];
    let devices: Vec<String> = (0..200).map(|n| format!("SRV{n:03}")).collect();
    let mut group = criterion.benchmark_group("incidents");
    group
        .throughput(Throughput::Elements(u64::from(MESSAGES)))
        .sample_size(10);
    group.bench_function("alerts", |bencher| {
        bencher.iter(|| {
            let mut correlator = Correlator::new();
            for n in 0..MESSAGES as usize {
                correlator.observe(&Alert {
                    at_ms: n as i64 * 900,
                    title: titles[n * 7 % titles.len()],
                    device: &devices[n * 13 % devices.len()],
                    address: "10.0.0.1",
                    lasting: false,
                    routine_from: Some(ROUTINE_PER_DAY),
                });
                black_box(correlator.take_finished());
            }
            correlator.finish().len()
        });
    });
    group.finish();
}

fn causes(criterion: &mut Criterion) {
    const NODES: u32 = 1_000;
    let calls = (1..NODES).flat_map(|n| {
        [
            (Node(n / 3), Node(n)),
            (Node(n / 5), Node(n)),
            (Node(n * 7 % n.max(2)), Node(n)),
        ]
    });
    let graph = Graph::new(NODES as usize, calls).expect("a graph");
    let samples = |scale: f64| {
        (0..NODES).map(move |n| {
            (0..288_u32)
                .map(move |s| Some(scale * f64::from(1 + n * 7 % 13 + s / 200 * (n % 5))))
                .collect()
        })
    };
    let metrics = Metrics {
        measure: Measure::Latency,
        times: (0..288_u32).map(|s| f64::from(s * 300)).collect(),
        values: samples(0.01).collect(),
        requests: samples(50.0).collect(),
    };
    let alerts: Vec<Anomaly> = (0..NODES)
        .map(|n| Anomaly {
            node: Node(n),
            at: i64::from(n),
            points: 500,
            evidence: n.to_string(),
            what: "agent went silent".to_owned(),
        })
        .collect();
    criterion.bench_function("cause of 1000 nodes by a day of metrics", |bencher| {
        bencher.iter(|| by_metrics(&graph, black_box(&metrics), Node(0), 200 * 300, &[]));
    });
    criterion.bench_function("cause of 1000 nodes by 1000 alerts", |bencher| {
        bencher.iter(|| by_alerts(&graph, black_box(&alerts), &[]));
    });
}

criterion_group!(benches, fingerprints, incidents, causes);
criterion_main!(benches);
