//! How long the embedded memory takes to recall: 100,000 incidents of 256 dimensions, the ten nearest
//! of one client. In one case all are of that client, in the other a twentieth is.

use std::{hint::black_box, path::Path, sync::Arc};

use autoops_clients::memory::{self, Incident, Memory, Near, Outcome, Question, Record, Vector};
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use tokio::runtime::Runtime;

const INCIDENTS: u32 = 100_000;
const WORDS: [&str; 24] = [
    "disk",
    "full",
    "backup",
    "failed",
    "service",
    "stopped",
    "printer",
    "offline",
    "spooler",
    "restart",
    "update",
    "pending",
    "reboot",
    "memory",
    "high",
    "cpu",
    "network",
    "down",
    "switch",
    "mail",
    "queue",
    "certificate",
    "expired",
    "volume",
];

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn vector(&mut self) -> Vector {
        let values: Vec<f32> = (0..256)
            .map(|_| self.roll() as f32 / (1_u64 << 30) as f32 - 1.0)
            .collect();
        Vector::new(&values).expect("a vector with a direction")
    }

    fn words(&mut self, count: usize) -> String {
        let words: Vec<String> = (0..count)
            .map(|_| match self.roll() % 3 {
                0 => format!("host{}", self.roll() % 5000),
                _ => WORDS[self.roll() as usize % WORDS.len()].to_owned(),
            })
            .collect();
        words.join(" ")
    }
}

/// Fills a memory whose incidents go round over so many clients.
async fn filled(path: &Path, clients: u32, dice: &mut Dice) -> Arc<dyn Memory> {
    let memory = memory::embedded(path).expect("a memory file");
    for batch in 0..INCIDENTS / 1000 {
        let record = |number: u32| Record {
            incident: Incident {
                id: number.to_string(),
                client: format!("{}", number % clients).parse().expect("an id"),
                fingerprints: vec![format!("fp{}", number % 777)],
                title: dice.words(6),
                cause: Some(dice.words(4)),
                what_worked: Some(dice.words(4)),
                text: dice.words(30),
                closed_at: Timestamp::UNIX_EPOCH,
            },
            rule: dice.vector(),
            model: None,
        };
        let records: Vec<Record> = (batch * 1000..(batch + 1) * 1000).map(record).collect();
        let outcomes = memory.remember(records).await.expect("written");
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Kept));
    }
    memory
}

fn recall(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = Dice(1);
    let mut group = criterion.benchmark_group("memory, top 10 of 100,000 incidents");
    for (clients, share) in [(1, "one client"), (20, "one of 20 clients")] {
        let path = folder.path().join(format!("{clients}.db"));
        let memory = runtime.block_on(filled(&path, clients, &mut dice));
        for (text, name) in [
            (None, "vector"),
            (Some("disk full host42"), "vector and text"),
        ] {
            group.bench_function(format!("{share}, {name}"), |bencher| {
                bencher.to_async(&runtime).iter_batched(
                    || Question {
                        client: "0".parse().expect("an id"),
                        near: Near::Rule(dice.vector()),
                        text: text.map(str::to_owned),
                        limit: 10,
                    },
                    |question| {
                        let memory = Arc::clone(&memory);
                        async move {
                            let hits = memory.recall(&question).await.expect("an answer");
                            assert_eq!(hits.len(), 10);
                            black_box(hits)
                        }
                    },
                    criterion::BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, recall);
criterion_main!(benches);
