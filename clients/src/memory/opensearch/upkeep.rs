//! Indexes, forgetting in bulk, and what the re-embedding job needs.

use domain::ids::ClientId;
use opensearch::http::Method;
use serde_json::{Value, json};

use super::{
    super::{Embedding, Incident, MemoryError, MemoryResult, ModelName, Outcome, Page},
    OpenSearchMemory, bulk,
    bulk::Write,
    error,
    index::{Names, VERSION},
    left, query,
    wire::{OpenSearchConfig, Wire},
};
use crate::memory::DIMENSIONS;

/// Most documents deleted by one request, so that it ends in time.
const DELETED: u64 = 2000;
/// Requests in a row that delete nothing until we give up.
const IDLE: u32 = 3;
/// Most incidents of a page.
const PAGE: usize = 500;

impl OpenSearchMemory {
    /// Makes templates and the index of incidents where they are missing.
    pub(in super::super) async fn open(config: &OpenSearchConfig) -> MemoryResult<Self> {
        let memory = Self {
            wire: Wire::open(config).await?,
            names: Names::new(&config.prefix),
        };
        let rule = memory.names.rule();
        // What is there stays as it is: a newer version may have made it, and who only asks may not
        // be allowed to change it. The index comes last, so with it the templates are there.
        if let Some((index, mapping)) = memory.mapping(&rule).await? {
            check(&index, &mapping)?;
            return Ok(memory);
        }
        for (name, template) in memory.names.templates() {
            let path = format!("/_index_template/{name}");
            let put = memory.wire.call(Method::Put, &path, Some(&template));
            put.await?;
        }
        memory.create(&rule, &json!({})).await?;
        Ok(memory)
    }

    /// Makes the index of a model when it is new.
    pub(super) async fn ensure_model(&self, model: &ModelName) -> MemoryResult<()> {
        let index = self.names.model(model);
        match self.mapping(&index).await? {
            Some((index, mapping)) => check(&index, &mapping),
            None => {
                let body = json!({ "mappings": { "_meta": { "model": model.as_str() } } });
                self.create(&index, &body).await
            }
        }
    }

    async fn create(&self, index: &str, body: &Value) -> MemoryResult<()> {
        let path = format!("/{index}");
        match self.wire.call(Method::Put, &path, Some(body)).await {
            // Another process was faster.
            Err(MemoryError::Invalid { what })
                if what.contains("resource_already_exists_exception") =>
            {
                Ok(())
            }
            made => made.map(drop),
        }
    }

    /// Reads name and mapping of an index or of the one behind an alias; `None` when there is none.
    pub(super) async fn mapping(&self, index: &str) -> MemoryResult<Option<(String, Value)>> {
        let path = format!("/{index}/_mapping");
        let mut answer = match self.wire.call(Method::Get, &path, None).await {
            Err(MemoryError::NotFound { .. }) => return Ok(None),
            read => read?,
        };
        let all = answer.as_object_mut().and_then(|all| all.iter_mut().next());
        let (name, of) = all.ok_or_else(|| error::malformed("a mapping"))?;
        Ok(Some((name.clone(), of["mappings"].take())))
    }

    pub(super) async fn model_indexes(&self) -> MemoryResult<Vec<String>> {
        let path = format!("/{}/_mapping", self.names.models());
        let answer = self.wire.call(Method::Get, &path, None).await?;
        let all = answer.as_object();
        let all = all.ok_or_else(|| error::malformed("mappings"))?;
        Ok(all.keys().cloned().collect())
    }

    /// Deletes everything of a client from indexes and returns how much that was.
    pub(super) async fn forget_all(&self, indexes: &str, client: &ClientId) -> MemoryResult<u64> {
        // What was written just now would not be found otherwise.
        let refresh = format!("/{indexes}/_refresh?ignore_unavailable=true");
        self.wire.call(Method::Post, &refresh, None).await?;
        let path = format!(
            "/{indexes}/_delete_by_query?conflicts=proceed&refresh=true&ignore_unavailable=true&max_docs={DELETED}"
        );
        let body = query::all_of(client);
        let (mut gone, mut idle) = (0, 0);
        loop {
            let answer = self.wire.call(Method::Post, &path, Some(&body)).await?;
            let number = |field: &str| answer[field].as_u64();
            let (Some(found), Some(deleted)) = (number("total"), number("deleted")) else {
                return Err(error::malformed("how much was deleted"));
            };
            gone += deleted;
            if found == 0 {
                return Ok(gone);
            }
            // Somebody else writes the same documents, or OpenSearch refuses.
            idle = if deleted == 0 { idle + 1 } else { 0 };
            if idle == IDLE {
                let (kind, reason) = error::of_error(&answer["failures"][0]["cause"]);
                return Err(left(format!("{found} documents stay. {kind} {reason}")));
            }
        }
    }

    pub(super) async fn page_lacking(
        &self,
        model: &ModelName,
        after: Option<&str>,
        limit: usize,
    ) -> MemoryResult<Page> {
        let limit = limit.clamp(1, PAGE);
        let body = query::page(after, limit);
        let all = self.find(&self.names.rule(), &body).await?;
        let keys: Vec<&str> = all.iter().map(|one| one.key.as_str()).collect();
        let index = self.names.model(model);
        let have = match self.get(&index, &keys, &["digest"]).await {
            Err(MemoryError::NotFound { .. }) => Default::default(),
            have => have?,
        };
        let lacks = |key: &str, digest: &Value| {
            have.get(key)
                .is_none_or(|vector| vector["digest"] != *digest)
        };
        let lacking = all
            .iter()
            .filter(|one| lacks(&one.key, &one.source["digest"]));
        Ok(Page {
            incidents: lacking
                .map(|one| super::incident(&one.source))
                .collect::<MemoryResult<Vec<Incident>>>()?,
            next: all
                .last()
                .map(|one| one.key.clone())
                .filter(|_| all.len() == limit),
        })
    }

    pub(super) async fn embed_known(
        &self,
        model: &ModelName,
        embeddings: &[Embedding],
    ) -> MemoryResult<Vec<Outcome>> {
        self.ensure_model(model).await?;
        let writes: Vec<Write> = embeddings
            .iter()
            .map(|one| self.model_write(model, &one.incident, &one.vector))
            .collect();
        let written = bulk::write(&self.wire, &writes).await?;
        let mut outcomes: Vec<Outcome> = written.into_iter().map(Into::into).collect();
        // Afterwards: an incident that is forgotten meanwhile takes its vectors along, or is seen
        // to be gone here.
        let keys: Vec<String> = embeddings.iter().map(|one| one.incident.key()).collect();
        let asked: Vec<&str> = keys.iter().map(String::as_str).collect();
        let known = self.get(&self.names.rule(), &asked, &["client"]).await?;
        let index = self.names.model(model);
        let mut orphans = vec![];
        for (number, key) in keys.iter().enumerate() {
            if !known.contains_key(key) {
                orphans.push(Write::delete(&index, key));
                outcomes[number] = Outcome::Refused {
                    why: format!(
                        "incident {} is not remembered",
                        embeddings[number].incident.id
                    ),
                };
            }
        }
        bulk::write(&self.wire, &orphans).await?;
        Ok(outcomes)
    }
}

/// Refuses an index of a newer version, and one that is not ours.
fn check(index: &str, mapping: &Value) -> MemoryResult<()> {
    let version = mapping["_meta"]["autoops_version"].as_i64();
    let dimensions = mapping["properties"]["vector"]["dimension"].as_u64();
    match version {
        Some(version) if version > VERSION => Err(MemoryError::Invalid {
            what: format!(
                "index {index} was made by a newer AutoOps (version {version}, this program knows up to {VERSION}): \
                 update this program or choose another `memory.opensearch.prefix`"
            ),
        }),
        Some(_) if dimensions == Some(DIMENSIONS as u64) => Ok(()),
        _ => Err(MemoryError::Invalid {
            what: format!(
                "index {index} is not of AutoOps: choose another `memory.opensearch.prefix`"
            ),
        }),
    }
}
