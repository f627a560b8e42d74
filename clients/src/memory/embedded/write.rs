//! What changes the file, inside a transaction.

use domain::ids::ClientId;
use rusqlite::params;

use super::{find_space, schema::RULE, slab, text};
use crate::{
    memory::{Embedding, Incident, ModelName, Outcome, Record, Vector},
    store::{StoreError, StoreResult, embedded::SqlTx},
};

pub(super) fn remember(tx: &SqlTx<'_>, record: &Record) -> StoreResult<Outcome> {
    let incident = &record.incident;
    if let Err(error) = incident.check() {
        return Ok(Outcome::Refused {
            why: error.to_string(),
        });
    }
    let client = client(tx, &incident.client)?;
    let id = keep(tx, client, incident)?;
    let digest = incident.digest();
    put_vector(tx, (RULE, client, id), &digest, &record.rule)?;
    if let Some(of_model) = &record.model {
        let space = space(tx, &of_model.model)?;
        put_vector(tx, (space, client, id), &digest, &of_model.vector)?;
    }
    Ok(Outcome::Kept)
}

/// Writes an incident with its words and returns its number.
fn keep(tx: &SqlTx<'_>, client: i64, incident: &Incident) -> StoreResult<i64> {
    let body = serde_json::to_string(incident).map_err(|error| StoreError::Invalid {
        what: format!("an incident cannot be written: {error}"),
    })?;
    let (key, digest) = (incident.key(), incident.digest());
    let known: Vec<(i64, bool)> = tx.rows(
        "SELECT id, digest = ?2 FROM incidents WHERE key = ?1",
        params![key, digest],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let id = match known.first().copied() {
        None => one(
            tx,
            "INSERT INTO incidents (key, client, digest, body) VALUES (?1, ?2, ?3, ?4) RETURNING id",
            params![key, client, digest, body],
        )?,
        Some((id, same_words)) => {
            tx.execute(
                "UPDATE incidents SET digest = ?2, body = ?3 WHERE id = ?1",
                params![id, digest, body],
            )?;
            if same_words {
                return Ok(id);
            }
            tx.execute("DELETE FROM texts WHERE rowid = ?1", [id])?;
            id
        }
    };
    tx.execute(
        "INSERT INTO texts (rowid, client, words) VALUES (?1, ?2, ?3)",
        params![id, text::word(client), incident.words()],
    )?;
    Ok(id)
}

/// Writes a vector; one that is the same stays as it is, so that nobody has to read it again.
fn put_vector(
    tx: &SqlTx<'_>,
    (space, client, incident): (i64, i64, i64),
    digest: &str,
    vector: &Vector,
) -> StoreResult<()> {
    let bytes = slab::bytes(vector);
    let same = tx.count(
        "UPDATE vectors SET digest = ?3 WHERE incident = ?1 AND space = ?2 AND vector = ?4",
        params![incident, space, digest, bytes],
    )?;
    if same > 0 {
        return Ok(());
    }
    tx.execute(
        "DELETE FROM vectors WHERE incident = ?1 AND space = ?2",
        [incident, space],
    )?;
    tx.execute(
        "INSERT INTO vectors (space, client, incident, digest, vector) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![space, client, incident, digest, bytes],
    )
}

pub(super) fn embed(tx: &SqlTx<'_>, space: i64, embedding: &Embedding) -> StoreResult<Outcome> {
    let incident = &embedding.incident;
    let known: Vec<(i64, i64)> = tx.rows(
        "SELECT id, client FROM incidents WHERE key = ?1",
        [incident.key()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let Some((id, client)) = known.first().copied() else {
        return Ok(Outcome::Refused {
            why: format!("incident {} is not remembered", incident.id),
        });
    };
    put_vector(
        tx,
        (space, client, id),
        &incident.digest(),
        &embedding.vector,
    )?;
    Ok(Outcome::Kept)
}

pub(super) fn forget(tx: &SqlTx<'_>, key: &str) -> StoreResult<bool> {
    let found = tx.rows("SELECT id FROM incidents WHERE key = ?1", [key], |row| {
        row.get::<_, i64>(0)
    })?;
    for id in &found {
        tx.execute("DELETE FROM vectors WHERE incident = ?1", [id])?;
        tx.execute("DELETE FROM texts WHERE rowid = ?1", [id])?;
        tx.execute("DELETE FROM incidents WHERE id = ?1", [id])?;
    }
    Ok(!found.is_empty())
}

pub(super) fn forget_client(tx: &SqlTx<'_>, client: &ClientId) -> StoreResult<u64> {
    let found = tx.rows(
        "SELECT id FROM clients WHERE client = ?1",
        [client.as_str()],
        |row| row.get::<_, i64>(0),
    )?;
    let mut gone = 0;
    for id in found {
        // First, so that nobody counts what is removed of it.
        tx.execute("DELETE FROM clients WHERE id = ?1", [id])?;
        tx.execute("DELETE FROM vectors WHERE client = ?1", [id])?;
        tx.execute(
            "DELETE FROM texts WHERE rowid IN (SELECT id FROM incidents WHERE client = ?1)",
            [id],
        )?;
        gone += tx.count("DELETE FROM incidents WHERE client = ?1", [id])? as u64;
    }
    Ok(gone)
}

/// False when it is the current one.
pub(super) fn drop_model(tx: &SqlTx<'_>, model: &ModelName) -> StoreResult<bool> {
    let Some(space) = find_space(tx, model)? else {
        return Ok(true);
    };
    let dropped = tx.count(
        "DELETE FROM spaces WHERE id = ?1 AND is_current = 0",
        [space],
    )?;
    if dropped > 0 {
        tx.execute("DELETE FROM vectors WHERE space = ?1", [space])?;
    }
    Ok(dropped > 0)
}

/// Number of the space of a model, made when it is new.
pub(super) fn space(tx: &SqlTx<'_>, model: &ModelName) -> StoreResult<i64> {
    match find_space(tx, model)? {
        Some(space) => Ok(space),
        None => one(
            tx,
            "INSERT INTO spaces (model) VALUES (?1) RETURNING id",
            [model.as_str()],
        ),
    }
}

fn client(tx: &SqlTx<'_>, client: &ClientId) -> StoreResult<i64> {
    let name = [client.as_str()];
    let known = tx.rows("SELECT id FROM clients WHERE client = ?1", name, |row| {
        row.get(0)
    })?;
    match known.first() {
        Some(id) => Ok(*id),
        None => one(
            tx,
            "INSERT INTO clients (client) VALUES (?1) RETURNING id",
            name,
        ),
    }
}

/// Runs a statement that returns one number.
fn one(tx: &SqlTx<'_>, sql: &str, params: impl rusqlite::Params) -> StoreResult<i64> {
    let rows = tx.rows(sql, params, |row| row.get(0))?;
    rows.first()
        .copied()
        .ok_or_else(|| StoreError::corrupt("the memory file"))
}
