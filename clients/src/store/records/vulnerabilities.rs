//! Facts about vulnerabilities: partitions `cve/{id}` and `update/{kb}`, lists `followed`,
//! `application/{vendor}:{product}` and `applications`, and what the readers of sources remember in
//! `reader/{name}`.

use async_trait::async_trait;
use domain::{
    ids::{CveId, KbId},
    vulnerability::{cpe::Product, cvrf::Update, record::VulnerabilityRecord},
};

use super::{
    Backend, Records,
    items::{Order, Place, Tx},
};
use crate::store::{
    Listing, MOST_APPLICATIONS, ReaderState, StoreError, StoreResult, Vulnerabilities,
};

const FACTS: &str = "facts";
const FOLLOWED: &str = "followed";
/// Of vulnerabilities that are in many applications.
const MANY: &str = "applications";
/// A record, a change, and places: at worst all are new and as many go.
const WRITES_OF_A_RECORD: usize = 2 + 2 * (MOST_APPLICATIONS + 1);
/// A record and a change.
const WRITES_OF_AN_UPDATE: usize = 2;

fn partition(id: &CveId) -> String {
    format!("cve/{id}")
}

fn application(product: &Product) -> String {
    format!("application/{product}")
}

/// The lists it stands in.
fn places(record: &VulnerabilityRecord) -> Vec<Place> {
    let mut lists = Vec::new();
    if record.is_followed() {
        lists.push(FOLLOWED.to_owned());
    }
    let applications = record.applications();
    if applications.len() > MOST_APPLICATIONS {
        lists.push(MANY.to_owned());
    } else {
        lists.extend(applications.iter().map(application));
    }
    let place = |list| (list, record.id.to_string());
    lists.into_iter().map(place).collect()
}

/// Returns true when it says something that was not known.
fn merge(tx: &Tx<'_>, record: VulnerabilityRecord) -> StoreResult<bool> {
    let (pk, id) = (partition(&record.id), record.id.clone());
    let stored: Option<VulnerabilityRecord> = tx.get(&pk, FACTS)?;
    let mut merged = stored
        .clone()
        .unwrap_or_else(|| VulnerabilityRecord::new(id.clone()));
    merged.merge(record);
    if stored.as_ref() == Some(&merged) {
        return Ok(false);
    }
    tx.put(&pk, FACTS, &merged)?;
    tx.place(&pk, FACTS, &places(&merged))?;
    let is_news = stored.is_none_or(|stored| !stored.says_the_same(&merged));
    if is_news {
        tx.change("vulnerability", None, id.as_str())?;
    }
    Ok(is_news)
}

fn merge_update(tx: &Tx<'_>, update: Update) -> StoreResult<bool> {
    let pk = format!("update/{}", update.kb);
    let stored: Option<Update> = tx.get(&pk, FACTS)?;
    let merged = match stored.clone() {
        Some(mut known) => {
            known.merge(update);
            known
        }
        None => update,
    };
    if stored.as_ref() == Some(&merged) {
        return Ok(false);
    }
    tx.put(&pk, FACTS, &merged)?;
    tx.change("update", None, merged.kb.digits())?;
    Ok(true)
}

/// Writes all, a few in each transaction; returns how many were news.
async fn each<B: Backend, T: Clone + Send + Sync + 'static>(
    backend: &B,
    all: Vec<T>,
    writes_of_each: usize,
    write: fn(&Tx<'_>, T) -> StoreResult<bool>,
) -> StoreResult<u64> {
    let mut news = 0;
    for chunk in all.chunks(B::MOST_WRITES / writes_of_each) {
        let chunk = chunk.to_vec();
        let work = move |tx: &Tx<'_>| {
            let written = chunk
                .iter()
                .map(|one| write(tx, one.clone()).map(u64::from));
            written.sum::<StoreResult<u64>>()
        };
        news += backend.write(work).await?;
    }
    Ok(news)
}

#[async_trait]
impl<B: Backend> Vulnerabilities for Records<B> {
    async fn merge_vulnerabilities(&self, records: Vec<VulnerabilityRecord>) -> StoreResult<u64> {
        each(&self.0, records, WRITES_OF_A_RECORD, merge).await
    }

    async fn get_vulnerabilities(&self, ids: &[CveId]) -> StoreResult<Vec<VulnerabilityRecord>> {
        let pks: Vec<String> = ids.iter().map(partition).collect();
        self.0.read(move |tx| tx.get_all(&pks, FACTS)).await
    }

    async fn list_followed(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<VulnerabilityRecord>> {
        let cursor = cursor.map(ToOwned::to_owned);
        self.0
            .read(move |tx| tx.list(FOLLOWED, cursor.as_deref(), limit, Order::Ascending))
            .await
    }

    async fn list_of_product(
        &self,
        product: Option<&Product>,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<VulnerabilityRecord>> {
        let list = product.map_or_else(|| MANY.to_owned(), application);
        let cursor = cursor.map(ToOwned::to_owned);
        self.0
            .read(move |tx| tx.list(&list, cursor.as_deref(), limit, Order::Ascending))
            .await
    }

    async fn merge_updates(&self, updates: Vec<Update>) -> StoreResult<u64> {
        each(&self.0, updates, WRITES_OF_AN_UPDATE, merge_update).await
    }

    async fn get_updates(&self, kbs: &[KbId]) -> StoreResult<Vec<Update>> {
        let pks: Vec<String> = kbs.iter().map(|kb| format!("update/{kb}")).collect();
        self.0.read(move |tx| tx.get_all(&pks, FACTS)).await
    }

    async fn reader_state(&self, name: &str) -> StoreResult<Option<ReaderState>> {
        let pk = format!("reader/{name}");
        self.0.read(move |tx| tx.get(&pk, FACTS)).await
    }

    async fn move_reader(&self, name: &str, state: ReaderState) -> StoreResult<()> {
        let (pk, name) = (format!("reader/{name}"), name.to_owned());
        self.0
            .write(move |tx| {
                let stored: Option<ReaderState> = tx.get(&pk, FACTS)?;
                if stored.as_ref() == Some(&state) {
                    return Ok(());
                }
                let found = stored.map_or(0, |stored| stored.version);
                if found + 1 != state.version {
                    return Err(StoreError::Conflict {
                        what: format!(
                            "the reader of `{name}` is at version {found}: version {} cannot follow",
                            state.version
                        ),
                    });
                }
                tx.put(&pk, FACTS, &state)?;
                tx.change("reader", None, &name).map(drop)
            })
            .await
    }
}
