//! The adapter on OpenSearch with k-NN. Incidents lie in one index with their words and the vectors
//! made by rule; vectors of each model lie in an index of their own, and an alias tells which is the
//! current one. Orders by vector and by text are joined here: a search pipeline would need a plug-in
//! that not every domain has, and the two orders come from two indexes.

mod bulk;
mod error;
mod index;
mod query;
#[cfg(test)]
mod tests;
mod upkeep;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use domain::ids::ClientId;
use futures::future::try_join;
use opensearch::http::Method;
use serde_json::{Value, json};

pub use self::wire::OpenSearchConfig;
use self::{
    bulk::{Write, Written},
    index::Names,
    wire::Wire,
};
use super::{
    Embedding, Hit, Incident, Memory, MemoryError, MemoryResult, ModelName, Near, Outcome, Page,
    Question, Record, Vector, fusion, fusion::Found, record::key,
};

/// The memory on OpenSearch.
#[derive(Debug)]
pub(super) struct OpenSearchMemory {
    wire: Wire,
    names: Names,
}

/// A document that a search found.
struct Document {
    key: String,
    score: f64,
    source: Value,
}

#[async_trait]
impl Memory for OpenSearchMemory {
    async fn remember(&self, records: Vec<Record>) -> MemoryResult<Vec<Outcome>> {
        let models: BTreeSet<&ModelName> = records
            .iter()
            .filter_map(|record| Some(&record.model.as_ref()?.model))
            .collect();
        for model in models {
            self.ensure_model(model).await?;
        }
        let mut outcomes: Vec<Outcome> = records
            .iter()
            .map(|record| match record.incident.check() {
                Ok(()) => Outcome::Kept,
                Err(error) => Outcome::Refused {
                    why: error.to_string(),
                },
            })
            .collect();
        let rules = |record: &Record| Some(self.rule_write(record));
        self.write_kept(&records, &mut outcomes, rules).await?;
        // After the incident, so that there is never a vector without one.
        let models = |record: &Record| {
            let of_model = record.model.as_ref()?;
            Some(self.model_write(&of_model.model, &record.incident, &of_model.vector))
        };
        self.write_kept(&records, &mut outcomes, models).await?;
        Ok(outcomes)
    }

    async fn forget(&self, client: &ClientId, incident: &str) -> MemoryResult<bool> {
        let key = key(client, incident);
        let mut writes = vec![Write::delete(&self.names.rule(), &key)];
        for index in self.model_indexes().await? {
            writes.push(Write::delete(&index, &key));
        }
        let mut was_kept = None;
        for written in bulk::write(&self.wire, &writes).await? {
            match written {
                Written::Done(found) => was_kept = was_kept.or(Some(found)),
                Written::Refused(why) => return Err(MemoryError::Invalid { what: why }),
                Written::Left(why) => return Err(left(why)),
            }
        }
        Ok(was_kept.unwrap_or_default())
    }

    async fn forget_client(&self, client: &ClientId) -> MemoryResult<u64> {
        let incidents = self.forget_all(&self.names.rule(), client).await?;
        self.forget_all(&self.names.models(), client).await?;
        Ok(incidents)
    }

    async fn recall(&self, question: &Question) -> MemoryResult<Vec<Hit>> {
        question.check()?;
        let client = &question.client;
        let (vectors, texts) = match &question.text {
            None => (self.nearest(question, question.limit).await?, vec![]),
            Some(text) => {
                let depth = fusion::depth(question.limit);
                let body = query::sharing_words(client, text, depth);
                let texts = self.search(self.names.rule(), client, body);
                try_join(self.nearest(question, depth), texts).await?
            }
        };
        let mut incidents = self.incidents(client, &vectors, &texts).await?;
        // `cosinesimil` scores (1 + cosine) / 2.
        let cosines = vectors.into_iter();
        let cosines = cosines.map(|found| (found.key, 2.0 * found.score - 1.0));
        let found = match question.text {
            None => fusion::by_vector(cosines.collect()),
            Some(_) => {
                let texts = texts.into_iter().map(|found| (found.key, found.score));
                fusion::fuse(cosines.collect(), texts.collect(), question.limit)
            }
        };
        let hit = |Found { item, score, parts }: Found<String>| {
            let incident = incidents.remove(&item)?;
            Some(Hit {
                incident,
                score,
                parts,
            })
        };
        Ok(found.into_iter().filter_map(hit).collect())
    }

    async fn lacking(
        &self,
        model: &ModelName,
        after: Option<&str>,
        limit: usize,
    ) -> MemoryResult<Page> {
        self.page_lacking(model, after, limit).await
    }

    async fn embed(
        &self,
        model: &ModelName,
        embeddings: Vec<Embedding>,
    ) -> MemoryResult<Vec<Outcome>> {
        self.embed_known(model, &embeddings).await
    }

    async fn current_model(&self) -> MemoryResult<Option<ModelName>> {
        let Some((index, mapping)) = self.mapping(&self.names.current()).await? else {
            return Ok(None);
        };
        let name = mapping["_meta"]["model"].as_str();
        let name = name.and_then(|name| name.parse().ok());
        let name = name.ok_or_else(|| MemoryError::Corrupt {
            what: format!("index {index} does not say of which embedding model it is: delete it and run the re-embedding"),
            source: None,
        })?;
        Ok(Some(name))
    }

    async fn use_model(&self, model: &ModelName) -> MemoryResult<()> {
        self.ensure_model(model).await?;
        let alias = self.names.current();
        let body = json!({ "actions": [
            { "remove": { "index": self.names.models(), "alias": alias, "must_exist": false } },
            { "add": { "index": self.names.model(model), "alias": alias } }
        ] });
        let done = self.wire.call(Method::Post, "/_aliases", Some(&body));
        done.await.map(drop)
    }

    async fn drop_model(&self, model: &ModelName) -> MemoryResult<()> {
        if self.current_model().await?.as_ref() == Some(model) {
            return Err(MemoryError::still_used(model));
        }
        let path = format!("/{}", self.names.model(model));
        match self.wire.call(Method::Delete, &path, None).await {
            Ok(_) | Err(MemoryError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl OpenSearchMemory {
    fn rule_write(&self, record: &Record) -> Write {
        let incident = &record.incident;
        let document = json!({
            "key": incident.key(),
            "client": incident.client,
            "digest": incident.digest(),
            "closed_at": incident.closed_at,
            "words": incident.words(),
            "incident": incident,
            "vector": record.rule.as_slice()
        });
        Write::index(&self.names.rule(), &incident.key(), &document)
    }

    fn model_write(&self, model: &ModelName, incident: &Incident, vector: &Vector) -> Write {
        let document = json!({
            "client": incident.client,
            "digest": incident.digest(),
            "vector": vector.as_slice()
        });
        Write::index(&self.names.model(model), &incident.key(), &document)
    }

    /// Does a write for each record that is kept so far.
    async fn write_kept(
        &self,
        records: &[Record],
        outcomes: &mut [Outcome],
        write: impl Fn(&Record) -> Option<Write>,
    ) -> MemoryResult<()> {
        let (mut at, mut writes) = (vec![], vec![]);
        for (number, record) in records.iter().enumerate() {
            if outcomes[number] == Outcome::Kept
                && let Some(write) = write(record)
            {
                at.push(number);
                writes.push(write);
            }
        }
        for (number, written) in at.into_iter().zip(bulk::write(&self.wire, &writes).await?) {
            outcomes[number] = written.into();
        }
        Ok(())
    }

    async fn nearest(&self, question: &Question, limit: usize) -> MemoryResult<Vec<Document>> {
        let (index, vector) = match &question.near {
            Near::Rule(vector) => (self.names.rule(), vector),
            Near::Model(of_model) => (self.names.model(&of_model.model), &of_model.vector),
        };
        let body = query::nearest(&question.client, vector, limit);
        let found = self.search(index, &question.client, body).await;
        match (found, &question.near) {
            (Err(MemoryError::NotFound { .. }), Near::Model(of_model)) => {
                Err(MemoryError::no_model(&of_model.model))
            }
            (found, _) => found,
        }
    }

    /// Searches among what belongs to a client.
    async fn search(
        &self,
        index: String,
        client: &ClientId,
        body: Value,
    ) -> MemoryResult<Vec<Document>> {
        let found = self.find(&index, &body).await?;
        match found.iter().all(|one| is_of(&one.source, client)) {
            true => Ok(found),
            false => Err(foreign(&index)),
        }
    }

    async fn find(&self, index: &str, body: &Value) -> MemoryResult<Vec<Document>> {
        let path = format!("/{index}/_search");
        let mut answer = self.wire.call(Method::Post, &path, Some(body)).await?;
        let failed = answer["_shards"]["failed"].as_u64();
        if failed != Some(0) || answer["timed_out"] == json!(true) {
            return Err(MemoryError::Unavailable {
                advice: format!(
                    "only a part of index {index} answered: check the health of the domain"
                ),
                source: None,
            });
        }
        let Value::Array(hits) = answer["hits"]["hits"].take() else {
            return Err(error::malformed("hits"));
        };
        let read = |mut hit: Value| {
            Some(Document {
                key: hit["_id"].as_str()?.to_owned(),
                // None where it was sorted by something else.
                score: hit["_score"].as_f64().unwrap_or_default(),
                source: hit["_source"].take(),
            })
        };
        let all: Option<Vec<Document>> = hits.into_iter().map(read).collect();
        all.ok_or_else(|| error::malformed("the id of a hit"))
    }

    /// Reads the incidents of what was found; those of a model's vectors are in the other index.
    async fn incidents(
        &self,
        client: &ClientId,
        vectors: &[Document],
        texts: &[Document],
    ) -> MemoryResult<BTreeMap<String, Incident>> {
        let mut read = BTreeMap::new();
        for found in vectors.iter().chain(texts) {
            if !found.source["incident"].is_null() {
                read.insert(found.key.clone(), incident(&found.source)?);
            }
        }
        let missing: Vec<&str> = vectors
            .iter()
            .map(|found| found.key.as_str())
            .filter(|key| !read.contains_key(*key))
            .collect();
        let index = self.names.rule();
        for (key, source) in self.get(&index, &missing, &["client", "incident"]).await? {
            if !is_of(&source, client) {
                return Err(foreign(&index));
            }
            read.insert(key, incident(&source)?);
        }
        Ok(read)
    }

    /// Reads fields of documents by key, as they are at this moment; those that are not there are
    /// left out.
    async fn get(
        &self,
        index: &str,
        keys: &[&str],
        fields: &[&str],
    ) -> MemoryResult<BTreeMap<String, Value>> {
        if keys.is_empty() {
            return Ok(BTreeMap::new());
        }
        let path = format!("/{index}/_mget?_source_includes={}", fields.join(","));
        let body = json!({ "ids": keys });
        // By GET: who may only read is allowed this one.
        let mut answer = self.wire.call(Method::Get, &path, Some(&body)).await?;
        let Value::Array(documents) = answer["docs"].take() else {
            return Err(error::malformed("docs"));
        };
        let mut read = BTreeMap::new();
        for mut document in documents {
            let (kind, reason) = error::of_error(&document["error"]);
            if kind == "index_not_found_exception" {
                continue;
            }
            if !document["error"].is_null() {
                return Err(left(format!("{kind}: {reason}")));
            }
            if document["found"] == json!(true) {
                let key = document["_id"].as_str().unwrap_or_default().to_owned();
                read.insert(key, document["_source"].take());
            }
        }
        Ok(read)
    }
}

fn is_of(source: &Value, client: &ClientId) -> bool {
    source["client"].as_str() == Some(client.as_str())
}

fn foreign(index: &str) -> MemoryError {
    MemoryError::Corrupt {
        what: format!(
            "index {index} answered with an incident of another client: nothing of the answer is used"
        ),
        source: None,
    }
}

/// What OpenSearch had no room for, or could not do now.
fn left(why: String) -> MemoryError {
    MemoryError::Unavailable {
        advice: "OpenSearch did not do a part of what was asked".to_owned(),
        source: Some(why.into()),
    }
}

fn incident(source: &Value) -> MemoryResult<Incident> {
    serde_json::from_value(source["incident"].clone()).map_err(|error| MemoryError::Corrupt {
        what: "an incident on OpenSearch cannot be read: remember it again".to_owned(),
        source: Some(error.into()),
    })
}
