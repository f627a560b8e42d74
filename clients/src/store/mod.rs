//! Records of AutoOps behind ports: what is asked for is in [`ports`], how it is kept in an adapter.
//!
//! [`Store`] is the cloneable handle that binaries pass around. [`Store::embedded`] keeps everything
//! in one SQLite file that several processes may use at once.

mod dynamo;
pub(crate) mod embedded;
mod error;
mod limiter;
pub mod ports;
mod records;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::{path::Path, sync::Arc, time::Duration};

use aws_config::SdkConfig;
use serde::Deserialize;

pub use self::dynamo::Table;
use self::records::{Backend, Records};
pub use self::{error::StoreError, limiter::TokenBucketLimiter, ports::*};
use crate::{
    aws::{self, StaticCredentials},
    config::{StoreKind, StoreSection},
};

/// All records of AutoOps, port by port. Clones share the same connection.
#[derive(Debug, Clone)]
pub struct Store {
    /// Versions of policy sets.
    pub policies: Arc<dyn Policies>,
    /// The audit trail.
    pub actions: Arc<dyn Actions>,
    /// Plans, states of deployments, finished devices.
    pub executions: Arc<dyn Executions>,
    /// Devices, their online snapshot and leases.
    pub inventory: Arc<dyn Inventory>,
    /// Alerts, triage and incidents.
    pub alerts: Arc<dyn Alerts>,
    /// Campaigns.
    pub campaigns: Arc<dyn Campaigns>,
    /// Facts about vulnerabilities and updates.
    pub vulnerabilities: Arc<dyn Vulnerabilities>,
    /// People and their roles.
    pub identities: Arc<dyn Identities>,
    /// Counters, token buckets and flags.
    pub counters: Arc<dyn Counters>,
    /// Changes, for live views.
    pub outbox: Arc<dyn Outbox>,
    /// Forgetting what is past its time.
    pub upkeep: Arc<dyn Upkeep>,
}

/// Which tables of DynamoDB. Credentials are never read from a file with the rest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamoConfig {
    /// Names of the tables begin with it and a dash.
    pub prefix: String,
    /// AWS region, such as `eu-central-1`.
    pub region: String,
    /// Another address than the region's own.
    #[serde(default)]
    pub endpoint_url: Option<String>,
    /// A fixed key pair instead of the AWS credential chain.
    #[serde(skip)]
    pub credentials: Option<StaticCredentials>,
}

impl DynamoConfig {
    /// Returns the settings of a client whose calls may take `whole`.
    pub async fn settings(&self, whole: Duration) -> SdkConfig {
        let (url, keys) = (self.endpoint_url.as_deref(), self.credentials.as_ref());
        aws::settings(&self.region, url, keys, whole).await
    }
}

impl Store {
    /// Opens the store that the configuration names.
    ///
    /// # Errors
    /// When it cannot be used; says what to do.
    pub async fn open(section: &StoreSection) -> Result<Self, StoreError> {
        match section.kind {
            StoreKind::Embedded => Self::embedded(&section.path),
            StoreKind::Dynamodb => Self::dynamodb(&section.dynamodb).await,
        }
    }

    /// Opens the adapter on DynamoDB, and looks whether its tables are there.
    ///
    /// # Errors
    /// When a table is missing or is another one than ours, or DynamoDB refuses us.
    pub async fn dynamodb(config: &DynamoConfig) -> Result<Self, StoreError> {
        Ok(Self::on(dynamo::Dynamo::open(config).await?))
    }

    /// Opens the embedded adapter on a SQLite file, which is created with its folders when it is
    /// not there. Blocks for some milliseconds: meant for the start of a process.
    ///
    /// # Errors
    /// When the file cannot be used, was written by a newer AutoOps or is something else.
    pub fn embedded(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::on(embedded::Embedded::open(path)?))
    }

    fn on<B: Backend + Outbox + Upkeep>(adapter: B) -> Self {
        let records = Arc::new(Records(adapter));
        Self {
            policies: records.clone(),
            actions: records.clone(),
            executions: records.clone(),
            inventory: records.clone(),
            alerts: records.clone(),
            campaigns: records.clone(),
            vulnerabilities: records.clone(),
            identities: records.clone(),
            counters: records.clone(),
            outbox: records.clone(),
            upkeep: records,
        }
    }
}
