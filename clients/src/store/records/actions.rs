//! The audit trail: partition `audit/{chain}` with entries `e/{sequence}`, the `head` (sequence and
//! hash of the last one) and, so that a retry finds its own entry, `k/{key}`. Partition `audit-days`
//! has an item for each day and client with entries.

use super::{
    Backend, Records,
    items::{Item, Order, Tx, number},
};
use crate::store::{Actions, Listing, StoreError, StoreResult};
use async_trait::async_trait;
use domain::{
    audit::{AuditEntry, AuditRecord, ChainHead, GENESIS},
    ids::ClientId,
};
use jiff::civil::Date;

const ENTRIES: &str = "e/";
const HEAD: &str = "head";
const CHAINS: &str = "audit-chains";
const DAYS: &str = "audit-days";

fn invalid(pk: &str, error: &serde_json::Error) -> StoreError {
    StoreError::Invalid {
        what: format!("an entry of `{pk}` cannot be JSON: {error}"),
    }
}

fn known(tx: &Tx<'_>, pk: &str, key: &str) -> StoreResult<Option<AuditEntry>> {
    let Some(sequence) = tx.get::<u64>(pk, &format!("k/{key}"))? else {
        return Ok(None);
    };
    let sk = format!("{ENTRIES}{}", number(sequence));
    match tx.get(pk, &sk)? {
        Some(entry) => Ok(Some(entry)),
        None => Err(StoreError::corrupt(format!("record `{pk} {sk}`"))),
    }
}

fn append(tx: &Tx<'_>, mut record: AuditRecord) -> StoreResult<AuditEntry> {
    let pk = format!("audit/{}", record.chain);
    if let Some(known) = known(tx, &pk, &record.key)? {
        if known.record == record {
            return Ok(known);
        }
        // A workflow that was reset says something else in its place: both are kept.
        record.key = record
            .key_of_another()
            .map_err(|error| invalid(&pk, &error))?;
        if let Some(known) = self::known(tx, &pk, &record.key)? {
            return Ok(known);
        }
    }
    let by_key = format!("k/{}", record.key);
    let last: Option<AuditEntry> = tx
        .last(&pk, ENTRIES)?
        .map(|item| item.parse())
        .transpose()?;
    let head: Option<ChainHead> = tx.get(&pk, HEAD)?;
    if last.as_ref().map(ChainHead::of) != head {
        return Err(StoreError::corrupt(format!("the end of chain `{pk}`")));
    }
    let (sequence, previous) = head.map_or((1, GENESIS.to_owned()), |head| {
        (head.sequence + 1, head.hash)
    });
    let day = record.utc_day();
    let list = day_list(&record.client, day);
    let of_day = day_key(day, &record.client);
    if tx.item(DAYS, &of_day)?.is_none() {
        tx.put(DAYS, &of_day, &())?;
    }
    let entry =
        AuditEntry::seal(record, sequence, &previous).map_err(|error| invalid(&pk, &error))?;
    if sequence == 1 {
        tx.put(CHAINS, &entry.record.chain, &entry.record.chain)?;
    }
    let sk = format!("{ENTRIES}{}", number(sequence));
    tx.put(&pk, &sk, &entry)?;
    tx.put(&pk, HEAD, &ChainHead::of(&entry))?;
    tx.put(&pk, &by_key, &sequence)?;
    let position = tx.change(
        "audit",
        Some(&entry.record.client),
        &format!("{}#{sequence}", entry.record.chain),
    )?;
    tx.place(&pk, &sk, &[(list, number(position))])?;
    Ok(entry)
}

fn day_key(day: Date, client: &ClientId) -> String {
    format!("{day}/{client}")
}

fn day_of_key(key: &str) -> Option<(Date, ClientId)> {
    let (day, client) = key.split_once('/')?;
    Some((day.parse().ok()?, client.parse().ok()?))
}

fn day_list(client: &ClientId, day: Date) -> String {
    format!("audit/{client}/{day}")
}

#[async_trait]
impl<B: Backend> Actions for Records<B> {
    async fn append_audit(&self, record: AuditRecord) -> StoreResult<AuditEntry> {
        self.0.write(move |tx| append(tx, record.clone())).await
    }

    async fn chain_head(&self, chain: &str) -> StoreResult<Option<ChainHead>> {
        let pk = format!("audit/{chain}");
        self.0.read(move |tx| tx.get(&pk, HEAD)).await
    }

    async fn read_chain(
        &self,
        chain: &str,
        after: u64,
        limit: usize,
    ) -> StoreResult<Vec<AuditEntry>> {
        let pk = format!("audit/{chain}");
        let after = format!("{ENTRIES}{}", number(after));
        self.0
            .read(move |tx| {
                let items = tx.range(&pk, ENTRIES, Some(&after), limit, Order::Ascending)?;
                items.iter().map(Item::parse).collect()
            })
            .await
    }

    async fn list_chains(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<String>> {
        let cursor = cursor.map(ToOwned::to_owned);
        // Names are keys: a damaged record must not hide the chains behind it.
        self.0
            .read(move |tx| tx.keys(CHAINS, cursor.as_deref(), limit))
            .await
    }

    async fn audit_of_day(
        &self,
        client: &ClientId,
        day: Date,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<AuditEntry>> {
        let (name, cursor) = (day_list(client, day), cursor.map(ToOwned::to_owned));
        self.0
            .read(move |tx| tx.list(&name, cursor.as_deref(), limit, Order::Ascending))
            .await
    }

    async fn audited_days(
        &self,
        since: Option<Date>,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<(Date, ClientId)>> {
        // A day sorts before the day with a client behind it.
        let since = since.map(|day| day.to_string());
        let after = cursor.map(ToOwned::to_owned).or(since);
        let keys = self
            .0
            .read(move |tx| tx.keys(DAYS, after.as_deref(), limit))
            .await?;
        let damaged = |key: &String| StoreError::corrupt(format!("record `{DAYS} {key}`"));
        let days = keys
            .items
            .iter()
            .map(|key| day_of_key(key).ok_or_else(|| damaged(key)));
        Ok(Listing {
            items: days.collect::<Result<_, _>>()?,
            next: keys.next,
        })
    }
}
