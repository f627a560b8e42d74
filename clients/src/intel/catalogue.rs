//! What is remembered of CISA's catalogue between readings, and asked for by rankings.

use std::collections::BTreeSet;

use domain::{ids::CveId, vulnerability::kev::Histories};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Mark, Upstream};
use crate::store::{Store, StoreError, StoreResult};

/// The catalogue as it was read last.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Catalogue {
    /// Which state of it that was.
    pub mark: Mark,
    /// The version it gave itself.
    pub version: String,
    /// When CISA was asked last.
    pub asked_at: Option<Timestamp>,
    /// What it listed.
    pub listed: BTreeSet<CveId>,
    /// How often vendors and products are listed.
    pub histories: Histories,
}

impl Catalogue {
    /// Reads how often vendors and products are listed; nobody is before the first reading.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub async fn histories(store: &Store) -> StoreResult<Histories> {
        let name = Upstream::Kev.as_str();
        let Some(state) = store.vulnerabilities.reader_state(name).await? else {
            return Ok(Histories::default());
        };
        let catalogue: Self =
            serde_json::from_value(state.body).map_err(|error| StoreError::Corrupt {
                what: format!("what the reader of `{name}` remembers"),
                source: Some(error.into()),
            })?;
        Ok(catalogue.histories)
    }
}
