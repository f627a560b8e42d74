//! What has to be in place before the first task is taken. All of it may be done again.

use std::{collections::HashMap, path::Path, time::Duration};

use activities::{Deps, incidents::re_embed_memory};
use anyhow::{Context, bail};
use clients::{
    bedrock::BedrockError,
    memory::{ReEmbedError, ReEmbedded},
    people,
    store::{PolicyVersion, Store, StoreError},
    superops::{Probe, SuperOps},
};
use contracts::search;
use jiff::Timestamp;
use policy::PolicySet;
use temporalio_client::{
    Client, NamespacedClient,
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType,
    operatorservice::v1::{AddSearchAttributesRequest, ListSearchAttributesRequest},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Who writes what nobody asked for.
const BUILT_IN: &str = "built-in";
/// Source of the people of a file, whatever its path: a file that was moved is the same people.
const PEOPLE_FILE: &str = "file";
/// How often records past their time are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// How often it is looked for past incidents without a vector of the embedding model.
const RE_EMBED_EVERY: Duration = Duration::from_secs(600);
/// Time before that in which a job that is not done stops; the next one goes on.
const RE_EMBED_MARGIN: Duration = Duration::from_secs(30);

/// Asks `SuperOps` one cheap question. Only a refused token stops the worker: an outage must not,
/// activities wait for its end.
pub(crate) async fn check_superops(superops: &SuperOps) -> anyhow::Result<()> {
    let probe = superops
        .probe()
        .await
        .context("the SuperOps token (AUTOOPS_SUPEROPS_TOKEN) does not work")?;
    match probe {
        Probe::Ready => {}
        Probe::ScriptDiffers(found) => warn!("no device can be patched: {found}"),
        Probe::ScriptMissing { name } => {
            warn!(
                "no device can be patched: upload the script {name} of deploy/scripts to SuperOps"
            );
        }
        Probe::Unreachable(error) => warn!(
            error = &error as &dyn std::error::Error,
            "superops could not be checked, going on"
        ),
    }
    Ok(())
}

/// Registers the search attributes that are missing.
///
/// # Errors
/// When Temporal does not answer. Where attributes are managed elsewhere (Temporal Cloud) it only
/// warns.
pub async fn register_search_attributes(client: &Client) -> anyhow::Result<()> {
    let mut operator = client.connection().operator_service();
    let namespace = client.namespace();
    let list = ListSearchAttributesRequest {
        namespace: namespace.clone(),
    };
    let known = match operator.list_search_attributes(list.into_request()).await {
        Ok(answer) => answer.into_inner().custom_attributes,
        Err(status) if is_managed_elsewhere(&status) => {
            warn!("search attributes cannot be registered here: see to it that they exist");
            return Ok(());
        }
        Err(status) if status.code() == Code::NotFound => {
            bail!(
                "there is no Temporal namespace `{namespace}`: create it or set TEMPORAL_NAMESPACE"
            );
        }
        Err(status) => bail!(
            "Temporal does not list its search attributes: {}",
            status.message()
        ),
    };
    let missing: HashMap<String, i32> = search::ALL
        .iter()
        .filter(|(name, _)| !known.contains_key(*name))
        .map(|(name, kind)| Ok(((*name).to_owned(), value_type(kind)? as i32)))
        .collect::<anyhow::Result<_>>()?;
    if missing.is_empty() {
        return Ok(());
    }
    let add = AddSearchAttributesRequest {
        search_attributes: missing,
        namespace,
    };
    match operator.add_search_attributes(add.into_request()).await {
        Ok(_) => Ok(()),
        // Another worker was faster.
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        Err(status) if is_managed_elsewhere(&status) => {
            warn!("search attributes cannot be registered here: see to it that they exist");
            Ok(())
        }
        Err(status) => bail!(
            "search attributes cannot be registered: {}",
            status.message()
        ),
    }
}

fn is_managed_elsewhere(status: &Status) -> bool {
    matches!(status.code(), Code::PermissionDenied | Code::Unimplemented)
}

fn value_type(kind: &str) -> anyhow::Result<IndexedValueType> {
    Ok(match kind {
        "Keyword" => IndexedValueType::Keyword,
        "Datetime" => IndexedValueType::Datetime,
        "Bool" => IndexedValueType::Bool,
        other => bail!("unknown kind of search attribute: {other}"),
    })
}

/// Writes the built-in policies as the first default set, unless there is one.
///
/// # Errors
/// When the store cannot be used.
pub async fn put_default_policies(store: &Store, now: Timestamp) -> anyhow::Result<()> {
    if store.policies.latest_policy(None).await?.is_some() {
        return Ok(());
    }
    let body = serde_json::to_value(PolicySet::built_in())?;
    let first = PolicyVersion {
        client: None,
        version: 1,
        by: BUILT_IN.to_owned(),
        at: now,
        body,
    };
    match store.policies.put_policy(first, 0).await {
        // Another worker was faster.
        Ok(()) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error).context("the default policies cannot be written"),
    }
}

/// Loads a people file into the store. Who was loaded from a file before and is not in this one may
/// look from now on, and not decide.
///
/// # Errors
/// When the file or the store cannot be used.
pub async fn load_people(store: &Store, file: &Path) -> anyhow::Result<()> {
    let people = people::load_people(file)?;
    let count = people.len();
    let lowered = store.identities.put_people_of(PEOPLE_FILE, people).await?;
    for person in lowered {
        warn!(
            person.id = %person.id,
            "{} is not in the people file any more and is now a viewer",
            person.id
        );
    }
    info!(
        people = count,
        "loaded {count} people from {}",
        file.display()
    );
    Ok(())
}

/// Deletes what is past its time now and then, one worker at a time.
pub(crate) async fn sweep(deps: Deps, until: CancellationToken) {
    loop {
        let now = deps.clock.now();
        let mine = deps.store.counters.claim("upkeep", SWEEP_EVERY, now).await;
        let swept = match mine {
            Ok(true) => deps.store.upkeep.sweep_expired(now).await,
            Ok(false) => Ok(0),
            Err(error) => Err(error),
        };
        match swept {
            Ok(0) => {}
            Ok(records) => info!(records, "deleted {records} records past their time"),
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "the store could not be swept"
            ),
        }
        tokio::select! {
            () = until.cancelled() => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
    }
}

/// Makes vectors of the embedding model for what is remembered and has none: all of it after the model
/// was changed, else what was remembered while the model did not answer. One worker at a time; what one
/// has made the next one finds.
pub(crate) async fn re_embed(deps: Deps, until: CancellationToken) {
    let Some(embeddings) = deps.embeddings.clone() else {
        return;
    };
    loop {
        let now = deps.clock.now();
        match deps
            .store
            .counters
            .claim("re-embed", RE_EMBED_EVERY, now)
            .await
        {
            Ok(true) => {
                let job = re_embed_memory(&deps.memory, &embeddings);
                tokio::select! {
                    () = until.cancelled() => return,
                    // Before the next worker may begin.
                    () = tokio::time::sleep(RE_EMBED_EVERY - RE_EMBED_MARGIN) => {}
                    done = job => say(done, embeddings.name().as_str()),
                }
            }
            Ok(false) => {}
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "it is not known whether another worker re-embeds"
            ),
        }
        tokio::select! {
            () = until.cancelled() => return,
            () = tokio::time::sleep(RE_EMBED_EVERY) => {}
        }
    }
}

fn say(done: Result<ReEmbedded, ReEmbedError<BedrockError>>, model: &str) {
    match done {
        Ok(done) if done.kept == 0 && done.left == 0 && done.refused.is_empty() => {}
        Ok(done) => info!(
            kept = done.kept,
            left = done.left,
            refused = done.refused.len(),
            "made {} vectors of {model} for past incidents",
            done.kept
        ),
        Err(error) => warn!(
            error = &error as &dyn std::error::Error,
            "past incidents could not all be re-embedded, going on later"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_every_search_attribute_is_known() {
        for (name, kind) in search::ALL {
            assert!(value_type(kind).is_ok(), "{name}: {kind}");
        }
    }
}
