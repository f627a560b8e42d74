//! The book against the reference, over random interleavings.

use std::collections::BTreeMap;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::{interleaving::Play, steps::any_steps};

/// What a run must have met to prove something: every answer, every end, and the turns that
/// approvals have gone wrong at.
const MOMENTS: [&str; 25] = [
    "counted",
    "duplicate",
    "kept",
    "nothing open",
    "late",
    "wrong hash",
    "not allowed",
    "already decided",
    "asked anew after a yes",
    "approved",
    "rejected",
    "timed out",
    "held",
    "superseded",
    "cancelled",
    "deadline moved",
    "delivered twice",
    "earlier vote replaced",
    "held and asked again",
    "kept decision counts",
    "next role asked",
    "own request rejected",
    "plan changed during a look-up",
    "votes carried over",
    "waiting vote changed",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_the_order_the_book_says_what_the_twelve_cases_say(steps in any_steps()) {
        let mut play = Play::default();
        for step in &steps {
            play.step(step)?;
        }
    }
}

#[test]
fn random_interleavings_meet_every_answer_every_end_and_every_turn() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..800 {
        let steps = any_steps().new_tree(&mut runner).unwrap().current();
        let mut play = Play::default();
        for step in &steps {
            play.step(step).unwrap();
        }
        for (what, times) in play.seen {
            *seen.entry(what).or_default() += times;
        }
    }
    let rare: Vec<_> = MOMENTS
        .iter()
        .map(|what| (*what, seen.get(what).copied().unwrap_or(0)))
        .filter(|(_, times)| *times < 3)
        .collect();
    assert!(rare.is_empty(), "hardly ever met: {rare:?} of {seen:?}");
}
