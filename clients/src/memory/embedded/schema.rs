//! Tables of the memory file. A migration is never edited once released: a change is a new one.

use crate::store::embedded::Schema;

/// Number of the space of the rules; spaces of models come after it.
pub(super) const RULE: i64 = 1;

/// The file of the embedded memory.
pub(super) const MEMORY: Schema = Schema {
    // `AOme` in ASCII.
    application_id: 0x414F_6D65,
    migrations: MIGRATIONS,
};

/// Version `n` is what the first `n` migrations make. Numbers are never used twice, so that what a
/// process holds in memory cannot be taken for something newer. The words of all clients share one
/// index, in which a client is a word of its own.
const MIGRATIONS: &[&str] = &[
    // 1
    "CREATE TABLE clients (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         client TEXT NOT NULL UNIQUE,
         removals INTEGER NOT NULL DEFAULT 0
     ) STRICT;
     CREATE TABLE incidents (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         key TEXT NOT NULL UNIQUE,
         client INTEGER NOT NULL,
         digest TEXT NOT NULL,
         body TEXT NOT NULL
     ) STRICT;
     CREATE INDEX incidents_client ON incidents (client);
     CREATE TABLE spaces (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         model TEXT UNIQUE,
         is_current INTEGER NOT NULL DEFAULT 0
     ) STRICT;
     INSERT INTO spaces (id, model) VALUES (1, NULL);
     CREATE TABLE vectors (
         sequence INTEGER PRIMARY KEY AUTOINCREMENT,
         space INTEGER NOT NULL,
         client INTEGER NOT NULL,
         incident INTEGER NOT NULL,
         digest TEXT NOT NULL,
         vector BLOB NOT NULL
     ) STRICT;
     CREATE UNIQUE INDEX vectors_incident ON vectors (incident, space);
     CREATE INDEX vectors_client ON vectors (client, space);
     CREATE TRIGGER vectors_removed AFTER DELETE ON vectors BEGIN
         UPDATE clients SET removals = removals + 1 WHERE id = old.client;
     END;
     CREATE VIRTUAL TABLE texts USING fts5(
         client, words, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
     );",
];
