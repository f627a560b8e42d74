//! Items in SQLite.

use domain::ids::ClientId;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::{
    StoreError, StoreResult,
    records::items::{Item, Items, Order, Place, Standing},
};

/// Greater than every sort key.
const END: &str = "\u{10FFFF}";

/// A transaction of SQLite.
pub(crate) struct SqlTx<'a> {
    pub(super) connection: &'a Connection,
}

impl Items for SqlTx<'_> {
    fn item(&self, pk: &str, sk: &str) -> StoreResult<Option<Item>> {
        self.connection
            .prepare_cached("SELECT pk, sk, body FROM items WHERE pk = ?1 AND sk = ?2")
            .and_then(|mut statement| statement.query_row(params![pk, sk], item).optional())
            .map_err(StoreError::of_sqlite)
    }

    fn items(&self, keys: &[Standing]) -> StoreResult<Vec<Option<Item>>> {
        keys.iter().map(|key| self.item(&key.pk, &key.sk)).collect()
    }

    fn put_item(&self, item: Item, expires_at: Option<Timestamp>) -> StoreResult<()> {
        self.execute(
            "INSERT INTO items (pk, sk, body, expires_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (pk, sk) DO UPDATE SET body = excluded.body, expires_at = excluded.expires_at",
            params![item.pk, item.sk, item.body, expires_at.map(Timestamp::as_microsecond)],
        )
    }

    fn place(&self, pk: &str, sk: &str, places: &[Place]) -> StoreResult<()> {
        self.execute(
            "DELETE FROM lists WHERE pk = ?1 AND sk = ?2",
            params![pk, sk],
        )?;
        for (name, sort) in places {
            self.execute(
                "INSERT INTO lists (name, sort, pk, sk) VALUES (?1, ?2, ?3, ?4)",
                params![name, sort, pk, sk],
            )?;
        }
        Ok(())
    }

    fn delete(&self, pk: &str, sk: &str) -> StoreResult<()> {
        self.execute(
            "DELETE FROM lists WHERE pk = ?1 AND sk = ?2",
            params![pk, sk],
        )?;
        self.execute(
            "DELETE FROM items WHERE pk = ?1 AND sk = ?2",
            params![pk, sk],
        )
    }

    fn range(
        &self,
        pk: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        order: Order,
    ) -> StoreResult<Vec<Item>> {
        let (low, high) = bounds(prefix, after, order);
        self.rows(
            match order {
                Order::Ascending => {
                    "SELECT pk, sk, body FROM items WHERE pk = ?1 AND sk > ?2 AND sk < ?3 ORDER BY sk LIMIT ?4"
                }
                Order::Descending => {
                    "SELECT pk, sk, body FROM items WHERE pk = ?1 AND sk > ?2 AND sk < ?3 ORDER BY sk DESC LIMIT ?4"
                }
            },
            params![pk, low, high, to_sql(limit)],
            item,
        )
    }

    fn standings(
        &self,
        name: &str,
        after: Option<&str>,
        limit: usize,
        order: Order,
    ) -> StoreResult<Vec<Standing>> {
        let (low, high) = bounds("", after, order);
        self.rows(
            match order {
                Order::Ascending => {
                    "SELECT sort, pk, sk FROM lists WHERE name = ?1 AND sort > ?2 AND sort < ?3 ORDER BY sort LIMIT ?4"
                }
                Order::Descending => {
                    "SELECT sort, pk, sk FROM lists WHERE name = ?1 AND sort > ?2 AND sort < ?3
                     ORDER BY sort DESC LIMIT ?4"
                }
            },
            params![name, low, high, to_sql(limit)],
            |row| {
                Ok(Standing {
                    sort: row.get(0)?,
                    pk: row.get(1)?,
                    sk: row.get(2)?,
                })
            },
        )
    }

    fn change(&self, kind: &str, client: Option<&ClientId>, key: &str) -> StoreResult<u64> {
        self.execute(
            "INSERT INTO outbox (client, kind, key, at) VALUES (?1, ?2, ?3, ?4)",
            params![
                client.map(ClientId::as_str),
                kind,
                key,
                Timestamp::now().as_microsecond()
            ],
        )?;
        Ok(self.connection.last_insert_rowid().unsigned_abs())
    }

    /// The sweep finds what belongs to a record that is past its time.
    fn expire(&self, _pk: &str, _at: Timestamp) -> StoreResult<()> {
        Ok(())
    }
}

impl<'a> SqlTx<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    /// Runs a statement that returns no rows.
    pub(crate) fn execute(&self, sql: &str, params: impl rusqlite::Params) -> StoreResult<()> {
        self.count(sql, params).map(drop)
    }

    /// Runs a statement and returns how many rows it touched.
    pub(crate) fn count(&self, sql: &str, params: impl rusqlite::Params) -> StoreResult<usize> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .map_err(StoreError::of_sqlite)
    }

    /// Runs a query.
    pub(crate) fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> StoreResult<Vec<T>> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map(params, read)?.collect())
            .map_err(StoreError::of_sqlite)
    }
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item {
        pk: row.get(0)?,
        sk: row.get(1)?,
        body: row.get(2)?,
    })
}

fn bounds(prefix: &str, after: Option<&str>, order: Order) -> (String, String) {
    let low = prefix.to_owned();
    // `0` follows `/`: everything that starts with `a/` lies between `a/` and `a0`.
    let high = prefix
        .strip_suffix('/')
        .map_or_else(|| END.to_owned(), |stem| format!("{stem}0"));
    match (after, order) {
        (None, _) => (low, high),
        (Some(after), Order::Ascending) => (after.to_owned(), high),
        (Some(after), Order::Descending) => (low, after.to_owned()),
    }
}

pub(super) fn to_sql(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
