//! Records as key-value items inside a transaction: a partition key, a sort key, a JSON body, and
//! the lists the item stands in. Everything is reached by key or by a range of sort keys.

use domain::ids::ClientId;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Serialize, de::DeserializeOwned};

use crate::store::{Listing, StoreError, StoreResult};

/// Most items of one page.
const MAX_PAGE: usize = 1000;
/// Greater than every sort key.
const END: &str = "\u{10FFFF}";

/// Direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// A list an item stands in, and its place there.
pub(super) type Place = (String, String);

/// One item of a range: its sort key and its body.
pub(super) struct Item {
    pub(super) pk: String,
    pub(super) sk: String,
    body: String,
}

impl Item {
    pub(super) fn parse<T: DeserializeOwned>(&self) -> StoreResult<T> {
        serde_json::from_str(&self.body).map_err(|error| StoreError::Corrupt {
            what: format!("record `{} {}`", self.pk, self.sk),
            source: Some(error.into()),
        })
    }
}

/// A transaction that reads and writes items.
pub(super) struct Tx<'a> {
    pub(super) connection: &'a Connection,
}

impl<'a> Tx<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    /// Reads a record by its key.
    pub(super) fn get<T: DeserializeOwned>(&self, pk: &str, sk: &str) -> StoreResult<Option<T>> {
        self.item(pk, sk)?.map(|item| item.parse()).transpose()
    }

    fn item(&self, pk: &str, sk: &str) -> StoreResult<Option<Item>> {
        self.connection
            .prepare_cached("SELECT pk, sk, body FROM items WHERE pk = ?1 AND sk = ?2")
            .and_then(|mut statement| statement.query_row(params![pk, sk], item).optional())
            .map_err(StoreError::of_sqlite)
    }

    /// Writes a record that stands in no list.
    pub(super) fn put<T: Serialize>(&self, pk: &str, sk: &str, value: &T) -> StoreResult<()> {
        self.put_until(pk, sk, value, None)
    }

    /// Writes a record that stands in no list and may be forgotten after a time.
    pub(super) fn put_until<T: Serialize>(
        &self,
        pk: &str,
        sk: &str,
        value: &T,
        expires_at: Option<Timestamp>,
    ) -> StoreResult<()> {
        let body = serde_json::to_string(value).map_err(|error| StoreError::Invalid {
            what: format!("`{pk} {sk}` cannot be JSON: {error}"),
        })?;
        self.execute(
            "INSERT INTO items (pk, sk, body, expires_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (pk, sk) DO UPDATE SET body = excluded.body, expires_at = excluded.expires_at",
            params![pk, sk, body, expires_at.map(Timestamp::as_microsecond)],
        )
    }

    /// Puts a record into lists, and out of those it stood in before.
    pub(super) fn place(&self, pk: &str, sk: &str, places: &[Place]) -> StoreResult<()> {
        self.execute(
            "DELETE FROM lists WHERE pk = ?1 AND sk = ?2",
            params![pk, sk],
        )?;
        self.place_new(pk, sk, places)
    }

    /// Puts a record that stood nowhere into lists.
    pub(super) fn place_new(&self, pk: &str, sk: &str, places: &[Place]) -> StoreResult<()> {
        for (name, sort) in places {
            self.execute(
                "INSERT INTO lists (name, sort, pk, sk) VALUES (?1, ?2, ?3, ?4)",
                params![name, sort, pk, sk],
            )?;
        }
        Ok(())
    }

    /// Deletes a record and its places.
    pub(super) fn delete(&self, pk: &str, sk: &str) -> StoreResult<()> {
        self.execute(
            "DELETE FROM lists WHERE pk = ?1 AND sk = ?2",
            params![pk, sk],
        )?;
        self.execute(
            "DELETE FROM items WHERE pk = ?1 AND sk = ?2",
            params![pk, sk],
        )
    }

    /// Reads records of a partition whose sort key starts with `prefix` (empty, or ending in `/`),
    /// from the one after `after`.
    pub(super) fn range(
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

    /// Reads the record with the greatest sort key that starts with `prefix`.
    pub(super) fn last(&self, pk: &str, prefix: &str) -> StoreResult<Option<Item>> {
        Ok(self.range(pk, prefix, None, 1, Order::Descending)?.pop())
    }

    /// Reads a page of records of a partition; the cursor is a sort key without its prefix.
    pub(super) fn page<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        cursor: Option<&str>,
        limit: usize,
        order: Order,
    ) -> StoreResult<Listing<T>> {
        let limit = limit.clamp(1, MAX_PAGE);
        let after = cursor.map(|cursor| format!("{prefix}{cursor}"));
        let mut items = self.range(pk, prefix, after.as_deref(), limit + 1, order)?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| last.sk[prefix.len()..].to_owned());
        Ok(Listing {
            items: items.iter().map(Item::parse).collect::<Result<_, _>>()?,
            next,
        })
    }

    /// Reads a page of the sort keys of a partition, ascending; the cursor is a sort key.
    pub(super) fn keys(
        &self,
        pk: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<String>> {
        let limit = limit.clamp(1, MAX_PAGE);
        let items = self.range(pk, "", cursor, limit + 1, Order::Ascending)?;
        let more = items.len() > limit;
        let items: Vec<String> = items.into_iter().take(limit).map(|item| item.sk).collect();
        let next = items.last().filter(|_| more).cloned();
        Ok(Listing { items, next })
    }

    /// Reads a page of a list; the cursor is a place in it.
    pub(super) fn list<T: DeserializeOwned>(
        &self,
        name: &str,
        cursor: Option<&str>,
        limit: usize,
        order: Order,
    ) -> StoreResult<Listing<T>> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut places = self.places(name, cursor, limit + 1, order)?;
        let more = places.len() > limit;
        places.truncate(limit);
        let next = places.last().filter(|_| more).map(|last| last.0.clone());
        let items = places.iter().map(|(_, pk, sk)| {
            self.get(pk, sk)?
                .ok_or_else(|| StoreError::corrupt(format!("list `{name}` at `{pk} {sk}`")))
        });
        Ok(Listing {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// Reads places of a list: sort, partition key, sort key.
    pub(super) fn places(
        &self,
        name: &str,
        after: Option<&str>,
        limit: usize,
        order: Order,
    ) -> StoreResult<Vec<(String, String, String)>> {
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
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
    }

    /// Appends a change and returns its position.
    pub(super) fn change(
        &self,
        kind: &str,
        client: Option<&ClientId>,
        key: &str,
    ) -> StoreResult<i64> {
        self.execute(
            "INSERT INTO outbox (client, kind, key, at) VALUES (?1, ?2, ?3, ?4)",
            params![
                client.map(ClientId::as_str),
                kind,
                key,
                Timestamp::now().as_microsecond()
            ],
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Runs a statement that returns no rows.
    pub(super) fn execute(&self, sql: &str, params: impl rusqlite::Params) -> StoreResult<()> {
        self.count(sql, params).map(drop)
    }

    /// Runs a statement and returns how many rows it touched.
    pub(super) fn count(&self, sql: &str, params: impl rusqlite::Params) -> StoreResult<usize> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .map_err(StoreError::of_sqlite)
    }

    /// Runs a query.
    pub(super) fn rows<T>(
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

/// Text that sorts like the number.
pub(super) fn number(value: u64) -> String {
    format!("{value:020}")
}

/// Text that sorts like the time, to the microsecond.
pub(super) fn moment(at: Timestamp) -> String {
    // Timestamps reach from -4e17 to 3e17 microseconds.
    format!("{:019}", at.as_microsecond() + 1_000_000_000_000_000_000)
}
