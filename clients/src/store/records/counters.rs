//! Counters, token buckets, flags and claims. The time of a call is the caller's; clocks of several
//! processes may differ a little.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Backend, Records, items::Tx};
use crate::store::{Bucket, Counters, MAX_BLOCK, StoreError, StoreResult};

const VALUE: &str = "value";
/// How long the key of an addition is remembered.
const KEEP_KEYS: Duration = Duration::from_secs(90 * 24 * 3600);

const BUCKETS: &str = "bucket";

/// From so many entries on, tokens of nearly the same time share one: a large budget must not mean a
/// large record that is written anew for each call.
const EXACT: usize = 128;

/// Tokens that come back together.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Taken {
    One(Timestamp),
    /// Taken until then.
    Many(Timestamp, usize),
}

impl Taken {
    fn at(self) -> Timestamp {
        match self {
            Self::One(at) | Self::Many(at, _) => at,
        }
    }

    fn count(self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(_, count) => count,
        }
    }

    /// When the first of them was taken.
    fn since(self, near: SignedDuration) -> Timestamp {
        match self {
            Self::One(at) => at,
            Self::Many(until, _) => until.checked_sub(near).unwrap_or(until),
        }
    }

    fn no_later_than(self, now: Timestamp, near: SignedDuration) -> Self {
        match self {
            Self::One(at) => Self::One(at.min(now)),
            Self::Many(at, count) => {
                Self::Many(at.min(now.checked_add(near).unwrap_or(now)), count)
            }
        }
    }
}

/// Adds a token that is taken now. Those that share an entry come back a little later than they
/// could, never earlier.
fn add_taken(taken: &mut Vec<Taken>, now: Timestamp, near: SignedDuration) {
    let is_full = taken.len() >= EXACT;
    match taken.last_mut() {
        Some(Taken::Many(until, count)) if now <= *until => *count += 1,
        _ if is_full => {
            let until = now.checked_add(near).unwrap_or(now);
            taken.push(Taken::Many(until, 1));
        }
        _ => taken.push(Taken::One(now)),
    }
}

/// State of a bucket.
#[derive(Default, Serialize, Deserialize)]
struct State {
    /// The tokens that are out, in the order they were taken.
    taken: Vec<Taken>,
    #[serde(default)]
    blocked_until: Option<Timestamp>,
}

/// How long a block still lasts.
fn blocked(state: &State, now: Timestamp) -> Option<Duration> {
    let left = state.blocked_until?.duration_since(now);
    (left.is_positive() && left.unsigned_abs() <= MAX_BLOCK).then(|| left.unsigned_abs())
}

/// Takes a token of a bucket.
fn take(tx: &Tx<'_>, name: &str, bucket: Bucket, now: Timestamp) -> StoreResult<Option<Duration>> {
    let per = SignedDuration::try_from(bucket.per)
        .ok()
        .filter(|per| per.is_positive() && bucket.capacity > 0)
        .ok_or_else(|| StoreError::Invalid {
            what: format!("bucket `{name}` needs a capacity and a time"),
        })?;
    let mut state: State = tx.get(BUCKETS, name)?.unwrap_or_default();
    if let Some(wait) = blocked(&state, now) {
        return Ok(Some(wait));
    }
    let asked_at = now;
    let near = per / i32::try_from(EXACT).unwrap_or(i32::MAX);
    let taken = &mut state.taken;
    let latest = taken.last().map_or(now, |last| last.since(near));
    // A caller whose clock is a little behind is served on the clock of the one before. Tokens far
    // in the future come from a clock that was wrong: they count as taken now, not for ever.
    let now = if latest.duration_since(now) <= per {
        now.max(latest)
    } else {
        now
    };
    for tokens in taken.iter_mut() {
        *tokens = tokens.no_later_than(now, near);
    }
    taken.retain(|tokens| now.duration_since(tokens.at()) < per);
    let capacity = usize::try_from(bucket.capacity).unwrap_or(usize::MAX);
    let mut out: usize = taken.iter().map(|tokens| tokens.count()).sum();
    if out >= capacity {
        // The tokens that have to come back before there is a free one.
        let frees = taken.iter().find(|tokens| {
            out -= tokens.count();
            out < capacity
        });
        let since = frees.map_or(now, |tokens| tokens.at());
        let wait = per.saturating_sub(asked_at.duration_since(since));
        return Ok(Some(wait.unsigned_abs()));
    }
    add_taken(taken, now, near);
    tx.put(BUCKETS, name, &state)?;
    Ok(None)
}

fn block(tx: &Tx<'_>, name: &str, until: Timestamp) -> StoreResult<()> {
    let mut state: State = tx.get(BUCKETS, name)?.unwrap_or_default();
    // What is further away than any block may be was written by a clock that was wrong.
    let longest = until.checked_add(MAX_BLOCK).unwrap_or(Timestamp::MAX);
    let known = state.blocked_until.filter(|known| *known <= longest);
    state.blocked_until = known.max(Some(until));
    tx.put(BUCKETS, name, &state)
}

#[async_trait]
impl<B: Backend> Counters for Records<B> {
    async fn take_token(
        &self,
        name: &str,
        bucket: Bucket,
        now: Timestamp,
    ) -> StoreResult<Option<Duration>> {
        let name = name.to_owned();
        self.0.write(move |tx| take(tx, &name, bucket, now)).await
    }

    async fn block(&self, name: &str, until: Timestamp) -> StoreResult<()> {
        let name = name.to_owned();
        self.0.write(move |tx| block(tx, &name, until)).await
    }

    async fn add(&self, name: &str, key: &str, amount: i64) -> StoreResult<i64> {
        let (pk, name, key) = (
            format!("counter/{name}"),
            name.to_owned(),
            format!("key/{key}"),
        );
        self.0
            .write(move |tx| {
                let value: i64 = tx.get(&pk, VALUE)?.unwrap_or_default();
                if tx.get::<i64>(&pk, &key)?.is_some() {
                    return Ok(value);
                }
                let value = value
                    .checked_add(amount)
                    .ok_or_else(|| StoreError::Invalid {
                        what: format!("counter `{name}` would overflow"),
                    })?;
                tx.put(&pk, VALUE, &value)?;
                tx.put_until(
                    &pk,
                    &key,
                    &amount,
                    Timestamp::now().checked_add(KEEP_KEYS).ok(),
                )?;
                tx.change("counter", None, &name)?;
                Ok(value)
            })
            .await
    }

    async fn read(&self, name: &str) -> StoreResult<i64> {
        let pk = format!("counter/{name}");
        Ok(self
            .0
            .read(move |tx| tx.get(&pk, VALUE))
            .await?
            .unwrap_or_default())
    }

    async fn set_flag(&self, name: &str, value: Option<&str>) -> StoreResult<()> {
        let (name, value) = (name.to_owned(), value.map(ToOwned::to_owned));
        self.0
            .write(move |tx| {
                if tx.get::<String>("flag", &name)? == value {
                    return Ok(());
                }
                match &value {
                    Some(value) => tx.put("flag", &name, value)?,
                    None => tx.delete("flag", &name)?,
                }
                tx.change("flag", None, &name)?;
                Ok(())
            })
            .await
    }

    async fn get_flag(&self, name: &str) -> StoreResult<Option<String>> {
        let name = name.to_owned();
        self.0.read(move |tx| tx.get("flag", &name)).await
    }

    async fn claim(&self, name: &str, per: Duration, now: Timestamp) -> StoreResult<bool> {
        let name = name.to_owned();
        let per = SignedDuration::try_from(per).map_err(|error| StoreError::Invalid {
            what: format!("claim `{name}` is too long: {error}"),
        })?;
        self.0
            .write(move |tx| {
                let last: Option<Timestamp> = tx.get("claim", &name)?;
                // A claim far in the future comes from a clock that was wrong.
                let free = last.is_none_or(|last| now.duration_since(last).abs() >= per);
                if free {
                    tx.put("claim", &name, &now)?;
                }
                Ok(free)
            })
            .await
    }
}
