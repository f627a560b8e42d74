//! Tables and their versions. A migration is never edited once released: a change is a new one.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::StoreError;

/// Marks a file as ours (`AOps` in ASCII).
const APPLICATION_ID: i64 = 0x414F_7073;

/// Version `n` is what the first `n` migrations make.
const MIGRATIONS: &[&str] = &[
    // 1: records by partition and sort key; lists of records by name and sort; changes.
    "CREATE TABLE items (
         pk TEXT NOT NULL,
         sk TEXT NOT NULL,
         body TEXT NOT NULL,
         expires_at INTEGER
     ) STRICT;
     CREATE UNIQUE INDEX items_key ON items (pk, sk);
     CREATE INDEX items_expiry ON items (expires_at) WHERE expires_at IS NOT NULL;
     CREATE TABLE lists (
         name TEXT NOT NULL,
         sort TEXT NOT NULL,
         pk TEXT NOT NULL,
         sk TEXT NOT NULL,
         PRIMARY KEY (name, sort, pk, sk)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX lists_item ON lists (pk, sk);
     CREATE TABLE outbox (
         sequence INTEGER PRIMARY KEY AUTOINCREMENT,
         client TEXT,
         kind TEXT NOT NULL,
         key TEXT NOT NULL,
         at INTEGER NOT NULL
     ) STRICT;
     CREATE INDEX outbox_at ON outbox (at);",
    // 2: the head of each chain of the audit trail; buckets that can be blocked.
    "INSERT INTO items (pk, sk, body)
         SELECT pk, 'head', json_object('sequence', json_extract(body, '$.sequence'), 'hash', json_extract(body, '$.hash'))
         FROM items AS entry
         WHERE pk >= 'audit/' AND pk < 'audit0' AND sk >= 'e/' AND sk < 'e0' AND json_valid(body)
             AND NOT EXISTS (SELECT 1 FROM items AS later WHERE later.pk = entry.pk AND later.sk > entry.sk AND later.sk < 'e0');
     UPDATE items SET body = json_object('taken', json(body)) WHERE pk = 'bucket' AND json_valid(body);",
    // 3: dead letters by client, kind and whether they are open; all of before are open device ones.
    "INSERT OR IGNORE INTO lists (name, sort, pk, sk)
         SELECT 'letters/' || iif(whose.column1 = 0, '*', json_extract(letter.body, '$.client')) || '/' || kind.column1
             || '/' || which.column1, place.sort, place.pk, place.sk
         FROM lists AS place JOIN items AS letter ON letter.pk = place.pk AND letter.sk = place.sk,
             (VALUES (0), (1)) AS whose, (VALUES ('*'), ('device_needs_human')) AS kind, (VALUES ('all'), ('open')) AS which
         WHERE place.name = 'dead-letters' AND json_valid(letter.body);
     DELETE FROM lists WHERE name = 'dead-letters';
     UPDATE items SET expires_at = (unixepoch(json_extract(body, '$.at')) + 90 * 86400) * 1000000
         WHERE pk = 'dead-letters' AND json_valid(body);",
    // 4: twenty pages of a plan in one sheet.
    "INSERT INTO items (pk, sk, body)
         SELECT pk, 'sheet/' || substr(sk, 6, 42) || printf('%020d', sheet), json_group_array(device) FROM (
             SELECT page.pk, page.sk, CAST(substr(page.sk, 48) AS INTEGER) / 20 AS sheet, one.value AS device
             FROM items AS page, json_each(page.body) AS one
             WHERE page.pk >= 'plan/' AND page.pk < 'plan0' AND page.sk >= 'page/' AND page.sk < 'page0' AND json_valid(page.body)
             ORDER BY page.pk, page.sk, one.key)
         GROUP BY pk, substr(sk, 6, 42), sheet;
     DELETE FROM items WHERE pk >= 'plan/' AND pk < 'plan0' AND sk >= 'page/' AND sk < 'page0';",
    // 5: days of the audit trail with the clients that have entries; lists of days are audit/{client}/{day}.
    "INSERT INTO items (pk, sk, body)
         SELECT DISTINCT 'audit-days', substr(name, -10) || '/' || substr(name, 7, length(name) - 17), 'null'
         FROM lists WHERE name >= 'audit/' AND name < 'audit0';",
];

/// What a file of ours holds.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Marks a file as one of these.
    pub(crate) application_id: i64,
    /// Version `n` is what the first `n` migrations make.
    pub(crate) migrations: &'static [&'static str],
}

/// The records of the store.
pub(super) const STORE: Schema = Schema {
    application_id: APPLICATION_ID,
    migrations: MIGRATIONS,
};

impl Schema {
    /// Newest version of the data that this program knows.
    fn supported(&self) -> i64 {
        i64::try_from(self.migrations.len()).unwrap_or(i64::MAX)
    }

    /// Refuses data of a newer version; asked again in every transaction, because another process may
    /// have been updated meanwhile.
    pub(super) fn check(&self, connection: &Connection) -> Result<i64, StoreError> {
        let found = pragma(connection, "user_version")?;
        if found > self.supported() {
            return Err(StoreError::NewerVersion {
                found,
                supported: self.supported(),
            });
        }
        Ok(found)
    }

    /// Refuses the file of another program: ours is marked, or is empty because it was just made.
    pub(super) fn check_owner(&self, connection: &Connection) -> Result<(), StoreError> {
        let is_new = || -> Result<bool, StoreError> {
            Ok(pragma(connection, "user_version")? == 0 && !has_tables(connection)?)
        };
        match pragma(connection, "application_id")? {
            id if id == self.application_id => Ok(()),
            0 if is_new()? => Ok(()),
            _ => Err(StoreError::Invalid {
                what: "the database file belongs to another program: choose another path"
                    .to_owned(),
            }),
        }
    }

    /// Brings the file to the newest version.
    pub(super) fn migrate(&self, connection: &mut Connection) -> Result<(), StoreError> {
        if self.check(connection)? == self.supported() {
            return self.check_owner(connection);
        }
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::of_sqlite)?;
        // Another process may have been faster.
        self.check_owner(&transaction)?;
        let found = self.check(&transaction)?;
        for migration in self
            .migrations
            .iter()
            .skip(usize::try_from(found).unwrap_or_default())
        {
            transaction
                .execute_batch(migration)
                .map_err(StoreError::of_sqlite)?;
        }
        transaction
            .pragma_update(None, "application_id", self.application_id)
            .map_err(StoreError::of_sqlite)?;
        transaction
            .pragma_update(None, "user_version", self.supported())
            .map_err(StoreError::of_sqlite)?;
        transaction.commit().map_err(StoreError::of_sqlite)
    }
}

fn has_tables(connection: &Connection) -> Result<bool, StoreError> {
    connection
        .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| {
            row.get(0)
        })
        .map_err(StoreError::of_sqlite)
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, StoreError> {
    connection
        .pragma_query_value(None, name, |row| row.get(0))
        .map_err(StoreError::of_sqlite)
}
