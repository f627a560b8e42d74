//! What every command needs: how to print, where Temporal and the store are.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clients::{
    aws::StaticCredentials,
    config::{Config, FILE_VARIABLE, ObjectsKind, ObjectsSection, StoreKind, StoreSection},
    objects::{Objects, S3Config},
    store::{DynamoConfig, Store},
};

use crate::{
    dev::{self, DevEnvironment},
    output::Format,
    temporal::Temporal,
};

/// Variable that names the database file.
const PATH: &str = "AUTOOPS_STORE__PATH";
/// Variable that says where records are kept.
const KIND: &str = "AUTOOPS_STORE__KIND";
/// Variable that names the folder of objects.
const OBJECTS_PATH: &str = "AUTOOPS_OBJECTS__PATH";
/// Variable that says where objects are kept.
const OBJECTS_KIND: &str = "AUTOOPS_OBJECTS__KIND";

/// Global settings of one call.
#[derive(Debug)]
pub struct Setup {
    /// Who reads the answer.
    pub format: Format,
    config: Option<PathBuf>,
    dev: Option<DevEnvironment>,
}

impl Setup {
    /// Looks for the development environment; nothing is opened yet.
    #[must_use]
    pub fn new(format: Format, config: Option<PathBuf>) -> Self {
        let named = std::env::var_os(dev::VARIABLE).filter(|file| !file.is_empty());
        let dev = std::env::current_dir()
            .ok()
            .and_then(|folder| dev::find(named.as_deref().map(Path::new), &folder));
        Self {
            format,
            config,
            dev,
        }
    }

    /// Whether a name on a command line is enough to say who speaks.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub(crate) fn accepts_claims(&self) -> anyhow::Result<bool> {
        Ok(self.config()?.environment.accepts_claimed_identity())
    }

    /// Connects to Temporal.
    ///
    /// # Errors
    /// When no server answers within some seconds.
    pub async fn temporal(&self) -> anyhow::Result<Temporal> {
        Temporal::connect(self.dev.as_ref()).await
    }

    /// Opens the store that the worker writes; it must be there.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub async fn store(&self) -> anyhow::Result<Store> {
        let section = self.store_section()?;
        if section.kind == StoreKind::Embedded && !section.path.exists() {
            anyhow::bail!(
                "no store at {}: {PATH} or --config names another one",
                section.path.display()
            );
        }
        open(&section).await
    }

    /// Opens the store, and makes it when it is not there yet.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn store_or_new(&self) -> anyhow::Result<Store> {
        open(&self.store_section()?).await
    }

    /// Opens the storage of objects; `None` when there is none on this machine yet.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn objects(&self) -> anyhow::Result<Option<Objects>> {
        let section = self.objects_section()?;
        if section.kind == ObjectsKind::Folder && !section.path.exists() {
            return Ok(None);
        }
        let opened = Objects::open(&section).await;
        let opened = opened.with_context(|| format!("objects in {}", section.name()))?;
        Ok(Some(opened))
    }

    /// As [`Self::store_section`], of objects.
    fn objects_section(&self) -> anyhow::Result<ObjectsSection> {
        let mut section = self.config()?.objects()?.clone();
        let Some(dev) = self.dev_unless(&[OBJECTS_KIND, OBJECTS_PATH]) else {
            return Ok(section);
        };
        if let Some(url) = &dev.s3_url {
            section.kind = ObjectsKind::S3;
            section.s3 = S3Config::of_this_machine(url);
        } else if let Some(path) = dev.objects_path.clone() {
            section.path = path;
        }
        Ok(section)
    }

    /// The development environment, unless a file or one of these variables says something else.
    fn dev_unless(&self, variables: &[&str]) -> Option<&DevEnvironment> {
        let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let named = self.config.is_some() || set(&FILE_VARIABLE) || variables.iter().any(set);
        self.dev.as_ref().filter(|_| !named)
    }

    /// Names the store for people, if it can be told.
    pub(crate) fn store_name(&self) -> Option<String> {
        self.store_section().ok().map(|section| section.name())
    }

    /// Names the storage of objects for people, if it can be told.
    pub(crate) fn objects_name(&self) -> Option<String> {
        self.objects_section().ok().map(|section| section.name())
    }

    /// What a variable or file says, else the development environment, else the default.
    fn store_section(&self) -> anyhow::Result<StoreSection> {
        let section = self.config()?.store;
        let Some(dev) = self.dev_unless(&[KIND, PATH]) else {
            return Ok(section);
        };
        if let Some(url) = &dev.dynamodb_url {
            let dynamodb = DynamoConfig {
                endpoint_url: Some(url.clone()),
                credentials: Some(StaticCredentials::of_this_machine()),
                ..section.dynamodb
            };
            return Ok(StoreSection {
                kind: StoreKind::Dynamodb,
                dynamodb,
                ..section
            });
        }
        Ok(match dev.store_path.clone() {
            Some(path) => StoreSection { path, ..section },
            None => section,
        })
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// When a file or variable cannot be used.
    pub fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.config.as_deref())?)
    }
}

async fn open(section: &StoreSection) -> anyhow::Result<Store> {
    let opened = Store::open(section).await;
    opened.with_context(|| format!("store {}", section.name()))
}
