//! How usual a kind of alert is: on a device, and anywhere.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Millis, QUIET, SECOND, names::Hasher, record::IncidentId, state};

/// Pairs of kind and device that are remembered.
const PAIRS: usize = 200_000;

/// Before anything is known, half an episode in six hours is assumed.
const ASSUMED_EPISODES: f64 = 0.5;
const ASSUMED_HOURS: f64 = 6.0;

/// One kind of alert on one device.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Pair {
    episodes: u32,
    last: Millis,
    /// Where its last alert went.
    pub(super) incident: Option<IncidentId>,
    /// Whether an alert of it may be live: then it is not forgotten.
    pub(super) live: bool,
}

/// How usual an alert is at the moment it comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habit {
    /// Whether it starts an episode.
    pub(super) starts: bool,
    /// Episodes per day of this kind on this device.
    pub(super) per_day_here: f64,
    /// Episodes per day of this kind on any device.
    pub(super) per_day: f64,
    /// Episodes before on this device.
    pub(super) before_here: u32,
    /// Episodes before on any device.
    pub(super) before: u32,
}

impl Habit {
    /// Returns how surprising the alert is: the mean of what the two rates say about one minute, in
    /// natural units of information.
    pub(super) fn surprise(self) -> f64 {
        let of = |per_day: f64| -(per_day / (24.0 * 60.0)).min(1.0).ln();
        f64::midpoint(of(self.per_day_here), of(self.per_day))
    }
}

/// Returns how many episodes a day are expected after so many within a time.
fn per_day(episodes: u32, within: Millis) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a time span in hours")]
    let hours = within as f64 / (3_600 * SECOND) as f64;
    (f64::from(episodes) + ASSUMED_EPISODES) * 24.0 / (hours + ASSUMED_HOURS)
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Anywhere {
    episodes: u32,
    last: Millis,
}

/// What is usual at one client.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Habits {
    since: Option<Millis>,
    #[serde(with = "state::pairs")]
    pairs: HashMap<(u32, u32), Pair, Hasher>,
    kinds: HashMap<u32, Anywhere, Hasher>,
    /// Pairs that were forgotten to make room.
    pub(super) forgotten: u64,
}

impl Habits {
    /// Notes an alert. Returns how usual it was before, and its pair to be changed.
    pub(super) fn note(&mut self, kind: u32, device: u32, now: Millis) -> (Habit, &mut Pair) {
        let since = *self.since.get_or_insert(now);
        if self.pairs.len() >= PAIRS && !self.pairs.contains_key(&(kind, device)) {
            self.forget();
        }
        let rate = |episodes: u32| per_day(episodes, now - since);
        let anywhere = self.kinds.entry(kind);
        let anywhere = anywhere.or_insert(Anywhere {
            episodes: 0,
            last: Millis::MIN / 2,
        });
        let before = anywhere.episodes;
        anywhere.episodes += u32::from(now - anywhere.last > QUIET);
        anywhere.last = now;
        let pair = self.pairs.entry((kind, device)).or_insert(Pair {
            episodes: 0,
            last: Millis::MIN / 2,
            incident: None,
            live: false,
        });
        let before_here = pair.episodes;
        let starts = now - pair.last > QUIET;
        pair.episodes += u32::from(starts);
        pair.last = now;
        let habit = Habit {
            starts,
            per_day_here: rate(before_here),
            per_day: rate(before),
            before_here,
            before,
        };
        (habit, pair)
    }

    pub(super) fn pair(&mut self, kind: u32, device: u32) -> Option<&mut Pair> {
        self.pairs.get_mut(&(kind, device))
    }

    /// Returns about how many episodes a day a pair has.
    pub(super) fn per_day(&self, kind: u32, device: u32, now: Millis) -> u32 {
        let episodes = self.before(kind, device);
        let rate = per_day(episodes, now - self.since.unwrap_or(now));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let whole = rate as u32;
        whole
    }

    /// Returns how many episodes of a pair there were before the last one.
    pub(super) fn before(&self, kind: u32, device: u32) -> u32 {
        let pair = self.pairs.get(&(kind, device));
        pair.map_or(0, |pair| pair.episodes.saturating_sub(1))
    }

    /// Lists pairs whose last alert went to an incident.
    pub(super) fn pairs_of(&self, incident: IncidentId) -> impl Iterator<Item = (u32, u32)> {
        let pairs = self.pairs.iter();
        let of = pairs.filter(move |(_, pair)| pair.incident == Some(incident));
        of.map(|(kind_on, _)| *kind_on)
    }

    /// Moves pairs of an incident to where `to` says, by device.
    pub(super) fn move_all(&mut self, from: IncidentId, to: impl Fn(u32) -> Option<IncidentId>) {
        for ((_, device), pair) in &mut self.pairs {
            if pair.incident == Some(from)
                && let Some(to) = to(*device)
            {
                pair.incident = Some(to);
            }
        }
    }

    /// Takes what is live in an incident as over.
    pub(super) fn let_go(&mut self, incident: IncidentId) {
        let pairs = self.pairs.values_mut();
        pairs
            .filter(|pair| pair.incident == Some(incident))
            .for_each(|pair| pair.live = false);
    }

    /// Forgets the half of the pairs that was not seen for longest; those that are live stay.
    fn forget(&mut self) {
        let mut seen: Vec<Millis> = self.pairs.values().map(|pair| pair.last).collect();
        let middle = seen.len() / 2;
        let (_, median, _) = seen.select_nth_unstable(middle);
        let (median, before) = (*median, self.pairs.len());
        self.pairs.retain(|_, pair| pair.live || pair.last > median);
        if self.pairs.len() > PAIRS / 2 + middle {
            // Everything is live or of one moment: no order is left to go by.
            self.pairs.retain(|_, pair| pair.live);
        }
        self.forgotten += (before - self.pairs.len()) as u64;
    }
}
