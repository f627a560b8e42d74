//! Forgetting: DynamoDB itself deletes what has a time in `expires_at` that is over.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{
    Dynamo, Table,
    error::explain,
    row::{self, places, seconds, sort_key},
    tables::{LIST, PART},
};
use crate::store::{StoreResult, Upkeep, records::items::Order};

/// Rows that are marked at the same time.
const AT_ONCE: usize = 32;

impl Dynamo {
    /// Lets all of a partition be forgotten, with the places of its items and what did not fit into
    /// them. Done again, it does nothing more.
    pub(super) async fn expire(&self, pk: &str, at: i64) -> StoreResult<()> {
        let rows = self
            .query(pk, "", None, usize::MAX, Order::Ascending)
            .await?;
        let parts = format!("{PART}{pk}");
        let of_parts = self
            .query(&parts, "", None, usize::MAX, Order::Ascending)
            .await?;
        let mut keys: Vec<(String, String)> = Vec::new();
        keys.extend(of_parts.iter().map(|row| (parts.clone(), sort_key(row))));
        for row in &rows {
            keys.push((pk.to_owned(), sort_key(row)));
            let places = places(row).into_iter().flatten();
            keys.extend(places.map(|(name, sort)| (format!("{LIST}{name}"), sort)));
        }
        stream::iter(keys)
            .map(|(pk, sk)| async move { self.mark(&pk, &sk, at).await })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn mark(&self, pk: &str, sk: &str, at: i64) -> StoreResult<()> {
        let table = Table::of(pk)?;
        let sent = self
            .client
            .update_item()
            .table_name(self.table(table))
            .set_key(Some(row::keys(pk, sk)))
            .update_expression("SET expires_at = :at")
            // What was deleted meanwhile must not come to life.
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":at", seconds(at))
            .send()
            .await;
        match sent {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            other => other.map(drop).map_err(|error| explain(self, table, error)),
        }
    }
}

#[async_trait]
impl Upkeep for Dynamo {
    async fn sweep_expired(&self, _now: Timestamp) -> StoreResult<u64> {
        Ok(0)
    }
}
