//! The embedded adapter: one SQLite file. Vectors are compared exactly, in memory: each process holds
//! those of the clients it was asked about, and reads on where the file has grown.

mod rough;
mod schema;
mod slab;
#[cfg(test)]
mod tests;
mod text;
mod write;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use domain::ids::ClientId;
use rusqlite::params;

use self::{
    schema::{MEMORY, RULE},
    slab::Slabs,
};
use super::{
    Embedding, Hit, Incident, Memory, MemoryError, MemoryResult, ModelName, Near, Outcome, Page,
    Question, Record,
    fusion::{self, Found},
    record::key,
};
use crate::store::{
    StoreError, StoreResult,
    embedded::{self, SqlTx},
};

/// Records written in one transaction, so that other writers get their turn.
const WRITTEN: usize = 250;

/// The memory in a SQLite file.
#[derive(Debug)]
pub(super) struct Embedded {
    file: embedded::Embedded,
    slabs: Arc<Slabs>,
}

impl Embedded {
    pub(super) fn open(path: &Path) -> StoreResult<Self> {
        Ok(Self {
            file: embedded::Embedded::open_as(path, &MEMORY)?,
            slabs: Arc::default(),
        })
    }
}

#[async_trait]
impl Memory for Embedded {
    async fn remember(&self, mut records: Vec<Record>) -> MemoryResult<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(records.len());
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(WRITTEN));
            let some = std::mem::replace(&mut records, rest);
            let write = self.file.sql_write(move |tx| {
                let each = some.iter().map(|record| write::remember(tx, record));
                each.collect::<StoreResult<Vec<_>>>()
            });
            outcomes.extend(write.await?);
        }
        Ok(outcomes)
    }

    async fn forget(&self, client: &ClientId, incident: &str) -> MemoryResult<bool> {
        let key = key(client, incident);
        let gone = self.file.sql_write(move |tx| write::forget(tx, &key));
        Ok(gone.await?)
    }

    async fn forget_client(&self, client: &ClientId) -> MemoryResult<u64> {
        let client = client.clone();
        let gone = self
            .file
            .sql_write(move |tx| write::forget_client(tx, &client));
        Ok(gone.await?)
    }

    async fn recall(&self, question: &Question) -> MemoryResult<Vec<Hit>> {
        question.check()?;
        let (slabs, question) = (Arc::clone(&self.slabs), question.clone());
        let look = self
            .file
            .sql_read(move |tx| Ok(recall(tx, &slabs, &question)));
        look.await?
    }

    async fn lacking(
        &self,
        model: &ModelName,
        after: Option<&str>,
        limit: usize,
    ) -> MemoryResult<Page> {
        let (model, after) = (model.clone(), after.unwrap_or_default().to_owned());
        let page = self
            .file
            .sql_read(move |tx| lacking(tx, &model, &after, limit));
        Ok(page.await?)
    }

    async fn embed(
        &self,
        model: &ModelName,
        mut embeddings: Vec<Embedding>,
    ) -> MemoryResult<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(embeddings.len());
        while !embeddings.is_empty() {
            let rest = embeddings.split_off(embeddings.len().min(WRITTEN));
            let some = std::mem::replace(&mut embeddings, rest);
            let model = model.clone();
            let write = self.file.sql_write(move |tx| {
                let space = write::space(tx, &model)?;
                let each = some.iter().map(|one| write::embed(tx, space, one));
                each.collect::<StoreResult<Vec<_>>>()
            });
            outcomes.extend(write.await?);
        }
        Ok(outcomes)
    }

    async fn current_model(&self) -> MemoryResult<Option<ModelName>> {
        let names: Vec<String> = self
            .file
            .sql_read(|tx| {
                let sql = "SELECT model FROM spaces WHERE is_current = 1";
                tx.rows(sql, [], |row| row.get(0))
            })
            .await?;
        let read = names.first().map(|name| name.parse());
        read.transpose()
            .map_err(|_| StoreError::corrupt("the name of the current embedding model").into())
    }

    async fn use_model(&self, model: &ModelName) -> MemoryResult<()> {
        let model = model.clone();
        let write = self.file.sql_write(move |tx| {
            let space = write::space(tx, &model)?;
            tx.execute("UPDATE spaces SET is_current = (id = ?1)", [space])
        });
        Ok(write.await?)
    }

    async fn drop_model(&self, model: &ModelName) -> MemoryResult<()> {
        let name = model.clone();
        let dropped = self.file.sql_write(move |tx| write::drop_model(tx, &name));
        match dropped.await? {
            true => Ok(()),
            false => Err(MemoryError::still_used(model)),
        }
    }
}

fn recall(tx: &SqlTx<'_>, slabs: &Slabs, question: &Question) -> MemoryResult<Vec<Hit>> {
    let (space, vector) = match &question.near {
        Near::Rule(vector) => (RULE, vector),
        Near::Model(near) => {
            let space = find_space(tx, &near.model)?;
            let space = space.ok_or_else(|| MemoryError::no_model(&near.model))?;
            (space, &near.vector)
        }
    };
    let known = tx.rows(
        "SELECT id, removals FROM clients WHERE client = ?1",
        [question.client.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let Some((client, removals)) = known.first().copied() else {
        return Ok(vec![]);
    };
    let nearest = |limit| slabs.nearest(tx, (client, space), removals, vector, limit);
    let found = match &question.text {
        None => fusion::by_vector(nearest(question.limit)?),
        Some(words) => {
            let depth = fusion::depth(question.limit);
            let texts = text::search(tx, client, words, depth)?;
            fusion::fuse(nearest(depth)?, texts, question.limit)
        }
    };
    let hits = found.into_iter().map(|Found { item, score, parts }| {
        Ok(Hit {
            incident: incident(tx, client, item)?,
            score,
            parts,
        })
    });
    hits.collect()
}

fn incident(tx: &SqlTx<'_>, client: i64, id: i64) -> StoreResult<Incident> {
    let sql = "SELECT body FROM incidents WHERE id = ?1 AND client = ?2";
    let bodies: Vec<String> = tx.rows(sql, [id, client], |row| row.get(0))?;
    let body = bodies.first();
    read(body.ok_or_else(|| StoreError::corrupt(format!("incident {id} of the memory file")))?)
}

fn lacking(tx: &SqlTx<'_>, model: &ModelName, after: &str, limit: usize) -> StoreResult<Page> {
    let space = find_space(tx, model)?.unwrap_or_default();
    let rows: Vec<(String, String)> = tx.rows(
        "SELECT key, body FROM incidents WHERE key > ?1 AND NOT EXISTS (
             SELECT 1 FROM vectors
             WHERE vectors.incident = incidents.id AND space = ?2 AND vectors.digest = incidents.digest
         ) ORDER BY key LIMIT ?3",
        params![after, space, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let is_full = rows.len() >= limit;
    let next = rows.last().map(|(key, _)| key.clone());
    let incidents = rows.iter().map(|(_, body)| read(body));
    Ok(Page {
        incidents: incidents.collect::<StoreResult<_>>()?,
        next: next.filter(|_| is_full),
    })
}

fn find_space(tx: &SqlTx<'_>, model: &ModelName) -> StoreResult<Option<i64>> {
    let sql = "SELECT id FROM spaces WHERE model = ?1";
    let found = tx.rows(sql, [model.as_str()], |row| row.get(0))?;
    Ok(found.first().copied())
}

fn read(body: &str) -> StoreResult<Incident> {
    serde_json::from_str(body).map_err(|error| StoreError::Corrupt {
        what: "an incident in the memory file".to_owned(),
        source: Some(error.into()),
    })
}
