//! How long alerts of a kind use to last: those that are soon over by themselves can wait.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rules::HoldRule;

/// Ends of the buckets, in seconds; what lasts longer is in the last one.
const ENDS: [u32; 8] = [15, 30, 60, 120, 300, 600, 900, 1_800];
/// Kinds that are remembered.
const KINDS: usize = 20_000;
/// Beyond it all buckets are halved: what was long ago counts less.
const MOST: u32 = 200;

/// Times of alerts of one kind, by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lasted {
    buckets: [u32; ENDS.len() + 1],
}

/// What is known of how long alerts last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Durations {
    kinds: BTreeMap<String, Lasted>,
}

impl Durations {
    /// Learns from an alert that is over, or has been there for so long.
    pub(super) fn learn(&mut self, kind: &str, secs: i64) {
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(kind) {
            return;
        }
        let secs = u32::try_from(secs.max(0)).unwrap_or(u32::MAX);
        let bucket = ENDS.partition_point(|end| *end < secs);
        let lasted = self.kinds.entry(kind.to_owned()).or_default();
        lasted.buckets[bucket] += 1;
        if lasted.buckets.iter().sum::<u32>() > MOST {
            lasted.buckets.iter_mut().for_each(|count| *count /= 2);
        }
    }

    /// Says how long to wait and why, when enough alerts of this kind were soon over. The time is the
    /// end of the first bucket by which `percent` of them were.
    pub(super) fn wait(&self, kind: &str, rule: &HoldRule) -> Option<(u32, String)> {
        let lasted = self.kinds.get(kind)?;
        let all: u32 = lasted.buckets.iter().sum();
        if !rule.enabled || all < rule.least {
            return None;
        }
        let mut over = 0;
        for (count, end) in lasted.buckets.iter().zip(ENDS) {
            over += count;
            if end > rule.most_secs {
                return None;
            }
            if u64::from(over) * 100 >= u64::from(all) * u64::from(rule.percent) {
                let why = format!("{over} of {all} alerts like it were over within {end} s");
                return Some((end, why));
            }
        }
        None
    }
}
