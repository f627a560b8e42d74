//! Changes for live views, and the sweep of what is past its time.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::params;

use super::{
    Embedded,
    items::{SqlTx, to_sql},
};
use crate::store::records::items::Items;
use crate::store::{Change, Outbox, StoreError, StoreResult, Upkeep};

/// How long a change is kept: live views that were away for longer read their lists again.
const KEEP_CHANGES: Duration = Duration::from_secs(7 * 24 * 3600);
/// Rows deleted in one transaction.
const SWEEP: usize = 500;

#[async_trait]
impl Outbox for Embedded {
    async fn changes_after(&self, sequence: u64, limit: usize) -> StoreResult<Vec<Change>> {
        let after = i64::try_from(sequence).unwrap_or(i64::MAX);
        self.sql_read(move |tx| {
            let rows = tx.rows(
                "SELECT sequence, client, kind, key, at FROM outbox WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
                params![after, to_sql(limit)],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
            )?;
            rows.into_iter().map(change).collect()
        })
        .await
    }
}

fn change(
    (sequence, client, kind, key, at): (i64, Option<String>, String, String, i64),
) -> StoreResult<Change> {
    let damaged = || StoreError::corrupt(format!("change {sequence}"));
    Ok(Change {
        sequence: sequence.unsigned_abs(),
        client: client
            .map(|client| client.parse())
            .transpose()
            .map_err(|_| damaged())?,
        kind,
        key,
        at: Timestamp::from_microsecond(at).map_err(|_| damaged())?,
    })
}

#[async_trait]
impl Upkeep for Embedded {
    async fn sweep_expired(&self, now: Timestamp) -> StoreResult<u64> {
        let old = now.checked_sub(KEEP_CHANGES).unwrap_or(Timestamp::MIN);
        let mut swept = 0;
        loop {
            let gone = self
                .writer
                .write(move |tx| Ok(sweep_items(tx, now)? + sweep_changes(tx, old)?))
                .await?;
            if gone == 0 {
                return Ok(swept);
            }
            swept += gone as u64;
        }
    }
}

fn sweep_changes(tx: &SqlTx<'_>, old: Timestamp) -> StoreResult<usize> {
    tx.count(
        "DELETE FROM outbox WHERE sequence IN (SELECT sequence FROM outbox WHERE at <= ?1 LIMIT ?2)",
        params![old.as_microsecond(), to_sql(SWEEP)],
    )
}

fn sweep_items(tx: &SqlTx<'_>, now: Timestamp) -> StoreResult<usize> {
    let expired: Vec<(String, String)> = tx.rows(
        "SELECT pk, sk FROM items WHERE expires_at IS NOT NULL AND expires_at <= ?1 LIMIT ?2",
        params![now.as_microsecond(), to_sql(SWEEP)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut gone = 0;
    for (pk, sk) in expired {
        // A status goes last: what hangs on it would otherwise be left behind.
        if pk.starts_with("plan/") {
            let rest: Vec<String> = tx.rows(
                "SELECT sk FROM items WHERE pk = ?1 AND sk <> ?2 LIMIT ?3",
                params![pk, sk, to_sql(SWEEP)],
                |row| row.get(0),
            )?;
            for key in &rest {
                Items::delete(tx, &pk, key)?;
            }
            gone += rest.len();
            if !rest.is_empty() {
                return Ok(gone);
            }
        }
        Items::delete(tx, &pk, &sk)?;
        gone += 1;
    }
    Ok(gone)
}
