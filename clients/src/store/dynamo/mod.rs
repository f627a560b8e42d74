//! The DynamoDB adapter: records as items of nine tables (docs/data.md), safe for any number of
//! processes.
//!
//! A write reads what it needs, collects what it wants to change, and commits all of it in one
//! transaction, on the condition that nobody changed what it goes by meanwhile; else it is done anew.

mod commit;
mod error;
mod outbox;
mod retention;
mod row;
mod tables;
mod tx;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::Client;
use tokio::runtime::Handle;

pub use self::tables::Table;
use self::{commit::Committed, error::explain, tx::DynamoTx};
use super::{
    DynamoConfig, StoreError, StoreResult,
    records::{Backend, items::Tx},
};

/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);
/// How long a write is done anew because others were faster.
const PATIENCE: Duration = Duration::from_secs(15);
/// Writers of this process that were overtaken go one after the other, so many queues of them.
const TURNS: usize = 64;
/// The longest pause before it is.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// All ports on DynamoDB.
#[derive(Clone)]
pub(super) struct Dynamo {
    client: Client,
    prefix: Arc<str>,
    region: Arc<str>,
    turns: Arc<[Mutex<()>; TURNS]>,
}

impl fmt::Debug for Dynamo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dynamo")
            .field("prefix", &self.prefix)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Dynamo {
    /// Finds credentials and looks whether every table is there, with the keys of ours.
    pub(super) async fn open(config: &DynamoConfig) -> StoreResult<Self> {
        let dynamo = Self {
            client: Client::new(&config.settings(CALL).await),
            prefix: config.prefix.as_str().into(),
            region: config.region.as_str().into(),
            turns: Arc::new([const { Mutex::new(()) }; TURNS]),
        };
        for table in Table::ALL {
            dynamo.check(table).await?;
        }
        Ok(dynamo)
    }

    async fn check(&self, table: Table) -> StoreResult<()> {
        let name = self.table(table);
        let found = self
            .client
            .describe_table()
            .table_name(&name)
            .send()
            .await
            .map_err(|error| explain(self, table, error))?;
        let keys: Vec<_> = found
            .table
            .iter()
            .flat_map(|table| table.key_schema())
            .map(|key| key.attribute_name())
            .collect();
        if keys != ["pk", "sk"] {
            return Err(StoreError::Invalid {
                what: format!(
                    "table {name} has the keys {keys:?}; allowed are those of deploy/cloudformation/tables.yaml"
                ),
            });
        }
        Ok(())
    }

    /// Returns the name of a table.
    fn table(&self, table: Table) -> String {
        format!("{}-{}", self.prefix, table.as_str())
    }
}

impl Backend for Dynamo {
    // What one transaction takes.
    const MOST_WRITES: usize = commit::MOST;

    async fn read<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> StoreResult<T> + Send + 'static,
    {
        let (dynamo, handle) = (self.clone(), Handle::current());
        let task = tokio::task::spawn_blocking(move || {
            let mut damage = None;
            loop {
                let tx = DynamoTx::new(&dynamo, &handle);
                match work(&Tx(&tx)) {
                    Err(error) if tx.may_be_of_two_moments(&error, &mut damage) => {}
                    result => return result,
                }
            }
        });
        task.await.map_err(cut_off)?
    }

    async fn write<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> StoreResult<T> + Send + 'static,
    {
        let (dynamo, handle) = (self.clone(), Handle::current());
        let task = tokio::task::spawn_blocking(move || {
            let mut begin = Instant::now();
            let mut pause = Duration::from_millis(2);
            let mut damage = None;
            let mut turn = None;
            loop {
                let tx = DynamoTx::new(&dynamo, &handle);
                let result = work(&Tx(&tx));
                let queue = tx.queue(TURNS);
                match result {
                    Ok(result) if handle.block_on(tx.commit())? == Committed::Done => {
                        return Ok(result);
                    }
                    Ok(_) => {}
                    Err(error) if tx.may_be_of_two_moments(&error, &mut damage) => {}
                    Err(error) => return Err(error),
                }
                if begin.elapsed() > PATIENCE {
                    return Err(StoreError::unavailable(
                        "others changed the same record again and again: it is tried later",
                    ));
                }
                // Between half of it and all of it, so that two do not meet for ever.
                let random = u32::from(uuid::Uuid::new_v4().as_bytes()[0]) + 256;
                handle.block_on(tokio::time::sleep(pause * random / 512));
                pause = (pause * 2).min(LONGEST_PAUSE);
                if turn.is_none() {
                    let mutex = &dynamo.turns[queue];
                    turn = Some(mutex.lock().unwrap_or_else(PoisonError::into_inner));
                    begin = Instant::now();
                }
            }
        });
        task.await.map_err(cut_off)?
    }
}

fn cut_off(error: tokio::task::JoinError) -> StoreError {
    StoreError::Unavailable {
        advice: "a call was cut off".to_owned(),
        source: Some(error.into()),
    }
}
