//! Rough copies of vectors, half as large, with how far off they are. Comparing them reads half as
//! much memory, which is what a search waits for, and tells for sure which vectors cannot be among the
//! nearest.

use crate::memory::{DIMENSIONS, Vector};

/// Greatest whole number of a copy: 256 products of two of them fit into 32 bits.
const MOST: f32 = 2047.0;
/// More than what rounding of sums can be off.
const SLACK: f32 = 1e-5;

/// A vector in whole numbers of a step.
#[derive(Debug, Clone)]
pub(super) struct Rough {
    steps: [i16; DIMENSIONS],
    step: f32,
    /// Length of what is missing from it.
    error: f32,
}

impl Rough {
    /// Makes the copy of a vector of length 1.
    pub(super) fn of(numbers: &[f32; DIMENSIONS]) -> Self {
        let greatest = numbers.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let step = greatest.max(f32::MIN_POSITIVE) / MOST;
        let steps = numbers.map(|number| (number / step).round() as i16);
        let missing = numbers.iter().zip(&steps);
        let missing = missing.map(|(number, steps)| (number - f32::from(*steps) * step).powi(2));
        Self {
            steps,
            step,
            error: missing.sum::<f32>().sqrt(),
        }
    }

    /// Returns between which numbers the cosine of the two vectors lies. The copies are `a + da` and
    /// `b + db`, so their product is off by at most `|da| |b| + |a + da| |db|` (Cauchy and Schwarz).
    fn cosine(&self, other: &Self) -> (f32, f32) {
        let pairs = self.steps.iter().zip(&other.steps);
        let sum = pairs.fold(0_i32, |sum, (a, b)| {
            sum.wrapping_add(i32::from(*a) * i32::from(*b))
        });
        let cosine = sum as f32 * (self.step * other.step);
        let off = self.error + (1.0 + self.error) * other.error + SLACK;
        (cosine - off, cosine + off)
    }
}

/// Returns the places of all that may be among the `limit` nearest, in order.
pub(super) fn candidates(all: &[Rough], vector: &Vector, limit: usize) -> Vec<usize> {
    let Some(numbers) = vector.as_slice().as_array() else {
        return vec![];
    };
    let asked = Rough::of(numbers);
    // So many are at least as near as the last of these.
    let mut surest = Best::new(limit);
    let mut open = vec![];
    for (at, rough) in all.iter().enumerate() {
        let (least, most) = rough.cosine(&asked);
        if most >= surest.last() {
            surest.take(at, least);
            open.push((at, most));
        }
    }
    let last = surest.last();
    let near = open.into_iter().filter(|(_, most)| *most >= last);
    near.map(|(at, _)| at).collect()
}

/// The greatest of many, greatest first; of equal ones the one that came first.
#[derive(Debug)]
pub(super) struct Best {
    order: Vec<(usize, f32)>,
    limit: usize,
}

impl Best {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            order: Vec::with_capacity(limit + 1),
            limit,
        }
    }

    /// Returns what one has to beat.
    fn last(&self) -> f32 {
        match self.order.get(self.limit.wrapping_sub(1)) {
            Some((_, last)) => *last,
            None => f32::NEG_INFINITY,
        }
    }

    pub(super) fn take(&mut self, at: usize, value: f32) {
        if value > self.last() {
            let rank = self.order.partition_point(|(_, other)| *other >= value);
            self.order.insert(rank, (at, value));
            self.order.truncate(self.limit);
        }
    }

    pub(super) fn into_order(self) -> Vec<(usize, f32)> {
        self.order
    }
}
