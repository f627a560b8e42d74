//! A transaction: reads go to the tables, consistently; writes are kept until the commit.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::KeysAndAttributes};
use domain::ids::ClientId;
use jiff::Timestamp;
use tokio::runtime::Handle;

use super::{
    Dynamo, Table,
    error::explain,
    outbox,
    row::{self, Attributes, Stored, seconds, sort_key, string, text},
    tables::{LIST, PART},
};
use crate::store::{
    StoreError, StoreResult,
    records::items::{Item, Items, Order, Place, Standing},
};

/// Items of one batch.
const BATCH: usize = 100;
/// Rounds in which a batch is asked for what it left out.
const ROUNDS: u32 = 8;

/// Partition key and sort key.
pub(super) type Key = (String, String);

/// What the commit shall do with an item.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Put {
        body: String,
        places: Vec<Place>,
        expires_at: Option<i64>,
    },
    Delete,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// What was read, or seen to be absent.
    pub(super) seen: BTreeMap<Key, Option<Stored>>,
    pub(super) changes: BTreeMap<Key, Change>,
    /// Rows of the outbox.
    pub(super) news: Vec<Attributes>,
}

pub(super) struct DynamoTx<'a> {
    pub(super) dynamo: &'a Dynamo,
    pub(super) handle: &'a Handle,
    pub(super) state: RefCell<State>,
}

impl<'a> DynamoTx<'a> {
    pub(super) fn new(dynamo: &'a Dynamo, handle: &'a Handle) -> Self {
        Self {
            dynamo,
            handle,
            state: RefCell::default(),
        }
    }

    /// Reads are not of one moment: records that do not fit together may only have been written between
    /// two of them. They are damaged when they do not fit a second time and nothing has changed.
    pub(super) fn may_be_of_two_moments(
        &self,
        error: &StoreError,
        damage: &mut Option<BTreeMap<Key, Option<String>>>,
    ) -> bool {
        if !matches!(error, StoreError::Corrupt { .. }) {
            return false;
        }
        let state = self.state.borrow();
        let version = |stored: &Option<Stored>| stored.as_ref().map(|s| s.version.clone());
        let seen = state
            .seen
            .iter()
            .map(|(key, stored)| (key.clone(), version(stored)));
        let seen = Some(seen.collect());
        let is_new = *damage != seen;
        *damage = seen;
        is_new
    }

    /// The queue of those who write to the same partition, of so many queues.
    pub(super) fn queue(&self, queues: usize) -> usize {
        let state = self.state.borrow();
        let mut hasher = DefaultHasher::new();
        let first = state.changes.keys().chain(state.seen.keys()).next();
        first.map(|(pk, _)| pk).hash(&mut hasher);
        (hasher.finish() % queues as u64) as usize
    }

    /// Reads an item once.
    fn stored(&self, pk: &str, sk: &str) -> StoreResult<Option<Stored>> {
        let key = (pk.to_owned(), sk.to_owned());
        if let Some(seen) = self.state.borrow().seen.get(&key) {
            return Ok(seen.clone());
        }
        let found = self.handle.block_on(self.dynamo.get(pk, sk))?;
        self.state.borrow_mut().seen.insert(key, found.clone());
        Ok(found)
    }

    /// What an item will be after the commit.
    fn coming(&self, pk: &str, sk: &str) -> StoreResult<Option<Change>> {
        let key = (pk.to_owned(), sk.to_owned());
        if let Some(change) = self.state.borrow().changes.get(&key) {
            return Ok(Some(change.clone()));
        }
        Ok(self.stored(pk, sk)?.map(|stored| Change::Put {
            body: stored.body,
            places: stored.places,
            expires_at: stored.expires_at,
        }))
    }

    fn note(&self, found: Vec<(Item, Stored)>) -> Vec<Item> {
        let mut state = self.state.borrow_mut();
        let note = |(item, stored): (Item, Stored)| {
            let key = (item.pk.clone(), item.sk.clone());
            state.seen.entry(key).or_insert(Some(stored));
            item
        };
        found.into_iter().map(note).collect()
    }
}

impl Items for DynamoTx<'_> {
    fn item(&self, pk: &str, sk: &str) -> StoreResult<Option<Item>> {
        Ok(match self.coming(pk, sk)? {
            Some(Change::Put { body, .. }) => Some(Item {
                pk: pk.to_owned(),
                sk: sk.to_owned(),
                body,
            }),
            Some(Change::Delete) | None => None,
        })
    }

    fn items(&self, keys: &[Standing]) -> StoreResult<Vec<Option<Item>>> {
        let mut found = BTreeMap::new();
        for chunk in keys.chunks(BATCH) {
            let batch = self.handle.block_on(self.dynamo.get_batch(chunk))?;
            for item in self.note(batch) {
                found.insert((item.pk.clone(), item.sk.clone()), item);
            }
        }
        let take = |key: &Standing| found.get(&(key.pk.clone(), key.sk.clone())).cloned();
        Ok(keys.iter().map(take).collect())
    }

    fn put_item(&self, item: Item, expires_at: Option<Timestamp>) -> StoreResult<()> {
        let places = match self.coming(&item.pk, &item.sk)? {
            Some(Change::Put { places, .. }) => places,
            Some(Change::Delete) | None => vec![],
        };
        let change = Change::Put {
            body: item.body,
            places,
            expires_at: expires_at.map(Timestamp::as_second),
        };
        let key = (item.pk, item.sk);
        self.state.borrow_mut().changes.insert(key, change);
        Ok(())
    }

    fn place(&self, pk: &str, sk: &str, wanted: &[Place]) -> StoreResult<()> {
        let Some(Change::Put {
            body, expires_at, ..
        }) = self.coming(pk, sk)?
        else {
            return Err(StoreError::corrupt(format!("record `{pk} {sk}`")));
        };
        let change = Change::Put {
            body,
            places: wanted.to_vec(),
            expires_at,
        };
        let key = (pk.to_owned(), sk.to_owned());
        self.state.borrow_mut().changes.insert(key, change);
        Ok(())
    }

    fn delete(&self, pk: &str, sk: &str) -> StoreResult<()> {
        self.stored(pk, sk)?;
        let key = (pk.to_owned(), sk.to_owned());
        self.state.borrow_mut().changes.insert(key, Change::Delete);
        Ok(())
    }

    fn range(
        &self,
        pk: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        order: Order,
    ) -> StoreResult<Vec<Item>> {
        let rows = self.dynamo.query(pk, prefix, after, limit, order);
        let mut found = Vec::new();
        for row in self.handle.block_on(rows)? {
            let sk = sort_key(&row);
            let item = self.handle.block_on(self.dynamo.whole(pk, &sk, &row))?;
            found.push(item);
        }
        Ok(self.note(found))
    }

    fn standings(
        &self,
        name: &str,
        after: Option<&str>,
        limit: usize,
        order: Order,
    ) -> StoreResult<Vec<Standing>> {
        let pk = format!("{LIST}{name}");
        let rows = self.dynamo.query(&pk, "", after, limit, order);
        let rows = self.handle.block_on(rows)?;
        let standing = |row: Attributes| {
            let of = |name: &str| string(&row, name).cloned();
            let sort = sort_key(&row);
            match (of("of_pk"), of("of_sk")) {
                (Some(pk), Some(sk)) => Ok(Standing { sort, pk, sk }),
                _ => Err(StoreError::corrupt(format!("list `{name}` at `{sort}`"))),
            }
        };
        rows.into_iter().map(standing).collect()
    }

    fn change(&self, kind: &str, client: Option<&ClientId>, key: &str) -> StoreResult<u64> {
        let (position, row) = outbox::row(kind, client, key);
        self.state.borrow_mut().news.push(row);
        Ok(position)
    }

    fn expire(&self, pk: &str, at: Timestamp) -> StoreResult<()> {
        self.handle.block_on(self.dynamo.expire(pk, at.as_second()))
    }
}

impl Dynamo {
    async fn get(&self, pk: &str, sk: &str) -> StoreResult<Option<Stored>> {
        let table = Table::of(pk)?;
        let answer = self
            .client
            .get_item()
            .table_name(self.table(table))
            .set_key(Some(row::keys(pk, sk)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| explain(self, table, error))?;
        match answer.item {
            Some(row) => Ok(Some(self.whole(pk, sk, &row).await?.1)),
            None => Ok(None),
        }
    }

    /// Puts an item together, with what did not fit into it.
    async fn whole(&self, pk: &str, sk: &str, row: &Attributes) -> StoreResult<(Item, Stored)> {
        let corrupt = || StoreError::corrupt(format!("record `{pk} {sk}`"));
        let mut stored = row::read(row).ok_or_else(corrupt)?;
        if stored.parts > 0 {
            let prefix = format!("{sk}/{}/", stored.version);
            let of_parts = format!("{PART}{pk}");
            let parts = self
                .query(&of_parts, &prefix, None, usize::MAX, Order::Ascending)
                .await?;
            let bytes = parts
                .iter()
                .filter_map(|part| part.get("packed")?.as_b().ok());
            let bytes: Vec<_> = bytes.map(|blob| blob.as_ref()).collect();
            if bytes.len() != stored.parts {
                return Err(corrupt());
            }
            stored.body = row::unpack(&bytes.concat()).map_err(|_| corrupt())?;
        }
        let item = Item {
            pk: pk.to_owned(),
            sk: sk.to_owned(),
            body: stored.body.clone(),
        };
        Ok((item, stored))
    }

    async fn get_batch(&self, keys: &[Standing]) -> StoreResult<Vec<(Item, Stored)>> {
        let Some(first) = keys.first() else {
            return Ok(vec![]);
        };
        let table = Table::of(&first.pk)?;
        let mut wanted: Vec<_> = keys.iter().map(|key| row::keys(&key.pk, &key.sk)).collect();
        let mut found = Vec::new();
        for round in 0..ROUNDS {
            let asked = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(true)
                .build()
                .map_err(|error| StoreError::Invalid {
                    what: error.to_string(),
                })?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(self.table(table), asked)
                .send()
                .await
                .map_err(|error| explain(self, table, error))?;
            for row in answer
                .responses
                .into_iter()
                .flat_map(|all| all.into_values())
                .flatten()
            {
                let pk = string(&row, "pk").cloned().unwrap_or_default();
                found.push(self.whole(&pk, &sort_key(&row), &row).await?);
            }
            let left = answer.unprocessed_keys.unwrap_or_default();
            wanted = left.into_values().flat_map(|keys| keys.keys).collect();
            if wanted.is_empty() {
                return Ok(found);
            }
            tokio::time::sleep(std::time::Duration::from_millis(20) * 2u32.pow(round)).await;
        }
        Err(StoreError::throttled(self.table(table)))
    }

    /// Reads rows of a partition whose sort key starts with `prefix`, without those whose time is
    /// nearly over: what they point to may be gone.
    pub(super) async fn query(
        &self,
        pk: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        order: Order,
    ) -> StoreResult<Vec<Attributes>> {
        let table = Table::of(pk)?;
        let mut rows = Vec::new();
        let mut start = after.map(|sk| row::keys(pk, sk));
        loop {
            let left = limit - rows.len();
            let request = self.in_partition(table, pk, prefix);
            let answer = request
                .scan_index_forward(order == Order::Ascending)
                .set_exclusive_start_key(start)
                .limit(i32::try_from(left.min(1000)).unwrap_or(1000))
                .send()
                .await
                .map_err(|error| explain(self, table, error))?;
            rows.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() || rows.len() >= limit {
                return Ok(rows);
            }
        }
    }

    fn in_partition(&self, table: Table, pk: &str, prefix: &str) -> QueryFluentBuilder {
        let request = self
            .client
            .query()
            .table_name(self.table(table))
            .consistent_read(true)
            .expression_attribute_values(":pk", text(pk));
        let request = if prefix.is_empty() {
            request.key_condition_expression("pk = :pk")
        } else {
            request
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", text(prefix))
        };
        if !pk.starts_with(LIST) {
            return request;
        }
        let soon = Timestamp::now().as_second() + 60;
        request
            .filter_expression("attribute_not_exists(expires_at) OR expires_at > :soon")
            .expression_attribute_values(":soon", seconds(soon))
    }
}
