//! Records as key-value items inside a transaction: a partition key, a sort key, a JSON body, and
//! the lists the item stands in. Everything is reached by key or by a range of sort keys.

use std::ops::Deref;

use domain::ids::ClientId;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use crate::store::{Listing, StoreError, StoreResult};

/// Most items of one page.
const MAX_PAGE: usize = 1000;

/// Direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Order {
    Ascending,
    Descending,
}

/// A list an item stands in, and its place there.
pub(in crate::store) type Place = (String, String);

/// A place of a list, and the key of what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Standing {
    pub(in crate::store) sort: String,
    pub(in crate::store) pk: String,
    pub(in crate::store) sk: String,
}

/// One item: its keys and its body.
#[derive(Debug, Clone)]
pub(in crate::store) struct Item {
    pub(in crate::store) pk: String,
    pub(in crate::store) sk: String,
    pub(in crate::store) body: String,
}

impl Item {
    pub(super) fn parse<T: DeserializeOwned>(&self) -> StoreResult<T> {
        serde_json::from_str(&self.body).map_err(|error| StoreError::Corrupt {
            what: format!("record `{} {}`", self.pk, self.sk),
            source: Some(error.into()),
        })
    }
}

/// What an adapter does inside a transaction. Reads see the writes of the same transaction by key,
/// not in ranges and lists.
pub(in crate::store) trait Items {
    /// Reads an item by its key.
    fn item(&self, pk: &str, sk: &str) -> StoreResult<Option<Item>>;
    /// Reads items by their keys, in their order.
    fn items(&self, keys: &[Standing]) -> StoreResult<Vec<Option<Item>>>;
    /// Writes an item, which may be forgotten after a time.
    fn put_item(&self, item: Item, expires_at: Option<Timestamp>) -> StoreResult<()>;
    /// Puts an item into lists, and out of those it stood in before.
    fn place(&self, pk: &str, sk: &str, places: &[Place]) -> StoreResult<()>;
    /// Deletes an item and its places.
    fn delete(&self, pk: &str, sk: &str) -> StoreResult<()>;
    /// Reads items of a partition whose sort key starts with `prefix` (empty, or ending in `/`),
    /// from the one after `after`.
    fn range(
        &self,
        pk: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        order: Order,
    ) -> StoreResult<Vec<Item>>;
    /// Reads a list from the place after `after`.
    fn standings(
        &self,
        name: &str,
        after: Option<&str>,
        limit: usize,
        order: Order,
    ) -> StoreResult<Vec<Standing>>;
    /// Appends a change and returns its position.
    fn change(&self, kind: &str, client: Option<&ClientId>, key: &str) -> StoreResult<u64>;
    /// Lets all that is in a partition be forgotten after a time.
    fn expire(&self, pk: &str, at: Timestamp) -> StoreResult<()>;
}

/// A transaction that reads and writes records.
pub(in crate::store) struct Tx<'a>(pub(in crate::store) &'a dyn Items);

impl<'a> Deref for Tx<'a> {
    type Target = dyn Items + 'a;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl Tx<'_> {
    /// Reads a record by its key.
    pub(super) fn get<T: DeserializeOwned>(&self, pk: &str, sk: &str) -> StoreResult<Option<T>> {
        self.item(pk, sk)?.map(|item| item.parse()).transpose()
    }

    /// Reads the records of partitions that have one of this sort key.
    pub(super) fn get_all<T: DeserializeOwned>(
        &self,
        pks: &[String],
        sk: &str,
    ) -> StoreResult<Vec<T>> {
        let keys = pks.iter().map(|pk| Standing {
            sort: String::new(),
            pk: pk.clone(),
            sk: sk.to_owned(),
        });
        let found = self.items(&keys.collect::<Vec<_>>())?;
        found.iter().flatten().map(Item::parse).collect()
    }

    /// Writes a record.
    pub(super) fn put<T: Serialize>(&self, pk: &str, sk: &str, value: &T) -> StoreResult<()> {
        self.put_until(pk, sk, value, None)
    }

    /// Writes a record that may be forgotten after a time.
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
        let (pk, sk) = (pk.to_owned(), sk.to_owned());
        self.put_item(Item { pk, sk, body }, expires_at)
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
        let mut standings = self.standings(name, cursor, limit + 1, order)?;
        let more = standings.len() > limit;
        standings.truncate(limit);
        let next = standings
            .last()
            .filter(|_| more)
            .map(|last| last.sort.clone());
        let found = self.items(&standings)?;
        let items = found.iter().zip(&standings).map(|(item, at)| match item {
            Some(item) => item.parse(),
            None => Err(StoreError::corrupt(format!(
                "list `{name}` at `{} {}`",
                at.pk, at.sk
            ))),
        });
        Ok(Listing {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }
}

/// Text that sorts like the number.
pub(in crate::store) fn number(value: u64) -> String {
    format!("{value:020}")
}

/// Text that sorts like the time, to the microsecond.
pub(super) fn moment(at: Timestamp) -> String {
    // Timestamps reach from -4e17 to 3e17 microseconds.
    format!("{:019}", at.as_microsecond() + 1_000_000_000_000_000_000)
}
