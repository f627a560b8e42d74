//! Moving plans within bounds: what a model may change in an order that rules made.

use jiff::civil::Date;

use crate::vulnerability::deadline::Deadline;

/// How many places a plan may end up from its place by rule, either way.
pub const MOST_PLACES: usize = 2;

/// What bounds the moves of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The strictest deadline of its pairs.
    pub band: Deadline,
    /// The earliest day by which a pair has to be closed.
    pub due: Option<Date>,
}

/// A wish to move a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Its place by rule, from 0.
    pub place: usize,
    /// Places up (sooner); negative means down.
    pub up: i64,
}

/// Grants wishes as far as the bounds allow; returns places by rule in the new order.
///
/// Plans change places with their neighbours, one step at a time. For any wishes the answer is a
/// permutation of all places in which
///
/// 1. deadlines stay in the order of the rule: no plan ever passes one of another deadline;
/// 2. where the rule has put a plan before another one of its deadline, it stays before it unless its
///    due day is the same or later: no plan gets behind a plan with a later due day (a day that is not
///    known counts as the latest);
/// 3. every plan, moved or pushed aside, is at most [`MOST_PLACES`] places from where the rule put it.
///
/// The first step that would break a bound ends its wish. Wishes are granted in the order of the rule;
/// of two about one plan the first counts. Plans from place `among` on stay where they are.
#[must_use]
pub fn reorder(slots: &[Slot], among: usize, wishes: &[Wish]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..slots.len()).collect();
    let among = among.min(slots.len());
    let mut wishes: Vec<Wish> = wishes.iter().copied().filter(|w| w.place < among).collect();
    wishes.sort_by_key(|wish| wish.place);
    wishes.dedup_by_key(|wish| wish.place);
    for wish in wishes {
        for _ in 0..wish.up.unsigned_abs().min(MOST_PLACES as u64) {
            let Some(at) = order.iter().position(|place| *place == wish.place) else {
                break;
            };
            let upper = if wish.up > 0 {
                at.checked_sub(1)
            } else {
                Some(at)
            };
            let Some(upper) = upper.filter(|upper| upper + 1 < among) else {
                break;
            };
            if !may_swap(slots, &order, upper) {
                break;
            }
            order.swap(upper, upper + 1);
        }
    }
    order
}

/// Whether the plans at `upper` and below it may change places.
fn may_swap(slots: &[Slot], order: &[usize], upper: usize) -> bool {
    let (first, second) = (order[upper], order[upper + 1]);
    let near = first.abs_diff(upper + 1) <= MOST_PLACES && second.abs_diff(upper) <= MOST_PLACES;
    // Back to the order of the rule is always allowed.
    near && (second < first || may_follow(slots[first], slots[second]))
}

/// Whether a plan that the rule has put first may come after the other.
fn may_follow(first: Slot, second: Slot) -> bool {
    let day = |slot: Slot| slot.due.unwrap_or(Date::MAX);
    first.band == second.band && day(first) >= day(second)
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use jiff::{ToSpan, civil::date};
    use proptest::prelude::*;

    use super::*;

    fn slot(band: Deadline, day: Option<i32>) -> Slot {
        let due = day.map(|day| date(2026, 11, 1).saturating_add(day.days()));
        Slot { band, due }
    }

    fn same(count: usize) -> Vec<Slot> {
        vec![slot(Deadline::Days14, Some(3)); count]
    }

    fn wish(place: usize, up: i64) -> Wish {
        Wish { place, up }
    }

    #[test]
    fn a_plan_moves_by_two_places_at_most() {
        assert_eq!(reorder(&same(4), 4, &[wish(3, 1)]), [0, 1, 3, 2]);
        assert_eq!(reorder(&same(4), 4, &[wish(3, i64::MAX)]), [0, 3, 1, 2]);
        assert_eq!(reorder(&same(4), 4, &[wish(0, i64::MIN)]), [1, 2, 0, 3]);
        assert_eq!(
            reorder(&same(4), 4, &[wish(0, 1), wish(9, 1)]),
            [0, 1, 2, 3]
        );
        assert_eq!(reorder(&[], 4, &[wish(0, 1)]), [0_usize; 0]);
    }

    #[test]
    fn what_is_pushed_aside_stays_near_too() {
        // Plans 2, 3 and 4 all want to pass 0 and 1.
        let order = reorder(&same(5), 5, &[wish(2, 2), wish(3, 2), wish(4, 2)]);
        assert_eq!(order, [2, 3, 0, 1, 4]);
    }

    #[test]
    fn no_plan_passes_another_deadline_or_an_earlier_due_day() {
        let (strict, mild) = (Deadline::Days3, Deadline::Days14);
        let bands = [slot(strict, Some(9)), slot(mild, Some(1))];
        assert_eq!(reorder(&bands, 2, &[wish(1, 1)]), [0, 1]);
        assert_eq!(reorder(&bands, 2, &[wish(0, -1)]), [0, 1]);
        let days = [slot(mild, Some(1)), slot(mild, Some(2)), slot(mild, None)];
        assert_eq!(reorder(&days, 3, &[wish(2, 2), wish(0, -1)]), [0, 1, 2]);
        // By rule the later day is first, for its urgency: there the model may agree with the days.
        let urgent = [slot(mild, None), slot(mild, Some(2))];
        assert_eq!(reorder(&urgent, 2, &[wish(1, 1)]), [1, 0]);
    }

    #[test]
    fn plans_that_nobody_was_asked_about_stay() {
        assert_eq!(
            reorder(&same(4), 2, &[wish(1, -1), wish(2, 1)]),
            [0, 1, 2, 3]
        );
    }

    prop_compose! {
        fn ranked()(bands in proptest::collection::vec((0..3_usize, proptest::option::of(0..4_i32)), 0..14))
            -> Vec<Slot>
        {
            let mut slots: Vec<Slot> = bands.into_iter()
                .map(|(band, day)| slot(Deadline::ALL[band], day))
                .collect();
            slots.sort_by_key(|slot| Reverse(slot.band));
            slots
        }
    }

    proptest! {
        #[test]
        fn whatever_is_wished_the_bounds_hold(
            slots in ranked(),
            among in 0..16_usize,
            wishes in proptest::collection::vec((0..16_usize, -5..=5_i64), 0..24),
        ) {
            let wishes: Vec<Wish> = wishes.into_iter().map(|(place, up)| wish(place, up)).collect();
            let order = reorder(&slots, among, &wishes);
            let mut all = order.clone();
            all.sort_unstable();
            prop_assert_eq!(all, (0..slots.len()).collect::<Vec<_>>());
            for (at, place) in order.iter().enumerate() {
                prop_assert!(at.abs_diff(*place) <= MOST_PLACES);
                prop_assert!(*place < among || at == *place);
                for later in &order[at + 1..] {
                    prop_assert!(slots[*place].band >= slots[*later].band);
                    if later < place {
                        prop_assert!(may_follow(slots[*later], slots[*place]));
                    }
                }
            }
        }
    }
}
