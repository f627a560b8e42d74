//! How long a million pairs of vulnerability and device take, and how long deriving takes.

use std::hint::black_box;

use autoops_domain::{
    device::{Basis, Criticality, Exposure, Known},
    vulnerability::{
        cvss::Vector,
        deadline::{Automatable, TechnicalImpact},
        derive,
        exploit::Weights,
        feature::Features,
        kev::History,
        ranking::{Pair, Target, Threat, rank},
    },
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const THREATS: u32 = 1000;
const TARGETS: u32 = 1000;

fn ranking(c: &mut Criterion) {
    let threats: Vec<Threat> = (0..THREATS)
        .map(|at| Threat {
            in_kev: at % 50 == 0,
            ransomware: at % 200 == 0,
            automatable: if at % 5 == 0 {
                Automatable::Yes
            } else {
                Automatable::No
            },
            impact: if at % 3 == 0 {
                TechnicalImpact::Total
            } else {
                TechnicalImpact::Partial
            },
            exploit_score: f64::from(at * 7919 % 1000) / 1000.0,
        })
        .collect();
    let targets: Vec<Target> = (0..TARGETS)
        .map(|at| Target {
            exposure: Known {
                value: if at % 10 == 0 {
                    Exposure::Exposed
                } else {
                    Exposure::Internal
                },
                basis: Basis::Inferred,
            },
            criticality: Known {
                value: if at % 7 == 0 {
                    Criticality::High
                } else {
                    Criticality::Normal
                },
                basis: Basis::Inferred,
            },
        })
        .collect();
    let pairs: Vec<Pair> = (0..THREATS)
        .flat_map(|threat| (0..TARGETS).map(move |target| Pair { threat, target }))
        .collect();
    let mut group = c.benchmark_group("ranking");
    group.sample_size(10);
    group.throughput(Throughput::Elements(pairs.len() as u64));
    group.bench_function("a million pairs", |b| {
        b.iter(|| rank(black_box(&threats), black_box(&targets), black_box(&pairs)));
    });
    group.finish();
}

fn deriving(c: &mut Criterion) {
    let text = "A vulnerability in the web-based management interface of a router allows an \
                unauthenticated remote attacker to execute arbitrary commands as root by sending a \
                crafted HTTP request. It is due to improper validation of user-supplied input. "
        .repeat(2);
    c.bench_function("derive and score one record", |b| {
        b.iter(|| {
            let vector: Option<Vector> = black_box("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")
                .parse()
                .ok();
            let mut features = Features::default();
            features.add_vector(vector.as_ref());
            features.add_weakness("CWE-78");
            features.add_text(black_box(&text));
            let automatable = derive::automatable(vector.as_ref(), features);
            let impact = derive::technical_impact(vector.as_ref(), features);
            features.add_outcome(automatable.value, impact.value);
            let history = History {
                vendor: 20,
                product: 3,
            };
            let score = Weights::built_in().score(features, history);
            (automatable, impact, score)
        });
    });
}

criterion_group!(benches, ranking, deriving);
criterion_main!(benches);
