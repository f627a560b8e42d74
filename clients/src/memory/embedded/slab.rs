//! Vectors of one client in one space, side by side in memory, and the exact search over them: a look
//! at rough copies tells which few have to be compared.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use rusqlite::params;

use super::rough::{self, Best, Rough};
use crate::{
    memory::{DIMENSIONS, Vector},
    store::{StoreError, StoreResult, embedded::SqlTx},
};

/// Most vectors that a process holds; what was asked for longest ago goes first. 1.5 KiB each.
const MOST_HELD: usize = 400_000;
/// Sums kept side by side, so that the processor adds many at once.
const LANES: usize = 16;

/// Of which client, in which space: numbers of their rows.
pub(super) type Place = (i64, i64);

/// Vectors by place.
#[derive(Debug, Default)]
pub(super) struct Slabs(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    held: HashMap<Place, Held>,
    turn: u64,
}

#[derive(Debug, Default)]
struct Held {
    slab: Arc<RwLock<Slab>>,
    vectors: usize,
    turn: u64,
}

/// Vectors as they were at one moment of the file.
#[derive(Debug, Default)]
pub(super) struct Slab {
    removals: i64,
    newest: i64,
    incidents: Vec<i64>,
    numbers: Vec<f32>,
    rough: Vec<Rough>,
}

impl Slabs {
    /// Finds the `limit` incidents nearest to a vector at the moment of a transaction, best first
    /// with their cosines. `removals` is how many vectors of the client were ever removed.
    pub(super) fn nearest(
        &self,
        tx: &SqlTx<'_>,
        place: Place,
        removals: i64,
        vector: &Vector,
        limit: usize,
    ) -> StoreResult<Vec<(i64, f64)>> {
        let slab = self.held(place);
        let newest = newest(tx, place)?;
        {
            let slab = slab.read().unwrap_or_else(PoisonError::into_inner);
            if slab.removals == removals && slab.newest == newest {
                return Ok(slab.nearest(vector, limit));
            }
        }
        let mut slab = slab.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have read what is newer than our moment.
        if slab.removals != removals || slab.newest > newest {
            *slab = Slab {
                removals,
                ..Slab::default()
            };
        }
        let read = slab.read_on(tx, place);
        if read.is_err() {
            *slab = Slab::default();
        }
        read?;
        let found = slab.nearest(vector, limit);
        let vectors = slab.incidents.len();
        drop(slab);
        self.make_room(place, vectors);
        Ok(found)
    }

    fn held(&self, place: Place) -> Arc<RwLock<Slab>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.turn += 1;
        let turn = all.turn;
        let held = all.held.entry(place).or_default();
        held.turn = turn;
        Arc::clone(&held.slab)
    }

    fn make_room(&self, place: Place, vectors: usize) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = &mut all.held;
        if let Some(held) = all.get_mut(&place) {
            held.vectors = vectors;
        }
        while all.values().map(|held| held.vectors).sum::<usize>() > MOST_HELD {
            let others = all.iter().filter(|(at, _)| **at != place);
            let Some(oldest) = others.min_by_key(|(_, held)| held.turn).map(|(at, _)| *at) else {
                return;
            };
            all.remove(&oldest);
        }
    }
}

fn newest(tx: &SqlTx<'_>, (client, space): Place) -> StoreResult<i64> {
    let newest = tx.rows(
        "SELECT sequence FROM vectors WHERE client = ?1 AND space = ?2 ORDER BY sequence DESC LIMIT 1",
        params![client, space],
        |row| row.get(0),
    )?;
    Ok(newest.first().copied().unwrap_or_default())
}

impl Slab {
    /// Reads what was added since.
    fn read_on(&mut self, tx: &SqlTx<'_>, (client, space): Place) -> StoreResult<()> {
        let (mut damaged, after) = (None, self.newest);
        tx.rows(
            "SELECT sequence, incident, vector FROM vectors
             WHERE client = ?1 AND space = ?2 AND sequence > ?3 ORDER BY sequence",
            params![client, space, after],
            |row| {
                let bytes = row.get_ref(2)?.as_blob()?;
                self.newest = row.get(0)?;
                self.incidents.push(row.get(1)?);
                let before = self.numbers.len();
                let numbers = bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|four| f32::from_le_bytes(*four));
                self.numbers.extend(numbers);
                match self.numbers[before..].as_array() {
                    Some(numbers) => self.rough.push(Rough::of(numbers)),
                    None => damaged = Some(self.newest),
                }
                Ok(())
            },
        )?;
        match damaged {
            Some(sequence) => Err(StoreError::corrupt(format!("vector {sequence}"))),
            None => Ok(()),
        }
    }

    fn nearest(&self, vector: &Vector, limit: usize) -> Vec<(i64, f64)> {
        let mut best = Best::new(limit);
        let exact = |at: &usize| &self.numbers[at * DIMENSIONS..(at + 1) * DIMENSIONS];
        for at in rough::candidates(&self.rough, vector, limit) {
            best.take(at, dot(exact(&at), vector.as_slice()));
        }
        let found = best.into_order().into_iter();
        found
            .map(|(at, cosine)| (self.incidents[at], f64::from(cosine.clamp(-1.0, 1.0))))
            .collect()
    }
}

/// Both are of length 1, so this is their cosine.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (a, _) = a.as_chunks::<LANES>();
    let (b, _) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// The bytes of a vector in the file: little-endian numbers.
pub(super) fn bytes(vector: &Vector) -> Vec<u8> {
    let numbers = vector.as_slice().iter();
    numbers.flat_map(|number| number.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(seed: u32) -> Vector {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let values: Vec<f32> = (0..DIMENSIONS)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect();
        Vector::new(&values).unwrap()
    }

    #[test]
    fn the_nearest_are_those_of_the_full_order() {
        let vectors: Vec<Vector> = (0..300).map(vector).collect();
        let slab = Slab {
            incidents: (0..300).collect(),
            numbers: vectors.iter().flat_map(|v| v.as_slice().to_vec()).collect(),
            rough: vectors
                .iter()
                .map(|v| Rough::of(v.as_slice().as_array().unwrap()))
                .collect(),
            ..Slab::default()
        };
        for asked in [vector(7), vector(1000)] {
            let mut all: Vec<(i64, f64)> = (0..)
                .zip(&vectors)
                .map(|(at, vector)| {
                    let pairs = asked.as_slice().iter().zip(vector.as_slice());
                    (at, pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum())
                })
                .collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            for limit in [1, 10, 300, 400] {
                let found = slab.nearest(&asked, limit);
                assert_eq!(found.len(), limit.min(300));
                for ((at, cosine), (wanted, exact)) in found.iter().zip(&all) {
                    assert_eq!(at, wanted);
                    assert!((cosine - exact).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn what_was_asked_for_longest_ago_makes_room() {
        let slabs = Slabs::default();
        for client in 0..3 {
            drop(slabs.held((client, 1)));
            slabs.make_room((client, 1), MOST_HELD / 2);
            drop(slabs.held((0, 1)));
        }
        let mut places: Vec<_> = slabs.0.lock().unwrap().held.keys().copied().collect();
        places.sort_unstable();
        assert_eq!(places, [(0, 1), (2, 1)]);
    }
}
