//! Changes for live views. A position is a time with random digits behind it, so that writers need
//! no common counter; changes are spread over shards, so that no partition is hot.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use domain::ids::ClientId;
use futures::future::try_join_all;
use jiff::Timestamp;

use super::{
    Dynamo,
    row::{self, Attributes, sort_key, string, text},
};
use crate::store::{
    Change, Outbox, StoreError, StoreResult,
    records::items::{Order, number},
};

/// Partitions of the outbox.
const SHARDS: u64 = 16;
/// Bits of a position behind its milliseconds.
const RANDOM: u32 = 20;
/// How long a change is kept: live views that were away for longer read their lists again.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);
/// A change is shown this long after its time: until then one with an earlier position may still come,
/// from a transaction under way or a clock that is a little behind.
const SETTLES: Duration = Duration::from_secs(1);

/// The last position that this process gave.
static LAST: AtomicU64 = AtomicU64::new(0);

/// The lowest position of a time.
fn position(at: Timestamp) -> u64 {
    let millis = u64::try_from(at.as_millisecond()).unwrap_or_default();
    millis << RANDOM
}

/// A position that is greater than all before it in this process.
fn next_position(now: Timestamp) -> u64 {
    let random = u64::from(uuid::Uuid::new_v4().as_u64_pair().0 as u32 >> (32 - RANDOM));
    let wanted = position(now) | random;
    let after = |last: u64| Some(wanted.max(last + 1));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
    last.map_or(wanted, |last| wanted.max(last + 1))
}

/// Makes a row of the outbox and says its position.
pub(super) fn row(kind: &str, client: Option<&ClientId>, key: &str) -> (u64, Attributes) {
    let now = Timestamp::now();
    let position = next_position(now);
    // The random digits spread well.
    let mut row = row::keys(&shard(position % SHARDS), &number(position));
    row.insert("kind".to_owned(), text(kind));
    row.insert("key".to_owned(), text(key));
    row.insert("at".to_owned(), text(now.to_string()));
    if let Some(client) = client {
        row.insert("client".to_owned(), text(client.as_str()));
    }
    let forgotten = now.saturating_add(KEEP).unwrap_or(Timestamp::MAX);
    row.insert("expires_at".to_owned(), row::seconds(forgotten.as_second()));
    (position, row)
}

fn shard(number: u64) -> String {
    format!("changes/{number:02}")
}

fn change(row: &Attributes) -> Option<Change> {
    let of = |name: &str| string(row, name);
    Some(Change {
        sequence: sort_key(row).parse().ok()?,
        client: match of("client") {
            Some(client) => Some(client.parse().ok()?),
            None => None,
        },
        kind: of("kind")?.clone(),
        key: of("key")?.clone(),
        at: of("at")?.parse().ok()?,
    })
}

#[async_trait]
impl Outbox for Dynamo {
    async fn changes_after(&self, sequence: u64, limit: usize) -> StoreResult<Vec<Change>> {
        let after = number(sequence);
        let settled = Timestamp::now()
            .saturating_sub(SETTLES)
            .map_or(u64::MAX, position);
        let shards = (0..SHARDS).map(|number| {
            let after = after.clone();
            async move {
                let pk = shard(number);
                self.query(&pk, "", Some(&after), limit, Order::Ascending)
                    .await
            }
        });
        let mut changes = Vec::new();
        for row in try_join_all(shards).await?.into_iter().flatten() {
            let place = sort_key(&row);
            let change = change(&row);
            changes.push(change.ok_or_else(|| StoreError::corrupt(format!("change {place}")))?);
        }
        changes.retain(|change| change.sequence < settled);
        changes.sort_unstable_by_key(|change| change.sequence);
        changes.truncate(limit);
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_grow_with_time_and_within_a_moment() {
        let now: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
        let mut last = 0;
        for _ in 0..1000 {
            let next = next_position(now);
            assert!(next > last);
            last = next;
        }
        assert!(next_position(now + Duration::from_secs(1)) > last);
    }
}
