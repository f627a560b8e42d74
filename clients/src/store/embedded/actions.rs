//! The audit trail: partition `audit/{chain}` with entries `e/{sequence}` and, so that a retry finds
//! its own entry, `k/{key}`.

use async_trait::async_trait;
use domain::{
    audit::{AuditEntry, AuditRecord, GENESIS},
    ids::ClientId,
};
use jiff::{civil::Date, tz::TimeZone};
use serde::Deserialize;

use super::{
    Embedded,
    items::{Item, Order, Tx, number},
};
use crate::store::{Actions, Listing, StoreError, StoreResult};

const ENTRIES: &str = "e/";
const CHAINS: &str = "audit-chains";

/// What the next entry needs of the last one.
#[derive(Deserialize)]
struct Head {
    sequence: u64,
    hash: String,
}

fn append(tx: &Tx<'_>, record: AuditRecord) -> StoreResult<AuditEntry> {
    let pk = format!("audit/{}", record.chain);
    let by_key = format!("k/{}", record.key);
    if let Some(sequence) = tx.get::<u64>(&pk, &by_key)? {
        let sk = format!("{ENTRIES}{}", number(sequence));
        return tx
            .get(&pk, &sk)?
            .ok_or_else(|| StoreError::corrupt(format!("record `{pk} {sk}`")));
    }
    let head: Option<Head> = tx
        .last(&pk, ENTRIES)?
        .map(|item| item.parse())
        .transpose()?;
    let (sequence, previous) = head.map_or((1, GENESIS.to_owned()), |head| {
        (head.sequence + 1, head.hash)
    });
    let day = record.at.to_zoned_datetime(TimeZone::UTC).date();
    let list = day_list(&record.client, day);
    let entry =
        AuditEntry::seal(record, sequence, &previous).map_err(|error| StoreError::Invalid {
            what: format!("`{pk} {by_key}` cannot be JSON: {error}"),
        })?;
    if sequence == 1 {
        tx.put(CHAINS, &entry.record.chain, &entry.record.chain)?;
    }
    let sk = format!("{ENTRIES}{}", number(sequence));
    tx.put(&pk, &sk, &entry)?;
    tx.put(&pk, &by_key, &sequence)?;
    let position = tx.change(
        "audit",
        Some(&entry.record.client),
        &format!("{}#{sequence}", entry.record.chain),
    )?;
    tx.place_new(&pk, &sk, &[(list, number(position.unsigned_abs()))])?;
    Ok(entry)
}

fn day_list(client: &ClientId, day: Date) -> String {
    format!("audit/{client}/{day}")
}

#[async_trait]
impl Actions for Embedded {
    async fn append_audit(&self, record: AuditRecord) -> StoreResult<AuditEntry> {
        self.write(move |tx| append(tx, record)).await
    }

    async fn read_chain(
        &self,
        chain: &str,
        after: u64,
        limit: usize,
    ) -> StoreResult<Vec<AuditEntry>> {
        let pk = format!("audit/{chain}");
        let after = format!("{ENTRIES}{}", number(after));
        self.read(move |tx| {
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
        self.read(move |tx| tx.page(CHAINS, "", cursor.as_deref(), limit, Order::Ascending))
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
        self.read(move |tx| tx.list(&name, cursor.as_deref(), limit, Order::Ascending))
            .await
    }
}
