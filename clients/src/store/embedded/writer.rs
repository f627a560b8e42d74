//! The writer: one thread and one connection per handle. Writes that arrive together share one
//! transaction, and so one flush to disk; each runs in a savepoint of its own, so that one that
//! fails takes nothing with it. A caller hears of success only after the commit.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Schema, items::SqlTx};
use crate::store::StoreError;

/// Most writes that share a transaction.
const BATCH: usize = 256;
/// Pause between two full batches. SQLite has no queue of writers: without it a busy process would
/// take the lock back before another one can see that it was free.
const BREATH: Duration = Duration::from_micros(200);

/// A write on its way to the thread.
trait Job: Send {
    /// Does the work; false when it failed.
    fn run(&mut self, tx: &SqlTx<'_>) -> bool;
    /// Tells the caller: what came of the work, or why the transaction failed around it.
    fn reply(self: Box<Self>, failure: Option<StoreError>);
}

struct Write<T, F> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnOnce(&SqlTx<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, tx: &SqlTx<'_>) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let result = catch_unwind(AssertUnwindSafe(|| work(tx))).unwrap_or_else(|_| {
            Err(StoreError::unavailable(
                "a write ended in a panic; see the log of this process",
            ))
        });
        let good = result.is_ok();
        self.result = Some(result);
        good
    }

    fn reply(self: Box<Self>, failure: Option<StoreError>) {
        let result = match (self.result, failure) {
            // What failed by itself keeps its reason.
            (Some(Err(own)), _) => Err(own),
            (_, Some(failure)) => Err(failure),
            (Some(result), None) => result,
            (None, None) => Err(stopped()),
        };
        // A caller that went away does not want to know.
        let _ = self.caller.send(result);
    }
}

/// The way to the writer thread, which ends with the last of these.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Box<dyn Job>>,
}

impl Writer {
    /// Starts the thread on a connection.
    pub(super) fn start(
        connection: Connection,
        schema: &'static Schema,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel();
        thread::Builder::new()
            .name("autoops-store".to_owned())
            .spawn(move || run(&connection, schema, &queue))
            .map_err(|error| StoreError::Unavailable {
                advice: "no thread could be started for it".to_owned(),
                source: Some(error.into()),
            })?;
        Ok(Self { jobs })
    }

    /// Does the work in a transaction and returns when it is on disk.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&SqlTx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let job = Write {
            work: Some(work),
            result: None,
            caller,
        };
        self.jobs.send(Box::new(job)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

fn stopped() -> StoreError {
    StoreError::unavailable("its writer has stopped: restart this process")
}

fn run(connection: &Connection, schema: &Schema, queue: &mpsc::Receiver<Box<dyn Job>>) {
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        batch.extend(queue.try_iter().take(BATCH - 1));
        let more = batch.len() > 1;
        let outcome = transact(connection, schema, &mut batch);
        if outcome.is_err() && !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        let mut failure = outcome.err();
        for job in batch {
            let own = failure.take();
            failure = own.as_ref().map(copy);
            job.reply(own);
        }
        if more {
            thread::sleep(BREATH);
        }
    }
}

fn transact(
    connection: &Connection,
    schema: &Schema,
    batch: &mut [Box<dyn Job>],
) -> Result<(), StoreError> {
    let sql = |statement| {
        connection
            .execute_batch(statement)
            .map_err(StoreError::of_sqlite)
    };
    sql("BEGIN IMMEDIATE")?;
    schema.check(connection)?;
    let tx = SqlTx::new(connection);
    for job in batch {
        sql("SAVEPOINT job")?;
        let good = job.run(&tx);
        // A full disk makes SQLite roll everything back by itself; the earlier jobs are gone too.
        if connection.is_autocommit() {
            return Err(StoreError::unavailable(
                "a transaction was undone: check the free space of the disk",
            ));
        }
        sql(if good {
            "RELEASE job"
        } else {
            "ROLLBACK TO job; RELEASE job"
        })?;
    }
    sql("COMMIT")
}

/// The same failure for every job of a batch; only the first keeps the source.
fn copy(error: &StoreError) -> StoreError {
    match error {
        StoreError::NewerVersion { found, supported } => StoreError::NewerVersion {
            found: *found,
            supported: *supported,
        },
        StoreError::Corrupt { what, .. } => StoreError::corrupt(what.clone()),
        StoreError::Invalid { what } => StoreError::Invalid { what: what.clone() },
        StoreError::Unavailable { advice, .. } => StoreError::unavailable(advice.clone()),
        StoreError::Throttled { what } => StoreError::throttled(what.clone()),
        StoreError::Refused { advice, .. } => StoreError::Refused {
            advice: advice.clone(),
            source: None,
        },
        StoreError::Conflict { what } => StoreError::Conflict { what: what.clone() },
        StoreError::NotFound { what } => StoreError::NotFound { what: what.clone() },
    }
}
