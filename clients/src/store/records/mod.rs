//! What the ports keep, as items of a key-value store: the same on every adapter, which only has to
//! know how to read and write items inside a transaction ([`Backend`]).

mod actions;
mod alert_facts;
mod alerts;
mod campaigns;
mod counters;
mod executions;
mod identities;
mod incidents;
mod inventory;
pub(super) mod items;
mod letters;
mod pages;
mod plan_items;
mod policies;
mod triage;
mod vulnerabilities;

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use self::items::Tx;
use super::{Change, Outbox, StoreResult, Upkeep};

/// An adapter.
pub(super) trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Most records, places and changes that one write should have.
    const MOST_WRITES: usize;

    /// Does work that reads; it is done anew when what it saw cannot be of one moment.
    fn read<T, F>(&self, work: F) -> impl Future<Output = StoreResult<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> StoreResult<T> + Send + 'static;

    /// Does work that writes, and returns when it is durable. All of its writes are kept or none.
    /// The work is done anew when what it has read was changed by somebody else meanwhile.
    fn write<T, F>(&self, work: F) -> impl Future<Output = StoreResult<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> StoreResult<T> + Send + 'static;
}

/// The ports on an adapter.
#[derive(Debug)]
pub(super) struct Records<B>(pub(super) B);

#[async_trait]
impl<B: Outbox + 'static> Outbox for Records<B> {
    async fn changes_after(&self, sequence: u64, limit: usize) -> StoreResult<Vec<Change>> {
        self.0.changes_after(sequence, limit).await
    }
}

#[async_trait]
impl<B: Upkeep + 'static> Upkeep for Records<B> {
    async fn sweep_expired(&self, now: Timestamp) -> StoreResult<u64> {
        self.0.sweep_expired(now).await
    }
}
