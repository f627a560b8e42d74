//! How the confidence by alerts is derived, and how well it holds where it was not derived.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "small figures of a test"
)]

use super::{
    super::alerts,
    AlertEvidence, BY_ALERTS, FEATURES,
    made::{Assumed, Dice, Made, USUAL},
};

const CASES: usize = 4_000;

/// Features, what is said, and whether the first candidate is the cause.
type Told = ([f64; FEATURES], f64, bool);

fn told(seed: u64, assumed: &Assumed, cases: usize) -> Vec<Told> {
    let mut dice = Dice(seed);
    let made = (0..cases).map(|_| Made::of(&mut dice, assumed));
    made.map(|one| {
        let (causes, evidence) = alerts::ranked(&one.graph, &one.anomalies, &one.changes);
        let first = causes.candidates.first().map(|candidate| candidate.node);
        let said = f64::from(causes.confidence_permille) / 1_000.0;
        let evidence: AlertEvidence = evidence.unwrap();
        (
            evidence.features(),
            said,
            first.is_some() && first == one.cause,
        )
    })
    .collect()
}

/// Maximum likelihood by Newton's method.
fn fit(cases: &[Told]) -> [f64; FEATURES] {
    let mut weights = [0.0; FEATURES];
    for _ in 0..25 {
        let mut gradient = [0.0; FEATURES];
        let mut curvature = [[0.0; FEATURES]; FEATURES];
        for (features, _, right) in cases {
            let sum: f64 = features.iter().zip(weights).map(|(x, w)| x * w).sum();
            let likely = 1.0 / (1.0 + (-sum).exp());
            for (i, x) in features.iter().enumerate() {
                gradient[i] += (f64::from(u8::from(*right)) - likely) * x;
                for (j, y) in features.iter().enumerate() {
                    curvature[i][j] += likely * (1.0 - likely) * x * y;
                }
            }
        }
        let step = solve(curvature, gradient);
        for (weight, step) in weights.iter_mut().zip(step) {
            *weight += step;
        }
    }
    weights
}

/// Gaussian elimination.
fn solve(mut a: [[f64; FEATURES]; FEATURES], mut b: [f64; FEATURES]) -> [f64; FEATURES] {
    for pivot in 0..FEATURES {
        for row in pivot + 1..FEATURES {
            let factor = a[row][pivot] / a[pivot][pivot];
            let above = a[pivot];
            for (value, above) in a[row].iter_mut().zip(above) {
                *value -= factor * above;
            }
            b[row] -= factor * b[pivot];
        }
    }
    for pivot in (0..FEATURES).rev() {
        for column in pivot + 1..FEATURES {
            b[pivot] -= a[pivot][column] * b[column];
        }
        b[pivot] /= a[pivot][pivot];
    }
    b
}

struct Measured {
    brier: f64,
    /// Of always saying how often it is right.
    brier_of_the_mean: f64,
    /// Expected calibration error over ten bins.
    error: f64,
    answered: f64,
    right_of_answered: f64,
    /// Cases, mean of what was said, share that is right, for each bin.
    bins: Vec<(usize, f64, f64)>,
}

fn measure(cases: &[Told]) -> Measured {
    let count = cases.len() as f64;
    let is = |right: bool| f64::from(u8::from(right));
    let mean = cases.iter().map(|(_, _, right)| is(*right)).sum::<f64>() / count;
    let brier = |say: &dyn Fn(f64) -> f64| {
        cases
            .iter()
            .map(|(_, said, right)| (say(*said) - is(*right)).powi(2))
            .sum::<f64>()
            / count
    };
    let mut bins = Vec::new();
    for bin in 0..10 {
        let (from, to) = (f64::from(bin) / 10.0, f64::from(bin + 1) / 10.0);
        let inside = |said: f64| said >= from && (said < to || bin == 9);
        let some: Vec<_> = cases.iter().filter(|(_, said, _)| inside(*said)).collect();
        if !some.is_empty() {
            let of = some.len() as f64;
            let said = some.iter().map(|(_, said, _)| said).sum::<f64>() / of;
            let right = some.iter().map(|(_, _, right)| is(*right)).sum::<f64>() / of;
            bins.push((some.len(), said, right));
        }
    }
    let error = bins
        .iter()
        .map(|(cases, said, right)| *cases as f64 * (said - right).abs())
        .sum::<f64>()
        / count;
    let answered: Vec<_> = cases.iter().filter(|(_, said, _)| *said >= 0.4).collect();
    let right = answered.iter().filter(|(_, _, right)| *right).count() as f64;
    Measured {
        brier: brier(&|said| said),
        brier_of_the_mean: brier(&|_| mean),
        error,
        answered: answered.len() as f64 / count,
        right_of_answered: right / answered.len() as f64,
        bins,
    }
}

fn show(name: &str, cases: &[Told]) -> Measured {
    let found = measure(cases);
    println!(
        "{name}: Brier {:.3} (mean {:.3}), ECE {:.3}, answered {:.2}, right of these {:.2}",
        found.brier, found.brier_of_the_mean, found.error, found.answered, found.right_of_answered
    );
    for (cases, said, right) in &found.bins {
        println!("  {cases} cases, said {said:.2}, right {right:.2}");
    }
    found
}

#[test]
fn the_constants_are_those_of_the_cases_they_were_fitted_on() {
    let fitted = fit(&told(1, &USUAL, CASES));
    println!("fitted {fitted:.2?}");
    for (fitted, constant) in fitted.iter().zip(BY_ALERTS) {
        assert!(
            (fitted - constant).abs() < 0.006,
            "{fitted} is not {constant}"
        );
    }
}

#[test]
fn what_is_said_of_others_is_true_about_as_often() {
    let found = show("others", &told(5, &USUAL, CASES));
    assert!(found.error < 0.04, "{}", found.error);
    assert!(
        found.brier < 0.9 * found.brier_of_the_mean,
        "{}",
        found.brier
    );
    assert!(found.right_of_answered > 0.7, "{}", found.right_of_answered);
    for (cases, said, right) in found.bins {
        let off = (said - right).abs();
        assert!(
            cases < 100 || off < 0.11,
            "{said:.2} said, {right:.2} right"
        );
    }
}

#[test]
fn in_other_worlds_than_assumed_it_still_tells_good_from_bad() {
    let worlds = [
        (
            "spreads less",
            Assumed {
                spreads: 0.4,
                ..USUAL
            },
        ),
        (
            "spreads more",
            Assumed {
                spreads: 0.9,
                ..USUAL
            },
        ),
        (
            "cause shows seldom",
            Assumed {
                shows: 0.5,
                ..USUAL
            },
        ),
        (
            "most dependencies stated",
            Assumed {
                unstated: 0.1,
                ..USUAL
            },
        ),
        (
            "few dependencies stated",
            Assumed {
                unstated: 0.6,
                ..USUAL
            },
        ),
        (
            "much noise",
            Assumed {
                noise: 0.8,
                ..USUAL
            },
        ),
        (
            "chance more often",
            Assumed {
                chance: 0.5,
                ..USUAL
            },
        ),
        (
            "chance seldom",
            Assumed {
                chance: 0.1,
                ..USUAL
            },
        ),
    ];
    for (name, assumed) in worlds {
        let found = show(name, &told(3, &assumed, CASES));
        assert!(found.error < 0.12, "{name}: {}", found.error);
        assert!(
            found.brier < found.brier_of_the_mean,
            "{name}: {}",
            found.brier
        );
    }
}
