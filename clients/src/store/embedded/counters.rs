//! Counters, token buckets, flags and claims. The time of a call is the caller's; clocks of several
//! processes may differ a little.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{Embedded, items::Tx};
use crate::store::{Bucket, Counters, StoreError, StoreResult};

const VALUE: &str = "value";
/// How long the key of an addition is remembered.
const KEEP_KEYS: Duration = Duration::from_secs(90 * 24 * 3600);

/// Takes a token of a bucket whose row holds when the tokens that are out were taken.
fn take(tx: &Tx<'_>, name: &str, bucket: Bucket, now: Timestamp) -> StoreResult<Option<Duration>> {
    let per = SignedDuration::try_from(bucket.per)
        .ok()
        .filter(|per| per.is_positive() && bucket.capacity > 0)
        .ok_or_else(|| StoreError::Invalid {
            what: format!("bucket `{name}` needs a capacity and a time"),
        })?;
    let mut taken: Vec<Timestamp> = tx.get("bucket", name)?.unwrap_or_default();
    let latest = taken.last().copied().unwrap_or(now);
    // A caller whose clock is a little behind is served on the clock of the one before. Tokens far
    // in the future come from a clock that was wrong: they count as taken now, not for ever.
    let now = if latest.duration_since(now) <= per {
        now.max(latest)
    } else {
        now
    };
    for at in &mut taken {
        *at = (*at).min(now);
    }
    taken.retain(|at| now.duration_since(*at) < per);
    let capacity = usize::try_from(bucket.capacity).unwrap_or(usize::MAX);
    if let Some(over) = taken.len().checked_sub(capacity) {
        // The token that has to come back before there is a free one.
        return Ok(Some(
            per.saturating_sub(now.duration_since(taken[over]))
                .unsigned_abs(),
        ));
    }
    taken.push(now);
    tx.put("bucket", name, &taken)?;
    Ok(None)
}

#[async_trait]
impl Counters for Embedded {
    async fn take_token(
        &self,
        name: &str,
        bucket: Bucket,
        now: Timestamp,
    ) -> StoreResult<Option<Duration>> {
        let name = name.to_owned();
        self.write(move |tx| take(tx, &name, bucket, now)).await
    }

    async fn add(&self, name: &str, key: &str, amount: i64) -> StoreResult<i64> {
        let (pk, name, key) = (
            format!("counter/{name}"),
            name.to_owned(),
            format!("key/{key}"),
        );
        self.write(move |tx| {
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
        Ok(Embedded::read(self, move |tx| tx.get(&pk, VALUE))
            .await?
            .unwrap_or_default())
    }

    async fn set_flag(&self, name: &str, value: Option<&str>) -> StoreResult<()> {
        let (name, value) = (name.to_owned(), value.map(ToOwned::to_owned));
        self.write(move |tx| {
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
        Embedded::read(self, move |tx| tx.get("flag", &name)).await
    }

    async fn claim(&self, name: &str, per: Duration, now: Timestamp) -> StoreResult<bool> {
        let name = name.to_owned();
        let per = SignedDuration::try_from(per).map_err(|error| StoreError::Invalid {
            what: format!("claim `{name}` is too long: {error}"),
        })?;
        self.write(move |tx| {
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
