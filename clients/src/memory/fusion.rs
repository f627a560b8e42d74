//! Joining two orders into one by rank: reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR
//! 2009). Ranks compare where scores of a cosine and of BM25 do not.

use std::collections::BTreeMap;

use super::Parts;

/// Dampens the first ranks, as in the paper.
const K: f64 = 60.0;

/// What each order says of more than it is asked for, so that one which is good in both is seen.
const DEPTH: usize = 50;

/// Returns how many the two orders should hold for an answer of `limit`.
pub(super) fn depth(limit: usize) -> usize {
    limit.max(DEPTH)
}

/// An answer without its incident.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found<I> {
    pub(super) item: I,
    pub(super) score: f64,
    pub(super) parts: Parts,
}

/// Returns the order by vector alone.
pub(super) fn by_vector<I>(vectors: Vec<(I, f64)>) -> Vec<Found<I>> {
    let ranked = (1..).zip(vectors);
    let found = ranked.map(|(rank, (item, cosine))| Found {
        item,
        score: cosine,
        parts: Parts {
            cosine: Some(cosine),
            vector_rank: Some(rank),
            ..Parts::default()
        },
    });
    found.collect()
}

/// Joins an order by vector and one by text, each best first with its scores.
pub(super) fn fuse<I: Ord + Clone>(
    vectors: Vec<(I, f64)>,
    texts: Vec<(I, f64)>,
    limit: usize,
) -> Vec<Found<I>> {
    let mut joined: BTreeMap<I, Parts> = BTreeMap::new();
    for (rank, (item, cosine)) in (1..).zip(vectors) {
        let parts = joined.entry(item).or_default();
        (parts.vector_rank, parts.cosine) = (Some(rank), Some(cosine));
    }
    for (rank, (item, score)) in (1..).zip(texts) {
        let parts = joined.entry(item).or_default();
        (parts.text_rank, parts.text_score) = (Some(rank), Some(score));
    }
    let mut found: Vec<Found<I>> = joined
        .into_iter()
        .map(|(item, parts)| Found {
            item,
            score: share(parts.vector_rank) + share(parts.text_rank),
            parts,
        })
        .collect();
    // Of two that are equal the nearer one comes first.
    found.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then_with(|| near(b).total_cmp(&near(a)))
    });
    found.truncate(limit);
    found
}

fn share(rank: Option<usize>) -> f64 {
    rank.map_or(0.0, |rank| 1.0 / (K + rank as f64))
}

fn near<I>(found: &Found<I>) -> f64 {
    found.parts.cosine.unwrap_or(-1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_good_in_both_orders_comes_before_the_best_of_one() {
        let found = fuse(
            vec![("a", 0.9), ("b", 0.8), ("c", 0.7)],
            vec![("d", 9.0), ("b", 8.0)],
            3,
        );
        let order: Vec<_> = found.iter().map(|found| found.item).collect();
        assert_eq!(order, ["b", "a", "d"], "of equal ones the nearer first");
        assert!((found[0].score - 2.0 / 62.0).abs() < 1e-12);
        assert_eq!(
            found[0].parts,
            Parts {
                cosine: Some(0.8),
                vector_rank: Some(2),
                text_score: Some(8.0),
                text_rank: Some(2)
            }
        );
        assert_eq!(found[2].parts.cosine, None);
    }

    #[test]
    fn an_order_by_vector_alone_is_scored_by_cosine() {
        let found = by_vector(vec![("a", 0.9), ("b", -0.1)]);
        assert_eq!(
            (found[1].score, found[1].parts.vector_rank),
            (-0.1, Some(2))
        );
    }
}
