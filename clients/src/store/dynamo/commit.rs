//! The commit: all changes of a transaction at once, or none of them.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    primitives::Blob,
    types::{AttributeValue, Delete, Put, TransactWriteItem},
};

use super::{
    Dynamo, Table,
    error::{self, explain, is_overtaken},
    row::{self, Attributes, Stored, part_key, text},
    tables::{LIST, PART},
    tx::{Change, DynamoTx, Key},
};
use crate::store::{StoreError, StoreResult, records::items::Place};

/// Most actions of one transaction.
pub(super) const MOST: usize = 100;

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Committed {
    /// All is written.
    Done,
    /// Somebody changed what it goes by; nothing is written.
    Overtaken,
}

impl DynamoTx<'_> {
    /// Commits what was collected.
    pub(super) async fn commit(&self) -> StoreResult<Committed> {
        let state = self.state.take();
        let mut plan = Plan {
            dynamo: self.dynamo,
            actions: vec![],
        };
        for (key, change) in &state.changes {
            let before = state.seen.get(key).and_then(Option::as_ref);
            plan.item(key, before, change)?;
        }
        if plan.actions.is_empty() && state.news.is_empty() {
            return Ok(Committed::Done);
        }
        for row in state.news {
            // Another process may have given the same position; then both it and the places named by it
            // are made anew.
            plan.put(Table::Outbox, row, Some(None))?;
        }
        plan.send().await
    }
}

struct Plan<'a> {
    dynamo: &'a Dynamo,
    actions: Vec<TransactWriteItem>,
}

/// What must hold about an item: its version, or that there is none.
type Condition<'a> = Option<Option<&'a Stored>>;

impl Plan<'_> {
    fn item(&mut self, key: &Key, before: Option<&Stored>, change: &Change) -> StoreResult<()> {
        let (pk, sk) = key;
        let table = Table::of(pk)?;
        let (places, expires_at) = match change {
            Change::Put {
                body,
                places,
                expires_at,
            } => {
                let same = before.is_some_and(|old| {
                    old.body == *body && old.places == *places && old.expires_at == *expires_at
                });
                if same {
                    return Ok(());
                }
                let mut new = Stored {
                    version: uuid::Uuid::new_v4().simple().to_string(),
                    body: body.clone(),
                    parts: 0,
                    places: places.clone(),
                    expires_at: *expires_at,
                };
                let (row, parts) = row::write(pk, sk, &new)?;
                new.parts = parts.len();
                self.put(table, row, Some(before))?;
                for (number, part) in parts.into_iter().enumerate() {
                    self.part(table, key, &new, number, part)?;
                }
                (places.as_slice(), *expires_at)
            }
            Change::Delete => {
                let Some(old) = before else {
                    return Ok(());
                };
                self.delete(table, row::keys(pk, sk), Some(Some(old)))?;
                (&[][..], None)
            }
        };
        if let Some(old) = before {
            for number in 0..old.parts {
                let key = row::keys(&format!("{PART}{pk}"), &part_key(sk, &old.version, number));
                self.delete(table, key, None)?;
            }
        }
        self.places(key, before, places, expires_at)
    }

    fn part(
        &mut self,
        table: Table,
        (pk, sk): &Key,
        of: &Stored,
        number: usize,
        bytes: Vec<u8>,
    ) -> StoreResult<()> {
        let mut row = row::keys(&format!("{PART}{pk}"), &part_key(sk, &of.version, number));
        row.insert("packed".to_owned(), AttributeValue::B(Blob::new(bytes)));
        if let Some(at) = of.expires_at {
            row.insert("expires_at".to_owned(), row::seconds(at));
        }
        self.put(table, row, None)
    }

    /// Writes the places that are new, and deletes those that are left.
    fn places(
        &mut self,
        (pk, sk): &Key,
        before: Option<&Stored>,
        after: &[Place],
        expires_at: Option<i64>,
    ) -> StoreResult<()> {
        let old: BTreeSet<&Place> = before.iter().flat_map(|stored| &stored.places).collect();
        let new: BTreeSet<&Place> = after.iter().collect();
        let as_before = before.is_some_and(|stored| stored.expires_at == expires_at);
        for place in &new {
            if old.contains(place) && as_before {
                continue;
            }
            let (table, mut row) = standing(place)?;
            row.insert("of_pk".to_owned(), text(pk));
            row.insert("of_sk".to_owned(), text(sk));
            if let Some(at) = expires_at {
                row.insert("expires_at".to_owned(), row::seconds(at));
            }
            self.put(table, row, None)?;
        }
        for place in old.difference(&new) {
            let (table, key) = standing(place)?;
            self.delete(table, key, None)?;
        }
        Ok(())
    }

    fn put(&mut self, table: Table, row: Attributes, condition: Condition<'_>) -> StoreResult<()> {
        let mut put = Put::builder()
            .table_name(self.dynamo.table(table))
            .set_item(Some(row));
        if let Some(before) = condition {
            let (expression, values) = holds(before);
            put = put
                .condition_expression(expression)
                .set_expression_attribute_values(values);
        }
        let put = put.build().map_err(error::of_request)?;
        self.actions
            .push(TransactWriteItem::builder().put(put).build());
        Ok(())
    }

    fn delete(
        &mut self,
        table: Table,
        key: Attributes,
        condition: Condition<'_>,
    ) -> StoreResult<()> {
        let mut delete = Delete::builder()
            .table_name(self.dynamo.table(table))
            .set_key(Some(key));
        if let Some(before) = condition {
            let (expression, values) = holds(before);
            delete = delete
                .condition_expression(expression)
                .set_expression_attribute_values(values);
        }
        let delete = delete.build().map_err(error::of_request)?;
        self.actions
            .push(TransactWriteItem::builder().delete(delete).build());
        Ok(())
    }

    async fn send(self) -> StoreResult<Committed> {
        let count = self.actions.len();
        if count > MOST {
            return Err(StoreError::Invalid {
                what: format!(
                    "a write of {count} items cannot be kept whole: allowed are {MOST}; make what it is about smaller"
                ),
            });
        }
        let sent = self
            .dynamo
            .client
            .transact_write_items()
            // The SDK itself may send it twice.
            .client_request_token(uuid::Uuid::new_v4().to_string())
            .set_transact_items(Some(self.actions))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Committed::Done),
            Err(error) if error.as_service_error().is_some_and(overtaken) => {
                Ok(Committed::Overtaken)
            }
            Err(error) => Err(explain(self.dynamo, Table::Executions, error)),
        }
    }
}

fn overtaken(error: &TransactWriteItemsError) -> bool {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            let mut codes = cancelled.cancellation_reasons().iter();
            codes.any(|reason| reason.code().is_some_and(is_overtaken))
        }
        TransactWriteItemsError::TransactionInProgressException(_) => true,
        _ => false,
    }
}

fn standing((name, sort): &Place) -> StoreResult<(Table, Attributes)> {
    let pk = format!("{LIST}{name}");
    Ok((Table::of(&pk)?, row::keys(&pk, sort)))
}

type Values = Option<HashMap<String, AttributeValue>>;

fn holds(before: Option<&Stored>) -> (&'static str, Values) {
    match before {
        None => ("attribute_not_exists(pk)", None),
        Some(stored) => (
            "version = :version",
            Some([(":version".to_owned(), text(&stored.version))].into()),
        ),
    }
}
