//! The embedded adapter: one SQLite file, safe for several processes at once.
//!
//! Reads use a few connections of their own and see the newest commit; writes go through one writer
//! thread per handle (`writer`), which takes the file's write lock at the start of its transaction.

mod items;
mod outbox;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use self::writer::Writer;
pub(crate) use self::{items::SqlTx, schema::Schema};
use super::{
    StoreError, StoreResult,
    records::{Backend, items::Tx},
};

/// How long a connection waits for another process to let go of the file.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks whether it did.
const LOOK: Duration = Duration::from_millis(1);
/// Connections kept open for reading.
const READERS: usize = 4;

/// One SQLite file; with the schema of the store, all its ports.
pub(crate) struct Embedded {
    path: PathBuf,
    schema: &'static Schema,
    writer: Writer,
    readers: Arc<Mutex<Vec<Connection>>>,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the file of a store.
    pub(super) fn open(path: &Path) -> StoreResult<Self> {
        Self::open_as(path, &schema::STORE)
    }

    /// Opens the file, creates it when it is not there, and brings its tables to the newest version.
    pub(crate) fn open_as(path: &Path, schema: &'static Schema) -> StoreResult<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| StoreError::Unavailable {
                advice: format!(
                    "the folder {} cannot be made: check its parent's permissions",
                    folder.display()
                ),
                source: Some(error.into()),
            })?;
        }
        let connection = open_for_writing(path, schema).map_err(|error| error.at(path))?;
        Ok(Self {
            path: path.to_owned(),
            schema,
            writer: Writer::start(connection, schema)?,
            readers: Arc::default(),
        })
    }

    /// Does work that reads, on one consistent state of the file.
    pub(crate) async fn sql_read<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&SqlTx<'_>) -> StoreResult<T> + Send + 'static,
    {
        let (path, readers) = (self.path.clone(), Arc::clone(&self.readers));
        let schema = self.schema;
        let task = tokio::task::spawn_blocking(move || {
            let kept = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = match kept {
                Some(connection) => connection,
                None => open_for_reading(&path).map_err(|error| error.at(&path))?,
            };
            let transaction = connection.transaction().map_err(StoreError::of_sqlite)?;
            schema.check(&transaction)?;
            let result = work(&SqlTx::new(&transaction));
            drop(transaction);
            let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
            if readers.len() < READERS {
                readers.push(connection);
            }
            result
        });
        task.await.map_err(|error| StoreError::Unavailable {
            advice: "a read was cut off".to_owned(),
            source: Some(error.into()),
        })?
    }

    /// Does work that writes, in a transaction, and returns when it is on disk.
    pub(crate) async fn sql_write<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&SqlTx<'_>) -> StoreResult<T> + Send + 'static,
    {
        self.writer.write(work).await
    }
}

impl Backend for Embedded {
    // So that other writers get their turn.
    const MOST_WRITES: usize = 600;

    async fn read<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> StoreResult<T> + Send + 'static,
    {
        self.sql_read(move |tx| work(&Tx(tx))).await
    }

    async fn write<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> StoreResult<T> + Send + 'static,
    {
        self.sql_write(move |tx| work(&Tx(tx))).await
    }
}

fn open_for_writing(path: &Path, schema: &Schema) -> StoreResult<Connection> {
    // Before anything is changed: a file of another program or of a newer version is left exactly
    // as it is.
    if path.exists() {
        let mut looking = open_with(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        // At one moment: another process may be making it.
        let moment = looking.transaction().map_err(StoreError::of_sqlite)?;
        schema.check_owner(&moment)?;
        schema.check(&moment)?;
    }
    let mut connection = open(path)?;
    use_wal(&connection)?;
    for (name, value) in [("synchronous", "FULL"), ("journal_size_limit", "67108864")] {
        connection
            .pragma_update(None, name, value)
            .map_err(StoreError::of_sqlite)?;
    }
    schema.migrate(&mut connection)?;
    Ok(connection)
}

fn open_for_reading(path: &Path) -> StoreResult<Connection> {
    let connection = open(path)?;
    connection
        .pragma_update(None, "query_only", "ON")
        .map_err(StoreError::of_sqlite)?;
    Ok(connection)
}

fn open(path: &Path) -> StoreResult<Connection> {
    open_with(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )
}

fn open_with(path: &Path, flags: OpenFlags) -> StoreResult<Connection> {
    // Each connection is used by one thread at a time.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(StoreError::of_sqlite)?;
    connection
        .busy_handler(Some(wait_for_others))
        .map_err(StoreError::of_sqlite)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// SQLite's own waiting grows to 100 ms between looks and misses the moments when the file is free.
fn wait_for_others(looks: i32) -> bool {
    thread::sleep(LOOK);
    u128::from(looks.unsigned_abs()) * LOOK.as_millis() < PATIENCE.as_millis()
}

/// Turns on write-ahead logging. When several processes start together, SQLite refuses this at
/// once instead of waiting.
fn use_wal(connection: &Connection) -> StoreResult<()> {
    let started = Instant::now();
    loop {
        match connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                return Err(StoreError::unavailable(format!(
                    "the file system allows only journal mode {mode}: use a local disk"
                )));
            }
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && started.elapsed() < PATIENCE =>
            {
                thread::sleep(LOOK);
            }
            Err(error) => return Err(StoreError::of_sqlite(error)),
        }
    }
}
